"""The command `daqsched`: parse, call, print, exit code. The only place that prints and the only one that exits."""

from __future__ import annotations

import logging
import os
import sys
import time
from pathlib import Path
from typing import Any, Callable, Optional, Sequence, TypeVar

import click
import msgspec

from daqsched import __version__
from daqsched.errors import DaqschedError, NotRunning, UserError
from daqsched.settings import socket_path, state_dir
from daqsched_executor.contract import duration

#: Seconds after which `apply` says what is missing and ends; the farm goes on trying.
PATIENCE_S = 300.0
#: How long everything must have been running before `apply` believes it: a program that dies at once is not running.
SETTLE_S = 1.0

Command = TypeVar("Command", bound=Callable[..., Any])


class _Group(click.Group):
    """Shows every `DaqschedError` as one red sentence and ends with its exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except DaqschedError as error:
            click.secho("Error: ", fg="red", bold=True, nl=False, err=True)
            click.echo(str(error), err=True)
            ctx.exit(error.exit_code)
        except BrokenPipeError:
            # `daqsched status | head`: the reader has had enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(0)


_EPILOG = """\b
Exit status: 0 all is as asked; 1 a bug; 2 a mistake in the job file or the command; 3 a server
does not answer; 4 not everything runs; 5 refused; 130 interrupted (the farm goes on)."""


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]}, epilog=_EPILOG)
@click.version_option(__version__, prog_name="daqsched")
@click.option("--socket", type=click.Path(path_type=Path), help="The daemon's socket [env: DAQSCHED_SOCKET].")
@click.pass_context
def main(ctx: click.Context, socket: Optional[Path]) -> None:
    """Run a detector's data-acquisition farm: say in a Python file which program runs on which machine, and apply it."""
    ctx.obj = socket or socket_path()


def _json_option(command: Command) -> Command:
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")(command)


def _console(stderr: bool = False) -> Any:
    from rich.console import Console

    # rich would guess 80 columns for a pipe and fold what a program wants to grep
    return Console(stderr=stderr, highlight=False, soft_wrap=False, width=None if sys.stdout.isatty() else 240)


def _client(path: Path) -> Any:
    from daqsched.client import Client

    return Client(path)


def _print_json(value: Any) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


# ---------------------------------------------------------------------- the farm's side


@main.command()
@click.option("--master", envvar="DAQSCHED_MASTER", required=True, help="HOST:PORT, or zk://HOST:PORT,.../PATH.")
@click.option("--state", type=click.Path(path_type=Path), help="Folder for what must survive [env: DAQSCHED_STATE].")
@click.option("--group", default="", help="The group whose members may use the socket.")
@click.option(
    "--elasticsearch", envvar="DAQSCHED_ELASTICSEARCH", default="", help="URL; without it lines stay on their hosts."
)
@click.option("--index", default="daqsched-logs", show_default=True, help="First part of the index names.")
@click.option(
    "--executor", default="", help="daqsched-executor's path on the farm [default: the one beside this command]."
)
@click.option("--user", default="", help="Account for executors [default: this one].")
@click.option("--role", default="*", show_default=True, help="Mesos role.")
@click.option("--name", default="daqsched", show_default=True, help="The framework's name in the Mesos web UI.")
@click.option("--webui-url", default="", help="Link in the Mesos web UI.")
@click.option("--credentials", type=click.Path(path_type=Path), help="JSON file with principal and secret, mode 600.")
@click.option("--new-framework", is_flag=True, help="Register as a new framework: for after the old one was torn down.")
@click.pass_obj
def serve(path: Path, /, state: Optional[Path], executor: str, new_framework: bool, **options: Any) -> None:
    """Be the framework: match offers with the wanted jobs, and keep it so."""
    from daqsched.mesos import Framework
    from daqsched.serve import run

    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    # uvicorn tells of its own birth; pymesos of every attempt to connect, which the engine sums up, and prints a traceback
    # of what it then raises in the main thread, where `serve` makes a sentence of it
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    logging.getLogger("pymesos").setLevel(logging.CRITICAL)
    framework = Framework(
        name=options["name"],
        user=options["user"],
        role=options["role"],
        webui_url=options["webui_url"],
        credentials=options["credentials"],
        executor=(executor or _executor_beside(),),
    )
    run(
        options["master"],
        framework,
        state=state or state_dir(),
        socket=path,
        group=options["group"],
        elasticsearch=options["elasticsearch"],
        index=options["index"],
        new_framework=new_framework,
    )


def _executor_beside() -> str:
    beside = Path(sys.argv[0]).resolve().parent / "daqsched-executor"
    return str(beside) if beside.exists() else "daqsched-executor"


# ---------------------------------------------------------------------- the crew's side


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--wait/--no-wait", default=True, help="Wait until all is running.  [default: wait]")
@click.option("--timeout", default=PATIENCE_S, show_default=True, help="Seconds to wait.")
@click.option("--settle", default=SETTLE_S, show_default=True, help="Seconds that all must have been running.")
@click.option("-m", "--message", default="", help="Why, for the history.")
@click.option("--allow-empty", is_flag=True, help="A file without jobs stops everything, and that is meant.")
@_json_option
@click.pass_obj
def apply(
    path: Path, file: Path, wait: bool, timeout: float, settle: float, message: str, allow_empty: bool, as_json: bool
) -> None:
    """Make the farm what FILE says, and wait until it is."""
    from daqsched import show
    from daqsched.jobfile import load

    spec = load(file)
    client = _client(path)
    began = time.time()
    applied = client.apply(spec, message, allow_empty)
    if not as_json:
        console = _console()
        console.print(show.plan_lines(applied.plan))
        console.print(f"Revision {applied.revision} ({applied.plan.digest}) is in force.")
    outcome = _wait_for(client, began, timeout, settle, quiet=as_json) if wait and spec.jobs else None
    if as_json:
        _print_json({"applied": applied, "progress": outcome})
    if outcome is not None and not outcome.complete:
        raise NotRunning(
            f"not all is running after {timeout:g} s: {show.state_counts(outcome.states)}. "
            "The farm goes on trying; `daqsched status` shows it"
        )


def _wait_for(client: Any, began: float, timeout: float, settle: float, quiet: bool) -> Any:
    """Follow until all has been as wanted for ``settle`` seconds or the time is over; returns the last `Progress`."""
    from rich.live import Live

    from daqsched import show

    live = Live(console=_console(), refresh_per_second=8, transient=True) if sys.stdout.isatty() and not quiet else None
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
        console = _console()
        total = sum(answer.progress.states.values())
        if answer.progress.complete:
            took = max(0.0, (complete_since or time.time()) - began)
            console.print(f"All {total} running after {duration(took)}.", style="green")
        else:
            console.print(show.lagging_table(answer.progress.lagging))
    return answer.progress


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@_json_option
@click.pass_obj
def plan(path: Path, file: Path, as_json: bool) -> None:
    """Show what `apply` of FILE would change; change nothing."""
    from daqsched import show
    from daqsched.jobfile import load

    found = _client(path).plan(load(file))
    if as_json:
        _print_json(found)
    else:
        _console().print(show.plan_lines(found))


@main.command()
@click.argument("select", nargs=-1)
@_json_option
@click.pass_obj
def status(path: Path, select: Sequence[str], as_json: bool) -> None:
    """Show what runs, and why what does not run does not. SELECT: JOB, JOB@HOST, @HOST, with * ? and [01-10]."""
    from daqsched import show

    answer = _client(path).status(select)
    if select and not answer.rows:
        raise UserError(f"no job fits {' '.join(select)}: `daqsched status` lists them")
    if as_json:
        _print_json(answer)
    else:
        _console().print(show.status_table(answer))


@main.command()
@click.argument("select", nargs=-1, required=True)
@click.option("-m", "--message", default="", help="Why, for whoever looks at it next.")
@click.pass_obj
def stop(path: Path, select: Sequence[str], message: str) -> None:
    """Stop jobs by hand; they stay stopped, also over an apply, until `daqsched start`. '*' selects all."""
    count = _client(path).stop(select, message)
    click.echo(f"{count} told to stop; `daqsched start {' '.join(select)}` lets them run again.")


@main.command()
@click.argument("select", nargs=-1, required=True)
@click.pass_obj
def start(path: Path, select: Sequence[str]) -> None:
    """Let jobs run again that were stopped, have failed or back off."""
    count = _client(path).start(select)
    click.echo(f"{count} may run; `daqsched status {' '.join(select)}` shows them.")


@main.command()
@click.argument("select", nargs=-1)
@click.option("-f", "--follow", is_flag=True, help="Go on with lines as they are printed, until Ctrl-C.")
@click.option("--host", "hosts", multiple=True, help="Only these hosts: names, ranges, * and ?.")
@click.option("-n", "--lines", "most", default=50, show_default=True, help="How many of the last lines.")
@click.option("--since", default="", help="10m (ago), 14:05, or 2026-11-23 14:05:00.")
@click.option("--until", default="", help="As --since.")
@click.option("--grep", default="", help='Words that a line must hold; "in this order", begin*, -without.')
@click.option("--stream", "streams", multiple=True, type=click.Choice(["stdout", "stderr", "executor"]))
@click.option("--elasticsearch", envvar="DAQSCHED_ELASTICSEARCH", default="", help="URL [default: the daemon's].")
@click.option("--index", default="", help="First part of the index names [default: the daemon's].")
@_json_option
@click.pass_obj
def logs(
    path: Path,
    /,
    select: tuple[str, ...],
    follow: bool,
    hosts: tuple[str, ...],
    most: int,
    streams: tuple[str, ...],
    elasticsearch: str,
    index: str,
    as_json: bool,
    **words: str,
) -> None:
    """Show what jobs print, on all their hosts. SELECT: JOB, JOB@HOST, @HOST, with * ? and [01-10].

    A line of stdout has the mark |, one of stderr !, and what the executor says of the job *.
    """
    from daqsched import search

    if not elasticsearch or not index:
        info = _client(path).info()
        elasticsearch, index = elasticsearch or info.elasticsearch, index or info.index
    if not elasticsearch:
        raise UserError(
            "no Elasticsearch is configured, the lines lie in the jobs' sandboxes (the Mesos web UI shows them): "
            "give daqsched serve --elasticsearch URL"
        )
    now = time.time()
    wanted = search.Wanted(
        words=select,
        hosts=hosts,
        streams=streams,
        since=search.moment(words["since"], now) if words["since"] else None,
        until=search.moment(words["until"], now) if words["until"] else None,
        text=words["grep"],
    )
    colours = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    today = time.strftime("%Y-%m-%d")

    def show(line: search.Line) -> None:
        print(search.json_line(line) if as_json else search.format_line(line, colours, today=today), flush=follow)

    client = search.connect(elasticsearch)
    try:
        shown = search.tail(client, wanted, most, index)
        for line in shown:
            show(line)
        if follow:
            for line in search.follow(client, wanted, shown, index):
                show(line)
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        client.close()


if __name__ == "__main__":
    main()
