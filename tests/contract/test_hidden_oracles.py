"""What is hidden can't be asked out: not how many there are, not whether a name is there, not by a host, a survey or a proposal."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from builders import job
from daqsched import protocol
from daqsched.spec import JobSpec, Spec
from hidden_farm import HIDDEN, MINE, Farm

# ------------------------------------------------------------------------------------------------ names


def after(name: str, part: str) -> Spec:
    return Spec(jobs=(job("other", "hlt01", owner="daq", after=(name,)),), part=part)


def replaces(name: str, part: str) -> Spec:
    return Spec(jobs=(job("other", "schost", owner="daq", replaces=(name,)),), part=part)


#: What is asked with a name in it.
NAMED: dict[str, Callable[[str], tuple[str, Any]]] = {
    "plan after": lambda name: ("/plan", protocol.PlanRequest(after(name, "p"))),
    "plan replaces": lambda name: ("/plan", protocol.PlanRequest(replaces(name, "p"))),
    "plan take": lambda name: ("/plan", protocol.PlanRequest(Spec(jobs=(MINE,), part="p"), take=["readout", name])),
    "apply after": lambda name: ("/apply", protocol.ApplyRequest(after(name, "p"))),
    "propose after": lambda name: ("/propose", protocol.ProposeRequest(after(name, "p"))),
    "propose take": lambda name: (
        "/propose",
        protocol.ProposeRequest(Spec(jobs=(MINE,), part="p"), take=["readout", name]),
    ),
    "preflight after": lambda name: ("/preflight", protocol.PreflightRequest(after(name, "p"))),
    "stop": lambda name: ("/stop", protocol.SelectRequest([name])),
    "restart": lambda name: ("/restart", protocol.RestartRequest([name])),
    "borrow": lambda name: ("/borrow", protocol.BorrowRequest(name, "schost")),
    "sandboxes": lambda name: ("/sandboxes", protocol.SandboxesRequest([name])),
    "console": lambda name: ("/console", protocol.ConsoleRequest(name, "schost")),
}


@pytest.mark.parametrize("who", ["alice", "all", "blind"])
@pytest.mark.parametrize("what", NAMED)
def test_a_name_that_is_hidden_is_as_one_that_is_not_there(what: str, who: str) -> None:
    """In every request that may have one."""

    async def run() -> None:
        farm = await Farm().begin()
        told = []
        # what rules say of a name they say of it whether it is there or not
        for name in ("sc_p", "sc_q"):
            path, body = NAMED[what](name)
            found = await farm.ask(who, "POST", path, body)
            assert found.status < 500
            # the digest is of what was sent, with the name
            text = re.sub(r'"digest":"\w+"', "", found.body.decode())
            told.append((found.status, text.replace(name, "NAME")))
        assert told[0] == told[1]

    asyncio.run(run())


@pytest.mark.parametrize("verb", ["aside", "return", "replace"])
def test_a_host_of_what_is_hidden_is_as_one_without_jobs(verb: str) -> None:
    """To whoever may do nothing there either way."""

    async def run() -> None:
        farm = await Farm().begin()
        told = []
        for host in ("schost", "nohost"):
            body: Any = (
                protocol.ReplaceRequest(host) if verb == "replace" else protocol.AsideRequest([host], 1.9e9, "x")
            )
            found = await farm.ask("alice", "POST", f"/{verb}", body)
            told.append((found.status, found.body.decode().replace(host, "HOST")))
        assert told[0] == told[1] and told[0][0] == 403

    asyncio.run(run())


@pytest.mark.parametrize("who", ["alice", "all", "blind"])
def test_what_is_hidden_is_not_ended_by_its_host(who: str) -> None:
    """Not by setting it aside, and that is not told of it by name."""

    async def run() -> None:
        farm = await Farm().begin()
        found = await farm.ask(who, "POST", "/aside", protocol.AsideRequest(["schost"], 1.9e9, "x", stops=99))
        assert found.status == 403 and b"some of this" in found.body and b"sc_p" not in found.body
        assert not farm.direct.engine.aside

    asyncio.run(run())


# ------------------------------------------------------------------------------------------------ numbers


@pytest.mark.parametrize("who", ["alice", "all", "blind"])
def test_how_many_there_are_is_not_told(who: str) -> None:
    """Neither by a plan nor by a refusal: all is said as if there were a hundred more."""

    async def run() -> None:
        told = []
        for more in (0, 30):
            farm = await Farm().begin(more)
            changed = (job("readout", "hlt01", owner="daq", release="2"),)
            bodies: list[tuple[str, Any]] = [
                ("/plan", protocol.PlanRequest(Spec(jobs=changed), ["readout"])),
                ("/plan", protocol.PlanRequest(Spec(jobs=changed))),
                ("/plan", protocol.PlanRequest(Spec())),
                ("/apply", protocol.ApplyRequest(Spec(jobs=changed), only=["readout"], stops=0, no_look=True)),
                ("/stop", protocol.SelectRequest(["readout"], stops=0)),
                ("/restart", protocol.RestartRequest(["readout"], stops=0)),
                ("/aside", protocol.AsideRequest(["hlt01"], 1.9e9, "x", stops=0)),
            ]
            for path, body in bodies:
                answer = await farm.ask(who, "POST", path, body)
                assert answer.status < 500
                found = msgspec.json.decode(answer.body)
                # which names the whole farm
                told.append((path, {name: found[name] for name in found if name not in ("digest", "base")}))
        assert told[: len(told) // 2] == told[len(told) // 2 :]
        refused = [found for path, found in told if path == "/stop"]
        assert refused[0]["code"] == "not-confirmed" and "ends 1 of the running programs at once" in refused[0]["error"]

    asyncio.run(run())


# ------------------------------------------------------------------------------------------------ surveys, proposals, words


def test_a_survey_is_of_who_asked_and_who_sees_what_it_is_about() -> None:
    """To all others there is none of that name."""

    async def run() -> None:
        farm = await Farm().begin()

        async def asked(who: str, *jobs: JobSpec) -> str:
            found = await farm.ask(who, "POST", "/preflight", protocol.PreflightRequest(Spec(jobs=jobs)))
            assert found.status == 200, found.body
            id: str = msgspec.json.decode(found.body)["id"]
            return id

        ids = {
            "all": await asked("adm", MINE, HIDDEN),
            "mine": await asked("adm", MINE),
            "hidden": await asked("adm", HIDDEN),
            "alice's": await asked("alice", MINE),
        }
        shown = {
            who: {what for what, id in ids.items() if (await farm.ask(who, "GET", f"/preflight/{id}")).status == 200}
            for who in ("adm", "alice", "viewer", "all", "blind", "carol")
        }
        own = {"mine", "alice's"}
        assert shown == {"adm": set(ids), "alice": own, "viewer": own, "all": own, "blind": own, "carol": set()}
        unknown = await farm.ask("alice", "GET", "/preflight/nosuch")
        assert unknown.body == (await farm.ask("alice", "GET", f"/preflight/{ids['hidden']}")).body

    asyncio.run(run())


@pytest.mark.parametrize("who", ["alice", "all", "blind"])
def test_what_a_survey_has_left_is_for_who_may_read_all(who: str) -> None:
    """Its words are of jobs of any owner."""

    async def run() -> None:
        farm = await Farm().begin()
        piece = protocol.Piece("agent-schost", "_preflight@schost.0a1b2c3d", "executor", 0, 99)
        found = await farm.ask(who, "POST", "/sandboxes/read", protocol.ReadRequest([piece]))
        assert found.status == 403
        assert (await farm.ask("adm", "POST", "/sandboxes/read", protocol.ReadRequest([piece]))).status == 200

    asyncio.run(run())


def test_a_proposal_of_a_job_that_is_to_be_hidden_is_hidden() -> None:
    """By what it says of a job that is not there yet, also when it is over."""

    async def run() -> None:
        farm = await Farm().begin()
        new = job("sc_new", "hlt01", owner="secretcorp")
        asked = protocol.ProposeRequest(Spec(jobs=(MINE, HIDDEN, new)), "sc_new is to come", only=["sc_new"])
        spec = protocol.ProposeRequest(Spec(jobs=(new,), part="p"), "to come")
        for one in (asked, spec):
            assert (await farm.ask("adm", "POST", "/propose", one)).status == 200
        for key in ("waiting", "ended"):
            for who in ("alice", "viewer", "all", "blind", "carol"):
                listed = msgspec.json.decode((await farm.ask(who, "GET", "/proposals")).body)
                assert [one["number"] for one in listed[key]] == ([] if who == "carol" else [1]), (who, listed)
                assert all(one.get("only", []) == [] for one in listed[key]), (who, listed)
                unknown = await farm.ask(who, "GET", "/proposals/9")
                assert unknown.body == (await farm.ask(who, "GET", "/proposals/2")).body
            for number in (1, 2):
                await farm.ask("adm", "POST", "/reject", protocol.CloseRequest(number, "no"))

    asyncio.run(run())


def test_what_an_apply_was_about_is_not_told_in_its_message() -> None:
    """What its user wrote is, to everybody who sees anything."""

    async def run() -> None:
        farm = await Farm().begin()
        changed = job("sc_p", "schost", owner="secretcorp", release="2")
        for only in (["sc_p"], ["sc_*"], ["@schost"], ["sc_p@schost"]):
            changed = msgspec.structs.replace(changed, release=f"{changed.release}2")
            assert (await farm.apply("adm", (MINE, changed), only)).status == 200
        for path, query in (("/history", "most=9"), ("/names", "of=revision"), ("/revisions/2", "")):
            assert b"only sc_p" in (await farm.ask("adm", "GET", "/history", query="most=9")).body
            for who in ("alice", "viewer", "all", "blind"):
                text = (await farm.ask(who, "GET", path, query=query)).body
                assert b"sc_" not in text and b"schost" not in text and b"go" in text, (who, text)

    asyncio.run(run())


@pytest.mark.parametrize("who", ["alice", "carol", "blind", "all"])
def test_a_hidden_part_is_named_to_nobody_and_is_as_one_that_is_not_there(who: str) -> None:
    """By an empty file of it, or a rollback that says no part."""

    async def run() -> None:
        farm = await Farm().begin()
        there = Spec(jobs=(job("sc_q", "schost2", owner="secretcorp", part="secretpart"),), part="secretpart")
        asked = protocol.ApplyRequest(there, no_look=True)
        assert (await farm.ask("adm", "POST", "/apply", asked)).status == 200
        for path, kind in (("/plan", protocol.PlanRequest), ("/apply", protocol.ApplyRequest)):
            found = []
            for part in ("secretpart", "nosuchpart"):
                answer = await farm.ask(who, "POST", path, kind(Spec(part=part), **_meant(kind)))
                found.append((answer.status, answer.body.decode().replace(part, "PART")))
                assert "secret" not in found[-1][1] and answer.status == 400, found
            assert found[0] == found[1]
        for number in (1, 2):
            answer = await farm.ask(who, "POST", "/rollback", protocol.RollbackRequest(number))
            assert "secret" not in answer.body.decode(), answer.body

    asyncio.run(run())


def _meant(kind: type[Any]) -> dict[str, Any]:
    return {"allow_empty": True} if kind is protocol.ApplyRequest else {}
