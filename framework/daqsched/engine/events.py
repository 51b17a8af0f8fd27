"""What happened: the only things that change the engine. Past tense; times come beside them, never inside a clock call."""

from __future__ import annotations

from typing import Literal, Mapping, Optional, Union

import msgspec

from daqsched.choices import ChoiceSet
from daqsched.engine.resources import Offer
from daqsched.merge import Scope
from daqsched.preflight import Question
from daqsched.rights.tokens import Token
from daqsched.rollout import ONE_BY_ONE, Strategy
from daqsched.spec import Spec
from daqsched_executor.contract import OperatorCommand


class Registered(msgspec.Struct, frozen=True, tag=True):
    """The master knows us (again)."""

    framework_id: str
    master: str


class Disconnected(msgspec.Struct, frozen=True, tag=True):
    """No master is listening; nothing can be launched or killed until `Registered`."""


class Rejected(msgspec.Struct, frozen=True, tag=True):
    """The master does not want this framework any more: the daemon ends, its state stays. The engine is never told, and has no
    handler for it (`Daemon._work`)."""

    why: str


class OffersArrived(msgspec.Struct, frozen=True, tag=True):
    """Agents have something to give."""

    offers: tuple[Offer, ...]


class TaskReported(msgspec.Struct, frozen=True, tag=True):
    """Somebody (executor, agent, master) said something of a task; ``uuid`` is set where it wants an answer."""

    task_id: str
    agent_id: str
    state: str
    message: str = ""
    #: Mesos' reason, e.g. REASON_RECONCILIATION.
    reason: str = ""
    #: Whether the executor itself says so; masters and agents repeat states, but know nothing of the program.
    by_executor: bool = False
    #: `Report` as JSON, where the executor speaks.
    data: bytes = b""
    uuid: str = ""
    #: Which executor speaks, as its agent knows it; empty: not told.
    executor_id: str = ""


class LaunchRefused(msgspec.Struct, frozen=True, tag=True):
    """The launch did not leave this machine: none of these tasks exists."""

    task_ids: tuple[str, ...]
    why: str


class JobsApplied(msgspec.Struct, frozen=True, tag=True):
    """A crew wants this farm from now on."""

    spec: Spec
    user: str
    message: str = ""
    #: How it goes over the farm; None: as the spec says, all at once where it does not.
    strategy: Optional[Strategy] = None
    #: Words as in `daqsched.select`: only these are changed, all else stays as it is. Empty: everything.
    only: tuple[str, ...] = ()
    #: Only if the spec in force has this digest; empty: whatever is in force.
    base: str = ""
    #: A spec without a job stops the whole farm: it must be meant.
    allow_empty: bool = False
    #: Only these jobs, by name; None: as ``only`` says.
    jobs: Optional[frozenset[str]] = None
    #: So many running programs may end at once for it; None: as `Farm.end_limit` says.
    stops: Optional[int] = None
    #: Words that select jobs of other parts of the farm, which become the file's.
    take: tuple[str, ...] = ()
    #: The spec is the farm, and not the file of a part.
    everyones: bool = False
    #: It goes back to what was: what waits for a first start by hand, and had it before it left the farm, needs no other one.
    back: bool = False
    #: By part, what shifters may set from now on, of the part that it is about or, of ``everyones``, of all; None: as before.
    choices: Optional[Mapping[str, ChoiceSet]] = None
    #: As of `ControlTaken`, where the engine asks for it in somebody's name.
    known_as: tuple[str, ...] = ()

    @property
    def scope(self) -> Scope:
        """What of the farm it is about."""
        return Scope(self.only, self.jobs, self.take, self.everyones)


class VariablesSet(msgspec.Struct, frozen=True, tag=True):
    """Somebody wants one of the choices that whoever applied a part's file has left to shifters."""

    part: str
    #: By name; all others stay as they are.
    settings: dict[str, str]
    user: str
    message: str = ""
    #: As of `JobsApplied`.
    base: str = ""
    stops: Optional[int] = None


class RestartAsked(msgspec.Struct, frozen=True, tag=True):
    """Someone wants these (job, host) to run anew, batch by batch."""

    keys: tuple[tuple[str, str], ...]
    user: str
    message: str = ""
    strategy: Strategy = ONE_BY_ONE
    #: So many running programs may end at once for it; None: as `Farm.end_limit` says.
    stops: Optional[int] = None


class RolloutSteered(msgspec.Struct, frozen=True, tag=True):
    """Someone pauses, resumes, aborts or rolls back the rollout that is under way."""

    what: Literal["pause", "resume", "abort", "rollback"]
    user: str
    message: str = ""
    #: So many running programs may end at once for it; None: as `Farm.end_limit` says.
    stops: Optional[int] = None


class GuardAnswered(msgspec.Struct, frozen=True, tag=True):
    """A rollout's guard said yes or no to a batch, or could not be asked."""

    rollout: int
    batch: int
    yes: bool
    words: str = ""


class PutAside(msgspec.Struct, frozen=True, tag=True):
    """Someone takes these hosts out of the farm for a while: their jobs end and stay away until then."""

    hosts: tuple[str, ...]
    user: str
    until: float
    message: str = ""
    #: So many running programs may end at once for it; None: as `Farm.end_limit` says.
    stops: Optional[int] = None
    #: Also those that others have set aside.
    everyones: bool = False


class AgentChosen(msgspec.Struct, frozen=True, tag=True):
    """Someone says which of the agents that call themselves so is the host; ``agent`` is its id or place, empty: the other
    one, where nobody has said so before."""

    host: str
    user: str
    agent: str = ""
    message: str = ""
    #: As of `JobsApplied`.
    stops: Optional[int] = None


class Borrowed(msgspec.Struct, frozen=True, tag=True):
    """Someone runs one job by hand on a host that is set aside; ``argv`` is its command, empty: the job's own."""

    job: str
    host: str
    user: str
    argv: tuple[str, ...] = ()
    #: As of `ControlTaken`.
    known_as: tuple[str, ...] = ()


class BorrowEnded(msgspec.Struct, frozen=True, tag=True):
    """Who ran it has had enough."""

    job: str
    host: str
    user: str
    #: So many running programs may end at once for it; None: as `Farm.end_limit` says.
    stops: Optional[int] = None


class Returned(msgspec.Struct, frozen=True, tag=True):
    """Someone gives these hosts back before their time: what runs there by hand ends."""

    hosts: tuple[str, ...]
    user: str
    #: So many running programs may end at once for it; None: as `Farm.end_limit` says.
    stops: Optional[int] = None
    #: As of `PutAside`.
    everyones: bool = False


class Held(msgspec.Struct, frozen=True, tag=True):
    """Someone stopped these (job, host) by hand; with ``spares`` they run on, and are not started again."""

    keys: tuple[tuple[str, str], ...]
    user: str
    message: str = ""
    #: So many running programs may end at once for it; None: as `Farm.end_limit` says.
    stops: Optional[int] = None
    spares: bool = False


class Released(msgspec.Struct, frozen=True, tag=True):
    """Someone lets these (job, host) run again, at once, whatever their back-off was."""

    keys: tuple[tuple[str, str], ...]
    user: str
    #: Also what others have stopped.
    everyones: bool = False
    #: Without waiting for the end of what they replace.
    anyway: bool = False
    #: Those of them whose job nobody named (``*``, ``@hlt02``): what waits for its first start by hand goes on waiting.
    unnamed: tuple[tuple[str, str], ...] = ()


class NoteWritten(msgspec.Struct, frozen=True, tag=True):
    """Someone has something to say to whoever reads the logbook."""

    user: str
    message: str


class TokenMade(msgspec.Struct, frozen=True, tag=True):
    """Someone gives a person or a program a way in over the network."""

    token: Token


class TokenRevoked(msgspec.Struct, frozen=True, tag=True):
    """Someone takes it away."""

    name: str
    user: str


class SessionKeyMade(msgspec.Struct, frozen=True, tag=True):
    """The farm's first daemon with a web port has made up what signs sessions."""

    key: bytes


class LoggedOut(msgspec.Struct, frozen=True, tag=True):
    """A session is not to count any more, until when it would have ended."""

    session: str
    user: str
    until: float


class ControlTaken(msgspec.Struct, frozen=True, tag=True):
    """Someone wants that nobody else changes jobs of the farm, or (by name) of a part, for so long."""

    part: Optional[str]
    user: str
    #: As of `control.Control`.
    known_as: tuple[str, ...]
    for_s: float
    message: str = ""
    #: Also where somebody else is in control.
    force: bool = False


class ControlGiven(msgspec.Struct, frozen=True, tag=True):
    """Who is in control has had enough, or lets somebody else be it."""

    part: Optional[str]
    user: str
    known_as: tuple[str, ...]
    #: To whom; empty: to nobody.
    to: str = ""
    to_known_as: tuple[str, ...] = ()
    message: str = ""


class ProposalMade(msgspec.Struct, frozen=True, tag=True):
    """Someone who may not apply says what is to be applied."""

    spec: Spec
    user: str
    #: As of `control.Control`.
    known_as: tuple[str, ...]
    message: str = ""
    #: As of `JobsApplied`, all.
    strategy: Optional[Strategy] = None
    only: tuple[str, ...] = ()
    take: tuple[str, ...] = ()
    allow_empty: bool = False
    #: The spec's; empty: it is not known yet.
    digest: str = ""


class ProposalApproved(msgspec.Struct, frozen=True, tag=True):
    """Someone who may apply it does, for the state of the farm that he has seen its plan against."""

    number: int
    user: str
    #: Of the proposal's spec, and of the one in force.
    digest: str
    base: str
    message: str = ""
    #: Instead of that which it was proposed with.
    strategy: Optional[Strategy] = None
    #: As of `JobsApplied`.
    stops: Optional[int] = None


class ProposalClosed(msgspec.Struct, frozen=True, tag=True):
    """It is not to be applied: somebody says no, or takes his own back."""

    number: int
    user: str
    known_as: tuple[str, ...]
    outcome: Literal["rejected", "withdrawn"]
    message: str = ""


class PreflightAsked(msgspec.Struct, frozen=True, tag=True):
    """Someone wants to know whether these hosts could start these jobs, within ``patience_s``."""

    id: str
    user: str
    questions: dict[str, tuple[Question, ...]]
    patience_s: float
    #: `daqsched.preflight.not_asked`.
    not_asked: dict[str, str] = {}
    #: Those of them that no agent is registered of: nobody would answer.
    absent: frozenset[str] = frozenset()
    #: As `Control.known_as`, of who asks.
    known_as: tuple[str, ...] = ()
    #: So much longer for hosts that a survey was sent to by then: one that looks at a mount which hangs says so after a while.
    grace_s: float = 0.0


class OperatorCommanded(msgspec.Struct, frozen=True, tag=True):
    """Someone asks something of the executors of these (job, host)."""

    keys: tuple[tuple[str, str], ...]
    order: OperatorCommand
    #: So many running programs may end at once for it; None: as `Farm.end_limit` says.
    stops: Optional[int] = None


class Ticked(msgspec.Struct, frozen=True, tag=True):
    """Time passed; `Engine.next_tick` says when this is due."""


Event = Union[
    Registered,
    Disconnected,
    Rejected,
    OffersArrived,
    TaskReported,
    LaunchRefused,
    JobsApplied,
    NoteWritten,
    RestartAsked,
    RolloutSteered,
    GuardAnswered,
    PutAside,
    Returned,
    AgentChosen,
    Borrowed,
    BorrowEnded,
    Held,
    Released,
    OperatorCommanded,
    Ticked,
    PreflightAsked,
    TokenMade,
    TokenRevoked,
    SessionKeyMade,
    LoggedOut,
    VariablesSet,
    ControlTaken,
    ControlGiven,
    ProposalMade,
    ProposalApproved,
    ProposalClosed,
]
