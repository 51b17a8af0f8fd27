"""What the documentation shows is what the commands say."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from daqsched.cli import main

COMMANDS = Path(__file__).resolve().parent.parent.parent / "docs" / "reference" / "commands.md"
SHOWN = re.compile(r"^#+ daqsched ?([a-z ]*)\n\n```text\n(.*?)```$", re.M | re.S)


#: Each command, those of a group (``daqsched logs``) with the group's name.
NAMES = ["", *sorted(main.commands)]
NAMES += [
    f"{name} {verb}"
    for name, command in main.commands.items()
    if isinstance(command, click.Group)
    for verb in command.commands
]


@pytest.mark.parametrize("name", NAMES)
def test_the_help_of_every_command_is_in_the_documentation(name: str) -> None:
    """To the letter, so that nobody reads of an option that is gone."""
    shown = dict(SHOWN.findall(COMMANDS.read_text(encoding="utf-8")))
    helped = CliRunner().invoke(main, [*name.split(), "--help"], prog_name="daqsched", terminal_width=80)
    assert shown.get(name, f"docs/reference/commands.md has no help of {name!r}") == helped.output
