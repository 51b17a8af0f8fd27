"""People at a program's terminal: what it prints is told to whoever asked (`contract.console`), what is typed goes to it.

Nothing waits for them. What is printed faster than messages go out is left out and can be asked for while it is kept; what is typed
where no program runs, or where its terminal is full, is counted back to whoever typed it.
"""

from __future__ import annotations

from collections.abc import Callable

from daqsched_executor.contract import ContractError
from daqsched_executor.contract.console import LAST, LEASE_S, PIECE_BYTES, ConsoleAsk, ConsoleSaid
from daqsched_executor.machine.terminal import Terminal
from daqsched_executor.run.loop import Loop

#: Between two messages, at least.
PAUSE_S = 0.02

#: Hands a message to the agent, calls back when it took it or did not, and says whether it was handed over at all.
Send = Callable[[bytes, Callable[[str], None]], bool]


class Console:
    """Of one executor; ``start`` tells which start of the program this is, ``runs`` whether it runs."""

    def __init__(
        self,
        loop: Loop,
        send: Send,
        say: Callable[[str], None],
        terminal: Callable[[], Terminal | None],
        start: Callable[[], tuple[int, bool]],
    ) -> None:
        self._loop, self._send, self._say, self._terminal, self._start = loop, send, say, terminal, start
        #: Who asked, and until when that counts.
        self._id, self._until = "", 0.0
        self._number, self._refused, self._user = 0, 0, ""
        #: What is told next, and whether something is to be told that is not printed.
        self._at, self._owed = 0, False
        self._under_way = False
        self._told: tuple[int, bool] = (0, False)
        #: When `wake` should be called; None: it need not.
        self.wake_at: float | None = None

    def ask(self, data: bytes) -> None:
        """A message of the daemon's."""
        try:
            asked = ConsoleAsk.from_json(data)
        except ContractError as error:
            return self._say(f"ignored: {error}")
        terminal = self._terminal()
        if asked.id != self._id:
            self._id, self._number, self._user = asked.id, 0, ""
        self._until = self._loop.now() + LEASE_S
        if terminal is None:
            self._owed = True
            return self.wake()
        terminal.heard = self._printed
        if asked.at >= 0:
            self._at = asked.at
        elif asked.at == LAST:
            self._at = terminal.kept
        if asked.rows or asked.columns:
            terminal.resize(asked.rows, asked.columns)
        if asked.keys and asked.number > self._number:
            self._type(terminal, asked)
        self._owed = True
        return self.wake()

    def _type(self, terminal: Terminal, asked: ConsoleAsk) -> None:
        self._number = asked.number
        if asked.user != self._user:
            self._user = asked.user
            self._say(f"console: {asked.user} types")
        _, runs = self._start()
        self._refused = len(asked.keys) - (terminal.type(asked.keys) if runs else 0)

    def _printed(self) -> None:
        if self.wake_at is None and not self._under_way and self._loop.now() < self._until:
            self.wake_at = self._loop.now()

    def wake(self) -> None:
        """Tell what is to be told, if it is time and the last message is through."""
        now = self._loop.now()
        self.wake_at = None
        if self._under_way:
            return
        if now >= self._until:
            self._id = ""
            return
        terminal = self._terminal()
        at, data = terminal.since(self._at) if terminal is not None else (0, b"")
        start = self._start()
        if not data and not self._owed and start == self._told:
            return
        data = data[:PIECE_BYTES]
        kept = terminal.kept if terminal is not None else 0
        said = ConsoleSaid(self._id, at, data, kept, self._number, self._refused, *start)
        self._under_way = self._send(said.to_json(), self._through)
        if self._under_way:
            self._at, self._owed, self._told = at + len(data), False, start
        else:
            self.wake_at = now + 1.0  # no agent; whoever watches asks again for what is lost
            self._owed = True

    def _through(self, problem: str) -> None:
        self._under_way = False
        self.wake_at = self._loop.now() + PAUSE_S

    def changed(self) -> None:
        """The program may have ended or begun."""
        if self._id and self.wake_at is None and self._start() != self._told:
            self.wake_at = self._loop.now()
