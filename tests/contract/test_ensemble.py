"""Several `daqsched serve` on one state, with their real sockets and terms; who leads, and the state, are in memory.

So what befalls them is exact, and no ZooKeeper is needed: the memory promises what a real one does (`test_coordination.py`).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Optional

import pytest

from builders import job
from daqsched import offline
from daqsched.client import Client
from daqsched.errors import DaqschedError, Unreachable
from daqsched.mesos.outgoing import Framework
from daqsched.protocol import StatusAnswer
from daqsched.serve import ensemble
from daqsched.serve import standby as standby_module
from daqsched.serve.ensemble import Candidate
from daqsched.serve.peers import Identity
from daqsched.serve.term import Options
from daqsched.spec import Spec
from daqsched_executor.contract.forwarding import Access
from fake_master import Master, status
from memory_coordination import NAME, MemoryCoordination, MemoryService
from peers import identity as made_identity
from waiting import until


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    """What the daemons of one farm have in common."""
    return made_identity(tmp_path_factory.mktemp("peers") / "peers.pem")


class Daemon:
    """One of several, on a thread of its own."""

    def __init__(self, farm: Daemons, name: str, new_framework: bool = False) -> None:
        folder = farm.folder / name
        folder.mkdir(exist_ok=True)
        options = Options(
            farm.master.address,
            Framework(user="daq"),
            socket=folder / "sock",
            group="",
            elasticsearch="",
            index="logs",
            access=Access("", "", ""),
            chronicle=folder / "chronicle.sqlite",
            audit=folder / "audit.ndjson",
        )
        self.failed: Optional[DaqschedError] = None
        coordination = MemoryCoordination(farm.service)
        self.candidate = Candidate(options, coordination, new_framework, identity=farm.identity, name=name)
        self.client = Client(folder / "sock")
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.candidate.run()
        except DaqschedError as error:
            self.failed = error
        finally:
            self.candidate.close()

    def status(self) -> Optional[StatusAnswer]:
        """None: nobody leads just now."""
        try:
            return self.client.status()
        except Unreachable:
            return None

    def sees(self, leader: str) -> bool:
        """Whether that one leads, is registered and not read-only, as this one answers."""
        found = self.status()
        return found is not None and found.leader == leader and found.connected and not found.read_only

    def end(self) -> None:
        self.candidate.stop()
        self._thread.join(30)
        assert not self._thread.is_alive()
        self.client.close()


class Daemons:
    """What they share: a master, a state, a certificate."""

    def __init__(self, folder: Path, identity: Identity) -> None:
        self.folder, self.identity = folder, identity
        self.service, self.master = MemoryService(), Master()
        # it hears one call a connection
        self.master.answer = lambda one: one.sendall(status(202, head="Connection: close\r\n"))
        self.begun: list[Daemon] = []

    def begin(self, name: str, new_framework: bool = False) -> Daemon:
        daemon = Daemon(self, name, new_framework)
        self.begun.append(daemon)
        return daemon

    def pair(self) -> tuple[Daemon, Daemon]:
        """One that leads, and its standby."""
        leader = self.begin("a")
        until(lambda: leader.sees("a"), "a leads")
        standby = self.begin("b")
        until(lambda: standby.sees("a"), "b passes on what a answers")
        return leader, standby

    def lose(self, name: str) -> None:
        """The session of that candidate ends."""
        (session,) = [session for session, card in self.service.candidates if card.name == name]
        self.service.lose(session)

    def end(self) -> None:
        for daemon in reversed(self.begun):
            daemon.end()
        self.master.end()


@pytest.fixture
def daemons(tmp_path: Path, identity: Identity) -> Iterator[Daemons]:
    """None has begun."""
    made = Daemons(tmp_path, identity)
    yield made
    made.end()


def test_a_standby_asks_the_leader_and_the_state_is_one(daemons: Daemons) -> None:
    """What is applied through one is what the other shows."""
    leader, standby = daemons.pair()
    assert standby.client.apply(Spec(jobs=(job(),)), "through b").revision == 1
    assert [head.message for head in leader.client.history()] == ["through b"]
    assert daemons.service.framework_id == "F" and list(daemons.service.revisions) == [1]


def test_the_standby_follows_a_leader_that_ends(daemons: Daemons) -> None:
    """With its state, as the same framework; whoever begins then is a standby."""
    leader, standby = daemons.pair()
    leader.client.apply(Spec(jobs=(job(),)), "before")
    leader.client.stop(["readout"], "hands off")
    leader.end()
    until(lambda: standby.sees("b"), "b leads")
    assert [head.message for head in standby.client.history()] == ["before"]
    found = standby.status()
    assert found is not None and "hands off" in found.rows[0].reason
    again = daemons.begin("c")
    until(lambda: again.sees("b"), "c is a standby")
    assert daemons.service.framework_id == "F"


def test_who_loses_its_session_leads_no_more_and_stands_again(
    daemons: Daemons, caplog: pytest.LogCaptureFixture
) -> None:
    """The other one leads; nothing of the first comes after that, and it passes on what it is asked."""
    caplog.set_level(logging.INFO, "daqsched.serve.ensemble")
    leader, standby = daemons.pair()
    leader.client.apply(Spec(jobs=(job(),)), "by a")
    daemons.lose("a")
    until(lambda: standby.sees("b"), "b leads")
    until(lambda: leader.sees("b"), "a is its standby")
    assert leader.client.apply(Spec(jobs=(job(cpus=2.0),)), "through a").revision == 2
    assert [card.name for _, card in daemons.service.candidates] == ["b", "a"]
    assert daemons.service.owner.startswith("b ")
    said = [record.getMessage() for record in caplog.records]
    assert said.count(f"no longer leads, nothing more is started or stopped from here: {NAME} ended the session") == 1
    daemons.lose("b")
    until(lambda: standby.sees("a") and leader.sees("a"), "a leads again")


def test_a_standby_that_loses_its_session_stands_again(daemons: Daemons) -> None:
    """The leader notices nothing."""
    leader, standby = daemons.pair()
    owner = daemons.service.owner
    daemons.lose("b")
    until(lambda: [card.name for _, card in daemons.service.candidates] == ["a", "b"], "b stands again")
    until(lambda: standby.sees("a"), "b passes on what a answers")
    assert daemons.service.owner == owner
    leader.end()
    until(lambda: standby.sees("b"), "b leads")


def test_while_nobody_coordinates_all_is_held(daemons: Daemons) -> None:
    """The one that led tells how it last was, and both refuse what can't be saved; then one of them leads, by itself."""
    leader, standby = daemons.pair()
    leader.client.apply(Spec(jobs=(job(),)), "before")
    before = dict(daemons.service.revisions)
    daemons.service.silence()

    def read_only() -> str:
        found = leader.status()
        return found.read_only if found is not None else ""

    assert until(read_only, "a says that it is read-only") == (
        f"{NAME} does not answer, so nothing can be saved: jobs run on, nothing is started, stopped or restarted until it is back; "
        "then it goes on by itself"
    )
    found = leader.status()
    assert found is not None and [row.job for row in found.rows] == ["readout"]
    with pytest.raises(Unreachable, match="nothing can be saved: jobs run on"):
        leader.client.stop(["readout"])
    assert daemons.service.revisions == before
    daemons.service.speak()
    until(lambda: standby.sees("a") or standby.sees("b"), "somebody leads")
    first = "a" if standby.sees("a") else "b"
    until(lambda: leader.sees(first), "a says the same")
    assert leader.client.apply(Spec(jobs=()), "after", allow_empty=True).revision == 2


def test_one_that_begins_while_nobody_coordinates_waits(daemons: Daemons, caplog: pytest.LogCaptureFixture) -> None:
    """It says so once, may be ended, and leads as soon as it can."""
    daemons.service.silence()
    one, two = daemons.begin("a"), daemons.begin("b")
    until(lambda: caplog.text.count(f"{NAME} does not answer; trying on") == 2, "both say so")
    two.end()
    assert not daemons.service.candidates
    daemons.service.speak()
    until(lambda: one.sees("a"), "it leads")
    assert caplog.text.count("trying on") == 2


def test_a_state_that_was_removed_is_no_new_farm(
    daemons: Daemons, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither of them begins one, each says so once and answers with it; whoever gives the old one up begins anew."""
    monkeypatch.setattr(ensemble, "LOOK_S", 0.05)
    monkeypatch.setattr(standby_module, "PATIENCE_S", 0.5)
    leader, standby = daemons.pair()
    leader.client.apply(Spec(jobs=(job(),)), "before")
    daemons.service.remove()
    with pytest.raises(Unreachable):
        leader.client.stop(["readout"])
    said = "somebody has removed the state below memory://m1/farm: jobs run on, nothing is started or stopped."
    until(lambda: caplog.text.count(said) == 2, "both say it")
    for daemon in (leader, standby):
        with pytest.raises(Unreachable, match="somebody has removed the state"):
            daemon.client.status()
    assert not daemons.service.framework_id and caplog.text.count(said) == 2
    leader.end()
    standby.end()
    new = daemons.begin("a", new_framework=True)
    until(lambda: new.sees("a"), "a new farm has begun")
    assert new.client.history() == []


def test_an_empty_state_where_jobs_ran_ends_a_daemon(daemons: Daemons) -> None:
    """It has a past here, and finds nothing of it: most likely --state is wrong."""
    leader = daemons.begin("a")
    until(lambda: leader.sees("a"), "a leads")
    leader.client.apply(Spec(jobs=(job(),)), "before")
    leader.end()
    daemons.service.remove()
    again = daemons.begin("a")
    until(lambda: again.failed, "it ends")
    assert "the state is empty, but" in str(again.failed) and "--new-framework" in str(again.failed)


def test_a_command_on_the_state_holds_a_daemon_up_until_it_is_done(
    daemons: Daemons, caplog: pytest.LogCaptureFixture
) -> None:
    """`restore` while one begins: it leads afterwards, with what was restored."""
    caplog.set_level(logging.INFO, "daqsched.serve.ensemble")
    with offline.shared(MemoryCoordination(daemons.service), "daqsched restore") as store:
        daemon = daemons.begin("a")
        until(lambda: "leads; this one is a standby" in caplog.text, "it has seen who is first")
        store.save("F", documents={"x": b"restored"})
    until(lambda: daemon.sees("a"), "it leads")
    assert daemons.service.owner.startswith("a ") and daemons.service.documents["x"] == b"restored"
