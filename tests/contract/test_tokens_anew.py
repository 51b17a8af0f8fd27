"""A token's name may be given anew when it has ended: who has the new one gets nothing of what the former one had."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import msgspec
import pytest

from builders import job
from daqsched.engine import events
from daqsched.errors import UserError
from daqsched.spec import Spec
from waiting import until
from webport import WebServe

RIGHTS = """
version: 1
people: {alice: [unix:alice], bob: [unix:bob]}
rules: [{to: known, role: expert}]
"""
SPEC = Spec(jobs=(job("readout", "hlt01"),))


@pytest.fixture
def web(tmp_path: Path) -> Iterator[WebServe]:
    made = WebServe(tmp_path, RIGHTS)
    made.serve.daemon.put(events.Registered("fw", "m:5050"))
    made.serve.client.apply(SPEC)
    yield made
    made.close()


class Had(NamedTuple):
    """How somebody comes to have something, and what only he may do with it."""

    got: tuple[str, Any]
    used: tuple[str, Any]


READOUT = {"select": ["readout"]}
OTHERWISE = msgspec.to_builtins(Spec(jobs=(job("readout", "hlt01", argv=("/bin/other",)),)))
HAD = {
    "a stop": Had(("/hold", READOUT), ("/start", READOUT)),
    "control": Had(("/take", {"for_s": 3600.0}), ("/hold", READOUT)),
    "a host": Had(("/aside", {"hosts": ["hlt01"], "until": time.time() + 9999}), ("/return", {"hosts": ["hlt01"]})),
    "a proposal": Had(("/propose", {"spec": OTHERWISE}), ("/withdraw", {"number": 1})),
}


def asked(http: httpx.Client, what: tuple[str, Any], **headers: str) -> httpx.Response:
    path, body = what
    return http.post(f"/v1{path}", json=body, headers=headers)


def ended(web: WebServe, way: str, whose: str) -> httpx.Client:
    """Another one's, by a token of the same name."""
    if way == "revoked":
        web.serve.client.revoke_token("wall")
    else:
        until(lambda: all(one.ended for one in web.serve.client.tokens()), "it has run out")
    return web.http(web.token("wall", "expert", whose))


@pytest.mark.parametrize("whose", [("", ""), ("alice", "bob")])
@pytest.mark.parametrize("way", ["revoked", "ran out"])
@pytest.mark.parametrize("had", HAD)
def test_who_has_the_name_anew_has_nothing_of_the_former_ones(
    web: WebServe, had: str, way: str, whose: tuple[str, str]
) -> None:
    """However the former one ended, and whosever they are."""
    got, used = HAD[had]
    first = web.http(web.token("wall", "expert", whose[0], 3600.0 if way == "revoked" else 1.5))
    found = asked(first, got)
    assert found.status_code == 200, found.text
    refused = asked(ended(web, way, whose[1]), used)
    assert refused.status_code in (400, 403, 409), refused.text


@pytest.mark.parametrize("had", HAD)
def test_it_is_the_same_ones_until_then(web: WebServe, had: str) -> None:
    """Of whom the test above would else say nothing."""
    http = web.http(web.token("wall", "expert"))
    for what in HAD[had]:
        found = asked(http, what)
        assert found.status_code == 200, found.text


def test_the_audit_file_tells_them_apart_and_a_key_is_not_inherited(web: WebServe) -> None:
    """The rules call both by the name."""
    note = ("/note", {"message": "beam"})
    answers = [asked(web.http(web.token("wall", "expert")), note, **{"idempotency-key": "k"})]
    answers.append(asked(ended(web, "revoked", ""), note, **{"idempotency-key": "k"}))
    assert [one.status_code for one in answers] == [200, 200]
    assert [one.json()["notes"][0]["number"] for one in answers] == [1, 2]
    lines = [msgspec.json.decode(one) for one in web.noted().splitlines()]
    known = [one["known_as"] for one in lines if one["operation"] == "note"]
    assert all(one[0].startswith("token:wall#") for one in known) and known[0] != known[1]


def test_control_is_given_to_the_token_of_that_name_that_counts(web: WebServe) -> None:
    """And to none where there is none."""
    client = web.client(web.token("first", "expert"))
    client.take(None, 3600.0)
    with pytest.raises(UserError, match="there is no token 'wall' that counts"):
        client.give(None, "token:wall")
    http = web.http(web.token("wall", "expert"))
    client.give(None, "token:wall")
    assert asked(http, ("/hold", READOUT)).status_code == 200
    assert asked(ended(web, "revoked", ""), ("/hold", READOUT)).status_code == 403
