"""What an apply would change: wanted against known, job by job, in words."""

from __future__ import annotations

from typing import Any, Iterable, Literal

import msgspec

from daqsched.hosts import expand, fold
from daqsched.spec import JobSpec, Spec, digest, run_digest


class Change(msgspec.Struct, frozen=True, omit_defaults=True):
    """What happens to one job."""

    job: str
    what: Literal["add", "remove", "restart", "silent"]
    #: The hosts that it happens on, folded: ``hlt[01-10]``.
    hosts: str
    count: int
    #: What differs, for people: ``version release-01 -> release-02``.
    why: tuple[str, ...] = ()


class Plan(msgspec.Struct, frozen=True, omit_defaults=True):
    """All that an apply would do; ``digest`` names the spec that it would lead to, ``base`` the present one."""

    digest: str
    base: str
    changes: tuple[Change, ...] = ()

    @property
    def instances(self) -> dict[str, int]:
        """How many instances each kind of change touches."""
        counts: dict[str, int] = {}
        for change in self.changes:
            counts[change.what] = counts.get(change.what, 0) + change.count
        return counts


def plan(old: Spec, new: Spec) -> Plan:
    """Compare two specs. A job that differs only in who owns it is ``silent``: nothing is restarted."""
    before = {job.name: job for job in old.jobs}
    after = {job.name: job for job in new.jobs}
    changes: list[Change] = []
    for name, job in after.items():
        known = before.get(name)
        if known is None:
            changes.append(_change(name, "add", expand(job.hosts)))
        elif known != job:
            changes.extend(_changed(known, job))
    for name, known in before.items():
        if name not in after:
            changes.append(_change(name, "remove", expand(known.hosts)))
    return Plan(digest=digest(new), base=digest(old), changes=tuple(changes))


def _changed(old: JobSpec, new: JobSpec) -> Iterable[Change]:
    were, are = expand(old.hosts), expand(new.hosts)
    added = [host for host in are if host not in set(were)]
    removed = [host for host in were if host not in set(are)]
    kept = [host for host in are if host in set(were)]
    if added:
        yield _change(new.name, "add", added)
    if removed:
        yield _change(new.name, "remove", removed)
    why = differences(old, new)
    if kept and why:
        yield _change(new.name, "restart" if run_digest(old) != run_digest(new) else "silent", kept, why)


def _change(job: str, what: Any, hosts: Iterable[str], why: tuple[str, ...] = ()) -> Change:
    names = tuple(hosts)
    return Change(job=job, what=what, hosts=fold(names), count=len(names), why=why)


#: What a field of the spec is called for people, where that differs.
_WORDS = {"release": "version", "argv": "command", "cwd": "directory"}


def differences(old: JobSpec, new: JobSpec) -> tuple[str, ...]:
    """Each field that differs, hosts apart, as ``field old -> new``."""
    found = []
    for field in old.__struct_fields__:
        was, is_ = getattr(old, field), getattr(new, field)
        if field != "hosts" and was != is_:
            found.append(f"{_WORDS.get(field, field)} {_shown(was)} -> {_shown(is_)}")
    return tuple(found)


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return " ".join(str(part) for part in value) or "none"
    if isinstance(value, dict):
        return ",".join(f"{name}={part}" for name, part in sorted(value.items())) or "none"
    if hasattr(value, "__dataclass_fields__"):
        return ",".join(f"{name}={getattr(value, name)}" for name in value.__dataclass_fields__)
    return str(value) if value != "" else "none"
