"""What is asked of selected instances: stop, start, hold, and commands that executors obey."""

from __future__ import annotations

from typing import Optional

import msgspec


class SelectRequest(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """POST /v1/stop and /v1/start -> `Selected`; words as in `daqsched.select`."""

    select: list[str]
    message: str = ""
    #: Of a start: also what others have stopped.
    everyones: bool = False
    #: Of a start: without waiting for the end of what they replace.
    anyway: bool = False
    #: As of `ApplyRequest`.
    stops: Optional[int] = None


class Selected(msgspec.Struct):
    """How many instances it was done to."""

    count: int
    #: To which it was not, and why: (job, host, reason).
    rejected: list[tuple[str, str, str]] = []
    #: Jobs, or ``job@hosts`` where it is some of one's, that depend on what was stopped and would not start again meanwhile.
    dependents: list[str] = []
    #: Of a start: how many of those somebody else has stopped, so that `SelectRequest.everyones` would let them run.
    others: int = 0
    #: Of those counted the ones of which it is not so yet, and what for, a person's word or their host: (job, host, reason).
    waiting: list[tuple[str, str, str]] = []
    #: Of a replace: which agent is the host now, and which was; empty: a daemon before that does not say.
    agent: str = ""
    agent_before: str = ""
    #: How many of those counted are forwarders of lines, which are no programs of the job file's.
    forwarders: int = 0
    #: Of a start: which may run now, as a selection has them, the first where there are many; and how many of those meant are not
    #: counted, as they ran already or were being started.
    which: str = ""
    running: int = 0
    #: Of a stop: how many running programs it ends, as `UnconfirmedProblem.stops` asks about them; null: a daemon before does not
    #: say.
    ends: Optional[int] = None


class OrderRequest(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """POST /v1/order -> `OrderAnswer`: something that executors are asked for while they run (`contract.OperatorCommand`)."""

    select: list[str]
    kind: str
    #: The action's or the check's name.
    name: str = ""
    #: When a snooze ends, in seconds since the epoch.
    until: float = 0.0
    message: str = ""
    #: Empty: a new order. Another's: that one again, in case that it was lost; who has it already does nothing.
    id: str = ""
    #: As of `ApplyRequest`.
    stops: Optional[int] = None


class OrderAnswer(msgspec.Struct):
    """What the order is called in `Report.done`, and whom it went to."""

    id: str
    #: ``(job, host)`` of those that it went to.
    accepted: list[tuple[str, str]] = []
    #: ``(job, host, why)`` of those that it could not be given to: ``does not run``.
    rejected: list[tuple[str, str, str]] = []
    #: As the two above were called in 0.1: commands of then ask for them, daemons of then say only these.
    told: Optional[list[tuple[str, str]]] = None
    untold: Optional[list[tuple[str, str, str]]] = None

    def __post_init__(self) -> None:
        self.accepted, self.rejected = self.accepted or self.told or [], self.rejected or self.untold or []
        self.told, self.untold = self.accepted, self.rejected
