"""When the program's lines are moved from its pipes to its files: soon, and not one by one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from daqsched_executor.run.loop import READ, Loop

if TYPE_CHECKING:
    from daqsched_executor.machine.relay import Relay

#: A line waits so long for others: a program that writes each by itself costs a hundred wakes a second, not ten thousand.
LATE_S = 0.01
#: Where so much came at once a pipe would be full before that.
MUCH = 1 << 16
#: How often, while something is printed, a relay process that could not be begun is tried again.
KEEP_S = 60.0


class Moving:
    """Watches a relay's pipes, or looks at them when `wake_at` has come."""

    def __init__(self, loop: Loop, relay: Relay, keep: Callable[[], None]) -> None:
        """``keep`` is called now and then while the relay has no process, and something to lose."""
        self._loop, self._relay, self._keep = loop, relay, keep
        self._keep_at = 0.0
        #: The pipes that are looked at then.
        self._late: set[int] = set()
        self.wake_at: float | None = None
        for pipe in relay.pipes:
            self._watch(pipe)

    def _watch(self, pipe: int) -> None:
        self._loop.watch(pipe, READ, lambda mask: self._move(pipe))

    def _have_kept(self) -> None:
        if self._relay.process:
            self._keep_at = 0.0
            return
        now = self._loop.now()
        if now >= self._keep_at:
            if self._keep_at:  # it has just failed, else
                self._keep()
            self._keep_at = now + KEEP_S

    def _move(self, pipe: int) -> None:
        self._have_kept()
        if self._relay.take(pipe) < MUCH:
            self._loop.forget(pipe)
            self._late.add(pipe)
            if self.wake_at is None:
                self.wake_at = self._loop.now() + LATE_S

    def wake(self) -> None:
        """Look at the pipes whose time has come."""
        if self.wake_at is None or self._loop.now() < self.wake_at:
            return
        late, self._late, self.wake_at = self._late, set(), None
        self._have_kept()
        for pipe in late:
            moved = self._relay.take(pipe)
            if moved and moved < MUCH:
                self._late.add(pipe)
            else:
                self._watch(pipe)
        if self._late:
            self.wake_at = self._loop.now() + LATE_S
