"""What tests wait for: a condition, with a limit; processes as the kernel knows them. Nothing is slept for."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Callable, Literal, Optional, TypeVar, Union

Answer = TypeVar("Answer")


def until(
    condition: Callable[[], Union[Answer, Literal[False], Optional[Answer]]], what: str, timeout_s: float = 30.0
) -> Answer:
    """Wait until the condition is true and return what it gave; fail with what was waited for."""
    deadline = time.monotonic() + timeout_s
    while True:
        began = time.monotonic()
        found = condition()
        if found:
            return found
        now = time.monotonic()
        assert now < deadline, f"waited {timeout_s:g} s in vain until {what}"
        # what is waited for gets three times as much of the machine as the looks at it
        time.sleep(min(0.5, max(0.01, 3.0 * (now - began))))


def alive(pid: int) -> bool:
    """Whether the process runs. A zombie does not, nor does one whose end comes while it is looked at (ESRCH)."""
    try:
        return _stat(pid)[0] not in "ZX"
    except OSError:
        return False


def parent_of(pid: int) -> int:
    """The process that started it: a program's is its executor."""
    return int(_stat(pid)[1])


def _stat(pid: int) -> list[str]:
    """proc(5): what follows the command's name in /proc/PID/stat, which may itself hold brackets: state, parent, ..."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
