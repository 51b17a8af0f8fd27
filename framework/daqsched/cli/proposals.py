"""Proposals: somebody who may not apply a file says what is to be applied, and somebody who may does it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Optional, Sequence

import click

from daqsched.cli.confirming import confirmed, stops_options
from daqsched.cli.farm import DIFFERENT
from daqsched.cli.jobfiles import evaluated
from daqsched.cli.options import (
    history_message_option,
    json_option,
    look_option,
    message_option,
    only_option,
    part_options,
    set_option,
    strategy_of,
    strategy_options,
)
from daqsched.cli.root import connect, main
from daqsched.cli.waiting import SETTLE_S, follow, wait_options
from daqsched.errors import Refused, UserError
from daqsched.farm_parts import NO_PART
from daqsched.limits import whole
from daqsched.proposals import NO_SUCH
from daqsched.settings import Where
from daqsched.terminal.out import canvas, interactive, print_json, said_yes, say


def _number(ctx: click.Context, option: click.Parameter, value: str) -> int:
    """That of a proposal; 0: none is named. One that can't be is as one that does not exist."""
    found = whole(value)
    if value and (found is None or not 0 < found < 10**15):
        raise UserError(NO_SUCH)
    return found or 0


_NUMBER = click.argument("number", callback=_number)


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@history_message_option
@set_option
@only_option
@part_options
@strategy_options()
@click.option("--allow-empty", is_flag=True, help="Allow a file without jobs (stops everything).")
@json_option
@click.pass_obj
def propose(
    path: Where,
    file: Path,
    message: str,
    settings: Sequence[str],
    only: Sequence[str],
    part: Optional[str],
    take: Sequence[str],
    batches: Optional[str],
    ready: Optional[float],
    pause_after: Sequence[int],
    allow_empty: bool,
    as_json: bool,
) -> None:
    """Propose what `apply` of FILE would do to somebody who may: nothing is changed before he approves it.

    It is shown what would change. A proposal waits for four days.
    """
    from daqsched.terminal import show_proposals

    spec, choices = evaluated(file, settings, part)
    strategy = strategy_of(spec.rollout, batches, ready, pause_after)
    client = connect(path)
    found = client.propose(spec, message, only, take, strategy, allow_empty)
    if as_json:
        print_json(found)
        return
    canvas().print(show_proposals.proposal_lines(found, mine=True))
    if choices is not None and not only:
        say("What the file leaves to shifters is not proposed: that takes an apply.", err=True)


@main.command()
@click.argument("number", callback=_number, default="", metavar="[NUMBER]")
@json_option
@click.pass_obj
def proposals(path: Where, number: int, as_json: bool) -> None:
    """Show what waits to be approved, and what became of the rest; with NUMBER what that one would change now.

    With NUMBER it ends with status 6 where something would change, 0 where nothing would.
    """
    from daqsched.terminal import show_proposals

    client = connect(path)
    found: Any = client.proposals() if not number else client.proposal(number)
    if as_json:
        print_json(found)
    else:
        lines = show_proposals.proposals_table if not number else show_proposals.proposal_lines
        canvas().print(lines(found))
    if number and found.plan.changes:
        sys.exit(DIFFERENT)


@main.command()
@_NUMBER
@message_option
@strategy_options("as it was proposed", "as it was proposed")
@click.option(
    "--if-unchanged",
    default="",
    metavar="DIGEST",
    help="Do not ask; refuse if another spec is in force than `proposals NUMBER` saw.",
)
@wait_options
@look_option
@stops_options
@json_option
@click.pass_obj
def approve(
    path: Where,
    number: int,
    message: str,
    batches: Optional[str],
    ready: Optional[float],
    pause_after: Sequence[int],
    if_unchanged: str,
    wait: bool,
    timeout: float,
    no_look: bool,
    yes: bool,
    stops: Optional[int],
    as_json: bool,
) -> None:
    """Apply the proposal NUMBER, in your name: what it changes now is shown, and asked about.

    It takes the rights that an apply of it takes. Refused where the farm has changed since it was shown.
    """
    from daqsched.terminal import show_proposals

    client = connect(path)
    found = client.proposal(number)
    one = found.proposal
    strategy = strategy_of(one.strategy or found.spec.rollout, batches, ready, pause_after)
    if not if_unchanged:
        if not as_json:
            canvas(stderr=True).print(show_proposals.proposal_lines(found))
        if found.plan.refused:
            raise Refused(found.plan.refused)
        if not yes:
            if not interactive():
                raise UserError(
                    f"nobody can be asked here: say what was looked at with --if-unchanged {found.plan.base}, or --yes"
                )
            if not said_yes(f"Approve proposal {number} by {one.user}? [y/N] "):
                raise Refused("not done: nothing was changed")
    base = if_unchanged or found.plan.base
    applied = confirmed(
        lambda stops: client.approve(number, one.digest, base, message, strategy, stops, no_look), yes, stops
    )
    follow(client, applied, one.only, one.part or NO_PART, wait and bool(found.spec.jobs), timeout, SETTLE_S, as_json)


@main.command()
@_NUMBER
@message_option
@json_option
@click.pass_obj
def reject(path: Where, number: int, message: str, as_json: bool) -> None:
    """Say no to the proposal NUMBER; for whoever may apply it."""
    _closed(connect(path).reject(number, message), f"Proposal {number} is rejected.", as_json)


@main.command()
@_NUMBER
@message_option
@json_option
@click.pass_obj
def withdraw(path: Where, number: int, message: str, as_json: bool) -> None:
    """Take the proposal NUMBER back, which is your own."""
    _closed(connect(path).withdraw(number, message), f"Proposal {number} is withdrawn.", as_json)


def _closed(found: Any, sentence: str, as_json: bool) -> None:
    if as_json:
        print_json(found)
    else:
        say(sentence)
