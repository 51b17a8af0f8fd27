"""What the engine keeps of the rollout that is under way: the saved `KeptRollout`, and what follows from it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Optional

import msgspec

from daqsched.engine.instance import Key
from daqsched.identity import is_one
from daqsched.rollout import Rollout


class KeptRollout(Rollout):
    """The same as the store keeps it; its batches are kept beside it, once."""

    #: As of `task.Borrow`, of who asked for it and of who paused it; not told to people.
    known_as: tuple[str, ...] = ()
    pauser_known_as: tuple[str, ...] = ()

    def told(self) -> Rollout:
        """A copy for people."""
        return Rollout(**{name: getattr(self, name) for name in Rollout.__struct_fields__})

    def holds_for_another(self, user: str, known_as: Collection[str]) -> bool:
        """Whether it is paused, and it or the pause is somebody else's."""
        both = (self.user, self.known_as), (self.paused_by, self.pauser_known_as)
        return self.state == "paused" and not all(is_one(*one, user, known_as) for one in both if one[0])


class Before(msgspec.Struct, frozen=True):
    """The jobs that an apply changed, as they were: what ran, also where that was not what was in force."""

    #: The revision that was in force.
    revision: int
    jobs: frozenset[str]
    #: `spec.encode` of these jobs and where lines went.
    spec: bytes


class RolloutState:
    """See the module."""

    def __init__(self) -> None:
        self.rollout: Optional[KeptRollout] = None
        #: How the one before it ended, for those who wait for it: a rollback is a rollout of its own.
        self.last: Optional[KeptRollout] = None
        self.batches: list[list[Key]] = []
        #: What a rollback leads to.
        self.before: Optional[Before] = None
        #: The batch in work; those of it that something happened to in this step; those that are not ready.
        self.keys: dict[Key, None] = {}
        self.changed: dict[Key, None] = {}
        self.lagging: dict[Key, None] = {}
        #: Whether there is something to look at.
        self.touched = False
        #: When it has to be looked at, whatever happens.
        self.due = float("inf")
        #: When the guard was last asked for the next batch; 0: it was not.
        self.asked = 0.0

    def work_on(self, keys: Iterable[Key]) -> None:
        """This is the batch from now on; nothing is known of any of it."""
        self.keys = dict.fromkeys(keys)
        self.changed, self.lagging = dict(self.keys), dict(self.keys)
        self.touched = True

    def touch(self, key: Key) -> None:
        """Something happened to this one."""
        if key in self.keys:
            self.changed[key] = None
            self.touched = True

    @property
    def jobs(self) -> frozenset[str]:
        """Those that it changes; they are as many as jobs, and asked for where somebody applies meanwhile."""
        return frozenset(name for batch in self.batches for name, _ in batch)

    @property
    def concerned(self) -> frozenset[str]:
        """Those that its end, or its rollback, may still change: no other apply does meanwhile."""
        return self.jobs if self.before is None else self.jobs | self.before.jobs

    @property
    def active(self) -> Optional[KeptRollout]:
        """The rollout, where it is not over."""
        return self.rollout if self.rollout is not None and not self.rollout.over else None
