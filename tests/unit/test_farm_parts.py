"""Several teams in one farm: what a file names is its part's, and no apply of one part changes another one's jobs."""

from __future__ import annotations

import itertools
from typing import Any, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from builders import World, job, rows, turn
from daqsched import farm_parts
from daqsched.confirm import EndLimit, NotConfirmed
from daqsched.digests import digest
from daqsched.engine import events
from daqsched.engine.commands import Revision
from daqsched.errors import DaqschedError, JobError, Refused, UserError
from daqsched.farm_parts import labelled, living, of_part
from daqsched.jobfile.conflicts import check
from daqsched.merge import Scope, change_of
from daqsched.protocol import RollbackRequest
from daqsched.rollout import Rollout, Strategy
from daqsched.serve.change_api import _to_roll_back as to_roll_back
from daqsched.spec import FORWARDER, JobSpec, LoggingSpec, Spec, decode, encode
from daqsched.views.plan import named, plan
from daqsched.views.status import all_keys

ONE_BY_ONE = Strategy(batches=(1,), ready_s=0.0, on_failure="rollback")
PAUSED = replace(ONE_BY_ONE, pause_after=(1,))
PARTS = ("", "hlt", "trk")


def file(part: str, *jobs: JobSpec, **more: Any) -> Spec:
    """A team's job file."""
    return replace(Spec(jobs=jobs, part=part), **more)


def after(old: Spec, new: Spec, *words: str, take: tuple[str, ...] = ()) -> Spec:
    """The farm after an apply of it, over the stored form."""
    return decode(encode(change_of(old, new, Scope(words, take=take), named, {}).spec))


def jobs_of(spec: Spec) -> dict[str, tuple[str, str]]:
    """Name -> part and release."""
    return {one.name: (one.part, one.release) for one in spec.jobs}


FILES = st.builds(
    lambda part, found, words: file(
        part, *(job(name, "h1", release=release) for name, release in found.items()), **words
    ),
    st.sampled_from(PARTS),
    st.dictionaries(st.sampled_from("abcd"), st.sampled_from(("r1", "r2"))),
    st.sampled_from(
        [{}, {}, {"confirm": EndLimit(programs=1)}, {"rollout": PAUSED}, {"logging": LoggingSpec(index="x")}]
    ),
)
TAKE = st.sampled_from([(), (), (), ("*",), ("a",), ("a", "b")])
WORDS = st.sampled_from([(), (), (), ("a",), ("b@h1", "c")])


@given(st.lists(st.tuples(FILES, WORDS, TAKE), min_size=1, max_size=8))
def test_no_apply_changes_what_it_does_not_name(applies: list[tuple[Spec, tuple[str, ...], tuple[str, ...]]]) -> None:
    """Whatever teams apply one after the other: all of another part is as it was, but for what is taken; a name has one owner."""
    farm = Spec()
    for new, words, take in applies:
        try:
            then = after(farm, new, *words, take=take)
        except UserError:
            continue
        before, now, files = jobs_of(farm), jobs_of(then), jobs_of(new)
        meant = [name for name in files if not words or name in words or name in ("b", "c") and len(words) > 1]
        for name, (part, release) in before.items():
            if part != new.part and now.get(name) != (part, release):
                assert name in meant and take in (("*",), ("a", "b")) or (name == "a" and take), (name, new, take)
                assert now[name] == (new.part, files[name][1])
            elif part == new.part and name not in files and not words:
                assert name not in now
        for name in meant:
            assert now[name] == (new.part, files[name][1])
        assert then.part == "" and len(now) == len(then.jobs) and living(then) == then
        farm = then


@given(st.lists(FILES, min_size=1, max_size=6), st.sampled_from(PARTS))
def test_what_a_part_is_applied_anew_changes_nothing(applies: list[Spec], part: str) -> None:
    """`of_part` is the file that the part would be: what `rollback --part` and `diff` take."""
    farm = Spec()
    for new in applies:
        try:
            farm = after(farm, new)
        except UserError:
            continue
    again = after(farm, of_part(farm, part))
    assert digest(again) == digest(farm) and not plan(farm, again).changes


def test_a_farm_without_parts_is_one_part_as_before() -> None:
    """Its spec has no trace of parts, and what an older daemon stored is read."""
    old = Spec(jobs=(job("a"), job("b")), rollout=ONE_BY_ONE, logging=LoggingSpec(index="daq"))
    found = change_of(old, replace(old, jobs=(job("c"),)), Scope(), named, {})
    assert found.spec == replace(old, jobs=(job("c"),)) and found.everything
    assert b"part" not in encode(found.spec)
    assert labelled(old) == old and of_part(old, "") == old


def test_the_first_part_with_a_name_stops_nothing_of_what_had_none() -> None:
    """And the reverse; who names a job of the other is told whose it is, and how it moves."""
    farm = Spec(jobs=(job("readout"), job("evb")))
    hlt = file("hlt", job("filter"))
    farm = after(farm, hlt)
    assert jobs_of(farm) == {"readout": ("", ""), "evb": ("", ""), "filter": ("hlt", "")}
    assert jobs_of(after(farm, file("", job("evb")))) == {"evb": ("", ""), "filter": ("hlt", "")}
    with pytest.raises(UserError, match=r"readout is of the part without a name, not of part hlt.*`--take readout`"):
        after(farm, file("hlt", job("filter"), job("readout")))
    with pytest.raises(UserError, match="filter is of part hlt, not of the part without a name"):
        after(farm, file("", job("filter")))
    moved = after(farm, file("hlt", job("filter"), job("readout")), take=("readout",))
    assert jobs_of(moved) == {"readout": ("hlt", ""), "evb": ("", ""), "filter": ("hlt", "")}
    assert [(one.job, one.what, one.why) for one in plan(farm, moved).changes] == [
        ("readout", "silent", ("part none -> hlt",))
    ]
    # the file that still has it is told
    with pytest.raises(UserError, match="readout is of part hlt"):
        after(moved, file("", job("evb"), job("readout")))


def test_what_a_plan_says_of_other_parts() -> None:
    """What stays, and what is taken."""
    farm = after(Spec(jobs=(job("readout"), job("evb"))), file("trk", job("t1"), job("t2")))
    new = file("hlt", job("readout"))
    then = change_of(farm, new, Scope(take=("readout",)), named, {}).spec
    assert farm_parts.others(farm, new, then) == (
        "this is part hlt; readout comes from the part without a name; the jobs of others stay as they are: "
        "1 in the part without a name, 2 in part trk"
    )
    assert farm_parts.others(Spec(), new, labelled(new)) == ""


@pytest.mark.parametrize(
    ("words", "take", "says"),
    [
        ((), ("typo",), "--take typo matches no job of the file"),
        (("readout@hlt01",), ("readout",), "only all of it can be taken"),
        ((), (), "readout is of the part without a name"),
    ],
)
def test_what_can_not_be_taken_is_refused(words: tuple[str, ...], take: tuple[str, ...], says: str) -> None:
    farm = Spec(jobs=(job("readout", "hlt[01-02]"),))
    with pytest.raises(UserError, match=says):
        after(farm, file("hlt", job("readout", "hlt[01-02]", release="r2")), *words, take=take)


def test_one_farm_has_one_answer_to_where_lines_go() -> None:
    """The part's whose file gave it: another one that says nothing of it changes nothing, one that says otherwise is refused."""
    daq, other = LoggingSpec(index="daq"), LoggingSpec(index="other")
    farm = after(Spec(), file("trk", job("t"), logging=daq))
    farm = after(farm, file("hlt", job("h")))
    assert (farm.logging, farm.logging_part) == (daq, "trk")
    assert after(farm, file("hlt", job("h"), logging=daq)) == farm
    with pytest.raises(UserError, match="said by the file of part trk"):
        after(farm, file("hlt", job("h"), logging=other))
    assert after(farm, file("hlt", job("h"), logging=other), take=(FORWARDER,)).logging_part == "hlt"
    assert after(farm, file("trk", job("t"), logging=other)).logging == other
    assert after(farm, file("trk", job("t"))).logging == LoggingSpec()


def test_each_part_goes_over_the_farm_in_its_own_way() -> None:
    """That of a part which is gone is forgotten."""
    few = EndLimit(programs=1)
    farm = after(Spec(jobs=(job("a"),), rollout=PAUSED), file("hlt", job("h"), rollout=ONE_BY_ONE, confirm=few))
    assert farm_parts.limits(farm, ["", "hlt"]) == [few] and not farm_parts.limits(farm, [""])
    assert (of_part(farm, "").rollout, of_part(farm, "hlt").rollout) == (PAUSED, ONE_BY_ONE)
    farm = after(farm, file("", job("a")))
    assert (of_part(farm, "").rollout, of_part(farm, "hlt").rollout) == (None, ONE_BY_ONE)
    assert after(farm, file("hlt")) == Spec(jobs=(job("a"),))


WORDS_OF_A_FILE = {"confirm": EndLimit(programs=1), "rollout": ONE_BY_ONE, "logging": LoggingSpec(index="hlt")}


@pytest.mark.parametrize("part", ["", "hlt"])
@pytest.mark.parametrize("goes", ["by itself", "only", "taken", "back", "alone"])
def test_nothing_of_a_part_stays_that_has_no_job_any_more(part: str, goes: str) -> None:
    """However its last job goes: by an apply of its own, of some of it, by one that takes it, by a rollback of the first; also
    where it is the only part. Another part's file may say then where lines go."""
    farm = after(Spec(), file("trk", job("t"))) if goes != "alone" else Spec()
    mine = after(farm, file(part, job("a"), job("b"), **WORDS_OF_A_FILE))
    assert mine.logging_part == part and of_part(mine, part).confirm is not None
    if goes in ("by itself", "alone"):
        then = after(mine, file(part, **WORDS_OF_A_FILE))
    elif goes == "only":
        then = after(mine, file(part, **WORDS_OF_A_FILE), "a", "b")
    elif goes == "taken":
        then = after(mine, file("trk", job("t"), job("a"), job("b")), take=("*",))
    else:
        then = change_of(mine, farm, Scope(jobs=frozenset("ab")), named, {}).spec
    assert (then.rollout, then.confirm, then.parts) == (None, None, {}) and not farm_parts.limits(then, [part])
    assert (then.logging, then.logging_part) == (LoggingSpec(), "")
    other = LoggingSpec(index="other")
    assert after(then, file("new", job("n"), logging=other)).logging == other


def test_a_part_whose_last_jobs_are_taken_says_no_more_where_lines_go() -> None:
    """Whoever takes them may say it with the same apply."""
    farm = after(Spec(), file("hlt", job("a"), logging=LoggingSpec(index="hlt")))
    new = file("trk", job("a"), logging=LoggingSpec(index="trk"))
    then = after(farm, new, take=("a",))
    assert (then.logging.index, then.logging_part) == ("trk", "trk")


@pytest.mark.parametrize("part", ["", "hlt"])
def test_a_rollout_that_goes_back_brings_back_what_the_file_said_beside_its_jobs(part: str) -> None:
    """How much may end, and how the next apply goes; what another part's file says meanwhile stays."""
    world = World(["hlt01", "hlt02", "hlt03"])
    world.register()
    few, many = EndLimit(programs=1), EndLimit(programs=1000, share="100%")
    world.say(events.JobsApplied(file(part, job("a", "hlt[01-03]"), rollout=PAUSED, confirm=few), "team"))
    turn(world)
    new = file(part, job("a", "hlt[01-03]", release="r2"), job("b"), rollout=ONE_BY_ONE, confirm=many)
    world.say(events.JobsApplied(new, "team", strategy=PAUSED))
    world.say(events.JobsApplied(file("trk", job("t"), confirm=many), "other"))
    world.say(events.RolloutSteered("rollback", "team"))
    assert world.engine.revision is not None
    spec = world.engine.revision.spec
    assert (of_part(spec, part).confirm, of_part(spec, part).rollout) == (few, PAUSED)
    assert of_part(spec, "trk").confirm == many and {one.name for one in spec.jobs} == {"a", "t"}


@pytest.mark.parametrize("name", ["", "a b", "-", "hlt/1", "x" * 101, ["hlt01"]])
def test_what_can_be_no_name_of_a_part(name: object) -> None:
    assert "is not a valid name for a part" in farm_parts.mistake(name)


def test_a_daemon_looks_at_what_a_file_says_of_parts() -> None:
    with pytest.raises(JobError, match="farm: 'a b' is not a valid name"):
        check(Spec(part="a b"))
    with pytest.raises(JobError, match="is of part trk, and the file of part hlt"):
        check(Spec(part="hlt", jobs=(job(part="trk"),)))


# ---------------------------------------------------------------------- in the engine


def farm_of_two() -> World:
    """Two teams, three hosts, all runs."""
    world = World([f"hlt0{n}" for n in (1, 2, 3)])
    world.register()
    for part, name in (("trk", "tracker"), ("hlt", "filter")):
        applies(world, part, job(name, "hlt[01-03]", release="r1"))
    turn(world)
    turn(world)
    return world


def applies(
    world: World, part: str, *jobs: JobSpec, strategy: Optional[Strategy] = None, take: tuple[str, ...] = ()
) -> None:
    """The team of this part does."""
    event = events.JobsApplied(file(part, *jobs), f"team {part}", "", strategy, allow_empty=True, take=take)
    world.say(event)


def running(world: World) -> dict[str, str]:
    """Job@host -> its task."""
    return {task.rpartition(".")[0]: task for task in sorted(world.tasks)}


@pytest.mark.parametrize("restart", [False, True])
def test_a_team_stops_and_restarts_nothing_of_another_one(restart: bool) -> None:
    """An apply, an empty one, and the rollback of a rollout, each with the other one's programs running on."""
    world = farm_of_two()
    tracker = {key: task for key, task in running(world).items() if "tracker" in key}
    applies(world, "hlt", job("filter", "hlt[01-03]", release="r2"), strategy=PAUSED)
    turn(world)
    turn(world)
    if restart:
        world.die()
    world.say(events.RolloutSteered("rollback", "team hlt"))
    for _ in range(8):
        turn(world)
        world.wait(1.0)
    assert {one.job.release for one in world.engine.instances.values() if one.job is not None} == {"r1"}
    applies(world, "hlt")
    turn(world)
    assert running(world) == tracker
    assert world.engine.parts == {1: "trk", 2: "hlt", 3: "hlt", 4: "hlt", 5: "hlt"}
    if restart:
        world.die()
        assert world.engine.parts == {1: "trk", 2: "hlt", 3: "hlt", 4: "hlt", 5: "hlt"}


def state_of(rollout: Rollout) -> str:
    """As it is now: steps change it."""
    return rollout.state


def test_a_rollout_of_one_team_is_left_alone_by_the_other_and_taken_over_by_itself() -> None:
    """There is one at a time: who needs one of its own meanwhile is refused, who needs none is not."""
    world = farm_of_two()
    applies(world, "hlt", job("filter", "hlt[01-03]", release="r2"), strategy=PAUSED)
    for _ in range(3):
        turn(world)
        world.wait(1.0)
    paused = world.engine.rolling.active
    assert paused is not None and state_of(paused) == "paused"
    applies(world, "trk", job("tracker", "hlt[01-03]", release="r2"), strategy=ONE_BY_ONE)
    assert isinstance(world.verdict, Refused)
    assert str(world.verdict) == (
        "rollout 1 of part hlt by team hlt, of filter, is paused, after batch 1, as asked for, and there is one at a time: "
        "give `--batches all`, or first `daqsched rollout resume`, or `daqsched rollout abort`"
    ), "to end another one's is no first advice"
    applies(world, "trk", job("tracker", "hlt[01-03]", release="r2"))
    assert world.engine.rolling.active is paused and state_of(paused) == "paused"
    applies(world, "trk", job("tracker"), job("filter", "hlt[01-03]"), take=("filter",))
    assert isinstance(world.verdict, Refused) and "changes filter, too" in str(world.verdict)
    applies(world, "hlt", job("filter", "hlt[01-03]", release="r3"), strategy=ONE_BY_ONE)
    assert state_of(paused) == "aborted" and world.engine.rolling.active is not None
    for _ in range(12):
        turn(world)
        world.wait(1.0)
    assert {one.name: one.job.release for one in world.engine.instances.values() if one.job} == {
        "tracker": "r2",
        "filter": "r3",
    }


def test_a_rollback_leaves_where_lines_go_to_whoever_said_it_since() -> None:
    """The rollout that goes back had not changed it."""
    world = farm_of_two()
    applies(world, "hlt", job("filter", "hlt[01-03]", release="r2"), strategy=PAUSED)
    index = LoggingSpec(index="trk")
    world.say(events.JobsApplied(file("trk", job("tracker", "hlt[01-03]", release="r1"), logging=index), "team trk"))
    world.say(events.RolloutSteered("rollback", "team hlt"))
    assert world.engine.revision is not None and world.engine.revision.spec.logging == index
    # and one that had, brings it back
    world = farm_of_two()
    new = file("hlt", job("filter", "hlt[01-03]", release="r2"), logging=index, rollout=PAUSED)
    world.say(events.JobsApplied(new, "team hlt"))
    assert world.engine.revision is not None and world.engine.revision.spec.logging == index
    world.say(events.RolloutSteered("rollback", "team hlt"))
    assert world.engine.revision.spec.logging == LoggingSpec() and world.engine.revision.spec.logging_part == ""


@pytest.mark.parametrize("restart", [False, True])
def test_whose_a_row_is(restart: bool) -> None:
    """Also while it ends; of that a new daemon knows no more, and shows it to each."""
    world = farm_of_two()
    applies(world, "hlt")
    if restart:
        world.restart()
    found = {row.job: row.part for row in rows(world.engine, lambda a, b: True, world.now)}
    assert found == {"tracker": "trk", "filter": "" if restart else "hlt"}
    for part, sees in (("trk", ["filter", "tracker"] if restart else ["tracker"]), ("hlt", ["filter"]), ("", [])):
        seen = sorted({name for name, _ in all_keys(world.engine, part)})
        assert seen == (sees or (["filter"] if restart else [])), part
    assert len(all_keys(world.engine)) == 6


def test_how_much_ends_unasked_is_said_by_the_part_whose_programs_end() -> None:
    """Of several parts the least; the daemon's word counts where no file says anything."""
    world = farm_of_two()
    few = EndLimit(programs=1)
    world.say(events.JobsApplied(file("hlt", job("filter", "hlt[01-03]", release="r1"), confirm=few), "team hlt"))
    hosts = ("hlt01", "hlt02", "hlt03")
    for names, ends in ((("tracker",), True), (("filter", "tracker"), False), (("filter",), False)):
        world.say(events.Held(tuple((name, host) for name in names for host in hosts), "alice"))
        assert isinstance(world.verdict, NotConfirmed) is not ends, names


def test_an_empty_file_of_a_part_must_be_meant() -> None:
    world = farm_of_two()
    world.say(events.JobsApplied(file("hlt"), "team hlt"))
    assert isinstance(world.verdict, DaqschedError) and "which would stop all of part hlt" in str(world.verdict)
    world.say(events.JobsApplied(file(""), "nobody"))
    assert "no jobs of the part without a name, and a file without jobs would stop nothing" in str(world.verdict)
    applies(world, "", job("lone"))
    world.say(events.JobsApplied(file(""), "nobody"))
    assert "which would stop all of the part without a name" in str(world.verdict)


def test_so_many_revisions_of_parts_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest go; what can't be read is told."""
    monkeypatch.setattr("daqsched.engine.farm.MOST_OF_PARTS", 2)
    world = farm_of_two()
    applies(world, "hlt")
    assert world.engine.parts == {2: "hlt", 3: "hlt"}
    world.disk.documents["parts"] = b"?"
    world.restart()
    assert world.engine.parts == {} and "of which part each revision was" in world.engine.troubles[0]


def test_holds_stay_with_who_made_them_over_applies_of_parts() -> None:
    """Whoever takes a stopped job over, or names it again, does not start it."""
    world = farm_of_two()
    keys = (("filter", "hlt01"),)
    world.say(events.Held(keys, "alice", "cabling"))
    turn(world)
    for part, take in itertools.product(("trk", "hlt"), (("filter",),)):
        jobs = [job("filter", "hlt[01-03]", release="r1")] + ([job("tracker")] if part == "trk" else [])
        applies(world, part, *jobs, take=take)
        turn(world)
        assert "filter@hlt01" not in running(world) and "filter@hlt02" in running(world)
    world.say(events.Released(keys, "bob"))
    assert isinstance(world.verdict, Refused)


def test_while_a_rollout_may_go_back_no_other_part_takes_what_it_would_bring_back() -> None:
    """Or what it brought: its rollback would undo the other part's apply in silence."""
    world = World(["hlt01", "hlt02", "hlt03"])
    world.register()
    applies(world, "hlt", job("a", "hlt[01-02]"), job("z", "hlt03"))
    world.offers()
    for task in list(world.tasks):
        world.report(task)
    way = Strategy(batches=(1,), ready_s=0.0, on_failure="rollback")
    applies(world, "hlt", job("a", "hlt[01-02]", release="r2"), job("b", "hlt03"), strategy=way)
    for name in ("b", "z"):
        world.say(events.JobsApplied(file("trk", job(name, "hlt02")), "bob", take=("b",) if name == "b" else ()))
        assert isinstance(world.verdict, Refused), name


def test_one_part_s_bound_is_not_that_of_another_s_programs() -> None:
    """A part that lets any number end covers no program of a part that says nothing."""
    hosts = [f"hlt{number:02d}" for number in range(1, 31)]
    world = World(hosts)
    world.register()
    lax = EndLimit(programs=1000, share="100%")
    world.say(events.JobsApplied(replace(file("hlt", job("h", "hlt01")), confirm=lax), "alice"))
    world.say(events.JobsApplied(file("trk", job("t", "hlt[01-30]")), "alice"))
    world.offers()
    for task in list(world.tasks):
        world.report(task)
    keys = tuple(("t", host) for host in hosts)
    for asked in (keys, (("h", "hlt01"), *keys)):
        world.say(events.Held(asked, "alice"))
        assert isinstance(world.verdict, NotConfirmed)


def test_a_part_does_not_go_back_to_a_revision_that_knew_no_job_of_it() -> None:
    """All of it would end."""
    revision = Revision(1, "d", "alice", 1.0, "", file("", job("a")))
    with pytest.raises(
        UserError, match=r"^revision 1 has no job of .*: all of it would end; `daqsched history --part hlt`"
    ):
        to_roll_back(revision, ["hlt"], RollbackRequest(revision=1, part="hlt"))
