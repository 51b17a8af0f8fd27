"""Which level a line of a service has, where the usual words near its beginning do not say it."""

from __future__ import annotations

import re
from collections.abc import Callable

from ...contract.levels import LEVELS
from ...contract.levels import level_of as level_by_words

#: From a line to ``,"level":"error"`` or nothing.
LevelOf = Callable[[str], bytes]

#: Beside the usual words: letters that stand for them (glog, Android), and syslog's numbers of severity.
_SHORT = {
    **dict(zip("TVDINWECAF", "trace trace debug info notice warning error critical critical critical".split())),
    **dict(zip("01234567", "critical critical critical error warning notice info debug".split())),
    "ASSERT": "critical",
    "DBG": "debug",
    "SEVERE": "error",
    "VERBOSE": "trace",
}


def normal(word: str) -> str:
    """The level that a word, a letter or a number stands for; empty for none."""
    word = word.upper()
    return LEVELS.get(word) or _SHORT.get(word) or LEVELS.get(word.rstrip("0123456789"), "")


def fragment(level: str) -> bytes:
    """The piece of JSON for ``log.level``."""
    return f',"level":"{level}"'.encode() if level else b""


def by_words(line: str) -> bytes:
    """As in what jobs print."""
    return fragment(level_by_words(line.encode("utf-8", "replace")))


def _by_pattern(pattern: str, other: str = "") -> LevelOf:
    find = re.compile(pattern).search

    def level_of(line: str) -> bytes:
        found = find(line)
        return fragment(normal(found.group("level") or "") if found else other)

    return level_of


def _by_status(line: str) -> bytes:
    """Of a request in an access log: what the server could not do is an error, what the client could not, a warning."""
    found = _STATUS.search(line)
    status = found.group(1) if found else ""
    return fragment("error" if status >= "500" else "warning" if status >= "400" else "info") if status else b""


_STATUS = re.compile(r'" (\d{3}) ')


def _by_priority(line: str) -> bytes:
    found = _PRIORITY.match(line)
    return fragment(normal(str(int(found.group(1)) & 7))) if found else by_words(line)


_PRIORITY = re.compile(r"<(\d{1,3})>")

LEVELS_OF: dict[str, LevelOf] = {
    "words": by_words,
    "none": lambda line: b"",
    "python": by_words,
    "log4j": by_words,
    "glog": _by_pattern(r"^(?P<level>[IWEF])\d{4}"),
    "apache": _by_status,
    "apache-error": _by_pattern(r"\[(?:[\w.]+:)?(?P<level>emerg|alert|crit|error|warn|notice|info|debug|trace\d?)\]"),
    "syslog": _by_priority,
    "nsm": _by_pattern(r"^\d\d:\d\d:\d\d\.\d{3} \[?(?P<level>ERROR|ASSERT|WARNING|DBG)(?:\]|:) ", other="info"),
}


def level_of(how: str) -> LevelOf:
    """A preset's rule, or that of a regular expression with a group ``level``; empty: as jobs' lines."""
    return LEVELS_OF[how or "words"] if how in LEVELS_OF or not how else _by_pattern(how)
