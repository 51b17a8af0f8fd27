"""A type of check is its entry in `contract.CHECK_TYPES`, its word in `jobfile.checks.CHECK_WORDS`, and its probe in
`run.probes.PROBES`: nothing else knows it by its name."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Callable, ClassVar, NamedTuple

import pytest

from daqsched.errors import JobFileError
from daqsched.fill import payload
from daqsched.jobfile.check_rules import _OF_ANY_TYPE
from daqsched.jobfile.checks import CHECK_WORDS
from daqsched.jobfile.checks import Check as Word
from daqsched.jobfile.conflicts import check
from daqsched.jobfile.convert import WORDS
from daqsched.jobfile.load import load
from daqsched.spec import decode, encode
from daqsched_executor.contract import CHECK_TYPES, ContractError, Payload, task_of
from daqsched_executor.contract.checks import ASKED, FILLED_IN, HEARD, LOOKED, Check, CheckType, given, port, positive
from daqsched_executor.life.commands import Ask, Command, Signal, Tell
from daqsched_executor.life.events import Event, Notice, Notified
from daqsched_executor.run.checks import Checks
from daqsched_executor.run.probes import PROBES, Answer, Begun, ForkedQueries, Means, Probing
from story import Story

ROOT = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True)
class EpicsCheck(Word):
    """A record has a value: each answer counts."""

    kind: ClassVar[str] = "epics"
    path: str
    port: object
    name: str = "epics"
    interval_s: float = 2.0


@dataclass(frozen=True)
class EventsCheck(Word):
    """A counter goes on: a silence counts."""

    kind: ClassVar[str] = "events"
    path: str
    silence_s: float
    name: str = "events"
    grace_s: float = 1.0


@dataclass(frozen=True)
class BeaconCheck(Word):
    """The program says so: nobody asks."""

    kind: ClassVar[str] = "beacon"
    silence_s: float
    name: str = "beacon"


def answers(answer: tuple[bool, str]) -> Callable[[Means, ForkedQueries, int, Check, Payload], Probing]:
    """A probe that answers at once, with what it asks for."""

    def made(means: Means, queries: ForkedQueries, number: int, check: Check, payload: Payload) -> Probing:
        def ask(since: float, begun: Begun, answered: Answer) -> None:
            ok, why = answer
            answered(ok, why.format(check=check, payload=payload, since=since))

        return ask

    return made


class MadeUp(NamedTuple):
    """A type of check that nobody has written, in all its tables, and what comes of it."""

    word: type[Word]
    type: CheckType
    probe: Any
    #: In a job file; what is wrong, and what is said then.
    written: str
    wrong: str
    sentence: str
    #: Before it passes, and what ends the program where it never does.
    not_ready: str
    ailment: str


MADE_UP = [
    MadeUp(
        EpicsCheck,
        CheckType(
            ASKED, {"path": given, "port": port}, not_yet=lambda check: "has no value", who=lambda check: check.path
        ),
        answers((False, "{check.path} at {check.place} is {payload.job}'s, and 0")),
        '"{host}:VOLTAGE", "ca"',
        '"{host}:VOLTAGE", 0',
        "check[epics].port: is missing: a number, or the name of one of the job's ports",
        "pid 4711 started, not ready yet: epics has no value",
        "check epics failed 3 times in a row: hlt02:VOLTAGE at 127.0.0.1:5064 is readout's, and 0",
    ),
    MadeUp(
        EventsCheck,
        CheckType(
            LOOKED,
            {"path": given, "silence_s": positive},
            not_yet=lambda check: "has counted nothing",
            silence=lambda check, before, length: f"{check.path} stands still for {length}",
        ),
        answers((False, "it is 17")),
        '"{job}.count", silence_s=4',
        '"{jb}.count", silence_s=4',
        "check[events].path: '{jb}.count': no placeholder '{jb}'",
        "pid 4711 started, not ready yet: events has counted nothing",
        "check events failed: readout.count stands still for 4.0 s (it is 17)",
    ),
    MadeUp(
        BeaconCheck,
        CheckType(
            HEARD,
            {"silence_s": positive},
            not_yet=lambda check: "has lit no beacon",
            silence=lambda check, before, length: f"no beacon for {length}",
        ),
        None,
        "silence_s=4",
        "silence_s=0",
        "check[beacon].silence_s: must be more than 0, not 0",
        "pid 4711 started, not ready yet: beacon has lit no beacon",
        "check beacon failed: no beacon for 30.0 s",
    ),
]


@pytest.fixture(params=MADE_UP, ids=lambda made: made.word.kind)
def made_up(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> MadeUp:
    """A type of check that is entered in the tables, and nowhere else."""
    made: MadeUp = request.param
    monkeypatch.setitem(CHECK_TYPES, made.word.kind, made.type)
    monkeypatch.setitem(CHECK_WORDS, made.word.kind, made.word)
    if made.probe is not None:
        monkeypatch.setitem(PROBES, made.word.kind, made.probe)
    return made


def job_file(folder: Path, kind: str, written: str) -> Path:
    """A job with such a check."""
    path = folder / "jobs.py"
    path.write_text(
        "from daqsched import Job, Resources\n"
        "from daqsched.jobfile.checks import CHECK_WORDS\n"
        "jobs = [\n"
        '    Job("readout", "/bin/readout", hosts="hlt[01-02]", resources=Resources(ports={"ca": 5064}),\n'
        f'        check=CHECK_WORDS["{kind}"]({written})),\n'
        "]\n"
    )
    return path


class Watched:
    """A program whose checks are carried out."""

    def __init__(self, job: Payload) -> None:
        self.heard: list[Event] = []
        self.commands: list[Command] = []
        nothing: Any = None
        program: Any = SimpleNamespace(notify="")
        self.checks = Checks(nothing, nothing, program, nothing, "/sandbox", self.heard.append, print, nothing)
        if any(check.type.way != HEARD for check in job.checks):  # to be heard takes a socket
            self.checks.begin(job, lambda: None)
        self.story = Story(job)
        self.follow(self.story.run())

    def follow(self, commands: list[Command]) -> None:
        """Perform what is commanded, and what is commanded then."""
        while commands or self.heard:
            for command in commands:
                if isinstance(command, Ask):
                    self.checks.ask(command)
            self.commands += commands
            commands = self.story.happen(self.heard.pop(0)) if self.heard else []

    @property
    def ended(self) -> bool:
        """Whether the program was told to end."""
        return any(isinstance(command, Signal) for command in self.commands)

    @property
    def told(self) -> list[str]:
        """The sentences of the reports."""
        return [command.message for command in self.commands if isinstance(command, Tell)]


def test_a_type_is_taken_from_a_job_file_to_a_probe_and_its_sentence(made_up: MadeUp, tmp_path: Path) -> None:
    """It is written, sent, filled in, handed over, asked, judged, and said."""
    spec = decode(encode(load(job_file(tmp_path, made_up.word.kind, made_up.written))))
    check(spec)
    told = task_of(payload(spec.jobs[0], "hlt02", "readout@hlt02.1").to_json())
    assert isinstance(told, Payload) and [one.kind for one in told.checks] == [made_up.word.kind]
    watched = Watched(told)
    assert watched.told[-1].startswith(made_up.not_ready)
    for _ in range(100):
        if watched.ended:
            break
        watched.follow(watched.story.due())
    assert watched.ended and any(made_up.ailment in said for said in watched.told)


def test_a_type_that_passes_makes_ready(made_up: MadeUp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing is said of it any more."""
    if made_up.probe is not None:
        monkeypatch.setitem(PROBES, made_up.word.kind, answers((True, "")))
    (job,) = load(job_file(tmp_path, made_up.word.kind, made_up.written)).jobs
    watched = Watched(payload(job, "hlt02", "readout@hlt02.1"))
    watched.follow(watched.story.happen(Notified(Notice(ready=True))) if made_up.probe is None else watched.story.due())
    assert watched.told[-1] == "pid 4711 since clock 100"
    assert watched.story.state.health is not None and watched.story.state.health.ready


def test_what_is_wrong_with_it_is_said_with_the_files_line(made_up: MadeUp, tmp_path: Path) -> None:
    """By the rules of its entry."""
    with pytest.raises(JobFileError) as caught:
        load(job_file(tmp_path, made_up.word.kind, made_up.wrong))
    assert caught.value.line in (4, 5) and made_up.sentence in caught.value.sentence


def test_a_type_that_is_not_known_is_refused_on_both_sides(tmp_path: Path) -> None:
    """A daemon says which there are; an executor, which may be older than the daemon, fails the task and guesses nothing."""
    path = job_file(tmp_path, "tcp", '"ca"')
    (job,) = load(path).jobs
    text = payload(job, "hlt02", "readout@hlt02.1").to_json().replace(b'"kind":"tcp"', b'"kind":"epics"')
    with pytest.raises(ContractError, match="a check of kind 'epics' is unknown here: install the newer one"):
        task_of(text)


def test_each_type_is_in_all_tables_and_has_what_its_way_needs() -> None:
    """What is asked or looked for has a probe, what waits for a sign of life says what did not come; words and fields fit."""
    asked = {kind for kind, type in CHECK_TYPES.items() if type.way != HEARD}
    assert set(PROBES) == asked and set(CHECK_WORDS) == set(CHECK_TYPES)
    known = {field.name for field in fields(Check)} - {"kind", "name"}
    any_type = {"grace_s", "interval_s", "timeout_s", "failures", "unhealthy"}
    assert set(FILLED_IN) <= known
    words: dict[str, Any] = {**CHECK_WORDS}  # a protocol has no fields, these classes do
    for kind, type in CHECK_TYPES.items():
        assert type.way in (ASKED, LOOKED, HEARD) and (type.silence is None) == (type.way == ASKED)
        assert set(type.fields) <= known
        spelled = {field.name for field in fields(words[kind])}
        assert {WORDS.get(field, field) for field in type.fields} == spelled - any_type - {"name"}, kind


def test_a_field_without_a_rule_of_its_type_has_one_of_any_type() -> None:
    """None in a type's entry means the rule of any type: without one the field would have none, in silence."""
    for kind, type in CHECK_TYPES.items():
        without = {field for field, rule in type.fields.items() if rule is None}
        assert without <= set(_OF_ANY_TYPE), kind
    assert set(_OF_ANY_TYPE) == {field.name for field in fields(Check)} - {"kind", "name"}


# ---------------------------------------------------------------------------------- nothing else knows


#: The tables.
TABLES = (
    "executor/daqsched_executor/contract/checks.py",
    "executor/daqsched_executor/run/probes.py",
    "framework/daqsched/jobfile/checks.py",
)

#: Who compares with the same word, and means something else.
OTHERS = {
    "executor/daqsched_executor/forward/delivery/connection.py": "the scheme of a URL",
    "framework/daqsched/logs/node.py": "the scheme of a URL",
    "framework/daqsched/jobfile/rules.py": "the field `command` of a job, which has its limit together with `env`",
}


def compared(text: str, kinds: set[str]) -> Iterator[tuple[int, str]]:
    """The line, and the word, wherever a value is compared with the name of a type, or looked up by names of several."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
        elif isinstance(node, ast.Dict):
            sides = [key for key in node.keys if key is not None]
        elif isinstance(node, (ast.Tuple, ast.List, ast.Set)):
            sides = node.elts
        else:
            continue
        words = [
            part.value
            for side in sides
            for part in ast.walk(side)
            if isinstance(part, ast.Constant) and part.value in kinds
        ]
        if isinstance(node, ast.Compare) or len(words) > 1:
            yield from ((node.lineno, word) for word in words)


@pytest.mark.once
def test_no_name_of_a_type_is_compared_outside_of_the_tables() -> None:
    """So a new type needs no second place."""
    found = {}
    for root in ("executor", "framework"):
        for path in (ROOT / root).rglob("*.py"):
            name = str(path.relative_to(ROOT))
            lines = list(compared(path.read_text(encoding="utf-8"), set(CHECK_TYPES)))
            if lines and name not in TABLES:
                found[name] = lines
    assert set(found) == set(OTHERS), found


@pytest.mark.parametrize(
    "text",
    [
        'check.kind == "tcp"',
        '"tcp" != kind',
        'kind in ("tcp", "udp")',
        'kind in {"output"}',
        '{"tcp": 1, "http": 2}.get(kind)',
        'LOOKED = ("output", "file")',
    ],
)
def test_a_comparison_is_found_in_every_spelling(text: str) -> None:
    """Else the test above would be content with nothing."""
    assert list(compared(text, set(CHECK_TYPES)))


def test_what_only_names_a_type_is_no_comparison() -> None:
    """A check that is made, or a field that is called like a type."""
    assert not list(compared('CheckSpec(kind="heartbeat", name="loop"); fields["file"]; {"file": 1}', set(CHECK_TYPES)))
