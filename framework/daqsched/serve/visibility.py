"""What of the farm who asks may see: looked at beside the engine, and not at all for whoever sees all of it.

What is hidden is as what is not there: it is in no answer, and a word that means nothing else matches nothing.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Callable, Optional

from msgspec.structs import replace
from starlette.requests import Request

from daqsched.confirm import NotConfirmed
from daqsched.engine.applying import without_only
from daqsched.engine.engine import Engine
from daqsched.engine.incidents import Incident
from daqsched.engine.instance import Key
from daqsched.engine.permission import targets_of
from daqsched.errors import DaqschedError, Refused, UserError
from daqsched.merge import Desired
from daqsched.protocol import RevisionHead
from daqsched.rights.grants import Grants, Target
from daqsched.rights.unsaid import names_hidden, said
from daqsched.rollout import Rollout
from daqsched.saved_choices import SavedChoices
from daqsched.serve.daemon import Ask
from daqsched.serve.http import grants_of
from daqsched.spec import JobSpec, Spec
from daqsched.task import Owned
from daqsched.views.plan import Plan
from daqsched.views.rows import Row, Story

#: How a line of evidence begins that is about another instance.
_NAMED = re.compile(r"(\S+)@(\S+) is [A-Z]")


#: What is said in the place of a refusal that names what is hidden.
UNSAID = "it is in the way of what is there, and not for you to see: ask who runs the farm"


#: What of a rollout is told to whoever sees a part of the farm, as it is; of each other field `Visibility.rollout` says what.
ROLLOUT_TOLD = tuple(
    "number kind user began revision before hosts instances batches state at complete changed batch_began ready_since failed"
    " ended reached replaced_by paused_by as_asked".split()
)


class Visibility:
    """For one answer; ``spec`` says whose each job is. Of a job that is in it no more nobody knows that: rules for an owner or a
    part give nothing of it, and each of those denies it. ``owned``: since when that is so (`engine.job_owners`)."""

    def __init__(self, grants: Grants, spec: Spec) -> None:
        self.grants = grants
        self._spec, self._desired = spec, Desired(spec)

    @cached_property
    def parts(self) -> frozenset[str]:
        """Those that have a job that is shown."""
        return frozenset({"", *(job.part for job in self._spec.jobs if self.sees_any(job))})

    @cached_property
    def _hidden(self) -> frozenset[str]:
        """Names of jobs and parts that are not shown."""
        jobs = {job.name for job in self._spec.jobs if not self.sees_some(job.name)}
        return frozenset(jobs | {job.part for job in self._spec.jobs if job.part not in self.parts})

    def unsaid(self, error: DaqschedError) -> DaqschedError:
        """The same refusal; where it names what is hidden without that."""
        said = error.paused if isinstance(error, NotConfirmed) else str(error)
        if error.of_request or not self.names(said):
            return error.unsized(self.sees_some) if isinstance(error, NotConfirmed) else error
        return Refused(UNSAID, error.verb) if isinstance(error, Refused) else UserError(UNSAID)

    def target(self, job: str, host: str) -> Target:
        """An instance, as rules know it."""
        found = self._desired.of(job, host)
        return Target(job, host, found.owner, found.part) if found is not None else Target(job, host, forgotten=True)

    def may_then(self, verb: str, job: str, host: str, at: float, owned: Mapping[str, Owned]) -> bool:
        """Whether that may be asked of what was there at that time, too."""
        return not self.grants.refusal(verb, self._targets_then(job, host, at, owned))

    def permit_then(self, verb: str, job: str, host: str, at: float, owned: Mapping[str, Owned]) -> None:
        """Raise `Refused` where it may not."""
        why = self.grants.refusal(verb, self._targets_then(job, host, at, owned))
        if why:
            raise Refused(why, verb)

    def _targets_then(self, job: str, host: str, at: float, owned: Mapping[str, Owned]) -> list[Target]:
        now, since = self.target(job, host), owned.get(job)
        if now.forgotten or (since is not None and since.since <= at):
            return [now]
        return [now, Target(job, host, forgotten=True)]

    def sees(self, job: str, host: str) -> bool:
        """Whether that instance is shown."""
        return not self.grants.why_not("see", self.target(job, host))

    def sees_some(self, job: str) -> bool:
        """Whether anything of a job is shown, by what is in force."""
        found = self._desired.jobs.get(job)
        return self.sees_any(found) if found is not None else self.sees(job, "")

    def sees_any(self, job: JobSpec) -> bool:
        """The same of a job as it is written."""
        return any(not self.grants.why_not("see", target) for target in targets_of(job))

    def sees_then(self, name: str, then: Optional[JobSpec]) -> bool:
        """The same of a job that a file would change, or make. What it says of one that is hidden makes nothing of that to be
        seen: it may have any owner there."""
        if then is None or name in self._desired.jobs:
            return self.sees_some(name)
        return self.sees_any(then)

    def hides_part(self, part: str) -> bool:
        """Whether there is a part of that name, of which nothing is shown."""
        return part in self._hidden

    def told(self, sentence: str, others: Collection[str] = ()) -> str:
        """What is said in its place; ``others`` are further jobs that are not shown."""
        return said(sentence, lambda name: name in self._hidden or name in others, self._hides, self._knows)

    def row(self, row: Row) -> Row:
        """Why it is as it is, without what names others that are not shown."""
        reason = self.told(row.reason)
        return row if reason == row.reason else replace(row, reason=reason)

    def triples(self, triples: Iterable[tuple[str, str, str]]) -> Iterator[tuple[str, str, str]]:
        """Instances, each with a sentence."""
        return ((job, host, self.told(why)) for job, host, why in triples)

    def _hides(self, job: str, host: str) -> bool:
        return not self.sees(job, host)

    def _knows(self, job: str) -> bool:
        return job in self._desired.jobs

    def words(self, words: tuple[str, ...], others: Collection[str] = ()) -> tuple[str, ...]:
        """Without those that name what is hidden; ``others`` are further jobs that are not shown."""
        return tuple(word for word in words if not self.names(word) and word.partition("@")[0] not in others)

    def sees_choices(self, kept: SavedChoices) -> bool:
        """Whether what a shifter may set there is shown: it changes something that is."""
        jobs = (job if job.part == kept.part else replace(job, part=kept.part) for job in kept.choices.jobs)
        return any(self.sees_some(job.name) or self.sees_any(job) for job in jobs)

    def keys(self, keys: Sequence[Key]) -> Sequence[Key]:
        """Those that are shown."""
        return tuple(key for key in keys if self.sees(*key))

    def incidents(
        self, incidents: Iterable[Incident], keys: Sequence[Key], owned: Mapping[str, Owned]
    ) -> list[Incident]:
        """Of all of them what is shown; ``keys`` are the farm's instances."""
        known, seen = set(keys), set(self.keys(keys))
        told = (self.incident(one, known, seen, owned) for one in incidents)
        return [one for one in told if one is not None]

    def incident(
        self, incident: Incident, known: Collection[Key], seen: Collection[Key], owned: Mapping[str, Owned]
    ) -> Optional[Incident]:
        """What is shown of it; ``known`` are the farm's instances, ``seen`` those that are shown. Where others died alike, what was
        printed, how often, since when, and of which version, is not told: of each that is shown there is one death at least."""
        both = [(job, host) for job in incident.jobs for host in incident.hosts]
        pairs = {key for key in both if key in seen and self.may_then("see", *key, incident.first, owned)}
        if not pairs:
            return None
        jobs, hosts = {job for job, _ in pairs}, {host for _, host in pairs}
        narrowed = replace(
            incident,
            jobs=[job for job in incident.jobs if job in jobs],
            hosts=[host for host in incident.hosts if host in hosts],
        )
        alone = narrowed == incident and not any(key in known and key not in pairs for key in both)
        if alone:
            return narrowed
        return replace(narrowed, line="", count=len(pairs), release="", first=narrowed.last, revision=0, applied=0.0)

    def story(self, story: Story, owned: Mapping[str, Owned]) -> Story:
        """Without what is told of other instances that are not shown, and of how many they are, and of what was somebody else's."""
        return replace(
            story,
            why=self.told(story.why),
            evidence=tuple(self.told(line) for line in story.evidence if self._tells(line)),
            changes=tuple(
                replace(one, cause=self.told(one.cause), reason=self.told(one.reason))
                for one in story.changes
                if self.may_then("see", story.job, story.host, one.at, owned)
            ),
        )

    def _tells(self, line: str) -> bool:
        if line.startswith(("this death: ", "this: ")):
            return False
        named = _NAMED.match(line)
        return named is None or self.sees(named[1], named[2])

    def rollout(self, rollout: Rollout) -> Rollout:
        """Its figures and who steers it; of failures those that are shown, and its reasons where nothing else is named there."""
        failures = tuple(one for one in rollout.failures if self.sees(one.job, one.host))

        def reason(said: str) -> str:
            return said if failures == rollout.failures and not self.names(said) else ""

        return Rollout(
            **{name: getattr(rollout, name) for name in ROLLOUT_TOLD},
            message=self.message(rollout.message),
            strategy=replace(rollout.strategy, guard=""),
            failures=failures,
            why=reason(rollout.why),
            cause=reason(rollout.cause),
            part=rollout.part if rollout.part in self.parts else "",
        )

    def names(self, sentence: str) -> bool:
        """Whether it names what is hidden."""
        return names_hidden(sentence, self._hidden.__contains__, self._hides, self._knows)

    def head(self, head: RevisionHead) -> RevisionHead:
        """Without the reasons of its rollout, which name what failed, and whose it was where nothing of that is shown."""
        outcome = replace(head.rollout, why="", unreached="") if head.rollout is not None else None
        there = head.part in self.parts
        return replace(
            head,
            message=self.message(head.message),
            rollout=outcome,
            part=head.part if there else "",
            source=head.source if there else "",
        )

    def message(self, message: str) -> str:
        """What somebody wrote of a revision, without what the apply was about, which may be hidden."""
        return without_only(message)

    def asked(self, spec: Spec) -> Spec:
        """A file that is to be planned or applied: to take the place of what is hidden is as to take that of what is not there."""

        def shown(job: JobSpec) -> JobSpec:
            replaces = tuple(name for name in job.replaces if name not in self._hidden)
            return job if replaces == job.replaces else replace(job, replaces=replaces)

        return replace(spec, jobs=tuple(map(shown, spec.jobs)))

    def plan(self, plan: Plan, new: Spec) -> Plan:
        """What it does to jobs that are shown, and to those that there are not yet and would be."""
        then = {job.name: job for job in new.jobs}

        def seen(name: str) -> bool:
            return self.sees_then(name, then.get(name))

        return replace(
            plan,
            changes=tuple(replace(one, why=tuple(map(self.told, one.why))) for one in plan.changes if seen(one.job)),
            refusals=tuple(replace(one, why=self.told(one.why)) for one in plan.refusals if seen(one.job)),
            needs=tuple(one for one in plan.needs if not one.job or seen(one.job)),
            stays=tuple((job, self.told(why)) for job, why in plan.stays if seen(job)),
            moves=(),
            namesakes=(),
            maintenance=(),
            parts="",
            rollout="",
            ends=plan.ends.unsized() if plan.ends is not None else None,
        )

    def spec(self, spec: Spec) -> Spec:
        """The jobs of a revision that are shown, by what it says of them."""
        then = {job.name: job for job in spec.jobs}
        jobs = tuple(self._alone(job, then) for job in spec.jobs if self.sees_any(job))
        there = {job.part for job in jobs}
        return replace(
            spec,
            jobs=jobs,
            variants=tuple(self._alone(job, then) for job in spec.variants if self.sees_any(job)),
            parts={part: own for part, own in spec.parts.items() if part in there},
            logging_part=spec.logging_part if spec.logging_part in there else "",
        )

    def _alone(self, job: JobSpec, then: Mapping[str, JobSpec]) -> JobSpec:
        """Without the names of others that are not shown, by what is in force and by what was then."""

        def shown(name: str) -> bool:
            gone = name not in then and not self._knows(name)
            return self.sees_then(name, then.get(name)) or (gone and self.sees(name, ""))

        after, replaces = tuple(filter(shown, job.after)), tuple(filter(shown, job.replaces))
        return job if (after, replaces) == (job.after, job.replaces) else replace(job, after=after, replaces=replaces)


async def visibility_of(request: Request, ask: Ask, verb: str = "see") -> Optional[Visibility]:
    """By what is in force now; None: all is shown, and may be asked for."""
    grants = grants_of(request)
    if grants is None or grants.everywhere(verb):
        return None
    return await visibility_in(request, await ask(lambda engine, now: engine.spec), verb)


async def asked_of(request: Request, ask: Ask, spec: Spec) -> Spec:
    """A file that is to be planned, proposed or applied, see `Visibility.asked`."""
    visibility = await visibility_then(request, ask) if any(job.replaces for job in spec.jobs) else None
    return spec if visibility is None else await asyncio.to_thread(visibility.asked, spec)


async def owned_of(ask: Ask) -> Mapping[str, Owned]:
    """Since when each job is whose it is."""
    owned: Mapping[str, Owned] = await ask(lambda engine, now: engine.owned)
    return owned


async def stories_of(ask: Ask, found: list[Story], visibility: Optional[Visibility]) -> list[Story]:
    """As they are told to whoever does not see all."""
    if visibility is None:
        return found
    owned = await owned_of(ask)
    return await asyncio.to_thread(lambda: [visibility.story(one, owned) for one in found])


async def visibility_in(request: Request, spec: Spec, verb: str = "see") -> Optional[Visibility]:
    """The same by a spec that has been looked at already: the engine is not asked once more."""
    grants = grants_of(request)
    return None if grants is None or grants.everywhere(verb) else await asyncio.to_thread(Visibility, grants, spec)


def remember(request: Request, spec: Spec) -> None:
    """What was in force when the engine was last looked at for this request, for `visibility_then`. May be called on any thread."""
    request.scope["spec_then"] = spec


async def visibility_then(request: Request, ask: Ask) -> Optional[Visibility]:
    """By what was in force when the engine judged what was asked, or was last looked at for it; else by what is now."""
    grants = grants_of(request)
    if grants is None or grants.everywhere("see"):
        return None
    spec: Optional[Spec] = request.scope.get("spec_then")
    if spec is None:
        spec = await ask(lambda engine, now: engine.spec)
        remember(request, spec)
    return await visibility_in(request, spec)


def unsaying(route: Callable[[Request], Awaitable[Any]], ask: Ask) -> Callable[[Request], Awaitable[Any]]:
    """The same route, whose refusals name nothing that is hidden from who asks."""

    async def answer(request: Request) -> Any:
        try:
            return await route(request)
        except DaqschedError as error:
            visibility = await visibility_then(request, ask)
            raise (error if visibility is None else await asyncio.to_thread(visibility.unsaid, error)) from None

    return answer


async def seen_of(request: Request, ask: Ask, among: Callable[[Engine, float], Sequence[Key]]) -> Sequence[Key]:
    """Of these instances those that are shown."""

    def look(engine: Engine, now: float) -> tuple[Sequence[Key], Spec]:
        return among(engine, now), engine.spec

    keys, spec = await ask(look)
    remember(request, spec)
    visibility = await visibility_in(request, spec)
    return keys if visibility is None else await asyncio.to_thread(visibility.keys, keys)
