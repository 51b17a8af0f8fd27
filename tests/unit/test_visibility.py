"""What of a rollout, and of deaths that are alike, whoever sees a part of the farm is told."""

from __future__ import annotations

from typing import Optional

import msgspec
import pytest

from builders import job
from daqsched.engine.incidents import Incident
from daqsched.engine.instance import Key
from daqsched.rights.grants import Grants
from daqsched.rights.principal import Principal
from daqsched.rights.rules import read
from daqsched.rollout import Failure, Rollout, State, Strategy
from daqsched.serve.visibility import ROLLOUT_TOLD, Visibility
from daqsched.spec import Spec
from daqsched.task import Owned

SPEC = Spec(jobs=(job("readout", "hlt01", owner="daq"), job("interlock", "schost", owner="sc", part="slow")))
MINE = Grants(
    read("version: 1\nrules: [{to: 'token:x', role: viewer, owner: daq}]", "r"), Principal("x", frozenset(["token:x"]))
)
#: What each text of a rollout may be about.
HIDDEN = "1 failure, the last of interlock@schost: not ready"
#: Of these a caller is told as much as he sees, and of those nothing.
IN_PART = {"message", "strategy", "failures", "why", "cause", "part"}
NOTHING = {"guard", "unreached"}


def rollout(state: State = "paused", **fields: object) -> Rollout:
    """All its texts are of what is hidden."""
    made = Rollout(
        number=3, kind="apply", user="bob", message="x (only interlock@schost)", began=1.0, revision=7, before=6,
        strategy=Strategy(guard="https://ops:secret@guard/interlock"), hosts=1, instances=1, batches=1, state=state,
        why=HIDDEN, cause=HIDDEN, guard=HIDDEN, failures=(Failure("interlock", "schost", "not ready", 1.0),),
        unreached=("schost",), part="slow",
    )  # fmt: skip
    return msgspec.structs.replace(made, **fields)


@pytest.mark.parametrize("state", ["running", "paused", "done", "aborted", "rolled-back"])
def test_nothing_of_what_is_hidden_is_told(state: State) -> None:
    """Whichever field of it has a word of that."""
    told = msgspec.json.encode(Visibility(MINE, SPEC).rollout(rollout(state))).decode()
    assert not [word for word in ("interlock", "schost", "secret", "slow") if word in told], told


def test_what_is_shown_is_told() -> None:
    """Its figures, who steers it, and reasons that name nothing else."""
    own = "1 failure, the last of readout@hlt01: not ready"
    failed = (Failure("readout", "hlt01", "not ready", 1.0),)
    one = rollout(why=f"{own}; then by bob", cause=own, failures=failed, paused_by="bob", part="", failed=1, reached=1)
    told = Visibility(MINE, SPEC).rollout(one)
    assert (told.why, told.cause, told.failures) == (f"{own}; then by bob", own, failed)
    assert {name: getattr(told, name) for name in ROLLOUT_TOLD} == {name: getattr(one, name) for name in ROLLOUT_TOLD}


def test_each_field_is_told_or_not() -> None:
    """A new one is not told before somebody says so."""
    assert set(Rollout.__struct_fields__) == {*ROLLOUT_TOLD} | IN_PART | NOTHING


#: One at each of two hosts, of which a caller sees the first.
ONE = Grants(
    read("version: 1\nrules: [{to: 'token:x', role: viewer, on: ['readout@hlt01']}]", "r"),
    Principal("x", frozenset(["token:x"])),
)
KEYS: set[Key] = {("readout", "hlt01"), ("readout", "hlt02"), ("interlock", "schost")}


@pytest.mark.parametrize(
    ("grants", "jobs", "hosts", "told"),
    [
        (MINE, ["readout"], ["hlt01"], ("pin 1234", 7, "r1")),
        (MINE, ["readout"], ["hlt01", "hlt02"], ("pin 1234", 7, "r1")),
        (MINE, ["readout", "interlock"], ["hlt01", "schost"], ("", 1, "")),
        (MINE, ["readout", "interlock"], ["hlt01", "hlt02", "schost"], ("", 2, "")),
        (MINE, ["readout", "gone"], ["hlt01"], ("", 1, "")),
        (ONE, ["readout"], ["hlt01", "hlt02"], ("", 1, "")),
        (ONE, ["readout"], ["hlt01"], ("pin 1234", 7, "r1")),
        (MINE, ["interlock"], ["schost"], None),
    ],
)
def test_of_deaths_that_were_alike_elsewhere_nothing_is_told(
    grants: Grants, jobs: list[str], hosts: list[str], told: Optional[tuple[str, int, str]]
) -> None:
    """The line is what the first of them printed, which may be a hidden program; so is the number of deaths."""
    spec = Spec(jobs=(job("readout", "hlt[01-02]", owner="daq"), SPEC.jobs[1]))
    incident = Incident("exit code 3", "pin 1234", 1.0, 2.0, 7, jobs, hosts, 3, 1.0, "r1")
    seen = {key for key in KEYS if Visibility(grants, spec).sees(*key)}
    owned = {"readout": Owned(0.5, ""), "interlock": Owned(0.5, "")}
    found = Visibility(grants, spec).incident(incident, KEYS, seen, owned)
    assert (found and (found.line, found.count, found.release)) == told
    assert found is None or not {"interlock", "schost", "gone"} & {*found.jobs, *found.hosts}
