"""What somebody types at the terminal and nobody shall see."""

from __future__ import annotations

import getpass

import click


def typed_unseen(prompt: str) -> str:
    """The line, which is not empty. Raises ``click.Abort`` at the end of the file and at an interrupt.

    The terminal shows nothing any more *before* the prompt comes: click prints its own first, and what a quick hand or a program
    types in between is shown, and then thrown away with all that was typed before.
    """
    found = ""
    while not found:
        try:
            found = getpass.getpass(f"{prompt}: ")
        except (EOFError, KeyboardInterrupt):
            raise click.Abort from None
    return found
