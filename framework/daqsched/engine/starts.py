"""How many executors start at once on a machine: as many as it bears, so that the first program runs at once.

A hundred that begin together share the machine's cores, and none of them has registered when the first could run; where
that takes a minute Mesos ends them all. So each machine has a pace. It begins with `FIRST`, grows while starts that were made at
that pace are quick, up to what the machine's cores bear, and is halved where they are slow: several agents may share a
machine, and cores may be claimed that are not there. Machines know nothing of each other.

A start is under way from its launch until its executor speaks: what its program does until it is ready is the job's own
matter, and holds nobody up. An executor that never speaks gives its place away after `HUNG_S`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Optional

from daqsched.engine.instance import Instance, Key
from daqsched.task import Task

#: So many at once on a machine that nothing has started on yet; so many for each of its cores at most.
FIRST, PER_CORE = 4, 8.0
#: Starts that take no longer, or no longer than twice the quickest one there, may be more at once; one that took longer
#: than `SLOW_S` was one too many.
QUICK_S, SLOW_S = 0.5, 5.0
#: A start that takes longer holds nobody up any more. Mesos waits for an executor twice as long by default.
HUNG_S = 30.0


def is_start(task: Optional[Task], now: float) -> bool:
    """Whether the task's executor has still to speak, as far as is known, and not for too long."""
    return task is not None and task.state in ("launching", "staging") and now < task.launched + HUNG_S


class Pace:
    """Of one machine, as its agent is known."""

    __slots__ = ("_cores", "_quickest", "_slowed", "hosts", "most", "under_way")

    def __init__(self) -> None:
        #: So many at once; 0: it has made no offer yet.
        self.most = 0
        #: Each start with how many there were when it was launched, itself included; 0: a daemon before this one launched it.
        self.under_way: dict[Key, int] = {}
        #: The machine's names: what waits under any of them waits for its turn.
        self.hosts: dict[str, None] = {}
        self._cores = 0.0
        self._quickest = float("inf")
        #: When the pace was last reduced: what was launched before says nothing of the new one.
        self._slowed = float("-inf")

    @property
    def full(self) -> bool:
        """Whether the next start has to wait."""
        return len(self.under_way) >= self.most

    def offered(self, cores: float) -> None:
        """It has so many cores at least: what it offers is what is free."""
        if cores > self._cores or not self.most:
            self._cores = max(cores, self._cores)
            self.most = self.most or min(FIRST, self._limit())

    def took(self, at_once: int, launched: float, seconds: float, now: float) -> None:
        """A start of so many at once took so long."""
        if not at_once:
            return
        self._quickest = min(seconds, self._quickest)
        if seconds > SLOW_S:
            if launched >= self._slowed:
                self.most, self._slowed = max(1, self.most // 2), now
        elif seconds <= min(SLOW_S / 2, max(QUICK_S, self._quickest * 2)) and at_once * 2 >= self.most:
            self.most = max(self.most, min(self.most + 1, self._limit()))

    def set_back(self, by: float) -> None:
        """The clock shows so much less than it did."""
        self._slowed -= by

    def _limit(self) -> int:
        return max(1, int(self._cores * PER_CORE))


class StartsUnderWay:
    """The starts that are under way, and each machine's pace."""

    def __init__(self) -> None:
        #: By agent: of two agents with one hostname each has its own.
        self._agents: dict[str, Pace] = {}
        #: By each name of the machine, for who waits there.
        self._hosts: dict[str, Pace] = {}
        #: Where each start is under way.
        self._at: dict[Key, Pace] = {}

    def offered(self, agent_id: str, names: Iterable[str], cores: float) -> Pace:
        """The pace of the machine that offers so many cores."""
        pace = self._agents.setdefault(agent_id, Pace())
        for name in names:
            self._hosts[name] = pace
            pace.hosts[name] = None
        pace.offered(cores)
        return pace

    def file(self, instance: Instance, now: float) -> Iterable[str]:
        """Take note of what the instance's task is now; the names of its machine where a place has become free there."""
        task, pace = instance.record.task, self._at.get(instance.key)
        if task is not None and is_start(task, now):
            if pace is None:
                pace = self._at[instance.key] = self._agents.setdefault(task.agent_id, Pace())
                pace.under_way[instance.key] = len(pace.under_way) + 1 if now else 0
            return ()
        if pace is None:
            return ()
        del self._at[instance.key]
        at_once = pace.under_way.pop(instance.key)
        # a dict that was large stays so when it is empty, and there are as many as machines
        if not pace.under_way:
            pace.under_way = {}
        if not self._at:
            self._at = {}
        if task is not None and not instance.lost:
            pace.took(at_once, task.launched, now - task.launched, now)
        return (instance.host, *pace.hosts)

    def under_way(self, instance: Instance) -> bool:
        """Whether its start is."""
        return instance.key in self._at

    def why_not(self, host: str) -> str:
        """Why what waits there has to wait for others that start; empty: none does."""
        pace = self._hosts.get(host)
        if pace is None or not pace.under_way:
            return ""
        return f"waits for its turn: {len(pace.under_way)} of {pace.most} starts at once on {host}"

    def set_back(self, by: float) -> None:
        """The clock shows so much less than it did."""
        for pace in self._agents.values():
            pace.set_back(by)
