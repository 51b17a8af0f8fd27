"""Whether an offer is enough for a job, and which ports it gives."""

from __future__ import annotations

from typing import Any, Optional

import pytest

from builders import job, offer
from daqsched.engine.match import FreeResources, lacking
from daqsched.engine.resources import Offer


@pytest.mark.parametrize(
    ("has", "wanted", "missing"),
    [
        ({}, {}, None),
        ({"rack": ("r1",)}, {}, None),
        ({"rack": ("r1",)}, {"rack": "r1"}, None),
        ({"rack": ("r1",), "gpu": ("yes",)}, {"gpu": "yes", "rack": "r1"}, None),
        ({}, {"rack": "r1"}, "rack=r1"),
        ({"rack": ("r2",)}, {"rack": "r1"}, "rack=r1"),
        ({"rack": ("r1",)}, {"rack": "r1", "gpu": "yes"}, "gpu=yes"),
        ({"rack": ()}, {"rack": "r1"}, "rack=r1"),
        ({"disks": ("ssd", "nvme")}, {"disks": "nvme"}, None),
        # an agent's `crate:007` is the number 7
        ({"crate": ("7",)}, {"crate": "007"}, None),
        ({"crate": ("7",)}, {"crate": "7.0"}, None),
        ({"crate": ("7",)}, {"crate": "8"}, "crate=8"),
        ({"rack": ("R1",)}, {"rack": "r1"}, "rack=r1"),
    ],
)
def test_a_machine_has_all_attributes_or_lacks_one(
    has: dict[str, tuple[str, ...]], wanted: dict[str, str], missing: Optional[str]
) -> None:
    """One that is missing never matches."""
    assert lacking(has, wanted) == missing


def test_a_lacking_machine_says_what_it_has() -> None:
    """So that a typing mistake is seen; its own name is not said twice."""
    gpu = job(attributes={"gpu": "yes"})
    machine = offer("hlt03", hostname="hlt03", rack="r1")
    assert FreeResources(machine).refusal(gpu) == "hlt03 lacks the attribute gpu=yes (it has rack=r1)"
    assert FreeResources(offer("hlt03")).refusal(gpu) == "hlt03 lacks the attribute gpu=yes (it has none)"
    attributes: dict[str, Any] = {f"a{n}": "x" for n in range(9)}
    many = offer("hlt03", **attributes)
    assert str(FreeResources(many).refusal(gpu)).endswith("(it has a0=x, a1=x, a2=x, a3=x, a4=x and 4 more)")


def ranges(*parts: tuple[int, int]) -> Offer:
    return Offer("o", "a", ("hlt01",), 8.0, 8192.0, 0.0, ports=parts)


@pytest.mark.parametrize(
    ("offered", "wanted", "given"),
    [
        (((8080, 8080),), {"http": 8080}, {"http": 8080}),
        (((8000, 9000),), {"http": 8080}, {"http": 8080}),
        (((31000, 31002),), {"a": 0, "b": 0}, {"a": 31000, "b": 31001}),
        (((31000, 31000), (31005, 31005)), {"a": 0, "b": 0}, {"a": 31000, "b": 31005}),
        # a fixed one is not given to another name of the same job
        (((31000, 31001),), {"a": 0, "b": 31000}, {"a": 31001, "b": 31000}),
    ],
)
def test_fixed_ports_are_taken_and_others_found(
    offered: tuple[tuple[int, int], ...], wanted: dict[str, int], given: dict[str, int]
) -> None:
    """A number is asked for as it is, 0 is any that is free."""
    room = FreeResources(ranges(*offered))
    assert room.refusal(job(ports=wanted)) is None
    assert room.take(job(ports=wanted)) == given


@pytest.mark.parametrize(
    ("offered", "wanted", "reason"),
    [
        ((), {"http": 8080}, "port 8080 is taken or not offered on hlt01"),
        (((8000, 8079), (8081, 9000)), {"http": 8080}, "port 8080 is taken or not offered on hlt01"),
        ((), {"any": 0}, "not enough ports: needs 1, 0 free on hlt01"),
        (((5, 6),), {"a": 0, "b": 0, "c": 0}, "not enough ports: needs 3, 2 free on hlt01"),
    ],
)
def test_ports_that_are_not_there_are_named(
    offered: tuple[tuple[int, int], ...], wanted: dict[str, int], reason: str
) -> None:
    """The crew sees which one."""
    assert FreeResources(ranges(*offered)).refusal(job(ports=wanted)) == reason


def test_two_jobs_of_one_offer_share_no_port() -> None:
    """What one has taken is not there for the next."""
    room = FreeResources(ranges((31000, 31002)))
    fixed, two = job(ports={"x": 31001}), job(ports={"x": 0, "y": 0})
    assert room.take(fixed) == {"x": 31001}
    assert room.refusal(fixed) == "port 31001 is taken or not offered on hlt01"
    assert room.take(two) == {"x": 31000, "y": 31002}
    assert room.refusal(job(ports={"x": 0})) == "not enough ports: needs 1, 0 free on hlt01"


def test_a_number_that_another_job_needs_is_given_away_last() -> None:
    """Else whoever takes any port could keep a job from ever starting."""
    room = FreeResources(ranges((31000, 31001)), frozenset({31000}))
    assert room.take(job(ports={"any": 0})) == {"any": 31001}
    assert room.take(job(ports={"any": 0})) == {"any": 31000}
