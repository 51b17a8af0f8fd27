"""How often a command that waits looks at the farm: its looks cost a small share of the daemon's time, however many start."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from daqsched.cli import waiting
from daqsched.views.rows import Progress

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
