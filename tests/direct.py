"""The daemon's answers without sockets, threads or a disk: thousands of requests in seconds, one after the other."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable
from typing import Any, Callable, Iterable, Iterator, Mapping, NamedTuple, Optional

import msgspec

from daqsched.engine import commands, events
from daqsched.engine.commands import Revision
from daqsched.engine.engine import Engine
from daqsched.engine.repeats import ANYHOW, Terms
from daqsched.engine.resources import Offer
from daqsched.engine.verdict import Verdict
from daqsched.errors import DaqschedError
from daqsched.mesos.agents import Agent, Agents
from daqsched.protocol import API
from daqsched.rights.grants import Grants
from daqsched.rights.principal import Principal
from daqsched.rights.rules import Rights
from daqsched.serve.accounts import Accounts
from daqsched.serve.api import Api
from daqsched.serve.daemon import Daemon
from daqsched.serve.http import Caller
from daqsched.serve.planning import Planning
from daqsched.serve.searches import SearchAccount
from daqsched.serve.streams import Streams
from daqsched.spec import EMPTY, Spec
from daqsched.store import Contents
from daqsched.task import Record


class MemoryStore:
    """A `Store` that forgets all with the process."""

    def __init__(self) -> None:
        self._framework_id = ""
        self._revisions: dict[int, Revision] = {}
        self._records: dict[tuple[str, str], Record] = {}
        self._documents: dict[str, bytes] = {}

    def framework_id(self) -> str:
        return self._framework_id

    def revision(self, number: Optional[int] = None) -> Optional[Revision]:
        return self._revisions.get(max(self._revisions, default=0) if number is None else number)

    def history(self, most: int = 100) -> list[Revision]:
        newest = itertools.islice(reversed(self._revisions.values()), most)
        return [msgspec.structs.replace(one, spec=EMPTY) for one in newest]

    def records(self) -> Iterator[tuple[tuple[str, str], Record]]:
        yield from self._records.items()

    def document(self, name: str) -> Optional[bytes]:
        return self._documents.get(name)

    def documents(self) -> Iterator[tuple[str, bytes]]:
        yield from sorted(self._documents.items())

    def save(
        self,
        framework_id: Optional[str] = None,
        revisions: Iterable[Revision] = (),
        records: Iterable[tuple[tuple[str, str], Optional[Record]]] = (),
        documents: Mapping[str, Optional[bytes]] = {},
    ) -> None:
        self._framework_id = framework_id or self._framework_id
        self._revisions.update((one.number, one) for one in revisions)
        for key, record in records:
            self._records.pop(key, None)
            if record is not None:
                self._records[key] = record
        for name, data in documents.items():
            self._documents.pop(name, None)
            if data is not None:
                self._documents[name] = data

    def replace(self, contents: Contents) -> None:
        raise NotImplementedError

    def ensure_ownership(self) -> None:
        """Always."""

    def close(self) -> None:
        """Nothing is open."""


class Quiet:
    """In Mesos' place: takes every command, and notes what was launched."""

    def __init__(self) -> None:
        self.launched: list[str] = []

    def perform(self, command: commands.Command) -> None:
        if isinstance(command, commands.Launch):
            self.launched += [one.payload.task_id for one in command.tasks]


Look = Callable[[Engine, float], None]


class AtOnce(Daemon):
    """A daemon whose loop is a call: what is asked is answered when `request` returns."""

    def __init__(self) -> None:
        self.edge, self.time = Quiet(), 1.8e9
        super().__init__(MemoryStore(), lambda spec: spec, clock=lambda: self.time)
        #: What people asked for, with whose rights, what the farm was before, and what it came to.
        self.heard: list[Heard] = []

    def put(self, event: events.Event) -> None:
        self._work([event], self.edge)

    def request(
        self,
        event: events.Event,
        grants: Optional[Callable[[], Optional[Grants]]],
        terms: Terms = ANYHOW,
        before: Optional[Look] = None,
        after: Optional[Look] = None,
    ) -> Any:
        spec = self.engine.revision.spec if self.engine.revision is not None else EMPTY
        done = super().request(event, grants, terms, before, after)
        verdict: Verdict = done.exception() or done.result()  # type: ignore[assignment]  # what it raises is one
        self.heard.append(Heard(event, grants() if grants is not None else None, spec, verdict))
        return done

    def _enqueue(self, item: Any) -> None:
        self.time += 0.01
        self._work([item], self.edge)


class Heard(NamedTuple):
    """An event that somebody asked for."""

    event: events.Event
    grants: Optional[Grants]
    before: Spec
    verdict: Verdict

    @property
    def accepted(self) -> bool:
        return not isinstance(self.verdict, DaqschedError)


class NoAgents(Agents):
    """A master without agents, which answers at once."""

    async def registered(self, master: str) -> dict[str, Agent]:
        return {}

    async def machines(self, master: str) -> dict[str, Offer]:
        return {}


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes


class Direct:
    """Asks the application itself, as whomever."""

    def __init__(
        self,
        rights: Optional[Rights] = None,
        account: Optional[SearchAccount] = None,
        index: str = "logs",
        agents: Callable[[], Agents] = NoAgents,
    ) -> None:
        self.daemon = AtOnce()
        self.api = Api(self.daemon, lambda spec: spec, "http://es:9200", index, agents=agents, account=account)
        self.api.guesses.clock = itertools.count(0.0, 1e6).__next__  # each request is at another time
        self._rights, self._reading = rights, Planning("reading", 2)
        self._accounts = Accounts(lambda uid: "nobody", lambda uid: ())

    @property
    def engine(self) -> Engine:
        return self.daemon.engine

    def caller(self, *known_as: str) -> Caller:
        """Somebody whom rules call so; without rights: root."""
        who = Principal("bob", frozenset(known_as))
        grants = Grants(self._rights, who) if self._rights is not None else None
        return Caller("bob", 0 if grants is None else 9999, 9999, 1, "socket", "", who, grants)

    async def ask(
        self, caller: Caller, method: str, path: str, query: bytes = b"", body: bytes = b"", **headers: str
    ) -> Answer:
        """The answer to one request; ``path`` is that below the version."""
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": f"{API}{path}",
            "raw_path": f"{API}{path}".encode(),
            "query_string": query,
            "root_path": "",
            "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
            "caller": caller,
            "audit": None,
            "reading": self._reading,
            "rights": None,
            "accounts": self._accounts,
            "authentication": None,
            "streams": Streams(),
            "standby_copies": list,
        }
        come = [{"type": "http.request", "body": body, "more_body": False}]
        sent: list[Any] = []

        async def receive() -> Any:
            return come.pop() if come else {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        app: Callable[..., Awaitable[None]] = self.api.app
        await app(scope, receive, send)
        start, *pieces = sent
        told = {name.decode(): value.decode() for name, value in start["headers"]}
        return Answer(start["status"], told, b"".join(one.get("body", b"") for one in pieces))
