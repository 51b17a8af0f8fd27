"""The web port of a daemon that does not lead: everything as through the leader, and nothing more."""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from builders import job
from daqsched.client import Client
from daqsched.errors import Refused
from daqsched.serve.peer_token import HEADER, WEB_HEADER, PeerToken, digest_of, sign
from daqsched.serve.standby import ASKED
from daqsched.serve.web_rules import COOKIE
from daqsched.settings import Server
from daqsched.spec import Spec
from standby_pair import Pair

ROOT = Path(__file__).resolve().parent.parent.parent

JSON = {"content-type": "application/json"}


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    made = Pair(tmp_path)
    yield made
    made.close()


def test_a_token_is_as_good_at_a_standby_as_at_the_leader(pair: Pair) -> None:
    """The same rights, refusals and statuses; the audit file says through whom."""
    token = pair.web.token("shifter")
    with contextlib.closing(Client(Server(pair.url, token, pair.web.ca))) as client:
        assert client.stop(["readout"]).count == 1
        assert client.rights().called == ["known", "token:shifter"]
        with pytest.raises(Refused, match="this token gives shifter at most"):
            client.apply(Spec(jobs=(job(release="2"),)), "mine")
        line = json.loads(pair.web.noted().splitlines()[0])
        assert line["user"] == "token:shifter" and line["door"] == "web"
        assert line["via"].startswith("127.0.0.1 (token shifter), through ctl2 (pid 9) at 127.0.0.1")
        pair.web.serve.client.revoke_token("shifter")
        with pytest.raises(Refused, match="does not count"):
            client.status()


def test_statuses_and_headers_are_those_of_the_leader(pair: Pair) -> None:
    """Of what is refused before and behind the rights."""
    for path, headers, status in (
        ("/v1/status", {}, 401),
        ("/v1/status", {"authorization": "Bearer daqsched_x"}, 401),
        ("/v1/status", {"host": "evil.example"}, 421),
        ("/v1/status", {"cookie": f"{COOKIE}=x.y"}, 401),
        ("/v1/nothing", {}, 401),
    ):
        found = [one.get(path, headers=headers) for one in pair.both()]
        assert [one.status_code for one in found] == [status, status], path
        for answer in found:
            assert answer.headers["content-security-policy"] and answer.headers["cache-control"] == "no-store"
        assert found[0].text == found[1].text
    token = pair.web.token("viewer")
    for path, status in (("/v1/status", 200), ("/v1/backup", 403), ("/v1/nothing", 404), ("/v1/names?of=x", 400)):
        assert [one.get(path).status_code for one in pair.both(token)] == [status, status], path
    for one in pair.both(token, origin="https://evil.example", **JSON):
        assert one.post("/v1/note", json={"message": "x"}).status_code == 403


def test_what_a_route_reads_of_headers_a_standby_hands_on() -> None:
    """A condition that gets lost on the way is a change that nobody asked for."""
    read = {
        name.encode()
        for path in (ROOT / "framework" / "daqsched" / "serve").glob("*.py")
        for name in re.findall(r'request\.headers\.get(?:list)?\(\s*"([a-z-]+)"', path.read_text(encoding="utf-8"))
    }
    assert {b"if-match", b"idempotency-key", b"if-none-match", b"last-event-id"} <= read <= ASKED


def test_conditions_and_keys_count_at_a_standby_too(pair: Pair) -> None:
    """What is meant for another spec is refused, and what was asked twice is done once, whoever of the two is asked."""
    token = pair.web.token("shifter")
    for one in pair.both(token, **JSON):
        found = one.post("/v1/stop", json={"select": ["readout"]}, headers={"if-match": '"abc"'})
        assert found.status_code == 412, found.text
    assert "STOPPED" not in {row.state for row in pair.web.serve.client.status().rows}
    answers = [
        one.post("/v1/note", json={"message": "beam is back"}, headers={"idempotency-key": "k1"}).content
        for one in (*pair.both(token, **JSON), *pair.both(token, **JSON))
    ]
    assert len(set(answers)) == 1 and pair.web.noted().count("beam is back") == 1


def test_a_session_of_one_counts_at_the_other(tmp_path: Path) -> None:
    """Logged in at the standby, known at the leader, logged out at either."""
    pair = Pair(tmp_path, 'version: 1\nrules: [{to: "password:alice", role: viewer}]\n', passwords=True)
    _, standby = pair.both(None, **JSON)
    found = standby.post("/v1/login", json={"name": "alice", "password": "correct horse"})
    assert found.status_code == 200 and found.headers["set-cookie"].startswith(f"{COOKIE}=")
    cookie = f"{COOKIE}={dict(standby.cookies)[COOKIE]}"
    for one in pair.both(None, cookie=cookie):
        assert one.get("/v1/rights").json()["name"] == "alice"
    assert pair.both(None, cookie=cookie, **JSON)[1].post("/v1/logout", json={}).status_code == 200
    for one in pair.both(None, cookie=cookie):
        assert one.get("/v1/rights").status_code == 401
    wrong = {standby.post("/v1/login", json={"name": "alice", "password": "wrong horse"}).status_code for _ in range(9)}
    assert wrong == {401, 429}
    pair.close()


def test_a_large_body_takes_the_right_to_apply_at_a_standby_too(pair: Pair) -> None:
    """Whoever leads is asked before it is read."""
    large = b'{"message": "' + b"x" * (2 << 20) + b'"}'
    for name, status in (("shifter", 413), ("expert", 400)):
        token = pair.web.token(name)
        assert [one.post("/v1/note", content=large).status_code for one in pair.both(token, **JSON)] == [status] * 2
    assert pair.both(None, **JSON)[1].post("/v1/note", content=large).status_code in (401, 413)


def test_a_signed_word_of_the_web_is_believed_in_its_own_place_alone(pair: Pair) -> None:
    """One for the web can't pass for one of a socket, nor be sent again, nor be changed; over the web port none counts."""
    leader = pair.web.serving
    token = pair.web.token("viewer").read_text().strip()

    def word(**more: Any) -> PeerToken:
        return PeerToken(
            to=leader.token, name="", uid=-1, gid=-1, pid=-1, via="ctl2", method="GET", target="/v1/rights",
            digest=digest_of(b""), time=time.time(), nonce=str(time.monotonic_ns()), **more,
        )  # fmt: skip

    with httpx.Client(base_url=f"https://{leader.address}", verify=pair.identity.client, trust_env=False) as http:

        def ask(made: PeerToken, header: str = "") -> int:
            signed = sign(pair.identity.key, made)
            return http.get("/v1/rights", headers={header or made.header: signed}).status_code

        web = word(address="10.0.0.1", bearer=token)
        assert ask(web) == 200 and ask(web) == 401
        assert ask(word(address="10.0.0.1", bearer=token), HEADER) == 401
        assert ask(word(), WEB_HEADER) == 401
        assert ask(word(address="10.0.0.1", user="alice", groups=("shift",))) == 200
        assert ask(word(address="10.0.0.1", bearer="daqsched_x")) == 401
        assert ask(word(address="10.0.0.1")) == 401
        fresh = word(address="10.0.0.1", bearer=token)
        assert pair.web.http(None, **{WEB_HEADER: sign(pair.identity.key, fresh)}).get("/v1/rights").status_code == 401
