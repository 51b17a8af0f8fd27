"""A state and who leads on it, in this process's memory: behind the same protocols as the real ones, with knobs for what fails.

What it promises is tested beside the real ones (`test_coordination.py`, `test_stores.py`), so that what is tried on it holds there.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import Callable, Optional, TypeVar

from daqsched.engine.commands import Revision
from daqsched.errors import Deposed
from daqsched.spec import decode, encode
from daqsched.store import Contents, Key
from daqsched.store.base import head_of, record_bytes, record_of, revision_of
from daqsched.store.coordination import Card
from daqsched.task import Record
from daqsched.wakeup import WakeUp

Name = TypeVar("Name")

NAME = "the memory (m1)"


class MemoryService:
    """What all daemons of a test share. Each knob has done what it says when it returns."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.sessions: list[MemorySession] = []
        self.elections: list[MemoryElection] = []
        #: In the order in which they stood.
        self.candidates: list[tuple[MemorySession, Card]] = []
        self.answers = True
        self.owner = ""
        self.framework_id = ""
        self.revisions: dict[int, tuple[bytes, bytes]] = {}
        self.records: dict[Key, bytes] = {}
        self.documents: dict[str, bytes] = {}

    def silence(self) -> None:
        """Nobody is answered any more, for longer than any session lasts."""
        with self.lock:
            self.answers = False
            began = list(self.sessions)
        for session in began:
            self.lose(session)

    def speak(self) -> None:
        """It answers again: sessions that began meanwhile, and new ones."""
        with self.lock:
            self.answers = True
            for session in self.sessions:
                session.answered.set()

    def lose(self, session: MemorySession) -> None:
        """One session ends, as where its daemon was cut off."""
        session.end()
        session.over()

    def remove(self) -> None:
        """Somebody removes all that is there, candidates too."""
        with self.lock:
            self.owner = self.framework_id = ""
            self.revisions, self.records, self.documents, self.candidates = {}, {}, {}, []
            self.changed()

    def changed(self) -> None:
        """Tell all who wait for an election."""
        for election in self.elections:
            election.wake()


class MemoryCoordination:
    """A `Coordination`: one daemon's way to the service."""

    place, name, unprotected = "memory://m1/farm", NAME, ""

    def __init__(self, service: MemoryService) -> None:
        self._service = service

    def local_address(self) -> str:
        return "127.0.0.1"

    def session(self) -> MemorySession:
        return MemorySession(self._service)


class MemorySession:
    """A `Session`, which holds for as long as nobody turns a knob."""

    def __init__(self, service: MemoryService) -> None:
        self.service = service
        self.answered = threading.Event()
        self.lost = False
        self.over: Callable[[], None] = lambda: None

    def start(self) -> None:
        with self.service.lock:
            self.service.sessions.append(self)
            if self.service.answers:
                self.answered.set()

    def stop(self) -> None:
        self.end()

    def end(self) -> None:
        with self.service.lock:
            self.lost = True
            self.answered.clear()
            self.service.sessions = [one for one in self.service.sessions if one is not self]
            self.service.candidates = [one for one in self.service.candidates if one[0] is not self]
            self.service.changed()

    @property
    def connected(self) -> bool:
        return self.answered.is_set()

    def wait_connected(self, timeout_s: float) -> bool:
        return self.answered.wait(timeout_s)

    def holds(self) -> bool:
        return self.connected and not self.lost

    def ensure_ownership(self) -> None:
        if not self.holds():
            raise Deposed(f"{NAME} {'ended the session' if self.service.answers else 'does not answer'}")

    def when_over(self, call: Callable[[], None]) -> None:
        with self.service.lock:
            self.over = call
            lost = self.lost
        if lost:
            call()

    def has_framework(self) -> bool:
        self.ensure_ownership()
        return bool(self.service.framework_id)

    def election(self) -> MemoryElection:
        return MemoryElection(self)

    def store(self, owner: str) -> MemoryStore:
        self.ensure_ownership()
        return MemoryStore(self, owner)


class MemoryElection:
    """An `Election`."""

    def __init__(self, session: MemorySession) -> None:
        self._session, self._service = session, session.service
        self._changed = WakeUp()
        self._stands = False
        with self._service.lock:
            self._service.elections.append(self)

    def stand(self, card: Card) -> None:
        with self._service.lock:
            self._session.ensure_ownership()
            self._service.candidates.append((self._session, card))
            self._stands = True
            self._service.changed()

    def leader(self) -> Optional[Card]:
        self._changed.clear()
        with self._service.lock:
            self._session.ensure_ownership()
            if self._stands and self._session not in [session for session, _ in self._service.candidates]:
                raise Deposed("somebody removed the candidate, by which this one stood for election")
            return self._service.candidates[0][1] if self._service.candidates else None

    def elected(self) -> bool:
        with self._service.lock:
            self._session.ensure_ownership()
            return bool(self._service.candidates) and self._service.candidates[0][0] is self._session

    def wait(self, timeout_s: float) -> None:
        self._changed.wait(timeout_s)

    def wake(self) -> None:
        self._changed.call()


class MemoryStore:
    """A `Store`, of ``owner`` from now on."""

    def __init__(self, session: MemorySession, owner: str) -> None:
        self._session, self._service, self._owner = session, session.service, owner
        with self._service.lock:
            self._service.owner = owner

    def framework_id(self) -> str:
        return self._service.framework_id

    def revision(self, number: Optional[int] = None) -> Optional[Revision]:
        there = self._service.revisions
        number = max(there, default=0) if number is None else number
        return revision_of(there[number][0], decode(there[number][1])) if number in there else None

    def history(self, most: int = 100) -> list[Revision]:
        return [revision_of(head) for _, (head, _) in sorted(self._service.revisions.items(), reverse=True)[:most]]

    def records(self) -> Iterator[tuple[Key, Record]]:
        yield from [(key, record_of(data)) for key, data in self._service.records.items()]

    def document(self, name: str) -> Optional[bytes]:
        return self._service.documents.get(name)

    def documents(self) -> Iterator[tuple[str, bytes]]:
        yield from sorted(self._service.documents.items())

    def save(
        self,
        framework_id: Optional[str] = None,
        revisions: Iterable[Revision] = (),
        records: Iterable[tuple[Key, Optional[Record]]] = (),
        documents: Mapping[str, Optional[bytes]] = {},
    ) -> None:
        with self._service.lock:
            self._ensure_mine()
            known = dict(self._service.revisions)
            for revision in revisions:
                assert revision.number not in known, f"revision {revision.number} exists already"
                known[revision.number] = (head_of(revision), encode(revision.spec))
            self._service.revisions = known
            if framework_id is not None:
                self._service.framework_id = framework_id
            for key, record in records:
                _put(self._service.records, key, record_bytes(record))
            for name, value in documents.items():
                _put(self._service.documents, name, value)

    def replace(self, contents: Contents) -> None:
        with self._service.lock:
            self._ensure_mine()
            self._service.framework_id = contents.framework_id
            self._service.revisions = {revision_of(head).number: (head, spec) for head, spec in contents.revisions}
            self._service.records = {(job, host): record for job, host, record in contents.records}
            self._service.documents = dict(contents.documents)

    def ensure_ownership(self) -> None:
        self._session.ensure_ownership()

    def close(self) -> None:
        """The session is whoever's who began it."""

    def _ensure_mine(self) -> None:
        self._session.ensure_ownership()
        if self._service.owner != self._owner:
            raise Deposed("another daqsched serve has taken over")


def _put(values: dict[Name, bytes], name: Name, value: Optional[bytes]) -> None:
    if value is None:
        values.pop(name, None)
    else:
        values[name] = value
