"""When the program's lines are moved from its pipes to its files: soon, and not one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daqsched_executor.run.loop import READ, Loop

if TYPE_CHECKING:
    from daqsched_executor.machine.relay import Relay

#: A line waits so long for others: a program that writes each by itself costs a hundred wakes a second, not ten thousand.
LATE_S = 0.01
#: Where so much came at once a pipe would be full before that.
MUCH = 1 << 16


class Moving:
    """Watches a relay's pipes, or looks at them when `wake_at` has come."""

    def __init__(self, loop: Loop, relay: Relay) -> None:
        self._loop, self._relay = loop, relay
        #: The pipes that are looked at then.
        self._late: set[int] = set()
        self.wake_at: float | None = None
        for pipe in relay.pipes:
            self._watch(pipe)

    def _watch(self, pipe: int) -> None:
        self._loop.watch(pipe, READ, lambda mask: self._move(pipe))

    def _move(self, pipe: int) -> None:
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
        for pipe in late:
            moved = self._relay.take(pipe)
            if moved and moved < MUCH:
                self._late.add(pipe)
            else:
                self._watch(pipe)
        if self._late:
            self.wake_at = self._loop.now() + LATE_S
