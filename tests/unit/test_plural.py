"""Numbers of things: no sentence says "1 jobs"."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from daqsched.plural import plural
from trees import nodes

FRAMEWORK = Path(__file__).resolve().parent.parent.parent / "framework" / "daqsched"
COUNTED = re.compile(r"^ (?:jobs|instances|hosts|programs|revisions|lines|machines|restarts|batches)\b")
#: What comes before such a noun and is never one: a bound, a number that the words around it say is more than one.
BOUND = re.compile(r"[A-Z]{3,}|\bmost\b")
MORE_THAN_ONE = {
    "jobfile/conflicts.py": 1,
    "serve/audit_copied.py": 1,
    "terminal/preflight_table.py": 1,
    "terminal/show.py": 1,
    "views/why.py": 2,
}


@pytest.mark.parametrize(
    ("number", "said"), [(0, "0 lines are"), (1, "1 line is"), (2, "2 lines are"), (2000, "2,000 lines are")]
)
def test_one_is_one(number: int, said: str) -> None:
    """And with what they do."""
    assert plural(number, "line", "is", "are") == said and said.startswith(plural(number, "line"))


def counted(path: Path) -> Iterator[str]:
    """Each number in a sentence that stands before a noun in the plural."""
    for node in nodes(path):
        if isinstance(node, ast.JoinedStr):
            for one, behind in zip(node.values, node.values[1:]):
                said = behind.value if isinstance(behind, ast.Constant) else ""
                if isinstance(one, ast.FormattedValue) and isinstance(said, str) and COUNTED.match(said):
                    if not BOUND.search(ast.unparse(one)):
                        yield f"{ast.unparse(one)}{said}"


def test_no_sentence_says_one_and_the_plural() -> None:
    """Who counts says it by `plural`."""
    found = {str(path.relative_to(FRAMEWORK)): list(counted(path)) for path in FRAMEWORK.rglob("*.py")}
    assert {name: len(ones) for name, ones in found.items() if ones} == MORE_THAN_ONE, found
