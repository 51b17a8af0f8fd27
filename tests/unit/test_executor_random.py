"""The executor's core in a world that acts at random: a machine, an agent, operators and the time, in any order, with
answers that come late or twice; and after each step what must always hold.

    DAQSCHED_EXAMPLES=20000 pytest tests/unit/test_executor_random.py

looks for longer.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from daqsched_executor.contract import OBEY, Check, OperatorCommand, Payload, Restart, Stop
from daqsched_executor.life import lifecycle
from daqsched_executor.life import state as phases
from daqsched_executor.life.commands import (
    Ask,
    Claim,
    Command,
    EndAsk,
    EndSideCommand,
    KillTree,
    Leave,
    Obey,
    RunSideCommand,
    Say,
    Signal,
    Spawn,
    Tell,
)
from daqsched_executor.life.events import (
    Acknowledged,
    Answered,
    Claimed,
    Connected,
    Delivered,
    Died,
    Disconnected,
    Event,
    Launched,
    LookEnded,
    LookReached,
    Moment,
    Notice,
    Notified,
    Occupied,
    OperatorAsked,
    PathFailed,
    Reached,
    Refused,
    SideCommandEnded,
    Spawned,
    Started,
    StartFailed,
    StopAsked,
    Ticked,
    TreeGone,
)
from examples import examples

CHECKS = st.lists(
    st.sampled_from(
        [
            Check("http", "web", port=80, grace_s=2.0, interval_s=1.0, failures=2),
            Check("command", "ask", argv=("/bin/ask",), grace_s=0.0, interval_s=0.5, failures=1),
            Check("output", "lines", silence_s=3.0, grace_s=5.0),
            Check("file", "run", path="run.raw", silence_s=3.0, unhealthy="notify"),
            Check("heartbeat", "beat", silence_s=2.0, grace_s=4.0),
            Check("heartbeat", "ready", silence_s=0.0, grace_s=4.0, unhealthy="notify"),
        ]
    ),
    max_size=3,
    unique_by=lambda check: check.name,
)

#: What no edge says in most phases: there it is said and changes nothing.
STRAY: tuple[Event, ...] = (
    Launched(Payload("other@hlt01.1", "other", "hlt01", ("/bin/other",))), Refused("no"), Claimed(2, "full"),
    Occupied(3, "noon"), Spawned(9), Reached("/x"), Started(), PathFailed("/x is missing"), StartFailed("no"),
    Died(code=1), TreeGone(), Delivered(), Acknowledged(), LookReached(0, "/x"), LookEnded(0, ""),
)  # fmt: skip

SECONDS = st.sampled_from([0.0, 0.01, 0.3, 1.0, 7.0, 61.0, 1000.0])


class World(RuleBasedStateMachine):
    """What the core's commands lead to, and what happens besides."""

    @initialize(
        policy=st.sampled_from(["always", "always", "on-failure", "never"]),
        budget=st.integers(0, 2),
        delay_s=st.sampled_from([0.0, 1.0]),
        before=st.booleans(),
        after=st.booleans(),
        second=st.sampled_from(["", "INT"]),
        checks=CHECKS,
        patience_s=st.sampled_from([900.0, 900.0, 900.0, 5.0, 0.0]),
        ahead=st.sampled_from([3, 2, 1, 0, 3, 3]),
    )
    def begin(
        self,
        policy: str,
        budget: int,
        delay_s: float,
        before: bool,
        after: bool,
        second: str,
        checks: list[Check],
        patience_s: float,
        ahead: int,
    ) -> None:
        """An executor has just been started, or is some steps on its way already."""
        self.job = Payload(
            "readout@hlt01.1",
            "readout",
            "hlt01",
            ("/bin/readout",),
            restart=Restart(policy, budget=budget, delay_s=delay_s),
            stop=Stop(
                before=("/bin/before",) if before else (), after=("/bin/after",) if after else (), second_signal=second
            ),
            checks=tuple(checks),
            actions={"dump": ("/bin/dump",)},
        )
        self.time, self.patience_s = 100.0, patience_s
        self._live(ahead)

    def _live(self, ahead: int = 3) -> None:
        """An executor, from its beginning, or so many steps ahead."""
        self.state = phases.begin(self.now, self.patience_s)
        #: none, forked, program
        self.alive, self.left, self.killed = "none", 0, False
        self.forks = True
        self.claiming = 0
        self.besides: set[str] = set()
        self.asks: dict[int, int] = {}
        self.numbers = 0
        self.finals = 0
        self.stopped = self.gone = False
        if ahead > 0:
            self.happen(Connected(killing=True))
            self.launch(1)
        if ahead > 1:
            self.answer_claim(False, 0)
        if ahead > 2:
            self.child("exec")

    @property
    def now(self) -> Moment:
        return Moment(self.time, 1e9 + self.time, "2025-11-22 14:02:11 UTC")

    # ------------------------------------------------------------------------------------- the circle of `run.executor`

    def happen(self, *news: Event) -> None:
        """The events, what they lead to, and a tick for as long as one is due."""
        self._settle(deque(news))
        for _ in range(8):
            if self.gone or self.state.wake_at is None or self.state.wake_at > self.time:
                return
            self._settle(deque([Ticked()]))
        raise AssertionError(f"it spins: wake_at {self.state.wake_at} at {self.time} in {self.state.phase}")

    def _settle(self, events: deque[Event]) -> None:
        while events and not self.gone:
            final = self.finals
            event = events.popleft()
            if isinstance(event, StopAsked):
                self.stopped = True
            self.state, commands = lifecycle.handle(self.state, event, self.now)
            for command in commands:
                if final:
                    assert isinstance(command, (Say, Leave)), f"{command} after the last report"
                events.extendleft(self._obey(command))

    def _obey(self, command: Command) -> list[Event]:
        assert not self.gone, f"{command} after Leave"
        if isinstance(command, Claim):
            self.claiming += 1
        elif isinstance(command, Spawn):
            assert self.alive == "none" and not self.left, "a second copy"
            assert not self.stopped and not self.finals, "a start after a stop, or after the last report"
            self.killed = False
            if not self.forks:
                self.forks = True
                return [StartFailed("no process can be started here")]
            self.alive = "forked"
            return [Spawned(4711)]
        elif isinstance(command, Signal):
            assert self.alive == "program" or self.left, "a signal to nobody"
        elif isinstance(command, KillTree):
            self.killed = True
        elif isinstance(command, RunSideCommand):
            if command.key in self.besides:
                return [SideCommandEnded(command.key, False, "not run")]
            self.besides.add(command.key)
        elif isinstance(command, EndSideCommand):
            pass  # it is heard of, or hangs
        elif isinstance(command, Ask):
            assert command.number not in self.asks, "two runs of one check"
            self.asks[command.number] = command.ask
        elif isinstance(command, EndAsk):
            self.asks.pop(command.number, None)
        elif isinstance(command, Obey):
            self.asks.clear()
        elif isinstance(command, Tell):
            assert not self.finals, "a report after the last one"
            command.report.to_json()
            if command.final:
                self.finals += 1
                assert self.alive != "program" and not self.left, "the last report while something runs"
        elif isinstance(command, Leave):
            assert self.finals == 1 or self.state.payload is None
            self.gone = True
        else:
            assert isinstance(command, Say) and command.sentence
        return []

    # ------------------------------------------------------------------------------------------------ the machine

    @precondition(lambda self: self.state.phase == phases.IDLE and not self.gone)
    @rule(usable=st.integers(0, 9))
    def launch(self, usable: int) -> None:
        """The agent hands over the task."""
        self.happen(Launched(self.job) if usable else Refused("install the newer one"))

    @precondition(lambda self: self.claiming)
    @rule(occupied=st.booleans(), dying=st.integers(0, 2))
    def answer_claim(self, occupied: bool, dying: int) -> None:
        """The lock is ours, or not; the program may have been stopped meanwhile."""
        self.claiming -= 1
        self.happen(Occupied(99 if not dying else 0, "noon", dying) if occupied else Claimed(dying))

    @rule()
    def no_fork(self) -> None:
        """The next fork fails (EAGAIN)."""
        self.forks = False

    @precondition(lambda self: self.alive == "forked")
    @rule(how=st.sampled_from(["reach", "exec", "exec", "exec", "path", "fail"]))
    def child(self, how: str) -> None:
        """It gets on, or not; one that was killed within exec is a program that dies."""
        if how == "reach":
            self.happen(Reached("/cvmfs/x"))
        elif how == "exec":
            self.alive = "program"
            self.happen(Reached(""), Started())
        else:
            self.alive = "none"
            self.happen(PathFailed("/cvmfs/x is missing") if how == "path" else StartFailed("no program"))

    @precondition(lambda self: self.alive == "program")
    @rule(code=st.integers(0, 1), left=st.sampled_from([0, 2]))
    def die(self, code: int, left: int) -> None:
        """By itself, or by a signal that it was sent."""
        self.alive, self.left = "none", left
        self.happen(Died(signal="SIGKILL", left=left) if self.killed else Died(code=code, left=left))

    @precondition(lambda self: self.left)
    @rule()
    def clear(self) -> None:
        """What was left behind is gone."""
        self.left = 0
        self.happen(TreeGone())

    @precondition(lambda self: self.besides)
    @rule(data=st.data(), ok=st.booleans())
    def beside(self, data: st.DataObject, ok: bool) -> None:
        """A hook or an action ends, in its time or long after it was given up."""
        key = data.draw(st.sampled_from(sorted(self.besides)))
        self.besides.discard(key)
        self.happen(SideCommandEnded(key, ok, "exit code 0 after 0.10 s"))

    @rule(checks=CHECKS, lock=st.booleans())
    def other_rules(self, checks: list[Check], lock: bool) -> None:
        """The job file says other checks; what the program sees of them is as it was."""
        beats = [one for one in self.job.checks if one.kind == "heartbeat"]
        kept = (*beats, *(one for one in checks if one.kind != "heartbeat"))
        job = replace(self.job, checks=kept, lock=lock, rules=f"r{self.numbers}")
        self.numbers += 1
        order = OperatorCommand(f"o{self.numbers}", OBEY, "alice", payload=job.to_json().decode())
        heard = self.state.phase not in (phases.IDLE, phases.LOOKING, phases.ENDED)
        pid = self.state.pid
        self.happen(OperatorAsked(order))
        if heard:
            self.job = job
            assert self.state.payload is not None and self.state.payload.checks == kept
            assert self.state.pid == pid, "the program was disturbed"

    @precondition(lambda self: self.asks)
    @rule(data=st.data(), ok=st.booleans(), problem=st.sampled_from(["", "refuses the connection"]))
    def answer(self, data: st.DataObject, ok: bool, problem: str) -> None:
        """A check's answer."""
        number = data.draw(st.sampled_from(sorted(self.asks)))
        self.happen(Answered(number, self.asks.pop(number), ok, problem))

    @precondition(lambda self: self.job.checks)
    @rule(data=st.data(), ask=st.integers(0, 3), ok=st.booleans())
    def answer_late(self, data: st.DataObject, ask: int, ok: bool) -> None:
        """One that was put into the queue before it was given up, or was heard before the program ended."""
        number = data.draw(st.integers(0, len(self.job.checks) - 1))
        if self.asks.get(number) != ask:
            self.happen(Answered(number, ask, ok))

    @rule(
        notice=st.builds(
            Notice,
            ready=st.booleans(),
            reloading=st.booleans(),
            stopping=st.booleans(),
            watchdog=st.booleans(),
            trigger=st.booleans(),
            status=st.sampled_from([None, "", "taking data"]),
            watchdog_s=st.sampled_from([0.0, 1.0]),
            extend_s=st.sampled_from([0.0, 100.0]),
        )
    )
    def notify(self, notice: Notice) -> None:
        """The program says anything at any time."""
        self.happen(Notified(notice))

    # ------------------------------------------------------------------------------------------- agent and operators

    @rule(kind=st.sampled_from(["agent", "agent", "back", "delivered", "acknowledged"]))
    def agent(self, kind: str) -> None:
        """It goes, comes, takes the last report."""
        if kind == "agent":
            self.happen(Disconnected())
        elif kind == "back":
            self.happen(Connected(killing=True))
        elif self.finals:
            self.happen(Delivered() if kind == "delivered" else Acknowledged())

    @rule(
        kind=st.sampled_from(["retry", "restart", "act", "snooze", "wake", "hold", "release", "other"]),
        name=st.sampled_from(["", "dump", "web", "beat", "nothing"]),
        ahead_s=st.sampled_from([-1.0, 2.0, 1e6]),
        again=st.booleans(),
    )
    def order(self, kind: str, name: str, ahead_s: float, again: bool) -> None:
        """An operator's, sometimes twice."""
        self.numbers += 0 if again else 1
        until = 1e9 + self.time + ahead_s
        self.happen(OperatorAsked(OperatorCommand(f"o{self.numbers}", kind, "alice", name, until)))

    @rule(
        grace_s=st.sampled_from([None, 0.0, 1.0, 100.0]),
        leave_s=st.sampled_from([None, None, 0.5]),
        seldom=st.integers(0, 5),
    )
    def stop(self, grace_s: float | None, leave_s: float | None, seldom: int) -> None:
        """The scheduler, the agent's shutdown, an agent that has forgotten us; not often, as little comes after it."""
        if seldom < 5 and not self.stopped:
            return
        self.happen(StopAsked("the scheduler", grace_s, leave_s))

    @rule(event=st.sampled_from(STRAY))
    def stray(self, event: Event) -> None:
        """What can't be: said, and nothing is changed."""
        if (self.state.phase, type(event)) not in lifecycle._STEPS and not self.gone:
            after, commands = lifecycle.handle(self.state, event, self.now)
            assert after == self.state and [type(command) for command in commands] == [Say]

    @rule(seconds=SECONDS)
    def pass_time(self, seconds: float) -> None:
        """Too early or late, as on a machine that is busy."""
        self.time += seconds
        self.happen(Ticked())

    @precondition(lambda self: not self.gone and self.state.wake_at is not None)
    @rule()
    def due(self) -> None:
        """The time that the core waits for."""
        self.time = max(self.time, self.state.wake_at or 0.0)
        self.happen()

    # ------------------------------------------------------------------------------------------------ what must hold

    @invariant()
    def is_sound(self) -> None:
        """What runs is what the core thinks that runs, and something will wake it."""
        if self.gone:
            self._live()  # the framework starts another one
        state = self.state
        wakes = state.wake_at is not None
        assert not (state.held and state.phase == phases.WAITING), "what is held waits for no start"
        assert len(state.orders) <= 32 and len(state.recent) <= self.job.restart.budget
        assert self.finals == (state.phase == phases.ENDED)
        assert not self.asks or state.phase == phases.RUNNING, "a check outlives its program"
        assert state.connected or state.alone_until is not None or self.stopped or state.stopped_by or self.finals
        if state.phase == phases.IDLE:
            assert wakes or state.connected
        elif state.phase == phases.CLAIMING:
            assert wakes or self.claiming
        elif state.phase == phases.STARTING:
            assert wakes and self.alive == "forked"
        elif state.phase == phases.RUNNING:
            assert self.alive == "program" and not self.left
            quiet = [check.kind == "heartbeat" for check in self.job.checks]
            assert wakes or all(quiet), "a check that is never asked again"
        elif state.phase == phases.CLEARING:
            assert wakes and self.alive == "none" and (self.left or state.hook in self.besides)
        else:
            assert wakes, f"nothing wakes {state.phase}"
            assert state.phase != phases.WAITING or (self.alive == "none" and not self.left)

    def teardown(self) -> None:
        """From here on SIGKILL kills, what was asked for answers, and the agent is silent: a stop leads to the end."""
        if not hasattr(self, "state"):
            return
        self.happen(StopAsked("the scheduler"))
        for _ in range(40):
            if self.gone:
                break
            if self.killed and self.alive == "program":
                self.die(0, 0)
            elif self.killed and self.left:
                self.clear()
            elif self.state.hook in self.besides:
                self.besides.discard(self.state.hook)
                self.happen(SideCommandEnded(self.state.hook, True, "exit code 0 after 0.10 s"))
            else:
                self.due()
        assert self.gone and self.finals == (self.state.payload is not None or self.finals)


World.TestCase.settings = settings(
    max_examples=examples(200),
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestWorld = World.TestCase


@pytest.mark.once
def test_the_state_of_a_long_life_stays_small() -> None:
    """Thousands of deaths, orders and snoozes later it holds no more than at first."""
    world = World()
    world.begin("always", 0, 0.0, False, False, "", [], 900.0, ahead=2)
    for _ in range(2000):
        world.child("exec")
        world.order("act", "dump", 0.0, False)
        world.besides.clear()
        world.happen(SideCommandEnded("act", True, "exit code 0 after 0.10 s"))
        world.die(1, 0)
    assert world.state.restarts == 2000 and len(repr(world.state)) < 4000
