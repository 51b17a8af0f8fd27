"""What all stores promise, and the form in which they keep it."""

from __future__ import annotations

from typing import Iterable, Iterator, Mapping, Optional, Protocol

import msgspec
from msgspec import structs

from daqsched.engine.commands import Revision
from daqsched.spec import EMPTY, Spec
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

    def vouch(self) -> None:
        """Raise `Deposed` unless it is certain that nobody else owns this state: asked before anything leaves the machine."""

    def close(self) -> None:
        """Give it free."""


def head_of(revision: Revision) -> bytes:
    """All of a revision but its spec. Fields that `Revision` gets later need a default, and nothing here."""
    return msgspec.msgpack.encode(structs.replace(revision, spec=EMPTY))


def revision_of(head: bytes, spec: Spec = EMPTY) -> Revision:
    """What `head_of` wrote, and the spec that belongs to it."""
    return structs.replace(msgspec.msgpack.decode(head, type=Revision), spec=spec)


def record_bytes(record: Optional[Record]) -> Optional[bytes]:
    """A record as it is kept; None where there is nothing to remember."""
    return None if record is None or record == NOTHING else msgspec.msgpack.encode(record)


def record_of(data: bytes) -> Record:
    """What `record_bytes` wrote."""
    return msgspec.msgpack.decode(data, type=Record)
