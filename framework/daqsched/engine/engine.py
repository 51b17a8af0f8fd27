"""`Engine`: which event goes where, and what a step comes to in the end."""

from __future__ import annotations

import heapq
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
    events,
    hold_steps,
    invariants,
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
)
from daqsched.engine.changes import GONE, MOST_WORDS, MOVES, TELLING, Changed, Stories
from daqsched.engine.commands import (
    ASIDE,
    BATCHES,
    BEFORE,
    CHOICES,
    CONTROL,
    CREDENTIALS,
    DURATIONS,
    HOLDS,
    KEYS,
    LOGBOOK,
    NAMES,
    OUTCOMES,
    PARTS,
    PROPOSALS,
    ROLLOUT,
    STARTED,
    Command,
    Revision,
)
from daqsched.engine.durations import MeasuredDuration, MeasuredDurations
from daqsched.engine.farm import ASK_S, CONFIRM_S, SILENCE_S, Farm, patience
from daqsched.engine.instance import Instance, Key
from daqsched.engine.shown import Shown, keep_since, reason_of, state_of
from daqsched.engine.stop_order import LONGEST_S
from daqsched.engine.tense import Tense
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
        """As `Farm`; ``illegal`` is told of a move that there is none (`changes.MOVES`), with its story; default: the log is."""
        super().__init__(new_id, complete)
        self._illegal = illegal if illegal is not None else self.note
        #: How many such moves there were.
        self.illegal_moves = 0
        self._said_illegal: set[tuple[str, str]] = set()
        self.stories = Stories()
        #: What people last saw, until the first step; None: nobody knows.
        self._recalled: Optional[dict[Key, str]] = None

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
        logbook_steps.restored(self, document(LOGBOOK))
        credential_steps.restored(self, document(CREDENTIALS))
        repeats.restored(self, document(KEYS))
        choice_steps.restored(self, document(CHOICES))
        control_steps.restored(self, document(CONTROL))
        proposal_steps.restored(self, document(PROPOSALS))
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
            report = record.task.report if record.task is not None else record.last_report
            # without a task: what a stop or a change ended is no death
            alone = record.task is not None or record.failures > 0 or (bool(record.done) and not record.succeeded)
            if report is not None and report.last_exit is not None and alone:
                self.died(instance, report.last_exit, report.last_exit.at)

    def document(self, name: str) -> Optional[bytes]:
        """What `commands.SaveDocument` is to save; None: forget it."""
        return documents.encoded(self, name)

    def recall(self, states: dict[Key, str]) -> None:
        """After `restore`: what people last saw. What the first step finds otherwise has changed, for `causes.RESTART`; without
        this, nothing is known to have."""
        self._recalled = states

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
            clock_shifts.read_back(self, now)
            found = self._begin(now)
        elif now < self.last - clock_shifts.TOLERANCE_S:
            clock_shifts.set_back(self, self.last - now)
        else:
            now = max(now, self.last)  # what was over is not under way again for an uneven clock
        self.last = now
        self.then = []
        verdict = self._answer(event, now, grants, terms)
        rollout_steps.step(self, now)
        while self.then:
            following = self.then.pop(0)  # of our own making: it is never refused
            self.cause = causes.of(following, self)
            _HANDLERS[type(following)](self, following, now)
            rollout_steps.step(self, now)
        self.kill_due(now)
        if self.connected:
            wish = self.demand.ask(*self.wants_offers, now)
            if wish is not None:
                self.out.append(wish)
        found += self._changes(now)  # before the commands are told: a move that there is not is a note among them
        if self.dirty or self.out:
            self.version += 1
        saves: list[Command] = [commands.SaveRecords(tuple(self.dirty))] if self.dirty else []
        return Step(saves + self.out, verdict, tuple(found))

    def _answer(self, event: events.Event, now: float, grants: Optional[Grants], terms: repeats.Terms) -> Verdict:
        try:
            permission.ensure(self, event, grants)
            repeats.ensure(self, terms, now)
            control_steps.ensure(self, event, grants, now)
            accepted = _HANDLERS[type(event)](self, event, now) or Accepted()
            repeats.done(self, terms, now)
            return accepted
        except DaqschedError as error:
            return error.with_traceback(None)  # which would hold what the handler had in its hands

    def _begin(self, now: float) -> list[Changed]:
        """The states as they are found, and what of that is not as it was last seen: any may have come of any."""
        last, self._recalled = self._recalled, None
        found = []
        for key, instance in self.instances.items():
            after = instance.shown = state_of(self, instance, now)
            before = last.pop(key, GONE) if last is not None else after
            if after != before:
                found.append(self._changed(instance, before, after, causes.RESTART, now))
        gone = last.items() if last is not None else ()
        found += [Changed(key, before, GONE, "", causes.RESTART, now) for key, before in gone if before != GONE]
        self.stories.note(found)
        return found

    def _changed(self, instance: Instance, before: str, after: Shown, cause: str, now: float) -> Changed:
        # of what goes as it should the state says all, and there may be as many as tasks
        reason = reason_of(self, instance, after, Tense(now, kept=True))[:MOST_WORDS] if after in TELLING else ""
        return Changed(instance.key, before, after, reason, cause, now)

    def _changes(self, now: float) -> tuple[Changed, ...]:
        """What people see now of those that this step has touched, against what they saw before."""
        found = []
        for key, cause in self.touched.items():
            instance = self.instances.get(key)
            before = self.gone.get(key, GONE if instance is None else instance.shown)
            if instance is None:
                if before != GONE:
                    found.append(Changed(key, before, GONE, "", cause, now))
                continue
            after = state_of(self, instance, now)
            if after != instance.shown:
                keep_since(self, instance, after, now)
                instance.shown = after
            if after != before:
                found.append(self._changed(instance, before, after, cause, now))
        if not found:
            return ()
        self._look_for_illegal(found)
        self.stories.note(found)
        return tuple(found)

    def _look_for_illegal(self, changes: Iterable[Changed]) -> None:
        """A move that is none is a bug of ours: said with the story, once for each kind, and the farm is kept running."""
        for change in changes:
            if change.after in MOVES[change.before]:
                continue
            self.illegal_moves += 1
            if (change.before, change.after) in self._said_illegal:
                continue
            self._said_illegal.add((change.before, change.after))
            story = [f"{_move(one)} by {one.cause}" for one in self.stories.of(change.key)]
            self._illegal(
                f"{change.key[0]}@{change.key[1]}: {_move(change)} by {change.cause} is an illegal transition: a bug, please "
                f"report it; before: {'; '.join(story) or 'nothing'}"
            )

    def check(self) -> None:
        """Raise AssertionError where the indexes and the instances do not agree."""
        invariants.check(self)

    def next_tick(self, now: float) -> float:
        """When `Ticked` is due next, at the latest."""
        if now < self.last - clock_shifts.TOLERANCE_S:
            return now  # the clock was set back
        if self._recalled is not None:
            return now  # what has changed meanwhile is told at once
        at = min(
            self.reconcile_at,
            self.confirm_at,
            self.doubt_at,
            self.preflights.due(),
            self.rolling.due,
            leases.due(self),
            control_steps.due(self),
            proposal_steps.due(self),
        )
        if self.timers:
            at = min(at, self.timers[0][0])
        if self.connected:
            at = min(at, self.namesakes.due)
        if self.connected and any(self.wants_offers):
            at = min(at, self.demand.due(*self.wants_offers))
        return at


def _registered(farm: Farm, event: events.Registered, now: float) -> None:
    farm.connected, farm.master, farm.registered_at = True, event.master, now
    farm.demand.registered(*farm.wants_offers)
    if event.framework_id != farm.framework_id:
        farm.framework_id = event.framework_id
        farm.out.append(commands.SaveFrameworkId(event.framework_id))
    farm.note(f"registered with {event.master} as {event.framework_id}")
    reconciling.all_tasks(farm, now)
    farm.confirm_at, farm.confirm_gap, farm.doubt_at = now + CONFIRM_S, CONFIRM_S, now + SILENCE_S
    for instance in farm.by_task.values():
        if instance.shown == "UNKNOWN":
            farm.touch(instance.key)
        if instance.task.killed:
            farm.out.append(commands.Kill(instance.task.id, instance.task.agent_id))


def _disconnected(farm: Farm, event: events.Disconnected, now: float) -> None:
    if farm.connected:
        farm.note(f"lost the connection to {farm.master}; running jobs go on")
    farm.connected = False
    farm.reconcile_at = farm.confirm_at = float("inf")


def _ticked(farm: Farm, event: events.Ticked, now: float) -> None:
    preflight_steps.ticked(farm, now)
    leases.ticked(farm, now)
    control_steps.ticked(farm, now)
    proposal_steps.ticked(farm, now)
    namesake_steps.ticked(farm, now)
    if now >= farm.reconcile_at:
        reconciling.some_tasks(farm, now)
    if now >= farm.confirm_at:
        reconciling.silent_tasks(farm, now)
    if now >= farm.doubt_at:
        farm.doubt_at = float("inf")
        for one in farm.by_task.values():
            if one.task.confirmed < farm.registered_at:
                farm.touched[one.key] = "no message from the master"
    asked = []
    while farm.timers and farm.timers[0][0] <= now:
        _, key = heapq.heappop(farm.timers)
        instance = farm.instances.get(key)
        if instance is None:
            continue
        task = instance.record.task
        farm.touch(key)
        farm.file_start(instance, now)
        if task is None:
            farm.settle(instance, now)
        elif task.killed and now >= task.killed + patience(instance):
            task.killed = now
            farm.out.append(commands.Kill(task.id, task.agent_id))
            farm.arm(now + patience(instance), instance)
        elif instance.ending and not task.killed:
            farm.ends.look(instance)
            farm.arm(now + LONGEST_S, instance)
        elif task.state == "launching" and now >= task.launched + ASK_S:
            asked.append((task.id, task.agent_id))
            farm.arm(now + ASK_S, instance)
        else:
            if task.report is not None and task.report.snoozed > now:
                farm.arm(task.report.snoozed, instance)  # the clock was set back, or the timer came early
            operator_commands.tell_hold(farm, instance, now)
            operator_commands.tell_rules(farm, instance, now)
    if asked and farm.connected:
        farm.out.append(commands.Reconcile(tuple(asked)))


def _move(change: Changed) -> str:
    return f"{change.before or 'none'} to {change.after or 'none'}"


def _spec_of(revision: Optional[Revision]) -> Spec:
    return revision.spec if revision is not None else EMPTY


#: Each returns what came of an event that somebody asked for, or raises why it was refused.
_HANDLERS: dict[type, Callable[..., Optional[Accepted]]] = {
    events.Registered: _registered,
    events.Disconnected: _disconnected,
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
    events.Ticked: _ticked,
}
