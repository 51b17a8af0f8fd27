"""Which lines belong together: a line either begins a record or goes on with the one before it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Optional

#: What a record so far says about the next line; `None` instead: the line begins a record of its own.
Step = Callable[[str, int], Optional[int]]

#: Nothing in particular; inside a traceback; behind its last line; behind the blank line after that.
_PLAIN, _INSIDE, _AFTER, _BLANK = range(4)

_TRACEBACK = "Traceback (most recent call last)"
_CHAINED = ("During handling of the above exception", "The above exception was the direct cause")
_JAVA = re.compile(r"\s|Caused by: |Suppressed: |(?:[a-z_]\w*\.)+[A-Z][\w$]*(?:Exception|Error|Throwable)\b")
_STAMP = re.compile(r"(?:<\d+>\d? ?)?(?:[A-Z][a-z]{2} [ \d]\d (?:\d{4} )?\d\d:\d\d:\d\d|\d{4}-\d\d-\d\dT\d\d:\d\d)")
_NSM = re.compile(r"\d\d:\d\d:\d\d\.\d{3} (?:\[[A-Z]+\] |DBG: )?\+ ")


def indented(line: str, state: int) -> Optional[int]:
    """A line that begins with white space goes on."""
    return _PLAIN if line[:1].isspace() else None


def traceback(line: str, state: int) -> Optional[int]:
    """Python: a traceback with those that it is chained to belongs to the line before it; so does what is indented."""
    if line.startswith(_TRACEBACK):
        return _INSIDE
    if state == _INSIDE:
        return _INSIDE if not line or line[0].isspace() else _AFTER
    if state in (_AFTER, _BLANK) and (not line or line.startswith(_CHAINED)):
        return _BLANK
    return state if line[:1].isspace() else None


def java(line: str, state: int) -> Optional[int]:
    """Java: ``at …``, ``Caused by: …``, and the exception's name where it stands alone, belong to the line before."""
    return _PLAIN if _JAVA.match(line) else None


def syslog(line: str, state: int) -> Optional[int]:
    """A line without the time that syslog begins a line with goes on."""
    return None if _STAMP.match(line) else _PLAIN


def nsm(line: str, state: int) -> Optional[int]:
    """nsmd2 repeats the time on each line of a message, and puts ``+`` before all but the first."""
    return _PLAIN if _NSM.match(line) else None


MULTILINES: dict[str, Step] = {
    "indented": indented,
    "traceback": traceback,
    "java": java,
    "syslog-continuation": syslog,
    "nsm": nsm,
}


def step_of(how: str) -> Step:
    """A preset's rule, or that of a regular expression which a record's first line matches at its beginning."""
    if how in MULTILINES:
        return MULTILINES[how]
    first = re.compile(how)
    return lambda line, state: None if first.match(line) else _PLAIN


def begin(step: Step, line: str) -> int:
    """What a record says that begins with this line."""
    return step(line, _PLAIN) or _PLAIN
