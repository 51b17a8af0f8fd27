"""The table of docs/reference/elasticsearch.md: each error has a test that is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = (ROOT / "docs" / "reference" / "elasticsearch.md").read_text(encoding="utf-8")
TABLE = PAGE.partition("## What happens on each error")[2].partition("\n## ")[0]
ROWS = [row for row in TABLE.splitlines() if row.startswith("| ") and not row.startswith(("| ---", "| what "))]


def test_there_are_rows() -> None:
    """Else the test below would be content with nothing."""
    assert len(ROWS) > 15


@pytest.mark.parametrize("row", ROWS)
def test_the_tests_that_a_row_names_are_there(row: str) -> None:
    """``FILE::TEST``, one or more."""
    named = re.findall(r"`(tests/[\w/.]+)::(\w+)`", row.rpartition(" | ")[2])
    assert named
    for file, name in named:
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
