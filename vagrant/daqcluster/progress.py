"""Whoever waits is told what for."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import Callable, Iterator

#: Told a sentence about what takes longer than a moment.
Say = Callable[[str], None]

#: Seconds between two sentences about the same thing.
EVERY_S = 5.0


@contextmanager
def going_on(say: Say, what: str) -> Iterator[None]:
    """Say that ``what`` has begun, and every few seconds that it goes on."""
    began = time.monotonic()
    over = threading.Event()

    def remind() -> None:
        while not over.wait(EVERY_S):
            say(f"still {what} ({time.monotonic() - began:.0f} s)")

    say(what)
    reminder = threading.Thread(target=remind, daemon=True)
    reminder.start()
    try:
        yield
    finally:
        over.set()
        reminder.join()


def until(condition: Callable[[], bool], what: str, limit_s: float, say: Say, check: Callable[[], None]) -> None:
    """Wait for the condition; `TimeoutError` names it when the time is over.

    ``check`` may raise: it is asked each time, so that nobody waits for what has died. The first second is passed in
    silence.
    """
    began = time.monotonic()
    told = began - EVERY_S + 1.0
    while not condition():
        check()
        now = time.monotonic()
        if now - began > limit_s:
            raise TimeoutError(f"gave up after {limit_s:g} s of waiting for {what}")
        if now - told > EVERY_S:
            told = now
            say(f"waiting for {what}")
        time.sleep(0.02)
