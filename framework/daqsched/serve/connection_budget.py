"""Who may hold a socket's connections, and for how long: each caller has its share, so that none keeps the others out.

A connection is *incoming* while its request is not whole, or while it waits for the next one. There is room for so many of
them. Where one more comes, the oldest of the caller that has most makes room: whoever opens thousands shuts out itself. A
request that is whole is *answered*; there is room for so many, and for fewer of one caller. Times come in as arguments.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Callable

from daqsched.limits import SPEC_BODY

#: The largest request.
MOST_BYTES = int(SPEC_BODY.most)

#: A request of no more is not large: there is always room for it.
SMALL_BYTES = 1024 * 1024

#: How much of large requests may be in memory at once, of all callers and of one.
HELD_BYTES, HELD_OF_ONE = 4 * MOST_BYTES, 2 * MOST_BYTES

#: How much of large answers may wait for their readers at once, of all callers and of one.
UNREAD_BYTES, UNREAD_OF_ONE = 256 * 1024 * 1024, 64 * 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """What one socket may take; its descriptors are no more than ``incoming`` and ``answers`` together."""

    incoming: int = 128
    answers: int = 256

    @property
    def each(self) -> int:
        """Requests of one caller that are answered at once."""
        return max(1, self.answers // 2)


def places(most: int, has_some: bool) -> int:
    """How many of so many places are for somebody: the last quarter is for those who have none, so that nobody keeps others out."""
    return most * 3 // 4 if has_some else most


class Seat:
    """One connection's place. ``close`` ends the connection; it may be called more than once."""

    def __init__(self, caller: Hashable, close: Callable[[], object]) -> None:
        self.caller, self.close = caller, close
        #: While it is incoming: since when, and for how long it may be.
        self.since = self.limit_s = 0.0


class ConnectionBudget:
    """The connections of one socket; for one thread."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        #: The incoming of each caller, the oldest first.
        self._incoming: dict[Hashable, dict[Seat, None]] = {}
        self._count = 0
        self._answers: Counter[Hashable] = Counter()
        self._held: Counter[Hashable] = Counter()
        self._unread: Counter[Hashable] = Counter()
        #: How many had to make room.
        self.dropped = 0

    def __len__(self) -> int:
        """How many are incoming."""
        return self._count

    def wait(self, seat: Seat, now: float, limit_s: float) -> None:
        """The connection is incoming from now on, also if it was before."""
        self.leave(seat)
        while self._count >= self.limits.incoming:
            self.drop()
        self._incoming.setdefault(seat.caller, {})[seat] = None
        self._count += 1
        seat.since, seat.limit_s = now, limit_s

    def leave(self, seat: Seat) -> None:
        """Its request is whole, or it is closed."""
        seats = self._incoming.get(seat.caller, {})
        if seat in seats:
            del seats[seat]
            self._count -= 1
            if not seats:
                del self._incoming[seat.caller]

    def rename(self, seat: Seat, caller: Hashable) -> None:
        """It has shown who it is."""
        waiting = seat in self._incoming.get(seat.caller, {})
        since, limit_s = seat.since, seat.limit_s
        self.leave(seat)
        seat.caller = caller
        if waiting:
            self.wait(seat, since, limit_s)

    def drop(self) -> None:
        """The oldest of the caller that has most makes room, if there is any."""
        if self._incoming:
            most = max(self._incoming, key=lambda caller: len(self._incoming[caller]))
            seat = next(iter(self._incoming[most]))
            self.leave(seat)
            self.dropped += 1
            seat.close()

    def overdue(self, now: float) -> list[Seat]:
        """Those whose time is over."""
        return [seat for seats in self._incoming.values() for seat in seats if now - seat.since > seat.limit_s]

    def begin(self, caller: Hashable) -> str:
        """A request of this caller is answered from now on, until `end`; or why not. The last quarter of the room is for those
        who have no more than one under way: not even many callers together keep another out."""
        total, own = self.answered, self._answers[caller]
        if own >= self.limits.each:
            return f"the daemon answers {own} requests of yours at present, which is its limit: try again"
        if total >= places(self.limits.answers, own > 1):
            return f"the daemon answers {total} requests at present, which is its limit: try again"
        self._answers[caller] += 1
        return ""

    @property
    def answered(self) -> int:
        """How many requests are."""
        return sum(self._answers.values())

    def end(self, caller: Hashable) -> None:
        self._answers[caller] -= 1
        if not self._answers[caller]:
            del self._answers[caller]

    def hold(self, caller: Hashable, count: int) -> str:
        """So many bytes more of a large request are in memory, until `give_back`; or why not."""
        if sum(self._held.values()) + count > HELD_BYTES or self._held[caller] + count > HELD_OF_ONE:
            return "the daemon is handling too many large requests at present: try again"
        self._held[caller] += count
        return ""

    def give_back(self, caller: Hashable, count: int) -> None:
        self._held[caller] -= count
        if not self._held[caller]:
            del self._held[caller]

    def tell(self, caller: Hashable, count: int) -> str:
        """An answer of so many bytes waits to be read, until `told`; or why not. One is always told to a caller who has none to
        read, while not all of the room is taken; its last quarter is for these."""
        own, total = self._unread[caller], sum(self._unread.values())
        if own and own + count > UNREAD_OF_ONE:
            return f"{own >> 20} MiB of answers to you are not read yet, which is the limit: read them, or ask for less"
        if total >= UNREAD_BYTES or (own and total + count > places(UNREAD_BYTES, True)):
            return f"{total >> 20} MiB of answers are not read yet, which is the limit: try again"
        self._unread[caller] += count
        return ""

    def told(self, caller: Hashable, count: int) -> None:
        """It was read, or its caller went away."""
        self._unread[caller] -= count
        if not self._unread[caller]:
            del self._unread[caller]

    @property
    def unread(self) -> int:
        """How many bytes of large answers wait."""
        return sum(self._unread.values())
