"""What somebody may not see is in no answer, as if it were not there; and nobody who sees all pays for that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import msgspec
import pytest

from builders import job, offer
from daqsched import protocol
from daqsched.engine import events
from daqsched.errors import DaqschedError, Refused, UserError
from daqsched.rollout import ONE_BY_ONE, Strategy
from daqsched.serve import callers as callers_module
from daqsched.serve import visibility as visibility_module
from daqsched.serve.rights_in_force import RightsInForce
from daqsched.spec import JobSpec, Spec
from rights_door import Door
from served import Serve
from waiting import until

FILE = """
version: 1
rules:
  - {to: unix-group:trg, role: expert, owner: trigger}
  - {to: unix-group:lead, role: admin, owner: trigger}
  - {to: unix-group:blind, role: admin}
  - {to: unix-group:blind, deny: [see], on: ["canary*"]}
  - {to: unix-group:veiled, role: admin}
  - {to: unix-group:veiled, deny: [environment], owner: power}
  - {to: unix-group:admin, role: admin}
"""


def mine(**fields: object) -> JobSpec:
    return job("readout", "hlt01", owner="trigger", env={"A": "mine-secret"}, console=True, **fields)


def hidden(**fields: object) -> JobSpec:
    return job("canary", "canaryhost", owner="power", env={"A": "canary-secret"}, console=True, **fields)


@pytest.fixture
def door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    """Of a farm with a job that is hidden from some; both run, are restarted, and have died."""
    monkeypatch.setattr(callers_module, "is_owner", lambda uid: False)
    file = tmp_path / "rights.yaml"
    file.write_text(FILE)
    serve = Serve(tmp_path)
    serve.daemon.put(events.Registered("fw", "m:5050"))
    serve.client.apply(Spec(jobs=(mine(), hidden())), "first")
    for host in ("hlt01", "canaryhost"):
        serve.daemon.put(events.OffersArrived((offer(host),)))
    serve.settle()
    for task in serve.edge.launched():
        host = task.rpartition(".")[0].partition("@")[2]
        serve.daemon.put(events.TaskReported(task, f"agent-{host}", "TASK_FAILED", "died", uuid=task))
    serve.settle()
    made = Door(serve, tmp_path, RightsInForce(file, look_s=0.02))
    yield made
    made.close()
    serve.close()


@pytest.mark.parametrize("path", ["log", "log/hlt01", "backup", "audit"])
@pytest.mark.parametrize(
    ("group", "rule"), [("trg", ""), ("lead", ""), ("blind", "rule 4 of"), ("veiled", "rule 6 of")]
)
def test_what_is_of_all_is_for_who_is_denied_nothing_of_it(door: Door, group: str, rule: str, path: str) -> None:
    """It is not sorted by whose it is. That a rule denies some of it is told, and not what."""
    door.come(group)
    found = door.http.get(f"/v1/{path}")
    if (group, path) == ("veiled", "audit"):
        assert "writes no audit file" in found.text, "values are not in there"
        return
    assert found.status_code == 403 and found.json()["code"] == "no-right", found.text
    assert rule in found.json()["error"] and ("denies some of that" in found.json()["error"]) == bool(rule)


def test_a_denied_value_is_shown_to_no_admin_of_all_the_rest(door: Door) -> None:
    """A deny of `environment` on a part is one of that part."""
    door.come("veiled")
    found = door.http.get("/v1/revisions/0").text
    assert "mine-secret" in found and "canary-secret" not in found and '"canary"' in found


ASKED = """board status?select=* status?at=9999999999 progress why stories incidents names?of=place names?of=host
names?of=selection names?of=part history revisions/1 revisions/0 rollout aside rights""".split()


@pytest.mark.parametrize("group", ["trg", "lead", "blind"])
@pytest.mark.parametrize("path", ASKED)
def test_what_is_hidden_is_in_no_answer(door: Door, group: str, path: str) -> None:
    """Neither its name, nor its host, nor its environment; what is not hidden is."""
    door.come(group)
    found = door.http.get(f"/v1/{path}")
    assert found.status_code in (200, 403) and "canary" not in found.text, found.text
    door.come("admin")
    both = door.http.get(f"/v1/{path}").text
    if path.startswith(
        ("board", "status?s", "progress", "why", "incidents", "names?of=h", "names?of=s", "names?of=p", "revisions")
    ):
        if path != "names?of=part":
            assert "canary" in both and found.text != both


@pytest.mark.parametrize("group", ["trg", "blind"])
def test_words_that_mean_what_is_hidden_are_as_words_that_mean_nothing(door: Door, group: str) -> None:
    """By every route with a selection."""
    door.come(group)
    client = door.client

    def said(words: list[str], verb: str) -> str:
        try:
            if verb in ("stop", "start", "hold"):
                getattr(client, verb)(words)
            elif verb == "restart":
                client.restart(words, "", ONE_BY_ONE)
            else:
                client.order(words, verb)
        except DaqschedError as error:
            return f"{type(error).__name__} {error}"
        return "done"

    for verb in ("stop", "start", "hold", "restart", "retry", "snooze"):
        for word in ("canary", "canary@canaryhost", "@canaryhost", "canar*"):
            there = said([word], verb)
            nowhere = said([word.replace("canary", "nosuch").replace("canar", "nosuc")], verb)
            assert there == nowhere.replace("nosuch", "canary").replace("nosuc", "canar"), (verb, word)
            assert there.startswith("UserError")


@pytest.mark.parametrize("group", ["trg", "lead", "blind"])
def test_only_what_is_hidden_is_as_only_what_is_not_there(door: Door, group: str) -> None:
    """Neither whether it is there is told, nor its name to whoever all but wrote it."""
    door.come(group)
    client, spec = door.client, Spec(jobs=(mine(release="r2"),))
    asked: list[Callable[[list[str]], object]] = [
        lambda only: client.plan(spec, only),
        lambda only: client.apply(spec, only=only),
        lambda only: client.propose(spec, only=only),
        lambda only: client.preflight(spec, only),
    ]
    for ask in asked:
        for word in ("canary", "canary@canaryhost", "@canaryhost", "canar*", "canray"):
            with pytest.raises(UserError) as there:
                ask([word])
            with pytest.raises(UserError) as nowhere:
                ask(["nosuch"])
            assert str(there.value) == str(nowhere.value).replace("nosuch", word)
        with pytest.raises(UserError, match="did you mean readout@hlt01"):
            ask(["canary", "readuot@hlt01"])
    for answer in (client.status(["canray"]), client.why(["canray"]), client.stories(["canray"])):
        assert (answer.unmatched, answer.hint) == (["canray"], "")


def test_all_is_all_that_one_sees(door: Door) -> None:
    """The hidden job is as it was."""
    door.come("trg")
    assert door.client.stop(["*"]).count == 1
    door.come("admin")
    assert {row.job: row.state for row in door.client.status().rows}["canary"] != "STOPPED"


def test_a_plan_tells_of_what_is_seen_and_names_nothing_else(door: Door) -> None:
    """Also where an apply would remove what is hidden, which is refused."""
    door.come("trg")
    spec = Spec(jobs=(mine(release="r2"),))
    plan = door.client.plan(spec)
    assert [change.job for change in plan.changes] == ["readout"]
    assert plan.refused == "bob may not change some of this: it is not there, or not for you to see"
    assert b"canary" not in msgspec.json.encode(plan)
    with pytest.raises(Refused, match="some of this") as error:
        door.client.apply(spec, allow_empty=True)
    assert "canary" not in str(error.value)
    with pytest.raises(Refused) as error:
        door.client.aside(["canaryhost"], 9e9, "x")
    assert "canary@" not in str(error.value)


def test_values_are_told_of_the_jobs_that_one_is_an_admin_of(door: Door) -> None:
    """And of no others; an expert is told none."""
    for group, told in (("trg", ()), ("lead", ("mine-secret",)), ("admin", ("mine-secret", "canary-secret"))):
        door.come(group)
        text = door.http.get("/v1/revisions/1").text
        assert tuple(one for one in ("mine-secret", "canary-secret") if one in text) == told


def test_who_sees_all_pays_nothing(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """No row is looked at for what it shows."""

    def never(*_: object) -> None:
        raise AssertionError("it is looked at")

    monkeypatch.setattr(visibility_module, "Visibility", never)
    door.come("admin")
    for path in ASKED:
        assert door.http.get(f"/v1/{path}").status_code in (200, 403)
    door.come("trg")
    assert door.http.get("/v1/status").status_code == 500


# ------------------------------------------------------------------------------------------------ terminals and sandboxes


def attach(door: Door, name: str, host: str) -> protocol.ConsoleAttached:
    found = door.http.post("/v1/console", content=msgspec.json.encode(protocol.ConsoleRequest(name, host, True, False)))
    if found.status_code == 403:
        raise Refused(found.json()["error"])
    if found.status_code != 200:
        raise UserError(found.json()["error"])
    return msgspec.json.decode(found.content, type=protocol.ConsoleAttached)


def test_a_terminal_is_that_jobs(door: Door) -> None:
    """Of a job that is hidden, there is none."""
    door.come("trg")
    assert attach(door, "readout", "hlt01").id
    with pytest.raises(UserError, match="there is no canary@canaryhost"):
        attach(door, "canary", "canaryhost")


def test_a_right_that_is_taken_away_ends_a_terminal(door: Door) -> None:
    """That of a reader who waits, within 5 s; the rest of the rights stays."""
    door.come("trg")
    id = attach(door, "readout", "hlt01").id

    def reads() -> httpx.Response:
        """As a command does."""
        seen = 0
        while True:
            body = msgspec.json.encode(protocol.ConsoleRead("", 0, seen, 10.0))
            found = door.http.post(f"/v1/consoles/{id}/read", content=body)
            if found.status_code != 200:
                return found
            seen = found.json()["seen"]

    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(reads)
        until(lambda: door.client.rights("", "readout", "hlt01").verbs["console"] == "", "it may be read")
        now = "viewer, owner: trigger}\n  - {to: unix-group:trg, role: expert, owner: other}"
        door.rights.path.write_text(FILE.replace("expert, owner: trigger}", now))
        found = reader.result(5)
    assert found.status_code == 403 and "may not attach to the terminal of readout@hlt01" in found.text
    again = door.http.post(f"/v1/consoles/{id}/keys", content=msgspec.json.encode(protocol.ConsoleKeys(b"x")))
    assert again.status_code == 410 and "not attached" in again.text


def test_a_sandbox_is_that_jobs(door: Door) -> None:
    """By what is asked for, and by a task's id."""
    door.come("trg")
    piece = protocol.Piece("agent", "canary@canaryhost.1", "stdout", 0, 10)
    found = door.http.post("/v1/sandboxes/read", content=msgspec.json.encode(protocol.ReadRequest([piece])))
    assert found.status_code == 403 and "some of this" in found.text


def test_a_plan_tells_nothing_of_a_hidden_job_that_a_file_gives_another_owner(door: Door) -> None:
    """What was there before it is no more to be seen for that: the differences would say all of it."""
    door.come("trg")
    taken = job("canary", "canaryhost", owner="trigger")
    plan = door.client.plan(Spec(jobs=(mine(), taken)))
    assert "secret" not in str(plan) and not [change for change in plan.changes if change.job == "canary"]
    assert plan.refused.endswith("it is not there, or not for you to see")


# ------------------------------------------------------------------------------------------------ everything at once


@pytest.fixture
def crowded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    """Of a farm where what is hidden touches what is not: it comes after it, has a port that it wants, and failed in rollouts."""
    monkeypatch.setattr(callers_module, "is_owner", lambda uid: False)
    file = tmp_path / "rights.yaml"
    file.write_text(FILE)
    serve = Serve(tmp_path)
    try:
        crowd(serve)
        made = Door(serve, tmp_path, RightsInForce(file, look_s=0.02))
        yield made
        made.close()
    finally:
        serve.close()


def crowd(serve: Serve) -> None:
    """Applies, starts and failures."""
    client = serve.client
    serve.daemon.put(events.Registered("fw", "m:5050"))
    client.apply(Spec(jobs=(mine(), hidden(after=("readout",)))), "first")

    def two(release: str) -> Spec:
        jobs = (job("canarytwo", "hlt01", owner="power", release=release, ports={"p": 7001}),)
        return Spec(jobs=jobs, part="canarypart", source=f"canary-{release}.py")

    client.apply(two("r1"), "second")

    def run() -> None:
        for host in ("hlt01", "canaryhost"):
            serve.daemon.put(events.OffersArrived((offer(host, cpus=8.0, ports=range(7000, 7010)),)))
        serve.settle()
        for task in serve.edge.launched():
            host = task.rpartition(".")[0].partition("@")[2]
            serve.daemon.put(events.TaskReported(task, f"agent-{host}", "TASK_RUNNING", uuid=task))
        serve.settle()

    run()
    run()
    way = Strategy(batches=(1,), ready_s=200.0)
    client.apply(two("r2"), "third", strategy=way)
    (task,) = [one for one in serve.edge.launched() if one.startswith("canarytwo")]
    serve.daemon.put(events.TaskReported(task, "agent-hlt01", "TASK_KILLED", uuid="k"))
    serve.settle()
    run()
    task = [one for one in serve.edge.launched() if one.startswith("canarytwo")][-1]
    serve.daemon.put(events.TaskReported(task, "agent-hlt01", "TASK_FAILED", "died", uuid="f"))
    serve.settle()
    assert "canarytwo" in serve.rollout().why, "what failed is named"
    client.steer("abort")
    outcome = client.history(1)[0].rollout
    assert outcome is not None


@pytest.mark.parametrize("group", ["trg", "lead", "blind"])
def test_no_route_names_what_is_hidden(crowded: Door, group: str) -> None:
    """Each route as it is asked, and where it is asked for what is in the way of what is hidden: in answers and in refusals."""
    door = crowded
    door.come(group)
    wanted = mine(ports={"a": 7001})
    clash = Spec(jobs=(wanted,))
    bodies: list[tuple[str, msgspec.Struct]] = [
        ("plan", protocol.PlanRequest(clash, ["readout"])),
        ("plan", protocol.PlanRequest(clash)),
        ("apply", protocol.ApplyRequest(clash, only=["readout"])),
        ("apply", protocol.ApplyRequest(Spec(), allow_empty=True)),
        ("apply", protocol.ApplyRequest(Spec(jobs=(wanted,), part="mine"), take=["readout"])),
        ("rollback", protocol.RollbackRequest(1, part="-")),
        ("rollback", protocol.RollbackRequest(1, everyones=True)),
        ("restart", protocol.RestartRequest(["*"], stops=9)),
        ("stop", protocol.SelectRequest(["*"], stops=9)),
        ("start", protocol.SelectRequest(["*"], everyones=True)),
        ("set", protocol.SetRequest(["a=b"])),
    ]
    asked = [door.http.post(f"/v1/{path}", content=msgspec.json.encode(body)) for path, body in bodies]
    asked += [door.ask(method, path) for method, path in door.routes]
    asked += [
        door.http.get(f"/v1/{path}") for path in (*ASKED, "choices", "status?part=-", "history?most=99", "revisions/2")
    ]
    for found in asked:
        assert found.status_code != 500 and "canary" not in found.text, (str(found.request.url), found.text)


def test_rights_on_what_is_hidden_are_as_on_what_is_not_there(crowded: Door) -> None:
    """Whoever asks what he may of it is told what he may of any other."""
    door = crowded
    door.rights.path.write_text(FILE + "  - {to: unix-group:trg, deny: [see, stop], owner: power}\n")
    door.rights.look()
    door.come("trg")
    for there, nowhere in (("canary", "nosuchjob"), ("canarytwo", "nosuchjob")):
        first = door.http.get(f"/v1/rights?job={there}&host=hlt01").text.replace(there, nowhere)
        assert first == door.http.get(f"/v1/rights?job={nowhere}&host=hlt01").text


@pytest.mark.parametrize(
    "path", ["status", "status?select=*", "status?select=readout", "status?limit=1", "status?part=-"]
)
@pytest.mark.parametrize("group", ["trg", "lead", "blind", "admin"])
def test_what_was_stopped_and_left_the_farm_is_told_to_who_sees_all_of_it(door: Door, group: str, path: str) -> None:
    """Neither that there is something, nor whose it is, nor why, is told to who may not see the job."""
    door.come("admin")
    door.client.stop(["canary"], "canary-cabling", stops=9)
    door.client.apply(Spec(jobs=(mine(),)), "second", stops=9)
    door.come(group)
    found = door.http.get(f"/v1/{path}")
    assert found.status_code == 200, found.text
    told = found.json().get("absent", "")
    if group == "admin":
        assert (
            told.startswith("canary@canaryhost was stopped by ") and ": canary-cabling, and is not in the farm" in told
        )
    else:
        assert told == "" and "canary" not in found.text
