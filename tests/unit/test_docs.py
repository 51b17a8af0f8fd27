"""What the documentation shows is what the commands say."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from daqcluster.cli import main as cluster
from daqsched.cli import main
from verbs import verbs

ROOT = Path(__file__).resolve().parent.parent.parent
COMMANDS = ROOT / "docs" / "reference" / "commands.md"
SHOWN = re.compile(r"^#+ daqsched ?([a-z ]*)\n\n```text\n(.*?)```$", re.M | re.S)


#: Each command, those of a group (``daqsched logs``) with the group's name.
NAMES = ["", *sorted(verbs(main))]
NAMES += [f"{name} {verb}" for name, command in verbs(main).items() for verb in verbs(command)]


@pytest.mark.parametrize("name", NAMES)
def test_the_help_of_every_command_is_in_the_documentation(name: str) -> None:
    """To the letter, so that nobody reads of an option that is gone."""
    shown = dict(SHOWN.findall(COMMANDS.read_text(encoding="utf-8")))
    helped = CliRunner().invoke(main, [*name.split(), "--help"], prog_name="daqsched", terminal_width=80)
    assert shown.get(name, f"docs/reference/commands.md has no help of {name!r}") == helped.output


@cache
def names_of_tests() -> dict[str, set[str]]:
    """The names of all."""
    known: dict[str, set[str]] = {}
    for file in (ROOT / "tests").rglob("test_*.py"):
        known.setdefault(file.name, set()).update(re.findall(r"(?:def|class) ([tT]est\w+)\b", file.read_text()))
    return known


@pytest.mark.parametrize("page", sorted((ROOT / "docs").rglob("*.md")), ids=lambda page: page.name)
def test_tests_that_a_page_names_exist(page: Path) -> None:
    """A claim stands there with what shows it."""
    known = names_of_tests()
    for file_name, name in re.findall(
        r"(?:`|<!-- )(?:tests/\w+/)?(test_\w+\.py)(?:::(?:Test\w+::)?(\w+))?(?:`| -->)", page.read_text()
    ):
        assert file_name in known and (not name or name in known[file_name]), f"{file_name}::{name}"


def options_of(page: str, header: str) -> set[str]:
    """The options in the first column of the page's table with that header."""
    table = (ROOT / "docs" / page).read_text(encoding="utf-8").partition(f"\n| {header} |")[2].partition("\n\n")[0]
    rows = [row.split("|")[1] for row in table.splitlines() if row.startswith("|")]
    return {option for cell in rows for option in re.findall(r"`(--[\w-]+)", cell)}


def test_the_tables_of_options_have_all_of_them() -> None:
    """Those of `serve`, and those of `daqcluster` and its commands; no option that is gone."""
    serve = {option for parameter in verbs(main)["serve"].params for option in parameter.opts if option[:2] == "--"}
    assert options_of("operate/farm.md", "option | default | meaning") == serve
    commands = [cluster, *(command for name, command in cluster.commands.items() if name != "machines")]
    known = {option for command in commands for parameter in command.params for option in parameter.opts}
    assert options_of("reference/daqcluster.md", "option | of | default | meaning") == {
        option for option in known if option[:2] == "--"
    }


@cache
def variables() -> set[str]:
    """All words of the sources, and of the commands' options, that look like a variable of the environment."""
    sources = [
        file
        for folder in ("framework", "executor", "vagrant", "scripts", "tests")
        for file in (ROOT / folder).rglob("*")
    ]
    code = "\n".join(file.read_text(errors="replace") for file in sources if file.is_file() and file.suffix != ".pyc")
    logs = verbs(main)["logs"]
    assert isinstance(logs, click.Group)
    commands = [*verbs(main).values(), *verbs(logs).values()]
    code += "\n" + "\n".join(str(parameter.envvar) for command in commands for parameter in command.params)
    return set(re.findall(r"\bDAQ(?:SCHED|CLUSTER)_\w+", code))


@pytest.mark.parametrize("page", sorted((ROOT / "docs").rglob("*.md")), ids=lambda page: page.name)
def test_every_variable_of_the_environment_is_one(page: Path) -> None:
    """By its whole name."""
    named = re.findall(r"`(DAQ(?:SCHED|CLUSTER)_[A-Z_]*[A-Z]\d*)", page.read_text(encoding="utf-8"))
    assert not set(named) - variables()
