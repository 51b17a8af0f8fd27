"""Python files as trees, each parsed and walked once: most tests of what is written look at all of them (`workers.TOGETHER`)."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path


@cache
def tree(path: Path) -> ast.Module:
    """Of a file; nobody changes it."""
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """All of it, as `ast.walk` comes to them."""
    return tuple(ast.walk(tree(path)))
