"""What an executor says of its job, and what an operator may ask of it while it runs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Optional

from daqsched_executor.contract.wire import VERSION, ContractError, build, dump, duration, load, slotted

#: What an executor is doing with its program; supervisord's words where they fit.
#: probing: waits for a path (cvmfs) to be readable; starting: with a pid, it runs but is not ready yet;
#: backoff: died, waits until `Report.until`.
ACTIVITIES = ("probing", "starting", "running", "backoff", "stopping", "exited")


#: `Exit.why` of a start that failed before the program ran; the reason is its last line.
NOT_STARTED = "could not be started"

#: How `Exit.why` begins where an operator had it ended, to be started again at once.
BY_HAND = "restarted by "


#: No report is larger, in bytes: what its texts and lines may have at most, several times.
LARGEST = 1 << 20

#: No moment and no number of a report is larger: for a moment, the year 33658.
_FOREVER = 1e12


@slotted
@dataclass(frozen=True)
class Exit:
    """How a run of the program ended. Of ``code`` and ``signal`` one is set; where nobody saw it end neither is, and ``why``."""

    at: float
    ran_s: float
    code: Optional[int] = None
    signal: Optional[str] = None
    core: bool = False
    #: Why we ended it, where we did (a check that failed), or that it could not be started; empty: it ended by itself.
    why: str = ""
    #: The kernel killed it, or a process that it began, for memory: ``limit`` is what it may have (MiB).
    out_of_memory: bool = False
    #: The most memory that it held, or one process that it waited for, in MiB; 0: not known. Never less than what the
    #: executor itself has, some 20 MiB, which it is forked from.
    peak: float = 0.0
    limit: float = 0.0
    #: The last lines that it printed, oldest first, each cut to a readable length; where it could not be started, why.
    lines: tuple[str, ...] = ()
    #: How many processes it left behind, which were killed: more than none after exit code 0, and it went to the background.
    left: int = 0
    #: Whether the program printed these lines; else they are others' words: why it could not be started, or was ended. An executor
    #: before this says so of all.
    printed: bool = True

    @property
    def in_background(self) -> bool:
        """Whether its first process ended well while what it had begun went on."""
        return self.code == 0 and self.left > 0

    @property
    def by_hand(self) -> bool:
        """Whether a person had it ended, to be started again: no death, however it went."""
        return self.why.startswith(BY_HAND)

    def words(self) -> str:
        """``exit code 3 after 2.1 s``, ``killed by SIGSEGV (core dumped) after 2.1 s``, with `why` before it, or
        ``killed by SIGKILL after 3 min: out of memory (512 MiB of 512 MiB)``; of a start that failed only why."""
        if self.why == NOT_STARTED and self.lines:
            return f"{self.why}: {self.lines[-1]}"
        if not self.left:
            return self._end()
        hint = " (does it go to the background? it must stay in the foreground)" if self.in_background else ""
        return f"{self._end()}; {self.left} process{'es' if self.left > 1 else ''} it left behind killed{hint}"

    def _end(self) -> str:
        if self.code is None and self.signal is None:
            return f"{self.why or 'ended'} after {duration(self.ran_s)}"
        why = f"{self.why}: " if self.why else ""
        how = f"exit code {self.code}" if self.signal is None else f"killed by {self.signal}"
        end = f"{why}{how}{' (core dumped)' if self.core else ''} after {duration(self.ran_s)}"
        if not self.out_of_memory:
            return end
        used = f"{self.peak:.0f} MiB of {self.limit:.0f} MiB" if self.peak else f"it may have {self.limit:.0f} MiB"
        return f"{end}: out of memory" + (f" ({used})" if self.limit else "")


@slotted
@dataclass(frozen=True)
class Done:
    """The outcome of an `OperatorCommand` that takes time."""

    #: `OperatorCommand.id`.
    id: str
    #: What was run: the action's name.
    name: str
    at: float
    ok: bool
    #: ``exit code 0 after 1.2 s`` or why it could not be.
    words: str
    #: The last lines that it printed; all of them are in the stream `EXECUTOR`.
    lines: tuple[str, ...] = ()


@slotted
@dataclass(frozen=True)
class Report:
    """What an executor says of its job, in Mesos' ``TaskStatus.data``; its sentence is ``TaskStatus.message``."""

    activity: str
    pid: int = 0
    #: When the present run began; 0 where nothing runs.
    since: float = 0.0
    restarts: int = 0
    #: When the next start is due; 0 where none is waiting.
    until: float = 0.0
    last_exit: Optional[Exit] = None
    #: What the checks say: None where there are none, or none has decided yet.
    healthy: Optional[bool] = None
    #: The check that fails and why, as one sentence; empty: none does.
    ailment: str = ""
    #: What the program last said of itself (STATUS=).
    says: str = ""
    #: What a program that runs goes without, and why: its lines are not forwarded, no lock is held. Empty: nothing.
    lacks: str = ""
    #: Until when the checks lead to nothing; 0: they do.
    snoozed: float = 0.0
    #: The last action that an operator asked for.
    done: Optional[Done] = None
    #: Whether the agent knows its executors by tokens; without them, whoever reaches its port can speak for this one. None: an
    #: executor that does not say.
    authenticated: Optional[bool] = None
    #: Somebody wants the program not started again when it has ended.
    held: bool = False
    #: `Payload.rules` that the executor goes by; empty: it is an older one, which can't be told others.
    rules: str = ""
    #: False: the program ran before and is not as far again, though the task stays TASK_RUNNING. True: Mesos' state says it.
    ready: bool = True
    #: That other labels, and whether lines are forwarded, are among the rules that it goes by; False: an older executor, which
    #: confirms these and does not.
    carries: bool = False
    version: int = VERSION

    def to_json(self) -> bytes:
        """The text that travels as ``TaskStatus.data`` (before Mesos' base64)."""
        return dump(self)

    @classmethod
    def from_json(cls, data: bytes | str) -> Report:
        """Read what `to_json` wrote; raises `ContractError` on anything else."""
        if len(data) > LARGEST:
            raise ContractError(f"the executor's report has {len(data)} bytes, more than {LARGEST}")
        raw = load(data, "the executor's report")
        raw["activity"] = sys.intern(str(raw.get("activity", "")))  # a farm's daemon keeps one for each program
        for name in ("until", "snoozed"):
            if not raw.get(name):
                raw.pop(name, None)  # the class has its own nought, which all share
        raw["last_exit"] = _part(Exit, raw.get("last_exit"), "last_exit")
        raw["done"] = _part(Done, raw.get("done"), "done")
        report = build(cls, raw, "the executor's report")
        _check(report, "the executor's report")
        return report


def _part(kind: type[Any], raw: Any, what: str) -> Any:
    """An `Exit` or a `Done`, where there is one."""
    if raw is None:
        return None
    if not isinstance(raw, dict):
        raise ContractError(f"{what} is not a JSON object")
    part = build(kind, raw, what)
    _check(part, what)
    return part


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and (value.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in value))


#: A field's type as it is written above -> whether a value is of it, and can be saved. JSON's own true is no number here.
_FITS: dict[str, Callable[[Any], bool]] = {
    "str": _is_text,
    "Optional[str]": lambda value: value is None or _is_text(value),
    "bool": lambda value: isinstance(value, bool),
    "Optional[bool]": lambda value: value is None or isinstance(value, bool),
    "int": lambda value: type(value) is int and abs(value) < _FOREVER,
    "Optional[int]": lambda value: value is None or (type(value) is int and abs(value) < _FOREVER),
    "float": lambda value: type(value) in (int, float) and abs(value) < _FOREVER,
    "tuple[str, ...]": lambda value: type(value) is tuple and all(map(_is_text, value)),
}


def _check(value: Any, what: str) -> None:
    """Whoever reads a report computes with it and saves it: an executor that lies must not hurt by more than its words."""
    for name, entry in value.__dataclass_fields__.items():
        fits = _FITS.get(entry.type)
        if fits is not None and not fits(getattr(value, name)):
            raise ContractError(
                f"{what} has a {name} that is not of type {entry.type}: {str(getattr(value, name))[:100]!r}"
            )


HOLD, RELEASE, OBEY = "hold", "release", "obey"
#: What an `OperatorCommand` may ask for. retry: start now, whatever the back-off; snooze and wake: whether checks lead to anything;
#: restart: end the program by its rules and start it again; act: run one of the job's actions.
ORDER_KINDS = ("retry", "snooze", "wake", "restart", "act")
#: And what the engine asks for itself: of a hold that leaves the program alone, whether it is started again once it has ended;
#: obey: go by these rules from now on (`job.RULES`).
COMMAND_KINDS = (*ORDER_KINDS, HOLD, RELEASE, OBEY)


@dataclass(frozen=True)
class OperatorCommand:
    """What an operator wants of a running executor, in Mesos' framework messages. They may be lost: whoever sent one looks
    for what it should lead to in the next report; a second one with the same id changes nothing."""

    id: str
    kind: str
    #: Who wants it, for the sentence in the log.
    user: str
    #: The action's name (act), or the check's (snooze, wake; empty: all).
    name: str = ""
    #: When a snooze ends.
    until: float = 0.0
    message: str = ""
    #: The payload whose rules are meant (obey), as its JSON.
    payload: str = ""
    version: int = VERSION

    def to_json(self) -> bytes:
        """The text that travels as the message's data (before Mesos' base64)."""
        return dump(self)

    @classmethod
    def from_json(cls, data: bytes | str) -> OperatorCommand:
        """Read what `to_json` wrote; raises `ContractError` on anything else."""
        order = build(cls, load(data, "an order"), "an order")
        if order.kind not in COMMAND_KINDS:
            raise ContractError(f"an order of kind {order.kind!r} is unknown here: install the newer one")
        words = (order.id, order.user, order.name, order.message, order.payload)
        if not all(isinstance(word, str) for word in words) or not isinstance(order.until, (int, float)):
            raise ContractError(f"an order has a field of another type: {order}")
        if not abs(order.until) < _FOREVER:  # an infinity, or no number
            raise ContractError(f"an order has no time that can be: {order.until}")
        return order


@dataclass(frozen=True)
class Findings:
    """What a survey found, in the last report's data: probe name -> why it can't start, or an empty text: it can."""

    found: Mapping[str, str]
    version: int = VERSION

    def to_json(self) -> bytes:
        """The text that travels as ``TaskStatus.data`` (before Mesos' base64)."""
        return dump(self)

    @classmethod
    def from_json(cls, data: bytes | str) -> Findings:
        """Read what `to_json` wrote; raises `ContractError` on anything else."""
        findings = build(cls, load(data, "a survey's findings"), "a survey's findings")
        found = findings.found
        if not isinstance(found, dict) or not all(map(_is_text, (*found.keys(), *found.values()))):
            raise ContractError("a survey's findings are not by name")
        return findings
