"""The state as one file: what is in it, and what restoring it would change. Either store's, for either store.

A line of JSON that says what follows and what its SHA-256 is, then that: msgpack, compressed (zlib).
"""

from __future__ import annotations

import hashlib
import zlib
from typing import Any, Iterable, Mapping, Sequence

import msgspec

from daqsched import __version__
from daqsched.errors import UserError
from daqsched.spec import encode
from daqsched.store.base import SCHEMA, Contents, Store, head_of, record_bytes, revision_of

#: Version of the file; one of a later version is refused.
VERSION = 1
_WORD = b"daqsched-backup "


class Label(msgspec.Struct):
    """The first line."""

    version: int
    #: `base.SCHEMA` of what is in it.
    schema: int
    daqsched: str
    #: Seconds since the epoch.
    time: float
    sha256: str


def contents_of(store: Store) -> Contents:
    """All that the store keeps."""
    revisions = []
    for head in reversed(store.history(1_000_000_000)):
        revision = store.revision(head.number)
        assert revision is not None, "it is in the history"
        revisions.append((head_of(revision), encode(revision.spec)))
    records = [(job, host, record_bytes(record) or b"") for (job, host), record in store.records()]
    return Contents(store.framework_id(), revisions, sorted(records), dict(store.documents()))


def pack(contents: Contents, now: float) -> bytes:
    """The file's bytes."""
    body = zlib.compress(msgspec.msgpack.encode(contents), 6)
    label = Label(VERSION, SCHEMA, __version__, now, hashlib.sha256(body).hexdigest())
    return _WORD + msgspec.json.encode(label) + b"\n" + body


def unpack(data: bytes) -> tuple[Label, Contents]:
    """What `pack` wrote; raises `UserError` where it is not whole, or not ours to read."""
    line, _, body = data.partition(b"\n")
    if not line.startswith(_WORD):
        raise UserError("it is not a backup of daqsched")
    try:
        label = msgspec.json.decode(line[len(_WORD) :], type=Label)
    except msgspec.MsgspecError as error:
        raise UserError(f"its first line is damaged: {error}") from error
    if label.version > VERSION or label.schema > SCHEMA:
        raise UserError(f"it was written by a newer daqsched ({label.daqsched}): install that one")
    if hashlib.sha256(body).hexdigest() != label.sha256:
        raise UserError("it is damaged: its check sum is not that of its contents")
    try:
        return label, msgspec.msgpack.decode(zlib.decompress(body), type=Contents)
    except (zlib.error, msgspec.MsgspecError, ValueError) as error:
        raise UserError(f"what is in it can't be read: {error}") from error


def changes(now: Contents, then: Contents) -> list[str]:
    """What is different once ``then`` is restored over ``now``, a sentence each; none: nothing is."""
    found = []
    if now.framework_id != then.framework_id:
        found.append(f"framework id: {now.framework_id or 'none'} becomes {then.framework_id or 'none'}")
        if now.framework_id:
            found.append(
                f"  whatever runs as {now.framework_id} is not known any more: end it, or see that nothing does"
            )
    if _in_force(now) != _in_force(then):
        found.append(f"in force: {_in_force(now)} becomes {_in_force(then)}")
    for what, before, after in (
        ("revisions", _by_number(now.revisions), _by_number(then.revisions)),
        ("instances", _by_key(now.records), _by_key(then.records)),
        ("documents", now.documents, then.documents),
    ):
        found += _counted(what, before, after)
    return found


def _counted(what: str, before: Mapping[Any, Any], after: Mapping[Any, Any]) -> Iterable[str]:
    numbers = {
        "added": len(after.keys() - before.keys()),
        "changed": sum(before[key] != after[key] for key in before.keys() & after.keys()),
        "forgotten": len(before.keys() - after.keys()),
    }
    if any(numbers.values()):
        yield f"{what}: " + ", ".join(f"{number} {word}" for word, number in numbers.items() if number)


def _in_force(contents: Contents) -> str:
    if not contents.revisions:
        return "no revision"
    last = revision_of(contents.revisions[-1][0])
    return f"revision {last.number} ({last.digest}) by {last.user}"


def _by_number(revisions: Sequence[tuple[bytes, bytes]]) -> Mapping[int, tuple[bytes, bytes]]:
    return {revision_of(head).number: (head, spec) for head, spec in revisions}


def _by_key(records: Sequence[tuple[str, str, bytes]]) -> Mapping[tuple[str, str], bytes]:
    return {(job, host): record for job, host, record in records}
