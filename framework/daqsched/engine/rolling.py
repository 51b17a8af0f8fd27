"""What the engine keeps of the rollout that is under way: the saved `Rollout`, and what follows from it."""

from __future__ import annotations

from typing import Optional

from daqsched.commands import Revision
from daqsched.engine.instance import Key
from daqsched.rollout import Rollout


class Rolling:
    """See the module."""

    def __init__(self) -> None:
        self.rollout: Optional[Rollout] = None
        self.batches: list[list[Key]] = []
        #: What a rollback leads to.
        self.before: Optional[Revision] = None
        #: The batch in work, and whether anything happened to it in this step.
        self.keys: dict[Key, None] = {}
        self.touched = False
        #: When it has to be looked at, whatever happens.
        self.due = float("inf")
        #: When the guard was last asked for the next batch; 0: it was not.
        self.asked = 0.0

    @property
    def active(self) -> Optional[Rollout]:
        """The rollout, where it is not over."""
        return self.rollout if self.rollout is not None and not self.rollout.over else None
