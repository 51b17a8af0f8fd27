"""Patterns as fnmatch reads them from Python 3.11 on, on each Python: before, a range that runs backwards (``[z-a]``) was an error
of its regular expression, in the middle of whatever the pattern was asked for. Nothing else of ours asks fnmatch itself."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase, translate

#: A class of characters as fnmatch finds it: a ] that comes first is one of its letters.
_CLASS = re.compile(r"\[(!?)(\]?[^\]]*)\]", re.DOTALL)
_RANGE = re.compile(r"(.)-(.)", re.DOTALL)

#: What no name has: a class of which nothing else is left holds it.
_NONE = "\0"


def compiled(pattern: str) -> re.Pattern[str]:
    """What matches the names that fit, from their first letter to their last; letters in large and small differ."""
    return re.compile(translate(_forwards(pattern)))


def fits(name: str, pattern: str) -> bool:
    """Whether a name fits; what was asked for lately is not made anew."""
    return fnmatchcase(name, _forwards(pattern))


def _forwards(pattern: str) -> str:
    """The same without ranges that run backwards, which hold nothing."""
    return _CLASS.sub(_class, pattern) if "[" in pattern else pattern


def _class(found: re.Match[str]) -> str:
    left = _RANGE.sub(lambda ends: ends[0] if ends[1] <= ends[2] else "", found[2])
    return f"[{found[1]}{left or _NONE}]"
