"""Why a forwarder ended, where it ended by an error: a file that is there until a later one has run well for a while.

Its log says so, too; but the log is forwarded by the one that fails. The file is written before the process ends, and everybody
on the machine may read it, as ``status.json``.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from typing import Any

from ...contract.foreign import printable
from ..disk.replace import read_object, replace
from .report import ended

FILE = "last_end.json"

#: So much of what an error says is reported.
_MESSAGE = 120

#: What an error quotes may be somebody's line: these files hold none.
_QUOTED = re.compile(r"""(?<!\w)[brf]{0,2}(['"])(?:.*\1|.*)""", re.DOTALL)

_OURS = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def record(folder: str, thread: str, error: BaseException) -> None:
    """Write why this process is about to end; ``folder`` is the forwarder's own. Where that fails, its log alone says it."""
    end = {"pid": os.getpid(), "time": time.time(), "sentence": sentence(thread, error)}
    with contextlib.suppress(OSError):
        replace(os.path.join(folder, FILE), json.dumps(end).encode(), sync=True, mode=0o644)


def read(folder: str) -> dict[str, Any] | None:
    """``pid``, ``time`` (seconds since the epoch) and ``sentence`` of the last end; None where there is nothing to report."""
    return ended(read_object(os.path.join(folder, FILE)))


def forget(folder: str) -> None:
    """It is no longer reported."""
    with contextlib.suppress(OSError):
        os.unlink(os.path.join(folder, FILE))


def sentence(thread: str, error: BaseException) -> str:
    """``the thread sender 1 failed: KeyError: … (elastic.py, line 12)``: one short line, without what the error quotes."""
    said = printable(_QUOTED.sub("…", str(error)[:10_000]).strip())
    said = said if len(said) <= _MESSAGE else said[: _MESSAGE - 1] + "…"
    what = ": ".join(filter(None, [type(error).__name__, said]))
    return f"the thread {thread} failed: {what}{_place(error)}"


def _place(error: BaseException) -> str:
    """The last line of ours that it came through."""
    place, step = "", error.__traceback__
    while step is not None:
        file = step.tb_frame.f_code.co_filename
        if file.startswith(_OURS):
            place = f" ({os.path.basename(file)}, line {step.tb_lineno})"
        step = step.tb_next
    return place
