"""`Engine`: which event goes where, and what a step comes to in the end."""

from __future__ import annotations

from typing import Callable, Iterable, Optional

import msgspec

from daqsched.engine import (
    applying,
    causes,
    choice_steps,
    clock_shifts,
    commands,
    control_steps,
    credential_steps,
    documents,
    effects,
    events,
    hold_steps,
    invariants,
    job_owners,
    leases,
    logbook_steps,
    namesake_steps,
    offers,
    operator_commands,
    permission,
    preflight_steps,
    proposal_steps,
    reconciling,
    repeats,
    restoring,
    rollout_requests,
    rollout_restoring,
    rollout_steps,
    tasks,
    time_steps,
)
from daqsched.engine.changes import Changed, Stories
from daqsched.engine.commands import (
    ASIDE,
    BATCHES,
    BEFORE,
    CHOICES,
    CONTROL,
    CREDENTIALS,
    DURATIONS,
    EFFECTS,
    HOLDS,
    KEYS,
    LOGBOOK,
    NAMES,
    OUTCOMES,
    OWNERS,
    PARTS,
    PROPOSALS,
    ROLLOUT,
    STARTED,
    Command,
    Revision,
)
from daqsched.engine.durations import MeasuredDuration, MeasuredDurations
from daqsched.engine.farm import Farm
from daqsched.engine.instance import Key
from daqsched.engine.transitions import Transitions
from daqsched.engine.verdict import Accepted, Step, Verdict
from daqsched.errors import DaqschedError
from daqsched.limits import brief
from daqsched.rights.grants import Grants
from daqsched.spec import EMPTY, Spec
from daqsched.task import Record


class Engine(Farm):
    """See the package. Whoever is not a part of it only reads what `Farm` holds."""

    def __init__(
        self,
        new_id: Callable[[], str],
        complete: Callable[[Spec], Spec] = lambda spec: spec,
        illegal: Optional[Callable[[str], None]] = None,
    ) -> None:
        """As `Farm`; ``illegal`` is told of a transition that is not among `changes.TRANSITIONS`, with its story; else the log."""
        super().__init__(new_id, complete)
        self.stories = Stories()
        self.transitions = Transitions(self, self.stories, illegal if illegal is not None else self.note)

    def restore(
        self,
        framework_id: str,
        revision: Callable[[Optional[int]], Optional[Revision]],
        records: Iterable[tuple[Key, Record]],
        document: Callable[[str], Optional[bytes]],
    ) -> None:
        """Begin where the store says that the last daemon was, before the first event. ``revision`` gives one by its number,
        or the last one; ``document`` one of the `documents`."""
        self.framework_id = framework_id
        leases.restored(self, document(ASIDE))
        try:
            self.namesakes.restored(document(NAMES))
        except ValueError as error:
            self.troubles.append(f"which agents people chose can't be read ({error}): the first to offer has the name")
        restoring.restored(self, revision(None), records, lambda number: _spec_of(revision(number)))
        rollout_restoring.restored(self, document(ROLLOUT), document(BATCHES), document(BEFORE), revision)
        hold_steps.holds_restored(self, document(HOLDS), document(STARTED))
        restoring.parts_restored(self, document(PARTS))
        rollout_restoring.outcomes_restored(self, document(OUTCOMES))
        effects.restored(self, document(EFFECTS))
        logbook_steps.restored(self, document(LOGBOOK))
        credential_steps.restored(self, document(CREDENTIALS))
        repeats.restored(self, document(KEYS))
        choice_steps.restored(self, document(CHOICES))
        control_steps.restored(self, document(CONTROL))
        proposal_steps.restored(self, document(PROPOSALS))
        job_owners.restored(self, document(OWNERS))
        durations = document(DURATIONS)
        if durations is not None:
            try:
                self.durations = MeasuredDurations(msgspec.msgpack.decode(durations, type=dict[str, MeasuredDuration]))
            except (msgspec.MsgspecError, ValueError) as error:
                self.troubles.append(f"how long programs take can't be read ({brief(str(error))}): it is measured anew")
        for instance in self.instances.values():
            record = instance.record
            if record.unread:
                self.troubles.append(
                    f"{instance}: what the state says of it can't be read ({record.unread}); not started"
                )
            report = record.task.report if record.task is not None else None
            if report is None or report.last_exit is None:
                # what a stop or a change ended is no death
                failed = record.failures > 0 or (bool(record.done) and not record.succeeded)
                report = record.last_report if failed else None
            if report is not None and report.last_exit is not None:
                self.note_end(instance, report.last_exit, report.last_exit.at, first=False)

    def document(self, name: str) -> Optional[bytes]:
        """What `commands.SaveDocument` is to save; None: forget it."""
        return documents.encoded(self, name)

    def handle(
        self, event: events.Event, now: float, grants: Optional[Grants] = None, terms: repeats.Terms = repeats.ANYHOW
    ) -> Step:
        """Take in what happened at ``now`` (seconds since the epoch) and return what to do, and what whoever asked is answered.

        ``grants``: what whoever asked may; None: all, as nobody did, or as the farm has no rules. ``terms``: on which it is
        asked for."""
        self.out, self.dirty, self.touched, self.gone = [], {}, {}, {}
        self.cause = causes.of(event, self)
        found: list[Changed] = []
        if not self.last:
            self.began = now
            clock_shifts.read_back(self, now)
            found = self.transitions.first(now)
        elif now < self.last - clock_shifts.TOLERANCE_S:
            clock_shifts.set_back(self, self.last - now)
        else:
            now = max(now, self.last)  # what was over is not under way again for an uneven clock
        self.last = now
        self.then, self.asker = [], control_steps.asker_of(event, grants)
        verdict = self._answer(event, now, grants, terms)
        rollout_steps.step(self, now)
        while self.then:
            following = self.then.pop(0)  # of our own making: it is never refused
            self.cause, self.asker = causes.of(following, self), getattr(following, "known_as", ())
            _HANDLERS[type(following)](self, following, now)
            rollout_steps.step(self, now)
        self.kill_due(now)
        if self.connected:
            wish = self.demand.ask(*self.wants_offers, now)
            if wish is not None:
                self.out.append(wish)
        found += self.transitions.of_step(now)  # before the commands are told: an illegal one is a note among them
        if self.dirty or self.out:
            self.version += 1
        saves: list[Command] = [commands.SaveRecords(tuple(self.dirty))] if self.dirty else []
        return Step(saves + self.out, verdict, tuple(found))

    def _answer(self, event: events.Event, now: float, grants: Optional[Grants], terms: repeats.Terms) -> Verdict:
        try:
            self.ensure_may_ask(event, grants, terms, now)
            accepted = _HANDLERS[type(event)](self, event, now) or Accepted()
            repeats.done(self, terms, now)
            return accepted
        except DaqschedError as error:
            return error.with_traceback(None)  # which would hold what the handler had in its hands

    def ensure_may_ask(self, event: events.Event, grants: Optional[Grants], terms: repeats.Terms, now: float) -> None:
        """Raise `DaqschedError` where it is refused before it is looked at whether it could be done: by the rights, as it was
        done before, or as somebody else is in control. Changes nothing."""
        permission.ensure(self, event, grants)
        repeats.ensure(self, terms, now)
        control_steps.ensure(self, event, grants, now)

    def check(self) -> None:
        """Raise AssertionError where the indexes and the instances do not agree."""
        invariants.check(self)

    def next_tick(self, now: float) -> float:
        """When `Ticked` is due next, at the latest."""
        if now < self.last - clock_shifts.TOLERANCE_S:
            return now  # the clock was set back
        if self.transitions.recalled:
            return now  # what has changed meanwhile is told at once
        return time_steps.due(self)


def _spec_of(revision: Optional[Revision]) -> Spec:
    return revision.spec if revision is not None else EMPTY


#: Each returns what came of an event that somebody asked for, or raises why it was refused.
_HANDLERS: dict[type, Callable[..., Optional[Accepted]]] = {
    events.Registered: reconciling.registered,
    events.Disconnected: reconciling.disconnected,
    events.OffersArrived: offers.arrived,
    events.TaskReported: tasks.reported,
    events.LaunchRefused: offers.launch_refused,
    events.JobsApplied: applying.applied,
    events.VariablesSet: applying.variables_set,
    events.RestartAsked: rollout_requests.restart_asked,
    events.RolloutSteered: rollout_requests.steered,
    events.GuardAnswered: rollout_steps.guard_answered,
    events.PutAside: leases.put_aside,
    events.Returned: leases.returned,
    events.AgentChosen: namesake_steps.chosen,
    events.Borrowed: leases.borrowed,
    events.BorrowEnded: leases.borrow_ended,
    events.Held: hold_steps.held,
    events.NoteWritten: logbook_steps.written,
    events.Released: hold_steps.released,
    events.TokenMade: credential_steps.made,
    events.TokenRevoked: credential_steps.revoked,
    events.SessionKeyMade: credential_steps.key_made,
    events.LoggedOut: credential_steps.logged_out,
    events.ControlTaken: control_steps.taken,
    events.ControlGiven: control_steps.given,
    events.ProposalMade: proposal_steps.made,
    events.ProposalApproved: proposal_steps.approved,
    events.ProposalClosed: proposal_steps.closed,
    events.PreflightAsked: preflight_steps.asked,
    events.OperatorCommanded: operator_commands.given,
    events.Ticked: time_steps.ticked,
}
