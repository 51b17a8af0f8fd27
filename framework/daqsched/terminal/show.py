"""How things look in a terminal: values in, rich's renderables out. A colour never says what a word does not."""

from __future__ import annotations

from typing import Any, Iterable, Iterator, Mapping, Optional, Sequence, Union

from rich.cells import cell_len
from rich.console import ConsoleOptions, Group, RenderableType
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table

from daqsched import times
from daqsched.hosts import fold
from daqsched.protocol import (
    ProgressAnswer,
    StatusAnswer,
)
from daqsched.rollout import Rollout, words
from daqsched.states import ORDER
from daqsched.terminal.canvas import Words, text
from daqsched.terminal.hosts_alike import alike, of_all
from daqsched.terminal.out import capital
from daqsched.views.rows import Row, last_lines
from daqsched_executor.contract import duration

STYLES = {
    "RUNNING": "green",
    "FINISHED": "green",
    "STARTING": "cyan",
    "STOPPING": "cyan",
    "WAITING": "yellow",
    "STOPPED": "dim",
    "ASIDE": "dim",
    "UNHEALTHY": "red",
    "BACKOFF": "red",
    "FAILED": "bold red",
    "UNREACHABLE": "magenta",
    "UNKNOWN": "magenta",
}


def last_words(row: Row) -> list[str]:
    """What a program that is not well printed before it died: the end of it, as that says most; else why it did not run."""
    last = row.report.last_exit if row.report is not None else None
    if last is None or row.state in ("RUNNING", "UNHEALTHY", "FINISHED", "STOPPED", "ASIDE"):
        return []
    return last_lines(last)


#: So many hosts of a job in the same state, for the same reason, are one line.
FOLDED_FROM = 6


def status_table(
    answer: StatusAnswer, wide: bool = False, lines: bool = False, states: Sequence[str] = ()
) -> RenderableType:
    """One row an instance, sorted by job and host; what is alike on many hosts is one row unless ``wide``.

    ``lines``: below what is not well, the last lines that it printed. ``states``: those that were asked for.
    """
    shown = [_Shown(rows, answer.now, lines) for rows in _alike(answer.rows, wide)]
    head = text(*_headlines(answer, f"none is {' or '.join(states)}" if states else "no job matches"))
    return Group(_Table(shown), head) if answer.rows else head


class _Shown:
    """What a line tells of one instance, or of some that are alike."""

    def __init__(self, rows: Sequence[Row], now: float, lines: bool) -> None:
        row, many = rows[0], len(rows) > 1
        about = f"{len(rows)} hosts" if many else f"pid {row.pid}" if row.pid else ""
        what = "; ".join(filter(None, [about, of_all(row.reason, row.host, [one.host for one in rows])]))
        self.what = text(what, *(last_words(row) if lines and not many else ()), style=_faint(row))
        self.host = fold(row.host for row in rows)
        self.state = text(row.state, style=STYLES[row.state])
        self.age = ago(max(row.since for row in rows), now)
        self.job, self.release, self.restarts = row.job, row.release, str(row.restarts or "")
        self.part = row.part

    @property
    def columns(self) -> tuple[Union[str, Words], ...]:
        """Those that are never cut, beside the host."""
        return self.job, self.state, self.age, self.release, self.restarts, self.part


#: A column of hosts is no narrower than the longest, or than this; what there is to say, than this.
HOST_WIDTH, WHAT_WIDTH = 24, 12


#: What is never cut.
COLUMNS = ("JOB", "STATE", "AGE", "VERSION", "RESTARTS", "PART")


class _Table:
    """A table where there is room for it; else a line or two for each, in which nothing is cut."""

    def __init__(self, shown: Sequence[_Shown]) -> None:
        self._shown = shown
        #: That of the part is for a farm that has some.
        self._columns = COLUMNS if any(one.part for one in shown) else COLUMNS[:-1]

    def __rich_console__(self, console: Any, options: ConsoleOptions) -> Iterator[RenderableType]:
        names = self._columns
        widths = [
            max(len(name), *(cell_len(str(part)) for part in parts))
            for name, parts in zip(names, zip(*(one.columns for one in self._shown)))
        ]
        host = max(4, min(HOST_WIDTH, max(cell_len(one.host) for one in self._shown)))
        if sum(widths) + host + WHAT_WIDTH + 2 * len(names) + 2 <= options.max_width:
            yield self._table(host)
            return
        for one in self._shown:
            restarts = f"{one.restarts} restart{'' if one.restarts == '1' else 's'}" if one.restarts else ""
            words = text(f"{one.job}@{one.host} " if one.host else f"{one.job} ", overflow="fold").append(one.state)
            whose = f"part {one.part}" if one.part else ""
            yield words.append("".join(f", {part}" for part in (one.age, one.release, restarts, whose) if part))
            if one.what:
                yield Padding(one.what, (0, 0, 0, 4))

    def _table(self, host: int) -> Table:
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column("JOB", no_wrap=True)
        table.add_column("HOST", min_width=host, overflow="fold")
        for name in self._columns[1:]:
            table.add_column(name, no_wrap=True, justify="right" if name == "RESTARTS" else "left")
        table.add_column("WHAT", ratio=1, min_width=WHAT_WIDTH, overflow="fold")
        for one in self._shown:
            job, *others = one.columns[: len(self._columns)]
            table.add_row(job, one.host, *others, one.what)
        return table


def _faint(row: Row) -> str:
    return "dim" if row.state == "RUNNING" else ""


def _alike(rows: Iterable[Row], wide: bool) -> Iterator[Sequence[Row]]:
    """The rows in the order of job and host, those together that one line can tell of."""
    groups: dict[tuple[str, str, str, int, str, str], list[Row]] = {}
    for row in sorted(rows, key=lambda row: (row.job, row.host)):
        key = (row.job, row.state, row.release, row.restarts, row.part, alike(row.reason, row.host))
        groups.setdefault(key, []).append(row)
    for group in groups.values():
        if not wide and len(group) >= FOLDED_FROM:
            yield group
        else:
            yield from ([row] for row in group)


def _headlines(answer: StatusAnswer, none: str) -> list[str]:
    states: dict[str, int] = {}
    for row in answer.rows:
        states[row.state] = states.get(row.state, 0) + 1
    if not answer.master and answer.connected:
        return _headlines_then(answer, states, none)
    master = f"master {answer.master}" if answer.connected else f"NO CONNECTION to the master {answer.master}".rstrip()
    if answer.leader:
        master += f"; leader {answer.leader}"
    if answer.read_only:
        master = f"READ-ONLY: {answer.read_only}"
    audit = [one.words() for one in answer.control]
    rollout = answer.rollout and f"{capital(answer.rollout)}."
    absent = answer.absent and f"{answer.absent}."  # it begins with a name
    copied = answer.audit_copy.trouble if answer.audit_copy is not None else ""
    audit += [one for one in (rollout, absent, answer.audit, copied) if one]
    audit += [f"Of {one.daemon}, which does not lead: {one.trouble}" for one in answer.standby_copies if one.trouble]
    if not answer.revision:
        return [f"Nothing has been applied yet: `daqsched apply jobs.py` does. {master}", *audit]
    applied = times.clock(answer.applied)
    revision = f"revision {answer.revision} ({answer.digest}) by {answer.user}, {applied}"
    return [f"{state_counts(states) or none}; {revision}; {master}", *audit]


def _headlines_then(answer: StatusAnswer, states: Mapping[str, int], none: str) -> list[str]:
    """Of a time that is over."""
    then = times.clock(answer.now)
    by = f"revision {answer.revision} ({answer.digest}) by {answer.user}" if answer.revision else "nothing was applied"
    doubt = [f"{capital(answer.doubt)}."] if answer.doubt else []
    return [f"As of {then}: {state_counts(states) or none}; {by}", *doubt]


def state_counts(states: Mapping[str, int]) -> str:
    """``2 BACKOFF, 7 RUNNING``, the worst first."""
    return ", ".join(f"{states[state]} {state}" for state in ORDER if states.get(state))


def ago(since: float, now: float) -> str:
    return duration(max(0.0, now - since)) if since else ""


def progress_view(
    answer: ProgressAnswer, began: float, width: int = 40, rollout: Optional[Rollout] = None
) -> RenderableType:
    """The live view of an apply: how many run, and why the others do not."""
    states = answer.progress.states
    total = sum(states.values())
    done = total if answer.progress.complete else states.get("RUNNING", 0) + states.get("FINISHED", 0)
    head = Table.grid(padding=(0, 1))
    bar = ProgressBar(total=max(1, total), completed=done, width=width)
    head.add_row(
        bar, f"{done}/{total} running", text(duration(max(0.0, answer.now - began)), style="dim"), _counts(states)
    )
    parts: list[RenderableType] = [head]
    if rollout is not None:
        parts.append(text(words(rollout), style="dim"))
    if not answer.connected:
        parts.append(text(f"no connection to the master {answer.master}", style="bold red"))
    if answer.progress.lagging:
        parts.append(lagging_table(answer.progress.lagging))
    return Group(*parts)


def lagging_table(rows: Sequence[Row]) -> RenderableType:
    """Those that are not as desired; hosts with the same state and words are one line."""
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.job, row.state, alike(row.reason, row.host)), []).append(row)
    table = Table.grid(padding=(0, 2))
    for (job, state, _), ones in groups.items():
        hosts = [one.host for one in ones]
        reason = of_all(ones[0].reason, ones[0].host, hosts)
        table.add_row(
            job,
            text(fold(hosts), overflow="fold"),
            text(state, style=STYLES[state]),
            text(reason, overflow="fold"),
        )
    return table


def _counts(states: Mapping[str, int]) -> Words:
    found = text()
    for state in ORDER:
        if states.get(state):
            found.append(f"{states[state]} {state}  ", STYLES[state])
    return found


def lagging_lines(rows: Iterable[Row]) -> list[str]:
    """The same as plain lines, for a log."""
    return [f"{row.job}@{row.host or '?'} {row.state}: {row.reason}" for row in rows]
