"""`daqsched logs`: what jobs print, out of Elasticsearch, or out of the sandboxes where there is none."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Callable, Optional

import click

from daqsched.cli.completion import names
from daqsched.cli.options import access_options, at_least, json_option
from daqsched.cli.root import connect, main
from daqsched.errors import PARTIAL, DaqschedError, Unreachable, UserError
from daqsched.settings import Server, Where
from daqsched.terminal.out import colours, print_json_text, say, width

if TYPE_CHECKING:
    from daqsched.logs.lines import Line
    from daqsched.logs.query import Wanted
    from daqsched.logs.sources import Source

#: All that a logbook has.
MOST_NOTES = 1000

Show = Callable[["Line"], None]


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
@click.argument("select", nargs=-1, shell_complete=names("selection"))
@click.option("-f", "--follow", is_flag=True, help="Go on with lines as they are printed, until Ctrl-C.")
@click.option(
    "--host", "hosts", multiple=True, shell_complete=names("host"), help="Only these hosts: names, ranges, * and ?."
)
@click.option(
    "-n",
    "--lines",
    "most",
    default=50,
    callback=at_least(0),
    show_default=True,
    help="How many lines, or groups of lines.",
)
@click.option("--since", default="", help="10m (ago), 14:05, or 2026-11-23 14:05:00.")
@click.option("--until", default="", help="As --since.")
@click.option("--at", default="", help="Lines before and after that moment; as --since.")
@click.option("--grep", default="", help='Text that a line must hold; "in this order", begin*, *end, -without.')
@click.option(
    "--level", "levels", multiple=True, help="warning: that and worse; =warning: that alone; info,error: these."
)
@click.option("--stream", "streams", multiple=True, help="stdout, stderr, executor, or a service's log file.")
@click.option("--run", "runs", multiple=True, help="Lines of that run of the detector.")
@click.option("--around", default="", metavar="ID", help="Lines before and after that one (see --id).")
@click.option(
    "--scope",
    type=click.Choice(["stream", "host", "farm"]),
    default="stream",
    show_default=True,
    help="Whose lines --around shows.",
)
@click.option("--raw", is_flag=True, help="Show lines as they were printed, also what moves the cursor or recolours.")
@click.option("-i", "--id", "ids", is_flag=True, help="Show each line's id.")
@click.option("--count", is_flag=True, help="How many lines, not which; of the last hour without --since.")
@click.option("--by", default="host", show_default=True, help="Count by: host, job, level, stream, run, version, ...")
@click.option("--every", default="", help="Count by time, too, as a heat map: 10s, 1m, 1h.")
@click.option(
    "--new",
    is_flag=False,
    flag_value="1h",
    default="",
    metavar="[SINCE]",
    help="Messages of a kind that was not seen before SINCE [1h].",
)
@click.option(
    "--sandbox", is_flag=True, help="Read where jobs print to, not Elasticsearch [default: where there is none]."
)
@click.option("--elasticsearch", envvar="DAQSCHED_ELASTICSEARCH", default="", help="URL [default: the daemon's].")
@access_options
@click.option("--index", default="", help="First part of the index names [default: the daemon's].")
@json_option
@click.pass_obj
def logs(
    path: Where,
    /,
    select: tuple[str, ...],
    follow: bool,
    hosts: tuple[str, ...],
    most: int,
    levels: tuple[str, ...],
    streams: tuple[str, ...],
    runs: tuple[str, ...],
    raw: bool,
    ids: bool,
    count: bool,
    sandbox: bool,
    elasticsearch: str,
    index: str,
    as_json: bool,
    **words: str,
) -> None:
    """Show what jobs print, on all their hosts. SELECT: JOB, JOB@HOST, @HOST, with * ? and [01-10].

    A line of stdout has the mark |, one of stderr !, what the executor says of the job *, a service's log file :, syslog
    and journal %, what people noted (`daqsched note`) #, and - tells of lines that were dropped. Out of sandboxes come the
    last lines of each job, host and stream, without a time unless they say one themselves; --at, --count and --new go by
    that.
    """
    from daqsched import times
    from daqsched.logs import grep, noted
    from daqsched.logs.future_lines import ahead_words
    from daqsched.logs.lines import format_line, json_line
    from daqsched.logs.query import Wanted, levels_from
    from daqsched.protocol import MOST_LINES

    kind = _kind(follow, count, words)
    asked = sandbox or not elasticsearch or not index
    # who has no settings of his own for Elasticsearch has the daemon search
    own = bool(elasticsearch or index or any(words[name] for name in ("ca", "user_file", "api_key_file")))
    through = False
    if asked and not sandbox:
        info = connect(path).info()
        through = info.lines and not own
        if through and most > MOST_LINES and kind not in ("--count", "--new") and not isinstance(path, Server):
            # as it was before the daemon searched, where Elasticsearch lets us
            _warn(f"-n {most}: the daemon gives {MOST_LINES:,} lines at a time, so Elasticsearch itself is asked")
            through = False
        elasticsearch, index = elasticsearch or info.elasticsearch, index or info.index
    now = time.time()
    wanted = Wanted(
        words=select,
        hosts=hosts,
        streams=streams,
        levels=levels_from(levels) if levels else (),
        runs=runs,
        since=times.moment(words["since"], now) if words["since"] else None,
        until=times.moment(words["until"], now) if words["until"] else None,
        text=words["grep"],
    )
    if wanted.since is not None and wanted.until is not None and wanted.until < wanted.since:
        raise UserError(f"--until {words['until']} is before --since {words['since']}: no line is between them")
    coloured = colours()
    today = times.day(now)

    def show(line: Line, chosen: bool = False) -> None:
        if as_json:
            print_json_text(f"{json_line(line)}\n", flush=follow)
        else:
            say(format_line(line, coloured, today=today, ids=ids, chosen=chosen, raw=raw), flush=follow)

    hint = grep.hint(wanted.text)
    if hint:
        _warn(hint)
    begin: Optional[float] = None
    notes = _notes(path, wanted) if asked and kind in ("", "--at") and not follow else []
    if through:
        source = _through_daemon(path, wanted)
    else:
        source = _source(path, wanted, "" if sandbox else elasticsearch, index, words, runs, told=not sandbox)
    if notes:
        source = noted.NotedSource(source, notes)
    try:
        if kind in ("--count", "--new"):
            from daqsched.cli import counts

            screen = counts.Screen(width(120), coloured, as_json, most)
            if kind == "--new":
                counts.show_new(source, _since(words["new"], now), screen, today)
            else:
                every_s = times.span(words["every"]) if words["every"] else 0.0
                begin = counts.show_count(source, wanted, words["by"], every_s, now, screen)
        elif kind == "--at":
            moment = times.moment(words["at"], now)
            before, after = source.around(moment, most)
            begin = before[0].time if before and len(before) >= most // 2 else None
            _show_all(before, show)
            say(f"---------- {times.clock(moment)} ----------", err=True)
            _show_all(after, show)
            if not before and not after:
                _warn(source.nothing())
        elif kind == "--around":
            before, line, after = source.around_line(words["around"], words["scope"], most)
            _show_all(before, show)
            show(line, chosen=True)
            _show_all(after, show)
        elif follow:
            _show_all(source.follow(most), show)
        else:
            lines = source.tail(most)
            _show_all(lines, show)
            begin = lines[0].time if lines and len(lines) >= most else None
            ahead = ahead_words(lines, now)
            if ahead:
                _warn(ahead)
            if not lines:
                _warn(f"{source.nothing()}{_meant(path, select)}")
        lacks = source.lacking(begin)
    except KeyboardInterrupt:
        sys.exit(130)
    except Unreachable as error:
        if sandbox or not elasticsearch or runs or kind == "--around" or type(error) is not Unreachable:
            raise
        raise Unreachable(f"{error}; what the machines still have: --sandbox") from error
    finally:
        source.close()
    for sentence in lacks:
        _warn(f"this is not all: {sentence}")
    if lacks:
        sys.exit(PARTIAL)


def _show_all(lines: Iterable[Line], show: Show) -> None:
    for line in lines:
        show(line)


def _source(
    path: Where, wanted: Wanted, elasticsearch: str, index: str, words: dict[str, str], runs: Sequence[str], told: bool
) -> Source:
    """Elasticsearch, or the sandboxes where none is named; ``told``: nobody asked for those."""
    from daqsched.logs.sources import SandboxSource, StoredSource
    from daqsched_executor.contract.forwarding import Access

    if elasticsearch:
        from daqsched.logs.elastic import Elastic

        access = Access(words["ca"], words["user_file"], words["api_key_file"])
        return StoredSource(Elastic(elasticsearch, access), index, wanted, _warn)
    if runs:
        raise UserError(
            "--run needs Elasticsearch: lines out of the sandboxes do not say which run they are of"
            + (" (the daemon knows no Elasticsearch; --elasticsearch names one)" if told else "")
        )
    return SandboxSource(connect(path), wanted, _warn)


def _through_daemon(path: Where, wanted: Wanted) -> Source:
    from daqsched.logs.daemon_lines import DaemonSource

    return DaemonSource(connect(path), wanted, _warn)


def _meant(path: Where, words: Sequence[str]) -> str:
    """How words that are a host's name would be written, and what was meant by others, for the end of a sentence; empty where the
    daemon does not answer."""
    from daqsched.select import MOST_TOLD, as_hosts

    if not words:
        return ""
    try:
        answer = connect(path).status(words[:MOST_TOLD])
    except DaqschedError:
        return ""
    keys = {(row.job, row.host) for row in answer.rows}
    jobs = {job for job, _ in keys}
    written = as_hosts([word for word in words if word not in jobs], keys)
    return f"{written}{answer.hint}"


def _notes(path: Where, wanted: Wanted) -> list[Line]:
    """What people wrote into the logbook, as far as it is wanted; an older daemon has none."""
    from daqsched.logs import noted

    if not noted.fits(wanted):
        return []
    try:
        return noted.lines(connect(path).notes(MOST_NOTES).notes, wanted)
    except UserError:
        return []


def _kind(follow: bool, count: bool, words: dict[str, str]) -> str:
    """Which of the options that change what is shown was given; raises `UserError` for more than one."""
    given = [option for option in ("--at", "--around", "--new") if words[option[2:]]]
    given += ["--count"] if count or words["every"] else []
    if len(given) + follow > 1:
        raise UserError(f"{' and '.join([*given, *(['--follow'] if follow else [])])} can't be combined: choose one")
    by = click.get_current_context().get_parameter_source("by")
    if by is click.core.ParameterSource.COMMANDLINE and given != ["--count"]:
        raise UserError("--by says how lines are counted: add --count")
    return given[0] if given else ""


def _since(text: str, now: float) -> float:
    """The value of ``--new``, which may be a word that somebody meant as a job's name."""
    from daqsched import times

    try:
        return times.moment(text, now)
    except UserError as error:
        raise UserError(f"--new took {text!r} for its time: write the jobs before it, or --new=1h ({error})") from error


def _warn(sentence: str) -> None:
    say(f"daqsched logs: {sentence}", err=True)


@logs.command()
@click.option("--index", default="daqsched-logs", show_default=True, help="First part of the index names.")
def kibana(index: str) -> None:
    """Print a data view, searches and a dashboard for Kibana, as NDJSON.

    To import: Stack Management, Saved Objects, Import; or POST it to /api/saved_objects/_import?overwrite=true.
    """
    from daqsched.logs.kibana import ndjson

    print_json_text(ndjson(index))
