"""Named values of any size in ZooKeeper, changed together or not at all, by one owner at a time.

Below the path that belongs to us:

    PATH                 the head: who owns all this, how often it changed, and a journal that waits to be carried out
    PATH/values/NAME     a value, compressed; or where its parts are
    PATH/parts/NAME~N~I  part I of a value that is too large for one node, as change N wrote it

**One owner.** Every change sets the head, at the version at which its owner last saw it, in the same transaction. Whoever
takes over sets it first. So nothing that an owner before began can come after that, however long it was on its way.

**All or nothing.** ZooKeeper takes a megabyte per transaction (jute.maxbuffer). A larger change is written down first, as
parts that nobody looks at; then the head names it as the journal, in one transaction: from there on it has happened.
Whoever takes over before it was carried out carries it out. Parts that nothing names are removed by who takes over.
"""

from __future__ import annotations

import zlib
from functools import partial
from typing import Annotated, Any, Iterable, Mapping, Optional
from urllib.parse import quote

import msgspec
from kazoo.exceptions import BadVersionError, ConnectionLoss, NoNodeError, RolledBackError

from daqsched.errors import DaqschedError, Deposed
from daqsched.store.base import SCHEMA
from daqsched.store.zookeeper.session import ZooKeeperSession

#: The most that a node holds, and that one transaction writes; ZooKeeper's limit for either is 1 MiB less some bytes.
PART, MOST = 256 * 1024, 700 * 1024
#: The most parts that a value has, and the most bytes that one is unpacked: whoever wrote more was not us.
PARTS, LARGEST = 4096, 256 << 20
#: What an operation takes besides its name and its value: an ACL, numbers, the path before the name.
_OVERHEAD = 200
_JOURNAL = "~journal"
_HERE, _IN_PARTS = b"\0", b"\1"


class Ref(msgspec.Struct, frozen=True, array_like=True):
    """Where parts are: which change wrote them, and how many they are."""

    serial: Annotated[int, msgspec.Meta(ge=0)]
    count: Annotated[int, msgspec.Meta(ge=0, le=PARTS)]


class Head(msgspec.Struct, frozen=True):
    """What the node at PATH says."""

    schema: int = SCHEMA
    #: Who took it last, for people; two owners never have the same.
    owner: str = ""
    serial: int = 0
    journal: Optional[Ref] = None


class ZooKeeperNodes:
    """See the module. One thread uses it; whatever needs ZooKeeper raises `Deposed` where the state is lost."""

    def __init__(self, session: ZooKeeperSession, owner: str) -> None:
        self._session, self._client = session, session.client
        self._path = session.place.path
        self._head = Head(owner=owner)
        self._version = -1
        #: The names that have a value.
        self.names: set[str] = set()
        self._refs: dict[str, Ref] = {}

    def take(self) -> None:
        """Become the owner, and make good what the last one left undone."""
        for folder in ("values", "parts"):
            self._session.ask(partial(self._client.ensure_path_async, f"{self._path}/{folder}"))
        self._close_to_others()
        data, stat = self._session.ask(partial(self._client.get_async, self._path))
        before = msgspec.json.decode(data, type=Head) if data else Head()
        if before.schema > SCHEMA:
            raise DaqschedError(
                f"{self._session.place} was written by a newer daqsched (format {before.schema}): install that one"
            )
        self._version = stat.version
        self._head = Head(owner=self._head.owner, serial=before.serial, journal=before.journal)
        self._commit({}, before.journal)
        self.names = set(self._children("values"))
        self._find_parts()
        if before.journal is not None:
            changes = self._parts(_JOURNAL, before.journal)
            self._carry_out(msgspec.msgpack.decode(changes, type=dict[str, Optional[bytes]]))
        self._sweep()

    def _close_to_others(self) -> None:
        """What was made before there was a password; the folder comes last, so that who takes over half of it goes on."""
        for folder in ("values", "parts"):
            path = f"{self._path}/{folder}"
            if self._session.open_to_others(path):
                self._session.close_to_others([f"{path}/{child}" for child in self._children(folder)])
                self._session.close_to_others([path])

    def read(self, names: Iterable[str]) -> list[tuple[str, bytes]]:
        """The values of those that have one."""
        there = [name for name in names if name in self.names]
        nodes = self._session.all([partial(self._client.get_async, self._value(name)) for name in there])
        return [(name, self._decoded(name, data)) for name, (data, _) in zip(there, nodes)]

    def write(self, changes: Mapping[str, Optional[bytes]]) -> None:
        """All of this, or nothing; a value that is None is removed."""
        replaced = {name: self._refs[name] for name in changes if name in self._refs}
        made: dict[str, Optional[bytes]] = {}
        for name, value in changes.items():
            if value is not None:
                made[name] = self._encoded(name, value)
            elif name in self.names:
                made[name] = None
                self._refs.pop(name, None)
        if sum(map(_size, made.items())) <= MOST:
            self._commit(made, None)
        else:
            ref = self._put_parts(_JOURNAL, msgspec.msgpack.encode(made))
            self._commit({}, ref)
            self._carry_out(made)
        for name, ref in replaced.items():
            self._remove_parts(name, ref)

    # ------------------------------------------------------------------ changes

    def _commit(self, changes: Mapping[str, Optional[bytes]], journal: Optional[Ref]) -> None:
        head = Head(owner=self._head.owner, serial=self._head.serial + 1, journal=journal)
        while True:
            transaction = self._client.transaction()
            transaction.set_data(self._path, msgspec.json.encode(head), self._version)
            for name, data in changes.items():
                if data is None:
                    transaction.delete(self._value(name))
                elif name in self.names:
                    transaction.set_data(self._value(name), data)
                else:
                    transaction.create(self._value(name), data)
            try:
                results = self._session.answer(transaction.commit_async())
                break
            except ConnectionLoss:
                # carried out or not: the head tells
                data, stat = self._session.ask(partial(self._client.get_async, self._path))
                if stat.version == self._version + 1 and data == msgspec.json.encode(head):
                    results = [stat]
                    break
        self._look_at(results)
        self._head, self._version = head, self._version + 1
        for name, data in changes.items():
            (self.names.discard if data is None else self.names.add)(name)

    def _look_at(self, results: list[Any]) -> None:
        wrong = [one for one in results if isinstance(one, Exception) and not isinstance(one, RolledBackError)]
        if any(isinstance(one, BadVersionError) for one in wrong):
            raise Deposed("another daqsched serve has taken over")
        if wrong:
            raise Deposed(f"somebody else has changed what is below {self._session.place} ({wrong[0]!r})")

    def _carry_out(self, changes: Mapping[str, Optional[bytes]]) -> None:
        """What the journal says, in as many transactions as it takes, and then the journal away."""
        journal = self._head.journal
        assert journal is not None, "it was named before"
        batch: dict[str, Optional[bytes]] = {}
        room = MOST
        for name, data in changes.items():
            if data is None and name not in self.names:
                continue  # was done before somebody died
            size = _size((name, data))
            if size > room:
                self._commit(batch, journal)
                batch, room = {}, MOST
            batch[name] = data
            room -= size
        self._commit(batch, None)
        self._remove_parts(_JOURNAL, journal)

    # ------------------------------------------------------------------ values and their parts

    def _encoded(self, name: str, value: bytes) -> bytes:
        packed = zlib.compress(value, 1)
        if len(packed) <= PART:
            self._refs.pop(name, None)
            return _HERE + packed
        self._refs[name] = self._put_parts(name, packed)
        return _IN_PARTS + msgspec.json.encode(self._refs[name])

    def _decoded(self, name: str, data: bytes) -> bytes:
        if data[:1] == _HERE:
            return _unpacked(data[1:])
        return _unpacked(self._parts(name, msgspec.json.decode(data[1:], type=Ref)))

    def _put_parts(self, name: str, data: bytes) -> Ref:
        pieces = [data[start : start + PART] for start in range(0, len(data), PART)]
        ref = Ref(self._head.serial + 1, len(pieces))
        places = self._places(name, ref)
        # not created with what is in them: they may be there, begun by somebody who never named them
        self._session.all([partial(self._client.ensure_path_async, path) for path in places])
        self._session.all([partial(self._client.set_async, path, piece) for path, piece in zip(places, pieces)])
        return ref

    def _parts(self, name: str, ref: Ref) -> bytes:
        found = self._session.all([partial(self._client.get_async, path) for path in self._places(name, ref)])
        return b"".join(data for data, _ in found)

    def _remove_parts(self, name: str, ref: Ref) -> None:
        """Nothing names them any more; what is not removed now is when somebody takes over."""
        for path in self._places(name, ref):
            self._client.delete_async(path)

    def _find_parts(self) -> None:
        split = {name.split("~")[0] for name in self._children("parts")} & self.names
        nodes = self._session.all([partial(self._client.get_async, self._value(name)) for name in split])
        for name, (data, _) in zip(split, nodes):
            if data[:1] == _IN_PARTS:
                self._refs[name] = msgspec.json.decode(data[1:], type=Ref)

    def _sweep(self) -> None:
        named = {path for name, ref in self._refs.items() for path in self._places(name, ref)}
        for child in self._children("parts"):
            path = f"{self._path}/parts/{child}"
            if path not in named:
                try:
                    self._session.ask(partial(self._client.delete_async, path))
                except NoNodeError:
                    pass  # a removal of a moment ago

    def _children(self, folder: str) -> list[str]:
        found: list[str] = self._session.ask(partial(self._client.get_children_async, f"{self._path}/{folder}"))
        return found

    def _places(self, name: str, ref: Ref) -> list[str]:
        return [f"{self._path}/parts/{name}~{ref.serial}~{number}" for number in range(ref.count)]

    def _value(self, name: str) -> str:
        return f"{self._path}/values/{name}"


def _unpacked(data: bytes) -> bytes:
    """Raises zlib.error, or ValueError where it is more than can be ours."""
    unpacking = zlib.decompressobj()
    value = unpacking.decompress(data, LARGEST)
    if not unpacking.eof:
        raise ValueError(f"a value is not whole, or has more than {LARGEST >> 20} MiB")
    return value


def _size(change: tuple[str, Optional[bytes]]) -> int:
    name, data = change
    return len(name) + len(data or b"") + _OVERHEAD


def named(kind: str, text: str) -> str:
    """A name for a node: ``host.hlt01``; whatever a path must not have, and our own ``~``, is written as %XX."""
    return f"{kind}.{quote(text, safe='').replace('~', '%7E')}"
