"""Proposals by the commands and the daemon: made by a shifter, shown as a plan of now, approved by an expert."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from builders import job
from daqsched.cli import main
from daqsched.cli import proposals as cli_proposals
from daqsched.engine import events
from daqsched.proposals import NO_SUCH
from daqsched.protocol import ApproveRequest, CloseRequest, ProposeRequest
from daqsched.serve import callers as callers_module
from daqsched.serve.audit import Audit
from daqsched.serve.rights_in_force import RightsInForce
from daqsched.serve.serving import Serving
from daqsched.spec import Spec
from hostile import mutated
from rights_door import Door
from served import Serve

JSON = {"content-type": "application/json"}
FILE = """
from daqsched import Job, variable
version = variable("version", "r1", shifter=["r1", "r2"])
jobs = [Job("readout", "/bin/run", hosts="hlt[01-02]", version=version, owner="trigger", env={"A": "secret-value"})]
"""
RIGHTS = """
version: 1
rules:
  - {to: unix-group:viewer, role: viewer, owner: trigger}
  - {to: unix-group:shifter, role: shifter, owner: trigger}
  - {to: unix-group:expert, role: expert, owner: trigger}
  - {to: unix-group:other, role: expert, owner: power}
  - {to: unix-group:admin, role: admin}
"""


@pytest.fixture
def door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    monkeypatch.setattr(callers_module, "is_owner", lambda uid: False)
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "rights.yaml").write_text(RIGHTS)
    (tmp_path / "jobs.py").write_text(FILE)
    serve = Serve(tmp_path)
    serve.daemon.put(events.Registered("fw", "m:5050"))
    made = Door(serve, tmp_path, RightsInForce(tmp_path / "rights.yaml"))
    made.come("admin")
    assert said(made, "apply", str(tmp_path / "jobs.py"), "--no-wait").exit_code == 0
    made.serve = serve  # type: ignore[attr-defined]  # for what is kept
    yield made
    made.close()
    serve.close()


def said(door: Any, *words: str) -> Result:
    return CliRunner().invoke(main, ["--socket", str(door.path), *words])


def propose(door: Door, tmp_path: Path, value: str = "r2", *more: str) -> Result:
    return said(door, "propose", str(tmp_path / "jobs.py"), "--set", f"version={value}", "-m", "beam", *more)


def test_a_shifter_proposes_and_an_expert_approves(door: Door, tmp_path: Path) -> None:
    """What it changes is shown to both; the revision names both."""
    door.come("shifter")
    found = propose(door, tmp_path)
    assert found.exit_code == 0 and "version r1 -> r2" in found.output and "would be refused" not in found.output
    assert "Proposal 1 by bob" in found.output and "for somebody who may apply it: `daqsched approve 1`" in found.output
    assert "What the file leaves to shifters is not proposed" in found.output
    assert said(door, "approve", "1", "--yes").exit_code == 5, "not by him"
    listed = said(door, "proposals").output
    assert "beam" in listed and "bob" in listed and listed.splitlines()[1].split()[0] == "1"
    door.come("expert")
    shown = said(door, "proposals", "1")
    assert shown.exit_code == 6 and "needs the right apply: you have it" in shown.output
    assert "`daqsched approve 1 --if-unchanged " in shown.output
    assert "nobody can be asked here" in said(door, "approve", "1").output
    done = said(door, "approve", "1", "--yes", "--no-wait", "-m", "go")
    assert done.exit_code == 0 and "Revision 2" in done.output, done.output
    head = door.client.history(1)[0]
    assert (head.user, head.message) == ("bob", "proposal 1 by bob: beam; approved: go")
    assert "No proposal waits." in said(door, "proposals").output
    assert "Proposal 1 by bob (beam): approved by bob as revision 2" in said(door, "proposals").output
    assert said(door, "approve", "1", "--yes").output == f"Error: {NO_SUCH}\n"


SAID = [
    "confirm = Confirm(programs=0)",
    'rollout = Rollout(batches=[1], guard="http://127.0.0.1:9/")',
    'logging = Logging(index="elsewhere")',
    'jobs = jobs + [Job("huge", "/x", hosts="hlt02", owner="power")]',
    'jobs = jobs and [Job("readout", "/bin/run", hosts="hlt[01-02]", owner="power", user="root")]',
    "jobs = jobs and [Job('readout', '/bin/run', hosts='hlt77', owner='trigger')]",
]


@pytest.mark.parametrize("more", SAID)
@pytest.mark.parametrize("who", ["expert", "admin", "shifter"])
def test_the_plan_of_a_proposal_says_what_a_plan_of_the_file_says(
    door: Door, tmp_path: Path, who: str, more: str
) -> None:
    """Which rights it takes, how many programs end, how it goes over the farm: to who proposes it, and to who is to approve it."""
    file = tmp_path / "more.py"
    text = FILE.replace("import Job,", "import Confirm, Job, Logging, Rollout,").replace(
        '"r1", shifter', '"r2", shifter'
    )
    file.write_text(f"{text}{more}\n")
    kept = re.compile(
        r"^In force now|An apply of it would be refused|The file leaves to shifters|^Proposal |^From |^It waits"
    )

    def told(*words: str) -> list[str]:
        found = said(door, *words)
        assert found.exit_code in (0, 6), found.output
        lines = [line.rstrip() for line in found.output.splitlines() if not kept.search(line)]
        return [line for line in lines if line and not line.startswith("What the file leaves")]

    door.come("admin")
    proposed = told("propose", str(file), "-m", "beam")
    plan = told("plan", str(file))
    assert len(plan) > 2 and proposed == plan
    door.come(who)
    assert told("proposals", "1") == told("plan", str(file))


def test_it_is_asked_about_and_no_is_no(door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli_proposals, "interactive", lambda: True)
    answers = [False, True]
    asked: list[str] = []

    def answer(question: str) -> bool:
        asked.append(question)
        return answers.pop(0)

    monkeypatch.setattr(cli_proposals, "said_yes", answer)
    propose(door, tmp_path)
    refused = said(door, "approve", "1")
    assert refused.exit_code == 5 and "not done: nothing was changed" in refused.output
    assert asked == ["Approve proposal 1 by bob? [y/N] "] and "version r1 -> r2" in refused.output
    assert said(door, "approve", "1", "--no-wait").exit_code == 0


def test_a_plan_of_it_is_one_of_now_and_another_farm_is_refused(door: Door, tmp_path: Path) -> None:
    """Approved for the farm whose plan was seen, and no other."""
    propose(door, tmp_path)
    seen = door.client.proposal(1)
    door.client.apply(Spec(jobs=(job("readout", "hlt[01-02]", owner="trigger", release="r9"),)), "meanwhile", stops=9)
    late = said(door, "approve", "1", "--if-unchanged", seen.plan.base)
    assert late.exit_code == 5 and "is in force and not" in late.output and "by bob: meanwhile" in late.output
    assert "version r9 -> r2" in said(door, "proposals", "1").output
    now = door.client.proposal(1).plan.base
    assert said(door, "approve", "1", "--if-unchanged", now, "--no-wait").exit_code == 0


def test_rejected_and_withdrawn_with_a_reason(door: Door, tmp_path: Path) -> None:
    door.come("shifter")
    for _ in range(2):
        propose(door, tmp_path)
    assert said(door, "reject", "1").exit_code == 5
    assert said(door, "withdraw", "1").output == "Proposal 1 is withdrawn.\n"
    door.come("expert")
    assert said(door, "reject", "2", "-m", "not now").output == "Proposal 2 is rejected.\n"
    listed = said(door, "proposals").output
    assert "Proposal 2 by bob (beam): rejected by bob" in listed and ": not now." in listed
    assert said(door, "reject", "2").exit_code == 2


@pytest.mark.parametrize(
    ("words", "status", "sentence"),
    [
        (("proposals", "7"), 2, NO_SUCH),
        (("approve", "7", "--yes"), 2, NO_SUCH),
        (("withdraw", "7"), 2, NO_SUCH),
        (("reject", "0"), 2, NO_SUCH),
        (("approve", "x"), 2, NO_SUCH),
        (("proposals", "9" * 40), 2, NO_SUCH),
    ],
)
def test_a_mistake_says_what_to_do(door: Door, words: tuple[str, ...], status: int, sentence: str) -> None:
    found = said(door, *words)
    assert found.exit_code == status and sentence in found.output


def test_what_nobody_could_apply_is_not_proposed(door: Door, tmp_path: Path) -> None:
    """A spec with a mistake, one that changes nothing, one with too much."""
    assert "the farm is as this says already" in propose(door, tmp_path, "r1").output
    with pytest.raises(Exception, match="no jobs, which would stop|allow-empty"):
        door.client.propose(Spec())
    with pytest.raises(Exception, match="names the job itself"):
        door.client.propose(Spec(jobs=(job("a", "hlt01", after=("a",)),)))
    big = Spec(jobs=tuple(job(f"j{number}", "hlt01", argv=("/bin/x", "y" * 90_000)) for number in range(14)))
    with pytest.raises(Exception, match="a proposal has at most 1 MiB"):
        door.client.propose(big)
    assert door.client.proposals().waiting == []


def test_a_restart_of_the_daemon_keeps_it(door: Door, tmp_path: Path) -> None:
    propose(door, tmp_path)
    before = door.client.proposals().waiting
    serve: Serve = door.serve  # type: ignore[attr-defined]  # set by the fixture
    serve.close()
    again = Serve(tmp_path)
    try:
        assert again.client.proposals().waiting == before != []
        assert (
            again.client.approve(1, before[0].digest, again.client.proposal(1).plan.base, stops=9).proposed_by == "bob"
        )
    finally:
        again.close()
        serve.__init__(tmp_path)  # type: ignore[misc]  # for the fixture's end


def test_the_audit_file_names_both(door: Door, tmp_path: Path) -> None:
    serve: Serve = door.serve  # type: ignore[attr-defined]  # set by the fixture
    audit = Audit(tmp_path / "audit.ndjson")
    serving = Serving(tmp_path / "noted", "", serve.api.app, audit=audit)
    try:
        for words in (
            ("propose", str(tmp_path / "jobs.py"), "--set", "version=r2", "-m", "beam"),
            ("propose", str(tmp_path / "jobs.py"), "--set", "version=r2"),
            ("approve", "1", "--yes", "--no-wait"),
            ("reject", "2", "-m", "no"),
            ("withdraw", "9"),
        ):
            CliRunner().invoke(main, ["--socket", str(tmp_path / "noted"), *words])
    finally:
        serving.close()
    lines = [json.loads(line) for line in (tmp_path / "audit.ndjson").read_text().splitlines()]
    assert [(one["operation"], one["result"], one.get("proposal"), one.get("proposed_by")) for one in lines] == [
        ("propose", "done", 1, None),
        ("propose", "done", 2, None),
        ("approve", "done", 1, "root"),
        ("reject", "done", 2, None),
        ("withdraw", "refused", 9, None),
    ]
    assert lines[2]["revision"] == 2 and lines[2]["digest"] and "secret-value" not in json.dumps(lines)


def test_what_is_hidden_is_as_what_is_not_there(door: Door, tmp_path: Path) -> None:
    """A proposal about jobs that somebody does not see; values of the environment are an admin's."""
    door.come("shifter")
    propose(door, tmp_path)
    door.come("other")
    assert json.loads(said(door, "proposals", "--json").output)["waiting"] != [], (
        "his own, as the door says that he is bob"
    )
    door._accounts._names.known.clear()
    door._accounts._names._look = lambda uid: "eve"
    assert json.loads(said(door, "proposals", "--json").output)["waiting"] == []
    for words in (("proposals", "1"), ("approve", "1", "--yes"), ("reject", "1"), ("withdraw", "1")):
        assert said(door, *words).output.replace("1", "7") == said(door, *(words[0], "7", *words[2:])).output, words
    door.come("expert")
    assert "secret-value" not in said(door, "proposals", "1", "--json").output
    door.come("admin")
    assert "secret-value" in said(door, "proposals", "1", "--json").output


def test_who_may_apply_what_would_be_new_is_shown_it_and_no_hidden_name(door: Door, tmp_path: Path) -> None:
    """By the owner that it says; a word that names a hidden job is left out; one of its jobs is enough, also when it has ended."""
    door.come("admin")
    spec = Spec(jobs=(job("fresh", owner="power"), job("readout", "hlt[01-02]", owner="trigger", release="9")))
    body = msgspec.json.encode(ProposeRequest(spec, "both", ["fresh", "readout"]))
    assert door.client._daemon.http.request("POST", "/propose", content=body, headers=JSON).status == 200
    door._accounts._names.known.clear()
    door._accounts._names._look = lambda uid: "eve"
    door.come("other")
    (found,) = json.loads(said(door, "proposals", "--json").output)["waiting"]
    assert found["only"] == ["fresh"] and said(door, "proposals", "1").exit_code == 6
    door.come("expert")
    assert json.loads(said(door, "proposals", "--json").output)["waiting"][0]["only"] == ["readout"]
    door.come("admin")
    assert said(door, "reject", "1", "-m", "no").exit_code == 0
    for group, told in (("expert", 1), ("other", 0)):
        door.come(group)
        ended = json.loads(said(door, "proposals", "--json").output)["ended"]
        assert len(ended) == told and not any({"known_as", "jobs"} & set(one) for one in ended)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("propose", ProposeRequest(Spec(jobs=(job(release="3", owner="trigger"),)), "why", ["readout"], [])),
        ("approve", ApproveRequest(1, "abc", "abc", "why", None, 9)),
        ("reject", CloseRequest(1, "why")),
        ("withdraw", CloseRequest(1, "why")),
    ],
)
def test_no_value_breaks_anything(door: Door, tmp_path: Path, path: str, body: msgspec.Struct) -> None:
    """In each field of each request."""
    propose(door, tmp_path)
    for where, text in mutated(body):
        found = door.http.post(f"/v1/{path}", content=text)
        assert found.status_code in (200, 400, 403, 412, 413), (where, text[:100], found.text)
        if found.status_code != 200:
            assert found.json()["error"]
    assert door.client.info().revision


def test_an_older_daemon_says_that_it_knows_no_proposals(
    door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve: Serve = door.serve  # type: ignore[attr-defined]  # set by the fixture
    kept = [one for one in serve.api.app.router.routes if "propos" not in getattr(one, "path", "")]
    monkeypatch.setattr(serve.api.app.router, "routes", kept)
    for words in (("proposals",), ("propose", str(tmp_path / "jobs.py"), "--set", "version=r2"), ("approve", "1")):
        found = said(door, *words)
        assert found.exit_code == 2 and "older than this command" in found.output, found.output
