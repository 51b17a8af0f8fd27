"""Into which batches a change is divided, and in which order hosts come.

Pure: the engine divides what it does (`rollout.Strategy` says how), and the views what they tell before.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Union

from daqsched.limits import whole
from daqsched.rollout import Key


def sizes(hosts: int, batches: Sequence[Union[int, str]]) -> list[int]:
    """How many hosts each batch has.

    >>> sizes(30, (1, 5, "50%")), sizes(2, (5,)), sizes(7, (2,)), sizes(3, ())
    ([1, 5, 15, 9], [2], [2, 2, 2, 1], [3])
    """
    if not batches:
        return [hosts] if hosts else []
    found: list[int] = []
    left, at = hosts, 0
    while left:
        part = batches[min(at, len(batches) - 1)]
        size = part if isinstance(part, int) else -int(-hosts * float(part[:-1]) // 100)
        found.append(min(left, max(1, size)))
        left -= found[-1]
        at += 1
    return found


def divide(keys: Iterable[Key], batches: Sequence[Union[int, str]], depth: dict[str, int]) -> list[list[Key]]:
    """The instances in batches, host by host: those first whose jobs others come after (``depth``: how many jobs deep a job
    is), then by name."""
    hosts: dict[str, list[Key]] = {}
    for key in keys:
        hosts.setdefault(key[1], []).append(key)
    order = sorted(hosts, key=lambda host: (min(depth.get(job, 0) for job, _ in hosts[host]), _natural(host)))
    found, at = [], 0
    for size in sizes(len(order), batches):
        found.append([key for host in order[at : at + size] for key in hosts[host]])
        at += size
    return found


def depths(after: dict[str, tuple[str, ...]]) -> dict[str, int]:
    """job -> the longest way down to a job that comes after none; there are no cycles.

    >>> depths({"a": (), "b": ("a",), "c": ("b", "a")})
    {'a': 0, 'b': 1, 'c': 2}
    """
    found: dict[str, int] = {}
    for start in after:
        path = [start]
        while path:
            name = path[-1]
            missing = [
                other for other in after.get(name, ()) if other in after and other not in found and other not in path
            ]
            if missing:
                path.append(missing[0])
            else:
                found[name] = 1 + max(
                    (found.get(other, 0) for other in after.get(name, ()) if other in after), default=-1
                )
                path.pop()
    return found


def _natural(host: str) -> tuple[object, ...]:
    return tuple((-1, part) if whole(part) is None else (whole(part), "") for part in re.split(r"([0-9]+)", host))
