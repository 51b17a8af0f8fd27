"""`daqsched password`: names and passwords of those who log in over the network."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from daqsched.cli.root import main
from daqsched.errors import UserError
from daqsched.terminal.out import say


@main.command()
@click.argument("user")
@click.option(
    "--file",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="DAQSCHED_PASSWORDS",
    required=True,
    help="The file, mode 600; made where it is not there [env: DAQSCHED_PASSWORDS].",
)
@click.option("--remove", is_flag=True, help="Take the password away: USER is logged out, and logs in no more.")
def password(user: str, file: Path, remove: bool) -> None:
    """Set the password by which USER logs in (`serve --passwords`): typed twice, or a line of the standard input. The
    file keeps what argon2id makes of it. Sessions of USER end."""
    from daqsched.passwords import write
    from daqsched.terminal.unseen import typed_unseen

    if remove:
        write(file, user, None)
        say(f"{user} has no password any more.")
        return
    if sys.stdin.isatty():
        text = typed_unseen("Password")
        if typed_unseen("The same again") != text:
            raise UserError("the two differ: nothing was changed")
    else:
        text = sys.stdin.readline(5000).rstrip("\n")
    write(file, user, text)
    say(f"{user} logs in with the new password; to rules that is password:{user}.")
