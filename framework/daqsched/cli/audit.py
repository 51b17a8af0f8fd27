"""`daqsched audit`: who changed what and who was refused, and whether that is still what was written."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

import click

from daqsched.cli.options import Command, access_options, at_least, json_option
from daqsched.cli.root import connect, main
from daqsched.errors import UserError
from daqsched.plural import plural
from daqsched.settings import Where, state_dir
from daqsched.terminal.out import print_json, say

if TYPE_CHECKING:
    from daqsched.serve.audit_verify import Verified


def trail_options(command: Command) -> Command:
    """What `daqsched audit` and `daqsched audit show` have in common."""
    for option in reversed(
        [
            click.option("--since", default="", help="1d (ago), 14:05, or 2026-11-23 14:05:00."),
            click.option("--user", default="", help="Only this user's requests."),
            click.option("--operation", default="", help="Only this operation: stop, order, 'order act'."),
            click.option("--refused", is_flag=True, help="Only refused requests."),
            click.option("-n", "--most", default=50, callback=at_least(1), show_default=True, help="How many to show."),
            json_option,
        ]
    ):
        command = option(command)
    return command


@main.group(invoke_without_command=True)
@trail_options
@click.pass_context
def audit(context: click.Context, /, **options: Any) -> None:
    """Who changed what, and who was refused; the newest last. Admins are told, or root and the daemon's own account."""
    if context.invoked_subcommand is None:
        _show(context.obj, **options)


@audit.command()
@trail_options
@click.pass_obj
def show(path: Where, /, **options: Any) -> None:
    """The same as without a verb."""
    _show(path, **options)


def _show(path: Where, since: str, user: str, operation: str, refused: bool, most: int, as_json: bool) -> None:
    from daqsched.times import moment

    client = connect(path)
    begin = moment(since, time.time()) if since else 0.0
    found: list[dict[str, Any]] = []
    until = 0
    while len(found) < most:
        answer = client.audit(begin, user, operation, refused, until, min(most - len(found), 1000))
        found += answer.lines
        if not answer.next or (until and answer.next >= until):
            break
        until = answer.next
    found = found[: int(most)][::-1]
    if as_json:
        print_json(found)
        return
    for line in found:
        say(_sentence(line))


def _sentence(line: Mapping[str, Any]) -> str:
    """``2026-11-27T14:02:11Z alice stop done: readout@hlt02, "cabling"``"""
    head = [str(line[name]) for name in ("time", "user", "door", "operation", "result") if line.get(name)]
    rest = []
    for name, value in line.items():
        if name not in _IN_HEAD and value:
            shown = " ".join(map(str, value)) if isinstance(value, list) else str(value)
            rest.append(f"{name}={shown}")
    return f"{' '.join(head)}{': ' if rest else ''}{', '.join(rest)}"


#: Said at the beginning of a line; what is of no interest to people is left out.
_IN_HEAD = frozenset("time user door operation result uid gid pid hash before".split())


@audit.command()
@click.argument("files", nargs=-1, metavar="[FILE...]", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--hash", "expect", default="", metavar="HASH", help="One line has to have this hash, which was noted down."
)
@json_option
def verify(files: tuple[Path, ...], expect: str, as_json: bool) -> None:
    """Say how many lines are as they were written, and the first place where one was changed, removed or inserted, or is missing;
    status 1 then. No daemon is needed.

    FILEs are the oldest first; without: audit.ndjson in the state's folder, and its rotated files.
    """
    from daqsched.serve.audit_verify import those_of, verify

    path = state_dir() / "audit.ndjson" if not files else files[0]
    known = files or those_of(path)
    if not known:
        raise UserError(f"there is no {path}: name the FILE that `daqsched serve --audit` writes")
    alone = not files or (len(files) == 1 and os.path.exists(f"{path}.last"))
    found = verify(known, path if alone else None, expect)
    if as_json:
        print_json(found)
    else:
        _tell(found)
    if found.broken is not None:
        raise SystemExit(1)


def _tell(found: Verified) -> None:
    count = plural(found.lines, "line", "is", "are")
    numbers = f": {found.first} to {found.last}, from {found.since} to {found.until}" if found.lines else ""
    say(f"{count} whole{numbers}")
    if found.without:
        say(f"{plural(found.without, 'line')} before them {'has' if found.without == 1 else 'have'} no hashes")
    if found.gaps:
        say(f"{found.gaps} more are in the daemon's log alone: the file could not be written then")
    broken = found.broken
    if broken is None:
        say(f"hash of the last: {found.hash}")
        return
    place = f"{broken.file}:{broken.line}" if broken.line else f"the end of {broken.file}"
    say(f"{place}: {broken.kind}: {broken.why}")


@audit.command()
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--elasticsearch", envvar="DAQSCHED_ELASTICSEARCH", required=True, help="URL of where the lines go.")
@access_options
@click.option("--index", default="daqsched-audit", show_default=True, help="First part of the index names.")
@click.option("--once", is_flag=True, help="Copy what there is, and end; else go on until SIGTERM.")
def copy(file: Optional[Path], elasticsearch: str, index: str, once: bool, **options: Any) -> None:
    """Copy the lines of the audit file FILE to Elasticsearch as ECS, each once; go on where it was.

    FILE is audit.ndjson in the state's folder where none is named. For root or the daemon's own account, beside the daemon.
    """
    import logging
    import signal
    import socket
    from contextlib import closing
    from queue import SimpleQueue

    from daqsched.logs.elastic import Elastic
    from daqsched.serve.audit_copy import AuditCopy
    from daqsched.serve.audit_place import alone
    from daqsched.serve.log import begin
    from daqsched_executor.contract.forwarding import Access

    path = file or state_dir() / "audit.ndjson"
    client = Elastic(elasticsearch, Access(options["ca"], options["user_file"], options["api_key_file"]), 30.0)
    with closing(client), alone(path):
        if not once:
            begin()
            # each request, and each that fails: what comes of it is said by the copy itself, once
            logging.getLogger("elastic_transport").setLevel(logging.CRITICAL)
        copying = AuditCopy(path, client, index, socket.gethostname())
        if once:
            found = copying.once()
            said = f", {found.before} of them before" if found.before else ""
            say(f"{plural(found.lines, 'line', 'is', 'are')} in {index}-YYYY.MM{said}; {found.refused} were refused.")
            return
        end: SimpleQueue[int] = SimpleQueue()
        signal.signal(signal.SIGTERM, lambda number, frame: end.put(number))
        copying.run(end)
