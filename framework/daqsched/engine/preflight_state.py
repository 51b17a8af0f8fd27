"""The preflights that are under way, and where each of their hosts is in them."""

from __future__ import annotations

from daqsched.preflight import AT_ONCE, HostQuery, Preflight


class PreflightState:
    """See the module; the last few that are over are remembered, for whoever asks once more."""

    def __init__(self) -> None:
        self.made: dict[str, Preflight] = {}
        #: host -> who waits for an offer of it.
        self.waiting: dict[str, list[HostQuery]] = {}
        self.by_task: dict[str, HostQuery] = {}

    @property
    def want_offers(self) -> bool:
        """Whether an offer would be of use."""
        return bool(self.waiting) and len(self.by_task) < AT_ONCE

    def due(self) -> float:
        """When the next preflight's time is over."""
        return min((one.due for one in self.made.values() if not one.over), default=float("inf"))
