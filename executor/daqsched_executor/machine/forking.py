"""Children of the executor: made with all signals blocked, in a process group of their own, with a pipe that they speak through."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING

from daqsched_executor.contract import Payload
from daqsched_executor.machine import child
from daqsched_executor.machine.kernel import Kernel

if TYPE_CHECKING:
    pass


ALL_SIGNALS = signal.valid_signals()


def fork_child(
    kernel: Kernel,
    payload: Payload,
    output: tuple[int, ...],
    order: int = -1,
    known: str = "",
    files: tuple[tuple[str, int], ...] = (),
    notify: str = "",
    contained: child.Contained | None = None,
    beside: bool = False,
) -> tuple[int, int]:
    """Fork a `child`: its pid, and the pipe that it speaks to us through. Raises OSError where there can be none."""

    def run(parent: int, talk: int) -> None:
        child.become(payload, kernel, parent, talk, output, order, known, files, notify, contained, beside)

    return forked(kernel, run)


def forked(kernel: Kernel, run: Callable[[int, int], None]) -> tuple[int, int]:
    """Fork a process that calls ``run(parent, talk)``, all signals blocked, and ends: its pid, and our end of ``talk``."""
    talk, childs = os.pipe()  # both close on exec
    parent = os.getpid()
    # a signal that came between fork and exec would be swallowed by the executor's handlers
    old = signal.pthread_sigmask(signal.SIG_BLOCK, ALL_SIGNALS)
    try:
        pid = kernel.fork()
        if pid == 0:
            try:
                os.close(talk)
                os.setpgid(0, 0)
                signal.set_wakeup_fd(-1)
                run(parent, childs)
            finally:
                os._exit(126)
    except BaseException:
        os.close(talk)
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, old)
        os.close(childs)
    try:
        os.setpgid(pid, pid)  # the child does the same: whoever is first, no signal misses it
    except OSError:
        pass
    os.set_blocking(talk, False)
    return pid, talk


def handle_of(pid: int, talk: int) -> int:
    """A `forked` child itself and not its number (pidfd_open(2)). It must not have been reaped: that is done in the loop.

    Where there are too many open files it is killed, ``talk`` closed, and OSError raised.
    """
    try:
        return os.pidfd_open(pid)
    except OSError:
        os.kill(pid, signal.SIGKILL)
        os.close(talk)
        raise


def no_process(error: OSError) -> str:
    """Why `fork_child` failed, for people."""
    return f"no process can be started here: {error.strerror} (too many processes?)"
