"""The verbs that carry the state away and back: `backup`, `restore`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Optional

import click

from daqsched.cli.options import state_options
from daqsched.cli.root import connect, main
from daqsched.errors import UserError
from daqsched.plural import plural
from daqsched.settings import Where
from daqsched.terminal.out import say


@main.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--offline", is_flag=True, help="Read --state itself: for when no daemon runs.")
@state_options
@click.pass_obj
def backup(path: Where, file: Path, offline: bool, state: str, state_credentials: Optional[Path]) -> None:
    """Write the state into FILE: revisions, what runs where, who stopped what.

    The daemon is asked, and goes on meanwhile; it gives it to admins, or without `serve --rights` to root and its own account.
    FILE is readable by its owner alone: it holds the jobs' environment, secrets included.
    """
    from daqsched.store.backup import contents_of, pack, unpack

    if offline:
        from daqsched.offline import opened

        with opened(state, state_credentials, "daqsched backup", new=False) as store:
            data = pack(contents_of(store), time.time())
    else:
        data = connect(path).backup()
    about = _about(*unpack(data))  # before FILE, which may be a good one, is written over
    _write(file, data)
    say(f"{file}: {about}, {len(data) / 1024:.0f} KiB; it holds the jobs' environment, keep it secret")


@main.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--dry-run", is_flag=True, help="Only say what would change.")
@state_options
def restore(file: Path, dry_run: bool, state: str, state_credentials: Optional[Path]) -> None:
    """Restore the state from FILE, which `daqsched backup` wrote: it replaces what is there; also one of the other kind.

    No daemon may run on it. Tasks that began after the backup are found by the next daemon: adopted where they are desired,
    ended where not.
    """
    from daqsched.offline import opened
    from daqsched.store.backup import changes, contents_of, unpack

    try:
        label, then = unpack(file.read_bytes())
    except OSError as error:
        raise UserError(f"{file} can't be read: {error.strerror}") from error
    except UserError as error:
        raise UserError(f"{file}: {error}") from error
    say(f"{file}: {_about(label, then)}, written by daqsched {label.daqsched}")
    with opened(state, state_credentials, "daqsched restore", new=not dry_run) as store:
        found = changes(contents_of(store), then)
        for sentence in found:
            say(sentence)
        if not found:
            say(f"{state} is the same: nothing to change.")
        elif dry_run:
            say(f"Nothing was changed; without --dry-run {state} becomes this.")
        else:
            store.replace(then)
            say(f"{state} is restored; `daqsched serve` goes on from there.")


def _about(label: Any, contents: Any) -> str:
    """Of a backup, as `unpack` gives it."""
    from daqsched import times

    when = times.clock(label.time)
    return f"{plural(len(contents.revisions), 'revision')}, {plural(len(contents.records), 'instance')}, of {when}"


def _write(file: Path, data: bytes) -> None:
    """All of it or nothing, and for our own eyes: environments of programs are in it."""
    from daqsched.whole_file import write_whole

    try:
        write_whole(file, data)
    except OSError as error:
        raise UserError(f"{file} can't be written ({error.strerror}): give another FILE, or make room") from error
