"""Lines through the daemon, out of a real Elasticsearch: somebody is told what he may read of what he asks for, and no more."""

from __future__ import annotations

import asyncio
import datetime
import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from click.testing import CliRunner

from daqcluster import Cluster
from daqsched import protocol
from daqsched.cli import main
from daqsched.engine import events
from daqsched.engine.desired_spec import DesiredSpec
from daqsched.errors import UserError
from daqsched.logs.count import FIELDS
from daqsched.logs.daemon_lines import DaemonSource
from daqsched.logs.query import Wanted
from daqsched.rights.rules import read
from daqsched.serve.http import Caller
from daqsched.serve.searches import SearchAccount
from daqsched.spec import Spec
from daqsched_executor.contract.forwarding import Access
from direct import Answer, Direct
from secured import ADMIN, PASSWORD
from served import Serve
from stored_lines import (
    BEGIN,
    SPEC,
    Stored,
    corpus,
    counted,
    is_meant,
    may_read,
    some_question,
    some_rights,
    store,
)

PREFIX = "daqsched-logs"

#: So many files of rights, and questions by each.
RIGHTS, QUESTIONS = int(os.environ.get("DAQSCHED_RANDOM_RIGHTS", "25")), 12


class Server(NamedTuple):
    """An Elasticsearch that lets the daemon's account read, and what is stored there."""

    url: str
    account: SearchAccount
    admin: SearchAccount
    lines: list[Stored]


@pytest.fixture(scope="module")
def server(empty: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Server:
    """One for all tests here."""
    folder = tmp_path_factory.mktemp("lines")
    accounts = []
    for name in ("daqsched", "admin"):
        secret = folder / name
        secret.touch(0o600)
        secret.write_text(f"{name}:{PASSWORD}\n")
        accounts.append(SearchAccount(empty.elasticsearch_url, Access("", str(secret), "")))
    lines = corpus(PREFIX, 1)
    store(empty.elasticsearch_url, ADMIN, PREFIX, lines)
    return Server(empty.elasticsearch_url, accounts[0], accounts[1], lines)


def farm(server: Server, rights: str) -> tuple[Direct, Caller]:
    """A daemon that searches there, and bob."""
    made = Direct(read(rights, "rights.yaml"), server.account, PREFIX)
    # as it is where several applies have left jobs as they were
    made.engine.desired = DesiredSpec(SPEC)
    return made, made.caller("unix:bob")


def leaked(answer: Answer, hidden: list[Stored]) -> list[str]:
    """Which of these a text of an answer tells of."""
    text = answer.body.decode()
    return [one.id for one in hidden if one.words.split()[-1] in text or f'"{one.id}"' in text]


def test_what_is_answered_is_what_may_be_read_of_what_is_asked(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """Random rights, random questions; by the pure functions, said a second time in the model."""
    chance = random.Random(7)
    seen: Counter[str] = Counter()

    async def look(made: Direct, bob: Caller, rights: str) -> None:
        readable = [one for one in server.lines if may_read(bob.grants, one)]
        hidden = [one for one in server.lines if not may_read(bob.grants, one)]
        for _ in range(QUESTIONS):
            asked = some_question(chance)
            meant = [one for one in readable if is_meant(asked, one)]
            by = chance.sample(sorted(FIELDS.keys() - {"run"}), 2)
            for path, more in (("/lines", {"most": 1000}), ("/lines/count", {"by": by})):
                answer = await made.ask(bob, "POST", path, body=msgspec.json.encode({**asked, **more}))
                about = (rights, path, asked, more, answer.status, answer.body[:500])
                assert not leaked(answer, hidden), (about, leaked(answer, hidden))
                seen[f"{path} {answer.status}"] += 1
                if answer.status == 403:
                    assert not readable, about
                    continue
                assert answer.status == 200, about
                if path == "/lines":
                    found = msgspec.json.decode(answer.body, type=protocol.LinesAnswer)
                    expected = [one.id for one in sorted(meant, key=lambda one: one.time)]
                    assert [line.id for line in found.lines] == expected and not found.lacks, about
                    seen["some" if expected else "none"] += 1
                    seen["all" if len(readable) == len(server.lines) else "not all"] += 1
                else:
                    numbers = msgspec.json.decode(answer.body, type=protocol.CountLinesAnswer)
                    groups = Counter({group.values: group.count for group in numbers.groups})
                    assert groups == counted(by, meant) and numbers.total == len(meant), about

    for _ in range(RIGHTS):
        rights = some_rights(chance)
        made, bob = farm(server, rights)
        asyncio.run(look(made, bob, rights))
        made.api.searches.close()
    assert seen["some"] > 30 and seen["none"] > 10 and seen["/lines 403"] > 5, seen
    assert "came through the filter" not in caplog.text


def test_what_stands_around_a_line_is_what_may_be_read(server: Server) -> None:
    """Of a hidden line it is said what is said of one that never was; new kinds and dead letters are of what is seen, too."""
    chance = random.Random(11)
    seen: Counter[str] = Counter()

    async def look(made: Direct, bob: Caller, rights: str) -> None:
        readable = sorted((one for one in server.lines if may_read(bob.grants, one)), key=lambda one: one.time)
        hidden = [one for one in server.lines if not may_read(bob.grants, one)]

        async def ask(path: str, body: dict[str, Any]) -> Any:
            answer = await made.ask(bob, "POST", path, body=msgspec.json.encode(body))
            assert not leaked(answer, hidden), (rights, path, body, answer)
            assert answer.status in ((200, 400) if readable else (200, 400, 403)), (rights, path, body, answer)
            seen[f"{path} {answer.status}"] += 1
            return msgspec.json.decode(answer.body) if answer.status == 200 else answer

        for _ in range(QUESTIONS):
            asked = some_question(chance)
            meant = [one for one in readable if is_meant(asked, one)]
            moment = BEGIN + chance.randint(0, 240)
            found = await ask("/lines/context", {**asked, "at": moment, "most": 20})
            if isinstance(found, dict):
                before = [one.id for one in meant if one.time < moment][-10:]
                after = [one.id for one in meant if one.time >= moment][:10]
                told = [one["id"] for one in found["before"]], [one["id"] for one in found["after"]]
                assert told == (before, after), (rights, asked)
            one = chance.choice(server.lines)
            scope = chance.choice(["stream", "host", "farm"])
            found = await ask("/lines/context", {**asked, "line": one.id, "scope": scope, "most": 20})
            if one in readable:
                near = [other for other in meant if scope == "farm" or of_scope(scope, one, other)]
                assert found["line"]["id"] == one.id
                assert [other["id"] for other in found["before"]] == [
                    other.id for other in near if other.time < one.time
                ][-10:], (rights, asked, scope, one)
                assert [other["id"] for other in found["after"]] == [
                    other.id for other in near if other.time > one.time
                ][:10]
            elif readable:
                never = await ask("/lines/context", {**asked, "line": "never", "scope": scope, "most": 20})
                assert found.body.replace(one.id.encode(), b"never") == never.body
            found = await ask("/lines/new", {**asked, "after": moment})
            if isinstance(found, dict):
                now = [one for one in readable if is_meant({**asked, "since": moment}, one)]
                loose = {**asked, "grep": "", "levels": [], "since": None, "until": moment}
                known = {kind(one) for one in readable if is_meant(loose, one)}
                expected = Counter(kind(one) for one in now if kind(one) not in known)
                told_kinds = {one["first"]["fingerprint"]: one["count"] for one in found["messages"]}
                assert told_kinds == expected and found["lines"] == len(now), (rights, asked)
            hosts = asked.get("hosts", [])
            found = await ask("/lines/dead", {"hosts": hosts})
            if isinstance(found, dict):
                dead = [one.id for one in readable if one.place.endswith("2026.11") and is_meant({"hosts": hosts}, one)]
                assert [one["id"] for one in found["letters"]] == dead, rights

    for _ in range(max(8, RIGHTS // 3)):
        rights = some_rights(chance)
        made, bob = farm(server, rights)
        asyncio.run(look(made, bob, rights))
        made.api.searches.close()
    assert seen["/lines/context 200"] > 40 and seen["/lines/context 400"] > 10, seen
    assert seen["/lines/new 200"] > 20 and seen["/lines/dead 200"] > 20, seen


def of_scope(scope: str, one: Stored, other: Stored) -> bool:
    """Whether two lines are of one stream, or host."""

    def fields(line: Stored) -> list[Any]:
        source = line.source
        found = [source["host"]["name"]]
        if scope == "stream":
            task = source.get("orchestrator", {}).get("resource", {}).get("id", "")
            found += [source["service"]["name"], source["daqsched"]["stream"], task]
        return found

    mine, theirs = fields(one), fields(other)
    return all(not value or value == there for value, there in zip(mine, theirs))


def kind(one: Stored) -> str:
    return str(one.source["daqsched"]["fingerprint"])


def test_who_follows_is_told_each_new_line_that_he_may_read_once(server: Server) -> None:
    """However they come; and of a right that is taken away, at the next question."""
    prefix, user = "followed-logs", ADMIN
    lines = [one._replace(place=one.place.replace(PREFIX, prefix)) for one in corpus(prefix, 3, 90)]
    rights = 'version: 1\nrules: [{to: unix:bob, role: viewer, logs: ["readout*", "service:sshd"]}]'
    made = Direct(read(rights, "rights.yaml"), server.admin, prefix)
    made.engine.desired = DesiredSpec(SPEC)
    bob = made.caller("unix:bob")
    store(server.url, user, prefix, lines[:30])
    told: list[str] = []

    async def ask(who: Caller, **more: Any) -> Answer:
        body = msgspec.json.encode({"most": 1000, **more})
        return await made.ask(who, "POST", "/lines/follow", body=body)

    async def run() -> None:
        answer = await ask(bob)
        name = msgspec.json.decode(answer.body)["follow"]

        def take(answer: Answer) -> None:
            assert answer.status == 200, answer
            hidden = [one for one in lines if not may_read(bob.grants, one)]
            assert not leaked(answer, hidden)
            told.extend(one["id"] for one in msgspec.json.decode(answer.body)["lines"])

        take(answer)
        for at in range(30, 90, 20):
            store(server.url, user, prefix, lines[at : at + 20])
            expected = {one.id for one in lines[: at + 20] if may_read(bob.grants, one)}
            deadline = time.monotonic() + 20
            while set(told) != expected:
                assert time.monotonic() < deadline, expected.symmetric_difference(told)
                take(await ask(bob, follow=name))
        assert len(told) == len(set(told)) > 20
        made._rights = read("version: 1\nrules: [{to: unix:bob, role: viewer}]", "rights.yaml")
        assert (await ask(made.caller("unix:bob"), follow=name)).status == 403

    asyncio.run(run())
    made.api.searches.close()


COMMANDS: list[list[str]] = [
    ["readout*", "-n", "7"],
    ["--level", "warning", "--json"],
    ["--grep", "beam", "-i", "--raw"],
    ["--count", "--by", "host,level"],
    ["--count", "--by", "job", "--every", "1h"],
    ["--count", "--by", "message", "--json"],
    ["--at", "@moment"],
    ["--around", "line00100", "--scope", "host"],
    ["--around", "line00100", "--scope", "farm", "--json"],
    ["--new=@moment"],
    ["nosuchjob"],
    ["--around", "nosuchline"],
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_command_says_the_same_through_the_daemon(server: Server, serve: Serve, words: list[str]) -> None:
    """As with an account of one's own that reads all: the same words, the same status."""
    words = [word.replace("@moment", stamp_of(BEGIN + 120)) for word in words]
    span = ["--since", stamp_of(BEGIN), "--until", stamp_of(BEGIN + 300)] if "--count" in words else []

    def run(*more: str) -> tuple[int, str, str]:
        done = CliRunner().invoke(main, ["--socket", str(serve.path), "logs", *words, *span, *more])
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
        return done.exit_code, done.stdout, done.stderr

    own = run("--elasticsearch", server.url, "--elasticsearch-user-file", server.account.access.user_file)
    assert run() == own, words
    assert own[1] or words[-1].startswith("nosuch")


def stamp_of(moment: float) -> str:
    return f"{datetime.datetime.fromtimestamp(moment):%Y-%m-%d %H:%M:%S}"


def test_what_takes_an_account_of_ones_own_is_said(server: Server, serve: Serve) -> None:
    """In one sentence, with the option that names it."""
    done = CliRunner().invoke(main, ["--socket", str(serve.path), "logs", "-n", "5000"])
    assert done.exit_code == 3 and "1,000 lines at a time, so Elasticsearch itself is asked" in done.stderr
    source = DaemonSource(serve.client, Wanted(), lambda sentence: None)
    with pytest.raises(UserError, match="1,000 lines at a time.*--elasticsearch"):
        source.tail(5000)
    with pytest.raises(UserError, match="1,000 lines.*--elasticsearch"):
        next(source.follow(5000))
    done = CliRunner().invoke(main, ["--socket", str(serve.path), "deadletter", "list"])
    assert done.exit_code == 0 and "dead letters" in done.stderr


@pytest.fixture
def serve(server: Server, tmp_path: Path) -> Iterator[Serve]:
    """A daemon that searches there, with its socket."""
    made = Serve(tmp_path, account=server.account, index=PREFIX)
    made.daemon.put(events.Registered("fw", "m:5050"))
    made.client.apply(Spec(jobs=SPEC.jobs), "first")
    yield made
    made.api.searches.close()
    made.close()
