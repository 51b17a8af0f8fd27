"""The crew's verbs: make the farm what a file says, see what it does, stop and start parts of it."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any, Optional, Sequence

import click

from daqsched.cli.root import connect, json_option, main, print_json, terminal
from daqsched.errors import NotRunning, UserError
from daqsched_executor.contract import duration

#: Seconds after which `apply` says what is missing and ends; the farm goes on trying.
PATIENCE_S = 300.0
#: How long everything must have been running before `apply` believes it: a program that dies at once is not running.
SETTLE_S = 1.0


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--wait/--no-wait", default=True, help="Wait until all is running.  [default: wait]")
@click.option("--timeout", default=PATIENCE_S, show_default=True, help="Seconds to wait.")
@click.option("--settle", default=SETTLE_S, show_default=True, help="Seconds that all must have been running.")
@click.option("-m", "--message", default="", help="Why, for the history.")
@click.option("--allow-empty", is_flag=True, help="A file without jobs stops everything, and that is meant.")
@click.option("--preflight", is_flag=True, help="Only if all hosts say that they can start all of it.")
@json_option
@click.pass_obj
def apply(
    path: Path,
    file: Path,
    wait: bool,
    timeout: float,
    settle: float,
    message: str,
    allow_empty: bool,
    preflight: bool,
    as_json: bool,
) -> None:
    """Make the farm what FILE says, and wait until it is."""
    from daqsched import show
    from daqsched.jobfile import load

    spec = load(file)
    client = connect(path)
    if preflight and spec.jobs:
        _ask_first(client, spec, as_json)
    began = time.time()
    applied = client.apply(spec, message, allow_empty)
    if not as_json:
        console = terminal()
        console.print(show.plan_lines(applied.plan))
        console.print(f"Revision {applied.revision} ({applied.plan.digest}) is in force.")
    outcome = _wait_for(client, began, timeout, settle, quiet=as_json) if wait and spec.jobs else None
    if as_json:
        print_json({"applied": applied, "progress": outcome})
    if outcome is not None and not outcome.complete:
        raise NotRunning(
            f"not all is running after {timeout:g} s: {show.state_counts(outcome.states)}. "
            "The farm goes on trying; `daqsched status` shows it"
        )


def _ask_first(client: Any, spec: Any, quiet: bool) -> None:
    """Raise `NotRunning` where a preflight finds that something would not start."""
    from daqsched import wall
    from daqsched.cli.preflight import PATIENCE_S, ask, show

    answer = ask(client, spec, (), PATIENCE_S, quiet)
    if not wall.fine(answer):
        if not quiet:
            show(answer)
        raise NotRunning("not applied, because not all hosts could start all of it")


def _wait_for(client: Any, began: float, timeout: float, settle: float, quiet: bool) -> Any:
    """Follow until all has been as wanted for ``settle`` seconds or the time is over; returns the last `Progress`."""
    from rich.live import Live

    from daqsched import show

    live = Live(console=terminal(), refresh_per_second=8, transient=True) if sys.stdout.isatty() and not quiet else None
    said: Sequence[str] = ()
    complete_since: Optional[float] = None
    answer = client.progress()
    try:
        if live:
            live.start()
        while True:
            now = time.time()
            complete_since = (complete_since or now) if answer.progress.complete else None
            if complete_since is not None and now - complete_since >= settle:
                break
            if now - began > timeout:
                break
            if live:
                live.update(show.progress_view(answer, began))
            elif not quiet:
                lines = [show.state_counts(answer.progress.states)]
                if lines != said:
                    said = lines
                    click.echo(lines[0])
            left = settle - (now - complete_since) if complete_since is not None else 0.5
            answer = client.progress(seen=answer.progress.version, wait_s=max(0.01, min(0.5, left)))
    except KeyboardInterrupt:
        if live:
            live.stop()
        click.echo("Not waiting any more; the farm goes on. `daqsched status` shows how far it is.", err=True)
        sys.exit(130)
    finally:
        if live:
            live.stop()
    if not quiet:
        console = terminal()
        total = sum(answer.progress.states.values())
        if answer.progress.complete:
            took = max(0.0, (complete_since or time.time()) - began)
            console.print(f"All {total} running after {duration(took)}.", style="green")
        else:
            console.print(show.lagging_table(answer.progress.lagging))
    return answer.progress


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@json_option
@click.pass_obj
def plan(path: Path, file: Path, as_json: bool) -> None:
    """Show what `apply` of FILE would change; change nothing."""
    from daqsched import show
    from daqsched.jobfile import load

    found = connect(path).plan(load(file))
    if as_json:
        print_json(found)
    else:
        terminal().print(show.plan_lines(found))


@main.command()
@click.argument("select", nargs=-1)
@click.option("--wide", is_flag=True, help="One line an instance, also where many hosts are alike.")
@json_option
@click.pass_obj
def status(path: Path, select: Sequence[str], wide: bool, as_json: bool) -> None:
    """Show what runs, and why what does not run does not. SELECT: JOB, JOB@HOST, @HOST, with * ? and [01-10]."""
    from daqsched import show

    answer = connect(path).status(select)
    if select and not answer.rows:
        raise UserError(f"no job fits {' '.join(select)}: `daqsched status` lists them")
    if as_json:
        print_json(answer)
    else:
        terminal().print(show.status_table(answer, wide, lines=bool(select)))


@main.command()
@click.argument("select", nargs=-1, required=True)
@click.option("-m", "--message", default="", help="Why, for whoever looks at it next.")
@click.pass_obj
def stop(path: Path, select: Sequence[str], message: str) -> None:
    """Stop jobs by hand; they stay stopped, also over an apply, until `daqsched start`. '*' selects all."""
    count = connect(path).stop(select, message)
    click.echo(f"{count} told to stop; `daqsched start {' '.join(select)}` lets them run again.")


@main.command()
@click.argument("select", nargs=-1, required=True)
@click.pass_obj
def start(path: Path, select: Sequence[str]) -> None:
    """Let jobs run again that were stopped, have failed or back off."""
    count = connect(path).start(select)
    click.echo(f"{count} may run; `daqsched status {' '.join(select)}` shows them.")
