"""How often the engine is asked for one request: each time a request waits for its round, and another event may come between."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Callable

import pytest

from builders import job, offer
from daqsched.client import Client
from daqsched.engine import events
from daqsched.engine.engine import Engine
from daqsched.errors import DaqschedError
from daqsched.rollout import Strategy
from daqsched.serve import callers as callers_module
from daqsched.serve import looking
from daqsched.serve.rights_in_force import RightsInForce
from daqsched.spec import Spec
from rights_door import Door
from served import Serve

RIGHTS = """
version: 1
rules:
  - {to: unix-group:admin, role: admin}
  - {to: unix-group:all, role: expert, on: ["*"]}
  - {to: unix-group:some, role: expert, owner: trigger}
  - {to: unix-group:one, role: expert, on: [readout@hlt01]}
"""

#: Who may ask: root at the socket (no rule is about him), who sees all, and who sees a part of the farm: a team's, one instance.
CALLERS = ("root", "admin", "all", "some", "one")

FARM = Spec(jobs=(job("readout", "hlt[01-02]", owner="trigger"), job("hv", "hlt02", owner="power")))


class Visits:
    """Counts what a daemon is asked, in words."""

    def __init__(self, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made: list[str] = []
        ask, request = serve.daemon.ask, serve.daemon.request

        def look(question: Callable[[Engine, float], Any]) -> Future[Any]:
            self.made.append("look")
            return ask(question)

        def change(event: events.Event, *rest: Any, **looks: Any) -> Any:
            self.made.append(type(event).__name__)
            return request(event, *rest, **looks)

        monkeypatch.setattr(serve.daemon, "ask", look)
        monkeypatch.setattr(serve.daemon, "request", change)


@pytest.fixture
def farm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Serve, Door]]:
    """Two jobs that run, of two owners, after an earlier revision; a socket for callers of each kind."""
    own = {"root": True}
    file = tmp_path / "rights.yaml"
    file.write_text(RIGHTS)
    serve = Serve(tmp_path)
    serve.daemon.put(events.Registered("fw", "m:5050"))
    serve.client.apply(Spec(jobs=(job("readout", "hlt[01-02]", owner="trigger", release="r0"), FARM.jobs[1])))
    serve.client.apply(FARM)

    serve.daemon.put(events.OffersArrived(tuple(map(offer, ("hlt01", "hlt02")))))
    serve.settle()
    for task in serve.edge.launched():
        serve.daemon.put(events.TaskReported(task, f"agent-{task.partition('@')[2][:5]}", "TASK_RUNNING", uuid=task))
    serve.settle()
    monkeypatch.setattr(looking, "LOOK_S", 0.1)
    monkeypatch.setattr(callers_module, "is_owner", lambda uid: own["root"])
    door = Door(serve, tmp_path, RightsInForce(file))
    door.root = lambda root: own.update(root=root)  # type: ignore[attr-defined]  # the test asks for it
    yield serve, door
    door.close()
    serve.close()


def renewed() -> Spec:
    """What the caller of a team may change."""
    return Spec(jobs=(job("readout", "hlt[01-02]", owner="trigger", release="r1"),))


def renamed() -> Spec:
    """The same under another name."""
    return Spec(jobs=(job("reader", "hlt[01-02]", owner="trigger", replaces=("readout",)),))


#: What is asked, and the visits that it takes at most, whoever asks: the look that chooses or compares, and the event. One more
#: where a word means something by what is there alone: no job at all, `only` what the file has not, `replaces`. A look at hosts
#: is one, and one for each news of them. A rollback reads its revision before it knows what to compare; a plan asks once more
#: for each job that it starts, as a look at all instances would hold the loop up, and counts what it would end when it is made.
CASES: dict[str, tuple[Callable[[Client], Any], int]] = {
    "apply": (lambda client: client.apply(FARM), 2),
    "apply some": (lambda client: client.apply(renewed(), only=["readout"], no_look=True), 2),
    "apply in batches": (
        lambda client: client.apply(renewed(), only=["readout"], strategy=Strategy(batches=(1,)), no_look=True),
        2,
    ),
    "apply all": (lambda client: client.apply(renewed(), no_look=True), 2),
    "apply without jobs": (lambda client: client.apply(Spec(jobs=()), allow_empty=True), 3),
    "apply nothing of the file": (lambda client: client.apply(Spec(jobs=()), only=["readout"], allow_empty=True), 3),
    "apply another name": (lambda client: client.apply(renamed(), only=["readout", "reader"], no_look=True), 3),
    "apply with a look": (lambda client: client.apply(renewed(), only=["readout"]), 5),
    "plan": (lambda client: client.plan(renewed(), ["readout"]), 3),
    "rollback": (lambda client: client.rollback(1, no_look=True), 3),
    "rollback to none": (lambda client: client.rollback(99), 1),
    "stop": (lambda client: client.stop(["readout@hlt01"]), 2),
    "stop nothing": (lambda client: client.stop(["nonsense"]), 1),
    "stop another's": (lambda client: client.stop(["hv"]), 2),
    "start": (lambda client: client.start(["readout@hlt01"]), 2),
    "hold": (lambda client: client.hold(["readout@hlt01"]), 2),
    "restart": (lambda client: client.restart(["readout@hlt01"], "", Strategy(batches=(1,))), 2),
    "snooze": (lambda client: client.order(["readout@hlt01"], "snooze", until=2e9), 2),
    "steer": (lambda client: client.steer("pause"), 1),
    "aside": (lambda client: client.aside(["hlt02"], time.time() + 600.0, "disk", stops=2), 1),
    "return": (lambda client: client.give_back(["hlt01"]), 1),
    "note": (lambda client: client.note("beam is back"), 1),
    "rollout": (lambda client: client.rollout(), 2),
}


_NOT_THERE = "it is not there, or not for you to see"
_NO_RIGHT = "it takes a shifter, and no rule gives bob"

#: Of these who is refused it, and why; all else is done.
REFUSED: dict[str, dict[str, str]] = {
    "apply some": {"one": _NOT_THERE},
    "apply in batches": {"one": _NOT_THERE},
    "apply all": dict.fromkeys(["some", "one"], _NOT_THERE),
    "apply without jobs": dict.fromkeys(["some", "one"], _NOT_THERE),
    "apply nothing of the file": {"one": _NOT_THERE},
    "apply another name": {"one": _NOT_THERE},
    "apply with a look": {"one": _NOT_THERE},
    "rollback": {"one": _NOT_THERE},
    "rollback to none": dict.fromkeys(CALLERS, "there is no revision 99"),
    "stop nothing": dict.fromkeys(CALLERS, "no job matches nonsense"),
    "stop another's": dict.fromkeys(["some", "one"], "no job matches hv"),
    "steer": {**dict.fromkeys(CALLERS, "no rollout is under way"), "some": _NO_RIGHT, "one": _NO_RIGHT},
    "aside": dict.fromkeys(["some", "one"], _NOT_THERE),
    "return": dict.fromkeys(CALLERS, "hlt01: not set aside"),
}


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("case", CASES)
def test_the_engine_is_asked_as_seldom_by_whoever_sees_a_part(
    farm: tuple[Serve, Door], monkeypatch: pytest.MonkeyPatch, case: str, caller: str
) -> None:
    """Also where it is refused, whose sentence is looked through for what is hidden."""
    serve, door = farm
    door.come(caller)
    door.root(caller == "root")  # type: ignore[attr-defined]  # see above
    visits = Visits(serve, monkeypatch)
    ask, most = CASES[case]
    why = REFUSED.get(case, {}).get(caller, "")
    with pytest.raises(DaqschedError, match=why) if why else contextlib.nullcontext():
        ask(door.client)
    assert 1 <= len(visits.made) <= most, visits.made
