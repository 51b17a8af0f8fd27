"""How long a daemon may take the state for its own without hearing from ZooKeeper again."""

from __future__ import annotations

#: The part of a session's time-out that its owner counts on. ZooKeeper may have begun to count a little before the question
#: that renews the lease was asked: its members tell one another of live sessions every half tick (Learner.java, ping).
SURE = 2.0 / 3.0


class Lease:
    """Renewed by answers of ZooKeeper. Times are readings of one clock that nobody sets and that goes on in a suspended
    machine (CLOCK_BOOTTIME)."""

    def __init__(self, session_s: float) -> None:
        self._length_s = SURE * session_s
        self._until = float("-inf")

    def renewed(self, asked_at: float) -> None:
        """An answer came to what was asked then: the session was alive after that moment, whenever the answer arrived."""
        self._until = max(self._until, asked_at + self._length_s)

    def ended(self) -> None:
        """The session is over, or given up: no answer that is still on its way renews it."""
        self._until = float("-inf")
        self._length_s = float("-inf")

    def holds(self, now: float) -> bool:
        """Whether nobody else can have taken over yet."""
        return now < self._until
