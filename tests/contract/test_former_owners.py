"""What is of a job that is gone, or whose name somebody else has taken, is known to nobody whom it was hidden from."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any, Optional

import msgspec
import pytest

from builders import World, job, offer
from daqsched import protocol
from daqsched.engine import events, job_owners
from daqsched.engine.commands import Revision
from daqsched.mesos.agents import Agent, File
from daqsched.rights.rules import read
from daqsched.serve.chronicle import Chronicle
from daqsched.spec import Spec
from daqsched.task import Owned, launch_mark, launched_at
from direct import Direct, NoAgents

RIGHTS = read(
    """
version: 1
rules:
  - {to: unix-group:adm, role: admin}
  - {to: unix-group:viewer, role: viewer, owner: daq}
  - {to: unix-group:alice, role: expert, owner: daq}
  - {to: unix-group:all, role: expert}
  - {to: unix-group:all, deny: ["*"], owner: secretcorp}
  - {to: unix-group:partless, role: expert}
  - {to: unix-group:partless, deny: ["*"], part: secretpart}
  - {to: unix-group:blind, role: admin}
  - {to: unix-group:blind, deny: [see], on: ["sc_*"]}
""",
    "rights.yaml",
)

#: From whom the job of secretcorp is hidden.
STRANGERS = ("viewer", "alice", "all", "partless", "blind")

SECRET = "TOPSECRET"


class Farm:
    """With a job of secretcorp's, which printed something, died of it and was stopped with a message."""

    def __init__(self, folder: Path) -> None:
        farm = self

        class Kept(NoAgents):
            """One agent, which has the sandbox of all that it was ever given."""

            async def registered(self, master: str) -> dict[str, Agent]:
                return {"agent-hlt01": Agent("agent-hlt01", ("hlt01",), "nowhere")}

            async def tasks(self, agent: Agent, framework_id: str) -> list[str]:
                return list(farm.daemon.edge.launched)

            async def look(self, agent: Agent, framework_id: str, task_id: str) -> list[File]:
                return [File("stdout", 9, farm.daemon.time), File("executor", 9, farm.daemon.time)]

            async def read(
                self, agent: Agent, framework_id: str, task_id: str, name: str, offset: int, length: int
            ) -> bytes:
                return SECRET.encode() if task_id in farm.old else b"MINE"

        self.direct = Direct(RIGHTS, agents=Kept)
        self.daemon = self.direct.daemon
        self.chronicle = Chronicle(folder / "chronicle.sqlite", self.daemon.time)
        self.direct.api.looks.chronicle = self.chronicle
        self.daemon.subscribers.append(
            lambda changes: self.chronicle.note(self.direct.engine, changes, self.daemon.time)
        )
        self.old: list[str] = []

    async def ask(self, who: str, method: str, path: str, body: Any = None, query: str = "") -> Any:
        caller = self.direct.caller(f"unix-group:{who}")
        content = msgspec.json.encode(body) if body is not None else b""
        return await self.direct.ask(caller, method, path, query.encode(), content)

    async def apply(self, who: str, spec: Spec) -> None:
        found = await self.ask(who, "POST", "/apply", protocol.ApplyRequest(spec, "go", True, stops=99, no_look=True))
        assert found.status == 200, found.body

    def run(self) -> list[str]:
        """What an offer leads to."""
        before = len(self.daemon.edge.launched)
        self.pass_(10.0)
        self.daemon.put(events.OffersArrived((offer("hlt01", id=f"o{self.daemon.time}"),)))
        return self.daemon.edge.launched[before:]

    def tell(self, task: str, state: str, words: str = "") -> None:
        self.pass_(1.0)
        self.daemon.put(
            events.TaskReported(task, "agent-hlt01", state, words, uuid=f"{self.daemon.time}", by_executor=True)
        )

    def pass_(self, seconds: float) -> None:
        self.daemon.time += seconds

    async def begin(self) -> None:
        self.daemon.put(events.Registered("fw", "m:5050"))
        await self.apply("adm", Spec(jobs=(job("readout", owner="daq"),)))
        await self.apply("adm", Spec(jobs=(job("sc_p", owner="secretcorp"),), part="secretpart"))
        (self.first,) = [one for one in self.run() if one.startswith("sc_p")]
        self.old = [self.first]
        self.tell(self.first, "TASK_RUNNING")
        self.pass_(30.0)
        self.then = self.daemon.time
        self.tell(self.first, "TASK_FAILED", f"{SECRET} died")
        await self.stop("adm", f"{SECRET} is to rest")
        self.pass_(3.0)
        self.died = self.daemon.time
        self.pass_(100.0)
        assert (await self.ask("adm", "POST", "/start", protocol.SelectRequest(["sc_p"], everyones=True))).status == 200
        self.old += [one for one in self.run() if one.startswith("sc_p")]
        self.tell(self.old[-1], "TASK_RUNNING")

    async def stop(self, who: str, words: str) -> None:
        found = await self.ask(who, "POST", "/stop", protocol.SelectRequest(["sc_p"], words, stops=99))
        assert found.status == 200, found.body

    async def remove(self) -> None:
        self.pass_(30.0)
        await self.apply("adm", Spec(part="secretpart"))

    def end(self) -> None:
        self.tell(self.old[-1], "TASK_KILLED", f"{SECRET} at the end")

    async def take(self, **fields: str) -> None:
        self.pass_(30.0)
        await self.apply("alice", Spec(jobs=(job("readout", owner="daq"), job("sc_p", owner="daq", **fields))))

    async def mine(self) -> str:
        """Alice's own begins, and dies."""
        (task,) = [one for one in self.run() if one.startswith("sc_p")]
        self.tell(task, "TASK_RUNNING")
        self.pass_(30.0)
        self.tell(task, "TASK_FAILED", "MINE died")
        await self.stop("alice", "MINE rests")
        return task

    async def answers(self, who: str) -> dict[str, str]:
        """All that is told of the past, and of now."""
        found: dict[str, str] = {}
        for path, query in {
            "/stories": "select=sc_p&most=99",
            "/stories ": "select=*&most=99",
            "/status": "select=*",
            "/status ": f"at={self.then}",
            "/status  ": f"at={self.died}&select=sc_p",
            "/status   ": f"at={self.daemon.time}",
            "/why": "select=*&most=99",
            "/incidents": "",
            "/board": "",
            "/names": "of=selection",
            "/names ": "of=revision",
            "/history": "most=99",
            "/proposals": "",
        }.items():
            answer = await self.ask(who, "GET", path.strip(), query=query)
            assert answer.status in (200, 403), (path, answer.body)
            found[f"{path}?{query}"] = answer.body.decode()
        for words in (["sc_p"], [], ["sc_p@hlt01"], ["@hlt01"]):
            asked = protocol.SandboxesRequest(words, finished=True)
            answer = await self.ask(who, "POST", "/sandboxes", asked)
            found[f"/sandboxes {words}"] = answer.body.decode()
        for task in self.old:
            for stream in ("stdout", "executor"):
                piece = protocol.ReadRequest([protocol.Piece("agent-hlt01", task, stream, 0, 99)])
                answer = await self.ask(who, "POST", "/sandboxes/read", piece)
                found[f"/sandboxes/read {task} {stream}"] = answer.body.decode()
        return found

    def tells(self, path: str, text: str) -> bool:
        """Whether there is something of secretcorp's in an answer: what its program said, and where that is."""
        words = [SECRET, base64.b64encode(SECRET.encode()).decode()]
        return any(word in text for word in [*words, *(self.old if path.startswith("/sandboxes ") else ())])


async def removed(farm: Farm) -> None:
    await farm.remove()
    farm.end()


async def removed_and_not_over(farm: Farm) -> None:
    await farm.remove()


async def taken(farm: Farm) -> None:
    await removed(farm)
    await farm.take()


async def taken_at_once(farm: Farm) -> None:
    await farm.remove()
    await farm.take()


async def taken_at_once_for_another_program(farm: Farm) -> None:
    await farm.remove()
    await farm.take(release="2")


async def taken_for_another_program_before_its_end(farm: Farm) -> None:
    await taken_at_once_for_another_program(farm)
    farm.end()


async def taken_before_its_end(farm: Farm) -> None:
    await taken_at_once(farm)
    farm.end()


async def taken_and_used(farm: Farm) -> None:
    await taken(farm)
    await farm.mine()


async def taken_and_removed(farm: Farm) -> None:
    await taken_and_used(farm)
    await farm.apply("adm", Spec(jobs=(job("readout", owner="daq"),)))


async def stopped_and_taken(farm: Farm) -> None:
    await farm.stop("adm", f"{SECRET} rests for good")
    await taken(farm)


async def stopped_and_taken_before_its_end(farm: Farm) -> None:
    await farm.stop("adm", f"{SECRET} rests for good")
    await taken_before_its_end(farm)


async def there(farm: Farm) -> None:
    """As it is."""


CASES = (
    there,
    removed,
    removed_and_not_over,
    taken,
    taken_at_once,
    taken_at_once_for_another_program,
    taken_before_its_end,
    taken_for_another_program_before_its_end,
    taken_and_used,
    taken_and_removed,
    stopped_and_taken,
    stopped_and_taken_before_its_end,
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_what_was_hidden_stays_so(case: Callable[[Farm], Any], tmp_path: Path) -> None:
    """By each route that tells of an instance, whatever became of its job; who sees all is told of it."""

    async def run() -> None:
        farm = Farm(tmp_path)
        await farm.begin()
        await case(farm)
        told = {path for path, text in (await farm.answers("adm")).items() if farm.tells(path, text)}
        assert len([path for path in told if path.startswith("/sandboxes/read")]) == 4 and any(
            path.startswith("/stories") for path in told
        )
        for who in STRANGERS:
            for path, text in (await farm.answers(who)).items():
                assert not farm.tells(path, text), (who, path, text)
        farm.chronicle.close(farm.daemon.time)

    asyncio.run(run())


@pytest.mark.parametrize("who", ["alice", "all", "partless"])
def test_what_is_of_the_present_owner_is_told(who: str, tmp_path: Path) -> None:
    """The state of then, the story, and the sandbox of a program that has ended."""

    async def run() -> None:
        farm = Farm(tmp_path)
        await farm.begin()
        await taken(farm)
        task = await farm.mine()
        at = farm.daemon.time
        farm.pass_(5.0)
        answers = await farm.answers(who)
        assert task in answers["/sandboxes ['sc_p']"] and "MINE rests" in answers["/stories?select=sc_p&most=99"]
        assert '"sc_p"' in (await farm.ask(who, "GET", "/status", query=f"at={at}")).body.decode()
        piece = protocol.ReadRequest([protocol.Piece("agent-hlt01", task, "stdout", 0, 99)])
        assert base64.b64encode(b"MINE") in (await farm.ask(who, "POST", "/sandboxes/read", piece)).body
        farm.chronicle.close(farm.daemon.time)

    asyncio.run(run())


def test_a_program_that_goes_on_is_its_new_owners(tmp_path: Path) -> None:
    """Where a job gets another owner and nothing else, what runs is the same; what has ended was the former's."""

    async def run() -> None:
        farm = Farm(tmp_path)
        await farm.begin()
        await farm.remove()
        farm.end()
        first = Spec(jobs=(job("readout", owner="daq"), job("sc_p", owner="secretcorp")))
        await farm.apply("adm", first)
        (task,) = [one for one in farm.run() if one.startswith("sc_p")]
        farm.tell(task, "TASK_RUNNING")
        farm.pass_(10.0)
        await farm.apply("adm", Spec(jobs=(job("readout", owner="daq"), job("sc_p", owner="daq"))))
        answers = await farm.answers("alice")
        assert task in answers["/sandboxes ['sc_p']"] and not any(farm.tells(*one) for one in answers.items())
        farm.chronicle.close(farm.daemon.time)

    asyncio.run(run())


@pytest.mark.parametrize("ended", [True, False], ids=["", "before its end"])
def test_a_stop_of_a_former_owners_holds_and_is_nobodys(ended: bool, tmp_path: Path) -> None:
    """The plan says to who may have the job that there is one, and neither who, where nor why; its present owner starts it."""

    async def run() -> None:
        farm = Farm(tmp_path)
        await farm.begin()
        await farm.stop("adm", f"{SECRET} rests")
        await farm.remove()
        if ended:
            farm.end()
        farm.pass_(30.0)
        file = Spec(jobs=(job("readout", owner="daq"), job("sc_p", owner="daq")))
        plan = await farm.ask("alice", "POST", "/plan", protocol.PlanRequest(file))
        assert plan.status == 200 and SECRET not in plan.body.decode()
        stays = [["sc_p", "sc_p was stopped somewhere by a former owner, and stays so until `daqsched start`"]]
        assert msgspec.json.decode(plan.body).get("stays", []) == (stays if ended else [])
        for who in ("viewer", "all"):
            other = await farm.ask(who, "POST", "/plan", protocol.PlanRequest(file))
            told = msgspec.json.decode(other.body)
            assert told.get("stays", []) == ([] if told.get("refused") or not ended else stays), told
        whole = msgspec.json.decode((await farm.ask("adm", "POST", "/plan", protocol.PlanRequest(file))).body)
        assert ("sc_p@hlt01 was stopped" in str(whole.get("stays"))) == ended
        await farm.apply("alice", file)
        if not ended:
            farm.end()
        assert not [one for one in farm.run() if one.startswith("sc_p")]
        told = await farm.ask("alice", "GET", "/why", query="select=sc_p")
        assert "by a former owner" in told.body.decode() and SECRET not in told.body.decode()
        found = await farm.ask("alice", "POST", "/start", protocol.SelectRequest(["sc_p"], everyones=True))
        assert found.status == 200 and [one for one in farm.run() if one.startswith("sc_p")]
        farm.chronicle.close(farm.daemon.time)

    asyncio.run(run())


# ------------------------------------------------------------------------------------------------ since when


SPEC = Spec(jobs=(job("a", owner="daq"), job("b", owner="daq")))


def spec_of(**owners: str) -> Spec:
    return Spec(jobs=tuple(job(name, owner=owner) for name, owner in owners.items()))


#: What is applied one after the other, a second apart; since when the job `a` is its owner's then.
ORDERS: dict[str, tuple[list[Spec], Optional[float]]] = {
    "it is there": ([spec_of(a="daq")], 0.0),
    "another is": ([spec_of(a="daq"), spec_of(a="daq", b="x")], 0.0),
    "its owner is another": ([spec_of(a="daq"), spec_of(a="x")], 1.0),
    "it has gone and come back": ([spec_of(a="daq"), spec_of(b="daq"), spec_of(a="daq", b="daq")], 0.0),
    "it has gone and another has its name": ([spec_of(a="daq"), spec_of(), spec_of(a="x")], 2.0),
    "there and back": ([spec_of(a="daq"), spec_of(a="x"), spec_of(a="daq")], 2.0),
    "its part is another": ([spec_of(a="daq"), Spec(jobs=(job("a", owner="daq", part="p"),))], 1.0),
    "another owner on some host": (
        [
            Spec(jobs=(job("a", "hlt[01-02]", owner="daq"),)),
            Spec(
                jobs=(job("a", "hlt[01-02]", owner="daq"),),
                variants=(job("a", "hlt02", owner="x"),),
            ),
        ],
        1.0,
    ),
}


@pytest.mark.parametrize("name", ORDERS)
def test_since_when_a_job_is_its_owners(name: str) -> None:
    """It is so over applies that are about others, and over its absence."""
    specs, since = ORDERS[name]
    known: dict[str, Owned] = {}
    for at, spec in enumerate(specs):
        known = job_owners.renewed(spec, known, float(at))
    assert known["a"].since == since


#: The farm before an upgrade from a daemon that kept no owners, and what is applied after it, at 10 s and later: since when the job
#: `a` is its owner's then, and whether its name may have been another's.
UPGRADES: dict[str, tuple[Spec, list[Spec], tuple[float, bool]]] = {
    "it is there": (spec_of(a="daq"), [], (5.0, True)),
    "it stays": (spec_of(a="daq"), [spec_of(a="daq", b="x")], (5.0, True)),
    "its owner is another after that": (spec_of(a="daq"), [spec_of(a="x")], (10.0, True)),
    "it went before": (spec_of(b="x"), [spec_of(a="daq", b="x")], (10.0, True)),
    "it went before and others came first": (spec_of(b="x"), [spec_of(c="x"), spec_of(a="daq")], (11.0, True)),
    "it goes and comes back": (spec_of(a="daq"), [spec_of(), spec_of(a="daq")], (5.0, True)),
}


@pytest.mark.parametrize("restarted", [False, True], ids=["", "restarted"])
@pytest.mark.parametrize("name", UPGRADES)
def test_after_an_upgrade_no_name_is_known_to_be_nobody_elses(name: str, restarted: bool) -> None:
    """Of what was before the last apply nothing is given to whoever has a job now."""
    before, specs, (since, is_taken) = UPGRADES[name]
    world = World()
    engine = world.engine
    engine.revision = Revision(1, "d", "alice", 5.0, "", before)
    engine.set_desired(before)
    job_owners.restored(engine, None)
    for at, spec in enumerate(specs):
        engine.set_desired(spec)
        job_owners.renew(engine, 10.0 + at)
        if restarted:
            job_owners.restored(engine, engine.document("owners"))
    assert engine.owned["a"].since == since and ("a" in job_owners.taken(engine.owned)) == is_taken
    assert "" not in job_owners.taken(engine.owned)


def test_in_a_new_farm_a_name_was_nobodys() -> None:
    """Until more have gone than are remembered."""
    engine = World().engine
    job_owners.restored(engine, None)
    known = job_owners.renewed(spec_of(a="daq"), engine.owned, 1.0)
    assert not job_owners.taken(known)
    many = {f"j{number}": "x" for number in range(job_owners.MOST_GONE + 1)}
    for spec in (spec_of(**many), spec_of(), spec_of(a="daq"), spec_of(j0="daq")):
        known = job_owners.renewed(spec, known, 2.0)
    assert set(job_owners.taken(known)) >= {"j0"}


def test_a_clock_that_was_set_back_makes_nothing_another_owners() -> None:
    """What was launched by the clock of before is of before."""
    known = job_owners.renewed(spec_of(a="daq", b="daq"), {}, 1000.0)
    assert job_owners.renewed(spec_of(a="x", b="daq"), known, 500.0)["a"].since == 1000.0


def test_a_tasks_id_says_when_it_was_launched() -> None:
    """Never too early: what was applied in that moment was before. One without says nothing."""
    for at in (1.8e9, 1796000000.1234, 0.1 + 1.7e9):
        assert 0.0 <= launched_at(f"readout@hlt01.{launch_mark(at, '0a1b2c3d')}") - at < 0.002
    for other in ("readout@hlt01.0a1b2c3d", "readout@hlt01.1", "", "a@b.zzzzzzzzzzz-0a1b2c3d"):
        assert launched_at(other) == 0.0


def test_the_next_daemon_knows_it(tmp_path: Path) -> None:
    """And where the state does not say, it is so since the last apply."""

    async def run() -> None:
        farm = Farm(tmp_path)
        await farm.begin()
        engine = farm.direct.engine
        saved, known = engine.document("owners"), engine.owned
        assert saved is not None and engine.revision is not None and known["readout"].since < known["sc_p"].since
        job_owners.restored(engine, saved)
        assert engine.owned == known
        job_owners.restored(engine, None)
        assert {one.since for one in engine.owned.values()} == {engine.revision.time}
        job_owners.restored(engine, b"\xff")
        assert {one.since for one in engine.owned.values()} == {engine.revision.time}
        assert "since when jobs have their owners can't be read" in engine.troubles[-1]
        farm.chronicle.close(farm.daemon.time)

    asyncio.run(run())
