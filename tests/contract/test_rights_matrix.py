"""Role × verb × owner × door: what each may and what not, by the code's own tables, asked at every door that there is."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import msgspec
import pytest

from all_doors import DOORS, HOSTS, OWNERS, SUBJECTS, Case, Doors, ask, called, farm, may, quick_hashes
from daqsched import protocol
from daqsched.control import CONTROLLED, GiveRequest, TakeRequest
from daqsched.operations import OPERATIONS
from daqsched.problems import CODES
from daqsched.protocol import ProposeRequest
from daqsched.rights.verbs import VERBS
from daqsched.rollout import Strategy
from daqsched.spec import JobSpec, LoggingSpec, Spec
from daqsched.task import launch_mark

_turn = itertools.count(1)

#: How the id of a task ends that was launched since its job is its owner's.
LATER = launch_mark(4e9, "0" * 8)


def changed(name: str, **fields: Any) -> Spec:
    """The farm with one job otherwise than it ever was."""
    fields = {"release": f"r{next(_turn)}", **fields}
    return Spec(jobs=tuple(msgspec.structs.replace(one, **fields) for one in farm() if one.name == name))


def _order(kind: str, name: str = "") -> Callable[[str], Any]:
    return lambda of: protocol.OrderRequest([of], kind, name, 9e9, stops=99)


def _select(of: str) -> Any:
    return protocol.SelectRequest([of], stops=99)


def _needs(verb: str) -> Callable[[str, bytes], bool]:
    """A plan says of each right that it needs whether who asks has it."""

    def shows(of: str, body: bytes) -> bool:
        needed = [one for one in msgspec.json.decode(body).get("needs", ()) if one["verb"] == verb]
        return bool(needed) and not any(one.get("why_not") for one in needed)

    return shows


PLAN = ("POST", "/plan")
GUARDED = Strategy(batches=(1,), guard="http://127.0.0.1:9/")
CASES: dict[str, list[Case]] = {
    "see": [
        Case(("GET", "/status"), lambda of: {"select": of}, shows=lambda of, body: f'"job":"{of}"'.encode() in body),
        Case(("GET", "/board"), lambda of: {}, shows=lambda of, body: of in msgspec.json.decode(body)["jobs"]),
    ],
    "stop": [Case(("POST", "/stop"), _select)],
    "hold": [Case(("POST", "/hold"), _select)],
    "start": [Case(("POST", "/start"), lambda of: protocol.SelectRequest([of], everyones=True))],
    "restart": [Case(("POST", "/order"), _order("restart"))],
    "retry": [Case(("POST", "/order"), _order("retry"))],
    "snooze": [Case(("POST", "/order"), _order("snooze"))],
    "wake": [Case(("POST", "/order"), _order("wake"))],
    "act": [Case(("POST", "/order"), _order("act", "dump"))],
    "act-any": [Case(("POST", "/order"), _order("act", "reset"))],
    "aside": [Case(("POST", "/aside"), lambda of: protocol.AsideRequest([HOSTS[of]], 9e9, stops=99))],
    "return": [Case(("POST", "/return"), lambda of: protocol.AsideRequest([HOSTS[of]], stops=99))],
    "pause": [Case(("POST", "/rollout"), lambda of: protocol.SteerRequest("pause"), whole=True)],
    "steer": [Case(("POST", "/rollout"), lambda of: protocol.SteerRequest("abort"), whole=True)],
    "preflight": [Case(("POST", "/preflight"), lambda of: protocol.PreflightRequest(Spec(jobs=_only(of)), [], 1.0))],
    "note": [Case(("POST", "/note"), lambda of: protocol.NoteRequest("beam is back"))],
    "apply": [
        Case(("POST", "/apply"), lambda of: protocol.ApplyRequest(changed(of), only=[of], stops=99, no_look=True)),
        Case(PLAN, lambda of: protocol.PlanRequest(changed(of), [of]), shows=_needs("apply")),
    ],
    "account": [
        Case(
            ("POST", "/apply"),
            lambda of: protocol.ApplyRequest(changed(of, user="daq"), only=[of], stops=99, no_look=True),
        )
    ],
    "guard": [Case(PLAN, lambda of: protocol.PlanRequest(changed(of), [of], GUARDED), True, _needs("guard"))],
    "logging": [
        Case(PLAN, lambda of: protocol.PlanRequest(_logged(of)), True, _needs("logging")),
    ],
    "borrow": [Case(("POST", "/borrow"), lambda of: protocol.BorrowRequest(of, HOSTS[of]))],
    "replace": [Case(("POST", "/replace"), lambda of: protocol.ReplaceRequest(HOSTS[of], "none", stops=99))],
    "console": [Case(("POST", "/console"), lambda of: protocol.ConsoleRequest(of, HOSTS[of]))],
    "sandbox": [
        Case(
            ("POST", "/sandboxes/read"),
            lambda of: protocol.ReadRequest([protocol.Piece("agent", f"{of}@{HOSTS[of]}.{LATER}", "stdout", 0, 1)]),
        )
    ],
    "propose": [Case(("POST", "/propose"), lambda of: ProposeRequest(changed(of), only=[of]))],
    "take-over": [
        Case(("POST", "/take"), lambda of: TakeRequest(message="why", force=True), whole=True),
    ],
    "control": [Case(("POST", "/take"), lambda of: TakeRequest(), whole=True)],
    "environment": [
        Case(("GET", "/revisions/{number}"), lambda of: {}, shows=lambda of, body: f"secret-of-{of}".encode() in body)
    ],
    "backup": [Case(("GET", "/backup"), lambda of: {}, whole=True)],
    "log": [Case(("GET", "/log"), lambda of: {}, whole=True), Case(("GET", "/log/{host}"), lambda of: {}, whole=True)],
    "audit": [Case(("GET", "/audit"), lambda of: {}, whole=True)],
    "rights": [Case(("GET", "/rights"), lambda of: {"user": "token:x"}, whole=True)],
    "tokens": [
        Case(("GET", "/tokens"), lambda of: {}, whole=True),
        Case(("POST", "/revoke"), lambda of: protocol.RevokeRequest("none"), whole=True),
        Case(("POST", "/token"), lambda of: protocol.TokenRequest(f"t{next(_turn)}", "viewer", 1.0), whole=True),
    ],
}


def _only(of: str) -> tuple[JobSpec, ...]:
    return tuple(one for one in farm() if one.name == of)


def _logged(of: str) -> Spec:
    return Spec(jobs=farm(), logging=LoggingSpec(index=f"logs-{next(_turn)}"))


def test_every_verb_and_every_operation_is_in_the_matrix() -> None:
    """A new verb, or a new route, has to be asked here, or this says why it is not."""
    # what wants something beforehand is asked in test_rights_steps.py, at the same doors
    assert set(VERBS) - set(CASES) == {"lines", "set"}
    asked = {case.operation for cases in CASES.values() for case in cases}
    alike = {
        ("GET", path) for path in "/progress /preflight/{id} /history /rollout /aside /why /stories /incidents /note /names".split()
    } | {("POST", path) for path in ("/rollback", "/restart", "/sandboxes")}  # fmt: skip
    alike |= {("POST", path) for path in "/approve /reject /withdraw /give /set".split()}  # test_rights_steps.py
    alike |= {("GET", path) for path in "/proposals /proposals/{number} /control /choices".split()}
    alike |= {("POST", "/choices/plan"), ("POST", "/plan/hidden"), ("GET", "/events")}
    alike |= {("POST", f"/consoles/{{id}}/{one}") for one in ("read", "keys", "leave")}  # of who is attached
    alike |= {("POST", path) for _, path in OPERATIONS if path.startswith("/lines")}
    anybody = {key for key, one in OPERATIONS.items() if not one.takes}
    assert asked | alike | anybody == set(OPERATIONS)
    assert not asked & alike


@pytest.fixture
def doors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Doors]:
    quick_hashes(monkeypatch)
    made = Doors(tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("door", DOORS)
def test_everybody_may_what_the_table_says_and_nothing_else(doors: Doors, door: str) -> None:
    """What is given is not refused by a right; what is not given is, or is as if it were not there, and changes nothing."""
    counts: Counter[bool] = Counter()
    done: set[str] = set()
    for subject in SUBJECTS:
        http = getattr(doors, door)(called(subject))
        for verb, cases in CASES.items():
            for case, of in itertools.product(cases, OWNERS):
                given = may(subject, verb, of, case)
                before = doors.daemon.ask(
                    lambda engine, now: (engine.logbook[-1:], engine.revision, engine.holds.copy())
                ).result(10)
                found = ask(http, case, of)
                about = (door, called(subject), verb, of, found.status_code, found.text[:300])
                code = found.json()["code"] if found.status_code != 200 else ""
                assert not code or CODES[code].status == found.status_code, about
                counts[given] += 1
                if found.status_code == 200 and case.shows is not None:
                    assert case.shows(of, found.content) == given, about
                elif given:
                    assert code in ("", "refused", "invalid", "unavailable"), about
                    assert code != "invalid" or "there is no job" not in found.text, about
                else:
                    hidden = code == "invalid" and not may(subject, "see", of, Case(("GET", "/status"), lambda of: {}))
                    assert code == "no-right" or hidden, about
                if found.status_code == 200:
                    done.add(verb)
                if found.status_code == 200 and case.operation == ("POST", "/take"):
                    back = ask(http, Case(("POST", "/give"), lambda of: GiveRequest()), of)
                    assert back.status_code == 200, (about, back.text)
                if not given:
                    after = doors.daemon.ask(
                        lambda engine, now: (engine.logbook[-1:], engine.revision, engine.holds.copy())
                    ).result(10)
                    assert before == after, about
    assert counts[True] > 150 and counts[False] > 150, counts
    # what nothing here lets happen: no rollout is under way, no agent answers, no host is set aside for it, no such agent or token
    assert set(CASES) - done <= {"pause", "steer", "borrow", "replace", "sandbox", "log"}, set(CASES) - done


@pytest.mark.parametrize("door", DOORS)
def test_somebody_elses_control_holds_at_every_door(doors: Doors, door: str) -> None:
    """What takes control is refused to all who may do it, an admin too, with who has it; all else is as before."""
    taken = doors.token("expert-farm").post(
        "/v1/take",
        content=msgspec.json.encode(TakeRequest(message="beam")),
        headers={"content-type": "application/json"},
    )
    assert taken.status_code == 200, taken.text
    counts: Counter[bool] = Counter()
    http = getattr(doors, door)("admin-farm")
    for verb, cases in CASES.items():
        for case, of in itertools.product(cases, OWNERS):
            before = doors.state()
            body = msgspec.structs.replace(case.asked(of), write=True) if verb == "console" else None
            found = ask(http, case if body is None else case._replace(asked=lambda of, body=body: body), of)
            about = (door, verb, of, found.status_code, found.text[:300])
            told = found.status_code != 200 and "is in control of the farm, since" in found.json()["error"]
            takes = verb in CONTROLLED or verb in ("control", "account")
            assert told == (takes and case.operation != PLAN), about
            if case.operation == PLAN:
                assert "is in control of the farm, since" in msgspec.json.decode(found.content)["refused"], about
            if told:
                assert found.status_code == 403 and found.json()["code"] == "refused", about
                assert "token:expert-farm is in control" in found.text and "beam)" in found.text, about
                assert doors.state() == before, about
            counts[told] += 1
            if verb == "take-over":
                assert found.status_code == 200 and found.json()["control"][0]["before"] == "token:expert-farm", about
                ask(
                    doors.token("expert-farm"),
                    Case(("POST", "/take"), lambda of: TakeRequest(message="beam", force=True)),
                    of,
                )
    assert counts[True] > 30 and counts[False] > 20, counts
