"""How often a command that waits looks at the farm: its looks cost a small share of the daemon's time, however many start."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any, Optional

import pytest
from msgspec.structs import replace

from daqsched.cli import waiting
from daqsched.errors import NotRunning
from daqsched.protocol import Applied
from daqsched.rollout import Rollout, Strategy
from daqsched.views.plan import Plan
from daqsched.views.rows import Progress, Row

#: What an instance costs in a look, much rather than too little.
COST_S = 30e-6


class Daemon:
    """Starts fifty a second of ``count``, so that each look shows something new; time goes by in looks and pauses alone."""

    def __init__(self, count: int) -> None:
        self.count, self.now, self.looks, self.busy = count, 0.0, 0, 0.0

    def time(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def progress(self, only: object, **asked: Any) -> Any:
        """At once: its version is never the one that was seen."""
        self.looks += 1
        self.busy += COST_S * self.count
        self.now += COST_S * self.count
        running = min(self.count, int(self.now * 50))
        states = {"RUNNING": running, "STARTING": self.count - running}
        progress = Progress(self.looks, {state: n for state, n in states.items() if n}, running == self.count, ())
        return SimpleNamespace(progress=progress, superseded="", connected=True, master="", now=self.now)


def applied(rollout: Rollout, last: Optional[Rollout], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """The exit status, and what is said, of an apply whose rollout stands like this, while ``last`` is the last one."""
    progress = SimpleNamespace(progress=Progress(1, {"RUNNING": 9}, True, ()), superseded="", connected=True, master="")
    client = SimpleNamespace(
        progress=lambda *_, **__: progress,
        rollout=lambda number=0: SimpleNamespace(rollout=rollout if number else last),
    )
    made = Applied(Plan("d", "b"), 7, rollout.number)
    try:
        waiting.follow(client, made, (), None, True, 9.0, 0.0, False)
    except NotRunning as error:
        return error.exit_code, str(error)
    except SystemExit as error:
        return int(str(error.code)), capsys.readouterr().err
    raise AssertionError("it ended as if all were well")


BACK = Rollout(
    3, "apply", "bob", "", 5.0, 7, 6, Strategy(), 4, 9, 4, state="rolled-back", why="1 failure", at=0, reached=2
)
WAY = replace(BACK, number=4, revision=8, state="running", why="", reached=1, batches=2)


@pytest.mark.parametrize(
    ("last", "then"),
    [
        (WAY, "rollout 4 of revision 8: batch 1 of 2, `daqsched rollout` shows it"),
        (replace(WAY, state="done", why="after 9 s"), "that is done"),
        (replace(WAY, state="done", why="after 9 s", unreached=("hlt02",)), "rollout 4 of revision 8 has ended after 9 s, but not "
         "on hlt02, of which nobody answered: it changes when it is back: `daqsched why` tells of what is not as it was"),
        (BACK, "`daqsched status` shows whether all is back"),
    ],
)  # fmt: skip
def test_who_waited_for_a_rollout_that_went_back_is_told_where_to_and_how_far_that_is(
    last: Rollout, then: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 4: not everything runs that was asked for."""
    assert applied(BACK, last, capsys) == (
        4,
        "rollout 3 of revision 7 went back in batch 1 of 4 (2 of 9 instances changed), 1 failure; what it changed is to be what "
        f"ran at revision 6; {then}",
    )


def test_a_pause_that_was_asked_for_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    """Not everything runs, so the exit status is 4 all the same."""
    paused = replace(BACK, state="paused", why="after batch 1, as asked for", as_asked=True)
    assert applied(paused, paused, capsys) == (
        4,
        "Rollout 3 of revision 7 is paused in batch 1 of 4 (2 of 9 instances changed), after batch 1, as asked for; `daqsched "
        "rollout resume`, `abort` or `rollback`.\n",
    )


@pytest.mark.parametrize(
    ("count", "share"), [(1, 0.05), (10, 0.05), (100, 0.05), (300, 0.05), (1_000, 0.05), (10_000, 0.25)]
)
def test_the_looks_of_a_command_that_waits_cost_a_small_share_of_a_core(
    count: int, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many start; it is told of the last one at most a second late, of few at once."""
    daemon = Daemon(count)
    monkeypatch.setattr(waiting, "time", daemon)
    answer = waiting._wait_for(daemon, 0.0, 1e6, 0.0, (), None, (0, 1), True)
    assert answer.progress.complete
    assert daemon.now - count / 50 <= min(1.0, 0.001 * count) + 3 * COST_S * count + 0.02
    assert daemon.busy < share * daemon.now + 2 * COST_S * count, "the first and the last look"


class Stands:
    """A farm in which nothing changes but the time: what lags, and the last rollout."""

    def __init__(self, lagging: tuple[Row, ...], rollout: Any = None) -> None:
        self.lagging, self.last, self.now, self.looks = lagging, rollout, 0.0, 0

    def time(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def rollout(self, number: int) -> Any:
        return SimpleNamespace(rollout=self.last)

    def progress(self, only: object, most: int = 20, wait_s: float = 0.0, **asked: Any) -> Any:
        self.looks += 1
        self.now += wait_s
        states: dict[str, int] = {"RUNNING": 3}
        for row in self.lagging:
            states[row.state] = states.get(row.state, 0) + 1
        progress = Progress(1, states, False, self.lagging[:most])
        return SimpleNamespace(progress=progress, superseded="", connected=True, master="", now=self.now)


def away(host: str, state: Any = "UNREACHABLE") -> Row:
    return Row("readout", host, state, f"{host} stopped answering")


NOWHERE = Row("gpu", "", "WAITING", "no machine has rack=r9 yet; it starts when one does")
ENDED = Rollout(3, "apply", "alice", "", 0.0, 7, 6, Strategy(batches=(1,)), 3, 3, 1, state="done", why="after 2.5 s")
ENDED.unreached = ("hlt02",)
NOT_YET = "has ended after 2.5 s, but not on hlt02, of which nobody answered: it changes when it is back"

STANDING: list[tuple[str, tuple[Row, ...], Any, float, str]] = [
    ("one dead host", (away("hlt02"),), ENDED, 1.0, NOT_YET),
    ("and what waits there", (away("hlt02"), away("hlt02", "WAITING")), ENDED, 1.0, NOT_YET),
    ("and what has failed for good", (away("hlt02"), away("hlt01", "FAILED")), ENDED, 1.0, NOT_YET),
    ("no machine", (NOWHERE,), None, 7.0, "gpu: no machine has rack=r9 yet; it starts when one does"),
    ("both", (NOWHERE, away("hlt02")), ENDED, 7.0, "gpu: no machine has rack=r9 yet"),
    ("another host, too", (away("hlt02"), away("hlt03")), ENDED, 100.0, "not everything is running after 60 s"),
    ("what may still start", (NOWHERE, away("hlt01", "STARTING")), None, 100.0, "not everything is running after 60 s"),
]


@pytest.mark.parametrize(
    ("lagging", "rollout", "within", "why"), [one[1:] for one in STANDING], ids=[one[0] for one in STANDING]
)
def test_who_waits_for_nothing_but_machines_that_nobody_hears_of_is_told_so_at_once(
    lagging: tuple[Row, ...], rollout: Any, within: float, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not after all of the time that was given; whatever else may still come is waited for."""
    daemon = Stands(lagging, rollout)
    monkeypatch.setattr(waiting, "time", daemon)
    answer = waiting._wait_for(daemon, 0.0, 60.0, 1.0, (), None, (3 if rollout else 0, 7), True)
    assert daemon.now <= within
    with pytest.raises(NotRunning, match=re.escape(why)):
        waiting._raise_incomplete(daemon, 3 if rollout else 0, answer, 60.0)
