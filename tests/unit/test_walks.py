"""The tables of docs/design/walks.md are what the code does."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = (ROOT / "docs" / "design" / "walks.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `([\w/]+\.py)` `([\w.]+)` \| (\w+)(?: `(\w+)`)? \|$", re.M)
Row = tuple[str, str, str, str]
WALKS: dict[str, list[Row]] = {part.partition("\n")[0].lower(): ROW.findall(part) for part in PAGE.split("\n## ")[1:]}


@cache
def tree(path: str) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"))


def function(path: str, name: str) -> ast.AST:
    """The function of that name, ``Class.name`` where it is in a class."""
    found: ast.AST = tree(path)
    for word in name.split("."):
        found = next(one for one in ast.iter_child_nodes(found) if getattr(one, "name", "") == word)
    return found


def named(node: ast.AST) -> set[str]:
    """What is named in it, without leading underscores."""
    words = {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}
    words |= {one.attr for one in ast.walk(node) if isinstance(one, ast.Attribute)}
    return {word.lstrip("_") for word in words}


def handles(path: str, event: str) -> set[str]:
    """What a table of handlers in that module has for an event."""
    return {
        ast.unparse(value).rpartition(".")[2]
        for one in ast.walk(tree(path))
        if isinstance(one, ast.Dict)
        for key, value in zip(one.keys, one.values)
        if key is not None and re.search(rf"\b{event}\b", ast.unparse(key))
    }


@pytest.mark.parametrize("walk", WALKS)
def test_each_hop_is_in_the_code(walk: str) -> None:
    """Each function is there, and names what leads on; that is the next one. Counted as the page's first table says."""
    rows = WALKS[walk]
    for (path, name, way, word), (to, then, _, _) in zip(rows, rows[1:]):
        here, there = function(path, name), function(to, then)
        last = then.rpartition(".")[2].lstrip("_")
        if way == "calls":
            assert word.lstrip("_") in named(here) and word.lstrip("_") == last, (name, word, then)
        elif way == "queue":
            assert word.lstrip("_") in named(here) & named(there), (name, word, then)
        elif way == "event":
            assert last in handles(path, word) and named(here) & {"HANDLERS", "STEPS"}, (name, word, then)
        else:
            assert way in ("returns", "Mesos"), way
    assert rows[-1][2] == "ends" and function(*rows[-1][:2])
    ways = [way for _, _, way, _ in rows[:-1]]
    hops, returns = len([way for way in ways if way != "returns"]), ways.count("returns")
    assert f"| {walk} | {hops} | {returns} |" in PAGE


def test_the_four_walks_are_there() -> None:
    """Also each row of the page is read."""
    assert [*WALKS] == ["a line", "an offer", "an apply", "a death"]
    assert sum(map(len, WALKS.values())) == PAGE.count(".py` `")


@pytest.mark.parametrize("page", sorted((ROOT / "docs" / "design").glob("*.md")), ids=lambda page: page.name)
def test_each_module_that_a_page_of_the_design_names_exists(page: Path) -> None:
    """So whoever adds something finds where in one look: `engine/farm.py`, `serve/*_api.py`."""
    folders = (
        "",
        "framework",
        "framework/daqsched",
        "executor/daqsched_executor",
        "executor/daqsched_executor/forward",
    )
    named_there = set(re.findall(r"`((?:[\w*]+/)+[\w*]+\.py)`", page.read_text(encoding="utf-8")))
    assert not [
        one for one in named_there if not any(list(ROOT.glob(f"{folder}/{one}".lstrip("/"))) for folder in folders)
    ]
