"""What every store promises, of each: in a SQLite file, in a real ZooKeeper, and in the memory that other tests use."""

from __future__ import annotations

import itertools
import os
import random
import signal
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable

import pytest
from kazoo.client import KazooClient
from kazoo.exceptions import NoAuthError, NotEmptyError
from kazoo.security import OPEN_ACL_UNSAFE

from builders import job
from daqsched.engine.commands import Revision
from daqsched.errors import DaqschedError, Deposed, UserError
from daqsched.serve.daemon import Daemon
from daqsched.spec import EMPTY, Spec
from daqsched.store import Contents, Store
from daqsched.store.coordination import Card
from daqsched.store.sqlite import SqliteStore
from daqsched.store.zookeeper import nodes
from daqsched.store.zookeeper.election import ZooKeeperElection
from daqsched.store.zookeeper.place import ZooKeeperPlace, place_of
from daqsched.store.zookeeper.session import ZooKeeperSession
from daqsched.store.zookeeper.store import ZooKeeperStore
from daqsched.task import Hold, Record, Task
from daqsched_executor.contract import Exit, Report
from memory_coordination import MemoryCoordination, MemoryService
from waiting import until
from zoo import Zoo

RECORD = Record(
    task=Task(
        "a@h.1", "agent", "d", 1.5, "running", 2.5, 0.0, "fine", Report("running", 7, last_exit=Exit(1.0, 2.0, code=3))
    ),
    failures=2,
    due=9.0,
    last_end="exit code 1",
    hold=Hold("bob", 3.0, "why"),
)


def revision(number: int, description: str = "") -> Revision:
    return Revision(number, f"d{number}", "alice", 1.0, description, Spec(jobs=(job(),)))


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zoo]:
    """A ZooKeeper of this file's own."""
    made = Zoo(tmp_path_factory.mktemp("zoo"))
    yield made
    made.kill()


_places = (f"/daqsched/{os.getpid()}-{number}" for number in itertools.count())


class Zookeepers:
    """Daemons' ends of one state, each with a session of its own."""

    def __init__(self, place: ZooKeeperPlace) -> None:
        self.place = place
        self.sessions: list[ZooKeeperSession] = []

    def session(self, session_s: float = 10.0) -> ZooKeeperSession:
        session = ZooKeeperSession(self.place, session_s)
        self.sessions.append(session)
        session.start()
        assert session.wait_connected(20)
        until(session.holds, "the lease begins")
        return session

    def open(self) -> ZooKeeperStore:
        return ZooKeeperStore(self.session(), f"owner {len(self.sessions)}")

    def stop(self) -> None:
        for session in self.sessions:
            session.stop()


@pytest.fixture
def zookeepers(zoo: Zoo) -> Iterator[Zookeepers]:
    """A place in ZooKeeper where nothing is."""
    made = Zookeepers(ZooKeeperPlace(zoo.servers, next(_places)))
    yield made
    made.stop()


@pytest.fixture(params=["sqlite", "zookeeper", "memory"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Store]:
    """Opens the same state, again and again; the one before is to be closed first."""
    if request.param == "sqlite":
        return lambda: SqliteStore(tmp_path)
    if request.param == "memory":
        session = MemoryCoordination(MemoryService()).session()
        session.start()
        owners = itertools.count()
        return lambda: session.store(f"owner {next(owners)}")
    zookeepers: Zookeepers = request.getfixturevalue("zookeepers")
    return zookeepers.open


def test_everything_comes_back(opened: Callable[[], Store]) -> None:
    """What one daemon saved the next one knows."""
    store = opened()
    assert store.framework_id() == "" and store.revision() is None and list(store.records()) == []
    store.save("fw", [revision(1), revision(2)], [(("a", "h"), RECORD), (("b", "h"), RECORD)], {"rollout": b"\0r"})
    store.save(records=[(("b", "h"), None), (("c", "h/~."), RECORD), (("d", "h"), Record())])
    store.close()
    again = opened()
    assert again.framework_id() == "fw" and again.document("rollout") == b"\0r" and again.document("leases") is None
    assert again.revision() == revision(2) and again.revision(1) == revision(1) and again.revision(3) is None
    assert dict(again.records()) == {("a", "h"): RECORD, ("c", "h/~."): RECORD}
    again.close()


def test_documents_are_replaced_and_forgotten(opened: Callable[[], Store]) -> None:
    """By name, whatever is in the name; what never was can be forgotten, too."""
    store = opened()
    store.save(documents={"b/1~2": b"1", "a": b""})
    store.save(documents={"b/1~2": b"2", "never": None})
    assert list(store.documents()) == [("a", b""), ("b/1~2", b"2")]
    store.save(documents={"a": None})
    store.close()
    again = opened()
    assert list(again.documents()) == [("b/1~2", b"2")]
    again.close()


def test_the_history_is_read_without_the_specs(opened: Callable[[], Store]) -> None:
    """The newest first."""
    store = opened()
    store.save(revisions=[revision(1, "x"), revision(2)])
    assert [(one.number, one.message, one.spec) for one in store.history()] == [(2, "", EMPTY), (1, "x", EMPTY)]
    assert [one.number for one in store.history(1)] == [2]
    store.close()


def test_a_save_that_fails_leaves_nothing_of_itself(opened: Callable[[], Store]) -> None:
    """All of it or none."""
    store = opened()
    store.save(revisions=[revision(1)])
    with pytest.raises(Exception, match="(?i)revision"):
        store.save("fw", [revision(2), revision(1)])
    assert store.framework_id() == "" and store.revision() == revision(1)
    store.close()


def test_replacing_forgets_what_was(opened: Callable[[], Store]) -> None:
    """A backup that is restored is all that there is."""
    store = opened()
    store.save("fw", [revision(1), revision(7)], [(("a", "h"), RECORD), (("b", "g"), RECORD)], {"x": b"1"})
    store.replace(Contents("fw2", [], [("c", "i", b"\x81\xa8failures\x01")], {"y": b"2"}))
    store.close()
    again = opened()
    assert again.framework_id() == "fw2" and again.revision() is None
    assert dict(again.records()) == {("c", "i"): Record(failures=1)} and dict(again.documents()) == {"y": b"2"}
    again.close()


def test_what_is_large_is_saved_whole(opened: Callable[[], Store]) -> None:
    """A document of three megabytes that do not compress, and records of 300 hosts with ten kilobytes each."""
    store = opened()
    noise = random.Random(1).randbytes(3_000_000)
    records = [
        (("a", f"h{n}"), Record(last_end=noise[n * 5000 : n * 5000 + 5000].hex(), failures=1)) for n in range(300)
    ]
    store.save("fw", records=records, documents={"large": noise, "small": b"1"})
    store.save(documents={"large": noise[::-1]})
    store.close()
    again = opened()
    assert again.document("large") == noise[::-1] and again.document("small") == b"1"
    assert dict(again.records()) == dict(records)
    again.save(documents={"large": None})
    again.close()
    last = opened()
    assert list(last.documents()) == [("small", b"1")]
    last.close()


# ---------------------------------------------------------------------- ZooKeeper's own


def parts(zookeepers: Zookeepers) -> list[str]:
    session = zookeepers.session()
    found = session.client.get_children(f"{zookeepers.place.path}/parts")
    session.stop()
    return found


def test_who_was_deposed_can_not_save(zookeepers: Zookeepers) -> None:
    """Not even what it began before: the one that took over finds what it left, and nothing comes after that."""
    first = zookeepers.open()
    first.save("fw", records=[(("a", "h"), RECORD)])
    second = zookeepers.open()
    with pytest.raises(Deposed, match="another daqsched serve has taken over"):
        first.save("other")
    with pytest.raises(Deposed):
        first.save(documents={"large": random.Random(2).randbytes(2_000_000)})
    second.save(records=[(("a", "h"), None)])
    third = zookeepers.open()
    assert third.framework_id() == "fw" and list(third.records()) == [] and list(third.documents()) == []
    assert parts(zookeepers) == []


@pytest.mark.parametrize("commits", range(1, 6))
def test_a_large_save_that_is_cut_off_happened_whole_or_not_at_all(
    zookeepers: Zookeepers, monkeypatch: pytest.MonkeyPatch, commits: int
) -> None:
    """The daemon dies before the n-th of its transactions; whoever takes over finds all of it or nothing."""
    before = {("a", f"h{n}"): Record(failures=1) for n in range(300)}
    after = {key: Record(failures=2, last_end=random.Random(n).randbytes(2500).hex()) for n, key in enumerate(before)}
    store = zookeepers.open()
    store.save(records=before.items())
    store.save(documents={"x": b"1"})
    really, left = nodes.ZooKeeperNodes._commit, iter(range(commits - 1, -1, -1))

    def dying(self: nodes.ZooKeeperNodes, *what: Any) -> None:
        if next(left) == 0:
            raise InterruptedError("killed")
        really(self, *what)

    with monkeypatch.context() as patched:
        patched.setattr(nodes.ZooKeeperNodes, "_commit", dying)
        try:
            store.save(records=after.items(), documents={"x": None, "y": b"2"})
        except InterruptedError:
            whole = commits > 1
        else:
            whole = True
    found = zookeepers.open()
    assert dict(found.records()) == (after if whole else before)
    assert dict(found.documents()) == ({"y": b"2"} if whole else {"x": b"1"})
    assert parts(zookeepers) == []
    found.save(records=[(key, None) for key in before])


def test_a_save_goes_on_through_a_restart_of_zookeeper(zookeepers: Zookeepers, zoo: Zoo) -> None:
    """Nothing is saved twice, nothing is lost. Where the machine stands still for a session's time, it is tried anew."""
    for number in (1, 2, 3):
        store = zookeepers.open()
        store.save("fw")
        zoo.kill()
        zoo.start()
        try:
            store.save(revisions=[revision(number)], documents={"x": b"1"})
            break
        except Deposed:
            assert zookeepers.open().framework_id() == "fw"
    else:
        pytest.fail("no session outlived a restart of its server")
    again = zookeepers.open()
    assert again.revision() == revision(number) and again.framework_id() == "fw"


def test_a_lease_ends_before_anybody_else_can_begin(zookeepers: Zookeepers, zoo: Zoo) -> None:
    """ZooKeeper hangs: the daemon knows by its own clock that it must stop, and stays stopped."""
    session = zookeepers.session(session_s=2.0)
    told: list[bool] = []
    session.when_over(lambda: told.append(session.holds()))
    zoo.signal(signal.SIGSTOP)
    try:
        until(lambda: told, "the lease is over")
        assert told[0] is False
        with pytest.raises(Deposed, match="does not answer|ended the session"):
            session.ensure_ownership()
    finally:
        zoo.signal(signal.SIGCONT)


def test_a_password_keeps_others_out(zookeepers: Zookeepers, zoo: Zoo, tmp_path: Path) -> None:
    """Who does not know it can neither read nor save; it comes out of a file that others can't read."""
    file = tmp_path / "password"
    file.write_text("daq:secret\n")
    with pytest.raises(UserError, match="chmod 600"):
        place_of(str(zookeepers.place), file)
    file.chmod(0o600)
    place = place_of(str(zookeepers.place), file)
    assert "secret" not in repr(place) + str(place)
    ours = Zookeepers(place)
    ours.open().save("fw", documents={"x": b"1"})
    assert ours.open().framework_id() == "fw"
    with pytest.raises(UserError, match="--state-credentials"):
        zookeepers.open()
    session = ZooKeeperSession(place)
    session.start()
    assert session.wait_connected(20)
    election = ZooKeeperElection(session)
    election.stand(Card("ctl1", "127.0.0.1:1", "token"))
    other = KazooClient(zoo.servers)
    other.start()
    try:
        nodes_of = list(walk(session.client, place.path))
        assert len(nodes_of) > 3
        acts: tuple[Callable[[str], object], ...] = (
            other.get,
            other.get_children,
            lambda node: other.set(node, b"x"),
            lambda node: other.create(f"{node}/x", b"", ephemeral=True, sequence=True),
            lambda node: other.set_acls(node, OPEN_ACL_UNSAFE),
        )
        for node in nodes_of:
            for act in acts:
                with pytest.raises(NoAuthError):
                    act(node)
            if node != place.path:
                with pytest.raises(NoAuthError):
                    other.delete(node)
        with pytest.raises((NoAuthError, NotEmptyError)):
            other.delete(place.path, recursive=True)
        leader = election.leader()
        assert leader is not None and leader.name == "ctl1"
    finally:
        other.stop()
        other.close()
        session.stop()
        ours.stop()


def test_what_was_open_is_closed_with_a_password(zoo: Zoo) -> None:
    """A farm that began without one, and a stranger who was there first and stands before us."""
    place = ZooKeeperPlace(zoo.servers, f"/opened-{os.getpid()}")
    other = KazooClient(zoo.servers)
    other.start()
    began = Zookeepers(place)
    ours = Zookeepers(replace(place, credentials="daq:secret"))
    try:
        store = began.open()
        store.save("fw", documents={"x": random.Random(3).randbytes(600_000)})
        other.ensure_path(f"{place.path}/candidates")
        other.create(f"{place.path}/candidates/candidate--999", b'{"name":"evil","address":"h:1","token":"t"}')
        session = ours.session()
        election = ZooKeeperElection(session)
        election.stand(Card("ctl1", "127.0.0.1:1", "token"))
        assert election.leader() == Card("ctl1", "127.0.0.1:1", "token")
        assert ours.open().framework_id() == "fw"
        for node in walk(session.client, place.path):
            with pytest.raises(NoAuthError):
                other.get(node)
        with pytest.raises(Deposed, match="NoAuth"):
            store.save("other")
    finally:
        other.stop()
        other.close()
        began.stop()
        ours.stop()


def test_who_is_no_candidate_any_more_stands_again(zoo: Zoo) -> None:
    """Else nobody would lead when the leader goes."""
    session = ZooKeeperSession(ZooKeeperPlace(zoo.servers, f"/removed-{os.getpid()}"))
    session.start()
    assert session.wait_connected(20)
    try:
        election = ZooKeeperElection(session)
        election.stand(Card("ctl1", "127.0.0.1:1", "token"))
        assert election.leader() is not None
        session.client.delete(f"{session.place.path}/candidates", recursive=True)
        with pytest.raises(Deposed, match="somebody removed"):
            election.leader()
    finally:
        session.stop()


def walk(client: KazooClient, path: str) -> Iterator[str]:
    """A node and all below it."""
    yield path
    for name in client.get_children(path):
        yield from walk(client, f"{path}/{name}")


def test_a_candidate_that_is_none_of_ours_ends_nobody(zoo: Zoo) -> None:
    """Without a password anybody may write one, and so keep us from leading: it is told, no more."""
    place = ZooKeeperPlace(zoo.servers, f"/open-{os.getpid()}")
    session = ZooKeeperSession(place)
    session.start()
    assert session.wait_connected(20)
    try:
        folder = f"{place.path}/candidates"
        session.client.ensure_path(folder)
        for number, data in enumerate((b"", b"[", b'{"name": 7}', b"[" * 100_000)):
            node = f"{folder}/candidate-000000000{number}"
            session.client.create(node, data)
            leader = ZooKeeperElection(session).leader()
            assert leader is not None and leader.why and not leader.address
            session.client.delete(node)
    finally:
        session.stop()


@pytest.mark.parametrize("text", ["zk://", "zk://host/path", "zk://h:2181", "zk://h:2181/", "zk://u:p@h:2181/x"])
def test_what_is_no_place_is_refused(text: str) -> None:
    """With a password in it, too: it would be seen by everybody who may list processes."""
    with pytest.raises(UserError, match="write zk://HOST:PORT"):
        place_of(text)


@pytest.mark.parametrize(
    "damage",
    [
        *(b"", b"\xff" * 9, b"\0" + b"x" * 99, b"\1{}", b"\1[1, 2]", b"[]", b"\0" + zlib.compress(b"\xff")),
        *(b"\1[1, 1000000000000]", b"\1[-1, -1]", b"\0" + zlib.compress(b"\0" * (9 << 20))),
        b'{"journal": [1, 1000000000000]}',
    ],
)
def test_nodes_that_somebody_else_wrote_are_a_sentence(
    zookeepers: Zookeepers, damage: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each node there is, also by what would take all memory; where it can still be read it is as it was, and no traceback ends
    a daemon at its start."""
    monkeypatch.setattr(nodes, "LARGEST", 8 << 20)
    store = zookeepers.open()
    store.save("fw", [revision(1)], [(("a", "h"), RECORD)], {"rollout": b"r"})
    session = zookeepers.session()
    path = zookeepers.place.path
    values = session.client.get_children(f"{path}/values")
    refused = 0
    for node in (path, *(f"{path}/values/{name}" for name in values)):
        before, _ = session.client.get(node)
        session.client.set(node, damage)
        try:
            Daemon(zookeepers.open(), lambda spec: spec)
        except DaqschedError as error:
            refused += 1
            assert "restore" in str(error) or "taken over" in str(error), error
        if node != path:  # the head counts up
            session.client.set(node, before)
        elif damage:
            session.client.set(node, b"")
    assert refused >= 3
