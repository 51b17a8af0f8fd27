"""How plans, rollouts, revisions, hosts set aside, reasons and incidents look in a terminal: values in, rich's renderables out."""

from __future__ import annotations

import re
from typing import Iterator, Mapping, Optional, Sequence

from rich.console import Group, RenderableType
from rich.table import Table

from daqsched.farm_parts import called
from daqsched.hosts import fold
from daqsched.logbook import LogbookEntry
from daqsched.plural import plural
from daqsched.protocol import Applied, AsideAnswer, IncidentsAnswer, RevisionHead, RolloutAnswer, WhyAnswer
from daqsched.rollout import batches_words, limit_words
from daqsched.rollout import words as words_of
from daqsched.spec import FORWARDER
from daqsched.terminal.canvas import text
from daqsched.terminal.hosts_alike import alike, of_all
from daqsched.terminal.out import capital
from daqsched.terminal.show import STYLES, ago
from daqsched.times import clock
from daqsched.views.plan import NeededRight, Plan
from daqsched.views.rows import Change, Story
from daqsched_executor.contract import duration

_MARKS = {"add": ("+", "green"), "remove": ("-", "red"), "restart": ("~", "yellow"), "silent": ("=", "dim")}
_VERBS = {
    "add": "start {n}",
    "remove": "stop {n}",
    "restart": "restart {n}",
    "silent": "no restart",
}


#: A plan longer than this is cut for people: they read the counts.
MOST_CHANGES = 40


def plan_lines(plan: Plan, done: bool = False, asked: str = "daqsched apply FILE", counts: str = "") -> RenderableType:
    """The diff: one line a job, what differs below it, the counts, or these ``counts``; of what is not ``done`` yet also what to
    expect, and how to have just that, by the command that ``asked``."""
    refused = [text(f"An apply of it would be refused: {plan.refused}.", style="bold red")] if plan.refused else []
    rights = [] if done else [text(one, style="dim", overflow="fold") for one in _of_no_job(plan)]
    refused = [text(one.words(), style="" if one.yours else "yellow") for one in plan.control] + refused
    if not plan.changes:
        return Group(*refused, text("Nothing changes."), *rights)
    table = Table.grid(padding=(0, 2))
    for change in plan.changes[:MOST_CHANGES]:
        mark, style = _MARKS[change.what]
        table.add_row(
            text(mark, style=style),
            text(change.job, style=style),
            text(_VERBS[change.what].format(n=change.count) + (f", start {change.starts}" if change.starts else "")),
            text(change.hosts, style="dim", overflow="fold"),
        )
        needs = [] if done else [one for one in plan.needs if one.job == change.job]
        for why in (*change.why, *(_right(one) for one in needs)):
            table.add_row("", text(f"  {why}", style="dim", overflow="fold"), "", "")
    more = len(plan.changes) - MOST_CHANGES
    rest = [text(f"   ... and {more} more; --json has them all")] if more > 0 else []
    asks = plan.ends.words() if plan.ends is not None and plan.ends.asks else ""
    stay = [why for _, why in plan.stays]
    more_said = (*plan.namesakes, *plan.maintenance, plan.parts, plan.rollout, asks)
    said = [*plan.moves, *stay, *(capital(one) for one in more_said if one)]
    # what is news also where nobody asked for a plan: somebody's rollout that has just ended, a machine that may
    kept = [capital(one) for one in (*plan.maintenance, plan.rollout) if one]
    told = [text(f"{one}.", style="yellow") for one in (kept if done else said)]
    return Group(
        *refused,
        table,
        *rest,
        *rights,
        text(counts or counts_line(plan)),
        *told,
        *([] if done else _expected(plan, asked)),
    )


def _right(need: NeededRight) -> str:
    return f"needs the right {need.words}: {need.why_not or 'you have it'}"


def _of_no_job(plan: Plan) -> Iterator[str]:
    """Of rights that no line of the plan needs: to where lines go, to what a rollout asks."""
    lines = {change.job for change in plan.changes[:MOST_CHANGES]}
    return (_right(one) for one in plan.needs if one.job not in lines and (not one.job or one.why_not))


def verdict_line(applied: Applied) -> str:
    """The counts, where the engine made something else of it than the plan says; empty: it did not, or a daemon before that did
    not say."""
    planned = applied.plan.instances
    figures = {"add": applied.starts, "remove": applied.stops, "restart": applied.restarts}
    made = {what: count for what, count in figures.items() if count is not None}
    others = {what: planned.get(what, 0) for what, count in made.items() if count != planned.get(what, 0)}
    if not others:
        return ""
    silent = {"silent": planned["silent"]} if planned.get("silent") else {}
    counts = _counts({what: count for what, count in {**made, **silent}.items() if count}) or "Nothing to start or stop"
    return f"{counts}. The plan said {_counts(others)}: what did not run need not end, or the farm changed in between."


def _expected(plan: Plan, asked: str) -> Iterator[RenderableType]:
    """What would not start, how long it takes, and how to apply just this."""
    if plan.not_looked:
        yield text(f"Whether all of it would start was not looked at: {plan.not_looked}", style="yellow")
    groups: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for one in plan.refusals:
        groups.setdefault((one.job, alike(one.why, one.host)), []).append((one.host, one.why))
    for (job, _), ones in groups.items():
        hosts, (host, why) = [one for one, _ in ones], ones[0]
        yield text(f"would not start now: {job} on {fold(hosts)}: {of_all(why, host, hosts)}", style="red")
    times = []
    if plan.batches:
        times.append(f"goes in {batches_words(plan.batches)}")
    if plan.away_s >= 0:
        times.append(f"a program is down for about {duration(plan.away_s)}")
    if plan.takes_s >= 0 and len(plan.batches) > 1:
        times.append(f"all takes about {duration(plan.takes_s)} where nothing holds it up")
    if times:
        measured = " (by measured times)" if plan.away_s >= 0 else ""
        words = "; ".join(times)
        yield text(f"{capital(words)}{measured}.")
    yield text(
        f"In force now: {plan.base}. `{asked} --if-unchanged {plan.base}` refuses if that changes.",
        style="dim",
    )


def rollout_lines(answer: RolloutAnswer) -> RenderableType:
    """What `daqsched rollout` shows."""
    rollout = answer.rollout
    if rollout is None:
        return text(
            "There has been no rollout yet: `daqsched apply` makes one where the job file or --batches says so."
        )
    words = words_of(rollout)
    began = clock(rollout.began)
    by = f"by {rollout.user}{': ' + rollout.message if rollout.message else ''}"
    state = "aborted" if rollout.unreached else rollout.state
    style = {"paused": "bold red", "done": "green", "aborted": "yellow", "rolled-back": "yellow"}.get(state, "")
    rows: list[RenderableType] = [
        text(capital(words) + ".", style=style),
        text(
            f"{plural(rollout.instances, 'instance')} on {plural(rollout.hosts, 'host')}; begun {began} {by}",
            style="dim",
        ),
    ]
    if rollout.state == "running" and rollout.ready_since:
        left = max(0.0, rollout.ready_since + rollout.strategy.ready_s - answer.now)
        rows.append(text(f"All of the batch is ready; the next one begins in {duration(left)}."))
    if rollout.state == "running":
        limit = limit_words(rollout)
        rows.append(text(f"{capital(limit)}; `daqsched rollout pause` holds it up, `abort` ends it."))
    for job, host, why in answer.lagging:
        rows.append(text(f"  {job}@{host}  {why}"))
    for one in rollout.failures:
        rows.append(text(f"  failed: {one.job}@{one.host}  {one.why}", style="red"))
    return Group(*rows)


#: So many changes of state `why` tells of an instance; `daqsched story` tells all.
OF_A_STORY = 4


def why_lines(answer: WhyAnswer, most: int = 1_000_000) -> RenderableType:
    """A paragraph for each story; those that differ in their hosts alone are one, and those that differ in their jobs alone."""
    read_only = [text(f"READ-ONLY: {answer.read_only}", style="bold red")] if answer.read_only else []
    if not answer.connected:
        to = f"NO CONNECTION to the master {answer.master}".rstrip()
        read_only.append(text(f"{to}: nothing can be started or stopped; this is how it last was.", style="bold red"))
    read_only += [text(one.words()) for one in answer.control]
    parts: list[RenderableType] = [*read_only]
    if not answer.stories:
        known = "" if answer.connected else ", as far as is known"
        well = {0: "Nothing is desired yet.", 1: f"It is as desired{known}."}.get(
            answer.chosen, f"All {answer.chosen} are as desired{known}."
        )
        parts.append(text(well, style="green" if answer.connected else ""))
    parts += _paragraphs(answer.stories, most)
    if answer.lately:
        parts.append(text("These run as desired, and ended within the last ten minutes:", style="yellow"))
        parts += _paragraphs(answer.lately, most)
    return Group(*parts)


def _paragraphs(stories: Sequence[Story], most: int) -> Iterator[RenderableType]:
    changes_of = {(one.job, one.host): one.changes for one in stories}
    groups: dict[tuple[str, str, str], list[Story]] = {}
    for one in stories:
        groups.setdefault((one.job, one.state, _alike(alike(one.why, one.host))), []).append(one)
    jobs: dict[tuple[str, str, str, tuple[str, ...]], list[tuple[str, list[Story]]]] = {}
    for (job, state, why), ones in groups.items():
        where = fold(one.host for one in ones)
        told = tuple(map(_alike, ones[0].evidence))
        jobs.setdefault((state, why, where, told), []).append((job, ones))
    for (state, _, where, _), entries in list(jobs.items())[:most]:
        names, ones = [name for name, _ in entries], entries[0][1]
        why = of_all(ones[0].why, ones[0].host, [one.host for one in ones])
        evidence = ones[0].evidence
        head = text(f"{', '.join(f'{name}@{where}' if where else name for name in names)}  ", style="bold")
        head.append(state, STYLES[state])
        head.append(f"  {why}")
        yield head
        yield from (text(f"    {line}", style="dim" if line.startswith("  |") else "") for line in evidence)
        alone = changes_of.get((names[0], where)) if len(names) == 1 else None
        yield from (text(f"    {line}", style="dim") for line in _change_lines((alone or ())[-OF_A_STORY:]))
    if len(jobs) > most:
        yield text(f"... and {len(jobs) - most} more; -n {len(jobs)} tells of all")


#: What differs between deaths that are alike: for how long it ran, how often it was, when it starts again.
_MOMENTS = re.compile(
    r"; starts again in .*$|\bonce\b|\b\d+ times\b|\b\d+(?:\.\d+)? (?:ms|s|min|h|d)\b|\(\d+ restarts?.*?\)"
)


def _alike(sentence: str) -> str:
    """What is the same of deaths that are alike."""
    return _MOMENTS.sub("", sentence)


def story_lines(stories: Sequence[Story]) -> RenderableType:
    """Each instance, and below it a line for each change."""
    if not stories:
        return text("Nothing of this has been other than desired since this daemon began.", style="green")
    parts: list[RenderableType] = []
    for one in stories:
        head = text(f"{one.job}@{one.host}  " if one.host else f"{one.job}  ", style="bold")
        head.append(one.state or "GONE", STYLES.get(one.state, ""))
        if not one.changes:  # so it has been since it came, or this daemon did
            head.append(f"  {one.why}")
        parts.append(head)
        parts += [text(f"    {line}") for line in _change_lines(one.changes)]
    return Group(*parts)


def _change_lines(changes: Sequence[Change]) -> Iterator[str]:
    for one in changes:
        reason = f": {one.reason}" if one.reason else ""
        yield f"{clock(one.at)}  {one.before or 'none'} -> {one.after or 'gone'}  ({one.cause}){reason}"


def incidents_table(answer: IncidentsAnswer, select: Sequence[str] = ()) -> RenderableType:
    """The latest first; ``select``: those that were asked for."""
    if not answer.incidents:
        of = f" of {' '.join(select)}" if select else ""
        return text(f"No program{of} has died that nobody asked to end.", style="green")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("LAST", "TIMES", "HOW", "JOBS", "HOSTS", "FIRST", "LAST LINE"):
        table.add_column(name, justify="right" if name == "TIMES" else "left", overflow="fold")
    for one in answer.incidents:
        first = clock(one.first)
        if one.earlier:
            first = f"not known to this daemon{f', which began {clock(answer.daemon)}' if answer.daemon else ''}"
        elif one.revision:
            first += f", {duration(max(0.0, one.first - one.applied))} after revision {one.revision}"
        last = f"{ago(one.last, answer.now)} ago"
        hosts = fold(one.hosts) if len(one.hosts) > 1 else f"only {one.hosts[0]}"
        how, line = (one.how, one.line) if one.printed else (": ".join(filter(None, (one.how, one.line))), "")
        table.add_row(last, str(one.count), how, ", ".join(one.jobs), hosts, first, text(line, style="dim"))
    return table


def leases_lines(answer: AsideAnswer) -> RenderableType:
    """What `daqsched aside` shows."""
    if not answer.leases:
        return text("No host is set aside.")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("HOST", "BY", "AGE", "LEFT", "WHY"):
        table.add_column(name)
    for one in answer.leases:
        left = duration(max(0.0, one.until - answer.now))
        table.add_row(one.host, one.user, ago(one.at, answer.now), left, one.message)
    return table


def history_table(revisions: Sequence[RevisionHead], only: Optional[str] = None) -> RenderableType:
    """The newest first; of this part of the farm alone, unless it is None."""
    if not revisions and only is not None:
        return text(f"Nothing has been applied to {called(only)}; `daqsched history` shows what was to others.")
    if not revisions:
        return text("Nothing has been applied yet: `daqsched apply jobs.py` does.")
    table = Table(box=None, pad_edge=False, header_style="bold")
    parts = any(one.part for one in revisions)
    for name in ("REVISION", "APPLIED", "BY", *(["PART"] if parts else []), "DIGEST", "WHY"):
        table.add_column(
            name, justify="right" if name == "REVISION" else "left", no_wrap=name != "WHY", overflow="fold"
        )
    for one in revisions:
        what = "; ".join(filter(None, [_counts(one.changes), one.source]))
        went = one.rollout.words() if one.rollout is not None else ""
        why = text(*filter(None, [one.message, what, went]))
        part = [one.part] if parts else []
        for note in one.notes:
            table.add_row(
                "note", clock(note.time), note.user, *([""] if parts else []), "", text(note.message, style="cyan")
            )
        table.add_row(str(one.number), clock(one.time), one.user, *part, one.digest, why)
    return table


def notes_table(notes: Sequence[LogbookEntry]) -> RenderableType:
    """The newest first."""
    if not notes:
        return text('Nobody has written anything yet: daqsched note "beam is back" does.')
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("WHEN", "BY", "NOTE"):
        table.add_column(name, no_wrap=name != "NOTE", overflow="fold")
    for one in notes:
        table.add_row(clock(one.time), one.user, one.message)
    return table


def counts_line(plan: Plan) -> str:
    """``3 to start, 2 to restart; forwarders: 3 to start.``"""
    counts, forwarders = _counts(plan.instances), _counts(plan.forwarders)
    starts = sum(change.starts for change in plan.changes if change.job != FORWARDER)
    more = f", of which {starts} that do not run start" if starts else ""
    said = "; ".join(filter(None, [f"{counts}{more}", f"forwarders: {forwarders}" if forwarders else ""]))
    return f"{capital(said)}." if said else "Nothing changes."


def _counts(instances: Mapping[str, int]) -> str:
    words = {"add": "to start", "remove": "to stop", "restart": "to restart", "silent": "changed without a restart"}
    return ", ".join(f"{count} {words.get(what, what)}" for what, count in instances.items())
