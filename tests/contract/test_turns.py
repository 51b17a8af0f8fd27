"""Callers take turns: whoever asks for a hundred things that take long holds up nobody but himself."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable, Optional

import httpx
import pytest

from builders import job
from daqsched.client import Client
from daqsched.engine.engine import Engine
from daqsched.engine.instance import Instance
from daqsched.serve.api import Api
from daqsched.serve.planning import Turns
from daqsched.serve.query_api import SOME
from daqsched.serve.serving import Serving
from daqsched.spec import Spec
from daqsched.views import status
from daqsched.views.blocked import BlockedJobs
from daqsched.views.rows import Row
from served import Serve
from waiting import until


class Thoughtful:
    """In the place of what the framework adds to a spec: thinks until it is told to stop, but of others' specs."""

    def __init__(self) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()

    def __call__(self, spec: Spec) -> Spec:
        if spec.source == "slow":
            self.begun.set()
            assert self.go_on.wait(60)
        return spec


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """A running daemon."""
    made = Serve(tmp_path)
    yield made
    made.close()


def test_a_stop_waits_for_nobodys_plan_and_a_plan_for_no_other_account(serve: Serve, tmp_path: Path) -> None:
    """Thirty plans of one account that take long are under way; the same account stops at once, another one plans at once."""
    serve.client.apply(Spec(jobs=(job(),)))
    thinks = Thoughtful()
    app = Api(serve.daemon, thinks, "", "").app

    came: list[str] = []

    async def as_told(scope: Any, receive: Any, send: Any) -> None:
        came.append(scope["path"])
        name = dict(scope["headers"])[b"x-account"].decode()
        await app({**scope, "caller": replace(scope["caller"], name=name, uid=len(name))}, receive, send)

    serving = Serving(tmp_path / "slow", "", as_told)
    clients: list[Client] = []

    def client(account: str) -> Client:
        made = Client(tmp_path / "slow")
        made._daemon.http.headers["x-account"] = account
        clients.append(made)
        return made

    slow = Spec(jobs=(job("slow"),), source="slow")
    threads = [threading.Thread(target=client("greedy").plan, args=(slow,)) for _ in range(30)]
    for thread in threads:
        thread.start()
    try:
        assert thinks.begun.wait(10)
        until(lambda: len(came) == 30, "all thirty have come")
        assert client("greedy").stop(["*"], "cabling").count == 1
        assert client("other").plan(Spec(jobs=(job("new"),))).instances == {"add": 1, "remove": 1}
        assert not thinks.go_on.is_set()
    finally:
        thinks.go_on.set()
        for thread in threads:
            thread.join(20)
        for one in clients:
            one.close()
        serving.close()


@pytest.mark.parametrize("path", ["status", "why?most=100000", "progress?most=100000"])
def test_the_engine_is_asked_for_all_instances_by_one_at_a_time(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """However many ask: between two such questions it does its work and answers others, and has one answer in memory."""
    asked = serve.daemon.ask
    lock, open_, most = threading.Lock(), [0], [0]

    def counted(question: Callable[[Engine, float], Any]) -> Future[Any]:
        def ended(future: Future[Any]) -> None:
            with lock:
                open_[0] -= 1

        with lock:
            open_[0] += 1
            most[0] = max(most[0], open_[0])
        future = asked(question)
        future.add_done_callback(ended)
        return future

    monkeypatch.setattr(serve.daemon, "ask", counted)
    app, came = serve.api.app, []

    async def counting(scope: Any, receive: Any, send: Any) -> None:
        came.append(scope["path"])
        await app(scope, receive, send)

    serve.serving.answer_by(counting)
    busy = threading.Event()
    held = asked(lambda engine, now: busy.wait(20))
    found: list[int] = []

    def get() -> None:
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(serve.path), verify=False), timeout=30) as client:
            found.append(client.get(f"http://daqsched/v1/{path}").status_code)

    threads = [threading.Thread(target=get) for _ in range(20)]
    for thread in threads:
        thread.start()
    until(lambda: len(came) == 20, "all twenty have come")
    busy.set()
    assert held.result(20)
    for thread in threads:
        thread.join(30)
    assert found == [200] * 20 and most[0] == 1


@pytest.mark.parametrize("path", ["status", "why?most=100000", "progress?most=100000"])
def test_between_parts_of_a_look_at_all_instances_the_engine_does_other_work(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """However large the farm: what comes while somebody asks for all of it waits for a thousand rows at most."""
    count = 3 * SOME + 7
    serve.client.apply(Spec(jobs=(job("readout", f"hlt[0001-{count:04}]"),)))
    asked, row_of = serve.daemon.ask, status.row_of
    #: What the engine did, in turn: how many rows, or None for another's question.
    turns: list[Optional[int]] = []
    seen: list[str] = []

    def seeing(engine: Engine, instance: Instance, now: float, blocked: BlockedJobs) -> Row:
        seen.append(instance.host)
        return row_of(engine, instance, now, blocked)

    def noted(question: Callable[[Engine, float], Any]) -> Future[Any]:
        def answer(engine: Engine, now: float) -> Any:
            seen.clear()
            found = question(engine, now)
            turns.append(len(seen))
            return found

        future = asked(answer)
        asked(lambda engine, now: turns.append(None))
        return future

    monkeypatch.setattr(status, "row_of", seeing)
    monkeypatch.setattr(serve.daemon, "ask", noted)
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(serve.path), verify=False), timeout=60) as client:
        answer = client.get(f"http://daqsched/v1/{path}").json()
    until(lambda: len(turns) % 2 == 0, "the other question after the last part")
    found = answer.get("rows") or answer.get("stories") or answer["progress"]["lagging"]
    assert len({one["host"] for one in found}) == len(found) == count
    looks = turns[0::2]
    assert turns[1::2] == [None] * len(looks)
    assert max(filter(None, looks)) == SOME and sum(filter(None, looks)) >= count


def test_callers_take_turns() -> None:
    """One at a time here: whoever comes late comes after the one who works, not after all that this one still wants."""
    done: list[str] = []

    async def work(turns: Turns, go_on: asyncio.Event, whose: str) -> None:
        async with turns.of(whose):
            await asyncio.sleep(0)
            done.append(whose)

    async def all_() -> None:
        turns, go_on = Turns(1), asyncio.Event()
        greedy = [asyncio.ensure_future(work(turns, go_on, "a")) for _ in range(5)]
        late = [asyncio.ensure_future(work(turns, go_on, whose)) for whose in "bcb"]
        await asyncio.sleep(0)
        go_on.set()
        await asyncio.gather(*greedy, *late)

    asyncio.run(all_())
    assert "".join(done) == "aabcabaa"


def test_who_goes_away_while_waiting_leaves_no_place_taken() -> None:
    """Neither before its turn came, nor just when it did, nor while it works."""

    async def all_() -> int:
        turns = Turns(2)
        begun: list[str] = []

        async def work(whose: str, wait_s: float) -> None:
            async with turns.of(whose):
                begun.append(whose)
                await asyncio.sleep(wait_s)

        tasks = [asyncio.ensure_future(work(whose, 60.0)) for whose in "abcabcabc"]
        await asyncio.sleep(0)
        for at in (2, 5, 0, 3, 4, 1, 6, 7, 8):
            tasks[at].cancel()
            if at % 2:
                await asyncio.sleep(0)
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.wait_for(asyncio.gather(work("x", 0.0), work("y", 0.0), work("a", 0.0)), 5.0)
        return len(begun)

    assert asyncio.run(all_()) >= 5
