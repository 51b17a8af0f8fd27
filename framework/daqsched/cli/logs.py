"""`daqsched logs`: what jobs print, out of Elasticsearch, or out of the sandboxes where there is none."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Optional

import click

from daqsched.cli.root import access_options, connect, json_option, main

if TYPE_CHECKING:
    from daqsched.search import Line, Wanted


class _Logs(click.Group):
    """Lines as they are asked for, unless the first word is a verb of its own (``daqsched logs kibana``).

    A job of such a name is asked for as ``NAME@*``.
    """

    allow_interspersed_args = True

    def make_context(
        self, info_name: Optional[str], args: list[str], parent: Any = None, **extra: Any
    ) -> click.Context:
        verb = self.commands.get(args[0]) if args else None
        if verb is None:
            return super().make_context(info_name, args, parent, **extra)
        return verb.make_context(f"{info_name} {args[0]}", args[1:], parent, **extra)


@main.group(cls=_Logs, invoke_without_command=True, no_args_is_help=False, subcommand_metavar="")
@click.argument("select", nargs=-1)
@click.option("-f", "--follow", is_flag=True, help="Go on with lines as they are printed, until Ctrl-C.")
@click.option("--host", "hosts", multiple=True, help="Only these hosts: names, ranges, * and ?.")
@click.option("-n", "--lines", "most", default=50, show_default=True, help="How many of the last lines.")
@click.option("--since", default="", help="10m (ago), 14:05, or 2026-11-23 14:05:00.")
@click.option("--until", default="", help="As --since.")
@click.option("--grep", default="", help='Words that a line must hold; "in this order", begin*, -without.')
@click.option("--level", "levels", multiple=True, help="Only these levels: trace, debug, info, notice, warning, ...")
@click.option("--stream", "streams", multiple=True, type=click.Choice(["stdout", "stderr", "executor"]))
@click.option(
    "--sandbox", is_flag=True, help="Read where jobs print to, not Elasticsearch [default: where there is none]."
)
@click.option("--elasticsearch", envvar="DAQSCHED_ELASTICSEARCH", default="", help="URL [default: the daemon's].")
@access_options
@click.option("--index", default="", help="First part of the index names [default: the daemon's].")
@json_option
@click.pass_obj
def logs(
    path: Path,
    /,
    select: tuple[str, ...],
    follow: bool,
    hosts: tuple[str, ...],
    most: int,
    streams: tuple[str, ...],
    levels: tuple[str, ...],
    sandbox: bool,
    elasticsearch: str,
    index: str,
    as_json: bool,
    **words: str,
) -> None:
    """Show what jobs print, on all their hosts. SELECT: JOB, JOB@HOST, @HOST, with * ? and [01-10].

    A line of stdout has the mark |, one of stderr !, and what the executor says of the job *. Out of sandboxes come
    the last lines of each job, host and stream, without a time unless they say one themselves.
    """
    from daqsched import search, times
    from daqsched_executor.contract.forwarding import Access

    if not sandbox and (not elasticsearch or not index):
        info = connect(path).info()
        elasticsearch, index = elasticsearch or info.elasticsearch, index or info.index
    now = time.time()
    wanted = search.Wanted(
        words=select,
        hosts=hosts,
        streams=streams,
        levels=levels,
        since=times.moment(words["since"], now) if words["since"] else None,
        until=times.moment(words["until"], now) if words["until"] else None,
        text=words["grep"],
    )
    colours = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    today = time.strftime("%Y-%m-%d")

    def show(line: search.Line) -> None:
        print(search.json_line(line) if as_json else search.format_line(line, colours, today=today), flush=follow)

    if sandbox or not elasticsearch:
        return _from_sandboxes(path, wanted, most, follow, show)
    client = search.connect(elasticsearch, Access(words["ca"], words["user_file"], words["api_key_file"]))
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


def _from_sandboxes(path: Path, wanted: Wanted, most: int, follow: bool, show: Callable[[Line], None]) -> None:
    from daqsched.sandboxes import Reader

    reader = Reader(connect(path), wanted, lambda sentence: click.echo(f"daqsched logs: {sentence}", err=True))
    try:
        for line in reader.tail(most):
            show(line)
        if follow:
            for line in reader.follow():
                show(line)
    except KeyboardInterrupt:
        sys.exit(130)
