"""A plan says whether its apply would be refused, and for which right: by every role, of specs of each kind."""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any, Optional

import pytest
from rich.console import Console

from builders import job
from daqsched.errors import Refused
from daqsched.operations import OPERATIONS
from daqsched.rights.verbs import Role
from daqsched.rollout import Strategy
from daqsched.serve import callers as callers_module
from daqsched.serve.rights_in_force import RightsInForce
from daqsched.spec import EMPTY, LoggingSpec, Spec
from daqsched.terminal.show_changes import plan_lines
from rights_door import Door
from served import Serve

FILE = """
version: 1
rules:
  - {to: unix-group:viewer, role: viewer}
  - {to: unix-group:shifter, role: shifter}
  - {to: unix-group:expert, role: viewer}
  - {to: unix-group:expert, role: expert, owner: trigger}
  - {to: unix-group:admin, role: admin}
"""
KEPT = (job("readout", owner="trigger"), job("hv", "hlt02", owner="power"))
#: What is applied, how, and the least role that may.
CASES: dict[str, tuple[Spec, Optional[Strategy], Role]] = {
    "nothing": (Spec(jobs=KEPT), None, Role.expert),
    "own": (Spec(jobs=(job("readout", owner="trigger", release="r2"), KEPT[1])), None, Role.expert),
    "other": (Spec(jobs=(KEPT[0], job("hv", "hlt02", owner="power", release="r2"))), None, Role.admin),
    "taken": (Spec(jobs=(KEPT[0], job("hv", "hlt02", owner="trigger"))), None, Role.admin),
    "given away": (Spec(jobs=(job("readout", owner="power"), KEPT[1])), None, Role.admin),
    "removed": (Spec(jobs=(KEPT[1],)), None, Role.expert),
    "all removed": (EMPTY, None, Role.admin),
    "as root": (Spec(jobs=(job("readout", owner="trigger", user="root"), KEPT[1])), None, Role.admin),
    "lines": (Spec(jobs=KEPT, logging=LoggingSpec(index="mine")), None, Role.admin),
    "guard": (
        Spec(jobs=(job("readout", owner="trigger", release="r2"), KEPT[1])),
        Strategy(batches=(1,), guard="http://127.0.0.1:1/"),
        Role.admin,
    ),
}


@pytest.fixture
def door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    """Of a farm of two owners."""
    monkeypatch.setattr(callers_module, "is_owner", lambda uid: False)
    file = tmp_path / "rights.yaml"
    file.write_text(FILE)
    serve = Serve(tmp_path)
    serve.client.apply(Spec(jobs=KEPT), "first")
    made = Door(serve, tmp_path, RightsInForce(file))
    yield made
    made.close()
    serve.close()


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("role", [*Role], ids=lambda role: role.name)
def test_what_the_plan_says_of_rights_is_what_the_apply_does(door: Door, role: Role, case: str) -> None:
    """The same sentence, which is the first that is printed; each right once for each job, with why it is not there."""
    door.come(role.name)
    spec, way, least = CASES[case]
    plan = door.client.plan(spec, (), way)
    said = printed(plan_lines(plan))
    assert bool(plan.refused) == (role < least), plan
    if plan.refused:
        with pytest.raises(Refused) as error:
            door.client.apply(spec, strategy=way, allow_empty=True)
        assert str(error.value) == plan.refused
        assert said.startswith(f"An apply of it would be refused: {plan.refused}.")
    else:
        door.client.apply(spec, strategy=way, allow_empty=True)
        assert "refused" not in said
    assert {one.job for one in plan.needs if one.verb == "apply"} >= {change.job for change in plan.changes}
    assert len({(one.verb, one.job, one.account) for one in plan.needs}) == len(plan.needs)
    if role is Role.admin:
        assert all(not one.why_not for one in plan.needs)
        assert said.count("you have it") == len(plan.needs) and not said.count("may not")


def test_each_line_names_its_right(door: Door) -> None:
    """Also one of several that an expert does not have."""
    door.come("expert")
    spec = Spec(jobs=(job("readout", owner="trigger", release="r2"), job("hv", "hlt02", owner="power", user="root")))
    said = printed(plan_lines(door.client.plan(spec)))
    assert "needs the right apply: you have it" in said
    assert "needs the right apply: bob may not change hv@hlt02: it takes an expert" in said
    assert "needs the right account root: hv@hlt02 would run as root" in said


def test_who_may_do_all_needs_none(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root and the daemon's own account, to whom no rule says anything; which the reference of the API says, too."""
    door.come("viewer")
    other = Spec(jobs=(job("readout", owner="trigger", user="root"), KEPT[1]))
    assert door.client.plan(other).needs and door.client.plan(other).refused
    monkeypatch.setattr(callers_module, "is_owner", lambda uid: True)
    assert door.client.plan(other).needs == () and not door.client.plan(other).refused
    assert "to whoever may not do all also which rights it `needs`" in OPERATIONS["POST", "/plan"].about


def test_a_farm_without_rights_needs_none(tmp_path: Path) -> None:
    """No line about rights, and nothing in JSON."""
    serve = Serve(tmp_path)
    plan = serve.client.plan(Spec(jobs=KEPT))
    assert plan.needs == () and not plan.refused and "right" not in printed(plan_lines(plan))
    serve.close()


def printed(what: Any) -> str:
    text = StringIO()
    Console(width=300, file=text).print(what)
    return text.getvalue()
