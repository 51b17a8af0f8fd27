"""Role × verb × owner × door of what wants something beforehand: what is set, proposals that wait, control that is had, lines."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Callable, NamedTuple, Optional

import httpx
import pytest

from all_doors import DOORS, HOSTS, OWNERS, SUBJECTS, Case, Doors, ask, called, may, quick_hashes
from daqsched import protocol
from daqsched.control import GiveRequest, TakeRequest
from daqsched.jobfile.alternatives import load_with_choices
from daqsched.problems import CODES
from daqsched.rights.verbs import Role
from daqsched.serve.searches import SearchAccount
from daqsched.spec import Spec
from slow_elastic import EMPTY, SlowElastic

FILE = """
from daqsched import Job, variable
jobs = [
    Job("mine", "/bin/run", hosts="hlt01", owner="trigger", version=variable("of_mine", "r1", shifter=["r1", "r2"])),
    Job("theirs", "/bin/hv", hosts="hlt02", owner="power", version=variable("of_theirs", "r1", shifter=["r1", "r2"])),
]
"""
Somebody = tuple[Optional[Role], bool]


@pytest.fixture
def elastic() -> Iterator[SlowElastic]:
    """It has a line of each job, and finds both whatever it is asked: what is left out the daemon leaves out."""
    made = SlowElastic()
    hits = [
        {
            "_id": of,
            "_index": "logs-2026.11.28",
            "sort": [number],
            "_source": {
                "@timestamp": "2026-11-28T10:00:00.000000Z",
                "message": f"line-of-{of}",
                "host": {"name": HOSTS[of]},
                "service": {"name": of},
                "event": {"dataset": "daqsched.task"},
                "daqsched": {"stream": "stdout"},
            },
        }
        for number, of in enumerate(OWNERS)
    ]
    made.answer = {**EMPTY, "hits": {"hits": hits, "total": {"value": 2}}}
    yield made
    made.close()


@pytest.fixture
def doors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, elastic: SlowElastic) -> Iterator[Doors]:
    quick_hashes(monkeypatch)
    made = Doors(tmp_path, SearchAccount(elastic.url))
    yield made
    made.web.serve.api.searches.close()
    made.close()


class Step(NamedTuple):
    """A request, after what has to be there is there."""

    path: str
    verb: str
    #: What root does before, and the body that is asked with then.
    ready: Callable[[Doors, str], Any]
    #: Who may it of some jobs is not refused by a right, whichever it is about.
    anywhere: bool = False
    #: What it changes takes control.
    controlled: bool = True
    #: Who may is refused all the same, and in these words.
    refused: str = ""


def file_of(doors: Doors, **given: str) -> Any:
    path = doors.web.folder / "choices.py"
    path.write_text(FILE)
    return evaluated(path, tuple(given.items()))


@cache
def evaluated(path: Path, given: tuple[tuple[str, str], ...]) -> Any:
    """The same for the same file and values, hundreds of times: nothing changes what it comes to."""
    return load_with_choices(path, dict(given))


def settable(doors: Doors, of: str) -> Any:
    """The file is in force, with the first value of its variables."""
    found = file_of(doors)
    doors.web.serve.client.apply(found.spec, choices=found.choices, stops=99, no_look=True)
    return protocol.SetRequest([f"of_{of}=r2"], stops=99, no_look=True)


def proposed(doors: Doors, of: str) -> int:
    """Somebody else has proposed to change that job."""
    settable(doors, of)
    waiting = doors.web.serve.client.proposals().waiting
    for one in waiting:
        doors.web.serve.client.reject(one.number)
    jobs = file_of(doors, **{f"of_{of}": "r2"}).spec.jobs
    spec = Spec(jobs=tuple(one for one in jobs if one.name == of))
    return doors.web.serve.client.propose(spec, "beam", [of]).proposal.number


def approvable(doors: Doors, of: str) -> Any:
    seen = doors.web.serve.client.proposal(proposed(doors, of))
    return protocol.ApproveRequest(seen.proposal.number, seen.proposal.digest, seen.plan.base, stops=99, no_look=True)


def closable(doors: Doors, of: str) -> Any:
    return protocol.CloseRequest(proposed(doors, of))


def held(doors: Doors, of: str) -> Any:
    """Root is in control."""
    doors.web.serve.client.take(None, 3600.0, "beam", force=True)
    return GiveRequest()


STEPS = [
    Step("/set", "set", settable),
    Step("/approve", "apply", approvable),
    Step("/reject", "apply", closable),
    Step("/withdraw", "propose", closable, controlled=False, refused="who may withdraw it"),
    Step("/give", "control", held, anywhere=True, controlled=False, refused="is in control of the farm, since"),
]


def state(doors: Doors) -> Any:
    """What changes would have changed."""
    return doors.daemon.ask(
        lambda engine, now: (
            engine.logbook[-1:],
            engine.revision,
            [one.number for one in engine.proposals.waiting],
            dict(engine.controls),
        )
    ).result(10)


def asked(http: httpx.Client, path: str, body: Any) -> httpx.Response:
    return ask(http, Case(("POST", path), lambda of: body), "")


def judged(doors: Doors, http: httpx.Client, who: Somebody, step: Step, of: str, body: Any) -> bool:
    """Ask, look that it went as the table says, and tell whether it was given; else all is as before."""
    case = Case(("POST", step.path), lambda of: body)
    given, before = may(who, step.verb, "mine" if step.anywhere else of, case), state(doors)
    found = asked(http, step.path, body)
    about = (called(who), step.path, of, found.status_code, found.text[:300])
    code = found.json()["code"] if found.status_code != 200 else ""
    assert not code or CODES[code].status == found.status_code, about
    if given and not step.refused:
        assert found.status_code == 200, about
        assert state(doors) != before, about
        return True
    if given:
        assert code == "refused" and step.refused in found.text, about
    else:
        hidden = code == "invalid" and not may(who, "see", of, Case(("GET", "/status"), lambda of: {}))
        assert code == "no-right" or hidden, about
    assert state(doors) == before, about
    return False


@pytest.mark.parametrize("door", DOORS)
def test_everybody_may_what_the_table_says_and_nothing_else(doors: Doors, door: str) -> None:
    """What is given is done; what is not given is refused by a right, or is as if it were not there, and changes nothing."""
    counts: Counter[tuple[str, bool]] = Counter()
    for step, of in itertools.product(STEPS, OWNERS):
        given = True
        for who in SUBJECTS:
            if given:  # what was refused is there for the next one
                body = step.ready(doors, of)
            http = getattr(doors, door)(called(who))
            given = judged(doors, http, who, step, of, body)
            counts[step.path, given] += 1
        if step.path == "/give":
            doors.web.serve.client.give(None)
    for step in STEPS:
        assert counts[step.path, False] > 5 and (step.refused or counts[step.path, True] > 5), counts


@pytest.mark.parametrize("door", DOORS)
def test_what_is_ones_own_is_withdrawn_and_given_back(doors: Doors, door: str) -> None:
    """A proposal by who made it, control by who took it; given to somebody, it is his."""
    counts: Counter[bool] = Counter()
    for who in SUBJECTS:
        http = getattr(doors, door)(called(who))
        for of in OWNERS:
            settable(doors, of)
            spec = file_of(doors, **{f"of_{of}": "r2"}).spec
            mine = asked(http, "/propose", protocol.ProposeRequest(spec, only=[of]))
            may_propose = may(who, "propose", of, Case(("POST", "/propose"), lambda of: None))
            assert (mine.status_code == 200) == may_propose, (called(who), of, mine.text)
            counts[may_propose] += 1
            if may_propose:
                number = mine.json()["proposal"]["number"]
                done = asked(http, "/withdraw", protocol.CloseRequest(number))
                assert done.status_code == 200 and done.json()["waiting"] == [], done.text
        taken = asked(http, "/take", TakeRequest())
        may_take = may(who, "control", "mine", Case(("POST", "/take"), lambda of: None, True))
        assert (taken.status_code == 200) == may_take, (called(who), taken.text)
        if may_take:
            for to, known in (("token:viewer-farm", False), ("token:stranger", False), ("token:shifter-farm", True)):
                given = asked(http, "/give", GiveRequest(to=to))
                assert (given.status_code == 200) == known, (called(who), to, given.text)
                # called as where he asks himself
                assert not known or given.json()["control"][0]["user"] == to, given.text
            back = asked(doors.token("shifter-farm"), "/give", GiveRequest())
            assert back.status_code == 200 and back.json()["control"] == [], back.text
    assert counts[True] > 8 and counts[False] > 5, counts


@pytest.mark.parametrize("door", DOORS)
def test_somebody_elses_control_holds_for_these_too(doors: Doors, door: str) -> None:
    """What changes jobs, or decides of it, is refused to an admin; to take back what is one's own is not."""
    http = getattr(doors, door)("admin-farm")
    for step, of in itertools.product(STEPS, OWNERS):
        body = step.ready(doors, of)
        doors.web.serve.client.take(None, 3600.0, "beam", force=True)
        before = state(doors)
        found = asked(http, step.path, body)
        about = (step.path, of, found.status_code, found.text[:300])
        told = found.status_code != 200 and "is in control of the farm, since" in found.json()["error"]
        assert told == (step.controlled or step.path == "/give"), about
        assert (state(doors) == before) == (found.status_code != 200), about
        doors.web.serve.client.give(None)


LINES: dict[str, Any] = {
    "/lines": protocol.LinesRequest(),
    "/lines/count": protocol.CountLinesRequest(by=["job"]),
    "/lines/examples": protocol.LineExamplesRequest(fingerprints=["x"]),
    "/lines/context": protocol.LinesContextRequest(at=1.8e9),
    "/lines/new": protocol.NewLinesRequest(after=1.7e9),
    "/lines/follow": protocol.FollowLinesRequest(),
    "/lines/dead": protocol.DeadLettersRequest(),
}


def reads(who: Somebody, of: str) -> bool:
    """By the rules: a viewer has no word for lines."""
    role, everywhere = who
    return role is not None and role >= Role.shifter and (everywhere or OWNERS[of] == "trigger")


@pytest.mark.parametrize("door", DOORS)
def test_lines_are_told_to_whom_the_rules_give_them(doors: Doors, door: str, elastic: SlowElastic) -> None:
    """Of all that is found those of one's own jobs; who may read none is refused by a right, and Elasticsearch is not asked."""
    counts: Counter[bool] = Counter()
    for who in SUBJECTS:
        http = getattr(doors, door)(called(who))
        for path, body in LINES.items():
            searched = len(elastic.bodies)
            found = asked(http, path, body)
            about = (called(who), path, found.status_code, found.text[:500])
            counts[any(reads(who, of) for of in OWNERS)] += 1
            if not any(reads(who, of) for of in OWNERS):
                assert found.status_code == 403 and found.json()["code"] == "no-right", about
                assert len(elastic.bodies) == searched, about
                continue
            # by the socket all of these are one person, who may not follow in so many places
            busy = path == "/lines/follow" and "you follow lines in 4 places already" in found.text
            assert found.status_code == 200 or busy or path == "/lines/examples", about
            for of in OWNERS:
                assert f"line-of-{of}" not in found.text or reads(who, of), about
                assert path != "/lines" or (f"line-of-{of}" in found.text) == reads(who, of), about
    assert counts[True] > 20 and counts[False] > 10, counts
    assert set(LINES) == {path for _, path in doors_of_lines()}


def doors_of_lines() -> set[tuple[str, str]]:
    from daqsched.operations import OPERATIONS

    return {key for key in OPERATIONS if key[1].startswith("/lines")}
