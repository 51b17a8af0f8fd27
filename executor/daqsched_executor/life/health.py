"""What is known of a running program's checks, as values: one `Pulse` each, together a `Health`; see `checks`."""

from __future__ import annotations

from dataclasses import dataclass

from daqsched_executor.life.commands import EndAsk
from daqsched_executor.life.events import Moment

#: Until it passes for the first time, a check is asked after this, then twice as long, up to its interval: a program
#: that is ready is known to be so soon.
FIRST_ASK_S = 0.2


@dataclass(frozen=True)
class Pulse:
    """How one check stands in the present run of the program. Times are monotonic."""

    #: It passed once.
    passed: bool = False
    #: Failures in a row that count.
    fails: int = 0
    #: Why the last answer was no; empty: it was yes, or there was none.
    problem: str = ""
    #: Why it could not be asked; empty: it could, or nobody tried.
    unasked: str = ""
    #: Too many failures, or too long a silence, as a sentence; empty: well as far as this check knows.
    ailment: str = ""
    #: When it is asked next; None: not before it has answered, or never.
    due: float | None = None
    #: Until when what was asked must be answered; None: nothing was.
    until: float | None = None
    #: The number of what was asked last, when that was, and how long after the one before, while it has not passed.
    ask: int = 0
    begun: float = 0.0
    pause_s: float = FIRST_ASK_S
    #: When the silence will have been too long; None: never, or it has been already.
    silent_at: float | None = None
    #: How long that silence is then.
    silence_s: float = 0.0


@dataclass(frozen=True)
class Snooze:
    """Somebody's wish that a check leads to nothing for a while."""

    until: Moment
    sentence: str


@dataclass(frozen=True)
class Health:
    """What the checks know of the present run; one `Pulse` per check of the payload, in its order."""

    pulses: tuple[Pulse, ...]
    #: What the program says of itself.
    says: str = ""
    #: What was told last, its gist apart, and when: a change of the gist is told at once.
    gist: tuple[tuple[str, ...], ...] = ()
    message: str = ""
    told_at: float = 0.0
    #: There are other words since, to be told when it is time.
    unsaid: bool = False

    @property
    def ready(self) -> bool:
        """Each check has passed once."""
        return all(pulse.passed for pulse in self.pulses)

    @property
    def healthy(self) -> bool | None:
        """`Report.healthy`."""
        return False if self.ailment else True if self.ready else None

    @property
    def ailment(self) -> str:
        """`Report.ailment`."""
        return next((pulse.ailment for pulse in self.pulses if pulse.ailment), "")

    @property
    def ends(self) -> list[EndAsk]:
        """What gives up all that was asked and not answered."""
        return [EndAsk(number) for number, pulse in enumerate(self.pulses) if pulse.until is not None]
