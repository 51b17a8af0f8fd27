"""Lines through the daemon, out of a real Elasticsearch: somebody is told what he may read of what he asks for, and no more."""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import msgspec
import pytest

from daqcluster import Cluster
from daqcluster.elasticsearch import User
from daqsched import protocol
from daqsched.logs.count import FIELDS
from daqsched.rights.rules import read
from daqsched.serve.http import Caller
from daqsched.serve.searches import SearchAccount
from daqsched_executor.contract.forwarding import Access
from direct import Answer, Direct
from stored_lines import (
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

PASSWORD = "s3cret-of-a-test"
PREFIX = "daqsched-logs"

#: So many files of rights, and questions by each.
RIGHTS, QUESTIONS = int(os.environ.get("DAQSCHED_RANDOM_RIGHTS", "25")), 12


class Server(NamedTuple):
    """An Elasticsearch that lets the daemon's account read, and what is stored there."""

    url: str
    account: SearchAccount
    lines: list[Stored]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for all tests here."""
    folder = tmp_path_factory.mktemp("lines")
    made = Cluster(folder / "c", lambda sentence: None)
    reader = User(PASSWORD, (), {f"{PREFIX}-*": ["read", "view_index_metadata"]})
    try:
        made.up(agents=0, elasticsearch_=True, users={"admin": User(PASSWORD), "daqsched": reader})
        secret = folder / "user"
        secret.touch(0o600)
        secret.write_text(f"daqsched:{PASSWORD}\n")
        lines = corpus(PREFIX, 1)
        store(made.elasticsearch_url, f"admin:{PASSWORD}", PREFIX, lines)
        yield Server(made.elasticsearch_url, SearchAccount(made.elasticsearch_url, Access("", str(secret), "")), lines)
    finally:
        made.down()


def farm(server: Server, rights: str) -> tuple[Direct, Caller]:
    """A daemon that searches there, and bob."""
    made = Direct(read(rights, "rights.yaml"), server.account, PREFIX)
    # as it is where several applies have left jobs as they were
    made.engine.spec = SPEC
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
