"""What shifters may set, by the commands and the socket: what each role is told and may, older daemons, what is kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result
from msgspec.structs import replace

from daqsched import protocol
from daqsched.cli import main
from daqsched.client import Client
from daqsched.engine import events
from daqsched.errors import Refused, UserError
from daqsched.jobfile.alternatives import load_with_choices
from daqsched.serve import callers as callers_module
from daqsched.serve.rights_in_force import RightsInForce
from daqsched.store.backup import pack, unpack
from foreign import daemon
from hostile import mutated
from rights_door import Door
from served import Serve

FILE = """
from daqsched import Job, variable
version = variable("version", "r1", shifter=["r1", "r2"])
jobs = [
    Job("readout", "/bin/run", hosts="hlt01", version=version, owner="trigger"),
    Job("hv", "/bin/hv", hosts="hlt01", owner="power"),
]
"""
HIDDEN = """
from daqsched import Job, variable
farm = "canarypart"
jobs = [Job("canary", "/bin/c", hosts="canaryhost", version=variable("canaryvar", "a", shifter=["a", "b"]), owner="power")]
"""
RIGHTS = """
version: 1
rules:
  - {to: unix-group:viewer, role: viewer, owner: [trigger, power], on: ["readout", "hv"]}
  - {to: unix-group:shifter, role: shifter, owner: trigger}
  - {to: unix-group:power, role: shifter, owner: power, on: ["hv"]}
  - {to: unix-group:expert, role: expert, owner: trigger}
  - {to: unix-group:admin, role: admin}
"""


@pytest.fixture
def door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    """Of a farm with a file that leaves a variable to shifters, and another part that is hidden from all but admins."""
    monkeypatch.setattr(callers_module, "is_owner", lambda uid: False)
    monkeypatch.setenv("COLUMNS", "200")
    rights = tmp_path / "rights.yaml"
    rights.write_text(RIGHTS)
    (tmp_path / "jobs.py").write_text(FILE)
    (tmp_path / "hidden.py").write_text(HIDDEN)
    serve = Serve(tmp_path)
    serve.daemon.put(events.Registered("fw", "m:5050"))
    made = Door(serve, tmp_path, RightsInForce(rights))
    made.come("admin")
    for name in ("jobs.py", "hidden.py"):
        assert said(made, "apply", str(tmp_path / name), "--no-wait").exit_code == 0
    yield made
    made.close()
    serve.close()


def said(door: Door, *words: str) -> Result:
    return CliRunner().invoke(main, ["--socket", str(door.path), *words])


def test_a_shifter_sees_and_sets_what_the_file_lists(door: Door) -> None:
    """And what is set; `history` says who has set what. Values that are not listed are refused with those that are."""
    door.come("shifter")
    assert said(door, "variables").output.split("\n")[1].split() == [
        "version",
        "r1",
        "r1,",
        "r2",
        "bob",
        "(revision",
        "1),",
        "applied",
    ]
    plan = said(door, "set", "version=r2", "--plan")
    assert (
        plan.exit_code == 6
        and "version r1 -> r2" in plan.output
        and "needs the right set: you have it" in plan.output
        and "`daqsched set version=r2 --if-unchanged " in plan.output
    )
    wrong = said(door, "set", "version=r3")
    assert wrong.exit_code == 2 and "version may be set to r1, r2, and not to 'r3'" in wrong.output
    assert said(door, "set", "version=r3", "--plan").output == wrong.output
    done = said(door, "set", "version=r2", "-m", "beam is back", "--no-wait")
    assert done.exit_code == 0 and "is in force" in done.output
    (told,) = json.loads(said(door, "variables", "--json").output)
    assert told["variables"] == [{"name": "version", "values": ["r1", "r2"], "now": "r2", "kind": "text"}]
    assert (told["set_by"], told["set_in"], told["why_not"]) == ("bob", 3, "")
    head = door.client.history(1)[0]
    assert (head.user, head.message) == ("bob", "set version=r2: beam is back")
    assert json.loads(said(door, "set", "version=r2", "--no-wait", "--json").output)["applied"]["revision"] == 3
    assert said(door, "set", "version=r2", "--plan").exit_code == 0
    assert "sets nothing" in said(door, "set", "version").output
    base = door.client.plan_set(["version=r1"]).base
    assert "is in force and not" in said(door, "set", "version=r1", "--if-unchanged", "nonsense").output
    assert said(door, "set", "version=r1", "--if-unchanged", base, "--no-wait").exit_code == 0


def test_each_role_may_what_its_rules_give(door: Door) -> None:
    """Asked before anything is said of what there is; the plan says beforehand that it would be refused."""
    # of a shifter of other jobs this is hidden
    for group, status in (("viewer", 5), ("power", 2), ("shifter", 0), ("expert", 0), ("admin", 0)):
        door.come(group)
        found = said(door, "set", "version=r2", "--no-wait")
        assert found.exit_code == status, (group, found.output)
        door.come("admin")
        door.client.set(["version=r1"])
    door.come("viewer")
    plan = said(door, "set", "version=r2", "--plan")
    assert "An apply of it would be refused: bob may not set what changes" in plan.output
    with pytest.raises(Refused, match="bob may not set what changes the farm"):
        door.client.set(["nonsense=1"])


def test_rights_why_explains_a_variable(door: Door) -> None:
    """With all that comes of it."""
    door.come("admin")
    assert said(door, "rights", "why", "-", "set", "version").output == "bob may set version.\n"
    door.come("viewer")
    found = said(door, "rights", "why", "-", "set", "version")
    assert found.exit_code == 5 and "bob may not set what changes readout@hlt01: it takes a shifter" in found.output
    assert "is not for a shifter to set" in said(door, "rights", "why", "-", "set", "nosuch").output


def test_what_is_hidden_is_no_choice(door: Door) -> None:
    """Neither the variable, nor its part, job or host is in an answer; to set it says what a word says that means nothing."""
    for group in ("viewer", "shifter", "expert", "power"):
        door.come(group)
        for asked in (
            door.http.get("/v1/choices"),
            door.http.get("/v1/choices?part=canarypart"),
            door.http.get("/v1/rights?variable=canaryvar"),
            *(
                door.http.post(f"/v1/{path}", content=msgspec.json.encode(protocol.SetRequest(["canaryvar=b"])))
                for path in ("set", "choices/plan")
            ),
        ):
            text = (
                asked.text.replace("'canaryvar'", "")
                .replace("canaryvar is not", "is not")
                .replace("part canarypart", "")
            )
            assert "canary" not in text, text
        nowhere = [said(door, "set", f"{name}=b").output for name in ("canaryvar", "nosuchvar")]
        assert nowhere[0].replace("canaryvar", "nosuchvar") == nowhere[1]
    door.come("admin")
    assert {one.part for one in door.client.choices()} == {"", "canarypart"}
    assert "--part" in said(door, "set", "--help").output
    assert door.client.set(["canaryvar=b"]).part == "canarypart"


def test_a_rollback_brings_its_choices_back(door: Door, tmp_path: Path) -> None:
    """Those of that revision, not those of the last; where who goes back may not leave them to shifters, without, and that is
    said."""
    door.come("admin")
    (tmp_path / "next.py").write_text(FILE.replace('"r1"', '"r5"').replace('"r2"', '"r6"'))
    assert said(door, "apply", str(tmp_path / "next.py"), "--no-wait").exit_code == 0
    door.client.set(["version=r6"])
    with pytest.raises(UserError, match="r5, r6"):
        door.client.set(["version=r2"])
    door.client.rollback(1, part="-")
    assert door.client.set(["version=r2"]).revision
    (tmp_path / "root.py").write_text(
        FILE.replace('owner="trigger"', 'owner="trigger", user="root" if version == "r2" else ""')
    )
    assert said(door, "apply", str(tmp_path / "root.py"), "--no-wait").exit_code == 0
    number = door.client.info().revision
    door.client.apply(load_with_choices(tmp_path / "jobs.py", {"version": "r7"}).spec)
    door.come("expert")
    found = door.client.rollback(number, part="-")
    assert found.doubts and "does not come back: readout@hlt01 would run as root" in found.doubts[-1]
    with pytest.raises(UserError, match="no variable"):
        door.client.set(["version=r1"])


def test_an_apply_of_some_leaves_them_and_they_count_where_the_farm_is_one_of_them(door: Door, tmp_path: Path) -> None:
    """Else `variables` says why nothing can be set."""
    door.come("admin")
    assert (
        said(
            door, "apply", str(tmp_path / "jobs.py"), "--set", "version=r2", "--only", "readout", "--no-wait"
        ).exit_code
        == 0
    )
    assert door.client.choices("-")[0].variables[0].now == "r2"
    assert (
        said(
            door, "apply", str(tmp_path / "jobs.py"), "--set", "version=r9", "--only", "readout", "--no-wait"
        ).exit_code
        == 0
    )
    shown = said(door, "variables")
    assert "somebody has applied a part of it" in shown.output and "?" in shown.output
    assert said(door, "set", "version=r1").exit_code == 5
    assert said(door, "apply", str(tmp_path / "jobs.py"), "--set", "version=r9", "--no-wait").exit_code == 0
    assert door.client.choices("-")[0].variables[0].now == "r9"
    assert said(door, "set", "version=r1", "--no-wait").exit_code == 0


def test_the_state_that_is_carried_away_has_them(door: Door, tmp_path: Path) -> None:
    """A backup is the state, with all that shifters may set."""
    door.come("admin")
    _, contents = unpack(door.client.backup())
    assert "choices" in contents.documents
    _, again = unpack(pack(contents, 1.0))
    assert again.documents["choices"] == contents.documents["choices"]


def test_an_older_daemon_is_told_from_a_mistake(tmp_path: Path) -> None:
    """Which knows no choices; a file without any is applied there as ever."""
    (tmp_path / "jobs.py").write_text(FILE)

    def answer(method: str, path: str, body: bytes) -> tuple[int, bytes]:
        assert b"choices" in body
        sentence = (
            "not understood: Object contains unknown field `choices`; are daqsched and its daemon of the same version?"
        )
        return 400, msgspec.json.encode(protocol.Problem(sentence, 2))

    with daemon(tmp_path / "s", answer):
        for verb in ("apply", "plan"):
            found = CliRunner().invoke(main, ["--socket", str(tmp_path / "s"), verb, str(tmp_path / "jobs.py")])
            assert found.exit_code == 2 and "can't let shifters set version: bring it up to date" in found.output


def test_whatever_is_sent_as_choices_is_refused_in_a_sentence(door: Door, tmp_path: Path) -> None:
    """Never a 5xx; what is not what the file is evaluated to is not taken."""
    door.come("admin")
    spec, found = load_with_choices(tmp_path / "jobs.py", {})
    assert found is not None
    request = protocol.PlanRequest(spec, choices=found)
    for path, body in list(mutated(request))[::5]:
        if path.startswith("choices"):
            assert door.http.post("/v1/plan", content=body).status_code in (200, 400), path
    odd = msgspec.to_builtins(request)
    odd["choices"]["jobs"][0]["restart"] = {"nosuch": 1}
    answer = door.http.post("/v1/plan", content=json.dumps(odd))
    assert answer.status_code == 400 and "restart has no field 'nosuch'" in answer.text
    one = found.choices[1]
    wrong = replace(found, choices=(found.choices[0], replace(one, takes=found.choices[0].takes)))
    with pytest.raises(UserError, match="with version=r2: choices: version=r2 is not what its digest says"):
        door.client.apply(spec, choices=wrong)
    with pytest.raises(UserError, match="sent with all of a file"):
        door.client.apply(spec, only=["readout"], choices=found)


def test_validate_says_what_a_shifter_may_set(tmp_path: Path) -> None:
    """And finds what is a mistake with one of the values."""
    (tmp_path / "jobs.py").write_text(FILE)
    found = CliRunner().invoke(main, ["validate", str(tmp_path / "jobs.py")])
    assert "A shifter may set version to r1, r2." in found.output
    found = CliRunner().invoke(main, ["validate", str(tmp_path / "jobs.py"), "--json"])
    assert json.loads(found.output)["shifter"] == {"version": ["r1", "r2"]}
    (tmp_path / "jobs.py").write_text(
        FILE.replace('hosts="hlt01", version', 'hosts="hlt01" if version == "r1" else "", version')
    )
    found = CliRunner().invoke(main, ["validate", str(tmp_path / "jobs.py")])
    assert found.exit_code == 2 and "with version=r2: job 'readout'" in found.output


def test_a_client_asks_and_is_answered(door: Door) -> None:
    """As any program may, without the command."""
    client = Client(door.path)
    assert [one.name for one in client.choices("-")[0].variables] == ["version"]
    client.close()
