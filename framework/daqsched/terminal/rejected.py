"""Whom something that was asked for does not concern, on standard error."""

from __future__ import annotations

from collections.abc import Iterable

from daqsched.hosts import fold
from daqsched.terminal.out import say


def show_rejected(rejected: Iterable[tuple[str, str, str]]) -> None:
    """Each with the reason, hosts of one job in one line."""
    groups: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for job, host, why in rejected:
        groups.setdefault((job, _of_any(why, host)), []).append((host, why))
    for (job, why), ones in groups.items():
        say(f"{job}@{fold(host for host, _ in ones)} {why if len(ones) > 1 else ones[0][1]}", err=True)


def _of_any(why: str, host: str) -> str:
    """The reason where it is that of several hosts; a command in it is one that can be typed."""
    if not host:
        return why
    parts = why.split("`")
    return "`".join(part.replace(host, "HOST" if at % 2 else "its host") for at, part in enumerate(parts))
