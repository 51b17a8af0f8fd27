"""The children that look whether jobs could start (see `life.survey`): forked, heard, and left alone where they hang."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass

from daqsched_executor.life.commands import Look
from daqsched_executor.life.events import Event, LookEnded, LookReached
from daqsched_executor.log import place_of
from daqsched_executor.machine.forking import fork_child, handle_of, no_process
from daqsched_executor.machine.kernel import Kernel
from daqsched_executor.run.loop import READ, Loop


@dataclass
class _Child:
    pid: int
    #: The process itself and not its number, which is another's once the loop has reaped it.
    handle: int
    talk: int
    heard: bytes = b""


class SurveyLooks:
    """Any number at a time, known by their numbers; ``emit`` takes what they say, in the end one `LookEnded` each."""

    def __init__(self, kernel: Kernel, loop: Loop, emit: Callable[[Event], None]) -> None:
        self._kernel, self._loop, self._emit = kernel, loop, emit
        self._children: dict[int, _Child] = {}

    def begin(self, look: Look) -> None:
        """Fork the child."""
        try:
            pid, talk = fork_child(self._kernel, look.payload, ())
            self._children[look.look] = _Child(pid, handle_of(pid, talk), talk)
        except OSError as error:
            return self._emit(LookEnded(look.look, no_process(error)))
        self._loop.watch(talk, READ, lambda mask: self._listen(look.look), lambda error: self._failed(look.look, error))

    def _failed(self, number: int, error: Exception) -> None:
        self.leave(number)
        self._emit(LookEnded(number, place_of(error)))

    def leave(self, number: int) -> None:
        """SIGKILL to it and to whom it asks (a loader), which ends them now, or when the file system that they hang in lets
        them go; what it says is not heard."""
        child = self._children.pop(number, None)
        if child is not None:
            try:
                signal.pidfd_send_signal(child.handle, signal.SIGKILL)
                self._kernel.signal_group(child.pid, signal.SIGKILL)  # it is not reaped, so the group is still its own
            except ProcessLookupError:
                pass
            self._close(child)

    def _listen(self, number: int) -> None:
        child = self._children[number]
        try:
            heard = os.read(child.talk, 65536)
        except BlockingIOError:
            return
        child.heard += heard
        *lines, rest = child.heard.decode("utf-8", "surrogateescape").split("\n")
        word, _, what = (lines[-1] if lines else "").partition(" ")
        if heard:
            if word == "at" and not rest:
                self._emit(LookReached(number, what))
            if word == "wait" and not rest:
                self._emit(LookReached(number, f"the account {what}", account=True))
            return
        del self._children[number]
        self._close(child)
        problem = {"exec": "", "path": what, "start": what}.get(word, "the look was cut short: its process was killed")
        self._emit(LookEnded(number, problem))

    def _close(self, child: _Child) -> None:
        self._loop.forget(child.talk)
        os.close(child.talk)
        os.close(child.handle)
