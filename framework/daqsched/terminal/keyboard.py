"""The keyboard of whoever is attached to a program's terminal: its keys one by one, and which of them are not for the program."""

from __future__ import annotations

import os
import select
import shutil
import signal
import sys
import termios
import tty
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any, Optional

from daqsched.errors import UserError

#: Keys that end programs, or put them aside, as a terminal takes them (termios(3)); what they are called.
KEPT = {3: "interrupt, ^C", 4: "end of file, ^D", 26: "suspend, ^Z", 28: "quit, ^\\"}


def key_of(word: str) -> int:
    """``^]`` -> 29; raises `UserError` for what is no control key."""
    if len(word) == 2 and word[0] == "^" and 0x3F < ord(word[1].upper()) < 0x60:
        return ord(word[1].upper()) & 0x1F
    raise UserError(f"{word!r} is not a control key such as ^] or ^a")


class Keyboard:
    """Whatever stdin is. As a context: a terminal gives each key as it is pressed, and is as before afterwards.

    ``raw``: it also shows what it is told as it is; else each line begins at the left.
    """

    def __init__(self, raw: bool) -> None:
        self._raw = raw
        try:
            self._stdin = sys.stdin.fileno()
        except (AttributeError, OSError, ValueError):  # there is none
            self._stdin = -1
        self.is_terminal = os.isatty(self._stdin)
        self._before: Optional[list[Any]] = None
        self._handlers: dict[int, Any] = {}
        self._awake, self._wake = os.pipe()
        os.set_blocking(self._wake, False)  # a handler must not wait for who reads
        #: stdin has ended.
        self.ended = self._stdin < 0
        #: Since the last look: the window has another size; somebody wants us to end.
        self.resized, self.ending = self.is_terminal, False

    def __enter__(self) -> Keyboard:
        if self.is_terminal:
            self._before = termios.tcgetattr(self._stdin)
            tty.setraw(self._stdin)
            if not self._raw:
                modes = termios.tcgetattr(self._stdin)
                modes[1] |= termios.OPOST
                termios.tcsetattr(self._stdin, termios.TCSANOW, modes)
        for number in (signal.SIGWINCH, signal.SIGTERM, signal.SIGHUP):
            self._handlers[number] = signal.signal(number, self._signalled)
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], where: Optional[TracebackType]
    ) -> None:
        if self._before is not None:
            with suppress(termios.error):  # it has hung up
                termios.tcsetattr(self._stdin, termios.TCSADRAIN, self._before)

        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _signalled(self, number: int, frame: Optional[FrameType]) -> None:
        if number == signal.SIGWINCH:
            self.resized = True
        else:
            self.ending = True
        self.wake()

    def wake(self) -> None:
        """Have `read` return; from any thread."""
        with suppress(BlockingIOError):  # it is awake
            os.write(self._wake, b"\0")

    def read(self, wait_s: float) -> bytes:
        """What was typed, if something was before that time is over or somebody called `wake`."""
        files = [self._awake] if self.ended else [self._awake, self._stdin]
        ready, _, _ = select.select(files, (), (), wait_s)
        if self._awake in ready:
            os.read(self._awake, 4096)
        if self._stdin not in ready:
            return b""
        keys = os.read(self._stdin, 4096)
        self.ended = not keys
        return keys

    def size(self) -> tuple[int, int]:
        """Rows and columns of its window."""
        found = shutil.get_terminal_size()
        return found.lines, found.columns
