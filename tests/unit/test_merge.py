"""A revision is the farm, not the file that changed a part of it; a rollback brings back what it changed, to what ran there."""

from __future__ import annotations

from typing import Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from builders import World, job, turn
from daqsched.engine import events
from daqsched.errors import Refused, UserError
from daqsched.hosts import expand
from daqsched.merge import Desired, Scope, change_of
from daqsched.rollout import Strategy
from daqsched.select import selection
from daqsched.spec import JobSpec, LoggingSpec, Spec, decode, encode
from daqsched.views.plan import named

ONE_BY_ONE = Strategy(batches=(1,), ready_s=0.0, on_failure="rollback")
HOSTS = ("h1", "h2", "h3")


def defined(spec: Spec) -> dict[tuple[str, str], JobSpec]:
    """What runs where."""
    desired = Desired(spec)
    there = {(one.name, host): desired.of(one.name, host) for one in spec.jobs for host in expand(one.hosts)}
    return {key: replace(one, hosts=()) for key, one in there.items() if one is not None}


def farms(names: str) -> st.SearchStrategy[Spec]:
    """Some of these jobs on some hosts, in some release."""
    one = st.tuples(st.sampled_from(("r1", "r2", "r3")), st.sets(st.sampled_from(HOSTS), min_size=1))
    return st.dictionaries(st.sampled_from(names), one).map(
        lambda found: Spec(
            jobs=tuple(
                JobSpec(name=name, argv=("/x",), release=release, hosts=tuple(sorted(hosts)))
                for name, (release, hosts) in found.items()
            )
        )
    )


WORDS = st.lists(st.sampled_from(["a", "b", "c*", "@h1", "b@h2", "@h[2-3]", "*"]), min_size=1, max_size=3)


@given(farms("abc"), st.lists(st.tuples(farms("abcd"), WORDS), min_size=1, max_size=4))
def test_each_instance_is_as_the_last_file_that_was_about_it_has_it(
    first: Spec, applies: list[tuple[Spec, list[str]]]
) -> None:
    """Whatever parts were applied one after the other, and over the stored form."""
    spec, expected = first, defined(first)
    for new, words in applies:
        chosen = selection(words)
        spec = decode(encode(change_of(spec, new, Scope(tuple(words)), named, {}).spec))
        to_be = defined(new)
        expected = {key: one for key, one in expected.items() if not chosen(*key)}
        expected.update({key: one for key, one in to_be.items() if chosen(*key)})
        assert defined(spec) == expected
        forms = [form for one in spec.jobs for form in Desired(spec).forms(one.name)]
        assert len({encode(Spec(jobs=(replace(one, hosts=()),))) for one in forms}) == len(forms), "each is told once"
        told = [((one.name, host), replace(one, hosts=())) for one in forms for host in expand(one.hosts)]
        assert dict(told) == expected and len(told) == len(expected), "`show` says the same"
        assert len({one.name for one in spec.jobs}) == len(spec.jobs)
        assert all(expand(one.hosts) for one in (*spec.jobs, *spec.variants))


def test_an_apply_of_everything_is_the_file() -> None:
    """No trace of parts is left."""
    old = Spec(jobs=(job("a", "h[1-3]"),), variants=(job("a", "h2", release="r9"),))
    assert change_of(old, Spec(jobs=(job("a", "h1"),)), Scope(), named, {}).spec == Spec(jobs=(job("a", "h1"),))


def test_a_part_says_nothing_of_where_lines_go_unless_its_file_does() -> None:
    """The file of a team that only names its jobs takes nobody's lines away."""
    old = Spec(jobs=(job("a", "h1"),), logging=LoggingSpec(index="farm"))
    assert change_of(old, Spec(jobs=(job("b", "h1"),)), Scope(("b",)), named, {}).spec.logging.index == "farm"
    new = Spec(jobs=(job("b", "h1"),), logging=LoggingSpec(index="other"))
    assert change_of(old, new, Scope(("b",)), named, {}).spec.logging.index == "other"


@pytest.mark.parametrize(
    ("old", "new", "words", "says"),
    [
        ((), (job("a", hosts="", attributes={"rack": "r1"}),), "a@h1", None),
        (
            (job("a", "h1"),),
            (job("a", hosts="", attributes={"rack": "r1"}),),
            "a@h1",
            "goes wherever its attributes are",
        ),
        ((job("a", "h1"),), (job("a", "h1"), job("b", "h1", after=("c",)), job("c", "h1")), "b", "comes after 'c'"),
        ((job("a", "h1"), job("b", "h1", after=("a",))), (), "a", "comes after 'a'"),
    ],
)
def test_what_can_not_be_changed_by_itself_is_refused(
    old: tuple[JobSpec, ...], new: tuple[JobSpec, ...], words: str, says: Optional[str]
) -> None:
    if says is None:
        assert change_of(Spec(jobs=old), Spec(jobs=new), Scope((words,)), named, {}).spec.jobs == old
        return
    with pytest.raises(UserError, match=says):
        change_of(Spec(jobs=old), Spec(jobs=new), Scope((words,)), named, {})


# ---------------------------------------------------------------------- two teams, and rollbacks


def running(world: World) -> dict[str, str]:
    """Job@host -> the release of what runs there."""
    turn(world)
    return {
        str(one): one.job.release
        for key, one in sorted(world.engine.instances.items())
        if one.job is not None and one.record.task is not None
    }


def released(release: str, *names: str) -> list[JobSpec]:
    return [job(name, "hlt[01-03]", release=release) for name in names]


def until_over(world: World, fail: tuple[str, ...] = ()) -> None:
    """As long as a rollout is under way; those that should ``fail`` do so once."""
    for _ in range(40):
        turn(world, fail=fail)
        fail = () if world.engine.rolling.rollout is None or world.engine.rolling.rollout.failures else fail
        world.wait(1.0)
        if world.engine.rolling.active is None:
            return
    raise AssertionError(f"not over: {world.engine.rolling.rollout}")


def test_a_team_that_goes_back_takes_nothing_of_another_one() -> None:
    """Two files; the second one's rollout fails at night and goes back by itself, to what ran."""
    world = World()
    world.register()
    world.machines = {f"hlt0{n}": {} for n in (1, 2, 3)}
    world.apply(*released("r1", "tracker", "trigger"), only=("tracker", "trigger"))
    world.apply(*released("r1", "calo"), only=("calo",))
    before = running(world)
    tasks = {task for task in world.tasks if not task.startswith("calo")}
    world.apply(*released("r2", "calo"), only=("calo",), strategy=ONE_BY_ONE)
    until_over(world, fail=("calo",))
    until_over(world)
    assert running(world) == before and tasks <= set(world.tasks)
    assert world.engine.revision is not None and len(world.engine.revision.spec.jobs) == 3
    assert world.engine.revision.message.startswith("rollback of revision 3 to 2: 1 failure")


@pytest.mark.parametrize("restart", [False, True])
def test_a_rollback_leads_to_what_ran_and_not_to_what_never_did(restart: bool) -> None:
    """r1 runs; r2 was aborted before its first batch; r3 fails in its first: the one program it changed goes back to r1."""
    world = World()
    world.register()
    world.machines = {f"hlt0{n}": {} for n in (1, 2, 3)}
    world.apply(*released("r1", "readout"))
    before, tasks = running(world), dict(world.tasks)
    guarded = replace(ONE_BY_ONE, guard="beam")
    world.apply(*released("r2", "readout"), strategy=guarded)
    world.say(events.RolloutSteered("abort", "alice"))
    world.apply(*released("r3", "readout"), strategy=ONE_BY_ONE)
    if restart:
        world.die()
    until_over(world, fail=("readout@hlt01",))
    until_over(world)
    assert running(world) == before
    assert {task for task in tasks if not task.startswith("readout@hlt01")} <= set(world.tasks)
    world.die()
    assert running(world) == before


def test_a_rollback_goes_batch_by_batch_as_the_rollout_did() -> None:
    """Three of four have the new one: they go back one after the other."""
    world = World()
    world.register()
    world.machines = {f"hlt0{n}": {} for n in (1, 2, 3)}
    world.apply(*released("r1", "readout"))
    running(world)
    world.apply(*released("r2", "readout"), strategy=replace(ONE_BY_ONE, pause_after=(2,)))
    for _ in range(6):
        turn(world)
        world.wait(1.0)
    assert sorted(running(world).values()) == ["r1", "r2", "r2"]
    world.say(events.RolloutSteered("rollback", "alice", "beam"))
    rollout = world.engine.rolling.active
    assert rollout is not None and (rollout.instances, rollout.batches, rollout.user) == (2, 2, "alice")
    assert len([task for task in world.engine.by_task.values() if task.ending]) == 1
    until_over(world)
    assert set(running(world).values()) == {"r1"}


def test_a_part_leaves_a_rollout_that_is_under_way_alone() -> None:
    """Another team's paused rollout is not aborted by who changes something else; who would have to, is told."""
    world = World()
    world.register()
    world.machines = {f"hlt0{n}": {} for n in (1, 2, 3)}
    world.apply(*released("r1", "readout", "monitor"))
    running(world)
    world.apply(*released("r2", "readout"), only=("readout",), strategy=replace(ONE_BY_ONE, pause_after=(1,)))
    for _ in range(4):
        turn(world)
        world.wait(1.0)
    paused = world.engine.rolling.active
    assert paused is not None and paused.state == "paused"
    world.apply(*released("r2", "monitor"), only=("monitor",))
    assert world.engine.rolling.active is paused and paused.state == "paused"
    assert {key: release for key, release in running(world).items() if "monitor" in key} == {
        f"monitor@hlt0{n}": "r2" for n in (1, 2, 3)
    }
    for names, strategy, says in (("readout", None, "changes readout, too"), ("monitor", ONE_BY_ONE, "one at a time")):
        world.apply(*released("r3", names), only=(names,), strategy=strategy)
        assert isinstance(world.verdict, Refused) and says in str(world.verdict)
    world.say(events.RolloutSteered("resume", "alice"))
    until_over(world)
    assert set(running(world).values()) == {"r2"}


def test_a_rollback_of_a_rollout_that_an_older_daemon_began_leads_to_its_revision() -> None:
    """That one saved no more than the number of the revision before."""
    world = World()
    world.register()
    world.machines = {f"hlt0{n}": {} for n in (1, 2, 3)}
    world.apply(*released("r1", "readout"))
    before = running(world)
    world.apply(*released("r2", "readout"), strategy=replace(ONE_BY_ONE, pause_after=(1,)))
    for _ in range(4):
        turn(world)
        world.wait(1.0)
    del world.disk.documents["before"]
    world.die()
    world.say(events.RolloutSteered("rollback", "alice"))
    assert not isinstance(world.verdict, Exception)
    until_over(world)
    assert running(world) == before
