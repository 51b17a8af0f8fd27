"""A question that may hang for ever, a file's time or a name's address, asked by a fork of the executor.

The loop goes on meanwhile. A fork that hangs in a dead file system is not gone with SIGKILL: whoever asks again looks
at `alive` first, so that they do not pile up.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable

from daqsched_executor.machine.account import account_beside, become
from daqsched_executor.machine.forking import forked, handle_of
from daqsched_executor.machine.kernel import Kernel
from daqsched_executor.machine.process import Program
from daqsched_executor.run.loop import READ, Loop


class ForkedQuery:
    """``done(answer)`` is called once with the text that ``question`` returned, unless `close` comes first; empty where
    the fork was killed; ``failed`` in its place for a mistake of ours. Raises OSError where there can be no fork."""

    def __init__(
        self,
        kernel: Kernel,
        loop: Loop,
        program: Program,
        user: str,
        question: Callable[[], str],
        done: Callable[[str], None],
        failed: Callable[[Exception], None],
    ) -> None:
        def child(parent: int, talk: int) -> None:
            if user:
                become(account_beside(user, ""))
            kernel.die_with_parent(signal.SIGKILL)
            if os.getppid() == parent:
                os.write(talk, question().encode("utf-8", "surrogateescape"))

        self._loop, self._done, self._failed = loop, done, failed
        self._heard = b""
        pid, self._talk = forked(kernel, child)
        program.runners.add(pid)
        #: The process itself and not its number; -1 once it is gone, or has answered.
        self._handle = handle_of(pid, self._talk)
        loop.watch(self._talk, READ, self._hear, self._broken)

    @property
    def alive(self) -> bool:
        """Whether the process is still there."""
        if self._handle < 0:
            return False
        poll = select.poll()
        poll.register(self._handle, select.POLLIN)
        if poll.poll(0):
            os.close(self._handle)
            self._handle = -1
        return self._handle >= 0

    def close(self) -> None:
        """SIGKILL, and nothing is heard of it any more; safe to call twice."""
        if self._talk >= 0:
            self._loop.forget(self._talk)
            os.close(self._talk)
            self._talk = -1
        if self.alive:
            try:
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def _broken(self, error: Exception) -> None:
        self.close()
        self._failed(error)

    def _hear(self, mask: int) -> None:
        try:
            heard = os.read(self._talk, 65536)
        except BlockingIOError:
            return
        self._heard += heard
        if not heard:
            self.close()
            if self._handle >= 0:  # its pipe is closed before it counts as ended: nobody will look again
                os.close(self._handle)
                self._handle = -1
            self._done(self._heard.decode("utf-8", "surrogateescape"))
