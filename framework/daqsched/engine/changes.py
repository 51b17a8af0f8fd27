"""What a step changed of what people see: each instance that was touched, from which state to which, since when and why.

Whoever wants changes subscribes at the daemon (`serve.daemon`): the chronicle does. The engine keeps of them the bounded
stories of those that are or were not as they should be (`Stories`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple, get_args

from daqsched.engine.instance import Key
from daqsched.states import Shown

#: The state of what is not there: not desired, and without a task.
GONE = ""

#: So many instances have a story, the latest; each keeps so many changes, and so much of each reason.
MOST_STORIES, MOST_CHANGES, MOST_WORDS = 2000, 30, 300

#: A story begins with one of these: something is not as it should be, or somebody meant it.
TELLING = frozenset(get_args(Shown)) - {"WAITING", "STARTING", "RUNNING", "FINISHED"}


class Changed(NamedTuple):
    """One instance came from one state into another."""

    key: Key
    #: One of `Shown`, or `GONE`.
    before: str
    after: str
    #: Why it is in the new state, a kept sentence as `reasons.reason_of` makes it, where the state is one of `TELLING`; else empty.
    reason: str
    #: What did it: ``revision 12 by alice``, ``stop by bob: cabling``, ``death``, ``rollout 3, batch 2``, ``time``,
    #: ``restart of the daemon``.
    cause: str
    #: Seconds since the epoch.
    at: float


class Stories:
    """The last changes of instances that are or were not as they should be; the table is bounded."""

    def __init__(self) -> None:
        self._by_key: dict[Key, deque[Changed]] = {}

    def note(self, changes: Iterable[Changed]) -> None:
        """One more page."""
        for change in changes:
            story = self._by_key.pop(change.key, None)
            if story is None:
                if change.after not in TELLING:
                    continue
                while len(self._by_key) >= MOST_STORIES:
                    del self._by_key[next(iter(self._by_key))]
                story = deque(maxlen=MOST_CHANGES)
            # the one that changed last is the last one in the table
            self._by_key[change.key] = story
            story.append(change)

    def keys(self) -> tuple[Key, ...]:
        """Those that have one, that which changed last at the end."""
        return tuple(self._by_key)

    def of(self, key: Key) -> tuple[Changed, ...]:
        """The oldest first; empty: nothing was wrong with it since this daemon began, or it is long ago."""
        return tuple(self._by_key.get(key, ()))


def shortened(sentence: str, most: int) -> str:
    """A sentence of ours in that much room: whole clauses, or else words, of it, and no next step that is told in half."""
    if len(sentence) <= most:
        return sentence
    head = sentence[: most - 4]
    end = head.rfind("; ")
    if end < most // 2:
        end = head.rfind(" ")
    head = head[:end] if end > 0 else head
    if head.count("`") % 2 and "`" in sentence[len(head) :]:
        head = head[: head.rindex("`")]
    return f"{head.rstrip(' ;:,')} ..."


_ALL = frozenset(get_args(Shown)) | {GONE}

#: From which state it can come into which in one step. What is not here is a bug of ours: `Engine.handle` says so. Docs:
#: docs/reference/states.md is made of it.
TRANSITIONS: dict[str, frozenset[str]] = {
    # stopped by hand before it left the farm: it comes back so
    GONE: frozenset({"WAITING", "STARTING", "ASIDE", "STOPPED"}),
    # without a task: it begins with a launch, or with one that is found running
    "WAITING": frozenset({"STARTING", "RUNNING", "BACKOFF", "ASIDE", "STOPPED", GONE}),
    "ASIDE": frozenset({"WAITING", "BACKOFF", "FINISHED", "FAILED", "UNKNOWN", "STOPPED", GONE}),
    "STOPPED": frozenset({"WAITING", "ASIDE", GONE}),
    "FINISHED": frozenset({"WAITING", "STARTING", "RUNNING", "ASIDE", "STOPPED", GONE}),
    "FAILED": frozenset({"WAITING", "STARTING", "RUNNING", "ASIDE", "STOPPED", GONE}),
    # with one, all can happen to it but what needs that it ends first
    "STARTING": _ALL - {"STARTING"},
    "RUNNING": _ALL - {"RUNNING"},
    "UNHEALTHY": _ALL - {"UNHEALTHY"},
    # somebody asked for its end: however that comes, it is neither a success nor a failure
    "STOPPING": _ALL - {"STOPPING", "FINISHED", "FAILED"},
    # ours has no task, the executor's has
    "BACKOFF": _ALL - {"BACKOFF"},
    # nobody knows what becomes of it
    "UNREACHABLE": _ALL - {"UNREACHABLE"},
    "UNKNOWN": _ALL - {"UNKNOWN"},
}
