"""One program and everything it begins, as the kernel shows it: started, signalled, killed, reaped.

This is the only module that knows of pids. It takes `lifecycle`'s commands and gives back its events; the loop tells
it when its pipe can be read and when a child has ended.

Why no process escapes: the executor is the child subreaper, so whatever the program begins, double-forked or not,
stays below it in the process tree; the program dies with the executor (PR_SET_PDEATHSIG); and nothing else is ever a
child of the executor but the runners of side commands, whose trees are left out, so "all other descendants" is exactly "all
that the program began".
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from daqsched_executor.contract import PIPE, STDERR, STDOUT, Payload
from daqsched_executor.life.events import (
    Died,
    Emptied,
    Event,
    PathFailed,
    Reached,
    SandboxGone,
    SignalRefused,
    Spawned,
    Started,
    StartFailed,
    TreeGone,
)
from daqsched_executor.machine import child
from daqsched_executor.machine.account import remember
from daqsched_executor.machine.death import Watch
from daqsched_executor.machine.filestore import FileStore
from daqsched_executor.machine.forking import fork_child, no_process
from daqsched_executor.machine.kernel import JANITOR, Ended, Kernel, ProcessEntry, signal_number

if TYPE_CHECKING:
    from daqsched_executor.machine.relay import Relay
    from daqsched_executor.machine.terminal import Terminal

#: How often /proc is read again that shows nothing where something lives.
SCANS = 100

#: Asks a container's runner to SIGKILL the container: a runner that is killed itself can't copy the last lines.
KILL_CONTAINER = int(signal.SIGRTMAX) - 1


class Program:
    """At most one at a time: `spawn` refuses while a child or anything that it began is there."""

    def __init__(
        self,
        kernel: Kernel,
        output: tuple[int, int],
        memory: str = "",
        say: Callable[[str], None] = lambda sentence: None,
        contained: child.Contained | None = None,
    ) -> None:
        """``memory``: see `death.memory_cgroup`; ``say`` is for executor.log; ``contained``: for programs in containers."""
        self._say = say
        self._contained = contained
        self._kernel = kernel
        self._output = output
        self._watch = Watch(output, memory)
        #: The child or program; 0 where there is none.
        self.pid = 0
        #: What a program left for the next start; None where it can't leave anything.
        self.store: FileStore | None = None
        #: The path of the socket that its messages go to, which the job's account is given; empty: there is none.
        self.notify = ""
        #: The runners of side commands: what these begin is not the program's.
        self.runners: set[int] = set()
        #: Where the child speaks to us until exec closes it; -1 where there is none.
        self.talk = -1
        self._heard = b""
        #: The child said that exec comes next.
        self._executing = False
        #: exec worked.
        self._started = False
        #: The child's own last words, if it could not start.
        self._failure: Event | None = None
        #: The program has ended, and what it left behind has not.
        self._clearing = False
        #: SIGKILL was sent to all; what is born meanwhile gets it as well.
        self._killing = False
        #: For a program in a container: the file in memory that its runner reads its `ContainerSpec` from and leaves its last
        #: words in; -1 for any other.
        self._order = -1
        #: Whom the payload names.
        self._user = ""
        #: The runner, while it is asked and not killed.
        self._asked = 0
        #: The program's file as it was when it last started well, and as the present child says that it is.
        self._known = self._same = ""
        #: What is between the program and its files, if something is.
        self.relay: Relay | None = None
        #: The same, where that is a terminal.
        self.terminal: Terminal | None = None
        #: Why there was no start, held back until what the runner began is gone.
        self._held: Event | None = None

    def spawn(self, payload: Payload) -> list[Event]:
        """Fork the child that becomes the program."""
        assert self.pid == 0 and not self._clearing, "the last program is still there"
        self._heard, self._failure = b"", None
        self._executing = self._started = self._killing = False
        self._same = ""
        self._user = payload.user
        self._watch.begin()
        self._asked = 0
        if self._order >= 0:
            os.close(self._order)
            self._order = -1
        try:
            if payload.container is not None:
                if self._contained is not None:
                    self._contained.prepare()
                self._order = os.memfd_create("order")
            between = (payload.output == PIPE or payload.console) and payload.container is None
            output = self._drained(payload.console) if between else self._output
            files = self.store.kept if self.store is not None else ()
            self.pid, self.talk = fork_child(
                self._kernel, payload, output, self._order, self._known, files, self.notify, self._contained
            )
        except OSError as error:
            return [StartFailed(no_process(error))]
        return [Spawned(self.pid)]

    def _drained(self, console: bool) -> tuple[int, ...]:
        """What the program prints to, where something is between it and its files."""
        if self.relay is None:
            run_id = os.path.basename(os.environ.get("MESOS_DIRECTORY", ""))
            if console:
                from daqsched_executor.machine.terminal import Terminal  # few have one

                self.terminal = Terminal(self._output, run_id, self._say)
                self.relay = self.terminal
            else:
                from daqsched_executor.machine.relay import Relay  # not those in containers

                self.relay = Relay(self._output, run_id, self._say)
            if self.relay.process:
                self.runners.add(self.relay.process)
        else:
            self.keep()
        if self.terminal is not None:
            self.terminal.begin()
        return self.relay.ends

    def keep(self) -> None:
        """Have a relay process where there is none (any more), if that can be now."""
        assert self.relay is not None
        self.relay.renew()
        if self.relay.process:
            self.runners.add(self.relay.process)

    def emptied(self) -> list[Event]:
        """Whether the program, or somebody, emptied what it prints to."""
        names = tuple((STDOUT, STDERR)[number] for number in self._watch.emptied())
        return [Emptied(names)] if names else []

    def listen(self) -> list[Event]:
        """What the child said since the last time; ends with `Started` when exec closed the pipe."""
        if self.talk < 0:
            return []
        events: list[Event] = []
        while True:
            try:
                heard = os.read(self.talk, 65536)
            except BlockingIOError:
                break
            if not heard:
                os.close(self.talk)
                self.talk = -1
                # the pipe also ends with a child that is killed before or within exec
                if self._executing and self._failure is None and not self._kernel.never_execed(self.pid):
                    self._started = True
                    events.append(Started())
                break
            *lines, self._heard = (self._heard + heard).split(b"\n")
            for line in lines:
                events += self._understand(line.decode("utf-8", "surrogateescape"))
        # only the last path matters: that is the one a hanging child is at
        return [event for event in events[:-1] if not isinstance(event, Reached)] + events[-1:]

    def _understand(self, line: str) -> list[Event]:
        word, _, rest = line.partition(" ")
        if word == "at":
            return [Reached(rest)]
        if word == "wait":
            return [Reached(f"the account {rest}", account=True)]
        if word == "who":
            remember(self._user, rest)
            return []
        if word == "is":
            self._same = rest
            return []
        if word == "exec":
            self._executing = True
            return [Reached("")]
        if word == "gone":
            self._failure = SandboxGone(rest)
        else:
            self._failure = PathFailed(rest) if word == "path" else StartFailed(rest)
        return []

    def reap(self) -> list[Event]:
        """Take in every child that has ended; called whenever SIGCHLD came, and whenever something was killed."""
        events: list[Event] = []
        ended_program: Ended | None = None
        living: list[ProcessEntry] = []
        for _ in range(SCANS):
            alone = False
            while True:
                try:
                    ended = self._kernel.reap()
                except ChildProcessError:
                    alone = True
                    break
                if ended is None:
                    break
                self.runners.discard(ended.pid)
                if self.relay is not None and ended.pid == self.relay.process:
                    self._relay_ended()
                if ended.pid == self.pid:
                    ended_program = ended
                    events += self.listen()
                    self.pid = 0
            # of a program that runs on nobody asks what else lives: it may leave us orphans by the dozen
            wanted = ended_program is not None or self._clearing or self._killing
            # wait says that something lives: where /proc shows nothing, it forked and exited while we read
            living = self._kernel.descendants(self.runners) if wanted and not alone else []
            if alone or living or not wanted or self._kernel.has_only(self.runners):
                break
        if self.relay is not None and (ended_program is not None or (self._clearing and not living)):
            self.relay.take_all()
        if ended_program is not None:
            end = self._end_of(ended_program, len(living))
            self._clearing = bool(living)
            if living and not self._started:  # a runner that could not start its container leaves its janitor
                self._held = end
            else:
                events.append(end)
        elif self._clearing and not living:
            self._clearing = False
            events.append(self._held or TreeGone())
            self._held = None
        if self._killing and living:
            self._kill_all()
        return events

    def _relay_ended(self) -> None:
        """Somebody killed it."""
        assert self.relay is not None
        try:
            self.relay.again()
            self.runners.add(self.relay.process)
        except OSError as error:
            from daqsched_executor.machine.relay import unkept  # not for those in containers

            self._say(unkept(error))

    def _end_of(self, ended: Ended, left: int) -> Event:
        if self.talk >= 0:
            os.close(self.talk)
            self.talk = -1
        # 127 is what a loader, or a shell, ends with that does not find something: then it is looked for again
        self._known = self._same if self._started and ended.code != 127 else ""
        if self._started:
            lines = self._watch.lines(self.relay.written() if self.relay is not None else ())
            return Died(ended.code, ended.signal, ended.core, left, lines=lines, **self._memory(ended))
        if self._failure is not None:
            return self._failure
        how = f"killed by {ended.signal}" if ended.signal else f"exit code {ended.code}"
        return StartFailed(f"the start was cut short: {how}")

    def _memory(self, ended: Ended) -> dict[str, Any]:
        """How much the program held, and whether it died of that. A container's runner left word of its program."""
        if self._order >= 0 and self._contained is not None:
            out_of_memory, limit = self._contained.last(os.pread(self._order, 1 << 16, 0))
            return {"out_of_memory": out_of_memory, "limit": limit}
        memory = self._watch.memory()
        if memory is None:
            return {"peak": ended.peak}
        return {"out_of_memory": True, "peak": max(ended.peak, memory.peak), "limit": memory.limit}

    def signal(self, name: str) -> list[Event]:
        """The signal to the program's group and to what left the group; SIGCONT, so that a stopped one hears it."""
        number = signal_number(name)
        group = self.pid
        refused: list[ProcessEntry] = []
        entries = self._kernel.descendants(self.runners)
        if group:
            if not self._kernel.signal_group(group, number):
                refused = [entry for entry in entries if entry.pid == group]
            self._kernel.signal_group(group, signal.SIGCONT)
        for entry in entries:
            if entry.group != group:
                self._kernel.signal_process(entry, number)
        return self._told(refused)

    def kill_tree(self) -> list[Event]:
        """SIGKILL to all that there is, and, from `reap`, to what was born meanwhile, until nothing is left."""
        events = self.listen()
        # a container's runner is asked first, and killed only if we have to come back
        ask = self._order >= 0 and self._started and self.pid and not self._killing
        self._asked = self.pid if ask else 0
        self._killing = True
        if self.pid:
            self._kernel.signal_group(self.pid, KILL_CONTAINER if ask else signal.SIGKILL)
        refused = self._kill_all()
        return events + self.reap() + refused

    def _kill_all(self) -> list[Event]:
        refused = []
        for entry in self._kernel.descendants(self.runners):
            if entry.pid != self._asked and not (self._order >= 0 and entry.name == JANITOR):
                if not self._kernel.signal_process(entry, signal.SIGKILL):
                    refused.append(entry)
        return self._told(refused)

    def _told(self, refused: list[ProcessEntry]) -> list[Event]:
        """Those that our account may not signal: a program that became another account's (sudo, su; credentials(7))."""
        if not refused:
            return []
        first = refused[0]
        more = f" and {len(refused) - 1} more" if len(refused) > 1 else ""
        who = f"pid {first.pid} ({first.name}), which runs as uid {self._kernel.owner(first.pid)},{more}"
        return [SignalRefused(f"{who} can't be ended by uid {os.geteuid()}, the executor's account")]
