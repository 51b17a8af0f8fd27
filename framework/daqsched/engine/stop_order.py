"""In which order tasks end: a task with dependents stops once those of them that are to end, too, have ended.

A stop of everything ends what depends on others first, as a start begins with what others depend on. Who is not to end
is not waited for, nor is anybody on a host that does not answer.
"""

from __future__ import annotations

from collections.abc import Iterator

from daqsched.engine.instance import Instance, Key

#: So long an end waits for others at most.
LONGEST_S = 300.0

#: `Instance.ending` of what the store says is to end, until the first step, which knows the time.
RESTORED = float("-inf")


class StopOrder:
    """The instances whose tasks are to end and have not, told to or still waiting for others."""

    def __init__(self) -> None:
        #: job -> host -> instance.
        self._ending: dict[str, dict[str, Instance]] = {}
        #: The jobs that each of these came after when that was said, by its key: it may have no job since.
        self.after: dict[Key, tuple[str, ...]] = {}
        #: job -> the jobs that come after it, of all that ever had to end.
        self._later: dict[str, set[str]] = {}
        #: To be looked at in this step.
        self._now: dict[Key, Instance] = {}

    def begin(self, instance: Instance, now: float) -> None:
        """Its task is to end."""
        instance.ending = now or RESTORED
        after = self.after[instance.key] = instance.job.after if instance.job is not None else ()
        self._ending.setdefault(instance.name, {})[instance.host] = instance
        for name in after:
            self._later.setdefault(name, set()).add(instance.name)
        self._now[instance.key] = instance

    def over(self, instance: Instance) -> None:
        """It has no task any more, or nobody can say: those that waited for it are looked at again."""
        if not instance.ending:
            return
        self._free(instance)
        if instance.record.task is None:
            self._take_out(instance)

    def cancel(self, instance: Instance) -> None:
        """It may live after all; it was not told to end."""
        self._free(instance)
        self._take_out(instance)

    def changed(self, instance: Instance) -> None:
        """It has another job: what it does not come after any more waits no longer for its end."""
        if not instance.ending or instance.job is None:
            return
        before, now = self.after[instance.key], instance.job.after
        if not set(before) <= set(now):
            self._free(instance)
            self.after[instance.key] = tuple(name for name in before if name in now)

    def _take_out(self, instance: Instance) -> None:
        hosts = self._ending[instance.name]
        del hosts[instance.host]
        if not hosts:
            del self._ending[instance.name]
        instance.ending = 0.0
        del self.after[instance.key]
        self._now.pop(instance.key, None)

    def _free(self, instance: Instance) -> None:
        for name in self.after[instance.key]:
            others = self._ending.get(name, {})
            for other in [others[instance.host]] if instance.host in others else list(others.values()):
                if not other.task.killed:
                    self._now[other.key] = other

    def look(self, instance: Instance) -> None:
        """It may have waited long enough."""
        if instance.ending and not instance.task.killed:
            self._now[instance.key] = instance

    def due(self, hosts_of: dict[str, dict[str, Instance]], now: float) -> Iterator[Instance]:
        """Those that are to be told now; ``hosts_of`` is what is desired of each job."""
        looked, self._now = self._now, {}
        for instance in looked.values():
            if instance.ending == RESTORED:
                instance.ending = now
            if now - instance.ending >= LONGEST_S or not self.awaited(instance, hosts_of):
                yield instance

    def awaited(self, instance: Instance, hosts_of: dict[str, dict[str, Instance]]) -> str:
        """The instance that has to end before, empty: none."""
        for name in sorted(self._later.get(instance.name, ())):
            others = self._ending.get(name, {})
            there = others.get(instance.host)
            if there is not None and self._waits(there, instance.name):
                return str(there)
            mine, desired = self._ending[instance.name], hosts_of.get(instance.name, {})
            for host, other in others.items():
                if host not in mine and host not in desired and self._waits(other, instance.name):
                    return str(other)
        return ""

    def _waits(self, other: Instance, job: str) -> bool:
        """Whether its end is waited for by this job: of those that were dependents at an end before, some are no more."""
        return job in self.after[other.key] and not other.lost
