"""Host names as people write them: ``hlt01``, ``hlt[01-10]``, ``rack[1-3]-node[01-40]``, lists of these."""

from __future__ import annotations

import re
import sys
from typing import Iterable, Iterator

from daqsched.errors import JobError

#: What a host name may hold after expansion (RFC 1123 letters, digits, dots and dashes; underscores are met in practice).
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?\Z")
_BRACKET = re.compile(r"\[([^\[\]]*)\]")
_RANGE = re.compile(r"(\d+)(?:-(\d+))?\Z")

#: A pattern that stands for more hosts than this is a typing mistake, not a farm.
MOST_HOSTS = 100_000


def expand(patterns: str | Iterable[str]) -> tuple[str, ...]:
    """All hosts that the patterns name, each once, in the order written; raises `JobError` on a malformed one.

    >>> expand("hlt[01-03,07]")
    ('hlt01', 'hlt02', 'hlt03', 'hlt07')
    >>> expand(["ctl", "rack[1-2]-[1-2]"])
    ('ctl', 'rack1-1', 'rack1-2', 'rack2-1', 'rack2-2')
    """
    found: dict[str, None] = {}
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        for name in _expand_one(pattern, pattern):
            if not _NAME.match(name):
                raise JobError(f"{pattern!r} is no host name and no pattern like 'hlt[01-10]'", "hosts")
            found[sys.intern(name)] = None  # every job of a host has the same text for it
            if len(found) > MOST_HOSTS:
                raise JobError(f"{pattern!r} names more than {MOST_HOSTS} hosts", "hosts")
    return tuple(found)


def _expand_one(rest: str, whole: str) -> Iterator[str]:
    bracket = _BRACKET.search(rest)
    if bracket is None:
        if "[" in rest or "]" in rest:
            raise JobError(f"{whole!r}: the brackets do not match; write for example 'hlt[01-10]'", "hosts")
        yield rest
        return
    for number in _numbers(bracket.group(1), whole):
        for tail in _expand_one(rest[bracket.end() :], whole):
            yield rest[: bracket.start()] + number + tail


def _numbers(text: str, whole: str) -> Iterator[str]:
    """``01-03,7`` becomes ``01 02 03 7``: the width is that of the first number."""
    for part in text.split(","):
        bounds = _RANGE.match(part.strip())
        if bounds is None:
            raise JobError(f"{whole!r}: '[{text}]' is no range of numbers; write for example 'hlt[01-10,12]'", "hosts")
        first, last = bounds.group(1), bounds.group(2) or bounds.group(1)
        if int(last) < int(first):
            raise JobError(f"{whole!r}: the range [{part}] runs backwards", "hosts")
        if int(last) - int(first) >= MOST_HOSTS:
            raise JobError(f"{whole!r} names more than {MOST_HOSTS} hosts", "hosts")
        for number in range(int(first), int(last) + 1):
            yield f"{number:0{len(first)}d}"


def fold(names: Iterable[str]) -> str:
    """The names in short, the reverse of `expand`, for people: ``hlt[01-03], ctl``.

    >>> fold(["hlt01", "hlt02", "hlt03", "ctl"])
    'ctl, hlt[01-03]'
    """
    groups: dict[tuple[str, int, str], list[int]] = {}
    plain: list[str] = []
    for name in sorted(set(names)):
        parts = re.match(r"(.*?)(\d+)(\D*)\Z", name)
        if parts is None:
            plain.append(name)
        else:
            groups.setdefault((parts.group(1), len(parts.group(2)), parts.group(3)), []).append(int(parts.group(2)))
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
