"""`daqsched deadletter`: lines that Elasticsearch refused."""

from __future__ import annotations

import json
import sys
import time
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

import click
from msgspec import structs

from daqsched.cli.completion import names
from daqsched.cli.logsetup import client_of, elasticsearch_options
from daqsched.cli.options import at_least, json_option
from daqsched.cli.root import connect, main
from daqsched.errors import PARTIAL, DaqschedError, UserError
from daqsched.plural import plural
from daqsched.settings import Where
from daqsched.terminal.out import print_json, print_json_text, say

if TYPE_CHECKING:
    from daqsched.client import Client
    from daqsched.logs.elastic import Elastic
    from daqsched.logs.query import Wanted


@main.group()
def deadletter() -> None:
    """Look at lines that Elasticsearch refused, and send them again."""


def _which(command: Any) -> Any:
    for option in (
        click.option("--since", default="", help="10m (ago), 14:05, or 2026-11-23 14:05:00."),
        click.option(
            "--host",
            "hosts",
            multiple=True,
            shell_complete=names("host"),
            help="Only these hosts: names, ranges, * and ?.",
        ),
    ):
        command = option(command)
    return command


@deadletter.command("list")
@_which
@click.option(
    "-n", "--lines", "most", default=1000, callback=at_least(0), show_default=True, help="How many at most, the oldest."
)
@elasticsearch_options
@json_option
@click.pass_obj
def show(path: Where, /, hosts: tuple[str, ...], since: str, most: int, as_json: bool, **options: Any) -> None:
    """Show them, with the reason: those that are in the index INDEX-deadletter-DATE.

    What not even that index takes is in forward/deadletter.ndjson of its machine's spool; which machines have some is said
    on stderr, where there is a daemon to ask.
    """
    from daqsched import times
    from daqsched.logs import deadletters

    chosen = deadletters.wanted(hosts, times.moment(since, time.time()) if since else None)
    if not any(options[name] for name in ("elasticsearch", "index", "ca", "user_file", "api_key_file")):
        # who has no settings of his own for Elasticsearch has the daemon look
        daemon = connect(path)
        if daemon.info().lines:
            lacks = _show_the_daemons(daemon, chosen, most, as_json)
            _tell_of_forwarders(path)
            sys.exit(PARTIAL if lacks else 0)
    client, prefix = client_of(path, options)
    try:
        found = 0
        for one in islice(deadletters.letters(client, prefix, chosen), most):
            found += 1
            fields = one._asdict()
            fields["index"], fields["whole"] = fields.pop("target"), bool(fields.pop("original"))
            _show(fields, as_json)
        _told(found, most, as_json)
        lacks = _lacking(client, prefix, chosen.since)
    finally:
        client.close()
    _tell_of_forwarders(path)
    if lacks:
        sys.exit(PARTIAL)


def _show_the_daemons(daemon: Client, chosen: Wanted, most: int, as_json: bool) -> bool:
    """Those that the daemon lets one read; whether there may be others."""
    from daqsched import protocol

    if most > protocol.MOST_LINES:
        raise UserError(
            f"-n {most}: the daemon gives {protocol.MOST_LINES:,} at a time; for more it takes an account of your own in "
            "Elasticsearch (--elasticsearch)"
        )
    answer = daemon.dead_letters(protocol.DeadLettersRequest(hosts=list(chosen.hosts), since=chosen.since, most=most))
    for one in answer.letters:
        _show({**structs.asdict(one), "place": ""}, as_json)
    _told(len(answer.letters), most, as_json)
    for sentence in answer.lacks:
        say(f"daqsched deadletter: this is not all: {sentence}", err=True)
    return bool(answer.lacks)


def _show(fields: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json_text(f"{json.dumps(fields)}\n")
        return
    short = " ".join(fields["message"][:200].split())
    head = " ".join(fields[name] for name in ("time", "host", "job", "stream"))
    say(f"{head}: {short}", f"    {fields['index']}: {fields['reason']}")


def _told(found: int, most: int, as_json: bool) -> None:
    if not as_json:
        say(f"{found} dead letters{', and perhaps more: -n' if found == most else ''}.", err=True)


def _lacking(client: Elastic, prefix: str, since: Optional[float]) -> bool:
    """Whether Elasticsearch answered in part only; people are told why."""
    from daqsched.logs.indices import passed_over

    lacks = [*client.lacks.values(), *passed_over(client, f"{prefix}-deadletter", since)]
    for sentence in lacks:
        say(f"daqsched deadletter: this is not all: {sentence}", err=True)
    return bool(lacks)


def _tell_of_forwarders(path: Where) -> None:
    for host, says in _kept_by_forwarders(path):
        say(f"{host}: {says}; daqsched deadletter replay --file sends them again from there", err=True)


def _kept_by_forwarders(path: Where) -> list[tuple[str, str]]:
    """Hosts whose forwarders say that refused lines are on their machine alone; none where no daemon answers."""
    from daqsched.logs.deadletters import kept_there
    from daqsched.spec import FORWARDER

    try:
        rows = connect(path).status([FORWARDER]).rows
    except DaqschedError:
        return []
    said = [(row.host, kept_there(row.report.says)) for row in rows if row.report is not None]
    return sorted((host, part) for host, part in said if part)


@deadletter.command()
@_which
@click.option("--dry-run", is_flag=True, help="Say how many would be sent again, and send none.")
@click.option(
    "--file",
    type=click.Path(path_type=Path, exists=True),
    help="Those of a machine's forward/deadletter.ndjson instead.",
)
@elasticsearch_options
@json_option
@click.pass_obj
def replay(
    path: Where,
    /,
    hosts: tuple[str, ...],
    since: str,
    dry_run: bool,
    file: Optional[Path],
    as_json: bool,
    **options: Any,
) -> None:
    """Send them again in full, after the index was mended; what is stored then is no longer a dead letter.

    Each keeps its id and goes to the index that refused it, so a replay that was interrupted can be called again.
    """
    from daqsched import times
    from daqsched.logs import deadletters

    client, prefix = client_of(path, options)
    counts, still, lacks = [], {}, False
    try:
        if file is not None:
            with file.open(encoding="utf-8") as lines:
                found = list(deadletters.rows(lines, str(file)))
        else:
            chosen = deadletters.wanted(hosts, times.moment(since, time.time()) if since else None)
            found = []
            each = deadletters.letters(client, prefix, chosen)
            while not dry_run:
                part = list(islice(each, deadletters.PAGE))
                if not part:
                    break
                counted, refused = deadletters.replay(client, part, prefix)
                counts.append(counted)
                still.update({why: one for one, why in refused})
            if dry_run:
                found = list(each)
            lacks = _lacking(client, prefix, chosen.since)
        for at in range(0, len(found) if not dry_run else 0, deadletters.PAGE):
            counted, refused = deadletters.replay(client, found[at : at + deadletters.PAGE], prefix)
            counts.append(counted)
            still.update({why: one for one, why in refused})
    finally:
        client.close()
    if dry_run:
        whole = sum(1 for one in found if one.original)
        if as_json:
            print_json({"would": whole, "elsewhere": len(found) - whole})
        else:
            say(f"{plural(whole, 'line')} would be sent again; of {len(found) - whole} all is on their machines alone.")
        sys.exit(PARTIAL if lacks else 0)
    sums = deadletters.total(counts)
    if as_json:
        print_json(sums._asdict())
    else:
        say(
            f"{plural(sums.stored, 'line')} stored, {sums.found} were stored already, {sums.refused} are still refused"
            f"{f', of {sums.elsewhere} all is on their machines alone' if sums.elsewhere else ''}."
        )
        for why, one in islice(still.items(), 5):
            say(f"    {one.target}: {why}")
    if sums.refused or lacks:
        sys.exit(5 if sums.refused else PARTIAL)
