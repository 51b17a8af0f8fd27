"""Text that somebody else wrote, made fit for a terminal, a log, or JSON: what would act there is shown instead.

A job's name, a message, a program's words, a host that a datagram claims: any of them may hold what sets a window's title,
fills the clipboard, moves the cursor, turns the reading direction round, or ends a line so that the next one seems to be
ours. Everything that the commands, the daemon, the executor and the forwarder print goes through `printable`, and their JSON
through `ascii_json`. Nothing is left out: a control character becomes its picture (``␛``), all else that is invisible its
code (``\\u202e``).
"""

from __future__ import annotations

import re

_PICTURES = {**{code: 0x2400 + code for code in range(32)}, 127: 0x2421}
_BUT_TABS = {code: picture for code, picture in _PICTURES.items() if code != 9}

#: As many combining marks as a character may carry: languages need up to four, a flood of them covers other lines.
MOST_MARKS = 4

#: Invisible, although Unicode counts them among letters and marks: joiners, fillers, selectors of variants.
_UNSEEN = frozenset(
    [*"\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0"]
    + [chr(code) for code in (*range(0xFE00, 0xFE0E), *range(0xE0100, 0xE01F0))]
)


def printable(text: str, tabs: bool = False) -> str:
    """The text on one line, without anything that a terminal would obey; ``tabs``: they may stay, as they only go on."""
    if text.isascii():
        return text if text.isprintable() else text.translate(_BUT_TABS if tabs else _PICTURES)
    from unicodedata import category  # only here: an executor needs its megabyte only then

    shown = []
    marks = 0
    for one in text.translate(_BUT_TABS if tabs else _PICTURES):
        kind = category(one)
        marks = marks + 1 if kind[0] == "M" else 0
        seen = one.isprintable() or kind == "Zs" or one == "\t"
        if seen and marks <= MOST_MARKS and one not in _UNSEEN:
            shown.append(one)
        else:
            shown.append(one.encode("unicode_escape").decode("ascii"))
    return "".join(shown)


def trace(error: BaseException) -> list[str]:
    """The lines of a traceback; what the exception says is one of them, whatever it quotes."""
    import traceback

    lines: list[str] = []
    for part in traceback.format_exception(type(error), error, error.__traceback__):
        text = part.strip("\n")
        lines += map(printable, text.split("\n") if text.startswith("  File ") else [text])
    return lines


_NOT_PLAIN = re.compile(r"[^\x00-\x7e]")


def ascii_json(text: str) -> str:
    """The same JSON value in printable ASCII: whoever prints it sends nothing to a terminal but letters."""
    return _NOT_PLAIN.sub(_code, text)


def _code(found: re.Match[str]) -> str:
    units = found.group().encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
