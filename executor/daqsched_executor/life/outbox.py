"""Which status update goes out next: in order, seldom, the latest first, and none lost. Pure: time comes in.

An update is kept until the agent acknowledges it (it then has it on disk and sends it on until the scheduler has it).
While an agent is away, or slow, only the latest state waits; a final one is never replaced.
"""

from __future__ import annotations

from collections import deque
from typing import Any

Status = dict[str, Any]

#: The first few changes go out at once, whatever their rate; then at most one per `INTERVAL_S`.
BURST = 5
INTERVAL_S = 1.0
#: A post that failed is tried again after this, doubling up to the cap.
RETRY_S, RETRY_CAP_S = 0.5, 2.0


class Outbox:
    """At most one update is being posted, at most one more waits, any number is unacknowledged."""

    def __init__(self) -> None:
        #: By uuid as Mesos' JSON has it, in the order of their making: what a subscription repeats.
        self.unacknowledged: dict[str, Status] = {}
        self._waiting: Status | None = None
        #: What waits is not sent before that: a newer one may take its place.
        self._not_before = 0.0
        self._posting: str | None = None
        #: uuids whose post failed or was cut off, to be posted again, oldest first.
        self._again: deque[str] = deque()
        self._final: str | None = None
        self._tokens = float(BURST)
        self._filled_at = 0.0
        self._retry_at = 0.0
        self._failures = 0

    def put(self, status: Status, final: bool = False, not_before: float = 0.0) -> None:
        """Hand in a new update (with its uuid). The one that still waits is forgotten: the latest counts. ``not_before``: when
        it is sent at the earliest, unless a subscription carries it."""
        if self._final is not None:
            return
        if final:
            self._final = status["uuid"]
        self._waiting, self._not_before = status, not_before

    def next(self, now: float) -> Status | None:
        """The update to be posted now, or None. Answer with `posted` or `failed`."""
        if self._posting is not None or now < self._retry_at:
            return None
        if self._again and self._waiting is not None:
            self._drop_outdated()
        if self._again:
            self._posting = self._again.popleft()
            return self.unacknowledged[self._posting]
        if self._waiting is None or now < self._not_before:
            return None
        self._fill(now)
        uuid = self._waiting["uuid"]
        if self._tokens < 1 and uuid != self._final:
            return None
        self._tokens = max(0.0, self._tokens - 1)
        status, self._waiting = self._waiting, None
        self.unacknowledged[uuid] = status
        self._posting = uuid
        return status

    def posted(self) -> bool:
        """The agent took the update that `next` gave; its acknowledgement comes the other way. True for the final."""
        final = self._posting is not None and self._posting == self._final
        self._posting, self._failures = None, 0
        return final

    def failed(self, now: float) -> int:
        """The agent did not take it: again later, with the same uuid, so that it counts once. The count of failures
        in a row comes back."""
        if self._posting is None:
            return self._failures
        if self._posting in self.unacknowledged:
            self._again.appendleft(self._posting)
        self._posting = None
        self._retry_at = now + min(RETRY_CAP_S, RETRY_S * 2.0 ** min(self._failures, 10))
        self._failures += 1
        return self._failures

    def acknowledged(self, uuid: str) -> bool:
        """The agent has it. True where that was the final one."""
        self.unacknowledged.pop(uuid, None)
        if uuid in self._again:
            self._again.remove(uuid)
        return uuid == self._final

    def to_carry(self) -> list[Status]:
        """What a new subscription holds: all that is unacknowledged, and what still waits.

        An agent that recovers takes these at once, while it refuses posts until it has recovered (Mesos 1.11: 503).
        """
        if self._waiting is not None:
            self._drop_outdated()
            status, self._waiting = self._waiting, None
            self.unacknowledged[status["uuid"]] = status
            self._again.append(status["uuid"])
        return list(self.unacknowledged.values())

    def carried(self, uuids: list[str]) -> None:
        """A subscription that the agent accepted held these: they need no post."""
        self._again = deque(uuid for uuid in self._again if uuid not in uuids)
        if self._posting in uuids:
            self._posting = None
        self._retry_at, self._failures = 0.0, 0

    def wake_at(self, now: float) -> float | None:
        """When `next` may have something that it has not now, or None."""
        if self._posting is not None or (not self._again and self._waiting is None):
            return None
        if self._again or self._waiting is None or self._waiting["uuid"] == self._final:
            return self._retry_at
        self._fill(now)
        return max(self._retry_at, self._not_before, now + max(0.0, 1 - self._tokens) * INTERVAL_S)

    def _drop_outdated(self) -> None:
        # the agent may or may not have these; what waits is newer, and must not be overtaken by them
        for uuid in self._again:
            self.unacknowledged.pop(uuid, None)
        self._again.clear()

    def _fill(self, now: float) -> None:
        self._tokens = min(float(BURST), self._tokens + max(0.0, now - self._filled_at) / INTERVAL_S)
        self._filled_at = now
