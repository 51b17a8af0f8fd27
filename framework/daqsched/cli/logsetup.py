"""`daqsched logs setup` and `expire`: what Elasticsearch is told of our indices."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, Callable, Optional

import click

from daqsched.cli.logs import logs
from daqsched.cli.options import access_options, json_option
from daqsched.cli.root import connect
from daqsched.settings import Where
from daqsched.terminal.out import print_json, say

if TYPE_CHECKING:
    from daqsched.logs.elastic import Elastic
    from daqsched.logs.setup import Step

_MARKS = {"done": "done", "would": "would", "already": "ok", "refused": "NO", "note": "note"}


def elasticsearch_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say which Elasticsearch is meant, and how it is asked."""
    for option in (
        click.option("--index", default="", help="First part of the index names [default: the daemon's]."),
        access_options,
        click.option(
            "--elasticsearch", envvar="DAQSCHED_ELASTICSEARCH", default="", help="URL [default: the daemon's]."
        ),
    ):
        command = option(command)
    return command


def client_of(path: Where, options: dict[str, Any]) -> tuple[Elastic, str]:
    """A client for what `elasticsearch_options` say, and the first part of the index names."""
    from daqsched.errors import UserError
    from daqsched.logs.elastic import Elastic
    from daqsched_executor.contract.forwarding import Access

    elasticsearch, index = options["elasticsearch"], options["index"]
    if not elasticsearch or not index:
        info = connect(path).info()
        elasticsearch, index = elasticsearch or info.elasticsearch, index or info.index
    if not elasticsearch:
        raise UserError("there is no Elasticsearch: name one with --elasticsearch, or to the daemon (daqsched serve)")
    return Elastic(elasticsearch, Access(options["ca"], options["user_file"], options["api_key_file"]), 30.0), index


@logs.command()
@click.option("--keep", help="How long lines are kept: 12h, 30d, or forever [default: as it is].")
@click.option(
    "--replicas", type=click.IntRange(-1, 20), help="Copies beside the first; -1: one if there are two nodes."
)
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@elasticsearch_options
@json_option
@click.pass_obj
def setup(
    path: Where, /, keep: Optional[str], replicas: Optional[int], dry_run: bool, as_json: bool, **options: Any
) -> None:
    """Install or update the index templates, and how long lines are kept.

    Where Elasticsearch has index lifecycle management it deletes old indices itself; else `daqsched logs expire` does.
    A second call without options changes nothing.
    """
    from daqsched.logs.retention import kept
    from daqsched.logs.setup import Setup

    client, prefix = client_of(path, options)
    try:
        _show(Setup(client, prefix, dry_run).run(None if keep is None else kept(keep), replicas), as_json)
    finally:
        client.close()


@logs.command()
@click.option("--keep", help="How long lines are kept: 12h, 30d [default: what `setup` was told].")
@click.option("--dry-run", is_flag=True, help="Say what would be deleted, and delete nothing.")
@elasticsearch_options
@json_option
@click.pass_obj
def expire(path: Where, /, keep: Optional[str], dry_run: bool, as_json: bool, **options: Any) -> None:
    """Delete the indices whose every line is older than what is kept.

    For an Elasticsearch without index lifecycle management; the daemon does it each hour. Only indices whose names are
    INDEX-DATE or INDEX-deadletter-DATE are looked at.
    """
    from daqsched.logs.retention import kept
    from daqsched.logs.setup import Setup

    client, prefix = client_of(path, options)
    try:
        _show(Setup(client, prefix, dry_run).expire(None if keep is None else kept(keep), time.time()), as_json)
    finally:
        client.close()


def _show(steps: list[Step], as_json: bool) -> None:
    """Ends with 5 where something was refused."""
    if as_json:
        print_json([step._asdict() for step in steps])
    else:
        for step in steps:
            say(f"{_MARKS[step.outcome]:6}{step.what}{': ' if step.detail else ''}{step.detail}")
    if any(step.outcome == "refused" for step in steps):
        sys.exit(5)
