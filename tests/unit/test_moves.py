"""A job that gets another name or other hosts: what it replaces ends before it starts, or a plan says that both run for a while."""

from __future__ import annotations

from typing import Optional

import pytest

from builders import World, job, turn
from daqsched.engine import events
from daqsched.engine.verdict import Accepted
from daqsched.errors import JobError
from daqsched.jobfile.conflicts import check
from daqsched.spec import JobSpec, Spec
from daqsched.task import Record
from daqsched.views.moves import Now, moves
from daqsched.views.plan import named
from daqsched.views.snapshot import snapshot
from daqsched.views.why import explanations

HOSTS = ("hlt01", "hlt02", "hlt03")


def farm(*jobs: JobSpec) -> World:
    """All of these run."""
    world = World(HOSTS)
    world.start(*jobs)
    return world


def running(world: World) -> list[str]:
    return sorted(task.rpartition(".")[0] for task in world.tasks)


def ended(world: World, name: str, host: str = "hlt01") -> None:
    """It was told to end, and has."""
    task = world.engine.instances[name, host].task
    assert task.killed, f"{name}@{host} was not told to end"
    world.report(task.id, "TASK_KILLED")


def reason(world: World, name: str, host: str = "hlt01") -> str:
    (found,) = [row.reason for row in world.rows() if (row.job, row.host) == (name, host)]
    return found


@pytest.mark.parametrize("restart", [False, True])
def test_what_has_another_name_starts_where_the_old_one_has_ended(restart: bool) -> None:
    """Host by host, whatever is offered meanwhile; a new daemon knows it, too."""
    world = farm(job("readout", "hlt[01-02]"))
    world.apply(job("ro", "hlt[01-03]", replaces=("readout",)))
    if restart:
        world.die()
    world.offers()
    # hlt03 had none, and those that are elsewhere have successors of their own
    assert running(world) == ["readout@hlt01", "readout@hlt02", "ro@hlt03"]
    assert reason(world, "ro") == "waits for the end of readout@hlt01 (STOPPING)"
    ended(world, "readout")
    world.offers()
    assert running(world) == ["readout@hlt02", "ro@hlt01", "ro@hlt03"]
    ended(world, "readout", "hlt02")
    world.offers()
    assert running(world) == ["ro@hlt01", "ro@hlt02", "ro@hlt03"]


@pytest.mark.parametrize(("name", "replaces"), [("rc", "rc"), ("runcontrol", "rc")])
def test_what_moves_starts_when_it_has_ended_where_it_was(name: str, replaces: str) -> None:
    """By its own name or another one; `why` follows it to where it waits."""
    world = farm(job("rc", "hlt01"))
    world.apply(job(name, "hlt02", replaces=(replaces,)))
    world.offers()
    assert running(world) == ["rc@hlt01"]
    ((story, _),) = explanations(world.engine, [(name, "hlt02")], world.now)
    assert story.why == "waits for the end of rc@hlt01 (STOPPING)" and "rc@hlt01 is STOPPING" in story.evidence[0]
    ended(world, "rc")
    world.offers()
    assert running(world) == [f"{name}@hlt02"]


def test_without_a_word_of_it_both_run_for_a_while() -> None:
    """As they are pinned, and know nothing of each other; the plan says so."""
    world = farm(job("rc", "hlt01"))
    world.apply(job("rc", "hlt02"))
    world.offers()
    assert running(world) == ["rc@hlt01", "rc@hlt02"]


def still_waits(world: World) -> dict[str, str]:
    """What a start says of those that it does not start."""
    assert isinstance(world.verdict, Accepted)
    return {f"{name}@{host}": why for name, host, why in world.verdict.waiting}


@pytest.mark.parametrize("restart", [False, True])
def test_what_can_not_be_reached_is_waited_for_until_somebody_says_otherwise(restart: bool) -> None:
    """It may run on there: nothing starts beside it by itself, and a plain start is not enough."""
    world = farm(job("rc", "hlt01"))
    world.report(world.task_of("rc"), "TASK_UNREACHABLE")
    world.apply(job("rc", "hlt02", replaces=("rc",)))
    world.wait(800.0)  # while its executor may still live
    world.offers()
    assert running(world) == ["rc@hlt01"]
    assert reason(world, "rc", "hlt02") == (
        "waits for the end of rc@hlt01, which can't be reached; `daqsched start rc@hlt02 --anyway` starts it all the same"
    )
    world.say(events.Released((("rc", "hlt02"),), "alice"))
    assert still_waits(world) == {"rc@hlt02": reason(world, "rc", "hlt02")}
    world.offers()
    assert running(world) == ["rc@hlt01"]
    world.say(events.Released((("rc", "hlt02"),), "alice", anyway=True))
    assert not still_waits(world)
    if restart:
        world.restart()
        world.register()
    world.offers()
    assert running(world) == ["rc@hlt01", "rc@hlt02"]
    record = world.engine.record(("rc", "hlt02"))
    assert isinstance(record, Record) and not record.regardless, "it was said for one start"


def test_what_was_said_of_one_that_waits_for_nothing_is_forgotten() -> None:
    """The next change waits again."""
    world = farm(job("rc", "hlt01"))
    world.say(events.Released((("rc", "hlt01"),), "alice", anyway=True))
    assert not world.engine.instances["rc", "hlt01"].record.regardless


@pytest.mark.parametrize("restart", [False, True])
def test_the_way_back_waits_as_the_way_there(restart: bool) -> None:
    """The revision before knows nothing of the new name."""
    world = farm(job("readout"))
    world.apply(job("ro", replaces=("readout",)))
    ended(world, "readout")
    turn(world)
    turn(world)
    world.apply(job("readout"))
    if restart:
        world.die()
    world.offers()
    assert running(world) == ["ro@hlt01"] and reason(world, "readout") == "waits for the end of ro@hlt01 (STOPPING)"
    ended(world, "ro")
    world.offers()
    assert running(world) == ["readout@hlt01"]


THERE_AND_BACK = {
    "another name": ([job("readout")], [job("ro", replaces=("readout",))]),
    "another host": ([job("readout")], [job("readout", "hlt02", replaces=("readout",))]),
    "both": ([job("readout")], [job("ro", "hlt02", replaces=("readout",))]),
    "each after the other": ([job("readout", replaces=("ro",))], [job("ro", replaces=("readout",))]),
    "some of it": ([job("readout", "hlt[01-02]")], [job("readout", "hlt02"), job("ro", replaces=("readout",))]),
    "one after it": (
        [job("readout"), job("nsm", after=("readout",))],
        [job("ro", replaces=("readout",)), job("nsm", after=("ro",))],
    ),
}


@pytest.mark.parametrize("dies", [False, True])
@pytest.mark.parametrize("moment", ["ends", "has ended", "successor runs"])
@pytest.mark.parametrize("which", THERE_AND_BACK)
def test_the_way_back_before_the_successor_has_begun(which: str, moment: str, dies: bool) -> None:
    """Never two copies, nothing waits for ever, and the plan and the reasons say what comes of it."""
    old, new = THERE_AND_BACK[which]
    world = farm(*old)
    turn(world)
    world.apply(*new)
    if moment == "has ended":
        ended(world, "readout")
    elif moment == "successor runs":
        turn(world)
    if dies:
        world.die()
    known = snapshot(world.engine)
    said = moves(known.applied, Spec(jobs=tuple(old)), known.hosts_of, known.behind, known.seen)
    if moment == "ends":
        assert said == ("readout on hlt01 was told to end and has not ended: it starts anew when it has",)
    elif moment == "has ended":
        assert said == ()
    else:
        where = next(task.rpartition(".")[0] for task in world.tasks if task.startswith(("ro@", "readout@")))
        where = "ro@hlt01" if which == "some of it" else where
        assert said == (f"readout on hlt01 starts when {where.replace('@', ' on ')} has ended",)
    world.apply(*old)
    assert all(state != "WAITING" or reason for state, reason in ((row.state, row.reason) for row in world.rows()))
    if moment == "ends":
        assert reason(world, "readout") == "is started anew"
    wanted = sorted(f"{one.name}@{host}" for one in old for host in named(one))
    for _ in range(5):
        there = running(world)
        assert len([one for one in there if one in ("readout@hlt01", "ro@hlt01", "ro@hlt02", "readout@hlt02")]) <= len(
            [one for one in wanted if "readout" in one]
        ), there
        turn(world)
    assert running(world) == wanted and {row.state for row in world.rows()} == {"RUNNING"}


def test_what_comes_back_before_it_has_ended_is_waited_for_no_more() -> None:
    """Nor what another instance of the same job takes the place of."""
    world = farm(job("readout", "hlt[01-02]"))
    world.apply(job("ro", "hlt03", replaces=("readout",)))
    assert "readout@hlt0" in reason(world, "ro", "hlt03")
    world.apply(job("ro", "hlt[01-03]", replaces=("readout",)))
    world.offers()
    assert running(world) == ["readout@hlt01", "readout@hlt02", "ro@hlt03"]


@pytest.mark.parametrize(
    ("old", "new", "lost", "says"),
    [
        (
            (job("readout", "hlt[01-02]"),),
            (job("ro", "hlt[01-02]", replaces=("readout",)),),
            {},
            ["ro on hlt[01-02] starts when readout on hlt[01-02] has ended"],
        ),
        (
            (job("rc", "hlt01"),),
            (job("rc", "hlt02", replaces=("rc",)),),
            {"rc": {"hlt01"}},
            [
                "rc on hlt02 starts when rc on hlt01 has ended",
                "rc on hlt01 can't be reached: rc waits for it, or `daqsched start rc --anyway`",
            ],
        ),
        (
            (job("rc", "hlt01"),),
            (job("rc", "hlt02"),),
            {},
            [
                'rc on hlt02 may run beside rc on hlt01 for a while: replaces="rc" in it lets it start when that has ended',
            ],
        ),
        (
            (job("rc", "hlt01"),),
            (job("rc", "hlt02"),),
            {"rc": {"hlt01"}, "other": {"hlt03"}},
            [
                'rc on hlt02 may run beside rc on hlt01 until hlt01 can be reached: replaces="rc" in it lets it start when '
                "that has ended"
            ],
        ),
        (
            (job("readout"), job("other", argv=("/x",))),
            (job("ro"), job("new", argv=("/y",))),
            {},
            [
                "ro looks like readout by another name; ro on hlt01 may run beside readout on hlt01 for a while: "
                'replaces="readout" in it lets it start when that has ended'
            ],
        ),
        # the way back of each
        (
            (job("ro", "hlt01", replaces=("readout",)),),
            (job("readout", "hlt01"),),
            {},
            ["readout on hlt01 starts when ro on hlt01 has ended"],
        ),
        (
            (job("rc", "hlt02", replaces=("rc",)),),
            (job("rc", "hlt01"),),
            {},
            ["rc on hlt01 starts when rc on hlt02 has ended"],
        ),
        ((job("a", "hlt[01-02]"),), (job("a", "hlt[01-03]"), job("b")), {}, []),
        ((), (job("a", replaces=("gone",)),), {}, []),
    ],
)
def test_a_plan_says_what_waits_for_what_and_what_may_run_twice(
    old: tuple[JobSpec, ...], new: tuple[JobSpec, ...], lost: dict[str, set[str]], says: list[str]
) -> None:
    assert list(moves(Spec(jobs=old), Spec(jobs=new), named, {}, Now(lost))) == says


@pytest.mark.parametrize(
    ("jobs", "says"),
    [
        ((job("readout"), job("ro", replaces=("readout",))), "'readout' is to run, too on hlt01: take it out"),
        ((job("readout", "hlt02"), job("ro", replaces=("readout",))), None),
        ((job("readout"), job("ro", "", attributes={"rack": "r1"}, replaces=("readout",))), "is to run, too: take"),
        ((job("ro", replaces=("a b",)),), "replaces: 'a b' is not a valid job name"),
        ((job("rc", replaces=("rc", "gone")),), None),
    ],
)
def test_what_is_replaced_does_not_run_beside_its_successor(jobs: tuple[JobSpec, ...], says: Optional[str]) -> None:
    """Elsewhere it may: a farm may change host by host."""
    if says is None:
        check(Spec(jobs=jobs))
        return
    with pytest.raises(JobError, match=says):
        check(Spec(jobs=jobs))


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("lost", [False, True])
def test_what_replaces_one_that_never_ran_waits_for_what_that_waited_for(lost: bool, restart: bool) -> None:
    """The crew tries again somewhere else: there is one copy, wherever the first one still is."""
    world = farm(job("rc"))
    if lost:
        world.report(world.task_of("rc"), "TASK_UNREACHABLE")
    world.apply(job("rc2", "hlt02", replaces=("rc",)))
    world.offers()
    world.apply(job("rc3", "hlt03", replaces=("rc2",)))
    if restart:
        world.restart()
        world.register()
        if lost:
            world.report(world.task_of("rc"), "TASK_UNREACHABLE")
    world.offers()
    assert running(world) == ["rc@hlt01"]
    ended(world, "rc")
    world.offers()
    assert running(world) == ["rc3@hlt03"]


def test_a_plan_says_what_waits_for_its_first_start() -> None:
    """Where it comes, and not where it is."""
    old, new = Spec(jobs=(job("ioc", "hlt01", start="manual"),)), Spec(jobs=(job("ioc", "hlt[01-03]", start="manual"),))
    assert moves(old, new, named, {}, Now()) == (
        "ioc on hlt[02-03] waits for its first start by hand: `daqsched start ioc`",
    )
    assert moves(new, new, named, {}, Now()) == ()
