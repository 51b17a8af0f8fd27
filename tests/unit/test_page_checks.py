"""What looks at the pages (tests/pages.py, command_lines.py, messages.py, tutorial.py) finds what is wrong."""

from __future__ import annotations

import pytest

from command_lines import mistake, ours
from messages import unexplained
from pages import NOT_OURS, Block, blocks, denials, indented, listed
from tutorial import Typed, answers, steps


@pytest.mark.parametrize(
    ("text", "denies"),
    [
        ("It has no roles.", True),
        ("Nothing can be changed in it.", True),
        ("Images are not pulled: load them.", True),
        ("`serve` has no page yet.", True),
        ("Nothing acts on them yet.", True),
        ("- It speaks no TLS to Mesos.", True),
        ("| a host | its jobs are never started elsewhere |", True),
        ("| does not answer | waits |", False),
        ("Where the master does not answer, it waits.", False),
        ("Who does not know it can change it.", False),
        ("It prints `this is not all`.", False),
        ("# What it does not do", False),
        ("It waits.", False),
    ],
)
def test_a_sentence_that_denies_is_told_from_one_that_does_not(text: str, denies: bool) -> None:
    """Conditions and quotations deny nothing."""
    assert bool(list(denials(f"{text}\n"))) is denies


def test_a_mark_belongs_to_the_sentence_before_it() -> None:
    """And one above a table to all of its rows; a test that a paragraph names is for all of it."""
    page = """It has no roles. <!-- test_a.py::test_b --> It has no page. It
is no database. <!-- not ours -->

It has no queue (`test_c.py::test_d`).

<!-- test_e.py -->

| a | it has no x |
"""
    found = {one.text: one.marks for one in denials(page)}
    assert found == {
        "It has no roles.": ("test_a.py::test_b",),
        "It has no page.": (),
        "It is no database.": (NOT_OURS,),
        "It has no queue (`test_c.py::test_d`).": ("test_c.py::test_d",),
        "| a | it has no x |": ("test_e.py",),
    }


def test_blocks_are_found_with_their_kinds_and_lines() -> None:
    """Also in a list, and those that no reader sees."""
    page = (
        "```sh crew\na\n```\n\n- b\n\n  ```text\n  c\n  ```\n\n<!-- python jobs.py\nd\n-->\n\n<!-- console\n$ e\n-->\n"
    )
    assert list(blocks(page)) == [
        Block("sh", "crew", "a\n", 2),
        Block("text", "", "c\n", 8),
        Block("python", "jobs.py", "d\n", 12),
        Block("console", "", "$ e\n", 16),
    ]
    assert not indented(page) and indented("a\n\n    b\n") == [3]


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("daqsched status readout", ""),
        ("daqsched statsu", "no command"),
        ("daqsched apply jobs.py --no-wiat", "No such option"),
        ("daqsched apply", "Missing"),
        ("daqsched logs setup --keep 30d", ""),
        ("daqsched history -n many", "not a valid integer"),
        ("daqcluster up --launcher windows", "windows"),
        ("/opt/daqsched/bin/daqsched-executor forward --chekc", "--chekc"),
        ("make runn", "no target"),
        ("scripts/gone", "no scripts/gone"),
        ("cd /tmp && A=1 daqsched statsu | tail", "no command"),
        ("echo daqsched statsu", None),
    ],
)
def test_a_command_line_that_nobody_can_type_is_found(line: str, wrong: str | None) -> None:
    """By the parser of the command itself; None: there is no command of ours in it."""
    found = list(ours(line))
    assert len(found) == (wrong is not None)
    for words in found:
        assert (
            wrong is not None
            and wrong in mistake(words, whole=True)
            and bool(wrong) == bool(mistake(words, whole=True))
        )


@pytest.mark.parametrize(
    ("shown", "left"),
    [
        ("no offer from hlt99 (none since this daemon started): is its agent up?", []),
        ("no offer of hlt99 (none since this daemon started): is its agent up?", ["no"]),
        ("not enough memory: needs 1056 MiB, 512 MiB free", []),
        ("too little memory: needs 1056 MiB, 512 MiB free", ["memory"]),
    ],
)
def test_a_sentence_that_nothing_prints_is_found(shown: str, left: list[str]) -> None:
    """Values may be any; each word that is ours must be there."""
    assert set(left) <= set(unexplained(shown)) and bool(left) == bool(unexplained(shown))


@pytest.mark.parametrize(
    ("shown", "said", "copied"),
    [
        (['{"id":"a1","hosts":1}'], '{"id":"b2","hosts":3}', {"a1": "b2"}),
        (['{"count":1}'], '{"count":2}', None),
        (['{"a":"x",', ' "…":"…"}'], '{"a":"x","b":1}', {}),
        (['{"a":"x"}'], '{"a":"x","b":1}', None),
        (['{"a":[1,2]}'], '{"a":[1]}', None),
        (['{"why":"/bin/a … missing"}'], '{"why":"/bin/a is missing"}', {}),
        (['{"ok":true}'], '{"ok":false}', None),
    ],
)
def test_answers_in_json_are_compared_by_their_form(shown: list[str], said: str, copied: dict[str, str] | None) -> None:
    """Numbers differ, but for counts; names, words and truths do not."""
    assert answers(shown, said) == copied


def test_what_is_typed_on_a_farm_is_found_in_lists_and_tables() -> None:
    """Without those that a reader has to complete."""
    page = (
        "```sh crew\ndaqsched why\n```\n\n| What? | `daqsched logs readout -f` |\n| `daqsched stop SELECT` | ends |\n"
    )
    assert steps(page, all_of_it=False) == [
        Typed("daqsched why", [], 2, True),
        Typed("daqsched logs readout -f", [], 5, True),
    ]
    assert [command for _, command in listed(page)] == ["daqsched logs readout -f"]
