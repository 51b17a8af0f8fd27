"""Whom something that was asked for does not concern, on standard error."""

from __future__ import annotations

from collections.abc import Iterable

from daqsched.hosts import fold
from daqsched.terminal.hosts_alike import alike, of_all
from daqsched.terminal.out import say


def show_rejected(rejected: Iterable[tuple[str, str, str]]) -> None:
    """Each with the reason, hosts of one job in one line; a job that has found no machine yet by its name."""
    groups: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for job, host, why in rejected:
        groups.setdefault((job, alike(why, host)), []).append((host, why))
    for (job, _), ones in groups.items():
        hosts, (host, why) = [one for one, _ in ones], ones[0]
        say(f"{job}{f'@{fold(hosts)}' if host else ''} {of_all(why, host, hosts)}", err=True)
