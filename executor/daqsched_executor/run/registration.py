"""The job's lines made known to the machine's forwarder, and what is to be said of them while the executor runs.

Nothing of it holds the program up: what is not possible is a sentence in the log, and the program runs all the same.
"""

from __future__ import annotations

from daqsched_executor.contract import Payload
from daqsched_executor.log import Log
from daqsched_executor.run.streams import Files, Registered, register


class Registration:
    """Of one job; ``spool``: the machine's folder for it, empty outside of Mesos."""

    def __init__(self, spool: str, sandbox: str, files: Files, log: Log) -> None:
        self._spool, self._sandbox, self._files, self._log = spool, sandbox, files, log
        self._registered = Registered()
        #: The program's start that was reported last.
        self._start = 1

    def begin(self, payload: Payload, wall: float) -> str:
        """Make the lines known; returns why that is not possible."""
        if not self._spool:
            return "the lines are not forwarded: this is not a Mesos sandbox, and DAQSCHED_SPOOL is not set"
        try:
            self._registered = register(self._spool, self._sandbox, self._files, payload, wall)
        except OSError as error:
            return f"the lines are not forwarded: {error.filename or self._spool}: {error.strerror}"
        return ""

    def renew(self, payload: Payload, wall: float) -> str:
        """The lines carry the payload's labels from now on, are forwarded from now on, or no more; why that can't be."""
        try:
            if payload.forward and not self._registered:
                problem = self.begin(payload, wall)
                if self._registered and self._start > 1:
                    self._registered.started(self._start)
                return problem
            if payload.forward:
                self._registered.carry(payload.labels)
            elif self._registered:
                self._registered.end()
        except OSError as error:
            return f"the lines are forwarded as before: {error.filename or self._spool}: {error.strerror}"
        return ""

    def started(self, number: int) -> None:
        """Lines carry the number of the start that printed them; without it only that number is wrong."""
        if number == self._start:
            return
        self._start = number
        try:
            self._registered.started(number)
        except OSError as error:
            self._log.say(f"the lines of start {number} are not told from those before: {error.strerror}")

    def settle(self) -> None:
        """What was registered is on the disk, from some time after the start on."""
        try:
            self._registered.settle()
        except OSError as error:
            self._log.say(f"the lines are not found again where the machine loses power now: {error.strerror}")
