"""The token with which a standby says who asks: believed only as it was given, once, at once, by whom it is for."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daqsched.serve import peer_token
from daqsched.serve.peer_token import (
    FRESH_S,
    HEADER,
    PeerToken,
    TokenJudge,
    Untrusted,
    digest_of,
    read,
    sign,
)

KEY = b"k" * 32
NOW = 1_800_000_000.0
BODY = b'{"select": ["*"]}'


def token(**other: Any) -> PeerToken:
    """One that is right, but for what is given."""
    told = {
        "to": "leader",
        "name": "zoë",
        "uid": 1000,
        "gid": 100,
        "pid": 7,
        "via": "ctl2 (pid 9)",
        "method": "POST",
        "target": "/v1/stop?x=1",
        "digest": digest_of(BODY),
        "time": NOW,
        "nonce": "n",
    }
    return msgspec.convert({**told, **other}, PeerToken)


def headers(text: str) -> list[tuple[bytes, bytes]]:
    return [(b"accept", b"*/*"), (HEADER.encode(), text.encode("latin-1"))]


def hear(judge: TokenJudge, one: PeerToken, now: float = NOW, body: bytes = BODY) -> None:
    judge.hear(one, "POST", "/v1/stop?x=1", body, now)


def test_what_was_signed_is_read() -> None:
    """All of it, names of any script too."""
    assert read(KEY, headers(sign(KEY, token()))) == token()
    hear(TokenJudge("leader"), token())


@pytest.mark.once
@given(st.data())
def test_any_other_byte_is_refused(data: st.DataObject) -> None:
    """Wherever in the header it is."""
    text = sign(KEY, token())
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters(codec="latin-1").filter(lambda one: one != text[at]))
    with pytest.raises(Untrusted):
        read(KEY, headers(text[:at] + other + text[at + 1 :]))


@given(st.binary(max_size=300))
def test_anything_else_is_refused(value: bytes) -> None:
    """Without another exception than the one that says why."""
    with pytest.raises(Untrusted):
        read(KEY, [(HEADER.encode(), value)])


def test_what_is_signed_but_not_a_word_is_refused() -> None:
    """A peer of another version."""
    text = base64.urlsafe_b64encode(b'{"to": "leader"}').decode()
    from daqsched.serve.peer_token import _signature

    with pytest.raises(Untrusted, match="not understood"):
        read(KEY, headers(f"{text}.{_signature(KEY, text)}"))


def test_none_or_two_are_refused() -> None:
    """Which of them would count?"""
    for found in ([], headers(sign(KEY, token())) * 2):
        with pytest.raises(Untrusted, match="not one"):
            read(KEY, found)


def test_another_key_is_refused() -> None:
    """With the likely reason."""
    with pytest.raises(Untrusted, match="same file"):
        read(b"other", headers(sign(KEY, token())))


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ({"to": "another"}, "another daemon"),
        ({"method": "GET"}, "is for GET"),
        ({"target": "/v1/stop?x=2"}, "is for POST /v1/stop"),
        ({"digest": digest_of(b"")}, "the body"),
        ({"time": NOW - FRESH_S - 1}, "31 s old.*clocks"),
        ({"time": NOW + FRESH_S + 1}, "clocks"),
        ({"time": 1e300}, "clocks"),
    ],
)
def test_a_word_for_something_else_is_refused(told: dict[str, object], why: str) -> None:
    """For another daemon, request, body or time."""
    with pytest.raises(Untrusted, match=why):
        hear(TokenJudge("leader"), token(**told))


def test_a_word_counts_once() -> None:
    """Also as late as it is fresh at all, by a clock that is ahead."""
    judge = TokenJudge("leader")
    hear(judge, token(time=NOW + FRESH_S))
    for later in (0.0, FRESH_S, 2 * FRESH_S):
        with pytest.raises(Untrusted, match="used before"):
            hear(judge, token(time=NOW + FRESH_S), NOW + later)


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than that are refused until the older ones are forgotten."""
    monkeypatch.setattr(peer_token, "REMEMBERED", 100)
    judge = TokenJudge("leader")
    for number in range(100):
        hear(judge, token(nonce=str(number)))
    with pytest.raises(Untrusted, match="as many as are remembered"):
        hear(judge, token(nonce="more"))
    hear(judge, token(nonce="more", time=NOW + 100), NOW + 100)
