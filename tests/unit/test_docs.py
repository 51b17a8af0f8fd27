"""What the documentation shows is what the commands say."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from daqsched.cli import main

ROOT = Path(__file__).resolve().parent.parent.parent
COMMANDS = ROOT / "docs" / "reference" / "commands.md"
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


@pytest.mark.parametrize("page", sorted((ROOT / "docs").rglob("*.md")), ids=lambda page: page.name)
def test_tests_that_a_page_names_exist(page: Path) -> None:
    """A claim stands there with what shows it."""
    known: dict[str, set[str]] = {}
    for file in (ROOT / "tests").rglob("test_*.py"):
        known.setdefault(file.name, set()).update(re.findall(r"(?:def|class) ([tT]est\w+)\b", file.read_text()))
    for file_name, name in re.findall(
        r"(?:`|<!-- )(?:tests/\w+/)?(test_\w+\.py)(?:::(?:Test\w+::)?(\w+))?(?:`| -->)", page.read_text()
    ):
        assert file_name in known and (not name or name in known[file_name]), f"{file_name}::{name}"
