"""What a preflight asks, how the engine gets it to the hosts and back, and what is shown of it."""

from __future__ import annotations

from typing import Any, Optional

import msgspec
import pytest
from rich.console import Console

from builders import World, job, of, offer
from daqsched import preflight
from daqsched.engine import commands, events
from daqsched.engine.preflight_steps import why_waiting
from daqsched.preflight import (
    AT_ONCE,
    KEPT,
    TRIES,
    Cell,
    PreflightFindings,
    PreflightWall,
    Question,
    not_asked,
    questions,
)
from daqsched.select import selection
from daqsched.spec import JobSpec, Spec
from daqsched.terminal import preflight_table
from daqsched_executor.contract import Container, Findings, Probe


def asked(*jobs: JobSpec, only: tuple[str, ...] = (), known: tuple[str, ...] = ()) -> dict[str, tuple[Question, ...]]:
    """What is asked for these jobs."""
    return questions(Spec(jobs=jobs), selection(only), lambda job: known)


# ---------------------------------------------------------------------- what is asked


def test_jobs_that_need_the_same_on_a_host_are_one_question() -> None:
    """Whatever else they are given: arguments and most of the environment are not looked at."""
    path = "/cvmfs/x/{version}/bin/readout"
    one = job("a", argv=(path, "--id", "1"), env={"ID": "1"}, release="r9", needs=("/cvmfs/x/{version}/lib",))
    two = job("b", argv=(path, "--id", "2"), env={"ID": "2"}, release="r9", needs=("/cvmfs/x/{version}/lib",))
    (question,) = asked(one, two)["hlt01"]
    assert question.jobs == ("a", "b") and question.release == "r9"
    assert question.probe.name == "a r9" and question.probe.program == "/cvmfs/x/r9/bin/readout"
    assert question.probe.needs == ("/cvmfs/x/r9/lib",)


@pytest.mark.parametrize(
    "fields",
    [
        {"argv": ("/bin/false",)},
        {"release": "r2"},
        {"user": "daq"},
        {"cwd": "/data"},
        {"needs": ("/x",)},
        {"limits": {"nofile": 1}},
        {"libraries": False},
        {"setuid": True},
        {"env": {"PATH": "/opt/bin"}},
        {"env": {"LD_LIBRARY_PATH": "/opt/lib"}},
    ],
    ids=str,
)
def test_whatever_a_start_looks_at_makes_another_question(fields: dict[str, Any]) -> None:
    """Each of these may make a start fail where the other one does not."""
    assert len(asked(job("a"), job("b", **fields))["hlt01"]) == 2


def test_placeholders_are_those_of_the_host() -> None:
    """A path with the host's name is another one on each."""
    found = asked(job("a", "hlt[01-02]", argv=("/opt/{host}/a",)))
    assert [found[host][0].probe.program for host in found] == ["/opt/hlt01/a", "/opt/hlt02/a"]


def test_only_what_is_selected_is_asked() -> None:
    """Jobs and hosts."""
    found = asked(job("a", "hlt[01-03]"), job("b", "hlt[01-03]"), only=("a@hlt02", "b@hlt[02-03]"))
    assert {host: [q.jobs for q in found[host]] for host in found} == {"hlt02": [("a", "b")], "hlt03": [("b",)]}


def test_a_job_placed_by_attributes_is_asked_about_where_it_is() -> None:
    """And a job in a container nowhere."""
    by_attribute = JobSpec(name="a", argv=("/bin/true",), attributes={"card": "pcie40"})
    boxed = job("b", container=Container("image"))
    assert list(asked(by_attribute, boxed, known=("hlt05",))) == ["hlt05"]
    spec, everything = Spec(jobs=(by_attribute, boxed)), selection(())
    assert not_asked(spec, everything, lambda job: ("hlt05",)) == {"b": "it runs in a container"}
    assert not_asked(spec, selection(["a"]), lambda job: ()) == {"a": "no machine is known that has its attributes"}


def test_machines_are_known_by_the_offers_that_they_made() -> None:
    """And where the job is already, it is asked about, too."""
    world = Asked(("hlt01",))
    world.register()
    wanted = JobSpec(name="a", argv=("/bin/true",), attributes={"card": "pcie40"})
    assert not world.engine.hosts_of(wanted)
    world.ask(hosts="hlt01")
    world.say(events.OffersArrived((msgspec.structs.replace(offer(), attributes={"card": ("pcie40",)}),)))
    assert list(world.engine.hosts_of(wanted)) == ["hlt01"]


# ---------------------------------------------------------------------- how it gets there and back


class Asked(World):
    """A world in which someone wants a preflight; `surveys` are those that are out, by host."""

    def __init__(self, hosts: tuple[str, ...] = ("hlt01", "hlt02")) -> None:
        super().__init__(hosts)
        self.surveys: dict[str, str] = {}

    def _perform(self, command: commands.Command) -> None:
        super()._perform(command)
        if isinstance(command, commands.Launch):
            self.surveys.update((survey.survey.host, survey.survey.task_id) for survey in command.surveys)

    def ask(self, id: str = "p1", hosts: str = "hlt[01-02]", patience_s: float = 60.0) -> list[commands.Command]:
        return self.say(events.PreflightAsked(id, "alice", asked(job("readout", hosts, release="r9")), patience_s))

    def answers(self, host: str, problem: str = "") -> list[commands.Command]:
        data = Findings({"readout r9": problem}).to_json()
        task_id = self.surveys.pop(host)
        agent = f"agent-{host}"
        return self.say(
            events.TaskReported(task_id, agent, "TASK_FINISHED", by_executor=True, data=data, uuid=f"u-{host}")
        )

    def ends(self, host: str, state: str, **more: Any) -> list[commands.Command]:
        """The survey ends in another way."""
        return self.say(events.TaskReported(self.surveys.pop(host), "agent-x", state, uuid="u", **more))

    def seen(self, id: str = "p1") -> PreflightFindings:
        return self.engine.preflights.made[id].answer(lambda ask: why_waiting(self.engine, ask))

    def why(self, host: str, id: str = "p1") -> str:
        (found,) = [one for one in self.seen(id).wall if host in one.hosts]
        return found.reason or found.cells[0].problem


def test_each_host_is_asked_once_and_offers_are_suppressed_again() -> None:
    """Nothing is saved, no job is touched, and when all is known nothing of it is left."""
    world = Asked()
    world.start(job("other"))
    records = dict(world.disk.records)
    assert world.offers_suppressed()
    world.ask()
    assert not world.offers_suppressed()
    world.offers()
    assert sorted(world.surveys) == ["hlt01", "hlt02"] and world.offers_suppressed()
    assert not world.seen().done and world.seen().counts == {"waiting": 2}
    todo = world.answers("hlt01")
    assert commands.Acknowledge(of(todo, commands.Acknowledge)[0].task_id, "agent-hlt01", "u-hlt01") in todo
    world.answers("hlt02", "/cvmfs/x is missing")
    assert world.seen().done and world.seen().counts == {"ok": 1, "bad": 1}
    assert world.why("hlt02") == "/cvmfs/x is missing"
    assert world.disk.records == records and not of(world.done, commands.Kill)
    assert world.offers_suppressed() and world.engine.preflights.due() == float("inf")
    assert not world.engine.preflights.by_task and not world.engine.preflights.waiting


def test_a_survey_takes_of_an_offer_what_jobs_leave() -> None:
    """One launch for both; where too little is left, the reason is told, and the next offer is tried."""
    world = Asked(("hlt01",))
    world.register()
    world.apply(job("big", cpus=1.0, mem=100.0))
    world.ask(hosts="hlt01")
    (launch,) = of(world.say(events.OffersArrived((offer(cpus=1.02, mem=150.0),))), commands.Launch)
    assert [task.payload.job for task in launch.tasks] == ["big"] and launch.surveys == ()
    assert world.why("hlt01").startswith("not enough cores: needs 0.06") and world.why("hlt01").endswith("on hlt01")
    (launch,) = of(world.say(events.OffersArrived((offer(cpus=0.06, mem=64.0),))), commands.Launch)
    assert not launch.tasks and len(launch.surveys) == 1
    assert launch.task_ids == (world.surveys["hlt01"],)


def test_a_host_without_an_offer_counts_as_silent_when_the_time_is_over() -> None:
    """With a reason, and no offers are needed any more."""
    world = Asked(("hlt01",))
    world.register()
    world.ask()
    world.offers()
    world.answers("hlt01")
    assert not world.offers_suppressed(), "hlt02 is still waited for"
    assert world.engine.next_tick(world.now) <= 1060.0
    world.now = 1060.0
    world.say(events.Ticked())
    assert world.seen().done and world.seen().counts == {"ok": 1, "silent": 1}
    assert world.why("hlt02") == "no offer from hlt02: is its agent up, or nothing free on it?"
    assert world.offers_suppressed()


def test_a_survey_that_does_not_answer_in_time_is_ended() -> None:
    """What it says later changes nothing, and is acknowledged."""
    world = Asked(("hlt01",))
    world.register()
    world.ask(hosts="hlt01")
    world.offers()
    world.now += 60.0
    task_id = world.surveys["hlt01"]
    assert commands.Kill(task_id, "agent-hlt01") in world.say(events.Ticked())
    assert world.why("hlt01") == "hlt01 was asked and has not answered"
    assert of(world.ends("hlt01", "TASK_KILLED", by_executor=True), commands.Acknowledge)
    assert world.seen().counts == {"silent": 1}


def test_who_was_sent_a_survey_has_longer_to_answer_than_who_was_not() -> None:
    """A mount that hangs is told of after a while, by an executor that is there; nobody waits so long for a host that is not."""
    world = Asked(("hlt01", "hlt02"))
    world.register()
    world.say(events.PreflightAsked("p", "me", asked(job(hosts="hlt[01-02]")), 3.0, grace_s=7.0))
    world.machines = {"hlt01": {}}
    world.offers()
    began = world.engine.preflights.made["p"].began
    ask = world.engine.preflights.made["p"].asks
    assert (ask["hlt01"].state, ask["hlt02"].state) == ("launched", "asked")
    assert world.engine.next_tick(world.now) <= began + 3.0
    world.now = began + 3.0
    assert not of(world.say(events.Ticked()), commands.Kill)
    assert (ask["hlt01"].state, ask["hlt02"].state, ask["hlt02"].starts_nothing) == ("launched", "lost", False)
    assert world.now < world.engine.next_tick(world.now), "nobody looks without a rest"
    world.now = began + 10.0
    assert of(world.say(events.Ticked()), commands.Kill)
    assert ask["hlt01"].starts_nothing and world.engine.preflights.made["p"].over


@pytest.mark.parametrize(
    ("state", "more", "words"),
    [
        ("TASK_FAILED", {"message": "Executor terminated"}, "the survey could not run on hlt01: Executor terminated"),
        ("TASK_GONE", {"reason": "REASON_SLAVE_REMOVED"}, "the survey could not run on hlt01: REASON_SLAVE_REMOVED"),
        ("TASK_FAILED", {"message": "no", "by_executor": True}, "the survey failed on hlt01: no"),
        ("TASK_FINISHED", {"data": b"{}", "by_executor": True}, "hlt01 gives an answer that is not understood"),
        ("TASK_FINISHED", {"data": b'{"found":{},"version":1}', "by_executor": True}, "says nothing of it"),
    ],
)
def test_a_survey_that_comes_to_nothing_says_why(state: str, more: dict[str, object], words: str) -> None:
    """No second one is sent: what failed once on the host will again."""
    world = Asked(("hlt01",))
    world.register()
    world.ask(hosts="hlt01")
    world.offers()
    world.ends("hlt01", state, **more)
    assert world.seen().done and words in world.why("hlt01")
    assert world.offers_suppressed()


def test_a_launch_that_did_not_arrive_is_made_again_and_not_for_ever() -> None:
    """An offer may be withdrawn while it is used, the connection may break."""
    world = Asked(("hlt01",))
    world.register()
    world.ask(hosts="hlt01")
    for _ in range(TRIES - 1):
        world.offers()
        world.ends("hlt01", "TASK_DROPPED", reason="REASON_INVALID_OFFERS", message="no longer valid")
        assert world.seen().counts == {"waiting": 1} and not world.offers_suppressed()
    world.offers()
    world.say(events.LaunchRefused((world.surveys["hlt01"],), "not connected to a master"))
    assert world.seen().counts == {"silent": 1} and "could not be launched on hlt01" in world.why("hlt01")


def test_a_survey_that_the_master_confirms_is_left_alone() -> None:
    """A reconciliation tells of it, too: it is no stranger."""
    world = Asked(("hlt01",))
    world.register()
    world.ask(hosts="hlt01")
    world.offers()
    task_id = world.surveys["hlt01"]
    for state in ("TASK_STAGING", "TASK_RUNNING", "TASK_UNREACHABLE"):
        assert not of(world.say(events.TaskReported(task_id, "agent-hlt01", state)), commands.Kill)
    assert world.why("hlt01") == "hlt01 does not answer the master any more"


def test_a_daemon_that_is_started_anew_ends_surveys_that_it_does_not_know() -> None:
    """And no job takes one for its task, whatever the job is called."""
    world = Asked(("hlt01",))
    world.register()
    world.ask(hosts="hlt01")
    world.offers()
    world.restart()
    world.register()
    world.apply(job("preflight"), job("readout"))
    task_id = world.surveys["hlt01"]
    todo = world.say(events.TaskReported(task_id, "agent-hlt01", "TASK_RUNNING", uuid="u"))
    assert of(todo, commands.Kill) and not of(todo, commands.SaveRecords)
    assert of(world.answers("hlt01"), commands.Acknowledge)


def test_only_so_many_hosts_are_asked_at_a_time() -> None:
    """The others follow as answers come."""
    hosts = tuple(f"n{number:03d}" for number in range(AT_ONCE + 5))
    world = Asked(hosts)
    world.register()
    world.ask(hosts=f"n[000-{AT_ONCE + 4}]")
    world.offers()
    assert len(world.surveys) == AT_ONCE and world.offers_suppressed()
    assert world.why(hosts[-1]) == f"waits until less than {AT_ONCE} other hosts are being asked"
    for host in hosts[:5]:
        world.answers(host)
    assert not world.offers_suppressed()
    world.offers()
    assert len(world.surveys) == AT_ONCE
    for host in list(world.surveys):
        world.answers(host)
    assert world.seen().counts == {"ok": AT_ONCE + 5}


def test_two_people_may_ask_the_same_host() -> None:
    """Each gets an answer of its own; the last few preflights are remembered."""
    world = Asked(("hlt01",))
    world.register()
    world.ask("p1", hosts="hlt01")
    world.ask("p2", hosts="hlt01")
    world.offers()
    first = [survey for c in of(world.done, commands.Launch) for survey in c.surveys]
    assert len({one.survey.task_id for one in first}) == 2
    for one in first:
        world.surveys["hlt01"] = one.survey.task_id
        world.answers("hlt01")
    assert world.seen("p1").done and world.seen("p2").done
    for number in range(3, 3 + KEPT):
        world.ask(f"p{number}", hosts="hlt01")
        world.offers()
        world.answers("hlt01")
    assert list(world.engine.preflights.made) == [f"p{number}" for number in range(3, 3 + KEPT)]


def test_without_a_master_that_is_the_reason() -> None:
    """For every host."""
    world = Asked()
    world.register()
    world.say(events.Disconnected())
    world.ask()
    assert world.why("hlt01") == "no connection to the master master:5050: is it up?"
    world.register()
    assert not world.offers_suppressed()
    world.offers()
    assert len(world.surveys) == 2


# ---------------------------------------------------------------------- what is shown


def cell(name: str, release: str = "r9", problem: str = "") -> Cell:
    return Cell((name,), release, problem)


def answer(*walls: PreflightWall, not_asked: Optional[dict[str, str]] = None) -> PreflightFindings:
    counts: dict[str, int] = {}
    for one in walls:
        counts[one.state] = counts.get(one.state, 0) + len(one.hosts)
    return PreflightFindings("waiting" not in counts, counts, walls, not_asked or {})


def text_of(found: PreflightFindings, width: int = 120) -> str:
    console = Console(width=width, no_color=True)
    with console.capture() as capture:
        console.print(preflight_table.table(found))
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


HOSTS = tuple(f"hlt{number:03d}" for number in range(1, 201))


def test_two_hundred_hosts_with_three_bad_ones_fit_a_screen() -> None:
    """One row for all that is well, the bad ones beside the last line."""
    missing = "/cvmfs/x/r9/bin/readout is missing: is the version published?"
    good = (cell("readout", "r8"), cell("readout", "r9"))
    bad = (cell("readout", "r8"), cell("readout", "r9", missing))
    silent = [
        PreflightWall((host,), "silent", reason=f"no offer from {host}: is its agent up?") for host in HOSTS[196:198]
    ]
    found = answer(PreflightWall(HOSTS[:196], "ok", good), PreflightWall(HOSTS[198:], "bad", bad), *silent)
    assert text_of(found) == (
        "HOSTS         r8  r9  WHY\n"
        "hlt[001-196]  ok  ok\n"
        "hlt[197-198]  ?   ?   no offer from its host: is its agent up?\n"
        "hlt[199-200]  ok  NO  readout: /cvmfs/x/r9/bin/readout is missing: is the version published?"
    )
    assert preflight_table.summary(found) == "2 of 200 hosts can't start r9, 2 gave no answer; nothing was changed."
    assert not preflight_table.fine(found)


@pytest.mark.parametrize(
    ("walls", "expected"),
    [
        ([PreflightWall(("a",), "ok", (cell("x", "r1"), cell("y", "r2")))], ("r1", "r2")),
        ([PreflightWall(("a",), "ok", (cell("x", "r1"), cell("y", "r1")))], ("x", "y")),
        ([PreflightWall(("a",), "ok", (cell("x", ""), cell("y", "r1")))], ("x", "r1")),
        (
            [
                PreflightWall(
                    ("a",), "ok", (*(cell(f"x{n}", "") for n in range(preflight_table.MOST_JOBS + 1)), cell("y", "r1"))
                )
            ],
            ("other jobs", "r1"),
        ),
        ([PreflightWall(("a",), "ok", tuple(cell(f"j{number}") for number in range(9)))], ("r9",)),
        ([PreflightWall(("a",), "silent", reason="why")], ()),
    ],
    ids=["versions", "one version", "some without", "many without", "too many jobs", "nothing known"],
)
def test_columns_are_versions_or_jobs(walls: list[PreflightWall], expected: tuple[str, ...]) -> None:
    """Jobs where there is one version of all, and few of them."""
    assert preflight_table.columns(answer(*walls)) == expected


def test_hosts_that_differ_only_in_what_is_well_are_alike() -> None:
    """Each readout machine runs a program of its own."""
    jobs = [PreflightWall((host,), "ok", (cell(f"job-{host}"),)) for host in HOSTS[:20]]
    (line,) = preflight_table.lines(answer(*jobs))
    assert line.hosts == HOSTS[:20] and line.words == ("ok",)


def test_a_job_that_is_not_on_a_host_is_no_mistake() -> None:
    """A dash, and no word of blame."""
    found = answer(PreflightWall(("a",), "ok", (cell("x"),)), PreflightWall(("b",), "ok", (cell("y"),)))
    assert [line.words for line in preflight_table.lines(found)] == [("ok", "-"), ("-", "ok")]
    assert (
        preflight_table.fine(found)
        and preflight_table.summary(found) == "All 2 hosts can start all that was asked for; nothing was changed."
    )


def test_one_problem_of_many_jobs_is_told_once() -> None:
    """With the names of the first, and the number of the rest; many problems are cut."""
    many = tuple(cell(f"j{number}", problem="user 'daq' is unknown on this machine") for number in range(5))
    (line,) = preflight_table.lines(answer(PreflightWall(("a",), "bad", many)))
    assert line.reasons == ("j0, j1, j2 and 2 more: user 'daq' is unknown on this machine",)
    many = tuple(cell(f"j{number}", problem=f"p{number}") for number in range(9))
    (line,) = preflight_table.lines(answer(PreflightWall(("a",), "bad", many)))
    assert len(line.reasons) == 6 and line.reasons[-1] == "and 4 more; --json has them all"


@pytest.mark.parametrize(
    ("sentence", "shown"),
    [
        ("no offer from hlt01: is its agent up?", "no offer from its host: is its agent up?"),
        ("not enough memory on hlt01", "not enough memory on its host"),
        ("/data/hlt01/bin is missing", "/data/hlt01/bin is missing"),
        ("hlt010 is another", "hlt010 is another"),
        ("hlt01.cern.ch is another", "hlt01.cern.ch is another"),
    ],
)
def test_a_hosts_name_is_taken_out_of_a_sentence_and_left_in_a_path(sentence: str, shown: str) -> None:
    """So that the same reason on many hosts is one row, and a path stays the path that it is."""
    (line,) = preflight_table.lines(answer(PreflightWall(("hlt01",), "silent", reason=sentence)))
    assert line.reasons == (shown,)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (
            answer(PreflightWall(("a",), "ok", (cell("x"),))),
            "The host can start all that was asked for; nothing was changed.",
        ),
        (
            answer(PreflightWall(("a",), "bad", (cell("x", "", "p"),))),
            "1 of 1 host can't start x; nothing was changed.",
        ),
        (answer(PreflightWall(("a", "b"), "silent")), "2 of 2 hosts gave no answer; nothing was changed."),
        (
            answer(PreflightWall(("a",), "ok", (cell("x"),)), not_asked={"y": "it runs in a container"}),
            "The host can start all that was asked for, y not looked at (it runs in a container); nothing was changed.",
        ),
        (
            answer(not_asked={"y": "it runs in a container"}),
            "There was no host to ask, y not looked at (it runs in a container); nothing was changed.",
        ),
    ],
)
def test_the_last_line_sums_up(found: PreflightFindings, words: str) -> None:
    """Numbers, what can't start, and that nothing was changed."""
    assert preflight_table.summary(found) == words


def test_the_live_view_shows_how_many_have_answered() -> None:
    """And the rows that need eyes."""
    found = answer(
        PreflightWall(("a",), "ok", (cell("x"),)),
        PreflightWall(("b",), "waiting", reason="b was asked and has not answered"),
    )
    console = Console(width=100, no_color=True)
    with console.capture() as capture:
        console.print(preflight_table.live(found))
    assert "1 of 2 hosts answered, 1 ok" in capture.get() and "its host was asked" in capture.get()


def test_a_probe_is_what_a_start_looks_at() -> None:
    """The name apart, which is the question's."""
    asked_for: Optional[Probe] = preflight.probe_of(job("a", argv=("{job}",), env={"PATH": "/x", "ID": "1"}), "hlt01")
    assert asked_for == Probe("", "a", {"PATH": "/x"})
