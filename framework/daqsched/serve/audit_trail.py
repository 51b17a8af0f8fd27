"""Lines of the audit file and of rotated ones, the newest first, page by page."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from daqsched.serve.audit_chain import parse
from daqsched.serve.audit_verify import those_of

#: Of one file so much is read, from its end; for one page so many files, and so many bytes of lines are in it.
MOST_FILE, MOST_FILES, MOST_PAGE = 32 << 20, 2, 4 << 20

Wanted = Callable[[Mapping[str, Any]], bool]


class Trail(NamedTuple):
    """A page."""

    lines: list[dict[str, Any]]
    #: What to ask for as ``until`` to go on; 0: there is nothing more.
    next: int


def page(path: Path, wanted: Wanted, since: str, until: int, most: int) -> Trail:
    """Lines that are wanted, not older than ``since`` (as in a line; empty: any) and with a smaller number than ``until`` (0: any).
    Those from before there were hashes have no number: of them there are as many as fit into the page that comes to them."""
    found: list[dict[str, Any]] = []
    looked, size, lowest = 0, 0, until
    for file in reversed(those_of(path)):
        try:
            descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            continue  # it was deleted for its age meanwhile
        with os.fdopen(descriptor, "rb") as data:
            first = parse(data.readline(1 << 20))
            if until and first is not None and first.seq >= until:
                continue
            if looked == MOST_FILES:
                return Trail(found, lowest)
            looked += 1
            for fields, length in _lines(data):
                seq = fields.get("seq", 0)
                if not isinstance(seq, int) or (until and seq >= until):
                    continue
                if since and str(fields.get("time", "")) < since:
                    return Trail(found, 0)
                if wanted(fields):
                    if len(found) == most or size + length > MOST_PAGE:
                        return Trail(found, lowest)
                    found.append(fields)
                    size += length
                lowest = seq
    return Trail(found, 0)


def _lines(data: Any) -> Iterator[tuple[dict[str, Any], int]]:
    data.seek(max(0, os.fstat(data.fileno()).st_size - MOST_FILE))
    for line in reversed(data.read(MOST_FILE).splitlines()):
        try:
            fields = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(fields, dict):
            yield fields, len(line)
