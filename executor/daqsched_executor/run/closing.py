"""Closes files that come from a program without waiting for it.

close(2) may take as long as whoever made the file likes: a socket that lingers (SO_LINGER), a file of a dead server. So
it is done in threads, which are there only while there is something to close, and not many: who sends what does not close is not
listened to until it does.
"""

from __future__ import annotations

import _thread
import os
from collections import deque
from collections.abc import Callable, Sequence

from daqsched_executor.run.loop import READ, Loop

#: So many threads at most.
THREADS = 8
#: Beyond so many files that are being closed, `Closing.busy`.
FILES = 128


class Closing:
    """`close` returns at once; `freed` is called from the loop when `busy` may be over."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self.freed: Callable[[], None] = lambda: None
        self._waiting: deque[tuple[int, ...]] = deque()
        #: Files that were given to each thread that has not ended.
        self._under_way: list[int] = []
        self._ended, self._end = -1, -1

    @property
    def busy(self) -> bool:
        """Whether no more files should be taken in for now."""
        return bool(self._waiting) or sum(self._under_way) > FILES

    def close(self, files: Sequence[int]) -> None:
        """They are no longer the caller's."""
        if files:
            self._waiting.append(tuple(files))
            self._begin()

    def _begin(self) -> None:
        if self._ended < 0:
            self._ended, self._end = os.pipe()
            os.set_blocking(self._ended, False)
            self._loop.watch(self._ended, READ, self._thread_ended)
        while self._waiting and len(self._under_way) < THREADS:
            try:
                _thread.start_new_thread(self._close, (self._waiting[0],))
            except RuntimeError:  # no thread is to be had: with the next file there may be
                return
            self._under_way.append(len(self._waiting.popleft()))

    def _close(self, files: tuple[int, ...]) -> None:
        """In a thread of its own."""
        for file in files:
            try:
                os.close(file)
            except OSError:  # closed all the same: close(2)
                continue
        os.write(self._end, bytes([len(files)]))

    def _thread_ended(self, mask: int) -> None:
        for count in os.read(self._ended, 256):
            self._under_way.remove(count)
        self._begin()
        self.freed()
