"""`daqsched audit verify`: whether the lines of audit files are those that were written, and the first place where not.

It needs no daemon. What it can't find is in docs/operate/audit.md: whoever writes all lines after a place anew, and the file
beside them, too, makes another chain that is as whole.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple, Optional

import msgspec

from daqsched.errors import UserError
from daqsched.serve.audit_chain import BEGINS, START, ChainEnd, ChainLine, marked, parse

#: A longer line is none of ours.
_MOST_LINE = 1 << 20


class Broken(msgspec.Struct):
    """The first place where a chain is not whole."""

    file: str
    #: Of the file, from 1; 0: behind its end.
    line: int
    #: ``changed``, ``inserted`` or ``missing``.
    kind: str
    why: str


class Verified(msgspec.Struct):
    """What was found."""

    files: list[str]
    #: So many lines are whole, up to the first place that is not, from this number to that, and from when to when.
    lines: int = 0
    first: int = 0
    last: int = 0
    since: str = ""
    until: str = ""
    #: The last hash of these: who notes it down elsewhere finds out whether somebody wrote them all anew.
    hash: str = ""
    #: Lines from before there were hashes.
    without: int = 0
    #: Changes that are in no line, as lines of the chain say: the file could not be written.
    gaps: int = 0
    broken: Optional[Broken] = None


class _Line(NamedTuple):
    file: str
    number: int
    data: bytes
    link: Optional[ChainLine]
    #: The hash of what is before it in its file, where that is asked for: of a chain's first line.
    above: str


def those_of(path: Path) -> list[Path]:
    """The audit file and its rotated ones, the oldest first."""
    pattern = re.compile(re.escape(path.name) + r"\.([1-9][0-9]{0,5})")
    try:
        found = {int(match[1]): one for one in path.parent.iterdir() if (match := pattern.fullmatch(one.name))}
    except OSError as error:
        raise UserError(f"{path.parent} can't be read: {error.strerror}") from error
    return [*(found[number] for number in sorted(found, reverse=True)), *([path] if path.exists() else [])]


def verify(files: Sequence[Path], beside: Optional[Path] = None, expect: str = "") -> Verified:
    """Of files, the oldest first; ``beside``: the audit file whose last line is known from the file beside it; ``expect``: a hash
    that one of the lines has to have. A file that can't be read is a `UserError`."""
    known = marked(beside) if beside is not None else None
    opened: list[tuple[str, BinaryIO]] = []
    seen = set[tuple[int, int]]()
    try:
        for path in reversed(files):  # what is set aside meanwhile is found once
            file = _opened(path)
            found = os.fstat(file.fileno())
            if (found.st_dev, found.st_ino) in seen:
                file.close()
                continue
            seen.add((found.st_dev, found.st_ino))
            opened.append((str(path), file))
        opened.reverse()
        return _Check([name for name, _ in opened], known, expect).of(_lines(opened))
    except OSError as error:
        raise UserError(f"{error.filename or 'an audit file'} can't be read: {error.strerror or error}") from error
    finally:
        for _, file in opened:
            file.close()


def _opened(path: Path) -> BinaryIO:
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise UserError(f"{path} is not a file")
    return file


def _lines(files: Sequence[tuple[str, BinaryIO]]) -> Iterator[_Line]:
    for name, file in files:
        above, number = hashlib.sha256(), 0
        while data := file.readline(_MOST_LINE):
            number += 1
            yield _Line(name, number, data, parse(data), above.hexdigest() if number > 1 else START)
            above.update(data)


class _Check:
    def __init__(self, files: list[str], known: Optional[ChainEnd], expect: str) -> None:
        self._known, self._expect = known, expect
        self._verdict = Verified(files)
        self._at = ChainEnd(0, START)
        self._met = not expect

    def of(self, lines: Iterator[_Line]) -> Verified:
        verdict = self._verdict
        line, last = next(lines, None), None
        while line is not None:
            after = next(lines, None)
            broken = self._wrong(line, after)
            if broken is not None:
                verdict.broken = Broken(line.file, line.number, *broken)
                return verdict
            self._take(line)
            last, line = line, after
        name = last.file if last is not None else verdict.files[-1] if verdict.files else ""
        if self._known is not None and self._at.seq < self._known.seq:
            verdict.broken = Broken(name, 0, "missing", _are_missing(self._at.seq + 1, self._known.seq))
        elif not verdict.lines:
            verdict.broken = Broken(name, 0, "missing", "no line has a hash")
        elif not self._met:
            verdict.broken = Broken(name, 0, "missing", f"no line has the hash {self._expect}")
        return verdict

    def _take(self, line: _Line) -> None:
        verdict, link = self._verdict, line.link
        if link is None:
            verdict.without += 1
            return
        self._at = ChainEnd(link.seq, link.hash)
        self._met = self._met or link.hash == self._expect
        time, count = str(link.fields.get("time", "")), link.fields.get("count")
        if not verdict.lines:
            verdict.first, verdict.since = link.seq, time
        verdict.lines, verdict.last, verdict.until, verdict.hash = verdict.lines + 1, link.seq, time, link.hash
        if (link.fields.get("operation"), link.fields.get("result")) == ("audit", "failed") and isinstance(count, int):
            verdict.gaps += count

    def _wrong(self, line: _Line, after: Optional[_Line]) -> Optional[tuple[str, str]]:
        """What is not as it was written, with the sentence; None: nothing."""
        link, begun = line.link, self._verdict.lines > 0
        if link is None:
            if not line.data.endswith(b"\n"):
                return "changed", "it has no end: the machine died while it was written, or somebody cut it off"
            if not begun:
                return None  # from before there were hashes
            return self._odd(after, "it is not a line of the chain")
        if not begun:
            return self._first(line, link)
        if link.seq == self._at.seq + 1:
            if link.follows(self._at.hash):
                return self._marked(link)
            return self._odd(after, f"it is not as it was written as number {link.seq}, or the one before it is not")
        if link.seq > self._at.seq + 1:
            next_link = after.link if after is not None else None
            if next_link is not None and next_link.seq == self._at.seq + 2:
                return "changed", f"it is not as it was written as number {self._at.seq + 1}"
            return "missing", _are_missing(self._at.seq + 1, link.seq - 1)
        return self._odd(after, f"it says that it is number {link.seq}, which is not its place")

    def _first(self, line: _Line, link: ChainLine) -> Optional[tuple[str, str]]:
        if link.seq > 1 and (not link.before or line.number > 1 or self._verdict.without):
            return "missing", _are_missing(1, link.seq - 1) if self._verdict.without else (
                f"it is number {link.seq} and not the first line of a file: lines before it are missing"
            )
        if self._verdict.without and link.fields.get("why") != BEGINS:
            return "inserted", "lines stand before the first of the chain, which was the first of all"
        if not link.before or not link.follows(link.before):
            return "changed", f"it is not as it was written as number {link.seq}"
        if link.seq == 1 and link.before != line.above:
            return "changed", "the lines above it, which have no hashes, are not those above which the chain began"
        return self._marked(link)

    def _odd(self, after: Optional[_Line], why: str) -> tuple[str, str]:
        """It is one too many where the one after it has its number and fits."""
        link = after.link if after is not None else None
        inserted = link is not None and link.seq == self._at.seq + 1 and link.follows(self._at.hash)
        return ("inserted" if inserted else "changed"), why

    def _marked(self, link: ChainLine) -> Optional[tuple[str, str]]:
        if self._known is not None and link.seq == self._known.seq and link.hash != self._known.hash:
            return "changed", f"number {link.seq} had another hash when it was written: the file beside it says so"
        return None


def _are_missing(first: int, last: int) -> str:
    return f"line {first} is missing" if first == last else f"lines {first} to {last} are missing"
