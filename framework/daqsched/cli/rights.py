"""`daqsched rights`: who may do what, and why not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Optional

import click

from daqsched.cli.root import connect, json_option, main
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
@json_option
@click.pass_obj
def why(path: Where, user: str, verb: Optional[str], target: Optional[str], as_json: bool) -> None:
    """Whether USER may VERB a job, and by which rule not. USER is a person of the file, an account, or an identity with its prefix
    (token:wall-1); "-" is who asks."""
    from daqsched.rights.verbs import VERBS

    if verb is not None and verb not in VERBS:
        raise UserError(f"{verb!r} can't be asked for: one of {', '.join(VERBS)}")
    job, _, host = (target or "").partition("@")
    answer = connect(path).rights("" if user == "-" else user, job, host)
    if verb is None or as_json or not answer.in_force:
        _show(answer, as_json)
        return
    reason = answer.verbs.get(verb, f"this daemon does not know {verb!r}: it is of another version")
    it = target or "the farm"
    say(reason or f"{answer.name} may {VERBS[verb].does.format(it=it)}.")
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
