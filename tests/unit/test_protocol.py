"""What the CLI and the daemon say to each other, where one of them is of the version before."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from daqsched.protocol import OrderAnswer


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
