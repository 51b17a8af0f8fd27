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
    say(what)
    with reminded(lambda passed: say(f"still {what} ({passed:.0f} s)"), EVERY_S):
        yield


@contextmanager
def reminded(remind: Callable[[float], None], every_s: float) -> Iterator[None]:
    """Call ``remind`` with the seconds that passed, from a thread, whenever that long has gone by, and not afterwards."""
    began = time.monotonic()
    over = threading.Event()

    def work() -> None:
        while not over.wait(every_s):
            remind(time.monotonic() - began)

    reminder = threading.Thread(target=work, daemon=True)
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
