"""Processes that a test began and did not end: our own children, and what works in the test's folder or names it."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from waiting import alive, parent_of

#: What ends by itself has so long; a relay process waits two seconds for whoever holds its pipes open.
LIMIT_S = 30.0


def pids() -> frozenset[int]:
    """All that there are."""
    return frozenset(int(name) for name in os.listdir("/proc") if name.isdigit())


def left_running(folder: Path, before: Collection[int], limit_s: float = LIMIT_S) -> list[str]:
    """Those that began after ``before``, are ours or belong to the folder, and do not end in time, each with its command. They are
    killed."""
    ours = re.compile(re.escape(os.fsencode(folder)) + rb"(?![\w.-])")
    end = time.monotonic() + limit_s
    while True:
        found = {pid: _command(pid) for pid in pids().difference(before) if _runs(pid) and _belongs(pid, ours)}
        if not found or time.monotonic() > end:
            break
        time.sleep(0.05)
    for pid in found:
        with suppress(OSError):  # it has just ended
            os.kill(pid, signal.SIGKILL)
            if parent_of(pid) == os.getpid():
                os.waitpid(pid, 0)
    return [f"pid {pid}: {command}" for pid, command in sorted(found.items())]


def _threads(pid: int) -> list[str]:
    with suppress(OSError):
        return os.listdir(f"/proc/{pid}/task")
    return []


def _runs(pid: int) -> bool:
    """Also where its first thread has ended, and it looks like a zombie."""
    return alive(pid) or len(_threads(pid)) > 1


def _belongs(pid: int, ours: re.Pattern[bytes]) -> bool:
    """Whether it is a child of ours, works in the folder, or has its name in its command or environment."""
    if pid == os.getpid():
        return False
    with suppress(OSError):
        if parent_of(pid) == os.getpid():
            return True
    for place in (f"/proc/{pid}/task/{thread}" for thread in _threads(pid)):
        with suppress(OSError):
            if ours.search(os.fsencode(os.readlink(f"{place}/cwd"))):
                return True
        for name in ("cmdline", "environ"):
            with suppress(OSError):
                if ours.search(Path(f"{place}/{name}").read_bytes()):
                    return True
    return False


def _command(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
    return "it ends"
