"""A farm to which anything happens, in any order, against the whole of the engine."""

from __future__ import annotations

import itertools
from typing import Literal, Optional

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, rule
from msgspec.structs import replace

from builders import World, job, of, rows
from daqsched.confirm import ALL, EndCount, EndLimit, NotConfirmed
from daqsched.digests import rules_digest
from daqsched.engine import commands, events
from daqsched.engine.applying import way_of
from daqsched.engine.confirming import end_count
from daqsched.engine.endings import endings
from daqsched.engine.instance import Key
from daqsched.engine.job_owners import FORMER
from daqsched.engine.verdict import Accepted
from daqsched.errors import UserError
from daqsched.merge import change_of
from daqsched.preflight import Question
from daqsched.rollout import AT_ONCE, ONE_BY_ONE, Strategy
from daqsched.select import selection
from daqsched.spec import EMPTY, FORWARDER, ForwarderSpec, Spec
from daqsched.task import Hold
from daqsched_executor.contract import MANUAL, Findings, OperatorCommand, Probe, Restart

#: None: as a job file says that has no word for it.
STRATEGIES = (
    None,
    AT_ONCE,
    Strategy(batches=(1,), ready_s=5.0),
    Strategy(batches=(1, "50%"), pause_after=(1,), failures=0, timeout_s=60.0),
    Strategy(batches=(1,), on_failure="rollback", guard="run-stopped"),
)


#: How many programs whoever asks lets end; None: they say nothing of it.
AGREED = st.sampled_from([None, None, 0, 1, 3, ALL])


class RandomFarm(RuleBasedStateMachine):
    """Anything may happen in any order, the daemon may die at any step; the world checks what must always hold."""

    jobs = Bundle("jobs")

    @initialize()
    def begin(self) -> None:
        self.world = World(["h1", "h2", "h3"])
        self.world.cores = {"h1": 0.3, "h2": 0.5}
        self.world.register()
        self.specs = [
            job("a", "h1"),
            job("b", "h[1-2]", after=("a", "c")),
            job("c", "h2", ports={"http": 31000}),
            job("d", hosts="", attributes={"rack": "r1"}, ports={"any": 0}, after=("a",)),
            job("e", "h[2-3]", attributes={"rack": "r1"}, restart=Restart(give_up=2), ports={"x": 0, "y": 0}),
            ForwarderSpec(name=FORWARDER, argv=("x",), hosts=("h[1-2]",)),
            # c by another name, and elsewhere than it was
            job("f", "h[2-3]", replaces=("c", "f")),
            job("f", "h1", replaces=("c", "f", "b")),
            job("g", "h[1-2]", start=MANUAL),
        ]

    @rule(
        chosen=st.sets(st.integers(0, 8)).filter(lambda found: not found >= {6, 7}),
        release=st.sampled_from(["", "r1", "r2"]),
        rack=st.sampled_from(["r1", "r1", "r2"]),
        strategy=st.sampled_from(STRATEGIES),
        only=st.sampled_from([(), (), ("@h1",), ("b", "d@h2")]),
        order=st.sampled_from([True, True, False]),
        needs=st.sampled_from([(), (), ("/data",)]),
        stops=AGREED,
        confirm=st.sampled_from([None, None, None, EndLimit(programs=1)]),
        part=st.sampled_from(["", "", "hlt"]),
        take=st.booleans(),
    )
    def apply(
        self,
        chosen: set[int],
        release: str,
        rack: str,
        strategy: Optional[Strategy],
        only: tuple[str, ...],
        order: bool,
        needs: tuple[str, ...],
        stops: Optional[int],
        confirm: Optional[EndLimit],
        part: str,
        take: bool,
    ) -> None:
        """By one of two teams, of the whole of its part or of some of it."""
        names = {self.specs[n].name for n in chosen} if order else set()
        meant, engine = selection(only), self.world.engine
        others = {
            key: (one.digest, bool(one.ending))
            for key, one in engine.instances.items()
            if key[0] != FORWARDER and one.job is not None and one.record.borrow is None
            # what a rollout has not reached is whose it is in the farm that is in force
            if not meant(*key)
            or (
                (engine.desired.of(*key) or one.job).part != part and key[0] not in (self.specs[n].name for n in chosen)
            )
        }
        before = engine.revision
        found = tuple(
            replace(
                self.specs[n],
                release=release,
                needs=needs,
                after=tuple(name for name in self.specs[n].after if name in names),
                attributes={"rack": rack} if self.specs[n].attributes else {},
                **({"hosts": ("h1",)} if self.specs[n].name == FORWARDER and rack == "r2" else {}),
            )
            for n in sorted(chosen)
        )
        holds, whose = self._holds(), {one.name: (one.owner, one.part) for one in engine.spec.jobs}
        taken = ("*",) if take else ()
        event = events.JobsApplied(
            Spec(jobs=found, part=part, confirm=confirm),
            "alice",
            "",
            strategy,
            only,
            allow_empty=True,
            take=taken,
            stops=stops,
        )
        planned = self._planned(event)
        self.world.say(event)
        verdict = self.world.verdict
        if isinstance(verdict, NotConfirmed):
            assert planned is not None and (planned.stops, planned.running) == (verdict.stops, verdict.running), planned
            assert planned.asks or stops is not None, "it was refused, and the plan did not say so"
        elif isinstance(verdict, Accepted) and engine.revision is not before and stops is None:
            assert planned is not None and not planned.asks, f"{planned} was said, and nobody was asked"
        of_now = {one.name: (one.owner, one.part) for one in engine.spec.jobs}
        for key, hold in self._holds().items():
            known = holds.pop(key)  # none is made
            # what has come to somebody else, or back into the farm, is still held, and nobody's any more
            former = hold.user == FORMER and (hold.at, hold.spares) == (known.at, known.spares)
            assert hold == known or (former and whose.get(key[0]) != of_now.get(key[0])), "an apply changed a hold"
        assert not holds, "an apply lifted a hold"
        if engine.revision is not before:
            there = {key: (one.digest, bool(one.ending)) for key, one in engine.instances.items() if key in others}
            assert there == others, "an apply changed what it did not name, or what is another part's"

    def _planned(self, event: events.JobsApplied) -> Optional[EndCount]:
        """What a plan of it would say of what ends; None: that it can't be applied."""
        engine = self.world.engine
        try:
            old = engine.revision.spec if engine.revision is not None else EMPTY
            change = change_of(old, event.spec, event.scope, engine.hosts_of, engine.behind())
        except UserError:
            return None
        return end_count(engine, *endings(engine, change, way_of(event.strategy, event.spec)))

    def _holds(self) -> dict[Key, Hold]:
        """What somebody has stopped, in the farm and outside."""
        there = {
            key: one.record.hold
            for key, one in self.world.engine.instances.items()
            if one.record.hold is not None and one.record.hold.user
        }
        return {**self.world.engine.holds, **there}

    def _first_starts(self) -> dict[Key, bool]:
        """What begins with a first start by hand, and whether it still waits for it."""
        there = self.world.engine.instances.items()
        return {
            key: one.record.hold is not None and not one.record.hold.user
            for key, one in there
            if one.job is not None and one.job.start == MANUAL and one.record.borrow is None
        }

    @rule(gone=st.booleans(), dies=st.booleans(), turns=st.integers(0, 1))
    def there_and_back(self, gone: bool, dies: bool, turns: int) -> None:
        """Whatever an apply did, a rollback to the revision before it has all that waits for a first start wait, and no more."""
        world = self.world
        if world.engine.revision is None or world.engine.mixed or world.engine.rolling.active is not None:
            return
        was, before = world.engine.revision.spec, self._first_starts()
        moved = tuple(replace(one, hosts=("h3",)) for one in was.jobs if one.name == "g")
        other = tuple(one for one in was.jobs if one.name != "g") + (() if gone else moved)
        world.say(events.JobsApplied(Spec(jobs=other), "alice", "", AT_ONCE, (), "", True, stops=ALL, everyones=True))
        assert isinstance(world.verdict, Accepted), world.verdict
        for _ in range(turns):
            world.offers()
        if dies:
            self.dies()
        world.say(events.JobsApplied(was, "alice", "", AT_ONCE, (), "", True, stops=ALL, everyones=True, back=True))
        assert isinstance(world.verdict, Accepted), world.verdict
        assert self._first_starts() == before, "a rollback forgot, or made up, a first start by hand"

    @rule(what=st.sampled_from(["pause", "resume", "resume", "abort", "rollback"]), stops=AGREED)
    def steers(self, what: Literal["pause", "resume", "abort", "rollback"], stops: Optional[int]) -> None:
        """Somebody has a say in the rollout that may be under way."""
        self.world.say(events.RolloutSteered(what, "carol", stops=stops))

    @rule(names=st.sets(st.sampled_from("abcdefg")), strategy=st.sampled_from(STRATEGIES), stops=AGREED)
    def restarts(self, names: set[str], strategy: Optional[Strategy], stops: Optional[int]) -> None:
        """The same programs anew, host by host."""
        keys = tuple(key for key in self.world.engine.instances if key[0] in names)
        self.world.say(events.RestartAsked(keys, "dave", "", strategy or ONE_BY_ONE, stops))

    @rule(yes=st.booleans(), late=st.booleans())
    def guard(self, yes: bool, late: bool) -> None:
        """It answers what it was asked, perhaps long ago."""
        asked = of(self.world.done, commands.AskGuard)
        if asked:
            one = asked[0 if late else -1]
            self.world.say(events.GuardAnswered(one.rollout, one.batch, yes, "" if yes else "run 1234"))

    @rule(name=st.sampled_from("abcdefg"), host=st.sampled_from(["h1", "h2", "h3"]), end=st.booleans())
    def borrows(self, name: str, host: str, end: bool) -> None:
        """Somebody tries something by hand on a machine that is set aside."""
        begin = events.Borrowed(name, host, "fred", ("/bin/try",))
        self.world.say(events.BorrowEnded(name, host, "fred") if end else begin)

    @rule(message=st.sampled_from(["", "beam is back", "x" * 1000]))
    def notes(self, message: str) -> None:
        """Somebody has something to say; nothing of the farm follows from it, and it outlives the daemon."""
        engine = self.world.engine
        before, there = [one.message for one in engine.logbook], dict(engine.instances)
        self.world.say(events.NoteWritten("gina", message))
        assert [one.message for one in engine.logbook] == before + [message] * bool(message)
        assert engine.instances == there
        assert self.world.disk.engine(self.world.new_id).logbook == engine.logbook

    @rule(
        host=st.sampled_from(["h1", "h2", "h3"]),
        back=st.booleans(),
        time=st.floats(1.0, 5000.0),
        stops=AGREED,
        user=st.sampled_from(["erin", "ivan"]),
        everyones=st.booleans(),
    )
    def aside(self, host: str, back: bool, time: float, stops: Optional[int], user: str, everyones: bool) -> None:
        """Two people need the machine, or give it back; what one has set aside the other leaves alone, unless that is said."""
        leases = self.world.engine.aside
        theirs = leases[host] if host in leases and leases[host].user != user and not everyones else None
        lease = events.PutAside((host,), user, self.world.now + time, stops=stops, everyones=everyones)
        self.world.say(events.Returned((host,), user, stops, everyones) if back else lease)
        assert theirs is None or self.world.engine.aside.get(host) == theirs, "a lease of somebody else's was changed"

    @rule(host=st.sampled_from(["h1", "h2", "h3"]), rack=st.sampled_from(["", "r1", "r2"]))
    def gets_attributes(self, host: str, rack: str) -> None:
        """Its agent comes back with others; the master lets it offer anew."""
        self.world.machines[host] = {"rack": rack} if rack else {}
        self.world.filtered.discard(host)

    @rule(needs=st.sampled_from([(), ("/data",)]))
    def other_rules(self, needs: tuple[str, ...]) -> None:
        """What only executors obey, of all that is desired: nothing may end for it."""
        engine = self.world.engine
        whole = tuple(replace(one, needs=needs) for one in engine.spec.jobs if one.name != FORWARDER)
        if whole and not engine.mixed and engine.rolling.active is None:
            farm = Spec(jobs=tuple(one for one in engine.spec.jobs if one.name == FORWARDER) + whole)
            self.world.say(events.JobsApplied(farm, "alice", "", None, stops=0, everyones=True))
            assert isinstance(self.world.verdict, Accepted), self.world.verdict

    @rule()
    def offers(self) -> None:
        self.world.offers()

    @rule(
        state=st.sampled_from(
            [
                "TASK_STARTING",
                "TASK_RUNNING",
                "TASK_UNREACHABLE",
                "TASK_UNKNOWN",
                "TASK_FAILED",
                "TASK_KILLED",
                "TASK_FINISHED",
                "TASK_GONE",
            ]
        ),
        which=st.integers(0, 9),
    )
    def report(self, state: str, which: int) -> None:
        if self.world.tasks:
            self.world.report(sorted(self.world.tasks)[which % len(self.world.tasks)], state)

    @rule(which=st.integers(0, 9), times=st.integers(1, 3), order=st.sampled_from(["", "", "restart", "retry"]))
    def dies_in_place(self, which: int, times: int, order: str) -> None:
        """Its executor starts it again, perhaps as somebody asks for that: then there was none before."""
        world = self.world
        if not world.tasks:
            return
        task_id = sorted(world.tasks)[which % len(world.tasks)]
        instance = world.engine.by_task.get(task_id)
        if order and instance is not None:
            said = OperatorCommand(world.new_id(), order, "hank")
            world.say(events.OperatorCommanded((instance.key,), said, stops=ALL))
        obeyed = (
            order == "restart" and instance is not None and isinstance(world.verdict, Accepted) and world.verdict.keys
        )
        world.restarts[task_id] = world.restarts.get(task_id, 0) + (1 if obeyed else times)
        world.runs(task_id)
        assert not obeyed or instance is None or instance.record.restarts == 0, "what somebody asked for is counted"

    @rule(which=st.integers(0, 9))
    def late(self, which: int) -> None:
        """A report of a task that ended long ago comes once more."""
        known = sorted(self.world.payloads)
        gone = [task for task in known if task not in self.world.tasks]
        if gone:
            self.world.say(events.TaskReported(gone[which % len(gone)], "agent-x", "TASK_FAILED", uuid="u"))

    @rule(
        names=st.sets(st.sampled_from([*"abcdefg", FORWARDER]), min_size=1),
        host=st.sampled_from(["h1", "h2", "h3"]),
        what=st.sampled_from(["stop", "hold", "start"]),
        user=st.sampled_from(["bob", "judy"]),
        everyones=st.booleans(),
        anyway=st.booleans(),
    )
    def by_hand(self, names: set[str], host: str, what: str, user: str, everyones: bool, anyway: bool) -> None:
        """Two people stop and start; what one has stopped the other neither takes over nor lifts, unless that is said."""
        keys = tuple((name, host) for name in sorted(names))
        hold = what != "start"
        living = [
            one for key in keys if (one := self.world.engine.instances.get(key)) and one.record.task and not one.ending
        ]
        others = {key: one for key, one in self._holds().items() if one.user != user}
        self.world.say(
            events.Held(keys, user, spares=what == "hold") if hold else events.Released(keys, user, everyones, anyway)
        )
        after = self._holds()
        kept = {key: one for key, one in others.items() if hold or not everyones or key not in keys}
        assert {key: after.get(key) for key in kept} == kept, "a hold of somebody else's was lifted"
        if what == "hold":
            assert not [one for one in living if one.record.task is None or one.ending], "what runs is left alone"

    @rule(message=st.sampled_from(["", "looking"]), host=st.sampled_from(["h1", "h2", "h3"]), lost=st.booleans())
    def hold_and_again(self, message: str, host: str, lost: bool) -> None:
        """Held, let go and held in one moment, and an order may be lost: each executor comes to know the last word."""
        world, keys = self.world, tuple((name, host) for name in "abcdefg")
        for event in (
            events.Held(keys, "bob", "first", spares=True),
            events.Released(keys, "bob"),
            events.Held(keys, "bob", message, spares=True),
        ):
            world.say(event)
            for task in list(world.tasks):
                world.runs(task)
            world.deaf = set(world.tasks) if lost else set()

    @rule()
    def preflight(self) -> None:
        """Hosts are asked as well; whatever becomes of that, no job notices."""
        one = (Question(("a",), "", Probe("a", "/bin/true")),)
        self.world.say(events.PreflightAsked(self.world.new_id(), "eve", {"h1": one, "h2": one}, 60.0))

    @rule(state=st.sampled_from(["TASK_STAGING", "TASK_UNREACHABLE", "TASK_FINISHED", "TASK_DROPPED"]))
    def survey(self, state: str) -> None:
        """Somebody speaks of one that is out, or of one that a daemon before this one sent."""
        sent = [one for c in of(self.world.done, commands.Launch) for one in c.surveys]
        if sent:
            data = Findings({"a": ""}).to_json()
            task_id = sent[-1].survey.task_id
            self.world.say(events.TaskReported(task_id, "agent-h1", state, by_executor=True, data=data, uuid="u"))

    @rule(passed=st.floats(0.0, 700.0))
    def time_passes(self, passed: float) -> None:
        self.world.now += passed
        self.world.say(events.Ticked())

    @rule(by=st.floats(2.0, 5000.0), dies=st.booleans())
    def clock_is_set_back(self, by: float, dies: bool) -> None:
        """While the daemon runs, or while it does not."""
        self.world.now -= min(by, self.world.now - 10.0)
        if dies:
            self.dies()
        self.world.say(events.Ticked())

    @rule()
    def dies(self) -> None:
        self.world.restart()
        self.world.register()
        for task in self.world.tasks:
            self.world.say(
                events.TaskReported(task, self.world.tasks[task], "TASK_RUNNING", reason="REASON_RECONCILIATION")
            )

    @rule(host=st.sampled_from(["h1", "h2", "h3"]), place=st.sampled_from(["", "", "there"]))
    def namesake(self, host: str, place: str) -> None:
        """Another machine calls itself so, and offers the same."""
        one = self.world.offer(host)
        self.world.say(events.OffersArrived((replace(one, id=f"twin-{host}", agent_id=f"twin-{host}", place=place),)))

    @rule(host=st.sampled_from(["h1", "h2", "h3"]), agent=st.sampled_from(["", "", "agent-", "twin-"]))
    def replaces(self, host: str, agent: str) -> None:
        """Somebody says which is right."""
        self.world.replace(host, f"{agent}{host}" if agent else "")

    @rule(host=st.sampled_from(["h1", "h2", "h3"]), which=st.sampled_from(["agent-", "twin-"]), there=st.booleans())
    def agent_goes(self, host: str, which: str, there: bool) -> None:
        """It is removed by the master, and all that it ran; or it is there again."""
        agent = f"{which}{host}"
        if there:
            self.world.absent.pop(agent, None)
            return
        for task in [task for task, at in self.world.tasks.items() if at == agent]:
            self.world.report(task, "TASK_GONE")
        self.world.absent[agent] = "TASK_UNKNOWN"

    @rule()
    def master_answers(self) -> None:
        """What it was asked about agents."""
        self.world.answer()

    @rule()
    def loses_the_master(self) -> None:
        self.world.say(events.Disconnected())
        self.world.register()

    def teardown(self) -> None:
        """Left in peace, a rollout comes to its end, and everything that is desired and not held comes to run."""
        if not hasattr(self, "world"):
            return
        world = self.world
        world.say(events.Returned(("h1", "h2", "h3"), "erin", ALL))
        for host in ("h1", "h2", "h3"):
            if world.engine.namesakes.agents.get(host, f"agent-{host}") != f"agent-{host}":
                world.say(events.OffersArrived((world.offer(host),)))  # the machine that stays is the one that offers
                world.replace(host, f"agent-{host}")
                assert isinstance(world.verdict, Accepted), world.verdict
        world.absent = {f"twin-{host}": "TASK_UNKNOWN" for host in ("h1", "h2", "h3")}
        for _ in range(12):
            self._peace()
        rolling = world.engine.rolling
        shown = rows(world.engine, lambda job, host: (job, host) in rolling.keys, world.now)
        # for what an apply left out, or for a machine that does not have what the job needs any more: a person ends that
        waits = [one for one in shown if one.reason.startswith("waits for") or "lacks the attribute" in one.reason]
        assert rolling.active is None or waits, f"{rolling.active} does not end: {rolling.due - world.now:g} s"
        farm = Spec(jobs=world.engine.spec.jobs)
        world.say(events.JobsApplied(farm, "alice", "", AT_ONCE, allow_empty=True, stops=ALL, everyones=True))
        assert not world.engine.mixed, f"an apply of all leaves {world.engine.mixed} behind"
        for _ in range(8):
            self._peace()
        self._all_run()

    def _peace(self) -> None:
        """Time passes, and whatever waits for somebody gets its answer."""
        world = self.world
        world.now += 700.0
        world.say(events.Ticked())
        world.say(events.RolloutSteered("resume", "carol", stops=ALL))
        rolling = world.engine.rolling
        if rolling.active is not None and rolling.asked:
            world.say(events.GuardAnswered(rolling.active.number, rolling.active.at + 1, True))
        for instance in list(world.engine.instances.values()):
            task = instance.record.task
            if task is None:
                continue
            if task.id not in world.tasks:
                world.report(task.id, "TASK_GONE")
            elif task.killed:
                world.report(task.id, "TASK_KILLED")
            else:
                world.runs(task.id)
        world.answer()
        world.offers()

    def _all_run(self) -> None:
        world = self.world
        shown = list(rows(world.engine, lambda a, b: True, world.now))
        not_up = {found.job for found in shown if found.state not in ("RUNNING", "FINISHED")}
        jobs = {job.name: job for job in world.engine.spec.jobs}
        for found in shown:
            wants = jobs[found.job].attributes
            excused = (
                found.state in ("STOPPED", "FINISHED")
                or (found.state == "FAILED" and jobs[found.job].restart.give_up)
                or (found.reason.startswith("waits for") and not_up.intersection(jobs[found.job].after))
                or ("lacks the attribute" in found.reason and world.machines[found.host] != wants)
                or (not found.host and wants not in world.machines.values())
                # given to another while nobody asked for it by number: a person starts that one anew
                or (
                    set(jobs[found.job].ports.values()) & world.ports_of(found.host)
                    and found.reason.startswith("port ")
                )
            )
            assert found.state == "RUNNING" or excused, f"{found} never comes up"
            if found.state == "RUNNING":
                rules = world.payloads[found.task_id].rules
                desired = world.engine.instances[found.job, found.host].job
                assert desired is not None and rules == rules_digest(desired), f"{found} was not told"
                spared = world.engine.instances[found.job, found.host].spared
                assert world.held.get(found.task_id, False) == spared, f"{found}: its executor does not know"
        for job_, host in itertools.product(jobs.values(), world.machines):
            if job_.attributes and not job_.hosts:
                belongs = world.machines[host] == job_.attributes
                assert belongs == ((job_.name, host) in world.engine.instances), f"{job_.name}@{host}: {belongs}"
