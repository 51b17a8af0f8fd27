"""What people see after a step, against what they saw before it: each instance that the step has touched."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Callable, Optional

from daqsched.engine import causes
from daqsched.engine.changes import GONE, MOST_WORDS, TELLING, TRANSITIONS, Changed, Stories, shortened
from daqsched.engine.farm import Farm
from daqsched.engine.instance import Instance, Key
from daqsched.engine.reasons import reason_of
from daqsched.engine.shown import keep_since, state_of
from daqsched.engine.time_format import TimeFormat
from daqsched.states import Shown


class Transitions:
    """Of one farm; each is a page of the ``stories``."""

    def __init__(self, farm: Farm, stories: Stories, illegal: Callable[[str], None]) -> None:
        """``illegal`` is told of a transition that is not in `changes.TRANSITIONS`, with its story."""
        self._farm, self._stories, self.illegal = farm, stories, illegal
        #: How many of these there were.
        self.illegal_transitions = 0
        self._said_illegal: set[tuple[str, str]] = set()
        #: What people last saw, until the first step; None: nobody knows.
        self._recalled: Optional[dict[Key, str]] = None

    @property
    def recalled(self) -> bool:
        """Whether what the first step finds is compared with what people last saw."""
        return self._recalled is not None

    def recall(self, states: dict[Key, str]) -> None:
        """After `restore`: what people last saw. What the first step finds otherwise has changed, for `causes.RESTART`; without
        this, nothing is known to have."""
        self._recalled = states

    def first(self, now: float) -> list[Changed]:
        """The states as they are found, and what of that is not as it was last seen: any may have come of any."""
        last, self._recalled = self._recalled, None
        found = []
        for key, instance in self._farm.instances.items():
            after = instance.shown = state_of(self._farm, instance, now)
            before = last.pop(key, GONE) if last is not None else after
            if after != before:
                found.append(self._changed(instance, before, after, causes.RESTART, now))
        gone = last.items() if last is not None else ()
        found += [Changed(key, before, GONE, "", causes.RESTART, now) for key, before in gone if before != GONE]
        self._stories.note(found)
        return found

    def _changed(self, instance: Instance, before: str, after: Shown, cause: str, now: float) -> Changed:
        # of what goes as it should the state says all, and there may be as many as tasks
        reason = reason_of(self._farm, instance, after, TimeFormat(now, absolute=True)) if after in TELLING else ""
        reason = shortened(reason, MOST_WORDS)
        return Changed(instance.key, before, after, reason, cause, now)

    def of_step(self, now: float) -> tuple[Changed, ...]:
        """What people see now of those that this step has touched, against what they saw before."""
        found = []
        for key, cause in self._farm.touched.items():
            instance = self._farm.instances.get(key)
            before = self._farm.gone.get(key, GONE if instance is None else instance.shown)
            if instance is None:
                if before != GONE:
                    found.append(Changed(key, before, GONE, "", cause, now))
                continue
            after = state_of(self._farm, instance, now)
            if after != instance.shown:
                keep_since(self._farm, instance, after, now)
                instance.shown = after
            if after != before:
                found.append(self._changed(instance, before, after, cause, now))
        if not found:
            return ()
        self._look_for_illegal(found)
        self._stories.note(found)
        return tuple(found)

    def _look_for_illegal(self, changes: Iterable[Changed]) -> None:
        """An illegal transition is a bug of ours: said with the story, once for each kind, and the farm is kept running."""
        for change in changes:
            if change.after in TRANSITIONS[change.before]:
                continue
            self.illegal_transitions += 1
            if (change.before, change.after) in self._said_illegal:
                continue
            self._said_illegal.add((change.before, change.after))
            story = [f"{_move(one)} by {one.cause}" for one in self._stories.of(change.key)]
            self.illegal(
                f"{change.key[0]}@{change.key[1]}: {_move(change)} by {change.cause} is an illegal transition: a bug, please "
                f"report it; before: {'; '.join(story) or 'nothing'}"
            )


def _move(change: Changed) -> str:
    return f"{change.before or 'none'} to {change.after or 'none'}"
