"""What ends a wait from anywhere, a signal's handler too."""

from __future__ import annotations

import queue


class WakeUp:
    """One thread waits, others wake it; what came before it waits counts.

    Not an `Event`: its lock is one in Python, so a handler that interrupts the waiting thread while that holds it, and wants to
    set the event, waits for ever. A `SimpleQueue` is made for this.
    """

    def __init__(self) -> None:
        self._called: queue.SimpleQueue[None] = queue.SimpleQueue()

    def call(self) -> None:
        """End the wait, the next one where nobody waits; may come from a signal's handler."""
        self._called.put(None)

    def clear(self) -> None:
        """Forget what was called."""
        while not self._called.empty():
            self._called.get()

    def wait(self, timeout_s: float) -> None:
        """Until it is called, and no longer than this."""
        try:
            self._called.get(timeout=timeout_s)
        except queue.Empty:
            pass
