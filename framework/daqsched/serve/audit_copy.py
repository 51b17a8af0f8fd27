"""`daqsched audit copy`: the lines of the audit file go to Elasticsearch, in the order of the chain, each once.

A process of its own beside the daemon, which needs no client of Elasticsearch. What waits is the file itself: where Elasticsearch
is away, nothing is lost but what the daemon deletes for its age meanwhile (176 MiB of lines are kept), and that is told. The id of
a document is its line's hash, so what is sent again after a death is stored once; how far we are is in a file beside
(`audit_place`), written when it is stored.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, Optional

import msgspec

from daqsched.errors import Refused, Unreachable, UserError
from daqsched.logs.elastic import Elastic
from daqsched.plural import plural
from daqsched.serve.audit_ecs import AuditDocument, document, mappings
from daqsched.serve.audit_place import (
    MOST_LINE,
    CopiedUpTo,
    Damaged,
    close,
    fields_of,
    keep,
    number_of,
    opened_of,
    place_of,
    read_place,
)

logger = logging.getLogger(__name__)

#: So many lines are sent at once, with so many bytes.
MOST_LINES, MOST_BYTES = 500, 4 << 20

#: How often the file is looked at, and how long is waited at most where Elasticsearch takes nothing.
LOOK_S, LONGEST_S = 1.0, 60.0


class Copied(NamedTuple):
    """What became of a round: lines that are there now, those of them that were before, and those that can't be."""

    lines: int = 0
    before: int = 0
    refused: int = 0


class _Error(msgspec.Struct):
    type: str = ""
    reason: Optional[str] = None


class _Item(msgspec.Struct):
    status: int
    error: Optional[_Error] = None


class _Bulk(msgspec.Struct):
    items: list[dict[str, _Item]]


class AuditCopy:
    """Copies what is new of ``path``, and of what was set aside of it, into indices ``prefix-YYYY.MM``."""

    def __init__(self, path: Path, elastic: Elastic, prefix: str, host: str) -> None:
        self._path, self._elastic, self._prefix, self._host = path, elastic, prefix, host
        self._place = self._read_place()
        self._made: set[str] = set()

    def run(self, end: SimpleQueue[int]) -> None:
        """Until something is in ``end``: a handler of signals may put it there. What goes wrong is said once, and tried again;
        where no daemon has written a line yet, that is waited for."""
        said, wait_s = "", LOOK_S
        while True:
            try:
                found = self.once()
                if said:
                    logger.warning("the audit file is copied again: %s", plural(found.lines, "line"))
                said, wait_s = "", LOOK_S
            except (Refused, Unreachable, UserError, OSError) as error:
                if str(error) != said:
                    said = str(error)
                    logger.warning("the audit file is not copied, and waits: %s", said)
                wait_s = min(LONGEST_S, wait_s * 2)
            with contextlib.suppress(Empty):
                end.get(timeout=wait_s)
                return

    def once(self) -> Copied:
        """All that there is now; raises `Unreachable`, `Refused` or OSError where it waits, `UserError` where there is no file."""
        total = Copied()
        for lines, place in self._batches():
            found = self._send(lines)
            self._keep(place)
            total = Copied(*(a + b for a, b in zip(total, found)))
        return total

    # ------------------------------------------------------------------ the file

    def _batches(self) -> Iterator[tuple[list[bytes], CopiedUpTo]]:
        """Whole lines that are not stored yet, with the place behind them; the oldest first."""
        files = opened_of(self._path)
        if not files:
            raise UserError(f"there is no {self._path}: name the FILE that `daqsched serve --audit` writes")
        try:
            inodes = [os.fstat(file).st_ino for file in files]
            known = [at for at, file in enumerate(files) if self._place.is_in(file)]
            there, begin = bool(known), known[0] if known else 0
            for at in range(begin, len(files)):
                offset = self._place.offset if there and at == begin else 0
                with open(os.dup(files[at]), "rb") as opened:
                    opened.seek(offset)
                    yield from self._of_file(opened, inodes[at])
        finally:
            close(files)

    def _of_file(self, opened: Any, inode: int) -> Iterator[tuple[list[bytes], CopiedUpTo]]:
        lines: list[bytes] = []
        size, offset, seq = 0, opened.tell(), self._place.seq
        while True:
            line = opened.readline(MOST_LINE)
            while len(line) == MOST_LINE and not line.endswith(b"\n"):  # none of ours: its end stands for it
                offset, line = offset + len(line), opened.readline(MOST_LINE)
            whole = line.endswith(b"\n")
            if whole:
                offset += len(line)
                number = number_of(fields_of(line))
                if seq and number > seq + 1:
                    logger.warning(
                        "lines %d to %d of the audit file are gone, and were not copied", seq + 1, number - 1
                    )
                seq = number or seq
                lines.append(line)
                size += len(line)
            if lines and (not whole or len(lines) >= MOST_LINES or size >= MOST_BYTES):
                yield lines, CopiedUpTo(inode, offset, seq, len(lines[-1]), hashlib.sha256(lines[-1]).hexdigest())
                lines, size = [], 0
            if not whole:
                return  # the end, or a line that is being written

    def _read_place(self) -> CopiedUpTo:
        """Where there is none yet one is written, so that who was told to copy is missed; a damaged one is set aside, and said."""
        file = place_of(self._path)
        try:
            found = read_place(self._path)
        except Damaged as error:
            aside, found = file.with_name(f"{file.name}.damaged"), None
            try:
                file.replace(aside)
            except OSError as trouble:
                raise UserError(f"{error}, and can't be set aside ({trouble.strerror}): remove it") from error
            logger.warning(
                "%s, and is %s now: all lines that there are are sent again, each is stored once; whether those that are gone were "
                "copied is not known",
                error,
                aside,
            )
        if found is None and self._path.parent.is_dir():
            found = CopiedUpTo()
            keep(self._path, found)
        return found or CopiedUpTo()

    def _keep(self, place: CopiedUpTo) -> None:
        keep(self._path, place)
        self._place = place

    # ------------------------------------------------------------------ Elasticsearch

    def _send(self, lines: list[bytes]) -> Copied:
        made = [document(line, self._prefix, self._host) for line in lines]
        documents = [one for one in made if one is not None]
        for _ in range(len(made) - len(documents)):
            logger.warning("a line of the audit file is none, and is not copied: `daqsched audit verify` tells where")
        before, refused = 0, len(made) - len(documents)
        for index in dict.fromkeys(one.of_index for one in documents):
            self._index(index)
            left = [one for one in documents if one.of_index == index]
            while left:
                again, counts = self._bulk(index, left)
                before, refused = before + counts.before, refused + counts.refused
                if len(again) == len(left):
                    raise Unreachable("Elasticsearch is too busy for lines of the audit file")
                left = again
        return Copied(len(lines) - refused, before, refused)

    def _bulk(self, index: str, documents: list[AuditDocument]) -> tuple[list[AuditDocument], Copied]:
        rows: list[str] = []
        for one in documents:
            rows += [json.dumps({"create": {"_id": one.document_id}}), one.body]
        answer = self._elastic.ask("POST", f"/{index}/_bulk", rows)
        if answer.status != 200:
            raise Refused(f"Elasticsearch takes no lines of the audit file: {answer.why}")
        items = self._elastic.read(answer.body, _Bulk).items
        if len(items) != len(documents):
            raise Unreachable("Elasticsearch answered for another number of lines than were sent")
        again, before, refused = [], 0, 0
        for one, item in zip(documents, items):
            result = next(iter(item.values()))
            why = f"{result.status} {result.error.type if result.error is not None else ''}"
            if result.status < 300:
                continue
            if result.status == 409:
                before += 1
            elif result.status in (401, 403, 404):
                self._made.discard(index)
                raise Refused(f"Elasticsearch takes no lines of the audit file: {why}")
            elif result.status == 429 or result.status >= 500:
                again.append(one)
            else:
                refused += 1
                logger.error("a line of the audit file is refused by Elasticsearch (%s): %s", why, one.document_id)
        return again, Copied(0, before, refused)

    def _index(self, name: str) -> None:
        """Make it with our fields, where it is not there: else Elasticsearch would guess them."""
        if name in self._made:
            return
        settings = {"number_of_shards": 1, "auto_expand_replicas": "0-1"}
        answer = self._elastic.ask("PUT", f"/{name}", {"settings": settings, "mappings": mappings()})
        if answer.status >= 300 and b"resource_already_exists_exception" not in answer.body:
            raise Refused(f"Elasticsearch does not let us make the index {name}: {answer.why}")
        self._made.add(name)
