"""The words for checks: how the executor sees whether a program is well. One class for each way to look.

A job may have several. It counts as running once each of its checks has passed; from then on, whichever says that the
program is not well decides: it is restarted under the rules of `Restart`, or only reported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Union

from daqsched.jobfile.convert import convert, words_of
from daqsched.spec import CheckSpec

#: What an unhealthy program leads to: a restart under the rules of `Restart`, or a report only.
Unhealthy = Literal["restart", "notify"]


class Check:
    """Any of the ways to look, see `CHECK_WORDS`."""

    kind: ClassVar[str]
    name: str

    def spec(self) -> CheckSpec:
        """The same as data; raises `JobError` with ``check[NAME].FIELD`` for a value of a wrong type."""
        inside = f"check[{self.name}]."
        values: dict[str, Any] = {"kind": self.kind, **vars(self)}
        if "command" in values:
            values["argv"] = words_of(values.pop("command"), f"{inside}command")
        if isinstance(values.get("port"), str) and "{" not in values["port"]:
            values["port"] = f"{{port:{values['port']}}}"
        return convert(CheckSpec, values, inside)


@dataclass(frozen=True)
class CommandCheck(Check):
    """A command that runs beside the program, with its environment, account and directory, and exits with 0."""

    kind: ClassVar[str] = "command"
    #: Split into words as a shell would, but no shell runs it; or a list of words. Placeholders are filled in.
    command: Union[str, Sequence[str]]
    #: How people call it; unique within the job.
    name: str = "command"
    #: Seconds from the program's start in which failures do not count; the first success ends it.
    grace_s: float = 30.0
    #: Seconds between two runs.
    interval_s: float = 10.0
    #: Seconds that it may take; then it is killed, and that is a failure.
    timeout_s: float = 5.0
    #: After so many failures in a row the program is unhealthy.
    failures: int = 3
    #: ``"restart"`` or ``"notify"``.
    unhealthy: Unhealthy = "restart"


@dataclass(frozen=True)
class TcpCheck(Check):
    """A port that takes connections."""

    kind: ClassVar[str] = "tcp"
    #: A number, or the name of one of the job's ports (`Resources.ports`).
    port: Union[int, str]
    #: Where the executor connects to.
    address: str = "127.0.0.1"
    #: How people call it; unique within the job.
    name: str = "tcp"
    #: Seconds from the program's start in which failures do not count; the first success ends it.
    grace_s: float = 30.0
    #: Seconds between two attempts.
    interval_s: float = 10.0
    #: Seconds that one may take.
    timeout_s: float = 5.0
    #: After so many failures in a row the program is unhealthy.
    failures: int = 3
    #: ``"restart"`` or ``"notify"``.
    unhealthy: Unhealthy = "restart"


@dataclass(frozen=True)
class HttpCheck(Check):
    """GET ``path`` answers with a status from 200 to 399."""

    kind: ClassVar[str] = "http"
    #: Begins with a slash; may have a query. Placeholders are filled in.
    path: str
    #: A number, or the name of one of the job's ports (`Resources.ports`).
    port: Union[int, str]
    #: Where the executor connects to.
    address: str = "127.0.0.1"
    #: How people call it; unique within the job.
    name: str = "http"
    #: Seconds from the program's start in which failures do not count; the first success ends it.
    grace_s: float = 30.0
    #: Seconds between two requests.
    interval_s: float = 10.0
    #: Seconds that the answer may take.
    timeout_s: float = 5.0
    #: After so many failures in a row the program is unhealthy.
    failures: int = 3
    #: ``"restart"`` or ``"notify"``.
    unhealthy: Unhealthy = "restart"


@dataclass(frozen=True)
class OutputCheck(Check):
    """The program prints a line now and then; with ``pattern``, one that it is found in."""

    kind: ClassVar[str] = "output"
    #: Seconds without such a line after which the program is unhealthy.
    silence_s: float
    #: A regular expression (Python's), searched in each line; empty: any line. Braces are its own: no placeholders.
    pattern: str = ""
    #: ``"stdout"`` or ``"stderr"``; empty: both.
    stream: Literal["", "stdout", "stderr"] = ""
    #: How people call it; unique within the job.
    name: str = "output"
    #: Seconds from the program's start in which silence does not count; the first line ends it.
    grace_s: float = 30.0
    #: ``"restart"`` or ``"notify"``.
    unhealthy: Unhealthy = "restart"


@dataclass(frozen=True)
class FileCheck(Check):
    """A file that is written to now and then: its time of change is looked at."""

    kind: ClassVar[str] = "file"
    #: From the program's directory, or absolute. Placeholders are filled in.
    path: str
    #: Seconds without a change after which the program is unhealthy.
    silence_s: float
    #: How people call it; unique within the job.
    name: str = "file"
    #: Seconds from the program's start in which it does not count; the first change ends it.
    grace_s: float = 30.0
    #: Seconds between two looks.
    interval_s: float = 10.0
    #: ``"restart"`` or ``"notify"``.
    unhealthy: Unhealthy = "restart"


@dataclass(frozen=True)
class Heartbeat(Check):
    """The program itself says that it is well, by the protocol of sd_notify(3): READY=1 once, then WATCHDOG=1.

    Whatever runs under systemd with ``Type=notify`` and ``WatchdogSec=`` speaks it already.
    """

    kind: ClassVar[str] = "heartbeat"
    #: Seconds without WATCHDOG=1 after which the program is unhealthy; 0: READY=1 is enough.
    silence_s: float = 0.0
    #: How people call it; unique within the job.
    name: str = "heartbeat"
    #: Seconds from the program's start until READY=1 must have come; it may ask for more (EXTEND_TIMEOUT_USEC).
    grace_s: float = 30.0
    #: ``"restart"`` or ``"notify"``.
    unhealthy: Unhealthy = "restart"


#: The word for each type of `daqsched_executor.contract.CHECK_TYPES`, by the type's name. `daqsched` has them all, for job files.
CHECK_WORDS: dict[str, type[Check]] = {
    word.kind: word for word in (CommandCheck, TcpCheck, HttpCheck, OutputCheck, FileCheck, Heartbeat)
}
