"""Who is whose child: by the kernel's own lists, so that a look at one family costs what that family has.

A machine may have thousands of processes, and a hundred executors that each end one tree at the same time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

#: How often a list is read that is another one each time.
_READINGS = 5


def children(pid: int) -> list[int] | None:
    """The children of a process, those of all its threads; None where it is gone, or where the kernel was built without
    such lists (CONFIG_PROC_CHILDREN)."""
    found = None
    for _ in range(_READINGS):
        last, found = found, _read(pid)
        # the neighbour of one that is reaped while the list is read may be missing (proc(5)): then the next list is another one
        if found is None or found == last:
            break
    return found


def _read(pid: int) -> list[int] | None:
    found: list[int] = []
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return None
    for thread in threads:
        try:
            with open(f"/proc/{pid}/task/{thread}/children", "rb", buffering=0) as file:
                found += map(int, file.readall().split())
        except OSError:  # a thread of many has ended
            if len(threads) == 1:
                return None
    return found


def children_of_all(parent: Callable[[int], int]) -> Callable[[int], Sequence[int]]:
    """The same by one look at each process of the machine."""
    found: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            found.setdefault(parent(int(name)), []).append(int(name))
    return lambda pid: found.get(pid, ())
