"""The executor's one loop: file descriptors, signals, and times to wake at. One thread, so that fork is safe."""

from __future__ import annotations

import math
import os
import select
import signal
import time
from collections.abc import Callable, Iterable
from typing import Any

READ, WRITE = 1, 2

#: One wait: epoll takes at most 2**31 ms, 24.8 days, and a back-off or a snooze may be longer.
LONGEST_S = 3600.0


class Loop:
    """Calls back, never two at a time. Times are monotonic; a time is asked for anew in every round."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        #: What is watched: what to call, and what to call where that raises.
        self._watched: dict[int, tuple[Callable[[int], None], Callable[[Exception], None] | None]] = {}
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
        """Call ``ready(mask)`` when the file is ready; a second call for a file replaces the first. A mask of 0: when its other end
        is closed.

        ``failed``: what to do where ``ready`` raises; the file is watched no longer then. Without it that ends `run`: it is for
        what can fail without the program's life being in doubt.
        """
        events = (select.EPOLLIN if mask & READ else 0) | (select.EPOLLOUT if mask & WRITE else 0)
        if file in self._watched:
            self._epoll.modify(file, events)
        else:
            self._epoll.register(file, events)
        self._watched[file] = ready, failed

    def forget(self, file: int) -> None:
        """Watch no longer; call it before the file is closed. A file that is not watched is fine."""
        if self._watched.pop(file, None) is not None:
            try:
                self._epoll.unregister(file)
            except OSError:  # it was closed, and is gone from there
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
            # in whole milliseconds, and never before its time
            timeout = -1 if wait_s is None else math.ceil(wait_s * 1e3) * 1e-3
            found = self._epoll.poll(timeout, max(1, len(self._watched)))
            for file, events, watched in [(file, events, self._watched.get(file)) for file, events in found]:
                if (
                    watched is not None and self._watched.get(file) is watched
                ):  # not forgotten by a call back just before
                    self._call(file, events, *watched)
            due = wake_at()
            if due is not None and time.monotonic() >= due:
                woken()
            settle()

    def _call(
        self, file: int, events: int, ready: Callable[[int], None], failed: Callable[[Exception], None] | None
    ) -> None:
        try:
            # a broken connection is for whoever waits for anything of it
            ready((READ if events & ~select.EPOLLOUT else 0) | (WRITE if events & ~select.EPOLLIN else 0))
        except Exception as error:
            if failed is None:
                raise
            self.forget(file)
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
