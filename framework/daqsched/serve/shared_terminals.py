"""Programs' terminals, each shared by whoever is attached: who types, what was printed, what its executor is asked.

What a program prints comes once to us, for as long as somebody is attached, and goes to all of them: each asks for what follows
the place that he has read to. One of them types: who attached first and asked for it, who takes it over, or where nobody does
whoever asked for it and presses the next key. Each change of that is told to all. Nothing of it is saved: after a restart, or
where another daemon leads by now, whoever is attached attaches again, and reads on from where he was. Who attached, who typed
and how much is in the audit file.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping, Sized
from dataclasses import dataclass, field
from typing import Any, Optional

from daqsched.engine import commands
from daqsched.engine.engine import Engine
from daqsched.engine.instance import Key
from daqsched.errors import DaqschedError, Forgotten, Refused, UserError
from daqsched.protocol import ConsoleKeys, ConsoleOutput, ConsoleRead, ConsoleRequest, ConsoleTyped
from daqsched.serve.audit import DONE, Audit, Entry
from daqsched.serve.audit_note import known_as
from daqsched.serve.connection_budget import places
from daqsched.serve.daemon import Ask, Daemon
from daqsched.serve.http import Caller
from daqsched.serve.scrollback import Scrollback
from daqsched_executor.contract import ContractError
from daqsched_executor.contract.console import LEASE_S, ON, ConsoleAsk, ConsoleSaid

#: So many terminals are watched at once, with so many people at each.
MOST_CONSOLES, MOST_ATTACHED = 64, 16
#: After what time without a read somebody is not attached any more.
GONE_S = 20.0
#: How often an executor is asked to go on; one that says nothing to three of these is silent.
RENEW_S = LEASE_S / 5
#: How long what was typed may take to be confirmed, and how long the next waits at least.
CONFIRM_S, PAUSE_S = 2.0, 0.02
#: What a terminal without a task says.
NOTHING_RUNS = "nothing runs"
#: So much is read at once.
READ_BYTES = 64 * 1024


@dataclass
class Attached:
    """One person at a terminal."""

    caller: Caller
    console: SharedTerminal
    began: float
    heard: float
    audit: Optional[Audit]
    message: str
    #: Whether he asked for it to type.
    wants: bool
    typed: int = 0


@dataclass
class SharedTerminal:
    """One terminal; ``id`` tells the executor who asks."""

    key: Key
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    screen: Optional[Scrollback] = None
    attached: dict[str, Attached] = field(default_factory=dict)
    #: Who types, by id; empty: nobody.
    writer: str = ""
    number: int = 0
    #: When something was typed last.
    typed: float = 0.0
    #: The keys that are not confirmed yet, by their number.
    waiting: dict[int, asyncio.Future[int]] = field(default_factory=dict)
    typing: asyncio.Lock = field(default_factory=asyncio.Lock)
    silent: str = ""
    heard: float = 0.0
    version: int = 1
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    tending: Optional[asyncio.Task[None]] = None

    def renew(self) -> None:
        """Something is so now that was not."""
        self.version += 1
        self.changed.set()
        self.changed = asyncio.Event()

    def has_for(self, asked: ConsoleRead) -> bool:
        """Whether something is printed, or so, that whoever asks does not know."""
        screen = self.screen
        if screen is not None and screen.known and (screen.task_id != asked.task_id or asked.offset < screen.end):
            return True
        return self.version != asked.seen

    def output(self, id: str, asked: ConsoleRead) -> ConsoleOutput:
        """What follows the place that this one has read to."""
        screen = self.screen
        task_id, offset, data, skipped = asked.task_id, asked.offset, b"", 0
        if screen is not None and screen.known:
            offset_or_last = None if not asked.task_id else asked.offset if asked.task_id == screen.task_id else 0
            task_id = screen.task_id
            offset, data, skipped = screen.read(offset_or_last, READ_BYTES)
        writer = self.attached[self.writer] if self.writer else None
        return ConsoleOutput(
            task_id=task_id,
            offset=offset,
            data=data,
            skipped=skipped,
            start=screen.start if screen is not None else 0,
            runs=screen.runs if screen is not None else False,
            silent=self.silent,
            writer=f"{writer.caller.name} (pid {writer.caller.pid})" if writer is not None else "",
            writes=self.writer == id,
            attached=len(self.attached),
            seen=self.version,
        )


class SharedTerminals:
    """Those that somebody is attached to, for one event loop."""

    def __init__(self, daemon: Daemon, ask: Ask) -> None:
        self._daemon, self._ask = daemon, ask
        self._loop: Optional[asyncio.AbstractEventLoop] = None
        self._consoles: dict[Key, SharedTerminal] = {}
        self._attached: dict[str, Attached] = {}
        self._by_task: dict[str, SharedTerminal] = {}

    async def attach(self, caller: Caller, audit: Optional[Audit], asked: ConsoleRequest) -> tuple[str, bool]:
        """His id, and whether what he types goes to the program; raises `Refused` where there is no room."""
        self._loop = loop = asyncio.get_running_loop()
        key = (asked.job, asked.host)
        before = self._attached.get(asked.again)
        wrote = False
        if before is not None and before.console.key == key and _same(before.caller, caller):
            wrote = before.console.writer == asked.again
            await self.leave(asked.again, "attached again")
        console = self._consoles.get(key)
        if console is None and _full(self._consoles, MOST_CONSOLES, self._attached, caller):
            raise Refused(f"{len(self._consoles)} terminals are watched at present, which is the limit: try again")
        if console is not None and _full(console.attached, MOST_ATTACHED, console.attached, caller):
            there = f"{len(console.attached)} are attached to {key[0]}@{key[1]}"
            raise Refused(f"{there}, which is the limit: try again")
        if console is None:
            console = self._consoles[key] = SharedTerminal(key)
            console.tending = loop.create_task(self._tend(console))
        id, now = secrets.token_hex(8), loop.time()
        one = Attached(caller, console, now, now, audit, asked.message, asked.write)
        self._attached[id] = console.attached[id] = one
        first = not asked.again or wrote or asked.wrote  # whoever attaches again did not ask for more than he had
        if asked.write and (asked.take or (first and not console.writer)):
            console.writer = id
        console.renew()
        return id, console.writer == id

    def of(self, id: str, caller: Caller) -> Attached:
        """Whoever is attached by this id, who has been heard of now; raises `Forgotten`."""
        one = self._attached.get(id)
        if one is None or not _same(one.caller, caller):
            raise Forgotten("you are not attached (any more): attach again")
        self.heard_of(id)
        return one

    def heard_of(self, id: str) -> None:
        """He is still there, if he is."""
        if id in self._attached:
            self._attached[id].heard = asyncio.get_running_loop().time()

    async def type(self, id: str, one: Attached, asked: ConsoleKeys) -> ConsoleTyped:
        """Send keys, or a window's size, to the program, and wait until its executor has confirmed it. One at a time
        (`SharedTerminal.typing`); raises `Refused` where somebody else types."""
        console, loop = one.console, asyncio.get_running_loop()
        if asked.keys and one.wants and not console.writer and id in console.attached:
            console.writer = id
            console.renew()
        _look_at_writer(console, id)
        if console.screen is None or console.silent == NOTHING_RUNS:
            await self._look(console, loop.time())  # who has just attached is as fast as our first look
            _look_at_writer(console, id)
        if console.screen is None or console.silent == NOTHING_RUNS:
            return ConsoleTyped(True, len(asked.keys))
        await asyncio.sleep(max(0.0, console.typed + PAUSE_S - loop.time()))
        console.typed = loop.time()
        if asked.keys and not one.typed:
            await _note(one, "console type", {})
        _look_at_writer(console, id)  # somebody may have taken over meanwhile
        one.typed += len(asked.keys)
        console.number += 1
        done = console.waiting[console.number] = loop.create_future()
        ask = ConsoleAsk(
            console.id,
            ON,
            asked.keys,
            console.number,
            one.caller.name[:100],
            max(0, asked.rows),
            max(0, asked.columns),
        )
        self._send(console.screen, ask)
        try:
            refused = await asyncio.wait_for(done, CONFIRM_S)
        except asyncio.TimeoutError:
            return ConsoleTyped(False)
        finally:
            console.waiting.pop(ask.number, None)
        return ConsoleTyped(True, refused)

    async def leave(self, id: str, how: str) -> None:
        """Of his own, or not: ``how`` is for the audit file."""
        one = self._attached.pop(id, None)
        if one is None:
            return
        console = one.console
        console.attached.pop(id, None)
        if console.writer == id:
            console.writer = ""
        console.renew()
        seconds = round(asyncio.get_running_loop().time() - one.began)
        await _note(one, "console end", {"typed": one.typed, "seconds": seconds, "how": how})

    # ------------------------------------------------------------------ the executor's end

    def heard(self, task_id: str, agent_id: str, data: bytes) -> None:
        """An executor says something; from any thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._heard, task_id, agent_id, data)

    def _heard(self, task_id: str, agent_id: str, data: bytes) -> None:
        console = self._by_task.get(task_id)
        screen = console.screen if console is not None else None
        if console is None or screen is None or agent_id != screen.agent_id:
            return
        try:
            said = ConsoleSaid.from_json(data)
        except ContractError as error:
            console.silent = f"what its executor says is not understood: {error}"
            console.renew()
            return
        if said.id != console.id:
            return
        console.heard, console.silent = asyncio.get_running_loop().time(), ""
        for number, done in list(console.waiting.items()):
            if number <= said.number and not done.done():
                done.set_result(said.refused if number == said.number else 0)
        again = screen.hear(said)
        if again is not None:
            self._send(screen, ConsoleAsk(console.id, again))
        console.renew()

    def _send(self, screen: Scrollback, ask: ConsoleAsk) -> None:
        self._daemon.type(commands.Type(screen.task_id, screen.agent_id, ask))

    async def _tend(self, console: SharedTerminal) -> None:
        """For as long as somebody is attached: have its executor go on, whichever that is by now."""
        loop = asyncio.get_running_loop()
        try:
            while console.attached:
                await self._look(console, loop.time())
                await asyncio.sleep(RENEW_S)
                for id, one in list(console.attached.items()):
                    if loop.time() - one.heard > GONE_S:
                        await self.leave(id, "not heard of any more")
        finally:
            for id in console.attached:  # none, but after a mistake of ours: they attach again
                self._attached.pop(id, None)
            self._consoles.pop(console.key, None)
            if console.screen is not None:
                self._by_task.pop(console.screen.task_id, None)

    async def _look(self, console: SharedTerminal, now: float) -> None:
        silent = ""
        try:
            task_id, agent_id = await self.task_of(console.key)
        except DaqschedError as error:
            task_id, agent_id, silent = "", "", str(error)
        screen = console.screen
        if task_id and (screen is None or screen.task_id != task_id):
            if screen is not None:
                self._by_task.pop(screen.task_id, None)
            screen = console.screen = Scrollback(task_id, agent_id, whole=screen is not None)
            self._by_task[task_id] = console
            console.heard = now
        if not task_id:
            silent = silent or NOTHING_RUNS
        elif screen is not None:
            self._send(screen, ConsoleAsk(console.id, screen.wanted))
            if now - console.heard > 3 * RENEW_S:
                silent = f"its host has not answered for {now - console.heard:.0f} s"
        if silent != console.silent:
            console.silent = silent
            console.renew()

    async def task_of(self, key: Key) -> tuple[str, str]:
        """The task and its agent; empty: there is none now. Raises `UserError` where there is no terminal."""
        name = f"{key[0]}@{key[1]}"

        def answer(engine: Engine, now: float) -> tuple[str, str]:
            instance = engine.instances.get(key)
            if instance is None:
                raise UserError(f"there is no {name}: `daqsched status` lists what there is")
            if instance.job is not None and not instance.job.console:
                raise UserError(f"{name} has no terminal: the job file says which do, Job(console=True)")
            task = instance.record.task
            return (task.id, task.agent_id) if task is not None else ("", "")

        found: tuple[str, str] = await self._ask(answer)
        return found


def _full(there: Sized, most: int, attached: Mapping[str, Attached], caller: Caller) -> bool:
    """Whether there is no room for one more of these."""
    return len(there) >= places(most, any(_same(one.caller, caller) for one in attached.values()))


def _same(one: Caller, other: Caller) -> bool:
    # a name alone may be somebody else's, by another door
    return (one.uid, one.name, one.who.identities) == (other.uid, other.name, other.who.identities)


def _look_at_writer(console: SharedTerminal, id: str) -> None:
    """Raise `Refused` where another one types, or nobody."""
    if console.writer != id:
        writer = console.attached.get(console.writer)
        whose = f"{writer.caller.name} (pid {writer.caller.pid}) types" if writer is not None else "you only look"
        raise Refused(f"what you type does not go to the program: {whose}; `--take` takes that over")


async def _note(one: Attached, operation: str, about: dict[str, Any]) -> None:
    """In the audit file, on the disk when this returns."""
    audit = one.audit
    if audit is None:
        return
    caller, (job, host) = one.caller, one.console.key
    who = (caller.name, caller.uid, caller.gid, caller.pid, caller.door, caller.via)
    entry = Entry(*who, operation, DONE, {"job": job, "host": host, **about}, known_as=known_as(caller.grants))
    await asyncio.get_running_loop().run_in_executor(audit.thread, audit.note, entry)
