"""Where a job file itself looks to what goes wrong (``try: ... except TypeError:``): there Python's own error is what it waits for.

A file that older and newer versions of daqsched read tries a field of the newer one, or asks for it (``hasattr(Job, "console")``).
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from types import FrameType
from typing import Optional

from daqsched.jobfile.convert import MODULE

#: What the module of a job file calls its `CaughtErrors`.
CAUGHT = "__daqsched_caught__"


class CaughtErrors:
    """The parts of a file whose errors it catches, by their lines."""

    def __init__(self, tree: ast.Module) -> None:
        self._caught = list(_caught(tree))

    def catch(self, lines: Iterable[int], error: type[BaseException]) -> bool:
        """Whether the file catches such an error in one of these lines."""
        names = {kind.__name__ for kind in error.__mro__}
        return any(
            first <= line <= last and not caught.isdisjoint(names)
            for line in lines
            for first, last, caught in self._caught
        )


def frames() -> list[FrameType]:
    """The frames of the job file that is being evaluated, the outermost first; none outside of one."""
    found = []
    frame: Optional[FrameType] = sys._getframe(1)
    while frame is not None:
        if frame.f_globals.get("__name__") == MODULE:
            found.append(frame)
        frame = frame.f_back
    return found[::-1]


def _caught(tree: ast.Module) -> Iterator[tuple[int, int, frozenset[str]]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Try):
            types = [handler.type for handler in node.handlers]
            names = frozenset(name for one in types for name in _names(one))
        elif isinstance(node, ast.With):
            calls = [one.context_expr for one in node.items if isinstance(one.context_expr, ast.Call)]
            names = frozenset(
                name for call in calls if "suppress" in _names(call.func) for one in call.args for name in _names(one)
            )
        else:
            continue
        if names:
            yield node.body[0].lineno, node.body[-1].end_lineno or node.body[-1].lineno, names


def _names(written: Optional[ast.expr]) -> Iterator[str]:
    """Of an exception, or a tuple of some; nothing is all of them."""
    if written is None:
        yield BaseException.__name__
    elif isinstance(written, ast.Tuple):
        for one in written.elts:
            yield from _names(one)
    elif isinstance(written, ast.Attribute):
        yield written.attr
    elif isinstance(written, ast.Name):
        yield written.id
