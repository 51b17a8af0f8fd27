"""How many examples a test by Hypothesis looks at, how many cases of a table, and what is looked at on one Python alone."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")

#: Of what shall break on one Python as on any other the others look at this share, and at not less than so many.
_SHARE, _LEAST = 10, 5

#: Files of tests/unit and tests/contract that show the same on every Python: what is built, the tree, the documents, what shells,
#: full disks, damaged files and enemies make of commands and of what they write. They are marked `once`, and `scripts/test`
#: runs them on one. What of ours they run others run, too: a test that alone uses something of Python's is not among them.
ONCE = {
    f"test_{name}.py"
    for name in (
        *(
            "packaging",
            "release_packages",
            "docs_site",
            "provision",
            "boundaries",
            "docs",
            "pages",
            "elasticsearch_docs",
        ),
        *("machines", "webui", "workflow", "stop", "bench_logs"),
        *("completion", "full_output", "vocabulary", "mypy", "typed_commands", "editor", "elastic_answers"),
        *("exit_status", "hostile", "secrets", "debug", "damaged_state", "backup", "private"),
        *("audit_chain", "audit_trail", "restart_wait", "confirm", "foreign_words", "threats"),
        *("states", "page_checks", "reference", "plural", "denials", "typed_lines", "api_page", "wire_types"),
        *("web_page", "web_selection", "costs", "http_answers", "forward_disk", "forward_full", "forward_lost"),
    )
}


def other_python() -> bool:
    """Whether this is one of those beside .venv's, as `scripts/test` says it to them."""
    return bool(os.environ.get("DAQSCHED_OTHER_PYTHON"))


def examples(enough: int) -> int:
    """So many; ``DAQSCHED_EXAMPLES`` asks for others, and ``DAQSCHED_OTHER_PYTHON``, as `scripts/test` sets it, for few.

    What another Python breaks (a module that went, an annotation that can't be evaluated, a warning that came) it breaks in each
    example that comes by. What breaks with one in hundreds .venv's looks for.
    """
    if asked := os.environ.get("DAQSCHED_EXAMPLES"):
        return int(asked)
    if other_python():
        return max(enough // _SHARE, min(enough, _LEAST))
    return enough


def some(cases: Iterable[T]) -> Iterator[T]:
    """The cases of a test that goes through its table by itself: on the others a share of them."""
    return islice(cases, 0, None, _SHARE if other_python() else 1)


def left_out(names: Iterable[str]) -> set[str]:
    """The cases of tables that are not looked at, by what pytest calls them: on the others most, as with examples.

    A test that is no table is looked at.
    """
    if not other_python():
        return set()
    seen: Counter[str] = Counter()
    unseen = set()
    for name in names:
        table = name.partition("[")[0]
        if seen[table] % _SHARE:
            unseen.add(name)
        seen[table] += 1
    return unseen


def unread(name: str) -> bool:
    """Whether nothing in the file of this name is looked at."""
    return other_python() and name in ONCE
