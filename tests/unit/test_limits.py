"""Everything from outside has an upper bound, said in one table; what is within it can be kept, launched and told."""

from __future__ import annotations

import re
import time
from functools import cache
from pathlib import Path
from typing import Any, Callable

import msgspec
import pytest

from builders import World, job, offer, rows
from daqsched.engine import events
from daqsched.engine.commands import TaskToLaunch
from daqsched.errors import UserError
from daqsched.fill import payload
from daqsched.hosts import expand
from daqsched.jobfile.conflicts import check
from daqsched.limits import ENTRIES, NUMBERS, TABLE, TEXTS, Limit, number, refusal, shown, unprintable
from daqsched.mesos.outgoing import Framework, checked, task_info
from daqsched.protocol import ApplyRequest
from daqsched.rollout import Strategy
from daqsched.rollout import check as check_strategy
from daqsched.select import selection
from daqsched.serve.body import read
from daqsched.spec import JobSpec, LoggingSpec, Spec, decode, encode
from daqsched.task import Record
from daqsched_executor.contract import Payload, Stop
from hostile import REQUESTS, mutated

ROOT = Path(__file__).resolve().parent.parent.parent


def test_the_reference_shows_the_table() -> None:
    """As it is, in its order."""
    page = (ROOT / "docs/reference/limits.md").read_text(encoding="utf-8")
    rows = [tuple(cell.strip() for cell in row.split("|")) for row in re.findall(r"^\| (.*) \|$", page, re.MULTILINE)]
    assert rows[2:] == [(what, str(limit), limit.why) for what, limit in TABLE.items()]


def test_every_limit_is_in_the_table() -> None:
    """A field has none that nobody can read about."""
    assert {*TEXTS.values(), *ENTRIES.values(), *NUMBERS.values()} <= set(TABLE.values())


@pytest.mark.parametrize("path", REQUESTS)
def test_a_hostile_value_in_any_field_is_one_sentence_or_can_be_kept_and_launched(path: str) -> None:
    """Huge, no number, of a wrong type, a megabyte of text, half a character, a terminal's escapes: every field of every
    request. What is taken survives the store and can be put into words for Mesos."""
    tried = taken = 0
    for field, data in mutated(REQUESTS[path]):
        tried += 1
        try:
            body: Any = read(data, type(REQUESTS[path]))
            if isinstance(getattr(body, "spec", None), Spec):
                check(body.spec)
            if getattr(body, "strategy", None) is not None:
                check_strategy(body.strategy)
            for words in (getattr(body, "select", ()), getattr(body, "only", ())):
                selection(words)
        except UserError as error:
            sentence = str(error)
            assert 0 < len(sentence) < 2000 and sentence.isprintable(), (field, sentence)
            continue
        taken += 1
        if isinstance(getattr(body, "spec", None), Spec):
            _survives(body.spec)
    assert tried > 30 and taken


@pytest.mark.parametrize("path", REQUESTS)
def test_a_request_is_read_as_it_was_written(path: str) -> None:
    """Also one with a job file, which is read job by job."""
    assert read(msgspec.json.encode(REQUESTS[path]), type(REQUESTS[path])) == REQUESTS[path]


@cache
def names() -> str:
    """Made when a test needs them: each worker reads this file, and what is in its cases it would keep."""
    return ",".join(f'"{number:07x}":""' for number in range(900_000))


@cache
def words() -> str:
    return ",".join(['""'] * 900_000)


def jobs(*fields: str) -> str:
    """A request with a job of each of these."""
    each = (f'{{"name":"a","argv":["x"],"hosts":["h"],{field}}}' for field in fields)
    return '{"spec":{"jobs":[' + ",".join(each) + "]}}"


@pytest.mark.once
@pytest.mark.parametrize(
    "made_of",
    [
        pytest.param(lambda: '{"spec":{"jobs":[]},' + names() + "}", id="fields of the request"),
        pytest.param(lambda: '{"spec":{' + names() + "}}", id="fields of the spec"),
        pytest.param(lambda: jobs(names()), id="fields of a job"),
        pytest.param(lambda: jobs('"env":{' + names() + "}"), id="a mapping"),
        pytest.param(lambda: jobs('"stop":{' + names() + "}"), id="fields of a part"),
        pytest.param(lambda: jobs(*['"env":{}'] * 250_000), id="jobs"),
        pytest.param(lambda: '{"spec":{"jobs":[' + words() + "]}}", id="jobs that are none"),
        pytest.param(lambda: '{"spec":{"logging":{"files":[' + words() + "]}}}", id="files"),
        pytest.param(lambda: '{"spec":{},"only":[' + words() + "]}", id="words"),
        pytest.param(lambda: '{"spec":{"jobs":[' + "0," * 7_000_000 + "0]}}", id="more commas than any"),
    ],
)
def test_no_body_keeps_the_decoder_long(made_of: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> None:
    """It lets no other thread work meanwhile: nothing is made of more than a whole job at once."""
    made: list[int] = []
    decode = msgspec.json.decode

    def noted(data: Any, type: Any = Any) -> Any:
        outline = type == list[msgspec.Raw] or (isinstance(type, msgspec.StructMeta) and type not in KINDS)
        made.append(0 if outline else len(memoryview(data)))
        return decode(data, type=type)

    monkeypatch.setattr(msgspec.json, "decode", noted)
    with pytest.raises(UserError) as error:
        read(made_of().encode(), ApplyRequest)
    assert len(str(error.value)) < 2000 and max(made, default=0) <= TABLE["a whole job, as JSON"].most


#: What is made of a whole part of a request.
KINDS = frozenset([ApplyRequest, Spec, JobSpec, LoggingSpec, Strategy])


def _survives(spec: Spec) -> None:
    assert decode(encode(spec)) == spec
    for one in spec.jobs:
        for host in expand(one.hosts)[:1] or ("hlt01",):
            told = payload(one, host, f"{one.name}@{host}.1")
            assert Payload.from_json(told.to_json()) == told
            checked(task_info(Framework("daq"), TaskToLaunch(told, one.cpus, one.mem, one.disk), "agent"))


@pytest.mark.parametrize(
    "patterns",
    [
        "[1-9]" * 800,
        "[0-99999][0-99999]",
        "h" + "[1,1,1,1,1,1,1,1,1,1]" * 90,
        "h[" + "9" * 3000 + "]",
        ["h[1-60000]", "h[1-60000]"],
        "[1-2]" * 600 + "!",
    ],
    ids=lambda value: str(value)[:20],
)
def test_hosts_are_counted_before_they_are_made(patterns: Any) -> None:
    """Five kilobytes that stand for more than all memory are refused as fast as any other mistake."""
    began = time.process_time()
    with pytest.raises(UserError) as caught:
        expand(patterns)
    assert time.process_time() - began < 1.0 and len(str(caught.value)) < 500


@pytest.mark.once
def test_a_farm_has_its_limit_too() -> None:
    """A job within its own is one too many beside others."""
    jobs = tuple(job(f"j{at}", hosts="h[1-90000]") for at in range(6))
    with pytest.raises(UserError, match="more than 500,000 instances"):
        check(Spec(jobs=jobs))


@pytest.mark.parametrize(
    "words", [["a"] * 1001, ["a*"] * 51, ["*a" * 11], ["x" * 1001], ["a@h[1-60000]", "b@h[1-60000]"], ["\x1b[2J"]]
)
def test_a_selection_that_is_too_much_is_refused(words: list[str]) -> None:
    """Each word costs something for each instance."""
    with pytest.raises(UserError) as caught:
        selection(words)
    assert len(str(caught.value)) < 500 and str(caught.value).isprintable()


@pytest.mark.once
def test_a_selection_of_many_names_costs_no_more_than_one() -> None:
    """A quarter of a million instances are looked at within a second or two, whatever the words."""
    chosen = selection([f"j{at % 25}@h{at}" for at in range(1000)])
    began = time.process_time()
    assert sum(chosen(f"j{at % 25}", f"h{at}") for at in range(250_000)) == 1000
    assert time.process_time() - began < 5.0


def test_a_number_is_within_its_bounds_or_a_sentence() -> None:
    """Both ends, and what is no number."""
    limit = Limit(10, "seconds", "")
    assert number(10, limit) == number(-10, limit) == ""
    assert number(10.5, limit) == "must be at most 10 seconds, not 10.5"
    assert number(-11, limit) == "must be at least -10 seconds, not -11"
    assert number(float("nan"), limit) == "must be a number, not NaN"
    assert "1,000 bits" in number(1 << 999)


def test_the_place_is_told_in_the_words_of_the_spec() -> None:
    """By name where there is one."""
    spec = Spec(jobs=(job("a"), job("b", stop=Stop(grace_s=1e300))))
    assert refusal(spec) == ("jobs[b].stop.grace_s", "must be at most 315,360,000 seconds, not 1e+300")
    assert refusal(Record()) is None


@pytest.mark.parametrize("text", ["two\nlines", "\u2028", "\x1b[2J", "\x9b2J", "\u202e", "\u2066", "\ud800"])
def test_what_a_terminal_would_obey_is_no_name_and_no_message(text: str) -> None:
    """Letters of all languages are."""
    assert unprintable(text) and refusal(job(owner=text))
    assert not unprintable("gr\u00fc\u00dfe, \u65e5\u672c")


def test_a_wrong_value_is_shown_in_short() -> None:
    """Whatever its kind."""
    for value in ("x" * 9999, b"x" * 9999, 10**9999, list(range(9999)), {str(one): 1 for one in range(9999)}):
        assert len(shown(value)) < 300


def test_a_secret_in_the_environment_is_in_no_sentence() -> None:
    """Sentences go into the daemon's log."""
    for value in ("canary{", "{canary}", "canary\0", "canary\ud800", "canary" * 30_000):
        with pytest.raises(UserError) as caught:
            check(Spec(jobs=(job(env={"TOKEN": value}),)))
        assert "canary" not in str(caught.value) and "env" in str(caught.value)


def _launched(stop: Stop) -> TaskToLaunch:
    one = job(stop=stop)
    return TaskToLaunch(payload(one, "hlt01", "readout@hlt01.1"), one.cpus, one.mem, one.disk)


@pytest.mark.parametrize("stop", [Stop(grace_s=1e300), Stop(grace_s=float("inf")), Stop(grace_s=float("nan"))])
def test_a_task_that_mesos_can_not_be_told_of_is_a_value_error(stop: Stop) -> None:
    """Out of a revision that was applied by the rules of another day; the connection makes a failed task of it."""
    with pytest.raises((ValueError, OverflowError)):
        checked(task_info(Framework("daq"), _launched(stop), "agent"))


def test_a_job_that_can_not_be_filled_in_waits_and_says_why() -> None:
    """And what else waits on its host is launched."""
    world = World()
    world.say(events.Registered("fw", "m:5050"))
    world.say(events.JobsApplied(Spec(jobs=(job("bad", argv=("{nope}",)), job("good"))), "u"))
    world.say(events.OffersArrived((offer(),)))
    told = {row.job: row for row in rows(world.engine, lambda job, host: True, world.now)}
    assert "can't be launched: command" in told["bad"].reason and told["bad"].state == "WAITING"
    assert [name.partition("@")[0] for name in world.tasks] == ["good"]
