"""Who follows lines through the daemon: how far each was told, kept here, so that nobody can say so of himself.

A session is its person's. It is forgotten when he has not asked for a while; so many there are of one person, and of all.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Hashable
from typing import TYPE_CHECKING, Callable, Optional

from daqsched.errors import Forgotten, UserError
from daqsched.serve.refusals import RefusedWith

if TYPE_CHECKING:
    from daqsched.logs.follow import Follower

#: So many of one person, of all, and so long one is kept that is not asked for.
EACH, MOST, KEPT_S = 4, 32, 30.0


class FollowSession:
    """One; ``ask`` is of one thread at a time."""

    def __init__(self, whose: Hashable, what: Hashable) -> None:
        self.whose, self.what = whose, what
        self.follower: Optional[Follower] = None
        self.asked = time.monotonic()
        self.lock = threading.Lock()


class FollowSessions:
    """All that there are."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._made: dict[str, FollowSession] = {}
        self._lock = threading.Lock()

    def begin(self, whose: Hashable, what: Hashable) -> tuple[str, FollowSession]:
        """A new one and its name; raises `RefusedWith` where there are too many."""
        with self._lock:
            self._forget()
            if sum(one.whose == whose for one in self._made.values()) >= EACH:
                raise RefusedWith(
                    "too-many-searches",
                    f"you follow lines in {EACH} places already: end one of these, and ask again in a while",
                )
            if len(self._made) >= MOST:
                raise RefusedWith("busy", f"lines are followed in {MOST} places already: ask again in a while")
            name, made = secrets.token_hex(16), FollowSession(whose, what)
            made.asked = self._clock()
            self._made[name] = made
            return name, made

    def known(self, name: str, whose: Hashable, what: Hashable) -> FollowSession:
        """The one of that name, of this person, for the same lines; raises `Forgotten`, as of one that never was."""
        with self._lock:
            self._forget()
            found = self._made.get(name)
            if found is None or found.whose != whose:
                raise Forgotten(
                    "these lines are not followed any more: the daemon was restarted, or was not asked for long; begin anew"
                )
            if found.what != what:
                raise UserError("what is followed can't be changed: begin anew")
            found.asked = self._clock()
            return found

    def end(self, name: str) -> None:
        """One that could not begin."""
        with self._lock:
            self._made.pop(name, None)

    def _forget(self) -> None:
        until = self._clock() - KEPT_S
        for name in [name for name, one in self._made.items() if one.asked < until and not one.lock.locked()]:
            del self._made[name]
