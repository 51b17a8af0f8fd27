"""For tests: what other accounts of a machine do. Only root can be another account, so these tests are root's."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
    try:
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    except BaseException:  # pytest's limit of time
        os.kill(pid, signal.SIGKILL)
        raise
    assert status in (0, 1), status
    return status == 0


def open_way(folder: Path) -> None:
    """Let other accounts come as far as ``folder`` (pytest's folders are closed)."""
    for way in (folder, *folder.parents):
        if way.stat().st_uid == os.geteuid() and not way.stat().st_mode & 0o001:
            way.chmod(way.stat().st_mode | 0o011)


@contextmanager
def says_of_itself(environment: bytes, size: int, uid: int = STRANGER) -> Iterator[int]:
    """The pid of another account's process whose environment is that, with so many noughts behind it: by
    prctl(2), PR_SET_MM_MAP, for which nobody needs a right, over memory that is never used and so costs nothing."""
    ready, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
            os.write(tell, b"+" if _set_environment(environment, size) else b"-")
            signal.pause()
        finally:
            os._exit(1)
    try:
        assert os.read(ready, 1) == b"+", "this kernel does not let a process say where its environment is"
        yield pid
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(ready)
        os.close(tell)


def _set_environment(environment: bytes, size: int) -> bool:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    private_anonymous_noreserve, read_write = 0x4022, 3
    begin = libc.mmap(None, size, read_write, private_anonymous_noreserve, -1, 0)
    ctypes.memmove(begin, environment, len(environment))
    with open("/proc/self/stat") as file:  # see proc_pid_stat(5); from the third field on
        words = [0, 0, 0, *file.read().rpartition(")")[2].split()]
    code, data, brk, stack, arguments = words[26:28], words[45:47], words[47], words[28], words[48:50]
    # struct prctl_mm_map of <linux/prctl.h>: addresses, no auxiliary vector, no other program's file
    numbers = [int(one) for one in (*code, *data, brk, brk, stack, *arguments, begin, begin + size, 0)]
    told = (ctypes.c_uint64 * 13)(*numbers, 0xFFFFFFFF << 32)
    set_mm, mm_map = 35, 14
    status: int = libc.prctl(set_mm, mm_map, ctypes.byref(told), ctypes.c_ulong(ctypes.sizeof(told)), 0)
    return status == 0
