"""What a word that somebody begins to type may become: jobs, hosts, ``JOB@HOST``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

Key = tuple[str, str]

#: What is asked for; ``place`` is a selection or a host's name, ``aside`` a host that is set aside.
Kind = Literal["selection", "place", "host", "aside", "part", "revision"]

#: Nobody chooses from more.
MOST = 200


def begins(kind: Kind, keys: Iterable[Key], begin: str) -> list[str]:
    """What begins so, of the instances (job, host; without a machine yet: an empty host), in order; at most `MOST`."""
    if kind == "host":
        found = {host for _, host in keys if host.startswith(begin)}
    elif "@" in begin:
        job, _, start = begin.partition("@")
        found = {f"{job}@{host}" for name, host in keys if job in ("", name) and host and host.startswith(start)}
    else:
        found = set()
        for name, host in keys:
            if name.startswith(begin):
                found.add(name)
            if kind == "place" and host.startswith(begin):
                found.add(host)
    return sorted(found.difference([""]))[:MOST]
