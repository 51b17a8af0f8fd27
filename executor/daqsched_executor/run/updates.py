"""The task's status updates: one is posted at a time, and each until the agent has acknowledged it (`life.outbox` says which)."""

from __future__ import annotations

import os
import time
from binascii import b2a_base64
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from daqsched_executor.contract import Report
from daqsched_executor.life.commands import Tell
from daqsched_executor.life.events import TASK_RUNNING, TASK_STARTING, Delivered, Event
from daqsched_executor.life.outbox import Outbox, Status
from daqsched_executor.log import Log
from daqsched_executor.run.call import Call
from daqsched_executor.run.loop import Loop

#: Posts a message of this type and words to the agent; what is given last hears what was wrong, or nothing. It may raise OSError.
Request = Callable[[str, dict[str, Any], Callable[[str], None]], Call]


class Updates:
    """Of an executor's one task, in the loop's thread. ``subscribed``: whether the agent takes any now; ``emit`` takes events."""

    def __init__(
        self,
        loop: Loop,
        log: Log,
        emit: Callable[[Event], None],
        executor_id: dict[str, str],
        request: Request,
        subscribed: Callable[[], bool],
    ) -> None:
        self._loop, self._log, self._emit = loop, log, emit
        self._executor_id, self._request, self._subscribed = executor_id, request, subscribed
        self._outbox = Outbox()
        #: The task was TASK_RUNNING once.
        self._ran = False
        self._call: Call | None = None
        #: The uuids of those that the last subscription held.
        self._carried: list[str] = []

    def tell(self, told: Tell, task_id: str) -> None:
        """Send one now or when there is a way."""
        state, report = told.task_state, told.report
        healthy = getattr(report, "healthy", None)  # a survey's findings have none
        if state == TASK_RUNNING:
            self._ran = True
        elif state == TASK_STARTING and self._ran and isinstance(report, Report):
            # master and agent keep each change of state, and all of them are in their answers; of updates in one state they keep
            # the last (Master::updateTask in Mesos' master/master.cpp). So a program that dies for days stays in one
            state, report, healthy = TASK_RUNNING, replace(report, ready=False), False
        status = self._status(task_id, state, told.message)
        status["data"] = _encode(report.to_json())
        if healthy is not None:
            status["healthy"] = healthy  # shown by the web UI
        now = self._loop.now()
        self._outbox.put(status, told.final, now + told.wait_s if told.wait_s else 0.0)
        self.post(now)

    def to_carry(self) -> list[Status]:
        """What a subscription that is asked for now holds."""
        found = self._outbox.to_carry()
        self._carried = [status["uuid"] for status in found]
        return found

    def carried(self) -> None:
        """The agent has accepted it."""
        self._outbox.carried(self._carried)

    def lost(self) -> None:
        """The agent is away."""
        if self._call is not None:
            self._called("the agent is away")

    def acknowledged(self, uuid: str) -> bool:
        """The agent has it on disk. True where that was the final one."""
        return self._outbox.acknowledged(uuid)

    def wake_at(self) -> float | None:
        """When `wake` should be called (monotonic), or None."""
        times = [self._call.deadline if self._call is not None else None]
        if self._subscribed():
            times.append(self._outbox.wake_at(self._loop.now()))
        return min((time for time in times if time is not None), default=None)

    def wake(self, now: float) -> None:
        """Give up an agent that does not answer, post what waited."""
        if self._call is not None and now >= self._call.deadline:
            self._called(f"no answer within {Call.LIMIT_S:.0f} s")
        self.post(now)

    def refuse(self, task_id: str, ours: str) -> None:
        """Another task than ``ours``: it fails, and is not kept."""
        problem = f"an executor of daqsched runs one task, and this one is there for {ours or 'a single task'}"
        self._log.say(f"refused {task_id}: {problem}")
        update = {"status": self._status(task_id, "TASK_FAILED", problem)}
        self._request(
            "UPDATE", {"update": update}, lambda answer: self._log.say(f"refusal of {task_id}: {answer or 'taken'}")
        )

    def post(self, now: float) -> None:
        """The next one that is to go, if there is a way and it is time."""
        if not self._subscribed() or self._call is not None:
            return
        status = self._outbox.next(now)
        if status is None:
            return
        try:
            self._call = self._request("UPDATE", {"update": {"status": status}}, self._called)
        except OSError as error:  # too many open files
            self._called(error.strerror or str(error))

    def _called(self, problem: str) -> None:
        call = self._call
        self._call = None
        if call is not None:
            call.close()
        now = self._loop.now()
        if not problem:
            if self._outbox.posted():
                self._emit(Delivered())
        else:
            if self._outbox.failed(now) == 1 and self._subscribed():
                self._log.say(f"a status update did not get through: {problem}; trying again")
        self.post(now)

    def _status(self, task_id: str, state: str, message: str) -> dict[str, Any]:
        return {
            "task_id": {"value": task_id},
            "executor_id": self._executor_id,
            "state": state,
            "source": "SOURCE_EXECUTOR",
            "timestamp": time.time(),
            "uuid": _encode(_uuid4()),
            "message": message,
        }


def _encode(data: bytes) -> str:
    return b2a_base64(data, newline=False).decode()


def _uuid4() -> bytes:
    """16 random bytes with the marks of version 4 (RFC 4122, 4.4): the agent refuses others."""
    made = bytearray(os.urandom(16))
    made[6] = made[6] & 0x0F | 0x40
    made[8] = made[8] & 0x3F | 0x80
    return bytes(made)
