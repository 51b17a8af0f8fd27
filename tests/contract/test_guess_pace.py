"""A value that is hidden is asked for again and again: so many times at once, and then once in a while."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Callable

import msgspec
import pytest

from builders import job
from daqsched import protocol
from daqsched.rights.rules import read
from daqsched.serve.guess_pace import AT_ONCE, EACH_S
from daqsched.spec import Spec
from direct import Answer, Direct

RIGHTS = read(
    """
version: 1
people: {alice: ["token:a", "token:b"]}
rules:
  - {to: [alice, "unix:bob"], role: expert}
  - {to: "unix:adm", role: admin}
""",
    "rights.yaml",
)
PIN = job("readout", "hlt01", env={"PIN": "4711"})


def guess(pin: str) -> Spec:
    return Spec(jobs=(msgspec.structs.replace(PIN, env={"PIN": pin}),))


#: Each way to have a file compared with what is in force, without a change.
WAYS: dict[str, Callable[[Spec], Any]] = {
    "/plan": protocol.PlanRequest,
    "/plan/hidden": protocol.HideRequest,
    "/propose": protocol.ProposeRequest,
    "/apply": lambda spec: protocol.ApplyRequest(spec, if_unchanged="of another farm"),
}


class Asked:
    """A farm whose clock for guesses stands still until it is moved."""

    def __init__(self) -> None:
        self.direct, self.now = Direct(RIGHTS), 100.0
        self.direct.api.guesses.clock = lambda: self.now

    async def begin(self) -> Asked:
        assert (
            await self.ask("unix:adm", "/apply", protocol.ApplyRequest(Spec(jobs=(PIN,)), no_look=True))
        ).status == 200
        return self

    async def ask(self, who: str, path: str, body: Any) -> Answer:
        caller = self.direct.caller(who)
        return await self.direct.ask(caller, "POST", path, b"", msgspec.json.encode(body))


@pytest.mark.parametrize("path", WAYS)
def test_whoever_guesses_waits(path: str, caplog: pytest.LogCaptureFixture) -> None:
    """By each way, with all of one's tokens; who is told the values does not, nor anybody else, nor a file without any."""

    async def run() -> None:
        farm = await Asked().begin()
        for number in range(AT_ONCE):
            found = await farm.ask(f"token:{'ab'[number % 2]}", path, WAYS[path](guess(str(number))))
            assert found.status != 429, found.body
        for _ in range(2):
            found = await farm.ask("token:a", path, WAYS[path](guess("4711")))
            assert (found.status, found.headers["retry-after"]) == (429, "10"), found.body
            told = msgspec.json.decode(found.body)
            assert told["code"] == "too-often" and "ask again in 10 s" in told["error"]
        for who, spec in (
            ("unix:bob", guess("1")),
            ("unix:adm", guess("1")),
            ("token:b", Spec(jobs=(job("x", "hlt01"),))),
        ):
            assert (await farm.ask(who, path, WAYS[path](spec))).status != 429, who
        farm.now += EACH_S
        statuses = [(await farm.ask("token:b", path, WAYS[path](guess("1")))).status for _ in range(2)]
        assert statuses[0] != 429 == statuses[1]

    with caplog.at_level(logging.WARNING, "daqsched.serve.guess_pace"):
        asyncio.run(run())
    (told,) = caplog.messages
    assert told.startswith(f"'alice' has asked {AT_ONCE} times of late")


def test_ten_thousand_values_take_more_than_a_day() -> None:
    """Of whoever asks each time as soon as he may."""

    async def run() -> int:
        farm, asked = await Asked().begin(), 0
        while farm.now < 100.0 + 3600:
            while (await farm.ask("unix:bob", "/plan/hidden", protocol.HideRequest(guess("1")))).status != 429:
                asked += 1
            farm.now += EACH_S
        return asked

    assert asyncio.run(run()) <= AT_ONCE + 3600 / EACH_S and (10_000 - AT_ONCE) * EACH_S > 86_400


def test_what_is_applied_is_no_guess() -> None:
    """However often."""

    async def run() -> None:
        farm = await Asked().begin()
        for number in range(AT_ONCE + 5):
            asked = protocol.ApplyRequest(guess(str(number)), no_look=True, stops=99)
            assert (await farm.ask("unix:bob", "/apply", asked)).status == 200, number

    asyncio.run(run())
