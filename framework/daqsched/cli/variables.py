"""What a job file leaves to shifters: which variables they may set, and setting them."""

from __future__ import annotations

import shlex
import sys
from typing import Optional, Sequence

import click

from daqsched.cli.confirming import confirmed, stops_options
from daqsched.cli.farm import DIFFERENT
from daqsched.cli.options import history_message_option, json_option, look_option, part_option
from daqsched.cli.root import connect, main
from daqsched.cli.waiting import SETTLE_S, follow, wait_options
from daqsched.errors import UserError
from daqsched.farm_parts import NO_PART
from daqsched.settings import Where
from daqsched.terminal.out import canvas, print_json


@main.command()
@part_option("Only of this part of the farm; - is the one without a name.")
@json_option
@click.pass_obj
def variables(path: Where, part: Optional[str], as_json: bool) -> None:
    """Show what shifters may set, to what, and what it is now; `daqsched set` sets it."""
    from daqsched.terminal.show_rights import choices_table

    found = connect(path).choices(part)
    if as_json:
        print_json(found)
    else:
        canvas().print(choices_table(found))


@main.command("set")
@click.argument("settings", nargs=-1, required=True, metavar="NAME=VALUE...")
@part_option("The part of the farm, where several have such a variable; - is the one without a name.")
@click.option("--plan", "only_plan", is_flag=True, help="Only show what it would change; status as of `plan`.")
@history_message_option
@click.option(
    "--if-unchanged", default="", metavar="DIGEST", help="Refuse if another spec is in force than `--plan` saw."
)
@wait_options
@look_option
@stops_options
@json_option
@click.pass_obj
def set_(
    path: Where,
    settings: Sequence[str],
    part: Optional[str],
    only_plan: bool,
    message: str,
    if_unchanged: str,
    wait: bool,
    timeout: float,
    no_look: bool,
    yes: bool,
    stops: Optional[int],
    as_json: bool,
) -> None:
    """Set variables of the job file to values that whoever applied it has left to shifters: an apply of what the file is then.

    `daqsched variables` shows which there are. What is not named stays as it is set; how it goes over the farm is the file's.
    """
    from daqsched.choices import settings_of
    from daqsched.terminal import show_changes

    settings_of(settings)
    client = connect(path)
    if only_plan:
        if message or if_unchanged:
            raise UserError("--plan changes nothing: it takes no message and no --if-unchanged")
        found = client.plan_set(settings, part)
        if as_json:
            print_json(found)
        else:
            canvas().print(show_changes.plan_lines(found, asked=shlex.join(["daqsched", "set", *settings])))
        if found.changes:
            sys.exit(DIFFERENT)
        return
    applied = confirmed(lambda stops: client.set(settings, part, message, if_unchanged, stops, no_look), yes, stops)
    # where none was named the daemon has found out of which part it is
    follow(client, applied, (), part if part is not None else applied.part or NO_PART, wait, timeout, SETTLE_S, as_json)
