"""Since when each job is its owner's and its part's: what of its name is from before is, or may be, somebody else's. Pure.

Rights go by owner and part, and a name may be taken by others when its job is gone. So what is kept of the past (stories, what was
when, sandboxes) is by its time that owner's, or of those whom no rule asks for one (`Target.forgotten`).
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Optional

import msgspec

from daqsched.engine.commands import OWNERS, SaveDocument
from daqsched.engine.farm import Farm
from daqsched.engine.instance import Instance
from daqsched.limits import brief
from daqsched.merge import Desired
from daqsched.spec import JobSpec, Spec
from daqsched.task import Owned

#: So many jobs that are gone are remembered: one that comes back as it was is whose it was.
MOST_GONE = 2000

_decode = msgspec.msgpack.Decoder(dict[str, Owned]).decode


def renewed(spec: Spec, known: Mapping[str, Owned], since: float) -> dict[str, Owned]:
    """The same for this spec: what has other owners or parts than it had has them ``since`` then."""
    desired, marks = Desired(spec), dict[tuple[str, str], str]()
    since = max([since, *(one.since for one in known.values())])  # what is told by its time is not to be of before
    gone = [name for name in known if name not in desired.jobs]
    found = {name: known[name] for name in gone[-MOST_GONE:]}
    for name, job in desired.jobs.items():
        mark = marks.setdefault((job.owner, job.part), "") or _mark(job, {})
        marks[job.owner, job.part] = mark
        if name in desired.variants:
            mark = _mark(job, desired.variants[name])
        before = known.get(name)
        same = before is not None and before.mark == mark
        found[name] = before if before is not None and same else Owned(since, mark, before is not None)
    return found


def renew(farm: Farm, now: float) -> None:
    """After an apply."""
    found = renewed(farm.spec, farm.owned, now)
    if found != farm.owned:
        farm.owned = found
        farm.out.append(SaveDocument(OWNERS))


def set_back(farm: Farm) -> None:
    """The clock was: by their times nobody can say what was before what."""
    farm.owned = {name: Owned(farm.last, one.mark, one.taken) for name, one in farm.owned.items()}
    farm.out.append(SaveDocument(OWNERS))


def restored(farm: Farm, saved: Optional[bytes]) -> None:
    """As the last daemon had it. Of what it does not say is known that it is so since the last apply."""
    known: Mapping[str, Owned] = {}
    try:
        known = _decode(saved) if saved is not None else {}
    except msgspec.MsgspecError as error:
        farm.troubles.append(
            f"since when jobs have their owners can't be read ({brief(str(error))}): since the last apply"
        )
    farm.owned = renewed(farm.spec, known, farm.revision.time if farm.revision is not None else 0.0)


def taken(owned: Mapping[str, Owned]) -> dict[str, float]:
    """Jobs whose names others are known to have had before, with since when they are whose they are."""
    return {name: one.since for name, one in owned.items() if one.taken}


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
