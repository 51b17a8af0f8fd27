"""A small process that outlives the runner, so that no container does: whoever kills the runner, and however.

It is a fork of the runner, waits on a pipe for the runner's end, then kills and removes the container, and ends. The
executor, and its warden, spare it when they kill (by its name, `kernel.JANITOR`), and count it among what must be gone
(`machine.process`), as `machine.detached` has it.
"""

from __future__ import annotations

import gc
import os
import signal
import time
from collections.abc import Callable

from daqsched_executor.container.engine import Away, ContainerEngine
from daqsched_executor.container.spec import ContainerRefused, Waits
from daqsched_executor.log import Log
from daqsched_executor.machine.detached import become_detached
from daqsched_executor.machine.kernel import JANITOR

#: Between two attempts to have the engine remove the container.
AGAIN_S = 1.0


class Handle:
    """The first process of a container, as the kernel knows it: it can be killed without the engine."""

    def __init__(self, pid: int, container: str) -> None:
        """Raises OSError where the number is not that of the container here: another pid namespace, or it has ended."""
        self._file = os.pidfd_open(pid)
        with open(f"/proc/{pid}/cgroup", encoding="utf-8", errors="replace") as groups:
            if container not in groups.read():
                os.close(self._file)
                raise ProcessLookupError(f"pid {pid} is not of container {container}")

    def signal(self, number: int) -> None:
        """Raises OSError where that is not allowed (an engine that maps users), not where it has ended."""
        try:
            signal.pidfd_send_signal(self._file, number)
        except ProcessLookupError:
            pass

    def ended(self) -> bool:
        """Whether it is no more."""
        try:
            signal.pidfd_send_signal(self._file, 0)
        except ProcessLookupError:
            return True
        except OSError:
            pass
        return False


class Janitor:
    """The runner's end of it."""

    def __init__(self, address: str, name: str, run_id: str, keep: set[int], clear: Callable[[], None]) -> None:
        """Fork it; it keeps the files ``keep`` and no other of ours. ``run_id``: how Mesos calls our container. ``clear`` is
        called once in it, when the container runs, or is not to be."""
        ears, self._mouth = os.pipe()
        gc.collect()
        gc.freeze()  # or each of us would write to all the pages that we share
        self.pid = os.fork()
        if self.pid == 0:
            try:
                _serve(ears, address, name, run_id, keep, clear)
            finally:
                os._exit(0)
        os.close(ears)

    def watch(self) -> None:
        """The engine is about to be asked for the container: from now on there is something to clear up."""
        os.write(self._mouth, b"watch\n")

    def running(self, pid: int, container: str) -> None:
        """It runs, and this is its first process."""
        os.write(self._mouth, f"{pid} {container}\n".encode())

    def dismiss(self) -> None:
        """There is no container: it may go. Returns when it has."""
        try:
            os.write(self._mouth, b"done\n")
        except BrokenPipeError:
            pass  # somebody killed it
        os.waitpid(self.pid, 0)


def _serve(ears: int, address: str, name: str, run_id: str, keep: set[int], clear: Callable[[], None]) -> None:
    become_detached(JANITOR, {ears, *keep}, run_id)
    heard = b""
    while not heard.endswith(b"done\n"):
        piece = os.read(ears, 4096)
        if not piece:
            break
        heard += piece
        if heard.count(b"\n") == 2:  # it runs, and has its own mounts
            _try(clear)
    _try(clear)
    words = heard.decode().split()
    if words and words[-1] != "done":
        _clear(address, name, words)


def _try(clear: Callable[[], None]) -> None:
    try:
        clear()
    except OSError as error:  # the next runner of this executor clears it away
        Log(1).say(f"volumes cannot be cleared away: {error}")


def _clear(address: str, name: str, words: list[str]) -> None:
    handle = None
    try:
        _, pid, container = words
        handle = Handle(int(pid), container)
        handle.signal(signal.SIGKILL)
    except (OSError, ValueError):
        pass  # it was not started, or has ended, or only the engine can end it
    log = Log(1)
    said = ""
    while True:
        try:
            ContainerEngine(address).remove(name)
            return log.say(f"container {name} is removed: its runner was killed")
        except (Away, ContainerRefused, Waits) as error:
            if handle is not None and handle.ended():
                return log.say(f"container {name} is killed, and will be removed later: {error}")
            if str(error) != said:
                said = str(error)
                log.say(f"container {name} cannot be removed: {said}; trying again every second")
        time.sleep(AGAIN_S)
