"""Host names as people write them: ``hlt01``, ``hlt[01-10]``, ``rack[1-3]-node[01-40]``, lists of these."""

from __future__ import annotations

import itertools
import math
import re
import sys
from typing import Iterable, Sequence, Union

from daqsched.errors import JobError
from daqsched.limits import HOST_NAME, HOSTS, TEXT, shown, whole

#: What a host name may hold after expansion (RFC 1123 letters, digits, dots and dashes; underscores are met in practice).
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?\Z")
_BRACKET = re.compile(r"\[([^\[\]]*)\]")
_RANGE = re.compile(r"([0-9]{1,18})(?:-([0-9]{1,18}))?\Z")

_DIGITS = "0123456789"
_NO_DIGITS = "".join(chr(code) for code in range(128) if chr(code) not in _DIGITS)

#: A text as it is; or the ranges in a bracket: first, last, width.
_Piece = Union[str, Sequence[tuple[int, int, int]]]


def expand(patterns: str | Iterable[str], most: float = HOSTS.most) -> tuple[str, ...]:
    """All hosts that the patterns name, each once, in the order written; raises `JobError` on a malformed one, and where
    they name more than ``most``: those are counted before any is made.

    >>> expand("hlt[01-03,07]")
    ('hlt01', 'hlt02', 'hlt03', 'hlt07')
    >>> expand(["ctl", "rack[1-2]-[1-2]"])
    ('ctl', 'rack1-1', 'rack1-2', 'rack2-1', 'rack2-2')
    """
    found: dict[str, None] = {}
    total = 0
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        pieces = _pieces(pattern)
        total += _product(pieces)
        if total > most:
            raise JobError(f"{shown(pattern)}: more than {most:,.0f} hosts are named", "hosts")
        for parts in itertools.product(*map(_texts, pieces)):
            name = "".join(parts)
            if len(name) > HOST_NAME.most:
                raise JobError(f"{shown(pattern)}: a host's name has at most {HOST_NAME.most:.0f} characters", "hosts")
            if not _NAME.match(name):
                raise JobError(f"{shown(pattern)} is neither a host name nor a pattern like 'hlt[01-10]'", "hosts")
            found[sys.intern(name)] = None  # every job of a host has the same text for it
    return tuple(found)


def count(patterns: Iterable[str]) -> int:
    """How many names `expand` would make, perhaps some of them twice; none is made. Raises `JobError` as it does."""
    return sum(_product(_pieces(pattern)) for pattern in patterns)


def _pieces(pattern: str) -> list[_Piece]:
    """The texts and the brackets of a pattern, in turn."""
    if len(pattern) > TEXT.most:
        raise JobError(f"{shown(pattern)}: at most {TEXT} are allowed; write a list of patterns", "hosts")
    found: list[_Piece] = []
    for at, part in enumerate(_BRACKET.split(pattern)):
        if at % 2:
            found.append([_range(text.strip(), part, pattern) for text in part.split(",")])
        elif "[" in part or "]" in part:
            raise JobError(f"{shown(pattern)}: the brackets do not match; write for example 'hlt[01-10]'", "hosts")
        else:
            found.append(part)
    return found


def _range(text: str, inside: str, pattern: str) -> tuple[int, int, int]:
    """``01-03`` is 1, 3, 2: the width is that of the first number."""
    bounds = _RANGE.match(text)
    if bounds is None:
        what = f"'[{inside[:100]}]' is not a range of numbers"
        raise JobError(f"{shown(pattern)}: {what}; write for example 'hlt[01-10,12]'", "hosts")
    first, last = bounds.group(1), bounds.group(2) or bounds.group(1)
    if int(last) < int(first):
        raise JobError(f"{shown(pattern)}: the range [{text}] runs backwards", "hosts")
    return int(first), int(last), len(first)


def _product(pieces: Iterable[_Piece]) -> int:
    return math.prod(1 if isinstance(piece, str) else sum(b - a + 1 for a, b, _ in piece) for piece in pieces)


def _texts(piece: _Piece) -> Iterable[str]:
    if isinstance(piece, str):
        return (piece,)
    return (f"{number:0{width}d}" for first, last, width in piece for number in range(first, last + 1))


def fold(names: Iterable[str]) -> str:
    """The names in short, the reverse of `expand`, for people: ``hlt[01-03], ctl``.

    >>> fold(["hlt01", "hlt02", "hlt03", "ctl"])
    'ctl, hlt[01-03]'
    """
    groups: dict[tuple[str, int, str], list[int]] = {}
    plain: list[str] = []
    for name in sorted(set(names)):
        # the last digits in it, in time that grows as its length does, whatever it is
        stem = name.rstrip(_NO_DIGITS)
        head = stem.rstrip(_DIGITS)
        if whole(stem[len(head) :]) is None:
            plain.append(name)
        else:
            digits = stem[len(head) :]
            groups.setdefault((head, len(digits), name[len(stem) :]), []).append(int(digits))
    for (head, width, tail), numbers in groups.items():
        runs: list[tuple[int, int]] = []
        for number in numbers:
            if runs and number == runs[-1][1] + 1:
                runs[-1] = (runs[-1][0], number)
            else:
                runs.append((number, number))
        inside = ",".join(f"{a:0{width}d}" if a == b else f"{a:0{width}d}-{b:0{width}d}" for a, b in runs)
        plain.append(f"{head}{inside}{tail}" if len(numbers) == 1 else f"{head}[{inside}]{tail}")
    return ", ".join(sorted(plain))
