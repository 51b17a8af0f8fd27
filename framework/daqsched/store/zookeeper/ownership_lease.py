"""How long a daemon may take the state for its own without hearing from ZooKeeper again."""

from __future__ import annotations

from typing import Optional

#: The part of a session's time-out that its owner counts on. ZooKeeper may have begun to count a little before the question
#: that renews the lease was asked: its members tell one another of live sessions every half tick (Learner.java, ping).
SURE = 2.0 / 3.0


class OwnershipLease:
    """Begun and renewed by answers of ZooKeeper; once it has run out it is over for ever. Times are readings of one clock
    that nobody sets and that goes on in a suspended machine (CLOCK_BOOTTIME)."""

    def __init__(self, session_s: float) -> None:
        self._length_s = SURE * session_s
        self._until: Optional[float] = None

    def renewed(self, asked_at: float, now: float) -> None:
        """An answer came at ``now`` to what was asked before: the session was alive after that moment."""
        if not self.over(now):
            self._until = max(self._until or 0.0, asked_at + self._length_s)

    def ended(self) -> None:
        """The session is lost, or given up."""
        self._until = float("-inf")

    def holds(self, now: float) -> bool:
        """Whether nobody else can have taken over yet."""
        return self._until is not None and now < self._until

    def over(self, now: float) -> bool:
        """Whether it began and has run out."""
        return self._until is not None and now >= self._until
