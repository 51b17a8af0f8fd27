"""The executor's one loop: file descriptors, signals, and times to wake at. One thread, so that fork is safe."""

from __future__ import annotations

import os
import selectors
import signal
import time
from collections.abc import Callable, Iterable
from typing import Any

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE

#: One wait: epoll takes at most 2**31 ms, 24.8 days, and a back-off or a snooze may be longer.
LONGEST_S = 3600.0


class Loop:
    """Calls back, never two at a time. Times are monotonic; a time is asked for anew in every round."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._running = True
        self._on_signal: dict[int, Callable[[int], None]] = {}
        self._wake_read, wake_write = os.pipe()
        for end in (self._wake_read, wake_write):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        self.watch(self._wake_read, READ, self._take_signals)

    def watch(
        self, file: int, mask: int, ready: Callable[[int], None], failed: Callable[[Exception], None] | None = None
    ) -> None:
        """Call ``ready(mask)`` when the file is ready; a second call for a file replaces the first.

        ``failed``: what to do where ``ready`` raises; the file is watched no longer then. Without it that ends `run`: it is for
        what can fail without the program's life being in doubt.
        """
        try:
            self._selector.modify(file, mask, (ready, failed))
        except KeyError:
            self._selector.register(file, mask, (ready, failed))

    def forget(self, file: int) -> None:
        """Watch no longer; call it before the file is closed. A file that is not watched is fine."""
        try:
            self._selector.unregister(file)
        except (KeyError, ValueError):
            pass

    def on_signals(self, numbers: Iterable[int], arrived: Callable[[int], None]) -> None:
        """Call ``arrived(number)`` from the loop, where anything may be done, not from a signal handler."""
        for number in numbers:
            self._on_signal[number] = arrived
            signal.signal(number, _nothing)

    def now(self) -> float:
        """The present, as `run` counts it."""
        return time.monotonic()

    def stop(self) -> None:
        """`run` returns after the present call back."""
        self._running = False

    def run(self, wake_at: Callable[[], float | None], woken: Callable[[], None], settle: Callable[[], None]) -> None:
        """Serve until `stop`. ``wake_at`` is asked before each wait; ``woken`` is called when its time has come, and
        ``settle`` in every round after all call backs."""
        while self._running:
            due = wake_at()
            wait_s = None if due is None else min(LONGEST_S, max(0.0, due - time.monotonic()))
            for key, mask in self._selector.select(wait_s):
                if self._selector.get_map().get(key.fd) is key:  # not forgotten by a call back just before
                    self._call(key, mask)
            due = wake_at()
            if due is not None and time.monotonic() >= due:
                woken()
            settle()

    def _call(self, key: selectors.SelectorKey, mask: int) -> None:
        ready, failed = key.data
        try:
            ready(mask)
        except Exception as error:
            if failed is None:
                raise
            self.forget(key.fd)
            failed(error)

    def _take_signals(self, mask: int) -> None:
        try:
            numbers = os.read(self._wake_read, 4096)
        except BlockingIOError:
            return
        for number in dict.fromkeys(numbers):
            arrived = self._on_signal.get(number)
            if arrived is not None:
                arrived(number)


def _nothing(number: int, frame: Any) -> None:
    """The wake-up file does the work; a handler must be there for it to be written to."""
