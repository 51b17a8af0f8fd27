"""Since when each job is its owner's and its part's: what of its name is from before is, or may be, somebody else's. Pure.

Rights go by owner and part, and a name may be taken by others when its job is gone. So what is kept of the past (stories, what was
when, sandboxes) is by its time that owner's, or of those whom no rule asks for one (`Target.forgotten`).
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Optional

import msgspec
from msgspec.structs import replace

from daqsched.engine.commands import HOLDS, OWNERS, SaveDocument
from daqsched.engine.farm import Farm
from daqsched.engine.instance import Instance
from daqsched.limits import brief
from daqsched.merge import Desired
from daqsched.spec import JobSpec, Spec
from daqsched.task import Hold, Owned

#: So many jobs that are gone are remembered: one that comes back as it was is whose it was.
MOST_GONE = 2000

#: In the place of a name: there were jobs that are not known any more, so each name may have been somebody's.
FORGOTTEN = ""

#: Whose a stop is that outlives whoever had the job: who that was, and why, is not for who has it now.
FORMER = "a former owner"
#: As of `Hold.known_as`: nobody is called so, whatever he is shown as.
_NOBODY = ("",)

_decode = msgspec.msgpack.Decoder(dict[str, Owned]).decode


def renewed(spec: Spec, known: Mapping[str, Owned], since: float) -> dict[str, Owned]:
    """The same for this spec: what has other owners or parts than it had has them ``since`` then."""
    desired, marks = Desired(spec), dict[tuple[str, str], str]()
    since = max([since, *(one.since for one in known.values())])  # what is told by its time is not to be of before
    gone = [name for name in known if name not in desired.jobs and name != FORGOTTEN]
    found = {name: known[name] for name in gone[-MOST_GONE:]}
    unsure = FORGOTTEN in known
    if unsure or len(gone) > MOST_GONE:
        found[FORGOTTEN] = known.get(FORGOTTEN) or Owned(since, "", True)
    for name, job in desired.jobs.items():
        mark = marks.setdefault((job.owner, job.part), "") or _mark(job, {})
        marks[job.owner, job.part] = mark
        if name in desired.variants:
            mark = _mark(job, desired.variants[name])
        before = known.get(name)
        same = before is not None and before.mark == mark
        found[name] = before if before is not None and same else Owned(since, mark, unsure or before is not None)
    return found


def renew(farm: Farm, now: float) -> None:
    """After an apply."""
    found = renewed(farm.spec, farm.owned, now)
    if found != farm.owned:
        farm.owned = found
        farm.out.append(SaveDocument(OWNERS))
    holds = {key: passed_on(farm.owned, key[0], hold) for key, hold in farm.holds.items() if farm.desired.job(key[0])}
    if any(farm.holds[key] != hold for key, hold in holds.items()):
        farm.holds.update(holds)
        farm.out.append(SaveDocument(HOLDS))


def passed_on(owned: Mapping[str, Owned], name: str, hold: Hold) -> Hold:
    """A stop of this job as it is for whose the job is: one of before is nobody's any more, and holds all the same."""
    one = owned.get(name)
    return (
        hold
        if one is None or one.since <= hold.at or not hold.user
        else replace(hold, user=FORMER, message="", known_as=_NOBODY)
    )


def set_back(farm: Farm) -> None:
    """The clock was: by their times nobody can say what was before what."""
    farm.owned = {name: Owned(farm.last, one.mark, one.taken) for name, one in farm.owned.items()}
    farm.out.append(SaveDocument(OWNERS))


def restored(farm: Farm, saved: Optional[bytes]) -> None:
    """As the last daemon had it. Where it does not say, as one before that kept none, each job is its owner's since the last apply,
    and all names may have been others' before, also those that come later."""
    since = farm.revision.time if farm.revision is not None else 0.0
    known: Mapping[str, Owned] = {FORGOTTEN: Owned(since, "", True)} if farm.revision is not None else {}
    try:
        known = _decode(saved) if saved is not None else known
    except msgspec.MsgspecError as error:
        farm.troubles.append(
            f"since when jobs have their owners can't be read ({brief(str(error))}): since the last apply"
        )
    farm.owned = renewed(farm.spec, known, since)


def taken(owned: Mapping[str, Owned]) -> dict[str, float]:
    """Jobs whose names others are known to have had before, with since when they are whose they are."""
    return {name: one.since for name, one in owned.items() if one.taken and name != FORGOTTEN}


def is_formers(farm: Farm, instance: Instance) -> bool:
    """Whether its task was launched for somebody else, who had the job of that name, and is to end."""
    task = instance.record.task
    if task is None or instance.job is None or (task.digest == instance.digest and not task.killed):
        return False
    owned = farm.owned.get(instance.name)
    return owned is None or task.launched < owned.since


def _mark(job: JobSpec, variants: Mapping[str, JobSpec]) -> str:
    whose = (job.owner, job.part)
    there = sorted((host, one.owner, one.part) for host, one in variants.items() if (one.owner, one.part) != whose)
    return blake2b(msgspec.json.encode((whose, there)), digest_size=8).hexdigest()
