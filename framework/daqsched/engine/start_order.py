"""Who may start only after whom: the jobs' instances that are desired and up, and those that wait for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Iterator, Optional

from daqsched.engine.demand import ByHost
from daqsched.engine.instance import Instance, Key


class StartOrder:
    """Kept by `Farm.settle`. An instance comes after another job's one on the same host, where there is one, else after all
    of that job's; and after the end of those that it replaces. Once started it does not care any more."""

    def __init__(self) -> None:
        #: job -> host -> instance: what is desired.
        self.desired: dict[str, dict[str, Instance]] = {}
        #: job -> the hosts where it is up, for each job in `desired`; a dict has a third of a large set's memory.
        self.up: dict[str, dict[str, None]] = {}
        #: job -> the hosts of it that somebody set aside: they are not waited for where all others are up.
        self._aside: dict[str, set[str]] = {}
        #: job -> host -> what is no longer desired and has not ended.
        self._going: dict[str, dict[str, Instance]] = {}
        #: job -> the jobs that replaced it and went, of all that ever did.
        self._replaced_by: dict[str, set[str]] = {}
        #: awaited job, or the instance whose end is waited for -> host -> the instances there that wait for it.
        self._blocked: dict[str, ByHost[Instance]] = {}

    def file(self, instance: Instance) -> bool:
        """Take note of what the instance is now; whether that changed anything for those who come after it."""
        name, host = instance.name, instance.host
        hosts, up = self.desired.setdefault(name, {}), self.up.setdefault(name, {})
        aside = self._aside.setdefault(name, set())
        going = self._going.get(name, {})
        before = host in hosts, host in up, host in aside, host in going
        if instance.job is not None:
            hosts[host] = instance
        else:
            hosts.pop(host, None)
        if instance.up:
            up[host] = None
        else:
            up.pop(host, None)
        if instance.aside and instance.job is not None:
            aside.add(host)
        else:
            aside.discard(host)
        if instance.job is None and instance.record.task is not None:
            going = self._going.setdefault(name, going)
            going[host] = instance
            for other in instance.record.replaced:
                self._replaced_by.setdefault(other, set()).add(name)
        elif going.pop(host, None) is not None and not going:
            del self._going[name]
        after = host in hosts, host in up, host in aside, host in going
        if not hosts:
            del self.desired[name], self.up[name], self._aside[name]
        return after != before

    def awaited(self, instance: Instance) -> str:
        """The first of the jobs before it that it has to wait for, or the instance whose end it has to (``job@host``); empty: it
        may start."""
        assert instance.job is not None, "only what is desired waits"
        before = self.predecessor(instance)
        if before is not None:
            return str(before)
        for name in instance.job.after:
            hosts, up = self.desired.get(name, {}), self.up.get(name, {})
            if not (instance.host in up if instance.host in hosts else self._complete(name)):
                return name
        return ""

    def predecessor(self, instance: Instance) -> Optional[Instance]:
        """What it replaces, or what had replaced it, and has not ended: on its host, or on one where it is not to be itself."""
        if not self._going or instance.record.regardless:
            return None
        mine = self.desired.get(instance.name, {})
        for name in self._predecessors(instance):
            for one in self._of(name, instance.host, mine):
                if instance.job is not None and (
                    name in instance.job.replaces
                    or not {instance.name, *instance.job.replaces}.isdisjoint(one.record.replaced)
                ):
                    return one
        return None

    def _predecessors(self, instance: Instance) -> Iterable[str]:
        replaces = instance.job.replaces if instance.job is not None else ()
        return (*replaces, *(one for name in (instance.name, *replaces) for one in self._replaced_by.get(name, ())))

    def pass_on(self, instance: Instance) -> list[Key]:
        """It goes and does not run: what takes its place waits for the end of what it had to wait for; these have changed."""
        found = [one for name in self._predecessors(instance) for one in self._of(name, instance.host, {})]
        for one in found:
            one.record.replaced = (*one.record.replaced, instance.name)
            self._replaced_by.setdefault(instance.name, set()).add(one.name)
        return [one.key for one in found]

    def _of(self, name: str, host: str, mine: Mapping[str, Instance]) -> Iterator[Instance]:
        going = self._going.get(name, {})
        if host in going:
            yield going[host]
        yield from (one for other, one in going.items() if other != host and other not in mine)

    def _complete(self, name: str) -> bool:
        """Whether the job is up on all of its hosts that are not set aside, and on one at least."""
        up, aside = self.up.get(name, {}), self._aside.get(name, ())
        return bool(up) and len(up) + sum(host not in up for host in aside) == len(self.desired[name])

    def block(self, instance: Instance, name: str) -> None:
        """It waits for that job from now on; an empty name: for none."""
        if instance.awaited and instance.awaited != name:
            group = self._blocked[instance.awaited]
            group.take(instance.host, instance.key)
            if not group:
                del self._blocked[instance.awaited]
        instance.awaited = name
        if name:
            self._blocked.setdefault(name, ByHost()).put(instance.host, instance.key, instance)

    def leaving(self) -> Iterator[Key]:
        """What is no longer desired, was told to end, and has not ended."""
        for there in self._going.values():
            yield from (one.key for one in there.values() if one.task.killed)

    def unstarted(self) -> Iterator[Key]:
        """What takes the place of another one, and has no task."""
        for there in self.desired.values():
            if next(iter(there.values())).replaces:
                yield from (one.key for one in there.values() if one.record.task is None)

    def freed(self, cause: Instance) -> Iterator[Instance]:
        """Those that may not have to wait for this one any more, after `file` said that it has changed."""
        if not self._blocked:
            return
        group = self._blocked.get(cause.name)
        if group is not None:
            complete = cause.name in self.desired and self._complete(cause.name)
            for host in list(group) if complete else [cause.host]:
                yield from list(group.get(host, {}).values())
        # its end, and for those elsewhere that it takes the place of what they wait for
        for name in (str(cause), *(f"{one}@{cause.host}" for one in self._predecessors(cause))):
            for there in list(self._blocked.get(name, {}).values()):
                yield from (one for one in list(there.values()) if one is not cause)

    def waits(self, instance: Instance) -> bool:
        """Whether it is filed as one that waits for a job."""
        group = self._blocked.get(instance.awaited)
        return group is not None and instance.key in group.get(instance.host, {})
