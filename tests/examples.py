"""How many examples a test by Hypothesis looks at, and how many cases of a table."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable

#: Of what shall break on one Python as on any other the others look at this share, and at not less than so many.
_SHARE, _LEAST = 10, 5


def examples(enough: int) -> int:
    """So many; ``DAQSCHED_EXAMPLES`` asks for others, and ``DAQSCHED_OTHER_PYTHON``, as `scripts/test` sets it, for few.

    What another Python breaks (a module that went, an annotation that can't be evaluated, a warning that came) it breaks in each
    example that comes by. What breaks with one in hundreds .venv's looks for.
    """
    if asked := os.environ.get("DAQSCHED_EXAMPLES"):
        return int(asked)
    if os.environ.get("DAQSCHED_OTHER_PYTHON"):
        return max(enough // _SHARE, min(enough, _LEAST))
    return enough


def left_out(names: Iterable[str]) -> set[str]:
    """The cases of tables that are not looked at, by what pytest calls them: on the others most, as with examples.

    A test that is no table is looked at.
    """
    if not os.environ.get("DAQSCHED_OTHER_PYTHON"):
        return set()
    seen: Counter[str] = Counter()
    unseen = set()
    for name in names:
        table = name.partition("[")[0]
        if seen[table] % _SHARE:
            unseen.add(name)
        seen[table] += 1
    return unseen
