"""What the CLI and the daemon say to each other, where one of them is of the version before."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from daqsched.protocol import OrderAnswer, StatusAnswer, WhyAnswer
from daqsched.views.rows import Row


class Before(msgspec.Struct):
    """`OrderAnswer` as commands of 0.1 read it."""

    id: str
    told: list[tuple[str, str]]
    untold: list[tuple[str, str, str]]


#: Answers to POST /v1/order as a daemon of 0.1 wrote them.
RECORDED = (
    (b'{"id":"5f0c1a2b","told":[["readout","hlt01"]],"untold":[["readout","hlt02","does not run"]]}', 1, 1),
    (b'{"id":"5f0c1a2b","told":[],"untold":[["readout","hlt02","does not run"]]}', 0, 1),
    (b'{"id":"5f0c1a2b","told":[["readout","hlt01"]],"untold":[]}', 1, 0),
)


@pytest.mark.parametrize(("answer", "accepted", "rejected"), RECORDED)
def test_an_order_answer_of_the_daemon_before_is_understood(answer: bytes, accepted: int, rejected: int) -> None:
    """Its names for accepted and rejected were others."""
    found = msgspec.json.decode(answer, type=OrderAnswer)
    assert found.accepted == [("readout", "hlt01")] * accepted
    assert found.rejected == [("readout", "hlt02", "does not run")] * rejected


@pytest.mark.parametrize(("answer", "accepted", "rejected"), RECORDED)
def test_the_commands_before_understand_an_order_answer_of_today(answer: bytes, accepted: int, rejected: int) -> None:
    """It says the same under both names."""
    before = msgspec.json.decode(answer, type=Before)
    today = msgspec.json.encode(OrderAnswer(before.id, before.told, before.untold))
    assert msgspec.json.decode(today, type=Before) == before
    plain: dict[str, Any] = msgspec.json.decode(today)
    assert len(plain["accepted"]) == accepted and len(plain["rejected"]) == rejected
    assert msgspec.json.decode(today, type=OrderAnswer).accepted == before.told


class HeldBefore(msgspec.Struct):
    """`StatusAnswer` and `WhyAnswer`, as far as their word for read-only goes, as commands of 0.1 read them."""

    held: str


class RowBefore(msgspec.Struct):
    """`Row`, as far as its word for desired goes, as commands of 0.1 read it."""

    wanted: bool = True


#: Answers to GET /v1/status and /v1/why as a daemon of 0.1 wrote them, read-only and not.
STATUS = (
    b'{"rows":[],"revision":0,"digest":"","user":"","applied":0.0,"master":"m:5050","connected":true,"now":1.0,"doubt":"",'
    b'"leader":"","held":"no space left","unauthenticated":[],"audit":"","rollout":"","unmatched":[]}'
)
WHY = b'{"stories":[],"chosen":3,"held":"no space left"}'


@pytest.mark.parametrize("why", ["no space left", ""])
@pytest.mark.parametrize(("answer", "kind"), [(STATUS, StatusAnswer), (WHY, WhyAnswer)])
def test_read_only_is_understood_by_and_of_the_version_before(answer: bytes, kind: Any, why: str) -> None:
    """It was called held."""
    before = answer.replace(b"no space left", why.encode())
    found = msgspec.json.decode(before, type=kind)
    assert found.read_only == why
    today = msgspec.json.encode(found)
    assert msgspec.json.decode(today, type=HeldBefore).held == why
    assert msgspec.json.decode(today.replace(b'"held"', b'"x"'), type=kind).read_only == why


@pytest.mark.parametrize(
    ("row", "desired"),
    [
        (b'{"job":"a","host":"h","state":"STOPPED","wanted":false}', False),
        (b'{"job":"a","host":"h","state":"STOPPED","desired":false}', False),
        (b'{"job":"a","host":"h","state":"RUNNING"}', True),
    ],
)
def test_whether_a_row_is_desired_is_understood_by_and_of_the_version_before(row: bytes, desired: bool) -> None:
    """It was called wanted, and is left out where it is so."""
    found = msgspec.json.decode(row, type=Row)
    assert found.desired is desired
    today = msgspec.json.encode(found)
    assert msgspec.json.decode(today, type=RowBefore).wanted is desired
    assert msgspec.json.decode(today.replace(b'"wanted"', b'"x"'), type=Row).desired is desired
