"""The tables of docs/design/walks.md are what the code does."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from daqsched_executor.contract import Report
from daqsched_executor.life.commands import Spawn, Tell
from daqsched_executor.life.events import TASK_RUNNING, TASK_STARTING, Died
from pages import PAGES
from story import Story, kinds, payload

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = (ROOT / "docs" / "design" / "walks.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `([\w/]+\.py)` `([\w.]+)` \| (\w+)(?: `(\w+)`)? \|$", re.M)
#: The ways by the executor's loop, and what it is told them by.
LOOP = {"signal": "on_signals", "file": "watch"}
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


def called(node: ast.AST) -> set[str]:
    """What is called in it, also by `map`, without leading underscores; the name alone of a method."""
    found = set()
    for one in ast.walk(node):
        if isinstance(one, ast.Call):
            found |= {ast.unparse(to).rpartition(".")[2] for to in (one.func, *one.args[: _is_map(one.func)])}
    return {word.lstrip("_") for word in found}


def _is_map(function: ast.expr) -> bool:
    return isinstance(function, ast.Name) and function.id == "map"


def handles(path: str, event: str) -> set[str]:
    """What a table of handlers in that module has for an event."""
    return {
        ast.unparse(value).rpartition(".")[2]
        for one in ast.walk(tree(path))
        if isinstance(one, ast.Dict)
        for key, value in zip(one.keys, one.values)
        if key is not None and re.search(rf"\b{event}\b", ast.unparse(key))
    }


def told_to_loop(path: str, call: str, word: str) -> set[str]:
    """What a module gives the executor's loop to call, by `on_signals` or `watch`, at that signal or for that file."""
    calls = [one for one in ast.walk(tree(path)) if isinstance(one, ast.Call)]
    given: list[set[str]] = [
        set().union(*map(named, one.args)) for one in calls if ast.unparse(one.func).endswith(f"loop.{call}")
    ]
    return {name for names in given if word in names for name in names}


@pytest.mark.parametrize("walk", WALKS)
def test_each_hop_is_in_the_code(walk: str) -> None:
    """Each function is there, and does what leads on; that is the next one. Counted as the page's first table says."""
    rows = WALKS[walk]
    stack: list[tuple[str, str]] = [rows[0][:2]]
    for at, ((path, name, way, word), (to, then, _, _)) in enumerate(zip(rows, rows[1:])):
        here, there = function(path, name), function(to, then)
        word, last = word.lstrip("_"), then.rpartition(".")[2].lstrip("_")
        assert stack[-1] == (path, name)
        if way == "returns":
            while stack and stack[-1] != (to, then):
                stack.pop()
            assert stack, f"{name} was not called by {then}, nor by what that called"
            continue
        if way == "calls":
            assert word in called(here) and word == last, (name, word, then)
        elif way == "value":
            callers = [function(*one) for one in stack[-2:]]
            assert word in called(here) and word != last, (name, word, then)
            assert any(last in named(one) - called(one) for one in callers), (name, word, then)
        elif way == "queue":
            after = [function(*one[:2]) for one in rows[at + 2 : at + 3] if rows[at + 1][2] == "calls"]
            assert word in named(here) and any(word in named(one) for one in (there, *after)), (name, word, then)
        elif way in LOOP:
            assert last in told_to_loop(to, LOOP[way], word) and name == "Loop.run", (name, word, then)
        elif way == "event":
            assert last in handles(path, word) and named(here) & {"HANDLERS", "STEPS"}, (name, word, then)
        else:
            assert way == "Mesos", way
        stack = [*(stack if way in ("calls", "value", "event", *LOOP) else ()), (to, then)]
    assert rows[-1][2] == "ends" and function(*rows[-1][:2])
    ways = [way for _, _, way, _ in rows[:-1]]
    hops, returns = len([way for way in ways if way != "returns"]), ways.count("returns")
    assert f"| {walk} | {hops} | {returns} |" in PAGE


def test_what_is_named_is_not_what_is_called() -> None:
    """A value may be called by somebody else, or never."""
    code = ast.parse("self.hear(self._reap); put(make(1)); tuple(map(offer_of, all)); send = self.post")
    assert called(code) == {"hear", "put", "make", "tuple", "map", "offer_of"}
    assert {"reap", "post"} <= named(code)


def test_a_first_death_is_told_with_the_start_after_it() -> None:
    """Not by itself: in the middle of the walk there is no report. The second one is told at once."""
    story = Story(payload())
    story.run()
    commanded = story.happen(Died(code=1))
    assert kinds(commanded) == [Spawn]
    (told,) = [one for one in story.run() if isinstance(one, Tell)]
    assert told.task_state == TASK_RUNNING and isinstance(told.report, Report)
    assert told.report.last_exit is not None and told.report.last_exit.code == 1
    (told,) = [one for one in story.happen(Died(code=2)) if isinstance(one, Tell)]
    assert told.task_state == TASK_STARTING and isinstance(told.report, Report) and told.report.activity == "backoff"


def test_the_walks_are_there() -> None:
    """Also each row of the page is read."""
    assert [*WALKS] == ["a line", "an offer", "an apply", "a first death", "a death", "the end of a task"]
    assert sum(map(len, WALKS.values())) == PAGE.count(".py` `")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_module_that_a_page_names_exists(page: Path) -> None:
    """So whoever adds something finds where in one look: `engine/farm.py`, `serve/*_api.py`."""
    folders = (
        "",
        "framework",
        "framework/daqsched",
        "executor",
        "executor/daqsched_executor",
        "executor/daqsched_executor/forward",
    )
    named_there = set(re.findall(r"`((?:[\w*]+/)+[\w*]+\.py)`", page.read_text(encoding="utf-8")))
    assert not [
        one for one in named_there if not any(list(ROOT.glob(f"{folder}/{one}".lstrip("/"))) for folder in folders)
    ]
