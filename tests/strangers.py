"""For tests: what other accounts of a machine do. Only root can be another account, so these tests are root's."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

#: An account that owns nothing: "nobody" everywhere.
STRANGER = 65534

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another account")


def as_stranger(act: Callable[[], object], uid: int = STRANGER) -> bool:
    """Whether another account could do it: ``act`` runs in a child of that account and must not raise OSError."""
    pid = os.fork()
    if pid == 0:
        status = 2
        try:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
            act()
            status = 0
        except OSError:
            status = 1
        finally:
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert status in (0, 1), status
    return status == 0


def open_way(folder: Path) -> None:
    """Let other accounts come as far as ``folder`` (pytest's folders are closed)."""
    for way in (folder, *folder.parents):
        if way.stat().st_uid == os.geteuid() and not way.stat().st_mode & 0o001:
            way.chmod(way.stat().st_mode | 0o011)
