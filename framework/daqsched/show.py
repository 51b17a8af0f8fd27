"""How things look in a terminal: values in, rich's renderables out. A colour never says what a word does not."""

from __future__ import annotations

import time
from typing import Iterable, Iterator, Mapping, Optional, Sequence

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from daqsched.hosts import fold
from daqsched.plan import Plan
from daqsched.protocol import (
    AsideAnswer,
    IncidentsAnswer,
    ProgressAnswer,
    RevisionHead,
    RolloutAnswer,
    StatusAnswer,
    WhyAnswer,
)
from daqsched.rollout import Rollout
from daqsched.view import ORDER, Row
from daqsched.why import Story
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

_MARKS = {"add": ("+", "green"), "remove": ("-", "red"), "restart": ("~", "yellow"), "silent": ("=", "dim")}
_VERBS = {
    "add": "start {n}",
    "remove": "stop {n}",
    "restart": "restart {n}",
    "silent": "note only",
}


#: A plan longer than this is cut for people: they read the counts.
MOST_CHANGES = 40


def plan_lines(plan: Plan, done: bool = False) -> RenderableType:
    """The diff: one line a job, what differs below it, the counts; of what is not ``done`` yet also what to expect."""
    if not plan.changes:
        return Text("Nothing changes.")
    table = Table.grid(padding=(0, 2))
    for change in plan.changes[:MOST_CHANGES]:
        mark, style = _MARKS[change.what]
        table.add_row(
            Text(mark, style),
            Text(change.job, style),
            Text(_VERBS[change.what].format(n=change.count)),
            Text(change.hosts, "dim", overflow="fold"),
        )
        for why in change.why:
            table.add_row("", Text(f"  {why}", "dim", overflow="fold"), "", "")
    more = len(plan.changes) - MOST_CHANGES
    rest = [Text(f"   ... and {more} more; --json has them all")] if more > 0 else []
    return Group(table, *rest, Text(counts_line(plan)), *([] if done else _expected(plan)))


def _expected(plan: Plan) -> Iterator[RenderableType]:
    """What would not start, how long it takes, and how to apply just this."""
    if plan.not_looked:
        yield Text(f"Whether all of it would start was not looked at: {plan.not_looked}", "yellow")
    groups: dict[tuple[str, str], list[str]] = {}
    for one in plan.refusals:
        groups.setdefault((one.job, one.why.replace(one.host, "its host")), []).append(one.host)
    for (job, why), hosts in groups.items():
        yield Text(f"would not start now: {job} on {fold(hosts)}: {why}", "red")
    times = []
    if plan.batches:
        times.append(f"goes in {len(plan.batches)} batches of {_some(plan.batches)} hosts")
    if plan.away_s >= 0:
        times.append(f"a program is away for about {duration(plan.away_s)}")
    if plan.takes_s >= 0 and len(plan.batches) > 1:
        times.append(f"all takes about {duration(plan.takes_s)} where nothing holds it up")
    if times:
        measured = " (by measured times)" if plan.away_s >= 0 else ""
        words = "; ".join(times)
        yield Text(f"{words[0].upper()}{words[1:]}{measured}.")
    yield Text(
        f"In force now: {plan.base}. `daqsched apply --if-unchanged {plan.base}` refuses if that changes.", "dim"
    )


def _some(numbers: Sequence[int]) -> str:
    """``1, 5, 20, 20, ...``."""
    return ", ".join(map(str, numbers[:4])) + (", ..." if len(numbers) > 4 else "")


def rollout_words(rollout: Rollout) -> str:
    """``Rollout 3 of revision 7: batch 2 of 5, ...`` as one sentence, with the next step."""
    what = f"revision {rollout.revision}" if rollout.kind == "apply" else "a restart"
    head = f"rollout {rollout.number} of {what}"
    where = f"batch {rollout.at + 1} of {rollout.batches}"
    if rollout.state == "paused":
        ways = "`daqsched rollout resume`, `abort`" + (" or `rollback`" if rollout.before else "")
        return f"{head} is paused in {where}, {rollout.why}; {ways}"
    if rollout.over:
        return f"{head} is {rollout.state}, {rollout.why}"
    if rollout.guard:
        return (
            f"{head}: batch {rollout.at + 2} of {rollout.batches} waits for {rollout.strategy.guard}: {rollout.guard}"
        )
    return f"{head}: {where}" if rollout.at >= 0 else f"{head}: begins"


def rollout_lines(answer: RolloutAnswer) -> RenderableType:
    """What `daqsched rollout` shows."""
    rollout = answer.rollout
    if rollout is None:
        return Text("There was no rollout yet: `daqsched apply` makes one where the job file or --batches says so.")
    words = rollout_words(rollout)
    began = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(rollout.began))
    by = f"by {rollout.user}{': ' + rollout.message if rollout.message else ''}"
    style = {"paused": "bold red", "done": "green", "aborted": "yellow", "rolled-back": "yellow"}.get(rollout.state, "")
    rows: list[RenderableType] = [
        Text(words[0].upper() + words[1:] + ".", style),
        Text(f"{rollout.instances} instances on {rollout.hosts} hosts; begun {began} {by}", "dim"),
    ]
    if rollout.state == "running" and rollout.ready_since:
        left = max(0.0, rollout.ready_since + rollout.strategy.ready_s - answer.now)
        rows.append(Text(f"All of the batch is ready; the next one begins in {duration(left)}."))
    for job, host, why in answer.lagging:
        rows.append(Text(f"  {job}@{host}  {why}"))
    for one in rollout.failures:
        rows.append(Text(f"  failed: {one.job}@{one.host}  {one.why}", "red"))
    return Group(*rows)


def why_lines(answer: WhyAnswer) -> RenderableType:
    """A paragraph for each story; those that differ in their hosts alone are one."""
    if not answer.stories:
        return Text(f"All {answer.chosen} are as wanted." if answer.chosen else "Nothing is wanted yet.", "green")
    groups: dict[tuple[str, str, str], list[Story]] = {}
    for one in answer.stories:
        groups.setdefault((one.job, one.state, one.why.replace(one.host, "its host")), []).append(one)
    parts: list[RenderableType] = []
    for (job, state, why), alike in groups.items():
        head = Text(f"{job}@{fold(one.host for one in alike)}  ", "bold")
        head.append(state, STYLES[state])
        head.append(f"  {alike[0].why if len(alike) == 1 else why}")
        parts.append(head)
        parts += [Text(f"    {line}", "dim" if line.startswith("  |") else "") for line in alike[0].evidence]
    return Group(*parts)


def incidents_table(answer: IncidentsAnswer) -> RenderableType:
    """The latest first."""
    if not answer.incidents:
        return Text("No program has died that nobody asked to end.", "green")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("LAST", "TIMES", "HOW", "JOBS", "HOSTS", "FIRST", "LAST LINE"):
        table.add_column(name, justify="right" if name == "TIMES" else "left", overflow="fold")
    for one in answer.incidents:
        first = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(one.first))
        if one.revision:
            first += f", {duration(max(0.0, one.first - one.applied))} after revision {one.revision}"
        last = f"{_ago(one.last, answer.now)} ago"
        hosts = fold(one.hosts) if len(one.hosts) > 1 else f"only {one.hosts[0]}"
        table.add_row(last, str(one.count), one.how, ", ".join(one.jobs), hosts, first, Text(one.line, "dim"))
    return table


def leases_lines(answer: AsideAnswer) -> RenderableType:
    """What `daqsched aside` shows."""
    if not answer.leases:
        return Text("No host is put aside.")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("HOST", "BY", "SINCE", "LEFT", "WHY"):
        table.add_column(name)
    for one in answer.leases:
        left = duration(max(0.0, one.until - answer.now))
        table.add_row(one.host, one.user, _ago(one.at, answer.now), left, one.message)
    return table


def history_table(revisions: Sequence[RevisionHead]) -> RenderableType:
    """The newest first."""
    if not revisions:
        return Text("Nothing was applied yet: `daqsched apply jobs.py` does.")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("REVISION", "APPLIED", "BY", "DIGEST", "WHY"):
        table.add_column(name, justify="right" if name == "REVISION" else "left", no_wrap=name != "WHY")
    for one in revisions:
        applied = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(one.time))
        table.add_row(str(one.number), applied, one.user, one.digest, one.message)
    return table


def counts_line(plan: Plan) -> str:
    """``3 to start, 2 to restart.``"""
    words = {"add": "to start", "remove": "to stop", "restart": "to restart", "silent": "changed without a restart"}
    parts = [f"{count} {words[what]}" for what, count in plan.instances.items()]
    return f"{', '.join(parts)}." if parts else "Nothing changes."


def last_words(row: Row) -> list[str]:
    """What a program that is not well printed before it died: the end of it, as that says most."""
    last = row.report.last_exit if row.report is not None else None
    if last is None or row.state in ("RUNNING", "UNHEALTHY", "FINISHED", "STOPPED", "ASIDE"):
        return []
    return [f"  | {line}" for line in last.lines]


#: So many hosts of a job in the same state, for the same reason, are one line.
FOLDED_FROM = 6


def status_table(answer: StatusAnswer, wide: bool = False, lines: bool = False) -> RenderableType:
    """One row an instance, sorted by job and host; what is alike on many hosts is one row unless ``wide``.

    ``lines``: below what is not well, the last lines that it printed.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("JOB", "HOST", "STATE", "SINCE", "VERSION", "RESTARTS"):
        table.add_column(name, no_wrap=name != "HOST", justify="right" if name == "RESTARTS" else "left")
    table.add_column("WHAT", ratio=1, overflow="fold")
    for rows in _alike(answer.rows, wide):
        row, many = rows[0], len(rows) > 1
        about = f"{len(rows)} hosts" if many else f"pid {row.pid}" if row.pid else ""
        what = "; ".join(filter(None, [about, _of_its_host(row) if many else row.reason]))
        table.add_row(
            row.job,
            fold(row.host for row in rows),
            Text(row.state, STYLES[row.state]),
            _ago(max(row.since for row in rows), answer.now),
            row.release,
            str(row.restarts or ""),
            Text("\n".join([what, *(last_words(row) if lines and not many else ())]), _faint(row)),
        )
    head = Text(_headline(answer))
    return Group(table, head) if answer.rows else head


def _faint(row: Row) -> str:
    return "dim" if row.state == "RUNNING" else ""


def _alike(rows: Iterable[Row], wide: bool) -> Iterator[Sequence[Row]]:
    """The rows in the order of job and host, those together that one line can tell of."""
    groups: dict[tuple[str, str, str, int, str], list[Row]] = {}
    for row in sorted(rows, key=lambda row: (row.job, row.host)):
        key = (row.job, row.state, row.release, row.restarts, _of_its_host(row))
        groups.setdefault(key, []).append(row)
    for group in groups.values():
        if not wide and len(group) >= FOLDED_FROM:
            yield group
        else:
            yield from ([row] for row in group)


def _headline(answer: StatusAnswer) -> str:
    states: dict[str, int] = {}
    for row in answer.rows:
        states[row.state] = states.get(row.state, 0) + 1
    if not answer.master and answer.connected:
        return _headline_then(answer, states)
    master = f"master {answer.master}" if answer.connected else f"NO CONNECTION to the master {answer.master}".rstrip()
    if answer.leader:
        master += f"; leader {answer.leader}"
    if answer.held:
        master = f"HELD: {answer.held}"
    if not answer.revision:
        return f"Nothing was applied yet: `daqsched apply jobs.py` does. {master}"
    applied = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(answer.applied))
    revision = f"revision {answer.revision} ({answer.digest}) by {answer.user}, {applied}"
    return f"{state_counts(states) or 'no job fits'}; {revision}; {master}"


def _headline_then(answer: StatusAnswer, states: Mapping[str, int]) -> str:
    """Of a time that is over."""
    then = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(answer.now))
    by = f"revision {answer.revision} ({answer.digest}) by {answer.user}" if answer.revision else "nothing was applied"
    doubt = f"\n{answer.doubt[0].upper()}{answer.doubt[1:]}." if answer.doubt else ""
    return f"As of {then}: {state_counts(states) or 'no job fits'}; {by}{doubt}"


def state_counts(states: Mapping[str, int]) -> str:
    """``2 BACKOFF, 7 RUNNING``, the worst first."""
    return ", ".join(f"{states[state]} {state}" for state in ORDER if states.get(state))


def _ago(since: float, now: float) -> str:
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
    head.add_row(bar, f"{done}/{total} running", Text(duration(max(0.0, answer.now - began)), "dim"), _counts(states))
    parts: list[RenderableType] = [head]
    if rollout is not None:
        parts.append(Text(rollout_words(rollout), "dim"))
    if not answer.connected:
        parts.append(Text(f"no connection to the master {answer.master}", "bold red"))
    if answer.progress.lagging:
        parts.append(lagging_table(answer.progress.lagging))
    return Group(*parts)


def lagging_table(rows: Sequence[Row]) -> RenderableType:
    """Those that are not as wanted; hosts with the same state and words are one line."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for row in rows:
        groups.setdefault((row.job, row.state, _of_its_host(row)), []).append(row.host)
    table = Table.grid(padding=(0, 2))
    for (job, state, reason), hosts in groups.items():
        table.add_row(
            Text(job), Text(fold(hosts), overflow="fold"), Text(state, STYLES[state]), Text(reason, overflow="fold")
        )
    return table


def _of_its_host(row: Row) -> str:
    """The reason, as it would be on another host."""
    return row.reason.replace(f"@{row.host}", "").replace(row.host, "its host") if row.host else row.reason


def _counts(states: Mapping[str, int]) -> Text:
    text = Text()
    for state in ORDER:
        if states.get(state):
            text.append(f"{states[state]} {state}  ", STYLES[state])
    return text


def lagging_lines(rows: Iterable[Row]) -> list[str]:
    """The same as plain lines, for a log."""
    return [f"{row.job}@{row.host or '?'} {row.state}: {row.reason}" for row in rows]
