"""Patterns as fnmatch reads them from Python 3.11 on, on each Python: before, a range that runs backwards (``[z-a]``) was an error
of its regular expression, in the middle of whatever the pattern was asked for."""

from __future__ import annotations

import re

#: A class of characters as fnmatch finds it: a ] that comes first is one of its letters.
_CLASS = re.compile(r"\[(!?)(\]?[^\]]*)\]", re.DOTALL)
_RANGE = re.compile(r"(.)-(.)", re.DOTALL)

#: What no name has: a class of which nothing else is left holds it.
_NONE = "\0"


def forwards(pattern: str) -> str:
    """The same without ranges that run backwards, which hold nothing."""
    return _CLASS.sub(_class, pattern) if "[" in pattern else pattern


def _class(found: re.Match[str]) -> str:
    left = _RANGE.sub(lambda ends: ends[0] if ends[1] <= ends[2] else "", found[2])
    return f"[{found[1]}{left or _NONE}]"
