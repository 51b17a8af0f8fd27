"""`daqsched borrow` to its end: whatever ends the program, or whoever leaves it, is told what is so."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Callable

import pytest
from click.testing import CliRunner, Result

from builders import job, offer
from daqsched.cli import borrow, main
from daqsched.engine import events
from daqsched.errors import NotRunning
from daqsched.spec import Spec
from daqsched.views.rows import Row
from daqsched_executor.contract import Exit, Report
from served import Serve


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """A running daemon; readout@hlt01 may be run by hand."""
    made = Serve(tmp_path)
    made.daemon.put(events.Registered("fw", "m:5050"))
    made.client.apply(Spec(jobs=(job(),)))
    made.client.aside(["hlt01"], 4e9, "card")
    yield made
    made.close()


def typed(serve: Serve, *words: str) -> Result:
    return CliRunner().invoke(main, ["--socket", str(serve.path), "borrow", *words], terminal_width=200)


class Looks:
    """A daemon that shows these rows, one a look."""

    def __init__(self, *rows: Any) -> None:
        self.rows = list(rows)

    def status(self, words: object) -> Any:
        row = self.rows.pop(0)
        return SimpleNamespace(rows=[] if row is None else [row])

    def sandboxes(self, words: object) -> Any:
        return SimpleNamespace(sandboxes=[])


MINE = Row("readout", "hlt01", "RUNNING", "run by hand by root", task_id="1", borrowed="root")
ENDED = Row("readout", "hlt01", "ASIDE", "", report=Report("exited", last_exit=Exit(1.0, 2.0, code=0)))
AFTER = [
    ("it ended", ENDED, ""),
    ("the host was given back", Row("readout", "hlt01", "WAITING", "no offer"), "hlt01 is set aside no more"),
    ("and it was started", Row("readout", "hlt01", "RUNNING", "", task_id="2"), "hlt01 is set aside no more"),
    ("another one runs it", Row("readout", "hlt01", "RUNNING", "", task_id="2", borrowed="eve"), "another runs there"),
    ("the job has left the farm", None, "`daqsched story readout@hlt01` tells by whom"),
]


@pytest.mark.parametrize(("what", "then", "why"), AFTER, ids=[what for what, _, _ in AFTER])
def test_a_look_at_what_runs_by_hand_ends_with_it(
    what: str, then: Any, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where nobody waited for its end, but for the host."""
    monkeypatch.setattr(borrow, "LOOK_S", 0.0)
    run = borrow.HandRun(Looks(MINE, MINE, then), "readout", "hlt01", raw=False)
    if why:
        with pytest.raises(NotRunning, match=why):
            run.follow()
    else:
        assert "exit code 0" in run.follow()


def interrupted(*steps: Any) -> Callable[[object], str]:
    """What each `follow` comes to."""
    left = list(steps)

    def follow(run: object) -> str:
        step = left.pop(0)
        if isinstance(step, BaseException):
            raise step
        if isinstance(step, int):
            signal.raise_signal(step)
        return str(step)

    return follow


CASES = [
    ("ended", (KeyboardInterrupt(), "killed by signal 9"), 130, "Ended: killed by signal 9"),
    ("not waited for", (KeyboardInterrupt(), KeyboardInterrupt()), 130, "has not yet: `daqsched status readout@hlt01`"),
    ("told to go", (int(signal.SIGTERM),), 143, "It runs on: `daqsched borrow --end hlt01 readout` ends it."),
    ("hung up", (int(signal.SIGHUP),), 129, "It runs on: `daqsched borrow --end hlt01 readout` ends it."),
]


@pytest.mark.parametrize(("steps", "status", "said"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_whoever_leaves_is_told_what_is_so(
    serve: Serve, steps: tuple[Any, ...], status: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C ends the program and waits for that; a signal leaves it, and says which command ends it."""
    before = signal.getsignal(signal.SIGTERM)
    serve.daemon.put(events.OffersArrived((offer(),)))
    monkeypatch.setattr(borrow.HandRun, "follow", interrupted(*steps))
    done = typed(serve, "hlt01", "readout")
    assert done.exit_code == status and said in done.output, done.output
    assert signal.getsignal(signal.SIGTERM) is before


def test_it_is_ended_from_elsewhere(serve: Serve) -> None:
    """Whoever runs it; where nothing does that is said."""
    assert "Nothing runs there by hand." in typed(serve, "--end", "hlt01", "readout").output
    serve.client.borrow("readout", "hlt01")
    refused = typed(serve, "hlt01", "readout")
    assert refused.exit_code == 5 and "`daqsched borrow --end hlt01 readout` ends that" in refused.output
    assert "--end and a COMMAND can't be combined" in typed(serve, "--end", "hlt01", "readout", "/bin/x").output
    assert "Told to end; `daqsched status readout@hlt01`" in typed(serve, "--end", "hlt01", "readout").output
