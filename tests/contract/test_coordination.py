"""What every coordination promises, of each: by a real ZooKeeper, and in the memory that `test_ensemble.py` uses."""

from __future__ import annotations

import itertools
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable, Protocol

import pytest
from kazoo.client import KazooClient
from kazoo.exceptions import ConnectionLoss

from daqsched import backends, offline
from daqsched.errors import Deposed, Refused, UserError
from daqsched.store.coordination import Card, Coordination, Election, Session
from daqsched.store.zookeeper.coordination import ZooKeeperCoordination
from daqsched.store.zookeeper.place import ZooKeeperPlace
from daqsched.store.zookeeper.session import ZooKeeperSession
from memory_coordination import MemoryCoordination, MemoryService
from waiting import until
from zoo import Zoo

A, B = Card("a", "127.0.0.1:1", "token a"), Card("b", "", "token b", "leads, and can't be asked")


class Service(Protocol):
    """A place where nothing is yet, and what may befall those who meet there."""

    def coordination(self) -> Coordination: ...

    def lose(self, session: Any) -> None:
        """That session ends, although its daemon is there."""

    def silence(self) -> None: ...

    def speak(self) -> None: ...

    def remove(self) -> None:
        """Somebody removes all that is there."""


class Memory(MemoryService):
    def coordination(self) -> Coordination:
        return MemoryCoordination(self)


class ByZooKeeper:
    def __init__(self, zoo: Zoo, path: str) -> None:
        self._zoo, self._place = zoo, ZooKeeperPlace(zoo.servers, path)

    def coordination(self) -> Coordination:
        return ZooKeeperCoordination(self._place, session_s=3.0)

    def lose(self, session: Any) -> None:
        assert isinstance(session, ZooKeeperSession)
        # whoever takes a session over and closes it ends it for who had it before
        self._act(lambda client: None, client_id=session.client.client_id)

    def silence(self) -> None:
        self._zoo.signal(signal.SIGSTOP)

    def speak(self) -> None:
        self._zoo.signal(signal.SIGCONT)

    def remove(self) -> None:
        self._act(lambda client: client.delete(self._place.path, recursive=True))

    def _act(self, act: Callable[[KazooClient], object], **options: Any) -> None:
        client = KazooClient(self._zoo.servers, **options)
        client.start()
        try:
            act(client)
        finally:
            client.stop()
            client.close()


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zoo]:
    """A ZooKeeper of this file's own."""
    made = Zoo(tmp_path_factory.mktemp("zoo"))
    yield made
    made.kill()


_paths = (f"/coordination-{os.getpid()}-{number}" for number in itertools.count())


@pytest.fixture(params=["memory", "zookeeper"])
def service(request: pytest.FixtureRequest) -> Iterator[Service]:
    """One of each kind."""
    if request.param == "memory":
        yield Memory()
        return
    made = ByZooKeeper(request.getfixturevalue("zoo"), next(_paths))
    yield made
    made.speak()


@pytest.fixture
def begin(service: Service) -> Iterator[Callable[[], Session]]:
    """Begins a session that holds; all are stopped at the end, for the second time some."""
    begun: list[Session] = []

    def begin_one() -> Session:
        session = service.coordination().session()
        begun.append(session)
        session.start()
        assert session.wait_connected(20) and session.connected
        until(session.holds, "the session holds")
        return session

    yield begin_one
    for session in begun:
        session.stop()
        assert session.lost and not session.holds()


def standing(session: Session, card: Card) -> Election:
    election = session.election()
    election.stand(card)
    return election


def test_nothing_is_asked_before_a_session_starts(service: Service) -> None:
    """And where it is, and whose it is, is known all the same."""
    service.silence()
    coordination = service.coordination()
    session = coordination.session()
    assert not (session.connected or session.lost or session.holds() or session.wait_connected(0))
    assert coordination.place and coordination.name and coordination.local_address() == "127.0.0.1"
    with pytest.raises(Deposed):
        session.ensure_ownership()


def test_who_has_stood_longest_leads_and_the_next_follows(begin: Callable[[], Session]) -> None:
    """Everybody sees the same one; a change ends the others' wait."""
    one, two = begin(), begin()
    first, second = standing(one, A), standing(two, B)
    assert first.leader() == second.leader() == A
    assert first.elected() and not second.elected()
    waiting = threading.Thread(target=second.wait, args=(60.0,))
    waiting.start()
    one.stop()
    waiting.join(20)
    assert not waiting.is_alive()
    until(lambda: second.leader() == B, "the next one is first")
    assert second.elected()


def test_nobody_leads_where_nobody_stands(begin: Callable[[], Session]) -> None:
    """Who only looks is not elected."""
    election = begin().election()
    assert election.leader() is None and not election.elected()


def test_a_wake_ends_also_the_next_wait(begin: Callable[[], Session]) -> None:
    """It may come between a look and the wait."""
    election = standing(begin(), A)
    election.leader()
    election.wake()
    over = threading.Event()

    def wait() -> None:
        election.wait(60.0)
        over.set()

    threading.Thread(target=wait, daemon=True).start()
    assert over.wait(20)


def test_a_session_that_was_lost_is_lost_for_ever(service: Service, begin: Callable[[], Session]) -> None:
    """It is told, at once also who asks to be told then; whatever needs it raises; the next one leads."""
    one, two = begin(), begin()
    first, second = standing(one, A), standing(two, B)
    told: list[bool] = []
    one.when_over(lambda: told.append(one.holds()))
    service.lose(one)
    until(lambda: told, "it is told")
    assert not any(told) and one.lost and not one.connected
    again: list[bool] = []
    one.when_over(lambda: again.append(True))
    assert again
    for ask in (one.ensure_ownership, one.has_framework, first.leader, first.elected, lambda: one.store("x")):
        with pytest.raises(Deposed):
            ask()
    until(lambda: second.leader() == B, "the next one is first")
    assert second.elected()


def test_a_silence_ends_every_session(service: Service, begin: Callable[[], Session]) -> None:
    """By this machine's clock; a new one waits, and connects when there are answers again."""
    one = begin()
    told = threading.Event()
    one.when_over(told.set)
    service.silence()
    assert told.wait(20)
    assert one.lost and not one.holds()
    with pytest.raises(Deposed, match="does not answer|ended the session"):
        one.ensure_ownership()
    one.stop()
    other = service.coordination().session()
    other.start()
    try:
        assert not other.wait_connected(0.1) and not other.lost
        service.speak()
        assert other.wait_connected(20)
        until(other.holds, "the new one holds")
        assert one.lost and not one.holds()
    finally:
        other.stop()


def test_the_state_is_the_last_ones_who_took_it(begin: Callable[[], Session]) -> None:
    """Whoever had it before can't save; that there is a farm is known to all."""
    one, two = begin(), begin()
    assert not one.has_framework() and not two.has_framework()
    first = one.store("one")
    first.save("fw")
    assert two.has_framework()
    second = two.store("two")
    assert second.framework_id() == "fw"
    with pytest.raises(Deposed, match="another daqsched serve has taken over"):
        first.save("other")
    second.close()
    assert two.holds()
    assert begin().store("three").framework_id() == "fw"


def test_a_store_is_no_longer_ours_when_the_session_is_lost(service: Service, begin: Callable[[], Session]) -> None:
    """Before anybody else has taken it."""
    session = begin()
    store = session.store("one")
    store.ensure_ownership()
    service.lose(session)
    until(lambda: session.lost, "it is lost")
    with pytest.raises(Deposed):
        store.ensure_ownership()
    with pytest.raises(Deposed):
        store.save("fw")


def test_who_was_removed_as_a_candidate_hears_of_it(service: Service, begin: Callable[[], Session]) -> None:
    """Else nobody would lead when the leader goes; what was saved is gone, and is not saved again."""
    session = begin()
    store, election = session.store("one"), standing(session, A)
    store.save("fw")
    assert election.leader() == A
    service.remove()
    with pytest.raises(Deposed, match="somebody removed"):
        election.leader()
    assert not session.has_framework()
    with pytest.raises(Deposed):
        store.save("other")


def test_a_command_has_the_state_alone(service: Service, begin: Callable[[], Session]) -> None:
    """It is refused where a daemon stands, and a daemon that begins meanwhile waits until it is done."""
    session = begin()
    election = standing(session, A)
    with (
        pytest.raises(Refused, match="is used by a: stop every daqsched serve"),
        offline.shared(service.coordination(), "x"),
    ):
        pass
    session.stop()
    daemon = begin()
    with offline.shared(service.coordination(), "daqsched restore") as store:
        election = standing(daemon, A)
        leader = election.leader()
        assert leader is not None and leader.name.startswith("daqsched restore on ") and not election.elected()
        store.save("fw")
    until(lambda: election.leader() == A, "the command is done")
    assert election.elected() and daemon.has_framework()


def test_who_does_not_know_whether_it_stands_is_deposed(zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection broke with the question: a second candidate of ours would stand in our own way, so it is another session's."""
    session = ByZooKeeper(zoo, next(_paths)).coordination().session()
    assert isinstance(session, ZooKeeperSession)
    session.start()
    try:
        assert session.wait_connected(20)
        broken = session.client.handler.async_result()
        broken.set_exception(ConnectionLoss())
        really = session.client.create_async
        monkeypatch.setattr(
            session.client,
            "create_async",
            lambda *what, **how: broken if how.get("sequence") else really(*what, **how),
        )
        with pytest.raises(Deposed, match="does not answer"):
            session.election().stand(A)
    finally:
        session.stop()


@pytest.mark.parametrize("state", ["state", "/var/lib/x", "./zk:/x", "a b", "zk:/h:1/x", "1zk://h:1/x"])
def test_what_has_no_scheme_is_a_folder(state: str) -> None:
    """Whoever has it alone needs nobody to agree with."""
    assert backends.coordination(state) is None


@pytest.mark.parametrize("state", ["nosuch://h:1/x", "ZK://h:1/x", "file:///x", "http://h/x", "zoo+keeper://x"])
def test_a_scheme_that_nobody_knows_is_a_sentence(state: str) -> None:
    """No folder of that name, in which a new farm would begin."""
    with pytest.raises(UserError, match="there can't be a state at .*: write a folder, or zk://HOST:PORT,.../PATH"):
        backends.coordination(state)


def test_a_place_without_credentials_says_that_it_is_open(tmp_path: Path) -> None:
    """And its password is nowhere in what people read."""
    file = tmp_path / "password"
    file.write_text("daq:secret\n")
    file.chmod(0o600)
    opened, closed = backends.coordination("zk://h1:1,h2:2/x/"), backends.coordination("zk://h1:1,h2:2/x", file)
    assert opened is not None and closed is not None
    assert opened.unprotected == "no --state-credentials: whoever reaches ZooKeeper may read and change the state"
    assert closed.unprotected == "" and "secret" not in closed.place + closed.name
    assert opened.place == closed.place == "zk://h1:1,h2:2/x" and opened.name == "ZooKeeper (h1:1,h2:2)"
