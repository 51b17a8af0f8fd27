"""The tables of docs/reference/jobfile.md: every option of every word, its default, and a test that is there."""

from __future__ import annotations

import ast
import inspect
import re
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any

import pytest

import daqsched

ROOT = Path(__file__).resolve().parent.parent.parent

#: What a job file may call, with its options.
WORDS: dict[str, type[Any]] = {
    name: kind for name in daqsched.__all__ if inspect.isclass(kind := getattr(daqsched, name)) and name != "Check"
}
OPTIONS = {f"{name}.{field.name}": field for name, kind in WORDS.items() for field in fields(kind) if field.init}

#: Option -> type, unit, default, meaning, test.
ROWS: dict[str, list[str]] = {
    found.group(1): [cell.strip() for cell in found.group(2).split("|")]
    for found in re.finditer(
        r"^\| `(\w+\.\w+)` \|(.*)\|$", (ROOT / "docs/reference/jobfile.md").read_text(encoding="utf-8"), re.MULTILINE
    )
}


def test_every_option_is_in_the_tables_and_nothing_else() -> None:
    """An option that nobody can read about is none."""
    assert set(ROWS) == set(OPTIONS)
    assert {len(cells) for cells in ROWS.values()} == {5}


def default_of(field: Field[Any]) -> str:
    """As the table has it."""
    if field.default_factory is not MISSING:
        return "`{}`"
    if field.default is MISSING:
        return "required"
    if isinstance(field.default, str):
        return f'`"{field.default}"`'
    return (
        f"`{type(field.default).__name__}()`"
        if field.name in ("resources", "restart", "stop", "syslog", "json", "journal")
        else f"`{field.default}`"
    )


@pytest.mark.parametrize("option", sorted(OPTIONS))
def test_its_default_is_the_true_one_and_its_meaning_is_said(option: str) -> None:
    """What the page promises is what an empty field means."""
    kind, unit, default, meaning, _ = ROWS[option]
    assert default == default_of(OPTIONS[option])
    assert kind and meaning
    assert ("seconds" in unit) == option.endswith("_s")


@pytest.mark.parametrize("option", sorted(OPTIONS))
def test_the_test_that_it_names_is_there(option: str) -> None:
    """``FILE::TEST`` of tests/cluster."""
    file, _, name = ROWS[option][4].strip("`").partition("::")
    assert file, f"no test on a real agent is named for {option}"
    tree = ast.parse((ROOT / "tests" / "cluster" / file).read_text(encoding="utf-8"))
    assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
