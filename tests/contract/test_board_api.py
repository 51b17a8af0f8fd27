"""The board and its events over real sockets: what changes is told to all who look, and to nobody for longer than he may."""

from __future__ import annotations

import asyncio
import gc
import re
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec.structs import replace

from board_page import EventStream, Page, opened
from board_page import events as events_of
from builders import job, offer
from daqsched.engine import events
from daqsched.rights.grants import Grants
from daqsched.rights.rules import read
from daqsched.serve import board_api, board_view, live_board, streams
from daqsched.serve.board_table import MOST_BEHIND
from daqsched.serve.visibility import Visibility
from daqsched.spec import Spec
from direct import Direct
from served import Serve
from standby_pair import Pair
from waiting import until
from webport import cheap_passwords

RULES = """
version: 1
rules:
  - {to: [token:viewer, token:wall, "password:alice"], role: viewer}
  - {to: token:some, role: viewer, on: ["readout"]}
  - {to: token:admin, role: admin}
"""


def asked(serve: Serve) -> httpx.Client:
    return httpx.Client(
        transport=httpx.HTTPTransport(uds=str(serve.path), verify=False), base_url="http://d", timeout=15
    )


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Of a farm with two jobs on three hosts, connected."""
    made = Serve(tmp_path)
    made.daemon.put(events.Registered("fw", "m:5050"))
    made.client.apply(Spec(jobs=(job(hosts="hlt[01-03]"), job("other"))), "first")
    yield made
    made.close()


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    cheap_passwords(monkeypatch)
    made = Pair(tmp_path, RULES, passwords=True)
    yield made
    made.close()


def letters(page: Page) -> dict[str, str]:
    return {f"{job}@{host}": row[0] for (job, host), row in page.rows().items()}


def test_a_page_follows_a_start_a_change_and_what_is_gone(serve: Serve) -> None:
    """By one answer and one stream; who comes late has the same."""
    with asked(serve) as http:
        page = opened(http)
        assert letters(page) == {"readout@hlt01": "W", "readout@hlt02": "W", "readout@hlt03": "W", "other@hlt01": "W"}
        assert page.farm["revision"] == 1 and page.farm["connected"] and page.farm["master"] == "m:5050"
        stream = EventStream(http, page.since)
        assert stream.response.headers["content-type"].startswith("text/event-stream")
        assert stream.response.headers["x-accel-buffering"] == "no"
        serve.daemon.put(events.OffersArrived((offer("hlt01"),)))
        stream.follow(page, lambda page: letters(page)["readout@hlt01"] == "S")
        (task,) = [one for one in serve.edge.launched() if one.startswith("readout@hlt01")]
        serve.daemon.put(events.TaskReported(task, "agent-hlt01", "TASK_RUNNING", uuid="u"))
        stream.follow(page, lambda page: letters(page)["readout@hlt01"] == "R")
        assert page.farm["states"]["RUNNING"] == 1 == page.farm["as_desired"]
        serve.client.apply(Spec(jobs=(job(hosts="hlt[01-02]"), job("new", "hlt09"))), "second", stops=9)
        stream.follow(page, lambda page: letters(page).get("new@hlt09") == "W" and "readout@hlt03" not in letters(page))
        assert page.farm["revision"] == 2
        serve.daemon.put(events.Disconnected())
        stream.follow(page, lambda page: not page.farm["connected"])
        stream.close()
        fresh = opened(http)
        assert fresh.rows() == page.rows() and fresh.farm == page.farm


def test_who_was_cut_off_goes_on_where_he_was_and_who_is_of_another_epoch_begins_anew(serve: Serve) -> None:
    """By what a browser says of itself, which is newer than the address it was given."""
    with asked(serve) as http:
        page, late = opened(http), opened(http)
        first = EventStream(http, page.since)
        serve.client.stop(["readout@hlt02"])
        event = first.follow(page, lambda page: letters(page)["readout@hlt02"] == "O")
        first.close()
        serve.client.stop(["readout@hlt03"])
        again = EventStream(http, late.since, last=event.id)
        again.follow(page, lambda page: letters(page)["readout@hlt03"] == "O")
        again.close()
        from_the_beginning = EventStream(http, late.since)
        from_the_beginning.follow(late, lambda late: letters(late)["readout@hlt03"] == "O")
        assert late.rows() == page.rows()
        from_the_beginning.close()
        for since in ("0123456789ab.0", f"{page.epoch}.{page.v + 9}", ""):
            for stream in (EventStream(http, since), EventStream(http, last=since)):
                (reset,) = stream.rest()
                assert reset.kind == "reset" and "GET /v1/board" in reset.data["why"]
        assert opened(http).epoch == page.epoch


def test_the_last_one_who_looks_may_come_back_too(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks for longer than the daemon waits for the next look; what changed meanwhile is told."""
    monkeypatch.setattr(live_board, "LOOK_S", 0.05)
    monkeypatch.setattr(live_board, "TOGETHER_S", 0.02)
    with asked(serve) as http:
        page = opened(http)
        EventStream(http, page.since).close()
        time.sleep(1.0)
        serve.client.stop(["readout@hlt02"])
        time.sleep(0.2)
        stream = EventStream(http, last=page.since)
        stream.follow(page, lambda page: letters(page)["readout@hlt02"] == "O")
        stream.close()


def test_another_daemon_is_another_epoch(tmp_path: Path) -> None:
    """After a restart or a takeover numbers mean something else; the stream of before has ended."""
    serve = Serve(tmp_path)
    serve.client.apply(Spec(jobs=(job(),)))
    with asked(serve) as http:
        page = opened(http)
        stream = EventStream(http, page.since)
        began = time.monotonic()
        serve.close()
        assert [event.kind for event in stream.rest()] == [] and time.monotonic() - began < 3
    serve = Serve(tmp_path)
    with asked(serve) as http:
        assert opened(http).epoch != page.epoch
        (reset,) = EventStream(http, last=page.since).rest()
        assert reset.kind == "reset"
    serve.close()


def test_a_browser_is_told_when_it_has_all_that_there_is(serve: Serve) -> None:
    """Of the present version there is no second copy."""
    with asked(serve) as http:
        first = http.get("/v1/board")
        again = http.get("/v1/board", headers={"if-none-match": first.headers["etag"]})
        assert again.status_code == 304 and not again.content
        serve.client.stop(["other"])
        other = until(lambda: changed(http, first.headers["etag"]), "it is another one")
        assert other.headers["etag"] != first.headers["etag"]


def changed(http: httpx.Client, tag: str) -> Any:
    found = http.get("/v1/board", headers={"if-none-match": tag})
    return found if found.status_code == 200 else None


def test_the_head_comes_alone_to_who_wants_nothing_else(serve: Serve) -> None:
    """At once, whatever he has, and again with each change of it."""
    with asked(serve) as http:
        stream = EventStream(http, "", "farm")
        first = stream.next()
        assert first is not None and first.data["farm"]["total"] == 4 and "c" not in first.data
        serve.client.stop(["other"])
        seen = [first]
        while seen[-1].data["farm"]["states"].get("STOPPED") != 1:
            event = stream.next()
            assert event is not None and set(event.data) == {"v", "now", "farm"}
            seen.append(event)
        stream.close()
        cells = EventStream(http, opened(http).since, "board")
        serve.daemon.put(events.Disconnected())
        serve.client.stop(["readout@hlt01"])
        event = cells.next()
        assert event is not None and "farm" not in event.data and event.data["c"][0][1] == "O"
        cells.close()


@pytest.mark.parametrize(
    ("asks", "says"),
    [
        ("topics=cells", "topics='cells': there are board, farm; without any both are meant"),
        ("since=12", "since='12' is not EPOCH.V, as GET /v1/board has them (`epoch`, `v`)"),
    ],
)
def test_what_can_not_be_asked_for_is_said(serve: Serve, asks: str, says: str) -> None:
    """And what would be right."""
    with asked(serve) as http:
        found = http.get(f"/v1/events?{asks}")
        assert found.status_code == 400 and found.json()["error"] == says
        head = http.head("/v1/events?topics=farm")
        assert head.status_code == 200 and head.headers["content-type"].startswith("text/event-stream")


def test_streams_of_one_person_are_so_many(serve: Serve) -> None:
    """One more is refused; one that is closed makes room."""
    with asked(serve) as http:
        page = opened(http)
        there = [EventStream(http, page.since) for _ in range(streams.EACH)]
        one_more = http.get("/v1/events?topics=farm")
        assert one_more.status_code == 503 and one_more.json()["code"] == "busy"
        assert f"you have {streams.EACH} streams" in one_more.json()["error"]
        there.pop().close()

        def room() -> bool:
            stream = EventStream(http, page.since)
            stream.close()
            return stream.response.status_code == 200

        until(room, "there is room again")
        for stream in there:
            stream.close()


# ------------------------------------------------------------------------------------------------ who may


@pytest.mark.parametrize("at", [0, 1], ids=["leader", "standby"])
def test_a_stream_goes_over_the_network_and_through_a_standby(pair: Pair, at: int) -> None:
    """As it comes, and only what one may see."""
    serve = pair.web.serve
    serve.client.apply(Spec(jobs=(job(), job("canary", "canaryhost"))), "second", stops=9)
    some = pair.both(pair.web.token("some", "viewer"))[at]
    every = pair.both(pair.web.token("viewer"))[at]
    page, whole = opened(some), opened(every)
    assert set(letters(page)) == {"readout@hlt01"} and "canary@canaryhost" in letters(whole)
    stream, other = EventStream(some, page.since), EventStream(every, whole.since)
    serve.client.stop(["canary"])
    serve.client.stop(["readout"], stops=9)
    other.follow(whole, lambda page: letters(page)["canary@canaryhost"] == "O")
    stream.follow(page, lambda page: letters(page)["readout@hlt01"] != "S")
    assert page.farm["total"] == 1 and "canary" not in str(vars(page))
    assert EventStream(some, whole.since).rest()[0].kind == "reset", "an epoch is of those who see the same"
    stream.close()
    other.close()


@pytest.mark.parametrize("at", [0, 1], ids=["leader", "standby"])
@pytest.mark.parametrize("how", ["rights", "less", "revoked", "logout"])
def test_what_is_taken_away_ends_the_stream_within_five_seconds(pair: Pair, at: int, how: str) -> None:
    """The right, a part of it, the token, the session."""
    if how == "logout":
        http = pair.both(None, **{"content-type": "application/json"})[at]
        found = http.post("/v1/login", json={"name": "alice", "password": "correct horse"})
        assert found.status_code == 200, found.text
    else:
        http = pair.both(pair.web.token("wall", "viewer"))[at]
    page = opened(http)
    stream = EventStream(http, page.since)
    began = time.monotonic()
    if how == "rights":
        pair.web.rights.path.write_text(RULES.replace("token:wall, ", "").replace('"password:alice"', "token:x"))
    elif how == "less":
        pair.web.rights.path.write_text(RULES + "  - {to: token:wall, deny: [see], on: [other]}\n")
    elif how == "revoked":
        pair.web.serve.client.revoke_token("wall")
    else:
        assert http.post("/v1/logout", json={}).status_code == 200
    *_, last = stream.rest()
    assert last.kind == "reset" and time.monotonic() - began < 5
    assert http.get("/v1/board").status_code == {"rights": 403, "less": 200}.get(how, 401)


def test_a_standby_ends_its_streams_when_another_leads_and_when_it_ends(pair: Pair) -> None:
    """Whoever reads asks again, and is told by the next."""
    http = pair.both(pair.web.token("viewer"))[1]
    page = opened(http)
    stream = EventStream(http, page.since)
    assert pair.standby.leader is not None
    leader, pair.standby.leader = pair.standby.leader, replace(pair.standby.leader, name="ctl3")
    began = time.monotonic()
    assert stream.rest() == [] and time.monotonic() - began < 3
    pair.standby.leader = leader
    again = EventStream(http, page.since)
    with ThreadPoolExecutor(1) as pool:
        closes = pool.submit(pair.serving.close)
        began = time.monotonic()
        assert again.rest() == [] and time.monotonic() - began < 3
        closes.result(10)


# ------------------------------------------------------------------------------------------------ many, and slow ones


def test_who_reads_too_slowly_begins_anew(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is under way to him comes whole and in order, and then that he is behind."""
    monkeypatch.setattr(live_board, "TOGETHER_S", 0.0)
    serve.client.apply(Spec(jobs=(job(hosts="hlt[001-100]"),)), "second", stops=9)
    with asked(serve) as http, socket.socket(socket.AF_UNIX) as slow:
        page = opened(http)
        slow.connect(str(serve.path))
        slow.settimeout(10)
        slow.sendall(f"GET /v1/events?since={page.since} HTTP/1.1\r\nHost: d\r\n\r\n".encode())
        first = v = page.v
        while (v - first) * 4000 < 3 * MOST_BEHIND:
            serve.client.stop(["readout"], f"{v} " + "x" * 250)
            serve.client.start(["readout"])
            v = opened(http).v
        text = b""
        while b"event: reset" not in text:
            text += slow.recv(1 << 20)
        slow.sendall(b"GET /v1/info HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n")
        while slow.recv(1 << 20):  # the connection is as good as before
            pass
        told = events_of(re.sub(rb"\r\n[0-9a-f]+\r\n", b"", text.partition(b"\r\n\r\n")[2]))
        *deltas, reset = told
        for event in deltas:
            page.take(event)
        assert reset.kind == "reset" and "not read as fast" in reset.data["why"]
        assert first < page.v < v and [event.data["v"] for event in deltas] == list(range(first + 1, page.v + 1))


def test_a_stream_says_that_it_is_alive_as_long_as_the_engine_is(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon that answers and knows nothing new is not taken for one."""
    monkeypatch.setattr(board_api, "ALIVE_S", 0.3)
    monkeypatch.setattr(board_api, "RIGHTS_S", 0.1)
    monkeypatch.setattr(live_board, "LOOK_S", 0.05)
    monkeypatch.setattr(live_board, "TOGETHER_S", 0.05)
    with asked(serve) as http, ThreadPoolExecutor(1) as pool:
        stream = EventStream(http, opened(http).since)
        reads = pool.submit(stream.rest)
        until(lambda: stream.alive >= 3, "it has said so")
        hangs = threading.Event()
        serve.daemon.ask(lambda engine, now: hangs.wait(20))
        time.sleep(0.5)  # what was under way
        silent = stream.alive
        time.sleep(1.0)
        assert stream.alive == silent
        hangs.set()
        until(lambda: stream.alive > silent, "it says so again")
        serve.serving.close()
        assert reads.result(10) == []


def test_a_stream_has_an_end_and_goes_on_in_the_next(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """So who is behind it is looked at anew; nothing is missed."""
    monkeypatch.setattr(board_api, "LONGEST_S", 0.5)
    monkeypatch.setattr(board_api, "RIGHTS_S", 0.1)
    with asked(serve) as http:
        page = opened(http)
        for words in ("readout@hlt01", "readout@hlt02"):
            stream = EventStream(http, last=page.since)
            serve.client.stop([words])
            for event in stream.rest():
                page.take(event)
        assert letters(page)["readout@hlt01"] == letters(page)["readout@hlt02"] == "O"


def test_who_does_not_read_costs_no_memory_and_holds_nobody_up(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """200 want to and never read: as many as there is room for are told, and nothing is kept for them."""
    monkeypatch.setattr(streams, "EACH", 90)
    monkeypatch.setattr(live_board, "TOGETHER_S", 0.0)
    serve.client.apply(Spec(jobs=(job(hosts="hlt[001-100]"),)), "second", stops=9)
    with asked(serve) as http:
        first = opened(http)
        slow = [socket.socket(socket.AF_UNIX) for _ in range(200)]
        for one in slow:
            one.connect(str(serve.path))
            one.settimeout(10)
            one.sendall(f"GET /v1/events?since={first.since} HTTP/1.1\r\nHost: d\r\n\r\n".encode())
        heads = [one.recv(12) for one in slow]
        taken, refused = heads.count(b"HTTP/1.1 200"), heads.count(b"HTTP/1.1 503")
        assert (taken, refused) == (90, 110)
        try:
            before, v = memory(), first.v
            while v < first.v + 150:  # of some 4 KB each: 60 MB, if they were kept for each of them
                serve.client.stop(["readout"], f"{v} " + "x" * 250)
                serve.client.start(["readout"])
                v = opened(http).v
            assert memory() - before < 24 << 20, "more is kept than what is under way to each"
        finally:
            for one in slow:
                one.close()


def memory() -> int:
    """Of this process, in bytes."""
    gc.collect()
    text = Path("/proc/self/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+)", text)[0]) << 10


def test_the_engine_is_asked_as_often_however_many_look(serve: Serve) -> None:
    """Their number is nothing that its thread could notice."""
    ask, heard = serve.daemon.ask, list[object]()

    def counted(question: Any) -> Any:
        heard.append(question)
        return ask(question)

    serve.daemon.ask = counted  # type: ignore[method-assign]  # to count them
    with asked(serve) as http:
        there = [EventStream(http, "", "farm") for _ in range(streams.EACH)]
        heard.clear()
        began = time.monotonic()
        for stream in there:
            assert stream.next() is not None
        for words in ("other", "readout"):  # each is told of two changes
            serve.client.stop([words], stops=9)
            for stream in there:
                assert stream.next() is not None
        took = time.monotonic() - began
        for stream in there:
            stream.close()
    of_stops = 2 * 2
    assert len(heard) <= of_stops + 2 + took / live_board.TOGETHER_S, "they are as many as who looks"


def test_rules_that_take_long_to_be_looked_at_hold_up_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither when they are looked at for the first time, nor when another spec is in force; they are told all in the end."""
    rules = 'rules:\n  - {to: token:slow, role: viewer, on: ["other"]}\n  - {to: token:quick, role: viewer, on: ["readout"]}\n'
    made = Direct(read(f"version: 1\n{rules}", "rights.yaml"))
    made.daemon.put(events.Registered("fw", "m:5050"))
    gate = threading.Event()

    def visibility(grants: Grants, spec: Spec) -> Visibility:
        assert "token:quick" in grants.called or gate.wait(20)
        return Visibility(grants, spec)

    monkeypatch.setattr(board_view, "Visibility", visibility)
    monkeypatch.setattr(live_board, "TOGETHER_S", 0.0)

    def apply(release: str) -> None:
        jobs = (job(release=release), job("other", "hlt02", release=release))
        made.daemon.put(events.JobsApplied(Spec(jobs=jobs), "root"))

    async def board(who: str) -> bytes:
        return (await made.ask(made.caller(f"token:{who}"), "GET", "/board")).body

    async def run() -> None:
        for release in ("r1", "r2", "r3"):
            apply(release)
            slow = asyncio.ensure_future(board("slow"))
            for _ in range(5):
                found = await asyncio.wait_for(board("quick"), 5)
                assert b"readout" in found and release.encode() in found and b"other" not in found
            assert not slow.done()
            gate.set()
            found = await asyncio.wait_for(slow, 10)
            assert b"other" in found and release.encode() in found and b"readout" not in found
            gate.clear()

    asyncio.run(run())
