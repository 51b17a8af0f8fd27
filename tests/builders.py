"""Values for tests, short to write: jobs, offers, reports, and a fake world that carries an engine's commands out."""

from __future__ import annotations

import itertools
from dataclasses import replace as dataclass_replace
from typing import Any, Callable, Iterable, Optional, TypeVar, cast

from msgspec import convert, to_builtins
from msgspec.msgpack import decode
from msgspec.structs import replace

from daqsched import farm_parts
from daqsched.confirm import EndLimit
from daqsched.engine import commands, confirming, events
from daqsched.engine.changes import GONE, MOST_WORDS, TELLING, Changed, shortened
from daqsched.engine.clock_shifts import TOLERANCE_S
from daqsched.engine.commands import (
    ASIDE,
    BATCHES,
    BEFORE,
    DURATIONS,
    EFFECTS,
    HOLDS,
    NAMES,
    OUTCOMES,
    ROLLOUT,
    STARTED,
    Command,
    Revision,
)
from daqsched.engine.demand import REVIVE_EVERY_S
from daqsched.engine.documents import encode
from daqsched.engine.engine import Engine
from daqsched.engine.namesakes import PROBE
from daqsched.engine.reasons import reason_of
from daqsched.engine.resources import Offer
from daqsched.engine.shown import since_of, state_of
from daqsched.engine.starts import HUNG_S, PER_CORE
from daqsched.engine.stop_order import LONGEST_S
from daqsched.engine.time_format import TimeFormat
from daqsched.engine.verdict import Accepted, Verdict
from daqsched.errors import DaqschedError
from daqsched.rights.grants import Grants
from daqsched.rollout import Strategy
from daqsched.spec import FORWARDER, JobSpec, Spec
from daqsched.states import Shown
from daqsched.task import Record
from daqsched.views import status
from daqsched.views.blocked import BlockedJobs
from daqsched.views.rows import Progress, Row
from daqsched_executor.contract import HOLD, OBEY, RELEASE, RULES, OperatorCommand, Payload, Report

One = TypeVar("One")


def job(name: str = "readout", hosts: str = "hlt01", **fields: Any) -> JobSpec:
    """A job that would run anywhere; without hosts, if ``attributes`` are given."""
    return replace(JobSpec(name=name, argv=("/bin/true",), hosts=(hosts,) if hosts else ()), **fields)


def wrong(value: Any) -> Any:
    """A value where its type does not allow it, as a job file may have it all the same."""
    return value


#: So long do executors live without their agent.
RECOVERY_S = 900.0

#: What a machine of a `World` has free.
PORTS = range(31000, 31004)


def offer(
    host: str = "hlt01",
    id: str = "",
    cpus: float = 8.0,
    mem: float = 8192.0,
    agent: str = "",
    ports: Iterable[int] = PORTS,
    place: str = "",
    **attributes: str,
) -> Offer:
    """What an idle machine gives; ``rack="r1"`` is an attribute."""
    ranges = tuple((number, number) for number in sorted(ports))
    texts = {name: (value,) for name, value in attributes.items()}
    return Offer(
        id or f"offer-{host}",
        agent or f"agent-{host}",
        (host,),
        cpus,
        mem,
        10000.0,
        ports=ranges,
        attributes=texts,
        place=place,
    )


#: What nobody asks for: it happened.
HAPPENED = {
    events.Registered,
    events.Disconnected,
    events.Rejected,
    events.OffersArrived,
    events.TaskReported,
    events.LaunchRefused,
    events.GuardAnswered,
    # who has a session may end it, which its route looks at
    events.SessionKeyMade,
    events.LoggedOut,
    events.Ticked,
}

#: Commands that may come of any step, whatever its event.
TIMELY = (commands.Revive, commands.Suppress)


def _bug(sentence: str) -> None:
    raise AssertionError(sentence)


def _complete(spec: Spec) -> Spec:
    """As the framework does, which adds the forwarder behind all jobs: it goes where they go."""
    jobs = sorted(spec.jobs, key=lambda one: one.name == FORWARDER)
    return spec if jobs == list(spec.jobs) else replace(spec, jobs=tuple(jobs))


class Disk:
    """What a `Store` keeps, as values: everything goes through the encoding that the store uses."""

    def __init__(self) -> None:
        self.framework_id = ""
        self.revisions: dict[int, Revision] = {}
        self.documents: dict[str, bytes] = {}
        self.records: dict[tuple[str, str], dict[str, Any]] = {}

    def save(self, todo: Iterable[Command], engine: Engine) -> None:
        """Perform the saves among the commands."""
        for command in todo:
            if isinstance(command, commands.SaveFrameworkId):
                self.framework_id = command.framework_id
            elif isinstance(command, commands.SaveRevision):
                self.revisions[command.revision.number] = command.revision
            elif isinstance(command, commands.SaveDocument):
                document = engine.document(command.name)
                self.documents.pop(command.name, None)
                if document is not None:
                    self.documents[command.name] = document
            elif isinstance(command, commands.SaveRecords):
                for key in command.keys:
                    record = engine.record(key)
                    self.records.pop(key, None)
                    if record is not None:
                        self.records[key] = to_builtins(record)

    def engine(self, new_id: Callable[[], str]) -> Engine:
        """A new daemon's engine, begun from what is here."""
        made = Engine(new_id, _complete, illegal=_bug)
        records = [(key, convert(raw, Record)) for key, raw in self.records.items()]
        made.restore(self.framework_id, self.revision, records, self.documents.get)
        return made

    def agents(self) -> set[tuple[str, str]]:
        """host, agent: those that something of ours is on, or was last, and those that a person chose."""
        found: set[tuple[str, str]] = set(decode(self.documents.get(NAMES, encode({})), type=dict[str, str]).items())
        for (_, host), raw in self.records.items():
            record = convert(raw, Record)
            found.add((host, record.task.agent_id if record.task is not None else record.agent))
        return found

    def revision(self, number: Optional[int]) -> Optional[Revision]:
        """One by its number, or the last."""
        return self.revisions.get(max(self.revisions, default=0) if number is None else number)


class World:
    """A master and its agents that do at once what they are told, a disk, and the engine under test.

    It checks at every step what must always hold: what is launched or acknowledged was saved before, and no instance
    ever has two tasks that may be alive.
    """

    def __init__(self, hosts: Iterable[str] = ("hlt01",)) -> None:
        #: host -> its agent's attributes.
        self.machines: dict[str, dict[str, str]] = {host: {} for host in hosts}
        #: Its cores, where they are not 8.
        self.cores: dict[str, float] = {}
        #: Hosts whose offer was declined, or used in part: the master keeps quiet of them until they have more or it is asked.
        self.filtered: set[str] = set()
        self.disk = Disk()
        self.now = 1000.0
        self._ids = itertools.count(1)
        self.engine = self.disk.engine(self.new_id)
        #: task id -> agent, what really runs.
        self.tasks: dict[str, str] = {}
        self.payloads: dict[str, Payload] = {}
        #: Tasks that were last said to run.
        self.running: set[str] = set()
        #: Tasks that were told to end; that is repeated.
        self.told: set[str] = set()
        self._suppressed = False
        self.done: list[Command] = []
        #: The states as they follow from all changes, and these.
        self.known: dict[tuple[str, str], str] = {}
        self.changes: list[Changed] = []
        #: By how much the clock was set back in all.
        self.set_back = self._said_at = 0.0
        #: Those that somebody lets start beside what they replace, until they are launched.
        self.anyway: set[tuple[str, str]] = set()
        #: host -> the agent that has its name, by what was launched, what people said, and who is known to be gone.
        self.names: dict[str, str] = {}
        #: Agents of which the master says something else than that they are there.
        self.absent: dict[str, str] = {}
        #: The agents that the master was asked about, and has not answered for.
        self.asked: list[tuple[str, str]] = []
        #: Hosts whose agent's last tasks ended because it did not come back.
        self.departed: set[str] = set()
        #: Since when tasks are cut off from the master: their executors end them when that lasts.
        self.cut: dict[str, float] = {}
        #: What the engine answered last.
        self.verdict: Verdict = Accepted()
        #: By task: the orders that its executor has heard, each with what it says, and whether it is held; and the tasks whose
        #: next order is lost on its way.
        self.heard: dict[str, dict[str, tuple[str, str, str]]] = {}
        self.held: dict[str, bool] = {}
        self.deaf: set[str] = set()
        #: By task: how often its executor started the program again, as it says.
        self.restarts: dict[str, int] = {}
        #: By instance: how often it was started again as people saw it last, of which job, by which task, and whether somebody
        #: has had a say in it since that was launched.
        self.counted: dict[tuple[str, str], tuple[int, object, str, bool]] = {}

    def new_id(self) -> str:
        return f"t{next(self._ids)}"

    def say(self, event: events.Event, perform: bool = True, grants: Optional[Grants] = None) -> list[Command]:
        """Let the engine handle the event, then the world its commands; returns them. ``grants``: of who asks."""
        if isinstance(event, events.TaskReported):
            (self.running.add if event.state == "TASK_RUNNING" else self.running.discard)(event.task_id)
            if event.state in ("TASK_UNREACHABLE", "TASK_UNKNOWN"):
                self.cut.setdefault(event.task_id, self.now)
            else:
                self.cut.pop(event.task_id, None)
        if isinstance(event, events.Released) and event.anyway:
            self.anyway.update(event.keys)
        before = self._all()
        run = {one.key: one.task.id for one in self.engine.instances.values() if confirming.runs(one)}
        parts = {one.key: one.part or "" for one in self.engine.instances.values()}
        spec, usual = self.engine.spec, [self.engine.end_limit]
        back = max(0.0, self._said_at - self.now)
        self.cut = {task: at - back for task, at in self.cut.items()}
        for task, at in list(self.cut.items()):
            if self.now - at > RECOVERY_S:
                gone = self.tasks.pop(task, None)
                self.departed.update(host for host, agent in self.names.items() if agent == gone)
        self.set_back += back
        self._said_at = self.now
        todo, self.verdict, changes = self.engine.handle(event, self.now, grants)
        self.replay(changes)
        if isinstance(self.verdict, DaqschedError):
            # what time alone leads to may happen in any step
            assert self._all() == before and not [one for one in todo if not isinstance(one, TIMELY)], (event, todo)
        ended = self.ended_by(event, run)
        limits = farm_parts.limits(spec, [parts[key] for key in ended]) or usual
        most, agreed = min(limit.most(len(run)) for limit in limits), getattr(event, "stops", None)
        assert len(ended) <= (most if agreed is None else agreed), f"{event} ends {ended}, and nobody agreed to that"
        self.disk.save(todo, self.engine)
        self.check_order(todo)
        self.check_ends(todo)
        self.check_count(event)
        if perform:
            for command in todo:
                self._perform(command)
        self.done += todo
        self.check()
        return todo

    def replay(self, changes: Iterable[Changed]) -> None:
        """What people see follows from what the engine says that changed: no more changes, and no less."""
        for change in changes:
            assert self.known.get(change.key, GONE) == change.before != change.after and change.cause, change
            assert change.reason == self._kept(change), "what is kept depends on when it was made"
            self.known[change.key] = change.after
            if change.after == GONE:
                del self.known[change.key]
        self.changes += changes
        assert {key: one.shown for key, one in self.engine.instances.items()} == self.known
        if self.engine.next_tick(self.now) > self.now:  # else the daemon ticks before anybody looks
            now = max(self.now, self.engine.last)
            looked = {key: state_of(self.engine, one, now) for key, one in self.engine.instances.items()}
            assert looked == self.known, "a state has changed, and nobody said so"

    def _kept(self, change: Changed) -> str:
        """The reason of a change, had it been made a second later."""
        if change.after not in TELLING:
            return ""
        reason = reason_of(
            self.engine,
            self.engine.instances[change.key],
            cast(Shown, change.after),
            TimeFormat(change.at + 1.0, absolute=True),
        )
        return shortened(reason, MOST_WORDS)

    def _all(self) -> tuple[object, ...]:
        """What the engine would save."""
        engine = self.engine
        records = {key: encode(engine.record(key)) for key in [*engine.instances, *engine.left_out]}
        return (
            records,
            {
                name: engine.document(name)
                for name in (ROLLOUT, BATCHES, BEFORE, ASIDE, DURATIONS, HOLDS, NAMES, OUTCOMES, STARTED, EFFECTS)
            },
            engine.revision,
        )

    def _perform(self, command: Command) -> None:
        if isinstance(command, commands.Launch):
            self.check_name(command)
            self.check_pace(command.agent_id)
            for task in command.tasks:
                taken = self.ports_of(task.payload.host)
                ports = task.payload.ports.values()
                self.check_after(task.payload)
                assert len(set(ports)) == len(ports) and taken.isdisjoint(ports), (
                    f"{task.payload} shares a port: {taken}"
                )
                self.tasks[task.payload.task_id] = command.agent_id
                self.payloads[task.payload.task_id] = task.payload
            self.filtered.add(command.offer_id.partition("-")[2])
        elif isinstance(command, commands.Decline):
            self.filtered.update(offer_id.partition("-")[2] for offer_id in command.offer_ids)
        elif isinstance(command, commands.Send) and command.order.kind == OBEY and command.task_id in self.payloads:
            told = Payload.from_json(command.order.payload)
            rules = {name: getattr(told, name) for name in (*RULES, "rules")}
            self.payloads[command.task_id] = dataclass_replace(self.payloads[command.task_id], **rules)
        elif isinstance(command, commands.Send) and command.order.kind in (HOLD, RELEASE):
            self._hold(command.task_id, command.order)
        elif isinstance(command, commands.Suppress):
            self._suppressed = True
        elif isinstance(command, commands.Reconcile):
            self.asked += [(task, agent) for task, agent in command.tasks if task.startswith(PROBE)]
        elif isinstance(command, commands.Revive):
            self._suppressed = False
            self.filtered.clear()

    def _hold(self, task: str, order: OperatorCommand) -> None:
        """As an executor: the same order counts once, and no two have one name."""
        if task in self.deaf:
            self.deaf.discard(task)
            return
        what = (order.kind, order.user, order.message)
        heard = self.heard.setdefault(task, {})
        assert heard.get(order.id, what) == what, f"{order.id} was {heard[order.id]}, and is {what}"
        if order.id not in heard:
            heard[order.id] = what
            self.held[task] = order.kind == HOLD

    def replace(self, host: str, agent: str = "") -> None:
        """Somebody says which agent is the host, and has seen to it that one which is silent runs nothing."""
        self.say(events.AgentChosen(host, "gina", agent, stops=99))
        if isinstance(self.verdict, Accepted):
            self.names[host] = self.engine.namesakes.agents[host]
            for task in [one for one in self.cut if f"@{host}." in one and self.tasks.get(one) != self.names[host]]:
                self.tasks.pop(task, None)

    def answer(self) -> None:
        """The master says what it knows of the agents that it was asked about."""
        asked, self.asked = self.asked, []
        for task, agent in asked:
            self.say(
                events.TaskReported(task, agent, self.absent.get(agent, "TASK_GONE"), reason="REASON_RECONCILIATION")
            )

    def check_name(self, command: commands.Launch) -> None:
        """What is launched goes to the agent that has the host's name, or to one that nothing of ours may live beside."""
        for task in command.tasks:
            host = task.payload.host
            has = self.names.get(host, command.agent_id)
            left = [one for one, agent in self.tasks.items() if agent == has and f"@{host}." in one]
            gone = has in self.absent or (not left and host in self.departed)
            assert has == command.agent_id or gone, (
                f"{task.payload.instance} is launched on {command.agent_id}, not {has}"
            )
            self.names[host] = command.agent_id
            self.departed.discard(host)

    def ports_of(self, host: str) -> set[int]:
        """Those that tasks on this host hold."""
        of_host = [self.payloads[task] for task in self.tasks if task in self.payloads]
        return {port for payload in of_host if payload.host == host for port in payload.ports.values()}

    def register(self) -> list[Command]:
        return self.say(events.Registered("fw-1", "master:5050"))

    def apply(
        self,
        *jobs: JobSpec,
        strategy: Optional[Strategy] = None,
        only: Iterable[str] = (),
        stops: Optional[int] = None,
        confirm: Optional[EndLimit] = None,
    ) -> list[Command]:
        spec = Spec(jobs=jobs, confirm=confirm)
        return self.say(events.JobsApplied(spec, "alice", "", strategy, tuple(only), allow_empty=True, stops=stops))

    def wait(self, seconds: float) -> None:
        """Time passes, and the daemon's loop looks at the clock where the engine wants it to."""
        self.now += seconds
        if self.engine.next_tick(self.now) <= self.now:
            self.say(events.Ticked())

    def offers(self) -> list[Command]:
        """A moment later every host makes an offer that the master may tell of, if offers are needed."""
        self.now += REVIVE_EVERY_S
        self.say(events.Ticked())
        free = [] if self._suppressed else sorted(set(self.machines) - self.filtered)
        return self.say(events.OffersArrived(tuple(map(self.offer, free)))) if free else []

    def offer(self, host: str) -> Offer:
        """What the host has now."""
        cores = self.cores.get(host, 8.0)
        attributes: dict[str, Any] = {**self.machines[host]}  # none of which has the name of another argument
        return offer(host, cpus=cores, ports=set(PORTS) - self.ports_of(host), **attributes)

    def offers_suppressed(self) -> bool:
        """Whether the master makes no offer of a machine that is known: it was told so, or each was declined. A method, as steps
        change it: mypy trusts an attribute."""
        return self._suppressed or self.filtered >= set(self.machines)

    def report(self, task_id: str, state: str = "TASK_RUNNING", **more: Any) -> list[Command]:
        """An executor's word; a task that ended runs no more."""
        agent = self.tasks.get(task_id, "agent-hlt01")
        if state not in ("TASK_RUNNING", "TASK_STARTING", "TASK_UNREACHABLE", "TASK_UNKNOWN"):
            self.tasks.pop(task_id, None)
            self.filtered.discard(agent.partition("-")[2])
        return self.say(events.TaskReported(task_id, agent, state, uuid="u", **more))

    def runs(self, task_id: str) -> list[Command]:
        """Its executor says that it runs, and by which rules."""
        rules = self.payloads[task_id].rules if task_id in self.payloads else ""
        event = events.TaskReported(
            task_id,
            self.tasks[task_id],
            "TASK_RUNNING",
            by_executor=True,
            data=Report(
                "running",
                restarts=self.restarts.get(task_id, 0),
                rules=rules,
                carries=True,
                held=self.held.get(task_id, False),
            ).to_json(),
            uuid="u",
        )
        return self.say(event)

    def start(self, *jobs: JobSpec) -> None:
        """Registered, applied, launched and running."""
        self.register()
        self.apply(*jobs)
        self.offers()
        for task_id in list(self.tasks):
            self.report(task_id)

    def rows(self) -> list[Row]:
        """What `daqsched status` shows."""
        return rows(self.engine, lambda job, host: True, self.now)

    def restart(self) -> None:
        """kill -9 of the daemon: only the disk is left."""
        self.engine = self.disk.engine(self.new_id)
        self._suppressed = False
        self.filtered.clear()
        self.engine.transitions.recall(dict(self.known))
        known = self.disk.agents()
        for host, agent in list(self.names.items()):
            runs = any(at == agent and f"@{host}." in task for task, at in self.tasks.items())
            if not runs and (host, agent) not in known:
                del self.names[host]  # nothing is left that ran there: the first to offer has the name

    def die(self) -> None:
        """kill -9 of the daemon; the next one hears from the master that all tasks run."""
        self.restart()
        self.register()
        for task in list(self.tasks):
            self.report(task)

    def task_of(self, name: str, host: str = "hlt01") -> str:
        """The one task that runs for it."""
        (found,) = [task for task in self.tasks if task.startswith(f"{name}@{host}.")]
        return found

    def check_order(self, todo: list[Command]) -> None:
        """Saves come first."""
        last_save = max((at for at, c in enumerate(todo) if isinstance(c, commands.SaveRecords)), default=-1)
        others = [at for at, c in enumerate(todo) if isinstance(c, (commands.Launch, commands.Acknowledge))]
        assert all(at > last_save for at in others), f"something leaves before it is saved: {todo}"
        for command in todo:
            if isinstance(command, commands.Launch):
                for task in command.tasks:
                    key = (task.payload.job, task.payload.host)
                    assert key in self.disk.records, f"{key} is launched and was not saved"

    def check_pace(self, agent_id: str) -> None:
        """Of this agent's tasks no more have executors that did not speak yet than its machine bears, but for those that hang."""
        tasks = [one.record.task for one in self.engine.instances.values()]
        way = [
            task.id
            for task in tasks
            if task is not None
            and task.agent_id == agent_id
            and task.state in ("launching", "staging")
            and self.engine.last < task.launched + HUNG_S
        ]
        bears = max(1, int(self.cores.get(agent_id.partition("-")[2], 8.0) * PER_CORE))
        assert len(way) <= bears, f"{len(way)} starts at once on {agent_id}, which bears {bears}: {way}"

    def check_after(self, payload: Payload) -> None:
        """What the job comes after is up: on the same host where it is there, too, else everywhere; what it replaces has ended."""
        job = self.engine.instances[payload.job, payload.host].job
        assert job is not None, f"{payload.instance} is launched and not desired"
        for one in self.engine.instances.values() if (payload.job, payload.host) not in self.anyway else ():
            if one.job is None and (one.name in job.replaces or payload.job in one.record.replaced):
                elsewhere = one.host != payload.host and (payload.job, one.host) in self.engine.instances
                assert (
                    elsewhere
                    and self.engine.instances[payload.job, one.host].job is not None
                    or one.key
                    == (
                        payload.job,
                        payload.host,
                    )
                ), f"{payload.instance} is launched, and {one} has not ended"
        self.anyway.discard((payload.job, payload.host))
        by_hand = self.engine.instances[payload.job, payload.host].record.borrow is not None
        assert payload.host not in self.engine.aside or payload.job == FORWARDER or by_hand, f"{payload.host} is aside"
        for name in job.after:
            of_name = {i.host: i.record for i in self.engine.instances.values() if i.name == name and i.job}
            awaited = [payload.host] if payload.host in of_name else list(of_name)
            runs = {task.rpartition(".")[0] for task in self.running.intersection(self.tasks)}
            assert awaited, f"{payload.instance} is launched, and {name} is nowhere"
            for host in awaited:
                away = host in self.engine.aside and host != payload.host and len(awaited) > 1
                up = f"{name}@{host}" in runs or of_name[host].succeeded or away
                assert up, f"{payload.instance} is launched, and {name}@{host} does not run"

    def check_restart(self) -> None:
        """A daemon that died now would go on where this one is."""

        def known(engine: Engine) -> dict[tuple[str, str], object]:
            return {
                key: (
                    instance.job,
                    i.hold,
                    i.done,
                    i.failures,
                    i.due,
                    i.restarts,
                    i.attributes,
                    i.behind,
                    instance.job is not None and instance.aside,
                    i.task and (i.task.id, i.task.ports),
                )
                for key, instance in engine.instances.items()
                for i in [instance.record]
            }

        again = self.disk.engine(self.new_id)
        again.check()
        assert known(again) == known(self.engine)
        for key, one in self.engine.instances.items():
            there, state = again.instances[key], state_of(again, again.instances[key], self.now)
            silent = state == "UNKNOWN" and one.record.task is not None and not one.lost  # which is doubted anew
            if state == one.shown and not silent:
                since, told = since_of(self.engine, one, state), since_of(again, there, state)
                # what is not worth a save of its own is still as before the clock was set back
                later = self.set_back + TOLERANCE_S if self.set_back else 0.0
                assert not told or since - 1e-6 <= told <= since + later + 1e-6, (
                    f"{one} is {state} since {since}, and a new daemon says {told}"
                )

    def check_ends(self, todo: list[Command]) -> None:
        """Nothing is told to end before those that come after it and are to end, too, unless those can't be asked, or the
        wait was long."""
        told = {c.task_id for c in todo if isinstance(c, commands.Kill)} - self.told
        self.told |= told
        killed = {task_id.rpartition(".")[0] for task_id in told}
        instances = self.engine.instances.values()
        for one in [one for one in instances if str(one) in killed and one.ending]:
            for other in instances:
                if (
                    other.ending
                    and one.name in self.engine.ends.after[other.key]
                    and not other.lost
                    and other.record.task is not None
                ):
                    here = one.host == other.host or (one.name, other.host) not in self.engine.instances
                    assert not here or self.now - one.ending >= LONGEST_S, f"{one} is told to end before {other}"

    def check_count(self, event: events.Event) -> None:
        """How often something was started again is never less than it was, unless somebody, or an apply, has had it started."""
        by_others = type(event) in HAPPENED
        before, self.counted = self.counted, {}
        for key, one in self.engine.instances.items():
            shown, job, task, excused = before.get(key, (0, None, "", True))
            now = one.record.task.id if one.record.task is not None else task
            # an end that was asked for, and what a rollout brings, come later than the word
            excused = excused or not by_others or bool(one.ending) or one.job != job
            assert excused or one.record.restarts >= shown, f"{one}: {shown} restarts, and then {one.record.restarts}"
            self.counted[key] = (one.record.restarts, one.job, now, excused and (now == task or bool(one.ending)))

    def ended_by(self, event: events.Event, run: dict[tuple[str, str], str]) -> list[tuple[str, str]]:
        """The running programs that whoever asked for something ends at once: not more than they agreed to, or than may end
        unasked.

        What follows in the same step (a batch begins because nothing is waited for any more) is no part of what was asked.
        """
        if type(event) in HAPPENED:
            return []
        there = self.engine.instances
        ended = [
            key
            for key, task in run.items()
            for now in [there[key].record.task if key in there else None]
            if now is None or there[key].ending or now.id != task
        ]
        if not isinstance(event, (events.JobsApplied, events.RestartAsked, events.RolloutSteered)):
            ended = [key for key in ended if key not in self.engine.rolling.keys]
        return ended

    def check_rollout(self) -> None:
        """Who is behind is waited for by a rollout, or was left behind by one that is over; one batch at a time changes."""
        rolling = self.engine.rolling
        if rolling.active is not None:
            later = [key for batch in rolling.batches[rolling.active.at + 1 :] for key in batch]
            for key in later:
                one = self.engine.instances.get(key)
                if rolling.active.kind == "apply" and one is not None and one.job is not None:
                    assert one.record.behind, f"{key} has changed before its batch"
            assert rolling.due < float("inf") or rolling.active.state == "paused", "the rollout is forgotten"

    def check(self) -> None:
        """What must hold after every step."""
        self.check_restart()
        self.check_rollout()
        counts: dict[str, int] = {}
        for task_id in self.tasks:
            instance = task_id.rpartition(".")[0]
            counts[instance] = counts.get(instance, 0) + 1
        assert all(count == 1 for count in counts.values()), f"a job runs twice: {sorted(self.tasks)}"
        self.engine.check()
        waits = BlockedJobs(self.engine, self.now)
        for key, one in self.engine.instances.items():
            if one.shown == "WAITING" and waits.blocked(key):
                assert self.engine.order.awaited(one), f"{one} may start, and is said to be blocked"


def rows(engine: Engine, chosen: Callable[[str, str], bool], now: float) -> list[Row]:
    """What `daqsched status` shows of these."""
    return list(status.rows(engine, [key for key in status.all_keys(engine) if chosen(*key)], now))


def progress(engine: Engine, chosen: Callable[[str, str], bool], now: float, most: int) -> Progress:
    """How far these have come."""
    tally = status.Tally(most)
    tally.add(rows(engine, chosen, now))
    return tally.progress(engine.version)


def of(todo: Iterable[Command], kind: type[One]) -> list[One]:
    """The commands of one kind."""
    return [command for command in todo if isinstance(command, kind)]


def turn(world: World, *, fail: Iterable[str] = ()) -> None:
    """What was told to end has ended, what waits is launched and says that it runs; those that should ``fail`` do."""
    for instance in list(world.engine.instances.values()):
        task = instance.record.task
        if task is not None and task.killed:
            world.report(task.id, "TASK_KILLED")
    world.offers()
    for task_id in sorted(set(world.tasks) - world.running):
        world.report(task_id, "TASK_FAILED" if any(name in task_id for name in fail) else "TASK_RUNNING")
