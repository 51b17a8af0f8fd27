"""No apply makes anybody more than the rights say: whatever the farm was, and whatever it is to be."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from builders import World, job
from daqsched.engine import events
from daqsched.engine.applying import ensure_part
from daqsched.engine.permission import of_apply
from daqsched.engine.verdict import Accepted
from daqsched.errors import Refused, UserError
from daqsched.merge import change_of
from daqsched.rights.grants import Grants
from daqsched.rights.principal import Principal
from daqsched.rights.rules import read
from daqsched.spec import JobSpec, Spec
from daqsched.views.needed import needed
from examples import examples

RIGHTS = read(
    """
version: 1
rules:
  - {to: unix:alice, role: expert, owner: trigger, accounts: [daq]}
  - {to: unix:alice, role: expert, part: hlt, on: ["b*"]}
  - {to: unix:alice, deny: [apply], on: ["@h3"]}
""",
    "rights.yaml",
)
ALICE = Grants(RIGHTS, Principal("alice", frozenset(["unix:alice"])))


def may(one: JobSpec) -> bool:
    """The rules above, in other words."""
    given = one.owner == "trigger" or (one.part == "hlt" and one.name.startswith("b"))
    return given and "h3" not in one.hosts


def may_run(one: JobSpec) -> bool:
    """As the account that it names."""
    return not one.setuid and (not one.user or (one.user == "daq" and one.owner == "trigger"))


JOBS = st.builds(
    lambda name, hosts, owner, user, setuid, release: job(
        name, hosts, owner=owner, user=user, setuid=setuid, release=release
    ),
    st.sampled_from(["a", "b1", "b2"]),
    st.sampled_from(["h1", "h2", "h3"]),
    st.sampled_from(["trigger", "power", ""]),
    st.sampled_from(["", "", "daq", "root"]),
    st.sampled_from([False, False, False, True]),
    st.sampled_from(["", "r1"]),
)


@st.composite
def specs(draw: st.DrawFn) -> Spec:
    part = draw(st.sampled_from(["", "hlt"]))
    found = {one.name: replace(one, part=part) for one in draw(st.lists(JOBS, max_size=3))}
    return Spec(jobs=tuple(found.values()), part=part)


@settings(max_examples=examples(300), deadline=None)
@given(specs(), specs(), st.sampled_from([(), (), ("*",)]))
def test_no_apply_changes_what_is_not_the_callers(old: Spec, new: Spec, take: tuple[str, ...]) -> None:
    """Neither by another owner, nor by another part, nor by an account; what changes nothing is no change; and the plan says so."""
    world = World()
    world.say(events.JobsApplied(old, "root", allow_empty=True))
    was = world.engine.spec
    event = events.JobsApplied(new, "alice", allow_empty=True, take=take)
    try:
        merged = change_of(was, new, event.scope, world.engine.hosts_of, world.engine.behind())
        ensure_part(was, new)
    except UserError:  # not an apply that anybody could make
        verdict = world.engine.handle(event, world.now, ALICE).verdict
        assert isinstance(verdict, UserError) and world.engine.spec == was
        return
    said, _ = needed(ALICE, of_apply(was, merged, new, None, "daqsched"))
    verdict = world.engine.handle(event, world.now, ALICE).verdict
    here, there = of(was), of(world.engine.spec)
    changed = [
        one
        for name in {*here, *there}
        if here.get(name) != there.get(name)
        for one in (here.get(name), there.get(name))
    ]
    assert all(may(one) and may_run(one) for one in changed if one is not None)
    assert isinstance(verdict, Accepted) if not said else str(verdict) == said


def test_some_are_refused_and_some_are_not() -> None:
    """Else the test above would be content with nothing."""
    mine, others = job("a", "h1", owner="trigger"), job("a", "h1", owner="power")
    for old, new, refused in ((mine, mine, False), (others, mine, True), (mine, others, True)):
        world = World()
        world.say(events.JobsApplied(Spec(jobs=(old,)), "root"))
        event = events.JobsApplied(Spec(jobs=(replace(new, release="r2"),)), "alice")
        assert isinstance(world.engine.handle(event, world.now, ALICE).verdict, Refused) == refused


def of(spec: Spec) -> dict[str, JobSpec]:
    return {one.name: one for one in spec.jobs}
