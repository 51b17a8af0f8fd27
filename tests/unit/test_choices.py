"""What shifters may set: evaluated by who applies, kept with the farm, and nothing else can come of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Optional

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from builders import World, job, turn
from daqsched import choices as choices_module
from daqsched import farm_parts, saved_choices
from daqsched.choices import ChoiceSet, ChoiceVariable, check, chosen, in_force, made, sha256_of, with_choice
from daqsched.engine import events
from daqsched.engine.commands import CHOICES
from daqsched.engine.verdict import Accepted
from daqsched.errors import JobFileError, Refused, UserError
from daqsched.jobfile.alternatives import load_with_choices
from daqsched.rights.grants import Grants
from daqsched.rights.principal import Principal
from daqsched.rights.rules import read
from daqsched.rollout import Strategy
from daqsched.spec import LoggingSpec, Spec
from examples import examples

FILE = """
from daqsched import Job, variable
version = variable("version", "r1", shifter=["r1", "r2"])
debug = variable("debug", False, shifter=[False, True])
jobs = [
    Job("readout", "/bin/run" + (" -v" if debug else ""), hosts="hlt[01-02]", version=version, owner="trigger"),
    Job("hv", "/bin/hv", hosts="hlt01", owner="power"),
]
if debug:
    jobs.append(Job("tracer", "/bin/trace", hosts="hlt01", owner="trigger"))
"""
RIGHTS = read(
    """
version: 1
rules:
  - {to: known, role: viewer}
  - {to: unix:shifter, role: shifter}
  - {to: unix:elsewhere, role: shifter, owner: power}
  - {to: unix:denied, role: shifter}
  - {to: unix:denied, deny: set, on: "tracer"}
  - {to: unix:expert, role: expert}
  - {to: unix:trigger, role: expert, owner: trigger}
""",
    "rights.yaml",
)


def who(name: str) -> Grants:
    return Grants(RIGHTS, Principal(name, frozenset([f"unix:{name}"])))


def file(folder: Path, text: str = FILE) -> Path:
    made_ = folder / "jobs.py"
    made_.write_text(text)
    return made_


def sent(folder: Path, text: str = FILE, part: Optional[str] = None, **given_: str) -> tuple[Spec, ChoiceSet]:
    found = load_with_choices(file(folder, text), given_, part)
    assert found.choices is not None
    return found.spec if part is None else replace(found.spec, part=part), found.choices


def apply(world: World, spec: Spec, found: Optional[ChoiceSet], **more: Any) -> None:
    choices = {spec.part: found} if found is not None else {}
    world.say(events.JobsApplied(spec, "alice", choices=choices, allow_empty=True, **more))
    assert isinstance(world.verdict, Accepted), world.verdict


def put(world: World, grants: Optional[Grants] = None, part: str = "", **values: str) -> Any:
    """The verdict of a set."""
    event = events.VariablesSet(part, values, "bob", "why")
    world.say(event, grants=grants)
    return world.verdict


def rolls(world: World) -> bool:
    return world.engine.rolling.active is not None


def finish(world: World) -> None:
    """Until no rollout is under way."""
    for _ in range(100):
        if not rolls(world):
            return
        world.now += 30.0
        turn(world)
        world.say(events.Ticked())
    raise AssertionError("it goes on for ever")


def releases(world: World) -> dict[str, str]:
    return {one.name: one.release for one in world.engine.spec.jobs}


# ------------------------------------------------------------------------------------------------ the file


def test_a_file_is_evaluated_with_each_combination(tmp_path: Path) -> None:
    """What differs is sent once in each form, with the digest of the whole; what is the same is not."""
    spec, found = sent(tmp_path)
    check(found)
    assert [one.name for one in found.variables] == ["version", "debug"]
    assert {one.values for one in found.choices} == {("r1", "false"), ("r1", "true"), ("r2", "false"), ("r2", "true")}
    assert {one.name for one in found.jobs} == {"readout", "tracer"} and len(found.jobs) == 5
    for choice in found.choices:
        there = with_choice(spec, found, choice)
        assert sha256_of(there) == choice.sha256 and len(choice.sha256) == 64
        assert ("tracer" in {one.name for one in there.jobs}) == (choice.values[1] == "true")
        assert {one.release for one in there.jobs if one.name == "readout"} == {choice.values[0]}
    assert found.given.values == ("r1", "false")


def test_what_is_set_besides_is_in_all_of_them(tmp_path: Path) -> None:
    """Also where a variable is set to what no shifter may set; the source says it."""
    text = FILE.replace('owner="power"', "owner=variable('who', 'power')")
    spec, found = sent(tmp_path, text, version="r9", who="slow")
    assert found.given.values == ("r9", "false") and {one.release for one in spec.jobs if one.name == "readout"} == {
        "r9"
    }
    assert all(
        next(j for j in with_choice(spec, found, one).jobs if j.name == "hv").owner == "slow" for one in found.choices
    )
    assert with_choice(spec, found, found.choices[0]).source.endswith(
        "jobs.py --set who=slow --set version=r1 --set debug=false"
    )


def test_modules_beside_the_file_are_evaluated_anew(tmp_path: Path) -> None:
    """A variable may be declared in one."""
    words = "from daqsched import variable\nversion = variable('version', 'r1', shifter=['r1', 'r2'])\n"
    (tmp_path / "site_words.py").write_text(words)
    text = "from daqsched import Job\nfrom site_words import version\njobs = [Job('a', '/bin/a', hosts='h', version=version)]\n"
    spec, found = sent(tmp_path, text)
    assert sorted(one.release for one in found.jobs) == ["r1", "r2"]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("variable('v', 'a', shifter='ab')", "jobs.py:2: variable 'v': shifter is a list of the values"),
        ("variable('v', 'a', shifter=[])", "it lists no value"),
        ("variable('v', 'a', shifter=['a', 1])", "values of the default's kind, not to 1"),
        ("variable('v', 1, shifter=[1, True])", "values of the default's kind, not to True"),
        ("variable('v', 'a', shifter=['b'])", "the default 'a' is not among"),
        ("variable('v', 'a', shifter=['a', 'a'])", "it lists a value twice"),
        ("variable('v', 'a', shifter=['a', 'b\\n'])", "'b\\n' is not one line"),
        ("variable('v', 'a', shifter=['a', 'b' * 101])", "is not one line of at most 100"),
        ("variable('v=', 'a', shifter=['a'])", "its name is one line without '='"),
        ("(variable('v', 'a', shifter=['a']), variable('v', 'a'))[0]", "declared twice, and not with the same values"),
        ("variable('v', 0, shifter=list(range(65)))", "v have 65 combinations, at most 64"),
        (
            "variable('v', 'a', shifter=['a']) + str(__import__('random').random())",
            "says something else each time",
        ),
        ("variable('v', 'a', shifter=['a', '']) or 1 / 0", "with v=: ZeroDivisionError"),
    ],
)
def test_a_mistake_has_its_line(tmp_path: Path, line: str, sentence: str) -> None:
    """Also one that is a mistake with some of the values alone: then with which."""
    text = f"from daqsched import Job, variable\nx = {line}\njobs = [Job('a', '/bin/a', hosts='h', version=str(x))]\n"
    with pytest.raises(JobFileError) as error:
        load_with_choices(file(tmp_path, text), {})
    assert sentence in str(error.value)


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("farm = 'a' if v == 'a' else 'b'", "farm"),
        ("logging = Logging(index=v)", "logging"),
        ("rollout = Rollout(ready_s=1 if v == 'a' else 2)", "rollout"),
        ("confirm = Confirm(programs=1 if v == 'a' else 2)", "confirm"),
    ],
)
def test_a_choice_changes_jobs_alone(tmp_path: Path, line: str, word: str) -> None:
    """Neither whose the file is, nor where lines go, nor how changes go over the farm."""
    text = (
        "from daqsched import Confirm, Job, Logging, Rollout, variable\nv = variable('v', 'a', shifter=['a', 'b'])\n"
        f"jobs = [Job('a', '/bin/a', hosts='h')]\n{line}\n"
    )
    with pytest.raises(JobFileError, match=f"the file says another {word}: what a shifter sets changes jobs alone"):
        load_with_choices(file(tmp_path, text), {})


def test_what_was_not_made_of_a_file_is_refused(tmp_path: Path) -> None:
    """Whatever is sent in the place of it."""
    spec, found = sent(tmp_path)
    first = found.choices[0]
    for wrong in (
        replace(found, variables=()),
        replace(found, variables=(*found.variables, found.variables[0])),
        replace(found, choices=found.choices[1:]),
        replace(found, choices=(first, first, *found.choices[2:])),
        replace(found, choices=(replace(first, values=("r7", "false")), *found.choices[1:])),
        replace(found, choices=(replace(first, takes=(99,)), *found.choices[1:])),
        replace(found, choices=(replace(first, takes=(-1,)), *found.choices[1:])),
        replace(found, choices=(replace(first, takes=(0, 0)), *found.choices[1:])),
        replace(found, given=replace(found.given, values=("a",))),
        replace(found, variables=(replace(found.variables[0], values=tuple(map(str, range(65)))), found.variables[1])),
    ):
        with pytest.raises(UserError, match="choices: "):
            check(wrong)
    bad = replace(first, takes=found.choices[2].takes)
    with pytest.raises(UserError, match="is not what its digest says"):
        choices_module.ensure(spec, found, bad)


JOBS = st.builds(
    lambda name, release: job(name, "h1", release=release), st.sampled_from("abc"), st.sampled_from(["", "r1"])
)
SPECS = st.lists(JOBS, max_size=3, unique_by=lambda one: one.name).map(lambda jobs: Spec(jobs=tuple(jobs)))


@settings(max_examples=examples(200), deadline=None)
@given(SPECS, SPECS, SPECS, st.sampled_from(["", "hlt"]))
def test_any_choice_leads_to_any_other_exactly(base: Spec, one: Spec, two: Spec, part: str) -> None:
    """Whatever the jobs are: from what is in force with one, the other is exactly what was evaluated."""
    base, one, two = (replace(spec, part=part) for spec in (base, one, two))
    found = made(base, [ChoiceVariable(name="v", values=("1", "2"))], ["0"], {("1",): one, ("2",): two})
    farm = farm_parts.of_part(farm_parts.labelled(base), part)
    for choice, meant in ((found.choices[0], one), (found.choices[1], two), (found.given, base)):
        now = in_force(farm, found)
        assert now is not None and sha256_of(farm) == now.sha256
        farm = farm_parts.of_part(farm_parts.labelled(choices_module.ensure(farm, found, choice)), part)
        assert sha256_of(farm) == sha256_of(meant)


# ------------------------------------------------------------------------------------------------ setting


def test_a_shifter_sets_what_is_listed(tmp_path: Path) -> None:
    """It is an apply: a revision, by who has set it, with what; all else stays as it is set."""
    world = World(["hlt01", "hlt02"])
    apply(world, *sent(tmp_path))
    turn(world)
    assert put(world, who("shifter"), version="r2").revision == 2
    revision = world.engine.revision
    assert revision is not None and (revision.user, revision.message) == ("bob", "set version=r2: why")
    assert releases(world)["readout"] == "r2" and "tracer" not in releases(world)
    assert put(world, debug="YES").revision == 3
    assert releases(world) == {"readout": "r2", "hv": "", "tracer": ""}
    assert put(world, version="r2", debug="true").revision == 3, "nothing changes"
    assert put(world, version="r1", debug="off").revision == 4
    assert world.engine.revision is not None and world.engine.revision.spec.source.endswith(
        "--set version=r1 --set debug=false"
    )
    assert releases(world) == {"readout": "r1", "hv": ""}


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"version": "r3"}, "version may be set to r1, r2, and not to 'r3'"),
        ({"debug": "maybe"}, "debug may be set to false, true, and not to 'maybe'"),
        ({"colour": "red"}, "'colour' is not for a shifter to set: version, debug may be set"),
        ({"version": "r2", "colour": "red"}, "'colour' is not for a shifter to set"),
    ],
)
def test_what_is_not_listed_is_refused_in_one_sentence(tmp_path: Path, values: dict[str, str], sentence: str) -> None:
    """And nothing is changed."""
    world = World(["hlt01", "hlt02"])
    apply(world, *sent(tmp_path))
    assert sentence in str(put(world, who("shifter"), **values))
    assert releases(world)["readout"] == "r1"


def test_each_job_that_it_changes_takes_the_right(tmp_path: Path) -> None:
    """By owner, by a deny, by role; a set of what one may not is refused whole."""
    world = World(["hlt01", "hlt02"])
    apply(world, *sent(tmp_path))
    assert "viewer may not set what changes the farm" in str(put(world, who("viewer"), version="r2"))
    assert "elsewhere may not set what changes readout@hlt01: it takes a shifter" in str(
        put(world, who("elsewhere"), version="r2")
    )
    assert isinstance(put(world, who("denied"), version="r2", debug="true"), Refused)
    assert releases(world)["readout"] == "r1"
    assert put(world, who("denied"), version="r2").revision == 2


def test_only_what_was_left_can_come_of_it(tmp_path: Path) -> None:
    """Where something else was applied since, of all or of some of the part, or to a host: nothing can be set until the file is
    applied again."""
    world = World(["hlt01", "hlt02"])
    spec, found = sent(tmp_path)
    other = replace(spec, jobs=tuple(replace(one, release="r7") for one in spec.jobs))
    for scope in (("readout",), ("hv",), ("readout@hlt01",)):
        apply(world, spec, found)
        world.say(events.JobsApplied(other, "alice", only=scope))
        verdict = put(world, who("expert"), version="r2")
        assert isinstance(verdict, Refused) and "is not what the file with these choices says" in str(verdict), scope
    apply(world, spec, found)
    assert isinstance(put(world, version="r2"), Accepted)
    apply(world, replace(spec, source="other"), None)  # a file that leaves nothing, or an older command
    assert "no variable of the part without a name is for a shifter to set" in str(put(world, version="r1"))


def test_an_apply_that_changes_nothing_else_changes_the_choices(tmp_path: Path) -> None:
    """Also to none."""
    world = World(["hlt01", "hlt02"])
    spec, found = sent(tmp_path)
    apply(world, spec, None)
    apply(world, spec, found)
    assert world.engine.revision is not None and world.engine.revision.number == 1
    assert isinstance(put(world, version="r2"), Accepted)
    apply(world, spec, found)
    apply(world, spec, None)
    assert isinstance(put(world, version="r2"), UserError)


def test_parts_have_choices_of_their_own(tmp_path: Path) -> None:
    """With the same names; an apply or set of one changes nothing of the other's, also where both say where lines go."""
    world = World(["hlt01", "hlt02", "hlt03"])
    one = "from daqsched import Job, Logging, variable\nlogging = Logging(index='x')\n" + (
        "v = variable('v', 'r1', shifter=['r1', 'r2'])\njobs = [Job('NAME', '/bin/a', hosts='hlt03', version=v)]\n"
    )
    for part, name in (("hlt", "a"), ("", "b"), ("sfo", "c")):
        apply(world, *sent(tmp_path, one.replace("NAME", name), part))
    logging = world.engine.spec.logging, world.engine.spec.logging_part
    assert logging == (LoggingSpec(index="x"), "hlt")
    for part in ("hlt", "", "sfo"):
        assert isinstance(put(world, part=part, v="r2"), Accepted)
    assert set(releases(world).values()) == {"r2"}
    assert (world.engine.spec.logging, world.engine.spec.logging_part) == logging
    assert {one.name: one.part for one in world.engine.spec.jobs} == {"a": "hlt", "b": "", "c": "sfo"}


def test_a_rollout_goes_as_the_file_says_and_a_shifter_ends_his_own(tmp_path: Path) -> None:
    """That of somebody's apply takes the right to steer it."""
    world = World(["hlt01", "hlt02"])
    text = FILE.replace("import Job", "import Job, Rollout") + "rollout = Rollout(batches=[1])\n"
    spec, found = sent(tmp_path, text)
    apply(world, spec, found, strategy=Strategy(batches=()))
    turn(world)
    verdict = put(world, who("shifter"), version="r2")
    assert verdict.rollout and rolls(world)
    assert isinstance(put(world, who("shifter"), version="r1"), Accepted), "his own"
    finish(world)
    apply(world, replace(spec, jobs=with_choice(spec, found, found.choices[2]).jobs), found)
    assert rolls(world)
    assert "may not resume, abort or roll back a rollout" in str(put(world, who("shifter"), version="r1"))
    assert isinstance(put(world, who("expert"), version="r1"), Accepted)


def test_a_rollback_of_a_rollout_is_one_of_the_choices(tmp_path: Path) -> None:
    """What failed can be set again."""
    world = World(["hlt01", "hlt02"])
    text = FILE.replace("import Job", "import Job, Rollout") + "rollout = Rollout(batches=[1])\n"
    apply(world, *sent(tmp_path, text), strategy=Strategy(batches=()))
    turn(world)
    put(world, version="r2")
    world.say(events.RolloutSteered("rollback", "bob"))
    finish(world)
    assert releases(world)["readout"] == "r1"
    assert isinstance(put(world, version="r2"), Accepted)


def test_choices_are_sent_with_the_right_to_all_that_may_come_of_them(tmp_path: Path) -> None:
    """Of each job that any of them has, its account, too; and of each whose place it takes."""
    text = FILE.replace('"/bin/trace", hosts="hlt01", owner="trigger"', '"/bin/trace", hosts="hlt01", OTHER')
    for other, verb in (
        ('owner="power"', "apply"),
        ('owner="trigger", user="root"', "account"),
        ('owner="trigger"', ""),
    ):
        world = World(["hlt01", "hlt02"])
        spec, found = sent(tmp_path, text.replace("OTHER", other))
        world.say(events.JobsApplied(replace(spec, jobs=spec.jobs[1:]), "root"))
        event = events.JobsApplied(spec, "trigger", choices={"": found})
        verdict = world.engine.handle(event, world.now, who("trigger")).verdict
        if verb:
            assert isinstance(verdict, Refused) and verdict.verb == verb and "tracer" in str(verdict)
        else:
            assert isinstance(verdict, Accepted)


def test_they_survive_and_what_is_damaged_lets_nobody_set_anything(tmp_path: Path) -> None:
    """A new daemon goes by them as the last one did."""
    world = World(["hlt01", "hlt02"])
    apply(world, *sent(tmp_path))
    put(world, version="r2")
    world.restart()
    assert isinstance(put(world, debug="true"), Accepted) and releases(world)["readout"] == "r2"
    for damage in (b"", b"\xc1", b"\x91\x80", msgspec.msgpack.encode([{"part": "", "choices": {}}])):
        world.disk.documents[CHOICES] = damage
        world.restart()
        assert any("what shifters may set can't be read" in one for one in world.engine.troubles)
        assert isinstance(put(world, version="r1"), UserError)
    del world.disk.documents[CHOICES]
    world.restart()
    assert not world.engine.troubles and isinstance(put(world, version="r1"), UserError)


@pytest.mark.once
def test_what_is_kept_is_bounded(tmp_path: Path) -> None:
    """What does not count any more goes first; that of an earlier revision is found by its number."""
    world = World(["hlt01", "hlt02"])
    for at in range(saved_choices.MOST_KEPT + 20):
        apply(world, *sent(tmp_path, FILE.replace("r1", f"r1-{at}")))
    kept = world.engine.choices
    assert len(kept) == saved_choices.MOST_KEPT and not kept[-1].until
    assert saved_choices.of_revision(kept, "", 1) is None
    found = saved_choices.of_revision(kept, "", 50)
    assert found is not None and found.choices.given.values[0] == "r1-49"


def test_what_is_set_with_values_that_are_not_listed(tmp_path: Path) -> None:
    """Is said where another variable is set: both are."""
    _, found = sent(tmp_path, version="r9")
    with pytest.raises(UserError, match="version is r9, which is not one of r1, r2: set it, too"):
        chosen(found, found.given, {"debug": "true"})
    assert chosen(found, found.given, {"debug": "true", "version": "r2"}).values == ("r2", "true")
