"""The state in ZooKeeper, for two or more daemons of which one leads: a `Store` over `nodes`.

The records of one host are one value: what happens in a round concerns few hosts, and one host's records are some
kilobytes. They are kept in memory as they are in ZooKeeper, compressed, because a record is saved with its neighbours.
"""

from __future__ import annotations

import zlib
from contextlib import contextmanager
from typing import Iterable, Iterator, Mapping, Optional
from urllib.parse import unquote

import msgspec
from kazoo.exceptions import NoNodeError

from daqsched.engine.commands import Revision
from daqsched.errors import DaqschedError
from daqsched.limits import brief
from daqsched.spec import decode, encode
from daqsched.store.base import WAY_OUT, Contents, Key, head_of, record_bytes, record_of, revision_of
from daqsched.store.zookeeper.nodes import ZooKeeperNodes, named
from daqsched.store.zookeeper.session import ZooKeeperSession
from daqsched.task import Record

#: Revisions that are kept; ZooKeeper holds everything in memory. The oldest go when new ones come.
REVISIONS = 1000

#: The value that names the framework.
FRAMEWORK = "framework"

_records = msgspec.msgpack.Decoder(dict[str, bytes])


class ZooKeeperStore:
    """A `Store` (see there) at the session's place, of ``owner`` from now on: whoever owned it before can't save any more."""

    def __init__(self, session: ZooKeeperSession, owner: str) -> None:
        self._session = session
        self._nodes = ZooKeeperNodes(session, owner)
        with self._reading():
            self._nodes.take()
            hosts = [name for name in self._nodes.names if name.startswith("host.")]
            self._hosts = {name: zlib.compress(value, 1) for name, value in self._nodes.read(hosts)}

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Whatever somebody wrote there is a sentence."""
        try:
            yield
        except (zlib.error, msgspec.MsgspecError, NoNodeError, ValueError, KeyError) as error:
            what = f"what is below {self._session.place} can't be read ({type(error).__name__}: {brief(str(error))})"
            raise DaqschedError(f"the state is damaged: {what}: {WAY_OUT}") from error

    def framework_id(self) -> str:
        with self._reading():
            return (self._one(FRAMEWORK) or b"").decode()

    def revision(self, number: Optional[int] = None) -> Optional[Revision]:
        with self._reading():
            numbers = self._numbers()
            number = number if number is not None else max(numbers, default=0)
            if number not in numbers:
                return None
            found = dict(self._nodes.read([_head(number), _spec(number)]))
            return revision_of(found[_head(number)], decode(found[_spec(number)]))

    def history(self, most: int = 100) -> list[Revision]:
        with self._reading():
            numbers = sorted(self._numbers(), reverse=True)[:most]
            return [revision_of(head) for _, head in self._nodes.read(map(_head, numbers))]

    def records(self) -> Iterator[tuple[Key, Record]]:
        for name, packed in self._hosts.items():
            host = unquote(name.partition(".")[2])
            with self._reading():
                there = _unpacked(packed)
            for job, record in there.items():
                yield (job, host), record_of(record)

    def document(self, name: str) -> Optional[bytes]:
        return self._one(named("document", name))

    def documents(self) -> Iterator[tuple[str, bytes]]:
        names = [name for name in self._nodes.names if name.startswith("document.")]
        found = [(unquote(name.partition(".")[2]), content) for name, content in self._nodes.read(names)]
        yield from sorted(found)

    def save(
        self,
        framework_id: Optional[str] = None,
        revisions: Iterable[Revision] = (),
        records: Iterable[tuple[Key, Optional[Record]]] = (),
        documents: Mapping[str, Optional[bytes]] = {},
    ) -> None:
        changes: dict[str, Optional[bytes]] = {}
        if framework_id is not None:
            changes[FRAMEWORK] = framework_id.encode()
        there = self._numbers()
        for revision in revisions:
            if revision.number in there:
                raise AssertionError(f"revision {revision.number} exists already")
            there.add(revision.number)
            changes[_head(revision.number)] = head_of(revision)
            changes[_spec(revision.number)] = encode(revision.spec)
        for number in sorted(there)[:-REVISIONS]:
            changes[_head(number)] = changes[_spec(number)] = None
        hosts: dict[str, dict[str, bytes]] = {}
        for (job, host), record in records:
            name = named("host", host)
            if name not in hosts:
                hosts[name] = _unpacked(self._hosts[name]) if name in self._hosts else {}
            data = record_bytes(record)
            if data is not None:
                hosts[name][job] = data
            else:
                hosts[name].pop(job, None)
        values = {name: msgspec.msgpack.encode(kept) if kept else None for name, kept in hosts.items()}
        self._write({**changes, **values, **{named("document", name): data for name, data in documents.items()}})

    def replace(self, contents: Contents) -> None:
        changes: dict[str, Optional[bytes]] = dict.fromkeys(self._nodes.names)
        if contents.framework_id:
            changes[FRAMEWORK] = contents.framework_id.encode()
        for head, spec in contents.revisions[-REVISIONS:]:
            number = revision_of(head).number
            changes[_head(number)], changes[_spec(number)] = head, spec
        hosts: dict[str, dict[str, bytes]] = {}
        for job, host, record in contents.records:
            hosts.setdefault(named("host", host), {})[job] = record
        changes.update((name, msgspec.msgpack.encode(kept)) for name, kept in hosts.items())
        changes.update((named("document", name), data) for name, data in contents.documents.items())
        self._write(changes)

    def ensure_ownership(self) -> None:
        self._session.ensure_ownership()

    def close(self) -> None:
        """The session stays, and is ended by whoever began it."""

    def _write(self, changes: Mapping[str, Optional[bytes]]) -> None:
        if not changes:
            return
        self._nodes.write(changes)
        for name, value in changes.items():
            if name.startswith("host."):
                if value is None:
                    self._hosts.pop(name, None)
                else:
                    self._hosts[name] = zlib.compress(value, 1)

    def _one(self, name: str) -> Optional[bytes]:
        found = self._nodes.read([name])
        return found[0][1] if found else None

    def _numbers(self) -> set[int]:
        return {int(name.partition(".")[2]) for name in self._nodes.names if name.startswith("revision.")}


def _unpacked(packed: bytes) -> dict[str, bytes]:
    return _records.decode(zlib.decompress(packed))


def _head(number: int) -> str:
    return f"revision.{number:010}"


def _spec(number: int) -> str:
    return f"spec.{number:010}"
