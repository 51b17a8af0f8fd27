"""How a change goes over the farm: what each batch has to show before the next, what ends it.

Pure: the engine (`engine.rollout_steps`) asks, and does. Which hosts are in which batch: `batches`.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Sequence
from datetime import timezone
from typing import Literal, Union

import msgspec

from daqsched.errors import JobError
from daqsched.hosts import fold
from daqsched.limits import refusal, whole
from daqsched.plural import plural
from daqsched.times import clock

Key = tuple[str, str]

#: What automatic and human hands may come to: `paused` goes on when somebody says so, the last three are ends.
State = Literal["running", "paused", "done", "aborted", "rolled-back"]


#: What a command calls the part of the farm that has no name.
NO_PART = "-"


class Strategy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """What `Rollout(...)` of a job file says; the defaults are those of a rollout that somebody asks for by name."""

    #: Hosts in each batch, as numbers or percent of all that change; the last is repeated. Empty: all at once, no gate.
    batches: tuple[Union[int, str], ...] = (1, "10%", "100%")
    #: Seconds for which all of a batch must have been ready before the next one begins.
    ready_s: float = 10.0
    #: Seconds from a batch's begin after which what is not ready counts as failed.
    timeout_s: float = 300.0
    #: After which batches (1 is the first) it waits for `daqsched rollout resume`.
    pause_after: tuple[int, ...] = ()
    #: Failures that are too many: programs that die, get unhealthy or are not ready in time. 0: none ever is.
    failures: int = 1
    on_failure: Literal["pause", "rollback"] = "pause"
    #: Asked before each batch, which begins when it says yes: a URL (200 is yes), or the name of a program in the folder that
    #: `daqsched serve --guards` names. Empty: nobody is asked.
    guard: str = ""


#: Everything that changes is replaced in one go.
AT_ONCE = Strategy(batches=())

#: Of a rolling restart, where nobody says otherwise.
ONE_BY_ONE = Strategy(batches=(1,), ready_s=0.0)


class Failure(msgspec.Struct, frozen=True):
    """What counted against the rollout."""

    job: str
    host: str
    why: str
    at: float


class Rollout(msgspec.Struct):
    """One change on its way, as people are told of it."""

    #: Counts up over the life of the farm.
    number: int
    #: A new revision, or the same programs anew.
    kind: Literal["apply", "restart"]
    user: str
    message: str
    began: float
    #: What it leads to, and what a rollback leads to; 0 for a restart.
    revision: int
    before: int
    strategy: Strategy
    #: How many hosts, and instances, it changes.
    hosts: int
    instances: int
    batches: int
    state: State = "running"
    #: Why it is paused or has ended, with who said so.
    why: str = ""
    #: The batch in work, from 0; -1: none yet.
    at: int = -1
    #: How many batches are through.
    complete: int = 0
    #: When it began to change, and since when its time-out runs.
    changed: float = 0.0
    batch_began: float = 0.0
    #: Since when all of the batch is ready; 0: it is not.
    ready_since: float = 0.0
    #: Since `resume` or the begin.
    failed: int = 0
    #: The last of them.
    failures: tuple[Failure, ...] = ()
    #: What the guard last said where it was not yes.
    guard: str = ""
    ended: float = 0.0
    #: Hosts that did not answer at its end, at most `MOST_UNREACHED`: what is there changes when they are back.
    unreached: tuple[str, ...] = ()
    #: The part of the farm whose jobs it changes; `NO_PART`: that without a name, of a farm that has others; empty: there are none,
    #: or it changes several.
    part: str = ""
    #: How many instances the batches that have begun have; -1: it was begun by a daemon that did not count them.
    reached: int = -1
    #: The revision that took its place; 0: none did.
    replaced_by: int = 0
    #: While it is paused: why it paused of itself, whoever paused it besides, and whether it was told to pause there.
    cause: str = ""
    paused_by: str = ""
    as_asked: bool = False

    def __post_init__(self) -> None:
        if self.state == "paused" and not self.cause and not self.paused_by:  # of 0.1, which had the sentence alone
            said = self.why.split("; then ")
            first, last = said[0], said[-1]
            self.cause = "" if first.startswith("by ") else first
            self.paused_by = last[len("by ") :].partition(": ")[0] if last.startswith("by ") else ""
            self.as_asked = last.endswith(", as asked for")

    @property
    def over(self) -> bool:
        """Whether nothing will come of it any more."""
        return self.state in ("done", "aborted", "rolled-back")


class RolloutOutcome(msgspec.Struct, frozen=True):
    """How far the rollout of a revision has come, or how it ended: what is kept of it when others have followed."""

    number: int
    state: State
    why: str
    #: The batch in work, or the last one, from 1, of so many; 0: none had begun.
    batch: int
    batches: int
    #: When it ended; 0: it has not.
    ended: float = 0.0
    #: The revision that took its place; 0: none did.
    replaced_by: int = 0
    #: Hosts that did not answer at its end, in short.
    unreached: str = ""
    #: How many instances its batches that had begun have, of how many; -1: a daemon before did not count them.
    reached: int = -1
    instances: int = 0

    def words(self) -> str:
        """``rollout 3 went back in batch 1 of 5 (2 of 9 instances changed): ...``."""
        head, where = f"rollout {self.number}", _how_far(self.batch, self.batches, self.reached, self.instances)
        if self.state == "running":
            return f"{head}: {f'batch {self.batch} of {self.batches}' if self.batch else 'begins'}"
        if self.replaced_by:
            return f"{head} was replaced by revision {self.replaced_by} {where}"
        if self.state == "done":
            of = f" of {plural(self.instances, 'instance')}" if self.instances else ""
            return f"{head}{of} done {self.why}" + (f", but not on {self.unreached}" if self.unreached else "")
        if self.state == "aborted":
            return f"{head} aborted {where} {self.why}"
        return f"{head} {'is paused' if self.state == 'paused' else 'went back'} {where}: {self.why}"


def _how_far(batch: int, batches: int, reached: int, instances: int, changed: str = "changed") -> str:
    """``in batch 2 of 5 (3 of 9 instances changed)``; ``batch``: from 1, 0: none has begun."""
    if not batch:
        return "before its first batch"
    numbers = f" ({reached:,} of {plural(instances, 'instance')} {changed})" if reached >= 0 else ""
    return f"in batch {batch} of {batches}{numbers}"


def outcome(rollout: Rollout) -> RolloutOutcome:
    """What is kept of it."""
    more = ", ..." if len(rollout.unreached) > MOST_NAMED else ""
    return RolloutOutcome(
        rollout.number,
        rollout.state,
        rollout.why,
        rollout.at + 1,
        rollout.batches,
        rollout.ended,
        rollout.replaced_by,
        fold(rollout.unreached[:MOST_NAMED]) + more if rollout.unreached else "",
        rollout.reached,
        rollout.instances,
    )


def batches_words(hosts: Sequence[int]) -> str:
    """``1 batch of 5 hosts``, ``3 batches of 1 host each``, ``9 batches of 1, 5, 20, 20, ... hosts``."""
    times = f"{len(hosts):,} batch{'' if len(hosts) == 1 else 'es'}"
    if len(set(hosts)) == 1:
        return f"{times} of {plural(hosts[0], 'host')}{' each' if len(hosts) > 1 else ''}"
    return (
        f"{times} of {', '.join(f'{number:,}' for number in hosts[:4])}{', ... hosts' if len(hosts) > 4 else ' hosts'}"
    )


def words(rollout: Rollout) -> str:
    """``Rollout 3 of revision 7: batch 2 of 5, ...`` as one sentence, with the next step."""
    what = f"revision {rollout.revision}" if rollout.kind == "apply" else "a restart"
    head = f"rollout {rollout.number} of {what}{_of_part(rollout)}"
    changed = "changed" if rollout.kind == "apply" else "started anew"
    where = _how_far(rollout.at + 1, rollout.batches, rollout.reached, rollout.instances, changed)
    if rollout.state == "paused":
        ways = "`daqsched rollout resume`, `abort`" + (" or `rollback`" if rollout.before else "")
        return f"{head} is paused {where}, {rollout.why}; {ways}"
    if rollout.replaced_by:
        return f"{head} was replaced by revision {rollout.replaced_by} {where}"
    if rollout.state == "aborted":
        return f"{head} was aborted {where}, {rollout.why}{_after_abort(rollout)}"
    if rollout.state == "rolled-back":
        then = f"; what it changed is to be what ran at revision {rollout.before}" if rollout.before else ""
        return f"{head} went back {where}, {rollout.why}{then}"
    if rollout.unreached:
        where = fold(rollout.unreached[:MOST_NAMED]) + (" and more" if len(rollout.unreached) > MOST_NAMED else "")
        return (
            f"{head} has ended {rollout.why}, but not on {where}, of which nobody answered: it changes when it is back"
        )
    if rollout.over:
        return f"{head} is {rollout.state}, {rollout.why}"
    if rollout.guard:
        return (
            f"{head}: batch {rollout.at + 2} of {rollout.batches} waits for {rollout.strategy.guard}: {rollout.guard}"
        )
    return f"{head}: batch {rollout.at + 1} of {rollout.batches}" if rollout.at >= 0 else f"{head}: begins"


def how_it_is(rollout: Rollout) -> str:
    """`words`, and while it is under way when it gives up."""
    return f"{words(rollout)}; {limit_words(rollout)}" if rollout.state == "running" else words(rollout)


def _of_part(rollout: Rollout) -> str:
    return f" of part {rollout.part}" if rollout.part not in ("", NO_PART) else ""


def _after_abort(rollout: Rollout) -> str:
    """What somebody does then."""
    left, before, part = rollout.instances - max(0, rollout.reached), rollout.before, rollout.part
    if rollout.kind != "apply":
        return f"; {plural(left, 'instance', 'runs', 'run')} on as before" if left else ""
    ways = [f"`daqsched apply FILE` brings {'the others' if rollout.reached > 0 else 'all'} there"] if left else []
    if before:
        back = shlex.join(["daqsched", "rollback", str(before), *(["--part", part] if part else [])])
        ways.append(f"`{back}` goes back to revision {before}")
    return "".join(f"; {way}" for way in ways)


def limit_words(rollout: Rollout) -> str:
    """When a rollout that is under way gives up: ``it pauses at the first failure, and what is not ready by ... is one``."""
    strategy = rollout.strategy
    if not strategy.failures:
        return "no failure holds it up"
    then = "goes back" if strategy.on_failure == "rollback" and rollout.kind == "apply" else "pauses"
    left = strategy.failures - rollout.failed
    when = (
        f"after {left} more failures"
        if left > 1
        else "at the next failure"
        if rollout.failed
        else "at the first failure"
    )
    if rollout.at < rollout.complete or rollout.ready_since:
        return f"it {then} {when}"
    end = clock(rollout.batch_began + strategy.timeout_s, timezone.utc)
    return f"it {then} {when}, and what is not ready at {end} is one"


def with_cause(rollout: Rollout, by: str) -> str:
    """Why it is paused or ends by somebody's hand, who is told in words: it may have paused of itself, which stays told."""
    return f"{rollout.cause}; then {by}" if rollout.cause else by


def whose(rollout: Rollout) -> str:
    """``rollout 4 of bob, paused in batch 2 of 3 (5 of 9 instances changed), by eve: beam``."""
    head = f"rollout {rollout.number} of {rollout.user}"
    if rollout.state != "paused":
        return f"{head} ({rollout.state}, batch {rollout.at + 1} of {rollout.batches})"
    where = _how_far(rollout.at + 1, rollout.batches, rollout.reached, rollout.instances)
    return f"{head}, paused {where}, {rollout.why}"


def called(rollout: Rollout) -> str:
    """``rollout 4 of part hlt by bob (new trigger)``."""
    part = _of_part(rollout)
    return f"rollout {rollout.number}{part} by {rollout.user}{f' ({rollout.message})' if rollout.message else ''}"


def in_the_way(rollout: Rollout, its: Collection[str], jobs: Collection[str], strategy: Strategy | None) -> str:
    """Why a rollout that is under way and changes the jobs ``its`` would have to end for a change of only these ``jobs``, by
    batches where there is a ``strategy``; empty: it need not."""
    whose, state, ways = called(rollout), "is under way", "wait for its end"
    if rollout.state == "paused":
        state, ways = f"is paused, {rollout.why},", "first `daqsched rollout resume`"
    common = sorted(set(its).intersection(jobs))
    if common:
        return f"{whose} {state} and changes {', '.join(common[:5])}, too: {ways}, or `daqsched rollout abort`"
    if strategy is None:
        return ""
    # it may be another team's: to end it stands last
    names = ", ".join(sorted(its)[:5]) + (" and more" if len(its) > 5 else "")
    return (
        f"{whose}{f', of {names},' if names else ''} {state} and there is one at a time: give `--batches all`, or {ways}, or "
        "`daqsched rollout abort`"
    )


#: Hosts that were not reached: so many are kept, and named.
MOST_UNREACHED, MOST_NAMED = 1000, 20

#: Failures that are kept.
MOST_FAILURES = 20


def check(strategy: Strategy) -> None:
    """Raise `JobError` with the field for what can't be."""
    beyond = refusal(strategy)
    if beyond is not None:
        raise JobError(beyond[1], beyond[0])
    for part in strategy.batches:
        if isinstance(part, int) and part < 1:
            raise JobError(f"a batch has at least one host, not {part}", "batches")
        if isinstance(part, str):
            percent = re.fullmatch(r"(\d+(?:\.\d+)?)%", part)
            if percent is None or not 0 < float(percent.group(1)) <= 100:
                raise JobError(f"a batch is a number of hosts or a part of them like '10%', not {part!r}", "batches")
    for name in ("ready_s", "failures"):
        if getattr(strategy, name) < 0:
            raise JobError(f"can't be below 0, is {getattr(strategy, name)}", name)
    if strategy.timeout_s <= strategy.ready_s:
        raise JobError(f"must be longer than ready_s ({strategy.ready_s:g}), is {strategy.timeout_s:g}", "timeout_s")
    if any(number < 1 for number in strategy.pause_after):
        raise JobError("batches are counted from 1", "pause_after")
    if strategy.guard and not re.fullmatch(r"https?://\S+|[A-Za-z0-9][\w.-]*", strategy.guard):
        raise JobError(f"is a URL or the name of a program, not {strategy.guard!r}", "guard")


def parse_batches(text: str) -> tuple[Union[int, str], ...]:
    """``1,5,20%`` as `Strategy.batches`; ``all`` is all at once. Raises `JobError`."""
    if text.strip() in ("all", ""):
        return ()
    words = [part.strip() for part in text.split(",")]
    numbers = [whole(word) for word in words]
    parts = tuple(word if number is None else number for word, number in zip(words, numbers))
    check(Strategy(batches=parts))
    return parts
