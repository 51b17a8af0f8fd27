"""What the master is still to be asked of tasks, and when: everything, every so often, and what nobody has confirmed."""

from __future__ import annotations

#: So often it is asked about everything.
RECONCILE_S = 600.0
#: About so many tasks at once.
RECONCILE_SOME = 1000
#: Tasks that nobody confirmed since the master took us: asked about after this long, ever more rarely up to the cap. A
#: master that has just started does not answer for agents that are not back yet, and says nothing when they are.
CONFIRM_S, CONFIRM_CAP_S = 2.0, 60.0
#: After a registration the master is asked about every task; one that it has not spoken of for so long is in doubt.
SILENCE_S = 5.0

_NEVER = float("inf")


class ReconcilingState:
    """Of one farm; `reconciling` goes on with it."""

    def __init__(self) -> None:
        #: When the next tasks have their turn.
        self.turn_at = _NEVER
        #: Tasks that are still to be asked about in this round.
        self.unasked: list[str] = []
        #: Of each host that nobody has spoken of since the master took us, the tasks that were there then.
        self.silent: dict[str, list[str]] = {}
        #: When to ask about the tasks that nobody confirmed yet, and how long after that again.
        self.confirm_at, self.confirm_gap = _NEVER, CONFIRM_S
        #: When those are in doubt that nobody has confirmed since the master took us.
        self.doubt_at = _NEVER

    @property
    def due(self) -> float:
        """When something of it is; inf: never."""
        return min(self.turn_at, self.confirm_at, self.doubt_at)

    def registered(self, now: float) -> None:
        """The master has taken us, and was asked about everything."""
        self.confirm_at, self.confirm_gap, self.doubt_at = now + CONFIRM_S, CONFIRM_S, now + SILENCE_S

    def disconnected(self) -> None:
        """There is nobody to ask."""
        self.turn_at = self.confirm_at = _NEVER

    def set_back(self, by: float) -> None:
        """The clock was."""
        self.turn_at -= by
        self.confirm_at -= by
        self.doubt_at -= by
