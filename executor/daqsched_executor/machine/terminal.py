"""A terminal of the program's own, in the place of the two pipes of `relay`: for `Payload.console`.

What the program prints is read from the terminal's other side (pty(7)), kept for those who watch, and written to the file of
stdout; what people type is written there. The kernel moves nothing here: a kill of the executor between the two costs what it
had just read, the last moment of a program that dies with it. The relay process has the other side open, too, and
reads what is left.

One terminal serves all starts of the program, one after the other: whoever watches stays. At each start it is as new: no mode
of the last program's, and nothing that was typed for that.
"""

from __future__ import annotations

import fcntl
import os
import select
import struct
import termios
from collections.abc import Callable

from daqsched_executor.contract.console import KEPT_BYTES
from daqsched_executor.machine.relay import Relay

#: <asm-generic/ioctls.h>
TIOCSWINSZ = 0x5414
#: A window before anybody has told of his.
ROWS, COLUMNS = 24, 80
#: What read(2) of a terminal gives at most.
_PIECE = 4096
#: So much is moved at once: a program that prints without end does not keep the executor from all else.
_AT_ONCE = 1 << 16
#: More often than what a terminal holds, where others print on.
_TAKES = 4


class Terminal(Relay):
    """As a `Relay`; raises OSError where the machine has none to give."""

    def __init__(self, files: tuple[int, int], run_id: str, say: Callable[[str], None]) -> None:
        #: What was printed last, and how much was printed in all.
        self._kept, self.printed = bytearray(), 0
        #: Called when something was printed.
        self.heard: Callable[[], None] = lambda: None
        self._held_back = False
        super().__init__(files, run_id, say)
        self._file = self._targets[self.pipes[0]]

    def _open(self) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
        ours, programs = os.openpty()
        try:
            os.fchmod(programs, 0o600)  # others could write to it: mesg(1)
            fcntl.ioctl(ours, TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
            self._modes = termios.tcgetattr(programs)
            self._modes[0] &= ~termios.IXON  # else a key of somebody's (^S) would have the program wait
            self._poll = select.poll()
            self._poll.register(ours, select.POLLIN | select.POLLOUT)
            nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        except BaseException:
            os.close(ours)
            os.close(programs)
            raise
        return (ours,), (programs, programs), (ours, nothing)

    def begin(self) -> None:
        """Be as new, for the next start."""
        termios.tcsetattr(self.ends[0], termios.TCSANOW, self._modes)
        termios.tcflush(self.ends[0], termios.TCIFLUSH)
        # what the last program may have left besides: its output held, the device for itself alone
        termios.tcflow(self.ends[0], termios.TCOON)
        fcntl.ioctl(self.ends[0], termios.TIOCNXCL)

    def resize(self, rows: int, columns: int) -> None:
        """The window of who types; the program is told (SIGWINCH)."""
        fcntl.ioctl(self.pipes[0], TIOCSWINSZ, struct.pack("HHHH", rows or ROWS, columns or COLUMNS, 0, 0))

    def type(self, keys: bytes) -> int:
        """Write what was typed; how many bytes the terminal took: where the program does not read, it is full one day. One at a
        time, as a write of one byte never waits where there is room, and this side can't be told not to: the relay process
        has it, too."""
        for count in range(len(keys)):
            if not self._ready(select.POLLOUT):
                return count
            os.write(self.pipes[0], keys[count : count + 1])
        return len(keys)

    @property
    def kept(self) -> int:
        """What was printed before that is kept no more."""
        return self.printed - len(self._kept)

    def since(self, at: int) -> tuple[int, bytes]:
        """What was printed from there on, as far as it is kept, and where that begins."""
        at = min(max(at, self.kept), self.printed)
        return at, bytes(self._kept[at - self.kept :])

    def take(self, pipe: int) -> int:
        taken = 0
        while taken < _AT_ONCE and self._ready(select.POLLIN):
            text = os.read(pipe, _PIECE)
            taken += len(text)
            self._note(text)
        if taken:
            self.heard()
        return taken

    def take_all(self) -> None:
        for pipe in self.pipes:
            for _ in range(_TAKES):
                if self.take(pipe) < _AT_ONCE:
                    break
        self._file.tell_lost()

    def written(self) -> tuple[int, ...]:
        return ()  # all of it is in one file

    def _note(self, text: bytes) -> None:
        self.printed += len(text)
        self._kept += text
        del self._kept[:-KEPT_BYTES]
        # lines in a file end as those of any other program
        line = b"\r" * self._held_back + text
        self._held_back = line.endswith(b"\r")
        self._file.write((line[:-1] if self._held_back else line).replace(b"\r\n", b"\n"))

    def _ready(self, what: int) -> bool:
        return any(mask & what for _, mask in self._poll.poll(0))
