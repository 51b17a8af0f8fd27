"""What all stores promise, and the form in which they keep it."""

from __future__ import annotations

from typing import Any, Iterable, Iterator, Mapping, Optional, Protocol, Sequence

import msgspec
from msgspec import structs

from daqsched.engine.commands import Revision
from daqsched.errors import DaqschedError, UserError
from daqsched.limits import NUMBER, brief, refusal, shown
from daqsched.spec import EMPTY, Spec, decode
from daqsched.task import Record

Key = tuple[str, str]

#: Version of what is kept, whatever keeps it; what a later daqsched wrote is refused, not guessed at.
#: 2: documents.
SCHEMA = 2

#: An instance of which there is nothing to remember is not kept.
NOTHING = Record()


class Contents(msgspec.Struct):
    """All of it as bytes, to be carried elsewhere."""

    framework_id: str
    #: ``(head, spec)``, the oldest first.
    revisions: list[tuple[bytes, bytes]]
    #: ``(job, host, record)``
    records: list[tuple[str, str, bytes]]
    documents: dict[str, bytes]


class Store(Protocol):
    """One thread uses a store. What `save` was given in one call is durable, all of it, when it returns; if it raises,
    or if the machine dies meanwhile, all of it or nothing."""

    def framework_id(self) -> str:
        """What the master called us; empty: nothing yet."""

    def revision(self, number: Optional[int] = None) -> Optional[Revision]:
        """The revision of that number, the last one without a number; None where there is none."""

    def history(self, most: int = 100) -> list[Revision]:
        """The last revisions, the newest first, with an empty spec each: what `revision` gives for one is not read for all."""

    def records(self) -> Iterator[tuple[Key, Record]]:
        """All instances that there is something to remember of."""

    def document(self, name: str) -> Optional[bytes]:
        """What was saved under this name; None: nothing."""

    def documents(self) -> Iterator[tuple[str, bytes]]:
        """All of them, in the order of their names."""

    def save(
        self,
        framework_id: Optional[str] = None,
        revisions: Iterable[Revision] = (),
        records: Iterable[tuple[Key, Optional[Record]]] = (),
        documents: Mapping[str, Optional[bytes]] = {},
    ) -> None:
        """Make all of this durable at once; a record or a document that is None is forgotten. Raises `Unsaved` where the disk
        does not take it now: nothing of it is saved then, and it may be tried again."""

    def replace(self, contents: Contents) -> None:
        """Forget all that is there and keep this instead."""

    def ensure_ownership(self) -> None:
        """Raise `Deposed` unless it is certain that nobody else owns this state: asked before anything leaves the machine."""

    def close(self) -> None:
        """Close it."""


#: What to do about a state of which a part can't be read.
WAY_OUT = "restore a backup (`daqsched restore FILE`); the jobs run on meanwhile"


def head_of(revision: Revision) -> bytes:
    """All of a revision but its spec. Fields that `Revision` gets later need a default, and nothing here; but
    SQLite has a column for each (`read_revision`): there they need one, too, and a higher `SCHEMA`."""
    return msgspec.msgpack.encode(structs.replace(revision, spec=EMPTY))


def revision_of(head: bytes, spec: Spec = EMPTY) -> Revision:
    """What `head_of` wrote, and the spec that belongs to it; raises `DaqschedError` where it can't be read."""
    try:
        return structs.replace(msgspec.msgpack.decode(head, type=Revision), spec=spec)
    except (msgspec.MsgspecError, ValueError) as error:
        raise DaqschedError(
            f"the state is damaged: a revision can't be read ({brief(str(error))}): {WAY_OUT}"
        ) from error


def read_revision(head: Sequence[Any], spec: Optional[bytes] = None) -> Revision:
    """A revision out of the values of its head; raises `DaqschedError` where it can't be read. What was applied once is what
    is desired: nothing of it is guessed."""
    try:
        number, digest, user, time, message = msgspec.convert(tuple(head), tuple[int, str, str, float, str])
        return Revision(number, digest, user, time, message, EMPTY if spec is None else decode(spec))
    except (msgspec.MsgspecError, ValueError, TypeError, UserError) as error:
        what = f"revision {shown(head[0])} can't be read ({brief(str(error))})"
        raise DaqschedError(f"the state is damaged: {what}: {WAY_OUT}") from error


def record_bytes(record: Optional[Record]) -> Optional[bytes]:
    """A record as it is kept; None where there is nothing to remember."""
    return None if record is None or record == NOTHING else msgspec.msgpack.encode(record)


def record_of(data: bytes) -> Record:
    """What `record_bytes` wrote. One that can't be read is one of which nothing is known but that: see `Record.unread`."""
    try:
        record = msgspec.msgpack.decode(data, type=Record)
        beyond = refusal(record, texts=False, limit=lambda field: NUMBER)
        wrong = " ".join(beyond) if beyond is not None else ""
    except (msgspec.MsgspecError, ValueError, TypeError) as error:
        wrong = brief(str(error))
    return record if not wrong else Record(unread=wrong)
