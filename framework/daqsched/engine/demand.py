"""Who waits on which host, and so whether offers are needed: asked for while somebody waits, suppressed while there is nothing.

In between there is *watching*: while there is anything in the farm, an agent that nobody knows yet must be able to make an offer.
It may have what a job needs, or call itself as a machine that is there already (`namesakes`). It does as long as offers are not
suppressed, because the machines that were declined are under a filter for `farm.REFUSE_S` and a new one is not. So nothing
needs to be revived again and again for it.
"""

from __future__ import annotations

from typing import Optional, TypeVar

from daqsched.engine import commands

Key = tuple[str, str]

#: Bursts of failures, and starts that end one by one, ask for offers once in this time; so often for each machine where there
#: are few, as every one of them answers.
REVIVE_EVERY_S, REVIVE_EVERY_EACH_S, REVIVE_EVERY_LEAST_S = 0.2, 0.0005, 0.05
#: While something waits and nothing comes, offers are asked for again after this long, doubled up to the cap.
REVIVE_AGAIN_S, REVIVE_CAP_S = 5.0, 300.0

Item = TypeVar("Item")


class ByHost(dict[str, dict[Key, Item]]):
    """host -> key -> item, without empty hosts: the cost of an offer is that of its own host."""

    def put(self, host: str, key: Key, item: Item) -> bool:
        """File it; whether it was not there before."""
        group = self.setdefault(host, {})
        new = key not in group
        group[key] = item
        return new

    def take(self, host: str, key: Key) -> None:
        """Forget it, if it is there."""
        group = self.get(host)
        if group is not None and group.pop(key, None) is not None and not group:
            del self[host]


class Demand:
    """When to revive and when to suppress. A fresh registration wants offers until it is told otherwise."""

    def __init__(self) -> None:
        self._suppressed = False
        self._woken = False
        self._renewed = False
        self._revived = float("-inf")
        self._gap = REVIVE_AGAIN_S
        self._every = REVIVE_EVERY_S

    def answered(self, machines: int) -> None:
        """So many machines are known to make offers."""
        self._every = min(REVIVE_EVERY_S, max(REVIVE_EVERY_LEAST_S, machines * REVIVE_EVERY_EACH_S))

    def set_back(self, by: float) -> None:
        """The clock shows so much less than it did."""
        self._revived -= by

    def registered(self, waiting: bool, watching: bool) -> None:
        """The master has forgotten what we refused and suppressed."""
        self._suppressed, self._woken, self._renewed = False, waiting, watching

    def woken(self) -> None:
        """Somebody new waits: an offer that was refused for long may be what is needed."""
        self._woken = True
        self._gap = REVIVE_AGAIN_S

    def renewed(self) -> None:
        """Other attributes are asked for than before: machines that were refused for long may have them."""
        self._renewed = True

    def ask(self, waiting: bool, watching: bool, now: float) -> Optional[commands.Command]:
        """What to tell the master now, if anything."""
        # who was found and launched in one step has not waited
        self._woken = self._woken and waiting
        if now < self.due(waiting, watching):
            return None
        if waiting or watching:
            if not self._woken:
                self._gap = min(REVIVE_CAP_S, self._gap * 2)
            self._revived, self._woken, self._renewed, self._suppressed = now, False, False, False
            return commands.Revive()
        if self._suppressed:
            return None
        self._suppressed = True
        return commands.Suppress()

    def due(self, waiting: bool, watching: bool) -> float:
        """When the master is to be told something, if nothing changes until then."""
        if not (waiting or watching):
            return float("-inf")
        if self._woken or self._renewed or self._suppressed:
            return self._revived + self._every
        return self._revived + self._gap if waiting else float("inf")
