"""An apply: which instances change now, which when a rollout reaches them, and which not at all."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Optional

from daqsched import farm_parts
from daqsched.digests import digest
from daqsched.engine import choice_steps, commands, effects, events, job_owners, rollout_steps
from daqsched.engine.commands import Revision
from daqsched.engine.confirming import confirm_ends
from daqsched.engine.desired import assign, retire
from daqsched.engine.endings import disturbs, endings, hosts_of, mixed
from daqsched.engine.farm import Farm
from daqsched.engine.farm_state import ApplyCounts
from daqsched.engine.instance import Instance, Key
from daqsched.engine.match import by_attributes
from daqsched.engine.verdict import Accepted
from daqsched.errors import PreconditionFailed, Refused, UserError
from daqsched.limits import some
from daqsched.merge import Merged, change_of
from daqsched.nearest import nearest
from daqsched.rollout import Strategy, in_the_way, whose
from daqsched.saved_choices import current
from daqsched.spec import EMPTY, FORWARDER, JobSpec, Spec

#: Behind a message: what the apply was about.
_ONLY = "only "


def applied(farm: Farm, event: events.JobsApplied, now: float) -> Accepted:
    """Make the farm what the spec says; what it does not change goes on untouched, and where it changes nothing there is no
    new revision."""
    before = farm.revision
    merged = outcome(farm, event, farm.asker)
    if merged is None:
        number = before.number if before is not None else 0
        choice_steps.keep(farm, choice_steps.of_apply(farm, event, number))
        return Accepted(revision=number, digest=farm.told(before.digest if before is not None else digest(EMPTY)))
    old = before.spec if before is not None else EMPTY
    part = _part_of(event, old)
    change = _Change(farm, event, merged, now)
    rollout = farm.rolling.active
    takes_over = rollout is not None and merged.takes_over(farm.rolling.jobs)
    saved = rollout_steps.saved(farm, old, merged) if change.strategy is not None else None
    number = 1 if before is None else before.number + 1
    words = f" ({_ONLY}{' '.join(event.only)})" if event.only else ""
    asked_for = digest(merged.spec)
    farm.revision = Revision(number, asked_for, event.user, now, f"{event.message}{words}".strip(), merged.spec)
    farm.out.append(commands.SaveRevision(farm.revision))
    if part:
        farm.part_of(number, part)
    choice_steps.keep(farm, choice_steps.of_apply(farm, event, number))
    farm.note(
        f"revision {number} ({farm.told(asked_for)}) applied by {event.user}{words}{f' of part {part}' if part else ''}"
    )
    if takes_over:
        rollout_steps.end(farm, "aborted", f"by revision {number}", now, replaced_by=number)
    farm.superseded.note(farm.revision, merged.jobs, merged.everything)
    not_everywhere = mixed(farm, merged)
    change.make()
    counts = ApplyCounts(change.stops, change.restarts + len(change.pending), change.starts)
    effects.note(farm, old, merged, not_everywhere, number, counts, now)
    if change.pending and change.strategy is not None:
        rollout_steps.begin(farm, "apply", change.pending, change.strategy, event.user, event.message, saved, now)
    rollout = farm.rolling.active
    return Accepted(
        revision=number,
        digest=farm.told(asked_for),
        rollout=rollout.number if rollout is not None and change.pending else 0,
        stops=counts.stops,
        restarts=counts.restarts,
        starts=counts.starts,
    )


def without_only(message: str) -> str:
    """The message of a revision without the words that said what it was about: what its user wrote."""
    written, begin, words = message.rpartition(f"({_ONLY}")
    return written.rstrip() if begin and words.endswith(")") else message


def variables_set(farm: Farm, event: events.VariablesSet, now: float) -> Accepted:
    """An apply of what the file is with these values, by whoever may set them."""
    apply, choice = choice_steps.asked_of(farm, event)
    before = farm.revision.number if farm.revision is not None else 0
    accepted = applied(farm, apply, now)
    choice_steps.set_with(farm, event, choice, accepted.revision if accepted.revision != before else 0)
    return accepted


def _part_of(event: events.JobsApplied, old: Spec) -> str:
    """The part of the farm that it is about; empty: the one without a name, or several."""
    if event.jobs is None:
        return event.spec.part
    found = {job.part for job in old.jobs if job.name in event.jobs}
    return found.pop() if len(found) == 1 else ""


def outcome(farm: Farm, event: events.JobsApplied, known_as: Collection[str]) -> Optional[Merged]:
    """What the apply comes to, None where that is nothing; raises why it is refused. Changes nothing itself. ``known_as``: who
    asks, as `Control.known_as`."""
    before = farm.revision
    there = before.digest if before is not None else digest(EMPTY)
    _look_at_base(before, farm.told(there), event.base)
    old = before.spec if before is not None else EMPTY
    part = _part_of(event, old)
    if not event.back and current(farm.choices, part) is None:
        ensure_part(old, event.spec, event.only)
    if not event.spec.jobs and not event.allow_empty:
        what = f"all of {farm_parts.words(part)}" if part or farm_parts.named(old) else "the whole farm"
        raise Refused(f"the file has no jobs, which would stop {what}: if that is meant, give --allow-empty")
    merged = change_of(old, event.spec, event.scope, farm.hosts_of, farm.behind())
    choice_steps.of_apply(farm, event, before.number + 1 if before is not None else 1)
    if digest(merged.spec) == there and not mixed(farm, merged):
        return None
    way, rollout = way_of(event.strategy, event.spec), farm.rolling.active
    takes_over = rollout is not None and merged.takes_over(farm.rolling.jobs)
    if rollout is not None and not takes_over:
        why_not = in_the_way(rollout, farm.rolling.concerned, merged.jobs, way)
        if why_not:
            raise Refused(why_not)
    ends = (
        f"this ends {whose(rollout)}"
        if takes_over and rollout is not None and rollout.holds_for_another(event.user, known_as)
        else ""
    )
    confirm_ends(farm, event.stops, *endings(farm, merged, way), ends)
    return merged


def ensure_part(old: Spec, file: Spec, only: Collection[str] = (), seen: Optional[Spec] = None) -> None:
    """Raise `UserError` where a file without jobs is of a part that has none: it would stop nothing, and another was meant.

    ``seen``: what of the farm whoever asks may see, where that is not all; the error is then of nothing else.
    """
    there = {job.part for job in (old if seen is None else seen).jobs}
    if file.jobs or only or not old.jobs or file.part in there:
        return
    near = nearest(file.part, there - {""}) if file.part else ""
    parts = some(list(map(farm_parts.words, sorted(there))))
    meant = f": there {'is' if len(there) == 1 else 'are'} {parts}" if there else ""
    meant = f": did you mean {near}?" if near else meant
    error = UserError(
        f"there are no jobs of {farm_parts.words(file.part)}, and a file without jobs would stop nothing{meant}"
    )
    error.of_request = seen is not None
    raise error


def way_of(said: Optional[Strategy], spec: Spec) -> Optional[Strategy]:
    """How an apply of this file goes over the farm where that was ``said``; None: all at once."""
    strategy = said if said is not None else spec.rollout
    return strategy if strategy is not None and strategy.batches else None


def _look_at_base(last: Optional[Revision], there: str, base: str) -> None:
    """Whoever saw another farm than this one did not mean this one."""
    if not base or base == there:
        return
    since = ""
    if last is not None:
        since = f", since revision {last.number} by {last.user}{': ' + last.message if last.message else ''}"
    raise PreconditionFailed(
        f"not applied: {there} is in force and not {base}{since}; `daqsched plan` shows what would change now"
    )


class _Change:
    """What one apply does to jobs, one by one."""

    def __init__(self, farm: Farm, event: events.JobsApplied, merged: Merged, now: float) -> None:
        self._farm, self._merged, self._now = farm, merged, now
        self._base = farm.revision.number if farm.revision is not None else 0
        self.strategy, self._back = way_of(event.strategy, event.spec), event.back
        #: What has to wait for its batch.
        self.pending: list[Key] = []
        #: How many tasks end and do not come back, how many programs are started anew at once, how many instances are new: of what
        #: a file says, and so without forwarders.
        self.stops = self.restarts = self.starts = 0

    def make(self) -> None:
        """All of it."""
        farm = self._farm
        known = {job.name: (job, farm.desired.variants(job.name)) for job in farm.spec.jobs}
        not_everywhere = mixed(farm, self._merged)
        farm.set_desired(self._merged.spec)
        job_owners.renew(farm, self._now)
        jobs = {job.name: job for job in farm.spec.jobs}
        for key in (
            () if self._back else [key for key in farm.started if key[0] in self._merged.jobs and key[0] in jobs]
        ):
            farm.keep_started(key, False)  # as new
        for name in [name for name in farm.order.desired if name not in jobs]:
            self._without(list(farm.order.desired[name].values()))
        for name in [name for name in not_everywhere if name not in jobs]:
            self._forget(name)
        # the job that goes where others go is the last one
        for name, job in jobs.items():
            if known.get(name) != (job, farm.desired.variants(name)) or name in not_everywhere:
                self._job(job)
        if farm.desired.by_attribute:
            farm.demand.renewed()

    def _without(self, instances: Iterable[Instance]) -> None:
        """Not there any more."""
        for instance in instances:
            self.stops += instance.name != FORWARDER and instance.record.task is not None and not instance.ending
            retire(self._farm, instance, self._now)

    def _job(self, job: JobSpec) -> None:
        """A new job, or one that is different now, or was not everywhere the same."""
        farm = self._farm
        hosts, known = hosts_of(farm, job), dict(farm.order.desired.get(job.name, {}))
        self._without([instance for instance in known.values() if instance.host not in hosts])
        self._forget(job.name, hosts)
        variants = farm.desired.variants(job.name)
        for host, attributes in hosts.items():
            there, desired = known.get(host), variants.get(host, job)
            run = farm.desired.run_of(desired)(host)
            if there is not None and self.strategy is not None and disturbs(there, run):
                self._stay(there)
                self.pending.append(there.key)
            else:
                self.starts += there is None and job.name != FORWARDER
                self.restarts += there is not None and disturbs(there, run)
                assign(farm, desired, run, host, attributes, self._now)
        # it comes to those by their next offer
        self.starts += sum(host not in hosts for host in farm.hosts_of(job)) if by_attributes(job) else 0

    def _forget(self, name: str, hosts: Collection[str] = ()) -> None:
        """The job is not left out any more where it is not to be at all; ``hosts`` are those where it is."""
        for host in [host for host in self._farm.mixed.get(name, ()) if host not in hosts]:
            self._farm.take_in((name, host))

    def _stay(self, instance: Instance) -> None:
        """As it is, for now."""
        farm = self._farm
        farm.set_behind(instance, instance.record.behind or self._base)
        farm.dirty[instance.key] = None
        farm.settle(instance, self._now)
