"""`daqsched control`: who is in control of the farm or of a part of it, so that nobody else changes jobs there."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Optional

import click

from daqsched.cli.options import json_option, message_option, part_option
from daqsched.cli.root import connect, main
from daqsched.settings import Where
from daqsched.terminal.out import print_json, say

if TYPE_CHECKING:
    from daqsched.control import ControlAnswer

_PART = "Of this part of the farm; - is the one without a name.  [default: of the farm]"


@main.group(invoke_without_command=True, subcommand_metavar="[COMMAND] [ARGS]...")
@click.pass_context
def control(ctx: click.Context) -> None:
    """Show who is in control, of the farm or of a part: nobody else changes jobs of it meanwhile. See also take and give."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(who, part=None, as_json=False)


@control.command()
@part_option("Only who is in control of this part; - is the one without a name.")
@json_option
@click.pass_obj
def who(path: Where, part: Optional[str], as_json: bool) -> None:
    """Show who is in control, since when and until when."""
    found = connect(path).control(part)
    if as_json:
        print_json(found)
    else:
        _show(found, part)


@control.command()
@part_option(_PART)
@click.option("--for", "for_", default="8h", show_default=True, metavar="SPAN", help="For how long: 1m to 24h.")
@message_option
@click.option("--force", is_flag=True, help="Also where somebody else is in control, who is shown why: -m.")
@json_option
@click.pass_obj
def take(path: Where, part: Optional[str], for_: str, message: str, force: bool, as_json: bool) -> None:
    """Be in control: until the time is up or you give it back nobody else changes jobs of the farm, or of the part.

    What is looked at, notes and proposals are free for all. Whoever is in control takes it again to have it for longer.
    """
    from daqsched.control import command, lease
    from daqsched.farm_parts import read

    found = connect(path).take(part, lease(for_), message, force)
    if as_json:
        print_json(found)
        return
    _show(found, None)
    say(f"`{command('give', None if part is None else read(part))}` gives it back.", err=True)


@control.command()
@click.argument("to", default="", metavar="[WHO]")
@part_option(_PART)
@message_option
@json_option
@click.pass_obj
def give(path: Where, to: str, part: Optional[str], message: str, as_json: bool) -> None:
    """Release control, or hand it to WHO, a person or an account, for the remaining time.

    Who is in control of the farm may give away a part of it.
    """
    found = connect(path).give(part, to, message)
    if as_json:
        print_json(found)
    else:
        _show(found, None)


def _show(found: ControlAnswer, part: Optional[str]) -> None:
    say(*(one.words() for one in found.control))
    if not found.control:
        of = f" of {shlex.quote(part)}" if part else ""
        say(f"Nobody is in control{of}: who may do what is as the rights say.")
