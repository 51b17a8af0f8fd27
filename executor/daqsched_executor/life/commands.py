"""What an executor's core wants of its shell, in the imperative: see `events`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Union

from daqsched_executor.contract import Check, Findings, Payload, Report


@dataclass(frozen=True)
class Claim:
    """Take the instance's lock and end what a dead executor left behind; answers `Claimed` or `Occupied`."""

    payload: Payload


@dataclass(frozen=True)
class Spawn:
    """Fork a child that checks the paths and becomes the program; answers `Spawned` or `StartFailed`."""

    payload: Payload


@dataclass(frozen=True)
class Look:
    """Fork a child that does what `Spawn`'s does, but for exec; answers `LookReached` and one `LookEnded`."""

    look: int
    payload: Payload


@dataclass(frozen=True)
class LeaveLook:
    """SIGKILL to the child of this look; nothing is heard of it any more."""

    look: int


@dataclass(frozen=True)
class Signal:
    """Send the signal to the program's process group and to what left the group."""

    name: str


@dataclass(frozen=True)
class KillTree:
    """SIGKILL to the program and everything it began."""


@dataclass(frozen=True)
class RunSideCommand:
    """Run a command beside the program; answers `SideCommandEnded`. There is one at a time with the same key."""

    key: str
    argv: tuple[str, ...]
    timeout_s: float
    #: Whether what it prints goes to executor.log.
    aloud: bool = False


@dataclass(frozen=True)
class EndSideCommand:
    """End what runs under this key, if anything does; answers `SideCommandEnded` all the same."""

    key: str


@dataclass(frozen=True)
class Ask:
    """Begin to see whether a check passes; answers one `Answered` with the same two numbers.

    Where a sign of life is looked for, it passes if there was one since it was asked last, or from ``since`` (seconds
    since the epoch) on.
    """

    #: The check's place in `Payload.checks`.
    number: int
    #: Which of its runs this is.
    ask: int
    check: Check
    since: float = 0.0


@dataclass(frozen=True)
class EndAsk:
    """Give up what `Ask` began, and all that it began; nothing is heard of it any more."""

    number: int


@dataclass(frozen=True)
class Obey:
    """Go by this payload's checks, lock, labels and forwarding from now on. Of ``checks``, where they are others: what was asked
    before is given up."""

    payload: Payload
    checks: bool = True


@dataclass(frozen=True)
class Tell:
    """Send a status update; the latest wins where several wait, but a final one is never replaced.

    ``wait_s``: so long it waits for one that says more.
    """

    task_state: str
    report: Report | Findings
    message: str
    final: bool = False
    wait_s: float = 0.0


@dataclass(frozen=True)
class Say:
    """Write one line to executor.log."""

    sentence: str


@dataclass(frozen=True)
class Leave:
    """End the executor."""


Command = Union[
    Claim, Spawn, Look, LeaveLook, Signal, KillTree, RunSideCommand, EndSideCommand, Ask, EndAsk, Obey, Tell, Say, Leave,
]  # fmt: skip
