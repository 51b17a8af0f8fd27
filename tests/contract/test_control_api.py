"""Who is in control, by the commands and the daemon: taken, given, shown, audited, kept; each route that changes something."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from builders import job, offer
from daqsched import protocol
from daqsched.cli import main
from daqsched.control import GiveRequest, TakeRequest
from daqsched.engine import events
from daqsched.errors import Refused
from daqsched.operations import OPERATIONS
from daqsched.protocol import ApproveRequest
from daqsched.serve import callers as callers_module
from daqsched.serve.audit import Audit
from daqsched.serve.rights_in_force import RightsInForce
from daqsched.serve.serving import Serving
from daqsched.spec import Spec
from rights_door import Door
from served import Serve
from webport import WebServe

FILE = """
from daqsched import Job, variable
version = variable("version", "r1", shifter=["r1", "r2"])
jobs = [Job("readout", "/bin/run", hosts="hlt[01-02]", version=version, console=True, actions={"dump": ["/bin/dump"]})]
"""
PART = """
from daqsched import Job
farm = "calo"
jobs = [Job("calo", "/bin/run", hosts="hlt03", owner="calo")]
"""


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """A farm of two parts, that who asks (root) may all of."""
    monkeypatch.setenv("COLUMNS", "250")
    made = Serve(tmp_path)
    made.daemon.put(events.Registered("fw", "m:5050"))
    for name, text in (("jobs.py", FILE), ("calo.py", PART)):
        (tmp_path / name).write_text(text)
        assert said(made, "apply", str(tmp_path / name), "--no-wait").exit_code == 0
    for host in ("hlt01", "hlt02", "hlt03"):
        made.daemon.put(events.OffersArrived((offer(host),)))
    made.settle()
    yield made
    made.close()


def said(serve: Any, *words: str) -> Result:
    return CliRunner().invoke(main, ["--socket", str(serve.path), *words])


def alice_takes(serve: Serve, part: Any = None, message: str = "beam") -> None:
    """As from another account."""
    event = events.ControlTaken(part, "alice", ("unix:alice",), 3600.0, message, force=True)
    serve.daemon.request(event, None).result(10)


#: Of each route that changes something a request that would be carried out; None: it takes no control.
ROUTES: dict[str, Any] = {
    "/preflight": None,
    "/apply": lambda: protocol.ApplyRequest(
        Spec(jobs=(job("readout", "hlt[01-02]", release="9"),)), stops=9, no_look=True
    ),
    "/set": lambda: protocol.SetRequest(["version=r2"], stops=9, no_look=True),
    "/rollback": lambda: protocol.RollbackRequest(1, part="-", stops=9, no_look=True),
    "/rollout": lambda: protocol.SteerRequest("pause"),
    "/restart": lambda: protocol.RestartRequest(["readout"], stops=9),
    "/aside": lambda: protocol.AsideRequest(["hlt01"], 9e9, stops=9),
    "/return": lambda: protocol.AsideRequest(["hlt01"]),
    "/replace": lambda: protocol.ReplaceRequest("hlt01", "agent"),
    "/borrow": lambda: protocol.BorrowRequest("readout", "hlt01"),
    "/take": lambda: TakeRequest("-"),
    "/give": lambda: GiveRequest("-"),
    "/propose": None,
    "/approve": lambda: ApproveRequest(1, "", "x"),
    "/reject": None,
    "/withdraw": None,
    "/token": None,
    "/revoke": None,
    "/note": None,
    "/stop": lambda: protocol.SelectRequest(["readout"], stops=9),
    "/hold": lambda: protocol.SelectRequest(["readout"]),
    "/start": lambda: protocol.SelectRequest(["readout"], everyones=True),
    "/order": lambda: protocol.OrderRequest(["readout"], "retry"),
}
#: The same of those that look as if they changed nothing: what is typed may change anything.
TYPING = {"/console": lambda: protocol.ConsoleRequest("readout", "hlt01", write=True)}


def asked(serve: Serve, path: str, body: Any) -> tuple[int, str]:
    json = {"content-type": "application/json"}
    found = serve.client._daemon.http.request("POST", path, content=msgspec.json.encode(body), headers=json)
    return found.status, found.content.decode()


def test_each_route_that_changes_something_is_in_the_table() -> None:
    """A new one is asked below, or says that it takes no control."""
    assert set(ROUTES) == {one.path for one in OPERATIONS.values() if one.verbs}


@pytest.mark.parametrize("path", [path for path, made in {**ROUTES, **TYPING}.items() if made is not None])
@pytest.mark.parametrize(
    ("who", "part", "refuses"),
    [("alice", None, True), ("alice", "", True), ("alice", "calo", False), ("root", None, False), ("", None, False)],
)
def test_each_is_refused_where_another_is_in_control_of_it(
    serve: Serve, path: str, who: str, part: Any, refuses: bool
) -> None:
    """Of the farm or of its part; not where nobody is, or oneself, or another of another part."""
    if who:
        event = events.ControlTaken(part, who, (f"unix:{who}",), 3600.0)
        serve.daemon.request(event, None).result(10)
    if path == "/approve":
        serve.client.propose(Spec(jobs=(job("readout", "hlt[01-02]", release="9"),)))
    before = serve.daemon.ask(lambda engine, now: (engine.revision, engine.version)).result(10)
    status, text = asked(serve, path, {**ROUTES, **TYPING}[path]())
    assert ("alice is in control of" in text) == refuses, text
    if refuses:
        assert status == 403 and "--force -m MESSAGE" in text
        assert serve.daemon.ask(lambda engine, now: (engine.revision, engine.version)).result(10) == before


def test_who_has_lost_it_types_no_more(serve: Serve) -> None:
    """A terminal that was attached before goes on to show."""
    attached = serve.client.attach("readout", "hlt01", True, False, "")
    assert attached.writes
    alice_takes(serve)
    with pytest.raises(Exception, match="nothing is typed here: alice is in control"):
        serve.client.keys(attached.id, protocol.ConsoleKeys(b"x"))
    assert serve.client.console(attached.id, protocol.ConsoleRead()).attached == 1
    assert serve.client.keys(attached.id, protocol.ConsoleKeys(rows=24, columns=80)) is not None


def test_the_commands_take_give_and_tell(serve: Serve) -> None:
    """By hand, in order."""
    assert said(serve, "control").output == "Nobody is in control: who may do what is as the rights say.\n"
    taken = said(serve, "control", "take", "--for", "2h", "-m", "calibration")
    assert (
        taken.exit_code == 0
        and "You are in control of the farm, since " in taken.output
        and "(calibration)" in taken.output
    )
    assert "`daqsched control give` gives it back." in taken.output
    assert said(serve, "stop", "readout", "--yes").exit_code == 0
    gone = said(serve, "control", "give", "nobody", "--part", "calo", "-m", "yours")
    assert "nobody is in control of part calo, since " in gone.output and "(given by root; yours)" in gone.output
    refused = said(serve, "stop", "calo", "--yes")
    assert refused.exit_code == 5 and "nobody is in control of part calo" in refused.output
    assert "calo" in said(serve, "control", "who", "--part", "calo").output
    assert said(serve, "control", "give", "--part", "calo").exit_code == 5
    assert "say why it is taken over" in said(serve, "control", "take", "--part", "calo", "--force").output
    over = said(serve, "control", "take", "--part", "calo", "--force", "-m", "cooling")
    assert over.exit_code == 0 and "(taken over from nobody; cooling)" in over.output
    found = json.loads(said(serve, "control", "who", "--json").output)["control"]
    assert [(one["part"], one["user"], one["yours"]) for one in found] == [(None, "root", True), ("calo", "root", True)]
    assert said(serve, "control", "give", "--part", "calo").exit_code == 0
    assert said(serve, "control", "give").output.startswith("Nobody is in control")


@pytest.mark.parametrize(
    ("words", "status", "sentence"),
    [
        (("take", "--for", "1s"), 2, "control is taken for 1m to 24h"),
        (("take", "--for", "2d"), 2, "control is taken for 1m to 24h"),
        (("take", "--for", "x"), 2, "is not a duration"),
        (("take", "--part", "nope"), 2, "no job is of a part of that name"),
        (("take", "--part", "a b"), 2, "is not a valid name for a part"),
        (("give",), 5, "nobody is in control of the farm"),
        (("give", "no-such-account"), 2, "there is no account 'no-such-account'"),
        (("take", "-m", "a\nb" * 600), 2, ""),
    ],
)
def test_a_mistake_is_one_sentence_and_changes_nothing(
    serve: Serve, words: tuple[str, ...], status: int, sentence: str
) -> None:
    found = said(serve, "control", *words)
    assert found.exit_code == status and sentence in found.output and found.output.count("\n") == 1, found.output
    assert serve.client.control().control == []


def test_it_is_shown_wherever_people_look(serve: Serve, tmp_path: Path) -> None:
    """Also to who may not change anything now; a plan says that the apply would be refused."""
    line = "alice is in control of the part without a name, since "
    for words in (("status",), ("why",), ("plan", str(tmp_path / "jobs.py"), "--set", "version=r2")):
        assert line not in said(serve, *words).output
    alice_takes(serve, "")
    for words in (("status",), ("why",), ("control",), ("plan", str(tmp_path / "jobs.py"), "--set", "version=r2")):
        assert line in said(serve, *words).output, words
    plan = said(serve, "plan", str(tmp_path / "jobs.py"), "--set", "version=r2")
    assert plan.output.startswith(line) and "An apply of it would be refused: alice is in control" in plan.output
    assert line not in said(serve, "plan", str(tmp_path / "calo.py"), "--set", "x=1").output
    assert line not in said(serve, "status", "--part", "calo").output
    serve.daemon.request(events.ControlGiven("", "alice", ("unix:alice",), "root", ("unix:root",)), None).result(10)
    applied = said(serve, "apply", str(tmp_path / "jobs.py"), "--set", "version=r2", "--no-wait", "--yes")
    assert applied.output.startswith("You are in control of the part without a name, since "), applied.output
    assert "(given by alice)" in applied.output and "would be refused" not in applied.output


def test_who_asks_for_news_hears_of_it(serve: Serve) -> None:
    """Who waits for another version of the farm is woken."""
    seen = serve.client.progress().progress.version
    alice_takes(serve)
    assert serve.client.progress(seen=seen, wait_s=5.0).progress.version > seen


def test_a_restart_of_the_daemon_keeps_it(tmp_path: Path, serve: Serve) -> None:
    """And so does a takeover, which begins with the same state."""
    alice_takes(serve, "calo", "keep")
    before = serve.client.control().control
    serve.close()
    again = Serve(tmp_path)
    try:
        assert again.client.control().control == before != []
        found = said(again, "stop", "calo", "--yes")
        assert found.exit_code == 5 and "alice is in control of part calo" in found.output
    finally:
        again.close()
        serve.__init__(tmp_path)  # type: ignore[misc]  # for the fixture's end


def test_all_of_it_is_audited(tmp_path: Path, serve: Serve) -> None:
    """Taken, given, refused: who, of what, for how long, why."""
    audit = Audit(tmp_path / "audit.ndjson")
    serving = Serving(tmp_path / "noted", "", serve.api.app, audit=audit)
    try:
        for words in (
            ("control", "take", "--part", "calo", "--for", "1h", "-m", "cooling"),
            ("control", "give", "nobody", "--part", "calo"),
            ("stop", "calo", "--yes"),
            ("control", "take", "--part", "calo", "--force", "-m", "again"),
        ):
            CliRunner().invoke(main, ["--socket", str(tmp_path / "noted"), *words])
    finally:
        serving.close()
    lines = [json.loads(line) for line in (tmp_path / "audit.ndjson").read_text().splitlines()]
    assert [(one["operation"], one["result"], one.get("part"), one.get("message")) for one in lines] == [
        ("take", "done", "calo", "cooling"),
        ("give", "done", "calo", None),
        ("stop", "refused", None, None),
        ("take", "done", "calo", "again"),
    ]
    assert (lines[0]["for_s"], lines[1]["to"], lines[3]["force"]) == (3600.0, "nobody", True)
    assert "nobody is in control of part calo" in lines[2]["why"]


RIGHTS = """
version: 1
people: {alice: ["token:alice", "token:alice2"]}
rules:
  - {to: [token:shifter, alice], role: shifter}
  - {to: token:expert, role: expert}
  - {to: token:calo, role: shifter, part: calo}
  - {to: token:viewer, role: viewer}
"""


def test_over_the_network_somebody_is_one_person_by_all_tokens(tmp_path: Path) -> None:
    """And gives it to a person of the rights, who must have the right to it."""
    web = WebServe(tmp_path, RIGHTS)
    try:
        web.serve.daemon.put(events.Registered("fw", "m:5050"))
        web.serve.client.apply(Spec(jobs=(job("readout", "hlt01"),)))
        web.serve.client.apply(Spec(jobs=(job("calo", "hlt02"),), part="calo"))
        of = {name: web.client(web.token(name, "admin")) for name in "alice alice2 shifter expert viewer calo".split()}
        of["alice"].take(None, 3600.0)
        assert of["alice2"].stop(["readout"]).count == 1
        for name, sentence in (
            ("shifter", "token:alice is in control of the farm"),
            ("expert", "token:alice is in control of the farm"),
            ("viewer", "it takes a shifter"),
            ("calo", "no job matches"),
        ):
            with pytest.raises(Exception, match=sentence):
                of[name].stop(["readout"])
        with pytest.raises(Exception, match="it takes an expert"):
            of["shifter"].take(None, 3600.0, "why", force=True)
        with pytest.raises(Exception, match="may not be in control of the farm"):
            of["alice"].give(None, "token:viewer")
        with pytest.raises(Exception, match="there is no person and no account"):
            of["alice"].give(None, "nobody-there")
        (given,) = of["alice"].give(None, "token:shifter").control
        assert (given.user, given.before) == ("token:shifter", "token:alice")
        assert of["shifter"].start(["readout"], everyones=True).count == 1
        (back,) = of["shifter"].give(None, "alice").control
        assert back.user == "alice"
        assert of["alice2"].hold(["readout"]).count == 1
        assert of["viewer"].control().control[0].user == "alice"
    finally:
        web.close()


HIDING = """
version: 1
rules:
  - {to: unix-group:trg, role: expert, owner: trigger}
  - {to: unix-group:all, role: admin}
"""


def test_a_part_that_is_hidden_is_as_one_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is in control of it is not told either."""
    monkeypatch.setattr(callers_module, "is_owner", lambda uid: False)
    (tmp_path / "rights.yaml").write_text(HIDING)
    serve = Serve(tmp_path)
    serve.daemon.put(events.Registered("fw", "m:5050"))
    serve.client.apply(Spec(jobs=(job("readout", "hlt01", owner="trigger"),)))
    serve.client.apply(Spec(jobs=(job("canary", "hlt02", owner="power"),), part="canarypart"))
    door = Door(serve, tmp_path, RightsInForce(tmp_path / "rights.yaml"))
    try:
        alice_takes(serve, "canarypart")
        door.come("trg")
        for words in (("status",), ("why",), ("control",), ("control", "who", "--json")):
            assert "canary" not in said(door, *words).output and "alice" not in said(door, *words).output
        for verb in ("take", "give"):
            there = said(door, "control", verb, "--part", "canarypart")
            nowhere = said(door, "control", verb, "--part", "nosuchpart")
            assert there.output.replace("canarypart", "nosuchpart") == nowhere.output and there.exit_code == 2
        assert "canary" not in said(door, "control", "take").output
        # the part without a name is his own; all of it is
        assert said(door, "control", "take", "--part", "-").exit_code == 0
        door.come("all")
        assert "alice is in control of part canarypart" in said(door, "status").output
    finally:
        door.close()
        serve.close()


def test_an_older_daemon_says_that_it_knows_no_control(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to do."""
    kept = [one for one in serve.api.app.router.routes if getattr(one, "path", "") not in ("/v1/control", "/v1/take")]
    monkeypatch.setattr(serve.api.app.router, "routes", kept)
    found = said(serve, "control")
    assert found.exit_code == 2 and "older than this command" in found.output


@pytest.mark.parametrize(("to", "may"), [("oidc:alice", True), ("oidc:eve", False), ("oidc:stranger", False)])
def test_control_is_given_to_somebody_of_an_identity_provider_whatever_is_denied_to_groups_there(
    tmp_path: Path, to: str, may: bool
) -> None:
    """Whether he is in such a group his own log-in tells, by which each change of his is judged."""
    rules = """
version: 1
rules:
  - {to: token:admin, role: admin}
  - {to: [oidc:alice, oidc:eve], role: expert}
  - {to: oidc-group:guests, deny: [control]}
  - {to: oidc:eve, deny: [control]}
"""
    web = WebServe(tmp_path, rules)
    try:
        client = web.client(web.token("admin"))
        client.take(None, 3600.0, "beam")
        if may:
            (held,) = client.give(None, to).control
            assert held.user == "alice"
        else:
            with pytest.raises(Refused, match=f"{to} may not be in control"):
                client.give(None, to)
    finally:
        web.close()
