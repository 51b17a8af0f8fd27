"""`daqsched cert`: a farm's own authority, and certificates for its daemons."""

from __future__ import annotations

import datetime
import os
from pathlib import Path
from typing import Sequence

import click

from daqsched.cli.root import main
from daqsched.errors import UserError
from daqsched.terminal.out import say


@main.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.argument("names", nargs=-1, required=True)
@click.option("--days", default=365, show_default=True, help="How long the certificate counts, 825 at most.")
def cert(folder: Path, names: Sequence[str], days: int) -> None:
    """Make a certificate for a daemon that goes by NAMES (names or addresses), for `serve --web`, signed by the authority in
    FOLDER, which is made with the first one.

    FOLDER/ca.pem is for callers (--server-ca), FOLDER/NAME.pem and NAME.key for the daemon; FOLDER/ca.key signs and goes nowhere.
    """
    from daqsched.authority import KeyPair, make_authority, make_certificate
    from daqsched.whole_file import write_whole

    now = datetime.datetime.now(datetime.timezone.utc)
    if os.sep in names[0] or names[0].startswith((".", "*", "-")):
        raise UserError(f"{names[0]!r} can't be the first name: files are called by it")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        key, certificate = folder / "ca.key", folder / "ca.pem"
        if not certificate.exists() and not key.exists():
            made = make_authority(f"daqsched farm {now:%Y-%m-%d}", now)
            write_whole(key, made.key, 0o600)
            write_whole(certificate, made.certificate, 0o644)
            say(f"A new authority: {certificate} is for callers (--server-ca); {key} signs, keep it where few come.")
        pair = make_certificate(KeyPair(key.read_bytes(), certificate.read_bytes()), names, days, now)
        for suffix, text, mode in ((".key", pair.key, 0o600), (".pem", pair.certificate, 0o644)):
            write_whole(folder / f"{names[0]}{suffix}", text, mode, for_owner=True)
    except OSError as error:
        raise UserError(f"{error.filename or folder}: {error.strerror}") from error
    said = ", ".join(names)
    say(
        f"{folder / names[0]}.pem and {names[0]}.key are for {said}, {days} days: a daemon that has them reads them again."
    )
