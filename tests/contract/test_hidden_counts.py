"""No number counts what is hidden: what changes of hidden things alone changes no answer to who does not see them, but for what is
told to everybody, which is listed here with why."""

from __future__ import annotations

import asyncio
import itertools
import re
import typing
from collections.abc import Awaitable, Iterator
from typing import Any, Callable

import msgspec
import pytest

from builders import job
from daqsched import protocol
from daqsched.control import TakeRequest
from daqsched.engine import events
from daqsched.operations import OPERATIONS
from daqsched.serve.audit_copied import uncounted
from daqsched.spec import Spec
from daqsched_executor.contract import Exit, Report
from hidden_farm import HIDDEN, MINE, Farm

#: Each question as it is put, with what stands in its path; or why it is none of this.
ASKED: dict[str, list[str]] = {
    "/info": ["/info"],
    "/status": ["/status", "/status?select=readout&select=sc_p", "/status?limit=1"],
    "/board": ["/board"],
    "/progress": ["/progress", "/progress?most=0", "/progress?part=-"],
    "/preflight/{id}": ["/preflight/ID"],
    "/choices": ["/choices"],
    "/history": ["/history", "/history?most=1"],
    "/revisions/{number}": ["/revisions/1", "/revisions/0"],
    "/rollout": ["/rollout"],
    "/aside": ["/aside"],
    "/why": ["/why", "/why?most=1"],
    "/stories": ["/stories", "/stories?most=1"],
    "/incidents": ["/incidents"],
    "/rights": ["/rights", "/rights?job=sc_p&host=schost"],
    "/note": ["/note"],
    "/proposals": ["/proposals"],
    "/proposals/{number}": ["/proposals/LAST"],
    "/control": ["/control"],
    "/names": [
        *(f"/names?of={kind}&begin=" for kind in ("selection", "place", "host", "part", "aside", "revision")),
        "/names?of=selection&begin=sc",
    ],
}

#: What is no such answer: a document of ours, what an admin of all is given alone, a stream whose versions are the board's.
NOT_ASKED = {
    "/openapi.json",
    "/backup",
    "/tokens",
    "/audit",
    "/log",
    "/log/{host}",
    "/login",
    "/events",
}

#: Of the answers what says that something hidden changed, and why it is told.
_REVISION = "which spec of the whole farm is in force, since when and by whom: changes are made for it (`If-Match`)"
_ROLLOUT = "a rollout is the farm's: how far it is, and who steers it, is why others wait"
_NUMBER = (
    "people call it by its number, which has to be the same one to all of them: numbers go on through the whole farm"
)
_ALIKE = "what deaths are alike in is kept once, as of one: that hidden programs died so is seen by what is left out for that"
_TAKEN = "whoever takes control of the farm takes it from whoever has a part: by name, and not which part"
TOLD: dict[str, str] = {
    "/incidents incidents line": _ALIKE,
    "/incidents incidents revision": _REVISION,
    "/incidents incidents applied": _ALIKE,
    "/aside leases": "people who come to a machine have to know that it is set aside, by whom and until when, whosever it is",
    "/control control before": _TAKEN,
    "/control control forced": _TAKEN,
    "/status control before": _TAKEN,
    "/status control forced": _TAKEN,
    "/why control before": _TAKEN,
    "/why control forced": _TAKEN,
    "/board farm control before": _TAKEN,
    "/board farm control forced": _TAKEN,
    "/info revision": _REVISION,
    "/status revision": _REVISION,
    "/status digest": _REVISION,
    "/status applied": _REVISION,
    "/board farm revision": _REVISION,
    "/board farm digest": _REVISION,
    "/board farm applied": _REVISION,
    "/history": _REVISION,
    "/revisions/{number} head": _REVISION,
    "/names names": _REVISION,
    "/proposals/{number} plan base": _REVISION,
    "/proposals/{number} plan digest": _REVISION,
    "/stories stories changes cause": _REVISION,
    "/why stories changes cause": _REVISION,
    "/rollout": _ROLLOUT,
    "/proposals waiting number": _NUMBER,
    "/proposals/{number} proposal number": _NUMBER,
}


#: What differs from one farm to the next without meaning anything; a version that is made of an answer has names of tasks in it.
CHANCE = re.compile(rb'(?<="epoch":")[0-9a-f]+|(?<="task_id":")[^"]+|(?<="version":)[0-9]{11,}|[0-9.]+ s ago')


def dies(farm: Farm, job: str, line: str, state: str = "TASK_RUNNING") -> None:
    """The job's program, and is started again, or is not."""
    now = farm.daemon.time
    said = Report("backoff", restarts=3, last_exit=Exit(now, 1.0, code=3, lines=(line,)), until=now + 99.0).to_json()
    for task in farm.daemon.edge.launched:
        if task.startswith(f"{job}@"):
            agent = f"agent-{task.rpartition('.')[0].partition('@')[2]}"
            farm.daemon.put(
                events.TaskReported(task, agent, state, by_executor=True, data=said, uuid=f"{task}-{state}")
            )


#: Numbers that stay 0 on this farm, and why they count nothing hidden; of what a file says (`FILE`) each is its author's.
_SHOWN = "of an instance, a preflight or a proposal that is shown"
ZERO: dict[str, str] = {
    "/board host": "a place in its own lists",
    "/board job": "a place in its own lists",
    "/board why": "a place in its own lists",
    "/board v": "of the table of those who see the same",
    "/preflight/{id} version": "made of the answer, see the test of who waits",
    "/progress progress version": "made of the answer, see the test of who waits",
    "/progress progress lagging": _SHOWN,
    "/status rows": _SHOWN,
    "/why lately changes at": _SHOWN,
    "/proposals ended": _SHOWN,
    "/board farm as_desired": _SHOWN,
    "/choices parts": "of what is shown to be set (`Visibility.sees_choices`)",
    "/revisions/{number} head changes": "empty in this answer",
    "/revisions/{number} head notes": "empty in this answer",
    "/revisions/{number} taken": "for whoever sees all",
    "/history revisions rollout": _ROLLOUT,
    "/revisions/{number} head rollout": _ROLLOUT,
    "/rollout rollout": _ROLLOUT,
    "/note next": "notes are told to everybody",
    "/status audit_copy": "without numbers, see `uncounted`",
    "/status standby_copies": "without numbers, see `uncounted`",
    "/status illegal_transitions": "for whoever may read the daemon's log",
}
FILE = {"spec", "plan", "strategy"}


async def dead(farm: Farm) -> None:
    """The hidden program, over and over."""
    dies(farm, "sc_p", "no beam")


async def dead_alike(farm: Farm) -> None:
    """By what the others die of, too."""
    dies(farm, "sc_p", "no trigger")


async def ends(farm: Farm) -> None:
    """The hidden program, for good."""
    dies(farm, "sc_p", "no end", "TASK_FAILED")


async def set_aside(farm: Farm) -> None:
    """The host of hidden programs alone."""
    found = await farm.ask("adm", "POST", "/aside", protocol.AsideRequest(["schost"], 1.9e9, "x", stops=99))
    assert found.status == 200, found.body


async def stopped(farm: Farm) -> None:
    found = await farm.ask("adm", "POST", "/stop", protocol.SelectRequest(["sc_p"], stops=99))
    assert found.status == 200


async def held(farm: Farm) -> None:
    found = await farm.ask("adm", "POST", "/hold", protocol.SelectRequest(["sc_p"]))
    assert found.status == 200


async def changed(farm: Farm) -> None:
    found = await farm.apply("adm", (msgspec.structs.replace(HIDDEN, release="2"),), ["sc_p"])
    assert found.status == 200, found.body


async def added(farm: Farm) -> None:
    found = await farm.apply("adm", (MINE, HIDDEN, job("sc_q", "schost", owner="secretcorp")))
    assert found.status == 200


async def removed(farm: Farm) -> None:
    found = await farm.apply("adm", (MINE,))
    assert found.status == 200


async def rolled(farm: Farm) -> None:
    found = await farm.ask("adm", "POST", "/restart", protocol.RestartRequest(["sc_p"], stops=99))
    assert found.status == 200, found.body


async def surveyed(farm: Farm) -> None:
    found = await farm.ask("adm", "POST", "/preflight", protocol.PreflightRequest(Spec(jobs=(HIDDEN,))))
    assert found.status == 200


async def proposed(farm: Farm) -> None:
    new = job("sc_new", "schost", owner="secretcorp", part="p")
    found = await farm.ask("adm", "POST", "/propose", protocol.ProposeRequest(Spec(jobs=(new,), part="p")))
    assert found.status == 200, found.body


async def ordered(farm: Farm) -> None:
    found = await farm.ask("adm", "POST", "/order", protocol.OrderRequest(["sc_p"], "snooze", until=1.9e9))
    assert found.status == 200, found.body


async def in_a_part(farm: Farm) -> None:
    there = Spec(jobs=(job("sc_r", "schost2", owner="secretcorp", part="secretpart"),), part="secretpart")
    found = await farm.ask("adm", "POST", "/apply", protocol.ApplyRequest(there, no_look=True))
    assert found.status == 200


async def controlled(farm: Farm) -> None:
    await in_a_part(farm)
    found = await farm.ask("adm", "POST", "/take", TakeRequest("secretpart", 3600.0))
    assert found.status == 200, found.body


CHANGES: dict[str, Callable[[Farm], Awaitable[None]]] = {
    one.__name__: one
    for one in (
        dead,
        dead_alike,
        ends,
        set_aside,
        stopped,
        held,
        changed,
        added,
        removed,
        rolled,
        surveyed,
        proposed,
        ordered,
        in_a_part,
        controlled,
    )
}


async def own(farm: Farm) -> None:
    """What is seen happens: a death, and all that people do and that has a number."""
    changed = Spec(jobs=(msgspec.structs.replace(MINE, release="2"), HIDDEN))
    for path, body in (
        ("/note", protocol.NoteRequest("beam")),
        ("/propose", protocol.ProposeRequest(changed, only=["readout"])),
        ("/order", protocol.OrderRequest(["readout"], "snooze", until=1.9e9)),
        ("/apply", protocol.ApplyRequest(changed, only=["readout"], stops=99, no_look=True)),
        ("/restart", protocol.RestartRequest(["readout"], stops=99)),
    ):
        found = await farm.ask("adm", "POST", path, body)
        assert found.status == 200 or b"rollout 1 by bob" in found.body, (path, found.body)
    assert (await farm.ask("adm", "POST", "/take", TakeRequest(None, 3600.0, "beam", True))).status == 200
    dies(farm, "readout", "no trigger")


async def answers(farm: Farm, who: str, survey: str) -> dict[str, Any]:
    """All of them, without the moment at which each was made, and with each random name as one."""
    found: dict[str, Any] = {}
    for paths in ASKED.values():
        for path in paths:
            where, _, query = (
                path.replace("ID", survey).replace("LAST", str(farm.direct.engine.proposals.next - 1)).partition("?")
            )
            answer = await farm.ask(who, "GET", where, query=query)
            assert answer.status < 500, (path, answer.body)
            told = msgspec.json.decode(CHANCE.sub(b"0", answer.body)) if answer.body else None
            if isinstance(told, dict):
                told.pop("now", None)
            found[path] = (answer.status, told)
    return found


def differences(path: str, one: Any, other: Any) -> Iterator[str]:
    """The fields in which two answers are not the same."""
    if type(one) is type(other) and isinstance(one, dict):
        for name in sorted({*one, *other}):
            yield from differences(f"{path} {name}", one.get(name), other.get(name))
    elif type(one) is type(other) and isinstance(one, list) and len(one) == len(other):
        for a, b in zip(one, other):
            yield from differences(path, a, b)
    elif one != other:
        yield path


async def world(*happens: Callable[[Farm], Awaitable[None]], who: str) -> dict[str, Any]:
    """What somebody is told of a farm in which that happened, each at a time of its own."""
    farm = await Farm().begin()
    found = await farm.ask("adm", "POST", "/preflight", protocol.PreflightRequest(Spec(jobs=(MINE,))))
    for number, one in enumerate(happens):
        farm.daemon.time = 1.8e9 + 1000 * (number + 1)
        await one(farm)
    return await answers(farm, who, msgspec.json.decode(found.body)["id"])


async def idle(farm: Farm) -> None:
    """Nothing."""


async def told_by(change: str, who: str, then: Callable[[Farm], Awaitable[None]]) -> set[str]:
    """In which fields somebody is told of that."""
    one, other = await world(idle, then, who=who), await world(CHANGES[change], then, who=who)
    found = set()
    for path, (status, told) in one.items():
        name = next(name for name, paths in ASKED.items() if path in paths)
        found |= {name} if other[path][0] != status else set(differences(name, told, other[path][1]))
    return found


@pytest.mark.parametrize("then", [idle, own])
@pytest.mark.parametrize("who", ["viewer", "all", "blind"])
@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_of_hidden_things_alone_changes_no_answer(change: str, who: str, then: Any) -> None:
    """Neither at once, nor by the numbers of what comes next."""
    found = asyncio.run(told_by(change, who, then))
    left = {path for path in found if not path.startswith(tuple(TOLD))}
    assert not left, sorted(left)


def test_what_is_told_to_everybody_is_and_no_more() -> None:
    """To an expert of some jobs; each line of the table is one that he is told by."""

    async def run() -> set[str]:
        found = set()
        for change, then in itertools.product(CHANGES, (idle, own)):
            found |= await told_by(change, "alice", then)
        return found

    found = asyncio.run(run())
    known = {path: next((one for one in TOLD if path.startswith(one)), "") for path in found}
    assert set(known.values()) == set(TOLD), known


def test_who_sees_all_is_told_of_each_change() -> None:
    """What the tests above would else say nothing by."""

    async def run() -> None:
        for change in CHANGES:
            found = await told_by(change, "adm", idle)
            assert [path for path in found if not path.startswith(tuple(TOLD))], change

    asyncio.run(run())


@pytest.mark.parametrize("path", ["/progress", "/preflight/ID"])
def test_who_waits_for_news_is_not_woken_by_what_is_hidden(path: str) -> None:
    """The version of an answer is of what it says; what is seen wakes him before his time is over."""

    async def run() -> None:
        farm = await Farm().begin()
        asked = await farm.ask("adm", "POST", "/preflight", protocol.PreflightRequest(Spec(jobs=(MINE,))))
        where = path.replace("ID", msgspec.json.decode(asked.body)["id"])

        async def version(query: str) -> int:
            told = msgspec.json.decode((await farm.ask("alice", "GET", where, query=query)).body)
            assert "error" not in told, told
            found: int = told.get("progress", told)["version"]
            return found

        seen = await version("")
        waiting = asyncio.ensure_future(version(f"seen={seen}&wait_s=1"))
        await asyncio.sleep(0)
        for change in (ordered, surveyed, proposed, in_a_part, ends):
            await change(farm)
        assert await waiting == seen == await version(f"seen={seen}&wait_s=0.1")
        if path == "/progress":
            waiting = asyncio.ensure_future(version(f"seen={seen}&wait_s=20"))
            await own(farm)
            assert await asyncio.wait_for(waiting, 10) != seen

    asyncio.run(run())


@pytest.mark.parametrize(("who", "told"), [("adm", 3), ("alice", 0), ("viewer", 0), ("all", 0), ("blind", 0)])
def test_bugs_are_counted_for_whoever_may_read_the_log(who: str, told: int) -> None:
    """Where each is told of."""

    async def run() -> int:
        farm = await Farm().begin()
        farm.direct.engine.transitions.illegal_transitions = 3
        found: int = msgspec.json.decode((await farm.ask(who, "GET", "/status")).body)["illegal_transitions"]
        return found

    assert asyncio.run(run()) == told


def test_how_many_lines_of_the_audit_file_wait_is_for_whoever_sees_all() -> None:
    """By their number it would be seen how much others do; that they are not copied is told."""
    late = protocol.StandbyCopied(7, 1.8e9, "7 lines wait since 12:00", "ctl2 (pid 9)", 1.8e9)
    well = protocol.AuditCopied(3, 1.8e9)
    copied, (other,) = uncounted(well, [late])
    assert copied == protocol.AuditCopied() and (other.lines, other.since, other.daemon) == (0, 0.0, "ctl2 (pid 9)")
    assert "not copied to Elasticsearch as it should be" in other.trouble and uncounted(None, []) == (None, [])


def numbers(kind: Any, path: tuple[str, ...], above: tuple[Any, ...] = ()) -> Iterator[str]:
    """Where an answer of that type has numbers."""
    if kind in (int, float) and path[-1] != "now":
        yield " ".join(path)
    for one in typing.get_args(kind):
        yield from numbers(one, path, above)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind not in above:
        for name, field in typing.get_type_hints(kind).items():
            if name in kind.__struct_fields__ and name not in FILE:
                yield from numbers(field, (*path, name), (*above, kind))


def counted(path: str, told: Any) -> Iterator[str]:
    """Where an answer has one that is not 0."""
    if isinstance(told, dict):
        for name, value in told.items():
            yield from counted(f"{path} {name}", value)
    elif isinstance(told, list):
        for value in told:
            yield from counted(path, value)
    elif isinstance(told, (int, float)) and not isinstance(told, bool) and told:
        yield path


def test_each_number_of_an_answer_is_looked_at() -> None:
    """Those above compare it, where it is not 0 in one of their answers; of each other one it is said why not."""

    async def run() -> set[str]:
        found: set[str] = set()
        for change in CHANGES.values():
            for path, (_, told) in (await world(change, own, who="alice")).items():
                found |= set(counted(next(name for name, paths in ASKED.items() if path in paths), told))
        return found

    found = asyncio.run(run())
    every = {
        path
        for one in OPERATIONS.values()
        if one.method == "GET" and one.path in ASKED and one.answer is not None
        for path in numbers(one.answer, (one.path,))
    }
    zero = {path for path in every if not any(one == path or one.startswith(f"{path} ") for one in found)}
    assert len(every) > 100 and not {path for path in zero if not path.startswith(tuple(ZERO))}, sorted(zero)
    assert not {known for known in ZERO if not any(path.startswith(known) for path in zero)}


def test_each_question_is_asked() -> None:
    """A new one is put here, or said why not."""
    known = {one.path for one in OPERATIONS.values() if one.method == "GET"}
    assert known == set(ASKED) | NOT_ASKED
