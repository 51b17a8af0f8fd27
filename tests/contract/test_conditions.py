"""What a request says of itself: that it is done once, for which state of the farm it is meant, what its sender has already."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

import httpx
import msgspec
import pytest
from starlette.requests import Request
from starlette.responses import Response

from builders import job
from daqsched import protocol
from daqsched.engine import repeats
from daqsched.engine.repeats import MOST_EACH, MOST_KEYS, REMEMBERED_S
from daqsched.problems import CODES
from daqsched.serve.idempotency import Repeats
from daqsched.serve.refusals import refused
from daqsched.spec import Spec
from direct import AtOnce, Direct
from served import Serve


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Of a farm with two jobs on three hosts."""
    made = Serve(tmp_path)
    made.client.apply(Spec(jobs=(job(hosts="hlt[01-03]"), job("other"))), "first")
    yield made
    made.close()


@pytest.fixture
def http(serve: Serve) -> Iterator[httpx.Client]:
    with asked(serve) as made:
        yield made


def asked(serve: Serve) -> httpx.Client:
    return httpx.Client(
        transport=httpx.HTTPTransport(uds=str(serve.path), verify=False), base_url="http://d/v1", timeout=30
    )


def note(http: httpx.Client, words: str, key: Optional[str] = None) -> httpx.Response:
    headers = {"idempotency-key": key} if key is not None else {}
    return http.post("/note", json={"message": words}, headers=headers)


# ------------------------------------------------------------------------------------------------ once


def test_a_change_with_a_key_is_made_once_and_told_as_often_as_it_is_asked_for(http: httpx.Client) -> None:
    """Word for word; without a key each is another one."""
    first, again = note(http, "beam is back", "k1"), note(http, "beam is back", "k1")
    assert (first.status_code, first.content) == (again.status_code, again.content) == (200, first.content)
    note(http, "beam is back", "k2")
    note(http, "beam is back")
    assert len(http.get("/note").json()["notes"]) == 3


@pytest.mark.parametrize("code", CODES)
def test_a_refusal_takes_no_key(code: str) -> None:
    """Of whatever kind: it changed nothing, and what was in the way may be gone. What was done then is told again."""
    made, tries = Direct(), [refused(code, "not now"), Response("done"), Response("twice")]
    scope = {"type": "http", "path": "/v1/stop", "query_string": b"", "caller": made.caller()}
    headers = [(b"idempotency-key", b"k")]

    async def carry_out() -> Response:
        return tries.pop(0)

    async def run() -> list[int]:
        repeats = Repeats()

        async def receive() -> Any:
            return {"type": "http.request", "body": b"{}", "more_body": False}

        asks = [Request({**scope, "headers": headers}, receive) for _ in range(4)]
        return [(await repeats.once(one, carry_out)).status_code for one in asks]

    assert asyncio.run(run()) == [CODES[code].status, 200, 200, 200] and len(tries) == 1


STOP: tuple[str, Any] = ("stop", {"select": ["readout"]})

#: Why a change is refused (its code), how it is asked for then, and how when that is no more.
IN_THE_WAY: dict[str, tuple[Any, Any]] = {
    "changed": (({"if-match": '"abc"'}, STOP), ({}, STOP)),
    "invalid": (({}, ("stop", {"select": ["nothing"]})), ({}, STOP)),
    "refused": (({}, ("give", {})), ({}, STOP)),
}


@pytest.mark.parametrize("code", IN_THE_WAY)
def test_who_corrects_a_request_keeps_its_key(http: httpx.Client, code: str) -> None:
    """Another ``If-Match``, or another body: nothing was done with the key."""
    for tried, answer in zip(IN_THE_WAY[code], (code, None)):
        headers, (path, body) = tried
        found = http.post(f"/{path}", json=body, headers={"idempotency-key": "k", **headers})
        assert found.json().get("code") == answer, found.text
    again = http.post("/stop", json=STOP[1], headers={"idempotency-key": "k", "if-match": '"abc"'})
    assert (again.status_code, again.content) == (200, found.content)


def test_a_key_is_of_one_request(http: httpx.Client) -> None:
    """Another one with it is a mistake of its sender, and told; so is a key that is none."""
    note(http, "one", "k1")
    assert note(http, "two", "k1").json()["code"] == "key-reused"
    assert http.post("/stop", json={"select": ["readout"]}, headers={"idempotency-key": "k1"}).status_code == 422
    for wrong in ("", "x" * 129):
        assert note(http, "one", wrong).status_code == 400, wrong
    assert len(http.get("/note").json()["notes"]) == 1


def test_after_a_restart_nothing_is_done_twice(tmp_path: Path) -> None:
    """The key is saved with what was done; the answer is lost with the daemon that gave it, and that is said."""
    serve = Serve(tmp_path)
    with asked(serve) as http:
        assert note(http, "beam is back", "k1").status_code == 200
    serve.close()
    again = Serve(tmp_path)
    with asked(again) as http:
        found = note(http, "beam is back", "k1")
        assert found.status_code == 409 and found.json()["code"] == "done-before" and found.json()["exit_code"] == 5
        assert len(http.get("/note").json()["notes"]) == 1
        assert note(http, "beam is back", "k2").status_code == 200
    again.close()


def test_two_at_once_with_one_key_are_one(tmp_path: Path) -> None:
    """The second waits for the answer of the first."""
    made = Direct()

    async def run() -> list[Any]:
        body = msgspec.json.encode(protocol.NoteRequest("beam is back"))
        asks = [made.ask(made.caller(), "POST", "/note", b"", body, idempotency_key="k") for _ in range(5)]
        return await asyncio.gather(*asks)

    answers = asyncio.run(run())
    assert len({one.body for one in answers}) == 1 and {one.status for one in answers} == {200}
    assert len(made.engine.logbook) == 1


def test_a_key_is_of_who_sends_it() -> None:
    """Nobody is told another's answer, or kept from a change by another's key."""
    made = Direct()

    async def run() -> None:
        for name in ("unix:a", "unix:b"):
            body = msgspec.json.encode(protocol.NoteRequest("beam is back"))
            answer = await made.ask(made.caller(name), "POST", "/note", b"", body, idempotency_key="k")
            assert answer.status == 200

    asyncio.run(run())
    assert len(made.engine.logbook) == 2


def test_a_key_is_that_of_the_same_person_whose_groups_change() -> None:
    """A directory that says something else the second time has nothing done twice."""
    made = Direct()

    async def run() -> None:
        for groups in (["unix-group:daq"], ["unix-group:daq", "unix-group:shift"], []):
            body = msgspec.json.encode(protocol.NoteRequest("beam is back"))
            answer = await made.ask(made.caller("unix:a", *groups), "POST", "/note", b"", body, idempotency_key="k")
            assert answer.status == 200

    asyncio.run(run())
    assert len(made.engine.logbook) == 1


def test_a_token_is_shown_once_also_to_who_asks_again_with_the_key(http: httpx.Client) -> None:
    """Its answer is kept nowhere."""
    body = {"name": "wall", "role": "viewer", "until": time.time() + 3600}
    first, again = (http.post("/token", json=body, headers={"idempotency-key": "t"}) for _ in range(2))
    assert first.status_code == 200 and again.status_code == 409 and first.json()["token"] not in again.text


def test_keys_are_forgotten_after_an_hour_and_by_number() -> None:
    """They are no history."""
    farm = AtOnce().engine
    for number in range(MOST_KEYS + 100):
        repeats.done(farm, repeats.Terms(f"{number % 50}.{number}"), 1000.0)
    assert len(farm.done_keys) == MOST_KEYS and f"49.{MOST_KEYS + 99}" in farm.done_keys
    repeats.done(farm, repeats.Terms("new"), 1001.0 + REMEMBERED_S)
    assert list(farm.done_keys) == ["new"]
    repeats.restored(farm, b"nonsense")
    assert "one that is repeated is done again" in farm.troubles[-1]
    assert len(Repeats()._known) == 0


def test_whoever_sends_any_number_of_keys_makes_nobody_elses_be_forgotten() -> None:
    """Done or refused: he has a share of what is remembered, in the daemon's memory and in the state."""
    made = Direct()

    async def run() -> None:
        body = msgspec.json.encode(protocol.NoteRequest("beam is back"))
        first = await made.ask(made.caller("unix:a"), "POST", "/note", b"", body, idempotency_key="k")
        for number in range(MOST_KEYS + 1):
            words = "" if number % 2 else "x"
            flood = msgspec.json.encode(protocol.NoteRequest(words))
            await made.ask(made.caller("unix:b"), "POST", "/note", b"", flood, idempotency_key=str(number))
        again = await made.ask(made.caller("unix:a"), "POST", "/note", b"", body, idempotency_key="k")
        assert again.body == first.body

    asyncio.run(run())
    assert sum(one.message == "beam is back" for one in made.engine.logbook) == 1
    whose = [key.partition(".")[0] for key in made.engine.done_keys]
    assert sorted(whose.count(one) for one in set(whose)) == [1, MOST_EACH]


# ------------------------------------------------------------------------------------------------ for a state of the farm


def test_a_change_that_is_meant_for_another_spec_is_refused(http: httpx.Client) -> None:
    """By every change; with the digest of the one in force, or without any, it is made."""
    digest = http.get("/status").json()["digest"]
    for path, body in (
        ("stop", {"select": ["readout"]}),
        ("note", {"message": "x"}),
        ("aside", {"hosts": ["hlt01"], "until": 9e9}),
    ):
        found = http.post(f"/{path}", json=body, headers={"if-match": '"abc"'})
        assert found.status_code == 412 and f"{digest} is in force and not abc" in found.json()["error"]
    assert {row["state"] for row in http.get("/status").json()["rows"]} == {"WAITING"}
    for match in (f'"{digest}"', f'"abc", "{digest}"', "*"):
        assert http.post("/stop", json={"select": ["readout"]}, headers={"if-match": match}).status_code == 200, match
    assert http.post("/stop", json={"select": ["readout"]}, headers={"if-match": ""}).status_code == 400


# ------------------------------------------------------------------------------------------------ what is had already


@pytest.mark.parametrize(
    "path", ["status", "status?select=readout", "why", "stories", "incidents", "history", "aside", "note"]
)
def test_who_has_the_answer_is_told_that_nothing_has_changed(http: httpx.Client, path: str) -> None:
    """By its tag, which is that of all but the time; until something has."""
    first = http.get(f"/{path}")
    tag = first.headers["etag"]
    same = http.get(f"/{path}", headers={"if-none-match": f'"x", {tag}'})
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag)
    assert http.get(f"/{path}", headers={"if-none-match": '"x"'}).status_code == 200
    http.post("/stop", json={"select": ["readout"], "message": "cabling"})
    http.post("/aside", json={"hosts": ["hlt02"], "until": 9e9, "stops": 9})
    note(http, "beam is back")
    http.post("/apply", json={"spec": {"jobs": []}, "allow_empty": True, "stops": 9})
    other = http.get(f"/{path}", headers={"if-none-match": tag})
    assert other.status_code == (304 if path == "incidents" else 200)


# ------------------------------------------------------------------------------------------------ a piece at a time


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5])
def test_rows_come_in_pages_that_miss_none(http: httpx.Client, limit: int) -> None:
    """Each once, in order, however many at once."""
    whole = sorted((row["job"], row["host"]) for row in http.get("/status").json()["rows"])
    found, after = [], ""
    for _ in range(10):
        page = http.get("/status", params={"limit": limit, "after": after}).json()
        assert len(page["rows"]) <= limit
        found += [(row["job"], row["host"]) for row in page["rows"]]
        after = page["next"]
        if not after:
            break
    assert found == whole
    assert http.get("/status?limit=1&at=9").status_code == 400


def test_revisions_and_notes_come_in_pages(serve: Serve, http: httpx.Client) -> None:
    """The newest first, each once."""
    for number in range(2, 8):
        serve.client.apply(Spec(jobs=(job(release=str(number)),)), str(number), allow_empty=True, stops=99)
        note(http, f"note {number}")
    for path, field, count in (("history", "revisions", 7), ("note", "notes", 6)):
        numbers, before = [], 0
        for _ in range(10):
            page = http.get(f"/{path}", params={"most": 2, **({"before": before} if before else {})}).json()
            numbers += [one["number"] for one in page[field]]
            before = page["next"]
            if not before:
                break
        assert numbers == list(range(count, 0, -1)), path
