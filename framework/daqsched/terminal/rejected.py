"""Whom something that was asked for does not concern, on standard error."""

from __future__ import annotations

from collections.abc import Iterable

from daqsched.hosts import fold
from daqsched.terminal.out import say


def show_rejected(rejected: Iterable[tuple[str, str, str]]) -> None:
    """Each with the reason, hosts of one job in one line."""
    hosts: dict[tuple[str, str], list[str]] = {}
    for job, host, why in rejected:
        hosts.setdefault((job, why.replace(host, "its host")), []).append(host)
    for (job, why), names in hosts.items():
        say(f"{job}@{fold(names)} {why}", err=True)
