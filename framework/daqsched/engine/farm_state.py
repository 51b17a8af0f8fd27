"""All that the engine knows: the instances and their indexes, what people and the master said, what this step has led to so far.

Fields alone: who changes them and how they stay true to one another is in `farm`, and in what works on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Callable, Optional

import msgspec

from daqsched.confirm import EndLimit
from daqsched.control import Control
from daqsched.engine import events
from daqsched.engine.commands import Command, Revision
from daqsched.engine.demand import ByHost, Demand
from daqsched.engine.desired_spec import DesiredSpec
from daqsched.engine.durations import MeasuredDurations
from daqsched.engine.incidents import Incidents
from daqsched.engine.instance import Instance, Key, Reminders
from daqsched.engine.namesakes import Namesakes
from daqsched.engine.preflight_state import PreflightState
from daqsched.engine.reconciling_state import ReconcilingState
from daqsched.engine.resources import Attributes
from daqsched.engine.rollout_state import RolloutState
from daqsched.engine.start_order import StartOrder
from daqsched.engine.starts import StartsUnderWay
from daqsched.engine.stop_order import StopOrder
from daqsched.engine.superseded import Superseded
from daqsched.logbook import LogbookEntry
from daqsched.proposals import Proposals
from daqsched.rights.tokens import Credentials
from daqsched.rollout import RolloutOutcome
from daqsched.saved_choices import SavedChoices
from daqsched.spec import EMPTY, Spec
from daqsched.task import Aside, Hold, Owned


class ApplyCounts(msgspec.Struct, frozen=True):
    """What an apply came to, see `verdict.Accepted`."""

    stops: int = 0
    restarts: int = 0
    starts: int = 0


class ApplyEffects(msgspec.Struct):
    """What is kept of applies (`effects`)."""

    #: By revision, the oldest first.
    counts: dict[int, ApplyCounts] = {}
    #: By job: the last revisions that changed it, the newest last, each with its time.
    changed: dict[str, list[tuple[int, float]]] = {}

    def last_of(self, job: str, until: int) -> int:
        """The last revision that changed the job, of those up to this one; 0: nobody knows."""
        return max((number for number, _ in self.changed.get(job, ()) if number <= until), default=0)


class FarmState:
    """See the module. ``new_id`` gives a fresh suffix for a task id; ``complete`` adds to a spec what is not the crew's."""

    def __init__(self, new_id: Callable[[], str], complete: Callable[[Spec], Spec] = lambda spec: spec) -> None:
        self.new_id = new_id
        self.complete = complete
        self.revision: Optional[Revision] = None
        #: What is desired, completed.
        self.desired = DesiredSpec(EMPTY)
        #: How many programs a request ends unasked, where the spec does not say.
        self.end_limit = EndLimit()
        #: The account of jobs that name none.
        self.account = ""
        self.framework_id = ""
        self.master = ""
        self.connected = False
        #: When anything was last handled; 0: nothing was yet. And when this daemon handled the first.
        self.last = self.began = 0.0
        #: When the master last took us (again); -inf: it has not yet.
        self.registered_at = float("-inf")
        #: Grows with every change that a viewer could see.
        self.version = 0
        self.instances: dict[Key, Instance] = {}
        self.by_task: dict[str, Instance] = {}
        #: Instances that could start now.
        self.waiting: ByHost[Instance] = ByHost()
        #: Instances whose task nobody can confirm.
        self.lost: ByHost[Instance] = ByHost()
        #: Instances on machines that were found by their attributes.
        self.found: ByHost[Instance] = ByHost()
        #: Which jobs come before which.
        self.order = StartOrder()
        #: Which machine starts how many at once.
        self.starts = StartsUnderWay()
        #: Those whose tasks are to end, in order.
        self.ends = StopOrder()
        #: What executors are told until they confirm it.
        self.reminders: dict[Key, Reminders] = {}
        #: job -> hosts where it is not (yet) as the spec in force says: behind, or left out.
        self.mixed: dict[str, dict[str, None]] = {}
        self.left_out: dict[Key, None] = {}
        #: The change that is on its way batch by batch, or the last one that was.
        self.rolling = RolloutState()
        self.superseded = Superseded()
        #: revision -> how its rollout ended, the oldest first.
        self.outcomes: dict[int, RolloutOutcome] = {}
        self.effects = ApplyEffects()
        #: Hosts that someone set aside, and until when the first of them is.
        self.aside: dict[str, Aside] = {}
        #: What was stopped by hand and is not in the farm now: it stays stopped when it comes back.
        self.holds: dict[Key, Hold] = {}
        #: What waits for a first start by hand and had it before it left the farm: a rollback brings it back as it was.
        self.started: dict[Key, None] = {}
        #: Of which part of the farm a revision was; one of none is not there.
        self.parts: dict[int, str] = {}
        #: The oldest first.
        self.logbook: list[LogbookEntry] = []
        self.credentials = Credentials()
        #: Of requests that have a key: which were done when (`repeats`).
        self.done_keys: dict[str, float] = {}
        #: What shifters may set, the latest last.
        self.choices: tuple[SavedChoices, ...] = ()
        #: Who is in control of what, by part; None: of the farm.
        self.controls: dict[Optional[str], Control] = {}
        self.proposals = Proposals()
        #: Since when each job has its owner and its part, and those that are gone had theirs; replaced, never changed.
        self.owned: Mapping[str, Owned] = {}
        self.durations = MeasuredDurations()
        self.incidents = Incidents()
        self.demand = Demand()
        #: It was said that agents take the word of anybody for an executor's.
        self.said_unauthenticated = False
        self.preflights = PreflightState()
        #: (when, key): look at this instance then.
        self.timers: list[tuple[float, Key]] = []
        #: When each host last made an offer, and what it has.
        self.seen: dict[str, float] = {}
        self.machines: dict[str, Attributes] = {}
        #: Those that the master's maintenance schedule has: from and until, as of their last offer.
        self.away: dict[str, tuple[float, float]] = {}
        #: Which agent has a host's name.
        self.namesakes = Namesakes()
        self.reconciling = ReconcilingState()
        #: Events that follow from this step.
        self.then: list[events.Event] = []
        #: What could not be taken over from the last daemon, a sentence each.
        self.troubles: list[str] = []
        #: What this step has led to so far: commands, and instances whose record is to be saved.
        self.out: list[Command] = []
        self.dirty: dict[Key, None] = {}
        #: Those whose state may have changed in this step, each with what did it; and of those that are gone the last state.
        self.touched: dict[Key, str] = {}
        self.gone: dict[Key, str] = {}
        #: Who asks for what is done now, as `Control.known_as`; empty: nobody does.
        self.asker: tuple[str, ...] = ()
        #: What is done now is done for this.
        self.cause = ""
