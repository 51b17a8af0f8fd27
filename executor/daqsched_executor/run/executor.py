"""One job's executor, put together.

The circle: the loop hears something (the agent, the child's pipe, a signal, the time), which becomes an event;
`lifecycle.handle` says what is so now and what to do; doing it may give further events.
"""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from daqsched_executor.contract import KEY_VARIABLE, SPOOL_VARIABLE, Payload
from daqsched_executor.life import lifecycle
from daqsched_executor.life.commands import (
    Ask,
    Claim,
    Command,
    EndAsk,
    EndSideCommand,
    KillTree,
    Leave,
    LeaveLook,
    Look,
    Obey,
    RunSideCommand,
    Say,
    Signal,
    Spawn,
    Tell,
)
from daqsched_executor.life.events import (
    Answered,
    Event,
    Launched,
    LookEnded,
    SideCommandEnded,
    StartFailed,
    StopAsked,
    Ticked,
)
from daqsched_executor.life.state import begin
from daqsched_executor.log import Log, place_of
from daqsched_executor.machine.claim import InstanceClaim
from daqsched_executor.machine.death import memory_cgroup
from daqsched_executor.machine.forking import no_process
from daqsched_executor.machine.kernel import Kernel, signal_name
from daqsched_executor.machine.process import Program
from daqsched_executor.machine.warden import (
    WARDEN_GONE,
    end_by_rules,
    own_cgroups,
)
from daqsched_executor.run.container_start import ContainerStart
from daqsched_executor.run.forced_end import end_with_lines, take_lines
from daqsched_executor.run.loop import READ, Loop
from daqsched_executor.run.mesos import Link, patience_s
from daqsched_executor.run.registration import Registration
from daqsched_executor.run.streams import Files

if TYPE_CHECKING:
    from daqsched_executor.run.checks import Checks
    from daqsched_executor.run.console import Console
    from daqsched_executor.run.moving import Moving
    from daqsched_executor.run.side_commands import SideCommands
    from daqsched_executor.run.survey import SurveyLooks

#: So long after a start it is looked at first whether the program's files were emptied, then after twice as long, at most so long.
FIRST_LOOK_S, MOST_LOOK_S = 1.0, 60.0

#: So long nobody asks how far the child of a start is: most are the program by then, and each of its words would wake us.
UNASKED_S = 0.1


class Run:
    """Performs what `lifecycle` commands. Its own state is the queue of events; what is so is in `self._state`."""

    def __init__(
        self, files: Files, sandbox: str, log: Log, environ: Mapping[str, str], guarded: bool, token: str
    ) -> None:
        self._kernel = Kernel()
        self._kernel.adopt_orphans()
        self._files, self._sandbox, self._log, self._environ = files, sandbox, log, environ
        self._events: deque[Event] = deque()
        self._loop = Loop()
        self._loop.on_signals((signal.SIGTERM, signal.SIGINT), self._ended_by)
        self._loop.on_signals((signal.SIGCHLD,), self._child_ended)
        self._warden = os.getppid() if guarded else 0
        if guarded:
            self._loop.on_signals((WARDEN_GONE,), self._warden_gone)
        memory = memory_cgroup(environ, own_cgroups())
        self._program = Program(self._kernel, (files.stdout, files.stderr), memory, log.say, ContainerStart())
        self._link = Link(self._loop, log, self._events.append, environ, token)
        self._state = begin(self._kernel.now(), patience_s(environ), bool(token))
        self._claim = InstanceClaim(
            self._kernel, environ[SPOOL_VARIABLE], environ[KEY_VARIABLE], environ.get("MESOS_FRAMEWORK_ID", "")
        )
        self._registration = Registration(environ[SPOOL_VARIABLE], sandbox, files, log)
        #: When it is looked at next whether somebody emptied the program's files, and how long after the time before.
        self._look_at, self._look_s = 0.0, FIRST_LOOK_S
        #: When what the child says is listened to from; None: it is already, or there is none.
        self._listen_at: float | None = None
        self._looks: SurveyLooks | None = None
        self._moving: Moving | None = None
        self._console: Console | None = None
        self._link.console = self._ask_console
        self._made_side_commands: SideCommands | None = None
        self._checks: Checks | None = None

    def run(self) -> int:
        """Serve until the program has ended for good and that is reported."""
        try:
            self._loop.run(self._wake_at, self._woken, self._settle)
            if self._program.relay is not None:
                self._program.relay.end()
            if self._kernel.alone():
                self._claim.left(self._kernel.now().clock)
            return 0
        except BaseException as error:
            self._log.say(place_of(error))
            try:
                if self._state.payload is not None and self._state.program:
                    end_by_rules(
                        self._kernel,
                        self._state.payload.stop,
                        self._program.signal,
                        lambda: take_lines(self._program.relay),
                    )
            finally:
                # not before: what the relay process begins then would get the program's signals
                end_with_lines(
                    self._kernel, self._program.relay, self._log
                )  # the warden takes our word that nothing is left
            return 1
        finally:
            if self._checks is not None:
                self._checks.close()

    # ----------------------------------------------------------------------------------- what is heard

    def _wake_at(self) -> float | None:
        look_at = self._look_at if self._program.pid else None
        moving = self._moving.wake_at if self._moving is not None else None
        console = self._console.wake_at if self._console is not None else None
        times = (self._state.wake_at, self._link.wake_at(), look_at, moving, console, self._listen_at)
        return min((time for time in times if time is not None), default=None)

    def _woken(self) -> None:
        wake_at = self._state.wake_at
        if wake_at is not None and self._loop.now() >= wake_at:
            self._events.append(Ticked())
        self._link.wake()
        if self._listen_at is not None and self._loop.now() >= self._listen_at:
            self._listen_at = None
            if self._program.talk >= 0:
                self._loop.watch(self._program.talk, READ, self._child_speaks)
        if self._moving is not None:
            self._moving.wake()
        if (
            self._console is not None
            and self._console.wake_at is not None
            and self._loop.now() >= self._console.wake_at
        ):
            self._console.wake()
        if self._program.pid and self._loop.now() >= self._look_at:
            self._look_s = min(MOST_LOOK_S, self._look_s * 2)
            self._look_at = self._loop.now() + self._look_s
            self._events += self._program.emptied()
            self._registration.settle()

    def _ended_by(self, number: int) -> None:
        self._events.append(StopAsked(f"{signal_name(number)} to the executor"))

    def _warden_gone(self, number: int) -> None:
        """Without it nobody would clear up behind us, so we end while we can; the framework starts another one."""
        if os.getppid() == self._warden:
            return  # somebody sent the signal by hand
        self._log.say("its warden is gone (kill -9?): ends the program and leaves")
        try:
            end_with_lines(self._kernel, self._program.relay, self._log)
        finally:
            os._exit(1)

    def _child_ended(self, number: int) -> None:
        self._hear(self._program.reap)

    def _child_speaks(self, mask: int) -> None:
        self._hear(self._program.listen)

    def _hear(self, look: Callable[[], list[Event]]) -> None:
        """Take the program's news, and watch its pipe no longer if that was closed: the next file gets its number."""
        talk = self._program.talk
        self._events.extend(look())
        if talk >= 0 and self._program.talk != talk:
            self._loop.forget(talk)
            self._listen_at = None

    def _settle(self) -> None:
        while self._events:
            event = self._events.popleft()
            if isinstance(event, Launched) and event.payload.forward:
                event = replace(event, note=self._registration.begin(event.payload, self._kernel.now().wall))
            self._state, commands = lifecycle.handle(self._state, event, self._kernel.now())
            for command in commands:
                self._perform(command)
        if self._console is not None:
            self._console.changed()

    # ------------------------------------------------------------------------------------ what is done

    def _perform(self, command: Command) -> None:
        """Where a check or a side command fails by a mistake of ours, it alone fails: with a sentence."""
        try:
            self._do(command)
        except Exception as error:
            problem = place_of(error)
            if isinstance(command, RunSideCommand):
                self._events.append(SideCommandEnded(command.key, False, f"not run: {problem}"))
            elif isinstance(command, Ask):
                self._events.append(Answered(command.number, command.ask, None, problem))
            elif isinstance(command, Look):
                self._events.append(LookEnded(command.look, problem))
            elif isinstance(command, Spawn) and not self._program.pid:
                self._events.append(StartFailed(problem))
            elif not isinstance(command, (EndSideCommand, EndAsk, Obey, LeaveLook)):
                raise
            self._log.say(problem)

    def _do(self, command: Command) -> None:
        if isinstance(command, Claim):
            self._events.appendleft(self._claim.take(command.payload, self._kernel.now().clock))
        elif isinstance(command, Spawn):
            self._registration.started(self._state.restarts + 1)
            answers = self._program.spawn(self._with_checks(command.payload))
            self._events.extendleft(reversed(answers))
            if self._moving is None and self._program.relay is not None:
                from daqsched_executor.run.moving import Moving  # programs in containers have none

                self._moving = Moving(self._loop, self._program.relay, self._program.keep)
            self._look_s = FIRST_LOOK_S
            self._look_at = self._loop.now() + FIRST_LOOK_S
            if self._program.talk >= 0:
                self._listen_at = self._loop.now() + min(UNASKED_S, command.payload.probe_timeout_s / 4)
                self._loop.watch(self._program.talk, 0, self._child_speaks)
        elif isinstance(command, Signal):
            self._hear(lambda: self._program.signal(command.name))
        elif isinstance(command, KillTree):
            self._hear(self._program.kill_tree)
        elif isinstance(command, RunSideCommand):
            self._run_beside(command)
        elif isinstance(command, EndSideCommand):
            self._side_commands.end(command.key)
        elif isinstance(command, Ask):
            assert self._checks is not None, "a program with checks was started"
            self._checks.ask(command)
        elif isinstance(command, EndAsk):
            assert self._checks is not None, "a program with checks was started"
            self._checks.end(command.number)
        elif isinstance(command, Obey):
            self._obey(command)
        elif isinstance(command, (Look, LeaveLook)):
            self._survey(command)
        elif isinstance(command, Tell):
            self._link.tell(command)
        elif isinstance(command, Say):
            self._log.say(command.sentence)
        elif isinstance(command, Leave):
            self._loop.stop()

    def _run_beside(self, command: RunSideCommand) -> None:
        def done(ok: bool | None, words: str, lines: tuple[str, ...]) -> None:
            self._events.append(SideCommandEnded(command.key, bool(ok), words, lines))

        assert self._state.payload is not None
        if command.key in self._side_commands:  # abandoned, and SIGKILL does not end it
            return done(False, "not run: the last one hangs in the kernel", ())
        say = (lambda line: self._log.say(f"{command.key}: {line}")) if command.aloud else None
        try:
            self._side_commands.begin(command.key, self._state.payload, command.argv, command.timeout_s, done, say)
        except OSError as error:
            done(False, no_process(error), ())

    @property
    def _side_commands(self) -> SideCommands:
        if self._made_side_commands is None:
            from daqsched_executor.run.side_commands import SideCommands  # few jobs have hooks, actions, such checks

            self._made_side_commands = SideCommands(self._kernel, self._loop, self._program)
        return self._made_side_commands

    def _with_checks(self, payload: Payload) -> Payload:
        """Get ready for a start: the payload, with what the checks add to the program's environment."""
        if not payload.checks:
            return payload
        return self._made_checks().begin(payload, lambda: self._hear(self._program.listen))

    def _made_checks(self) -> Checks:
        if self._checks is None:
            from daqsched_executor.run.checks import Checks  # many jobs have none

            self._checks = Checks(
                self._kernel,
                self._loop,
                self._program,
                self._files,
                self._sandbox,
                self._events.append,
                self._log.say,
                lambda: self._side_commands,
            )
        return self._checks

    def _obey(self, command: Obey) -> None:
        payload = command.payload
        if command.checks and (payload.checks or self._checks is not None):
            self._made_checks().renew(payload)
        now = self._kernel.now()
        for problem in (self._claim.renew(payload, now.clock), self._registration.renew(payload, now.wall)):
            if problem:
                self._log.say(problem)

    def _ask_console(self, data: bytes) -> None:
        if self._console is None:
            from daqsched_executor.run.console import Console  # few programs have a terminal

            self._console = Console(
                self._loop,
                self._link.send,
                self._log.say,
                lambda: self._program.terminal,
                lambda: (self._state.restarts + 1, bool(self._program.pid)),
            )
        self._console.ask(data)

    def _survey(self, command: Look | LeaveLook) -> None:
        if self._looks is None:
            from daqsched_executor.run.survey import SurveyLooks  # few executors are there for a survey

            self._looks = SurveyLooks(self._kernel, self._loop, self._events.append)
        if isinstance(command, Look):
            self._looks.begin(command)
        else:
            self._looks.leave(command.look)
