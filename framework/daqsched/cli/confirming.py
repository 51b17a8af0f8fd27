"""That running programs may end: said beforehand, or asked of whoever sits at the terminal."""

from __future__ import annotations

from typing import Callable, Optional, TypeVar

import click

from daqsched.cli.options import Command, at_least
from daqsched.terminal.out import capital, interactive, said_yes, say

Answer = TypeVar("Answer")


def stops_options(command: Command) -> Command:
    """How whoever asks says that programs may end: ``yes``, ``stops``; for `confirmed`."""
    command = click.option(
        "--stops",
        type=int,
        metavar="N",
        callback=at_least(0),
        help="For programs: up to N running programs may end at once, else nothing is done.",
    )(command)
    return click.option("--yes", is_flag=True, help="Do not ask, however many running programs end.")(command)


def confirmed(ask: Callable[[Optional[int]], Answer], yes: bool, stops: Optional[int]) -> Answer:
    """What the daemon answers; where more would end than ends unasked, whoever sits at the terminal is shown it, and asked.

    ``ask`` is given how many may end, None where nothing was said. Raises `Refused`, `NotConfirmed` where nobody can be asked.
    """
    from daqsched.confirm import ALL, NotConfirmed
    from daqsched.errors import Refused, UserError

    if yes and stops is not None:
        raise UserError("--yes and --stops: give one of them")
    agreed = ALL if yes else stops
    while True:
        try:
            return ask(agreed)
        except NotConfirmed as error:
            if yes or stops is not None or not interactive():
                raise
            said = f"{capital(error.paused)}." if error.paused else ""
            say(*filter(None, [said]), *(f"  {one.words()}" for one in error.endings), err=True)
            of = f" of {error.running}" if error.running else " of the"
            ends = f"This ends {error.stops}{of} running programs at once. " if error.endings else ""
            if not said_yes(f"{ends}Go on? [y/N] "):
                raise Refused("not done: nothing was changed") from error
            agreed = error.stops
