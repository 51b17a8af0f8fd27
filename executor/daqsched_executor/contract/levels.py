"""The level that a line names: what the forwarder stores in ``log.level``, and what is shown of a sandbox's file.

The package itself does not import this module: an executor has no use for it.
"""

from __future__ import annotations

import re

#: Words that programs use for a level, and the one that stands in ``log.level``.
LEVELS = {
    "TRACE": "trace",
    "DEBUG": "debug",
    "INFO": "info",
    "NOTICE": "notice",
    "WARN": "warning",
    "WARNING": "warning",
    "ERR": "error",
    "ERROR": "error",
    "CRIT": "critical",
    "CRITICAL": "critical",
    "ALERT": "critical",
    "EMERG": "critical",
    "FATAL": "critical",
    "PANIC": "critical",
}

#: How far into a line a level is looked for: behind a time, a host and a logger's name.
LEVEL_WITHIN = 96

# In capitals the word may stand anywhere near the beginning; in small letters only where it cannot be prose:
# `[warning]`, `<error>`, `level=info`, `"level":"info"`, or `error:` as the first word. The pattern begins with a set
# of single characters because `re` then skips ahead to one of them: 0.3 to 0.5 CPU-s per million lines instead of 3.
_WORDS = "|".join(sorted(LEVELS, key=len, reverse=True))
_FIRSTS = "".join(sorted({word[0] for word in LEVELS}))
_RESTS = "|".join(sorted({word[1:] for word in LEVELS}, key=len, reverse=True))
_LEVEL = re.compile(
    rf"""[{_FIRSTS}\[<="](?:(?<![A-Za-z0-9_][A-Z])(?:{_RESTS})\b|(?<=[\[<="])(?:{_WORDS.lower()})\b)""".encode()
)
_FIRST_WORD = re.compile(rf"(?:{_WORDS})\b(?=:)".encode(), re.IGNORECASE)

#: From each spelling that `named` finds to the level.
SPELLINGS = {
    (before + spelling).encode(): level
    for word, level in LEVELS.items()
    for before, spellings in (
        ("", (word, word.lower(), word.capitalize())),
        *((sign, (word.lower(),)) for sign in '[<="'),
    )
    for spelling in spellings
}


def named(line: bytes) -> bytes:
    """The word near the line's beginning that names its level, with the sign before it; else nothing."""
    found = _LEVEL.search(line, 0, LEVEL_WITHIN) or _FIRST_WORD.match(line)
    return found.group() if found else b""


def level_of(line: bytes) -> str:
    """One of trace, debug, info, notice, warning, error, critical; empty where the line names none."""
    return SPELLINGS.get(named(line), "")
