"""The daemon's own log, on stderr: one line an event, whatever users, agents and programs wrote.

An entry begins with its time; nothing that others sent can begin a line. The trace of a bug follows its entry, indented.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections import deque
from typing import Any, Optional

from daqsched.times import log_clock
from daqsched_executor.contract.foreign import printable, trace


class Plain(logging.Formatter):
    """``2026-11-27 14:02:11,041 UTC INFO sentence``, escaped."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")

    def formatTime(self, record: logging.LogRecord, datefmt: Optional[str] = None) -> str:  # noqa: N802 (the name is logging's)
        return log_clock(record.created)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (the name is logging's)
        return printable(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802 (the same)
        return "\n".join(f"    {line}" for line in trace(ei[1]))

    def formatStack(self, stack_info: str) -> str:  # noqa: N802 (the same)
        return "\n".join(f"    {printable(line)}" for line in stack_info.split("\n"))


def _thread_ended(what: threading.ExceptHookArgs) -> None:
    name = what.thread.name if what.thread is not None else "?"
    error = what.exc_value if what.exc_value is not None else what.exc_type()
    logging.getLogger("daqsched").error("the thread %s has ended", name, exc_info=error)


class Recent(logging.Handler):
    """Keeps the last lines, for `daqsched debug`."""

    def __init__(self, most: int = 4000, longest: int = 2000) -> None:
        super().__init__()
        self._lines: deque[str] = deque(maxlen=most)
        self._longest = longest
        self.setFormatter(Plain())

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.extend(line[: self._longest] for line in self.format(record).split("\n"))

    def lines(self) -> list[str]:
        """The oldest first."""
        self.acquire()
        try:
            return list(self._lines)
        finally:
            self.release()


#: Those of this process, from `begin` on.
RECENT = Recent()


def begin() -> None:
    """What is logged from now on goes to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Plain())
    root = logging.getLogger()
    root.addHandler(handler)
    root.addHandler(RECENT)
    root.setLevel(logging.INFO)
    threading.excepthook = _thread_ended
    # uvicorn tells of its own birth; pymesos of every attempt to connect, which the engine sums up, and prints a traceback
    # of what it then raises in the main thread, where `serve` makes a sentence of it
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    # each question to an agent
    logging.getLogger("httpx").setLevel(logging.WARNING)
    logging.getLogger("pymesos").setLevel(logging.CRITICAL)
