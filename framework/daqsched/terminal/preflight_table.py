"""How a preflight looks in a terminal: hosts x versions, those that are alike in one row, and why not beside them."""

from __future__ import annotations

from typing import Iterable, NamedTuple

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table

from daqsched.hosts import fold
from daqsched.preflight import Cell, PreflightFindings, PreflightWall
from daqsched.terminal.canvas import text
from daqsched.terminal.hosts_alike import its_host
from daqsched.terminal.out import capital

#: The word of each cell, and its style.
OK, BAD, NO_ANSWER, NOT_ASKED = "ok", "NO", "?", "-"
STYLES = {OK: "green", BAD: "bold red", NO_ANSWER: "magenta", NOT_ASKED: "dim"}
#: The rows that need eyes come last, next to the line that sums up.
_ORDER = ("ok", "waiting", "silent", "bad")
#: As many jobs as get a column each where all versions are the same; as many names and reasons as a row shows.
MOST_JOBS, MOST_NAMES, MOST_REASONS = 6, 3, 5
#: The column of jobs that have no version, where they are more than get a column each.
OTHERS = "other jobs"
#: As many rows as the live view has.
LIVE_ROWS = 15


class PreflightLine(NamedTuple):
    """One row of the wall."""

    state: str
    hosts: tuple[str, ...]
    words: tuple[str, ...]
    reasons: tuple[str, ...]


def columns(answer: PreflightFindings) -> tuple[str, ...]:
    """Versions; jobs where there is but one version, or none, and not too many jobs for that."""
    cells = [cell for wall in answer.wall for cell in wall.cells]
    releases = sorted({cell.release for cell in cells})
    jobs = sorted({name for cell in cells for name in cell.jobs})
    by_job = len(releases) < 2 and len(jobs) <= MOST_JOBS
    bare = sorted({name for cell in cells if not cell.release for name in cell.jobs})
    return tuple(jobs if by_job else [*(bare if len(bare) <= MOST_JOBS else [OTHERS]), *filter(None, releases)])


def lines(answer: PreflightFindings) -> list[PreflightLine]:
    """The rows: hosts with the same words and reasons are one."""
    names = columns(answer)
    found: dict[tuple[str, tuple[str, ...], tuple[str, ...]], list[str]] = {}
    for wall in answer.wall:
        words = tuple(_word(wall, name) for name in names)
        for host in wall.hosts:
            reasons = tuple(its_host(reason, host) for reason in _reasons(wall))
            found.setdefault((wall.state, words, reasons), []).append(host)
    made = [PreflightLine(state, tuple(hosts), words, reasons) for (state, words, reasons), hosts in found.items()]
    return sorted(made, key=lambda line: (_ORDER.index(line.state), min(line.hosts)))


def _word(wall: PreflightWall, column: str) -> str:
    if not wall.cells:
        return NO_ANSWER
    cells = [cell for cell in wall.cells if column in cell.jobs or column == (cell.release or OTHERS)]
    if not cells:
        return NOT_ASKED
    return BAD if any(cell.problem for cell in cells) else OK


def _reasons(wall: PreflightWall) -> tuple[str, ...]:
    """Each problem once, after the names of the jobs that have it."""
    if wall.reason:
        return (wall.reason,)
    jobs: dict[str, list[str]] = {}
    for cell in wall.cells:
        if cell.problem:
            jobs.setdefault(cell.problem, []).extend(
                name for name in cell.jobs if name not in jobs.get(cell.problem, ())
            )
    found = [f"{_names(names)}: {problem}" for problem, names in jobs.items()]
    more = len(found) - MOST_REASONS
    return (*found[:MOST_REASONS], *([f"and {more} more; --json has them all"] if more > 0 else []))


def _names(names: Iterable[str]) -> str:
    known = list(names)
    more = len(known) - MOST_NAMES
    return ", ".join(known[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def table(answer: PreflightFindings, most: int = 0) -> RenderableType:
    """The wall; ``most``: only so many rows of it."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    made.add_column("HOSTS", overflow="fold")
    names = columns(answer)
    for name in names:
        made.add_column(name, no_wrap=True)
    made.add_column("WHY", ratio=1, overflow="fold")
    rows = lines(answer)
    for line in rows[-most:] if most else rows:
        words = [text(word, style=STYLES[word]) for word in line.words]
        made.add_row(text(fold(line.hosts)), *words, text(*line.reasons, overflow="fold"))
    return made


def live(answer: PreflightFindings, width: int = 40) -> RenderableType:
    """While answers arrive: how many there are, and some of the wall."""
    total = sum(answer.counts.values())
    head = Table.grid(padding=(0, 1))
    there = total - answer.counts.get("waiting", 0)
    head.add_row(ProgressBar(total=max(1, total), completed=there, width=width), counts(answer))
    return Group(head, table(answer, LIVE_ROWS))


def counts(answer: PreflightFindings) -> str:
    """``140 of 200 hosts have answered, 137 ok``."""
    total = sum(answer.counts.values())
    known = total - answer.counts.get("waiting", 0) - answer.counts.get("silent", 0)
    return f"{known} of {total} host{'s' * (total != 1)} answered, {answer.counts.get('ok', 0)} ok"


def fine(answer: PreflightFindings) -> bool:
    """Whether each host has answered that all could start."""
    return answer.done and not set(answer.counts) - {"ok"}


def summary(answer: PreflightFindings) -> str:
    """``3 of 200 hosts can't start release-09, 1 gave no answer; nothing was changed.``"""
    total = sum(answer.counts.values())
    bad, silent = answer.counts.get("bad", 0), answer.counts.get("silent", 0) + answer.counts.get("waiting", 0)
    hosts = f"host{'s' * (total != 1)}"
    parts = []
    if bad:
        parts.append(
            f"{bad} of {total} {hosts} can't start {_what(cell for wall in answer.wall for cell in wall.cells)}"
        )
    if silent:
        parts.append(f"{silent}{'' if bad else f' of {total} {hosts}'} gave no answer")
    if not parts:
        who = f"all {total} hosts" if total > 1 else "the host"
        parts.append(f"{who} can start all that was asked for" if total else "there was no host to ask")
    for why in sorted(set(answer.not_asked.values())):
        jobs = [name for name, reason in answer.not_asked.items() if reason == why]
        parts.append(f"{_names(jobs)} not looked at ({why})")
    text = ", ".join(parts)
    return f"{capital(text)}; nothing was changed."


def _what(cells: Iterable[Cell]) -> str:
    """The versions that have a problem; the jobs where they have no version."""
    bad = [cell for cell in cells if cell.problem]
    names = {cell.release or f"{_names(cell.jobs)}" for cell in bad}
    return _names(sorted(names))
