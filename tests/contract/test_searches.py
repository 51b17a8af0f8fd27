"""Searches through the daemon: nobody's keep others from theirs, each has an end, and no failure tells what is hidden."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

import msgspec
import pytest

from daqsched import protocol
from daqsched.rights.rules import read
from daqsched.serve import searches as searches_module
from daqsched.serve.http import Caller
from daqsched.serve.searches import EACH, MOST, WAITING, SearchAccount
from daqsched_executor.contract.forwarding import Access
from direct import Answer, Direct
from slow_elastic import EMPTY, SlowElastic
from waiting import until

RIGHTS = """
version: 1
people: {mallory: ["unix:mallory", "proxy:mallory"]}
rules:
  - {to: known, role: viewer, logs: "readout*"}
  - {to: unix:boss, role: admin}
"""


@pytest.fixture
def elastic() -> Iterator[SlowElastic]:
    made = SlowElastic()
    yield made
    made.close()


@pytest.fixture
def farm(elastic: SlowElastic) -> Iterator[Direct]:
    made = Direct(read(RIGHTS, "rights.yaml"), SearchAccount(elastic.url))
    yield made
    elastic.go_on.set()
    made.api.searches.close()


async def search(farm: Direct, who: Caller, word: str, path: str = "/lines", **more: Any) -> Answer:
    return await farm.ask(who, "POST", path, body=msgspec.json.encode({"until": 1.8e9, "grep": word, **more}))


def test_fifty_slow_searches_of_one_person_keep_nobody_waiting(farm: Direct, elastic: SlowElastic) -> None:
    """By whatever doors he comes: two are under way, some wait, the rest is told to come again; others are answered meanwhile."""
    tokens = [farm.caller(f"token:{name}", "unix:mallory") for name in "abc"]
    doors = [farm.caller("unix:mallory"), farm.caller("proxy:mallory"), *tokens]
    others = [farm.caller(f"unix:user{number}") for number in range(20)]

    async def run() -> None:
        slow = [asyncio.create_task(search(farm, doors[number % len(doors)], "slow")) for number in range(50)]
        await asyncio.to_thread(until, lambda: elastic.now["slow"] == EACH, "they are under way")
        await asyncio.sleep(0)  # the tasks that are refused have been so
        quick = await asyncio.gather(*(search(farm, who, "quick") for who in others))
        assert {one.status for one in quick} == {200}
        assert elastic.now["slow"] == EACH
        refused = [one.result() for one in slow if one.done()]
        assert len(refused) == 50 - EACH - WAITING
        assert all(one.status == 429 and one.headers["retry-after"] for one in refused)
        assert {msgspec.json.decode(one.body)["code"] for one in refused} == {"too-many-searches"}
        elastic.go_on.set()
        answered = [one.status for one in await asyncio.gather(*slow)]
        assert Counter(answered) == {200: EACH + WAITING, 429: 50 - EACH - WAITING}

    asyncio.run(run())
    assert elastic.most["slow"] == EACH and elastic.most["all"] <= MOST
    counts = farm.api.searches.counts
    assert (counts["asked"], counts["refused"]) == (70, 50 - EACH - WAITING)


def test_of_many_at_once_so_many_are_under_way(farm: Direct, elastic: SlowElastic) -> None:
    """And whoever waits longer than he may is told so; what is under way keeps its place until it has ended."""

    async def run() -> None:
        slow = [asyncio.create_task(search(farm, farm.caller(f"unix:user{number}"), "slow")) for number in range(MOST)]
        await asyncio.to_thread(until, lambda: elastic.now["slow"] == MOST, "all places are taken")
        late = await search(farm, farm.caller("unix:late"), "quick")
        assert late.status == 503 and late.headers["retry-after"] and elastic.most["all"] == MOST
        # nobody waits for these any more, and they are under way all the same
        for task in slow:
            task.cancel()
        await asyncio.gather(*slow, return_exceptions=True)
        assert (await search(farm, farm.caller("unix:late"), "quick")).status == 503
        elastic.go_on.set()
        statuses = [(await search(farm, farm.caller("unix:late"), "quick")).status for _ in range(50)]
        assert statuses[-1] == 200 and set(statuses) <= {200, 503}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(searches_module, "WAIT_S", 0.2)
        asyncio.run(run())
    assert elastic.most["all"] == MOST


@pytest.mark.parametrize(
    ("path", "more"),
    [
        ("/lines", {}),
        ("/lines/count", {"by": ["host"], "every_s": 60.0}),
        ("/lines/examples", {"fingerprints": ["00000000"]}),
        ("/lines/context", {"at": 1.7e9}),
        ("/lines/context", {"line": "x"}),
        ("/lines/new", {"after": 1.7e9}),
        ("/lines/follow", {}),
        ("/lines/dead", {}),
    ],
)
def test_every_search_has_the_filter_and_no_failure_tells_what_elasticsearch_said(
    farm: Direct, elastic: SlowElastic, path: str, more: dict[str, Any]
) -> None:
    """Whatever it asks; only for those who may read the daemon's log there are details."""
    viewer, boss = farm.caller("unix:eve"), farm.caller("unix:boss")
    asked = more if path == "/lines/dead" else {"grep": "beam", **more}

    def ask(who: Caller, body: Optional[dict[str, Any]] = None) -> Answer:
        return asyncio.run(farm.ask(who, "POST", path, body=msgspec.json.encode(asked if body is None else body)))

    whole = ask(viewer)
    assert whole.status == (400 if "line" in more else 200), whole.body
    assert elastic.bodies
    for body in elastic.bodies:
        assert "readout" in json.dumps(body["query"]["bool"]["filter"][1]), body
        assert body["timeout"] and "regexp" not in json.dumps(body) and "script" not in json.dumps(body)
    failure = {"index": "canary-index", "reason": {"type": "canary", "reason": "canary-value"}}
    elastic.answer = {**EMPTY, "_shards": {"total": 2, "failed": 1, "failures": [failure]}}
    for who in (viewer, boss):
        found = ask(who)
        assert (b"canary" in found.body) is (who is boss), (path, found)
    elastic.status, elastic.answer = 400, {"error": {"type": "canary", "reason": "canary-value"}, "status": 400}
    found = ask(viewer)
    assert b"canary" not in found.body, (path, found)
    assert found.status == 503 and b"ask who runs the farm" in found.body, (path, found)
    assert b"canary" in ask(boss).body


def test_what_cannot_be_meant_is_said_before_anything_is_asked(farm: Direct, elastic: SlowElastic) -> None:
    """In a sentence; Elasticsearch hears nothing of it."""
    who = farm.caller("unix:eve")
    for path, body, sentence in (
        ("/lines", {"query": {"match_all": {}}}, "unknown field `query`"),
        ("/lines", {"aggs": {}}, "unknown field `aggs`"),
        ("/lines", {"most": 5000}, "0 to 1,000 lines"),
        ("/lines", {"select": ["*" * 20]}, "at most 10 of these"),
        ("/lines", {"streams": ["*a" * 20]}, "at most 10 of these"),
        ("/lines", {"hosts": ["hlt[01-"]}, "brackets do not match"),
        ("/lines", {"levels": ["loud"]}, "not a level"),
        ("/lines", {"since": 1e300}, "since: must be at most"),
        ("/lines", {"grep": "x" * 2000}, "at most 1,000"),
        ("/lines", {"grep": "!!!"}, "no word to look for"),
        ("/lines/count", {"by": ["password"]}, "can't be counted by"),
        ("/lines/count", {"every_s": 0.001}, "one second or more"),
        ("/lines/context", {}, "either a moment (at) or a line"),
        ("/lines/examples", {"fingerprints": ["x"] * 501}, "at most 500"),
        ("/lines/follow", {"follow": "0" * 32}, "not followed any more"),
    ):
        found = asyncio.run(farm.ask(who, "POST", path, body=msgspec.json.encode(body)))
        assert found.status in (400, 410) and sentence in found.body.decode(), (path, body, found)
    assert not elastic.bodies


def test_a_following_is_its_persons_alone_and_there_are_so_many(farm: Direct, elastic: SlowElastic) -> None:
    """Of somebody else's it is said what is said of none; what is followed stays the same."""
    eve, other = farm.caller("unix:eve"), farm.caller("unix:other")

    def follow(who: Caller, **more: Any) -> Answer:
        return asyncio.run(farm.ask(who, "POST", "/lines/follow", body=msgspec.json.encode(more)))

    first = msgspec.json.decode(follow(eve).body, type=protocol.FollowLinesAnswer).follow
    assert follow(eve, follow=first).status == 200
    assert follow(other, follow=first).body == follow(other, follow="0" * 32).body
    changed = follow(eve, follow=first, select=["readout"])
    assert changed.status == 400 and b"can't be changed" in changed.body
    assert [follow(eve).status for _ in range(4)] == [200, 200, 200, 429]
    assert follow(other).status == 200


def test_without_a_right_or_without_a_server_nothing_is_searched(elastic: SlowElastic) -> None:
    """Whoever reads no lines is told so, and of no Elasticsearch."""
    made = Direct(read("version: 1\nrules: [{to: known, role: expert}]", "rights.yaml"), SearchAccount(elastic.url))
    found = asyncio.run(search(made, made.caller("unix:eve"), "beam"))
    assert found.status == 403 and b"no rule gives its lines (logs:)" in found.body and not elastic.bodies
    made.api.searches.close()
    bare = Direct(read(RIGHTS, "rights.yaml"))
    found = asyncio.run(search(bare, bare.caller("unix:eve"), "beam"))
    assert found.status == 400 and b"this daemon searches no lines" in found.body


def test_a_changed_password_is_used_by_the_next_search(elastic: SlowElastic, tmp_path: Path) -> None:
    """And it is in no answer."""
    secret = tmp_path / "user"
    secret.write_text("reader:first-secret\n")
    made = Direct(read(RIGHTS, "rights.yaml"), SearchAccount(elastic.url, Access("", str(secret), "")))
    who = made.caller("unix:eve")
    assert asyncio.run(search(made, who, "beam")).status == 200
    secret.write_text("reader:second-secret\n")
    elastic.status, elastic.answer = 401, {"error": {"type": "security_exception", "reason": "no second-secret"}}
    found = asyncio.run(search(made, who, "beam"))
    assert found.status == 503 and b"secret" not in found.body
    assert len(set(elastic.authorizations)) == 2
    made.api.searches.close()
