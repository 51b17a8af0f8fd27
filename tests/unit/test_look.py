"""Before an apply ends what runs well, the first hosts are asked whether what takes its place could start there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from builders import job
from daqsched.digests import run_digest
from daqsched.engine.farm import Farm
from daqsched.engine.instance import Instance
from daqsched.merge import Scope, change_of
from daqsched.preflight import HostQuery, Question
from daqsched.rollout import Strategy
from daqsched.spec import JobSpec, Spec
from daqsched.task import Record, Task
from daqsched.views.look import MOST, Looked, looked, questions
from daqsched.views.moves import Now
from daqsched.views.plan import plan
from daqsched.views.snapshot import snapshot
from daqsched_executor.contract import Container, Probe


def farm(*jobs: JobSpec) -> Farm:
    """These run on all of their hosts."""
    made = Farm(lambda: "t")
    made.set_desired(Spec(jobs=jobs))
    for one in jobs:
        for host in made.hosts_of(one):
            task = Task(f"{one.name}@{host}.t", f"a-{host}", run_digest(one), 1.0, state="running")
            made.add(Instance(one.name, host, one, run_digest(one), Record(task=task)))
            made.settle(made.instances[one.name, host], 1.0)
    return made


def asks(before: Farm, *jobs: JobSpec, way: Strategy | None = None, away: tuple[str, ...] = ()) -> dict[str, list[str]]:
    """host -> the programs that are looked for there before these are applied."""
    spec = Spec(jobs=jobs)
    known = snapshot(before, jobs)
    change = change_of(Spec(jobs=before.spec.jobs), spec, Scope(), known.hosts_of, known.behind)
    found = plan(known.spec, spec, known.hosts_of, known.behind, change.jobs)
    asked = questions(replace(known, seen=Now({"readout": frozenset(away)})), spec, found, way)
    return {host: [one.probe.program for one in questions_] for host, questions_ in asked.items()}


def release(number: int, hosts: str = "hlt[1-4]", name: str = "readout", **fields: Any) -> JobSpec:
    return job(name, hosts, argv=(f"/cvmfs/{{version}}/{name}", "--fast"), release=f"r{number}", **fields)


def test_the_first_host_of_each_batch_is_asked() -> None:
    """All at once is one batch."""
    before = farm(release(1))
    assert asks(before, release(2)) == {"hlt1": ["/cvmfs/r2/readout"]}
    way = Strategy(batches=(1, 2))
    assert asks(before, release(2), way=way) == dict.fromkeys(("hlt1", "hlt2", "hlt4"), ["/cvmfs/r2/readout"])


def test_a_host_that_is_away_is_not_waited_for() -> None:
    """The next one of its batch is asked; where all are away, nobody is."""
    before = farm(release(1))
    assert list(asks(before, release(2), away=("hlt1", "hlt2"))) == ["hlt3"]
    assert asks(before, release(2), away=("hlt1", "hlt2", "hlt3", "hlt4")) == {}


def test_each_job_is_asked_about_somewhere() -> None:
    """Also one that is on no first host."""
    before = farm(release(1), release(1, "eb[1-2]", "builder"))
    assert asks(before, release(2), release(2, "eb[1-2]", "builder")) == {
        "eb1": ["/cvmfs/r2/builder"],
        "hlt1": ["/cvmfs/r2/readout"],
    }


def test_only_what_looks_otherwise_at_its_start_is_asked_about() -> None:
    """A new argument, label or limit of time has nothing to look for; nor what is new, gone, or in a container."""
    before = farm(release(1))
    assert asks(before, job(hosts="hlt[1-4]", argv=("/cvmfs/r1/readout", "--slow"), release="r1")) == {}
    assert asks(before, release(1, labels={"a": "b"}, action_timeout_s=3.0)) == {}
    assert asks(before, release(1), release(2, name="new")) == {} == asks(before)
    assert asks(before, release(2, container=Container("daq:{version}"))) == {}
    assert asks(before, release(1, user="daq")) == {"hlt1": ["/cvmfs/r1/readout"]}
    # what its executor is told while it runs on ends nothing
    assert asks(before, release(1, needs=("/data",))) == {}
    assert asks(before, release(1, needs=("/data",), output="file")) == {"hlt1": ["/cvmfs/r1/readout"]}


def test_what_does_not_run_is_not_asked_about() -> None:
    """Nothing good ends for it."""
    before = farm(release(1))
    for instance in before.instances.values():
        before.forget_task(instance)
    assert asks(before, release(2)) == {}


def test_only_some_hosts_are_asked() -> None:
    """It is a quick look."""
    before = farm(release(1, "hlt[001-100]"))
    assert len(asks(before, release(2, "hlt[001-100]"), way=Strategy(batches=(1,)))) == MOST


def answered(host: str, problem: str | None) -> HostQuery:
    one = HostQuery(host, (Question(("readout",), "r2", Probe("readout r2", "/x")),))
    if problem is not None:
        one.state, one.found = "found", {"readout r2": problem}
    return one


def why(ask: HostQuery) -> str:
    return f"no offer from {ask.host}"


def test_one_host_that_can_is_enough() -> None:
    """It is not waited for the others; what speaks against one of them is told."""
    found = looked([answered("hlt1", "/x is missing"), answered("hlt2", ""), answered("hlt3", None)], why)
    assert found == Looked({}, ("readout r2 can't start on hlt1: /x is missing",), True)
    assert not found.refusal()


def test_where_none_can_it_is_refused_with_the_reason() -> None:
    """By those that have answered, when all have or the time is over."""
    found = looked([answered("hlt1", "/x is missing"), answered("hlt2", None)], why)
    assert not found.decided and found.doubts == ("hlt2 was not looked at before: no offer from hlt2",)
    silent = answered("hlt2", None)
    silent.state, silent.reason = "lost", "hlt2 was asked and has not answered"
    found = looked([answered("hlt1", "/x is missing"), silent], why)
    assert found.decided and "readout r2 on hlt1: /x is missing" in found.refusal()
    assert "--no-look" in found.refusal()


def test_a_host_that_took_the_survey_and_gives_no_answer_is_one_that_can_not() -> None:
    """Its mounts hang, or its executor can't be started: what is ended there would not come back."""
    hangs = answered("hlt2", None)
    hangs.state, hangs.reason, hangs.starts_nothing = "lost", "hlt2 was asked and has not answered", True
    found = looked([hangs], why)
    assert found.decided and "readout r2 on hlt2: hlt2 was asked and has not answered" in found.refusal()
    assert looked([hangs, answered("hlt1", "")], why) == Looked(
        {}, ("readout r2 can't start on hlt2: hlt2 was asked and has not answered",), True
    )


def test_where_nobody_answers_it_goes_on() -> None:
    """And says so."""
    silent = answered("hlt2", None)
    silent.state, silent.reason = "lost", "hlt2 was asked and has not answered"
    assert looked([silent], why) == Looked(
        {}, ("hlt2 was not looked at before: hlt2 was asked and has not answered",), True
    )
    assert looked([], why) == Looked({}, (), True)
