"""The crew's verbs: make the farm what a file says, see what it does, stop and start parts of it."""

from __future__ import annotations

import shlex
import sys
import time
from pathlib import Path
from typing import Any, Optional, Sequence

import click

from daqsched.cli.completion import names, states_offered
from daqsched.cli.confirming import confirmed, stops_options
from daqsched.cli.jobfiles import evaluated
from daqsched.cli.options import (
    at_least,
    history_message_option,
    json_option,
    look_option,
    message_option,
    only_option,
    part_option,
    part_options,
    set_option,
    strategy_of,
    strategy_options,
)
from daqsched.cli.root import connect, main
from daqsched.cli.waiting import SETTLE_S, follow, wait_options
from daqsched.errors import NotRunning, UserError
from daqsched.farm_parts import NO_PART, called
from daqsched.limits import some
from daqsched.plural import plural
from daqsched.settings import Where
from daqsched.terminal.out import canvas, print_json, say
from daqsched.terminal.unmatched import say_unmatched

#: How long `hold` waits for the executors.
CONFIRM_S = 15.0
#: The exit status of `plan` and `diff` where there is a difference.
DIFFERENT = 6


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@wait_options
@click.option(
    "--settle",
    default=SETTLE_S,
    callback=at_least(0),
    show_default=True,
    help="Seconds that all must have been running.",
)
@history_message_option
@set_option
@only_option
@part_options
@strategy_options()
@click.option(
    "--if-unchanged", default="", metavar="DIGEST", help="Refuse if another spec is in force than `plan` saw."
)
@click.option("--allow-empty", is_flag=True, help="Allow a file without jobs (stops everything).")
@click.option("--preflight", is_flag=True, help="Only if all hosts say that they can start all of it.")
@click.option(
    "--except",
    "without",
    multiple=True,
    metavar="HOST",
    shell_complete=names("selection"),
    help="With --preflight: do not ask this host, or JOB@HOST.",
)
@look_option
@stops_options
@json_option
@click.pass_obj
def apply(
    path: Where,
    file: Path,
    wait: bool,
    timeout: float,
    settle: float,
    message: str,
    settings: Sequence[str],
    only: Sequence[str],
    part: Optional[str],
    take: Sequence[str],
    batches: Optional[str],
    ready: Optional[float],
    pause_after: Sequence[int],
    if_unchanged: str,
    allow_empty: bool,
    preflight: bool,
    without: Sequence[str],
    no_look: bool,
    yes: bool,
    stops: Optional[int],
    as_json: bool,
) -> None:
    """Make the farm what FILE says, and wait until it is."""
    spec, choices = evaluated(file, settings, part)
    if only:
        choices = None  # what shifters may stays as it is
    if without and not preflight:
        raise UserError("--except says whom a --preflight does not ask")
    client = connect(path)
    if preflight and (spec.jobs or without):
        _ask_first(client, spec, only, as_json, without)
    strategy = strategy_of(spec.rollout, batches, ready, pause_after)
    applied = confirmed(
        lambda stops: client.apply(
            spec, message, allow_empty, only, strategy, if_unchanged, stops, take, no_look, choices
        ),
        yes,
        stops,
    )
    follow(client, applied, only, spec.part or NO_PART, wait and bool(spec.jobs), timeout, settle, as_json)


def _ask_first(client: Any, spec: Any, only: Sequence[str], quiet: bool, without: Sequence[str]) -> None:
    """Raise `NotRunning` where a preflight finds that something would not start."""
    from daqsched.cli.preflight import PATIENCE_S, ask, show
    from daqsched.terminal import preflight_table

    answer = ask(client, spec, only, PATIENCE_S, quiet, without)
    if not preflight_table.fine(answer):
        if not quiet:
            show(answer)
        raise NotRunning("not applied, because not all hosts could start all of it")


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@set_option
@only_option
@part_options
@strategy_options()
@json_option
@click.pass_obj
def plan(
    path: Where,
    file: Path,
    settings: Sequence[str],
    only: Sequence[str],
    part: Optional[str],
    take: Sequence[str],
    batches: Optional[str],
    ready: Optional[float],
    pause_after: Sequence[int],
    as_json: bool,
) -> None:
    """Show what `apply` of FILE would change, what would not start, and how long it takes; change nothing.

    Ends with status 6 where something would change, 0 where nothing would.
    """
    from daqsched.terminal import show_changes

    spec, choices = evaluated(file, settings, part)
    strategy = strategy_of(spec.rollout, batches, ready, pause_after)
    client = connect(path)
    found = client.plan(spec, only, strategy, take, choices if not only else None)
    if as_json:
        print_json(found)
    else:
        canvas().print(show_changes.plan_lines(found))
    if found.changes:
        sys.exit(DIFFERENT)


@main.command()
@click.argument("select", nargs=-1, shell_complete=names("place"))
@click.option(
    "--state",
    "states",
    default="",
    metavar="STATE,...",
    shell_complete=states_offered,
    help="Only what is in one of these: FAILED,BACKOFF.",
)
@click.option("--wide", is_flag=True, help="One line an instance, also where many hosts are alike.")
@part_option("Only this part of the farm; - is the one without a name.")
@click.option("--at", "then", default="", metavar="TIME", help="How it was then: 10m (ago), 14:05, 2026-11-23 14:05.")
@json_option
@click.pass_obj
def status(
    path: Where, select: Sequence[str], states: str, wide: bool, part: Optional[str], then: str, as_json: bool
) -> None:
    """Show what runs, and why what does not run does not. SELECT: JOB, HOST, JOB@HOST, with * ? and [01-10]."""
    from daqsched.terminal import show
    from daqsched.times import moment

    wanted = [word.strip().upper() for word in states.split(",") if word.strip()]
    answer = connect(path).status(select, moment(then, time.time()) if then else 0.0, part, wanted)
    if part is not None and not answer.rows and not wanted:
        raise UserError(
            f"{called(part)} has no {'such job' if select else 'job'}: `daqsched history` shows which parts had some, and when"
        )
    if select and not answer.rows and (not wanted or len(answer.unmatched) == len(set(select))):
        raise UserError(f"no job matches {some(select, ' ')}: `daqsched status` lists them{answer.hint}")
    say_unmatched(answer)
    if as_json:
        print_json(answer)
    else:
        canvas().print(show.status_table(answer, wide, lines=bool(select), states=wanted))


@main.command()
@click.argument("select", nargs=-1, required=True, shell_complete=names("selection"))
@message_option
@stops_options
@click.pass_obj
def stop(path: Where, select: Sequence[str], message: str, yes: bool, stops: Optional[int]) -> None:
    """Stop jobs by hand; they stay stopped, also over an apply, until `daqsched start`. '*' selects all."""
    from daqsched.terminal.rejected import show_rejected

    client = connect(path)
    answer = confirmed(lambda stops: client.stop(select, message, stops), yes, stops)
    told = answer.count - len(answer.waiting)
    again = f"{_with_forwarders(answer)}; `daqsched start {shlex.join(select)}` lets them run again"
    ends = [f"This ends {plural(answer.ends, 'running program')}."] if answer.ends else ["No running program ends."]
    if answer.ends is None or answer.ends == told:
        ends = []
    say(f"{told} told to stop{again}." if told else "None was told to stop.", *ends)
    show_rejected([*answer.waiting, *answer.rejected])
    if answer.dependents:
        say(
            f"Depend on what is stopped now, and would not start again meanwhile: {', '.join(answer.dependents)}.",
            err=True,
        )


@main.command()
@click.argument("select", nargs=-1, required=True, shell_complete=names("selection"))
@message_option
@click.pass_obj
def hold(path: Where, select: Sequence[str], message: str) -> None:
    """Leave what runs alone, and do not start it again once it has ended, until `daqsched start`.

    Waits until the executors of what runs have confirmed it. Stop is for what is to end now.
    """
    from daqsched.terminal.rejected import show_rejected

    client = connect(path)
    answer = client.hold(select, message)
    show_rejected([*answer.waiting, *answer.rejected])
    late = {(job, host) for job, host, _ in answer.waiting}
    end, seen = time.monotonic() + CONFIRM_S, -1
    while True:
        rows = [row for row in client.status(select).rows if row.held and row.state != "STOPPING"]
        rows = [row for row in rows if (row.job, row.host) not in late]
        open_ = [f"{row.job}@{row.host}" for row in rows if row.report is None or not row.report.held]
        if not open_ or time.monotonic() > end:
            break
        seen = client.progress(select, most=0, seen=seen, wait_s=0.5).progress.version
    again = f"; `daqsched start {shlex.join(select)}` lets them run again"
    say(f"{answer.count} held{again}.")
    if open_:
        raise NotRunning(f"not confirmed by the executors of {some(open_)}: they are told again until they are")


@main.command()
@click.argument("select", nargs=-1, required=True, shell_complete=names("selection"))
@click.option("--all", "everyones", is_flag=True, help="Also what others have stopped.")
@click.option("--anyway", is_flag=True, help="Without waiting for the end of what they replace.")
@click.pass_obj
def start(path: Where, select: Sequence[str], everyones: bool, anyway: bool) -> None:
    """Let jobs run again that were stopped, have failed or back off.

    What waits for a first start by hand begins where its job is named, and not with '*' or @HOST.
    """
    from daqsched.task import ABSENT
    from daqsched.terminal.rejected import show_rejected

    answer = connect(path).start(select, everyones=everyones, anyway=anyway)
    may = answer.count - len(answer.waiting)
    which = f": {answer.which}" if answer.which else ""
    look = f"`daqsched status {shlex.join(select)}` shows"
    ran = f"{answer.running} ran already, or {'was' if answer.running == 1 else 'were'} being started"
    if may:
        say(f"{may} may run{_with_forwarders(answer)}{which}; {look} them.", *([f"{ran}."] if answer.running else []))
    else:
        known = any(why != ABSENT for *_, why in answer.waiting)  # else `status` knows none of them
        none = f"None may run yet{f'; {look} why' if known else ''}."
        say(none if not answer.running else f"None was started: {ran}; {look} them.")
    show_rejected([*answer.waiting, *answer.rejected])
    if answer.others:
        say(f"`daqsched start --all {shlex.join(select)}` lets run what others have stopped, too.", err=True)


def _with_forwarders(answer: Any) -> str:
    """What the number has that a question before it left out, and that no job file names."""
    return f", with {plural(answer.forwarders, 'forwarder')} of lines" if answer.forwarders else ""
