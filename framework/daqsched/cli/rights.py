"""`daqsched rights`: who may do what, and why not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Optional

import click

from daqsched.cli.root import connect, json_option, main, part_option
from daqsched.errors import UserError
from daqsched.settings import Where
from daqsched.terminal.out import canvas, print_json, say

if TYPE_CHECKING:
    from daqsched.protocol import RightsAnswer


@main.group(invoke_without_command=True)
@json_option
@click.pass_context
def rights(context: click.Context, as_json: bool) -> None:
    """Who may do what. Without a verb: what you may do to the farm as a whole."""
    if context.invoked_subcommand is None:
        _show(connect(context.obj).rights(), as_json)


@rights.command()
@click.argument("user")
@click.argument("verb", required=False)
@click.argument("target", required=False, metavar="[JOB[@HOST]]")
@part_option("Of `set`: the part of the farm that has the variable.")
@json_option
@click.pass_obj
def why(path: Where, user: str, verb: Optional[str], target: Optional[str], part: Optional[str], as_json: bool) -> None:
    """Whether USER may VERB a job, and by which rule not. USER is a person of the file, an account, or an identity with its prefix
    (token:wall-1); "-" is who asks. Of `set` the job is a variable: whether USER may set it, with all that comes of that."""
    from daqsched.rights.verbs import VERBS

    if verb is not None and verb not in VERBS:
        raise UserError(f"{verb!r} can't be asked for: one of {', '.join(VERBS)}")
    job, _, host = (target or "").partition("@")
    who = "" if user == "-" else user
    of_variable = verb == "set" and target is not None
    client = connect(path)
    answer = client.rights(who, variable=target, part=part) if of_variable else client.rights(who, job, host)
    if verb is None or as_json or not answer.in_force:
        _show(answer, as_json)
        return
    reason = answer.verbs.get(verb, f"this daemon does not know {verb!r}: it is of another version")
    it = target or "the farm"
    does = f"set {it}" if of_variable else VERBS[verb].does.format(it=it)
    say(reason or f"{answer.name} may {does}.")
    if reason:
        raise SystemExit(5)


@rights.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def check(file: Path) -> None:
    """Say what is wrong in FILE, each mistake with its line and field; nothing is changed."""
    from daqsched.rights.rules import read

    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{file} can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{file} is not UTF-8 text: {error.reason}") from error
    found = read(text, str(file))
    say(f"No mistake: {len(found.rules)} rules, {len(found.people)} people, {len(found.groups)} groups.")


def _show(answer: RightsAnswer, as_json: bool) -> None:
    if as_json:
        print_json(answer)
        return
    if not answer.in_force:
        say(f"{answer.name} may all: this farm has no file of rights (`daqsched serve --rights`).")
        return
    from daqsched.terminal.show_rights import table

    canvas().print(table(answer))
    if answer.trouble:
        say(answer.trouble, err=True)
