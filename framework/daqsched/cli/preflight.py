"""`daqsched preflight`: ask all hosts whether they could start what a file names, before anything is changed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Sequence

import click

from daqsched.cli.completion import names
from daqsched.cli.options import at_least, json_option, set_option
from daqsched.cli.root import connect, main
from daqsched.errors import NotRunning
from daqsched.settings import Where
from daqsched.terminal.out import canvas, print_json, say

#: Seconds after which a host that has not answered counts as silent. A survey itself takes 30 s at most.
PATIENCE_S = 60.0
#: One request waits for news for so long.
_POLL_S = 0.5


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@set_option
@click.option(
    "--only",
    multiple=True,
    metavar="SELECT",
    shell_complete=names("selection"),
    help="Only these: JOB, JOB@HOST, @HOST, with * ? and [01-10].",
)
@click.option(
    "--except",
    "without",
    multiple=True,
    metavar="SELECT",
    shell_complete=names("selection"),
    help="And not these: a HOST that is down, or as --only.",
)
@click.option(
    "--timeout",
    default=PATIENCE_S,
    callback=at_least(0),
    show_default=True,
    help="Seconds to wait for a host's answer.",
)
@json_option
@click.pass_obj
def preflight(
    path: Where,
    file: Path,
    settings: Sequence[str],
    only: tuple[str, ...],
    without: tuple[str, ...],
    timeout: float,
    as_json: bool,
) -> None:
    """Ask all hosts whether they could start what FILE names; change nothing."""
    from daqsched.jobfile.load import load
    from daqsched.jobfile.variables import parse
    from daqsched.terminal import preflight_table

    spec = load(file, parse(settings))
    client = connect(path)
    answer = ask(client, spec, only, timeout, as_json, without)
    if as_json:
        print_json(answer)
    else:
        show(answer)
    if not preflight_table.fine(answer):
        sys.exit(NotRunning.exit_code)


def _hosts(spec: Any, words: Sequence[str]) -> list[str]:
    """A bare word that names no job is a host."""
    jobs = {job.name for job in spec.jobs}
    return [word if "@" in word or word in jobs else f"@{word}" for word in words]


def show(answer: Any) -> None:
    """The wall, and the line that sums it up."""
    from daqsched.terminal import preflight_table

    console = canvas()
    if answer.wall:
        console.print(preflight_table.table(answer))
    console.print(preflight_table.summary(answer), style="green" if preflight_table.fine(answer) else "bold red")


def ask(client: Any, spec: Any, only: Sequence[str], timeout: float, quiet: bool, without: Sequence[str] = ()) -> Any:
    """Ask, and follow until all have answered or the time is over; returns the last `daqsched.preflight.PreflightFindings`."""
    from rich.live import Live

    from daqsched.terminal import preflight_table

    begun = client.preflight(spec, only, timeout, _hosts(spec, without))
    live = Live(console=canvas(), refresh_per_second=8, transient=True) if sys.stdout.isatty() and not quiet else None
    said = ""
    found = client.preflight_answer(begun.id)
    try:
        if live:
            live.start()
        # the daemon ends it when the time is over
        while not found.answer.done:
            counts = preflight_table.counts(found.answer)
            if live:
                live.update(preflight_table.live(found.answer))
            elif not quiet and counts != said:
                said = counts
                say(counts)
            found = client.preflight_answer(begun.id, seen=found.version, wait_s=_POLL_S)
    except KeyboardInterrupt:
        if live:
            live.stop()
        say("Not waiting any more; nothing was changed.", err=True)
        sys.exit(130)
    finally:
        if live:
            live.stop()
    return found.answer
