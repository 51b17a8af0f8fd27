"""`daqsched token`: ways in over the network, for people and programs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Optional, Sequence

import click

from daqsched.cli.options import json_option
from daqsched.cli.root import connect, main
from daqsched.errors import UserError
from daqsched.settings import Where
from daqsched.terminal.out import canvas, print_json, say

if TYPE_CHECKING:
    from daqsched.protocol import KnownToken

ROLES = ("viewer", "shifter", "expert", "admin")


@main.group()
def token() -> None:
    """Ways in over the network (`serve --web`), for people and programs; for admins."""


@token.command()
@click.argument("name")
@click.option("--role", type=click.Choice(ROLES), help="It gives no more than this role may; always said.")
@click.option(
    "--for",
    "whose",
    default="",
    metavar="WHO",
    help="Who has it: what rules give this person, account or identity it gives, too. Without: rules name token:NAME.",
)
@click.option("--expires", default="30d", show_default=True, metavar="SPAN", help="How long it counts: 8h, 30d.")
@json_option
@click.pass_obj
def create(path: Where, name: str, role: Optional[str], whose: str, expires: str, as_json: bool) -> None:
    """Make a token, and print it: once, and never again. Whoever has it may what it gives."""
    from daqsched.times import clock, span

    if role is None:
        raise UserError(f"say what it gives at most: --role {' or '.join(ROLES)}")
    made = connect(path).make_token(name, role, time.time() + span(expires), whose)
    if as_json:
        print_json(made)
        return
    say(made.token)
    about = f", for {whose}" if whose else f"; rules name it as token:{name}"
    say(f"The token {name} gives {role} at most, until {clock(made.made.until)}{about}.", err=True)
    say("It is not shown again: put it into a file of mode 600 (--token-file).", err=True)


@token.command("list")
@json_option
@click.pass_obj
def list_(path: Where, as_json: bool) -> None:
    """Show all tokens, also those that ended within 90 days; none is shown itself."""
    _show(connect(path).tokens(), as_json)


@token.command()
@click.argument("name")
@json_option
@click.pass_obj
def revoke(path: Where, name: str, as_json: bool) -> None:
    """Revoke token NAME, from now on."""
    found = connect(path).revoke_token(name)
    if as_json:
        print_json(found)
        return
    say(next((f"{one.ended}." for one in reversed(found) if one.name == name), f"{name} is revoked."))


def _show(tokens: Sequence[KnownToken], as_json: bool) -> None:
    if as_json:
        print_json(tokens)
        return
    from daqsched.terminal.show_rights import tokens_table

    canvas().print(tokens_table(tokens))
