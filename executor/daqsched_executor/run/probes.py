"""How each type of check is carried out: `PROBES`. None ever blocks the loop.

``tcp`` and ``http`` are sockets in the loop, ``output`` is a look at files that are open anyway; ``command`` is a side
command, and a ``file``'s time, or a name's address, is looked up by a fork, because both may hang.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from daqsched_executor.contract import STDERR, STDOUT, Check, Payload
from daqsched_executor.log import place_of
from daqsched_executor.machine.kernel import Kernel, clock
from daqsched_executor.machine.probe import sentence
from daqsched_executor.machine.process import Program
from daqsched_executor.run.forked_query import ForkedQuery
from daqsched_executor.run.loop import Loop
from daqsched_executor.run.output_probe import OutputProbe
from daqsched_executor.run.port_probe import HTTP, PortProbe, PortProtocol, look_up, numeric
from daqsched_executor.run.streams import Files

if TYPE_CHECKING:
    from daqsched_executor.run.side_commands import SideCommands

#: How a fork says yes; anything else is why not.
YES, GONE = "yes", "gone"

#: Whether a check passed (None: we could not ask), and why not.
Answer = Callable[["bool | None", str], None]


class Attempt(Protocol):
    """What is under way and can be abandoned."""

    def close(self) -> None:
        """End it; nothing is heard of it any more."""


#: Takes what is under way, if anything is; again where something else follows it.
Begun = Callable[[Attempt], None]

#: Begins one probe of a check; a sign of life counts from that time on (seconds since the epoch). It answers once, at once
#: or later, unless what is under way is closed first. Raises OSError where no process can be started.
Probing = Callable[[float, Begun, Answer], None]


@dataclass(frozen=True)
class Means:
    """What an executor has for probes."""

    kernel: Kernel
    loop: Loop
    program: Program
    files: Files
    sandbox: str
    side_commands: Callable[[], SideCommands]


class ForkedQueries:
    """Questions of one check that may hang, in all runs of its program, each asked by a fork."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._last: ForkedQuery | None = None

    @property
    def hangs(self) -> bool:
        """Whether the last one was abandoned, and its fork is there all the same: no other one is begun."""
        return self._last is not None and self._last.alive

    def ask(self, user: str, question: Callable[[], str], done: Callable[[str], None], answered: Answer) -> ForkedQuery:
        """``done`` takes the answer. Raises OSError where there can be no fork."""

        def failed(error: Exception) -> None:
            answered(None, place_of(error))

        means = self._means
        self._last = ForkedQuery(means.kernel, means.loop, means.program, user, question, done, failed)
        return self._last


class CommandRun:
    """A side command, by its key."""

    def __init__(self, side_commands: SideCommands, key: str) -> None:
        self._side_commands, self._key = side_commands, key
        self.heard = True

    def close(self) -> None:
        """It dies in its own time."""
        self.heard = False
        self._side_commands.end(self._key)


def command(means: Means, queries: ForkedQueries, number: int, check: Check, payload: Payload) -> Probing:
    """Its exit status; its last line is why not."""
    key = f"check {number}"

    def ask(since: float, begun: Begun, answered: Answer) -> None:
        side_commands = means.side_commands()
        if key in side_commands:
            return answered(False, "the last run of it is still being ended")
        run = CommandRun(side_commands, key)

        def done(ok: bool | None, words: str, lines: tuple[str, ...]) -> None:
            if run.heard:
                answered(ok, "" if ok else f"{lines[-1]} ({words})" if lines else words)

        side_commands.begin(key, payload, check.argv, check.timeout_s, done)
        return begun(run)

    return ask


def tcp(means: Means, queries: ForkedQueries, number: int, check: Check, payload: Payload) -> Probing:
    """Whether a connection is taken."""
    return _port(means, queries, check, None)


def http(means: Means, queries: ForkedQueries, number: int, check: Check, payload: Payload) -> Probing:
    """What a GET is answered with."""
    return _port(means, queries, check, HTTP)


def _port(means: Means, queries: ForkedQueries, check: Check, protocol: PortProtocol | None) -> Probing:
    def ask(since: float, begun: Begun, answered: Answer) -> None:
        def connect(addresses: list[tuple[int, str]]) -> None:
            probe = PortProbe(means.loop, check, protocol, addresses, answered)
            begun(probe)
            probe.begin()

        def found(text: str) -> None:
            pairs = [line.partition(" ") for line in text.splitlines()]
            addresses = [(int(family), host) for family, _, host in pairs if family.isdigit()]
            if addresses:
                connect(addresses)
            else:
                answered(False, f"{check.address} has no address: {text or 'the look-up was killed'}")

        addresses = numeric(check.address)
        if addresses:
            return connect(addresses)
        if queries.hangs:
            return answered(False, f"the last look-up of {check.address} still hangs")
        return begun(queries.ask("", lambda: _addresses(check.address), found, answered))

    return ask


def output(means: Means, queries: ForkedQueries, number: int, check: Check, payload: Payload) -> Probing:
    """Whether something was printed since it was asked last, or since the program's start."""
    files = {STDOUT: [means.files.stdout], STDERR: [means.files.stderr]}
    probe = OutputProbe(files.get(check.stream, [*files[STDOUT], *files[STDERR]]), check.pattern)

    def ask(since: float, begun: Begun, answered: Answer) -> None:
        answered(*probe.look())

    return ask


def file(means: Means, queries: ForkedQueries, number: int, check: Check, payload: Payload) -> Probing:
    """When it was changed, as the job's account sees it."""
    path = os.path.join(payload.cwd or means.sandbox, check.path)
    sandbox = means.sandbox if path.startswith(f"{means.sandbox}/") else ""

    def ask(since: float, begun: Begun, answered: Answer) -> None:
        def done(text: str) -> None:
            if text == GONE:
                answered(None, f"the sandbox {means.sandbox} was removed: the task needs a new one")
            else:
                answered(text == YES, "" if text == YES else text or "the look at it was killed")

        if queries.hangs:
            return answered(False, "the last look at it still hangs")
        return begun(queries.ask(payload.user, lambda: _changed(path, since, sandbox), done, answered))

    return ask


#: By a type's name in `contract.CHECK_TYPES`: what probes one check, of that number, in one run of its program. There is
#: none for those that the program itself speaks of.
PROBES: dict[str, Callable[[Means, ForkedQueries, int, Check, Payload], Probing]] = {
    "command": command,
    "tcp": tcp,
    "http": http,
    "output": output,
    "file": file,
}


def _changed(path: str, since: float, sandbox: str) -> str:
    try:
        changed = os.stat(path).st_mtime
    except FileNotFoundError:  # a probe would ask here whether the version is published
        return GONE if sandbox and not os.path.isdir(sandbox) else "it is missing"
    except OSError as error:
        return sentence(path, error)
    if changed >= since:
        return YES
    return f"last changed at {clock(changed)}"


def _addresses(host: str) -> str:
    try:
        return "\n".join(f"{family} {address}" for family, address in look_up(host))
    except OSError as error:
        return str(error.strerror or error)
