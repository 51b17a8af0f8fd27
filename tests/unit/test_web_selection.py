"""The page's selections mean what the command line's mean: both read the same words, and are asked about the same instances."""

from __future__ import annotations

import random
import shlex
from pathlib import Path
from typing import Optional

import pytest

from daqsched.errors import UserError
from daqsched.select import selection
from page_code import ABSENT, ESBUILD, told

JOBS = ["readout", "rcd_1", "rcd_2", "evb", "a-b", "a.b", "A", "x[1]", "^", "]"]
HOSTS = ["hlt01", "hlt02", "hlt10", "hlt1", "ctl", "rack1-2", "r.x", ""]

#: Asks each selection about each instance; null where it can't be read.
ASK = """
import { selection, SelectionError } from "WEB/selection.ts";
const { words, instances } = given;
tell(words.map((one) => {
  try {
    const chosen = selection(one);
    return instances.map(([job, host]) => chosen(job, host));
  } catch (error) {
    if (!(error instanceof SelectionError)) throw error;
    return null;
  }
}));
"""

#: The words of each text; null where a mark is open.
PART = """
import { SelectionError, wordsOf } from "WEB/selection.ts";
tell(given.map((one) => {
  try {
    return wordsOf(one);
  } catch (error) {
    if (!(error instanceof SelectionError)) throw error;
    return null;
  }
}));
"""

PIECES = [
    "readout", "rcd_", "*", "?", "@", "hlt", "[01-10]", "[1-2]", "0", "1", "[!1]", "[a-z]", "[z-a]", "[", "]", "-", ".", "rack",
    "ctl", "[1,2]", "[2-1]", "[x]", "^", "\\", "$", "(", "|", "A", "[]]", "[^a]", "[a-]", "[1-3,10]", "[--0]", "é",
    "\u2028", "\x07", "+", " ", "\u00a0", "'", '"',
]  # fmt: skip


def words() -> list[list[str]]:
    """Selections of words that people type, and of any pieces of such words."""
    chance = random.Random(11)
    found: list[list[str]] = [
        [], ["readout"], ["@hlt01"], ["rcd_*@hlt[01-10]"], ["*"], ["@*"], ["*@*"], ["", ], ["readout@"], ["@"], ["a" * 1001],
        ["*" * 11], ["*"] * 51, ["readout"] * 1001, ["@h[1-200000]"], ["@hlt[000000000000000000001]"], ["evb", "@ctl"],
        ["@hlt[1-60000]", "@r[1-40000]"], ["@hlt[1-60000]", "@r[1-40001]"], ["@h[1-60000]", "x", "evb@h[1-60000]"],
    ]  # fmt: skip
    found += [
        ["".join(chance.choices(PIECES, k=chance.randint(1, 5))) for _ in range(chance.randint(1, 3))]
        for _ in range(3000)
    ]
    return found


@pytest.mark.skipif(not ESBUILD.exists(), reason=ABSENT)
def test_a_selection_means_the_same_on_the_page(tmp_path: Path) -> None:
    """Of any words: the same instances, and the same can't be read."""
    instances = [(job, host) for job in JOBS for host in HOSTS]
    asked = words()
    found_there = told(tmp_path, ASK, {"words": asked, "instances": instances})
    wrong = []
    for one, found in zip(asked, found_there):
        try:
            chosen = selection(one)
        except UserError:
            expected = None
        else:
            expected = [chosen(job, host) for job, host in instances]
        if expected != found:
            wrong.append((one, expected is None, found is None))
    assert not wrong and found_there.count(None) > 100 < len(asked) - found_there.count(None), wrong[:20]


@pytest.mark.skipif(not ESBUILD.exists(), reason=ABSENT)
def test_a_text_is_parted_as_a_shell_parts_it(tmp_path: Path) -> None:
    """Of any letters that mean something to it: the same words, or both find a mark that is open."""
    chance = random.Random(12)
    texts = ["".join(chance.choices("ab@*' \t\n\r\"\\$#;-\u00a0\u2028", k=chance.randint(0, 12))) for _ in range(5000)]
    expected: list[Optional[list[str]]] = []
    for text in texts:
        try:
            expected.append(shlex.split(text))
        except ValueError:
            expected.append(None)
    found = told(tmp_path, PART, texts)
    wrong = [one for one in zip(texts, expected, found) if one[1] != one[2]]
    assert not wrong and found.count(None) > 100 < len(texts) - found.count(None), wrong[:20]
