"""`daqsched audit`: who changed what and who was refused, and whether that is still what was written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from daqsched.cli.root import json_option, main
from daqsched.errors import UserError
from daqsched.settings import state_dir
from daqsched.terminal.out import print_json, say

if TYPE_CHECKING:
    from daqsched.serve.audit_verify import Verified


@main.group()
def audit() -> None:
    """Who changed what, and who was refused."""


@audit.command()
@click.argument("files", nargs=-1, metavar="[FILE...]", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--hash", "expect", default="", metavar="HASH", help="One line has to have this hash, which was noted down."
)
@json_option
def verify(files: tuple[Path, ...], expect: str, as_json: bool) -> None:
    """Say how many lines are as they were written, and the first place where one was changed, removed or inserted, or is missing;
    status 1 then. No daemon is needed.

    FILEs are the oldest first; without: audit.ndjson in the state's folder, and those of it that were set aside.
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
    count = f"{found.lines} lines are" if found.lines != 1 else "1 line is"
    numbers = f": {found.first} to {found.last}, from {found.since} to {found.until}" if found.lines else ""
    say(f"{count} whole{numbers}")
    if found.without:
        say(f"{found.without} lines before them have no hashes")
    if found.gaps:
        say(f"{found.gaps} more are in the daemon's log alone: the file could not be written then")
    broken = found.broken
    if broken is None:
        say(f"hash of the last: {found.hash}")
        return
    place = f"{broken.file}:{broken.line}" if broken.line else f"the end of {broken.file}"
    say(f"{place}: {broken.kind}: {broken.why}")
