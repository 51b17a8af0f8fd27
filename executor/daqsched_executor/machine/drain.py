"""A small process that copies what a program prints from pipes into its files: for `Payload.output` ``pipe``.

A pipe can be opened anew by anybody who has it (/dev/stderr, /proc/self/fd/2) and is never emptied by that, as a file is. The
drain is a fork of the executor that outlives the program and the executor: it reads until nobody can write any more. Who
kills leaves it alone (by its name, `kernel.DRAIN`), and a tree counts as gone only when it is. If it is killed itself the executor,
which has the pipes open, too, makes another one. Where a file can't be written, a full disk, what is printed is dropped and
counted: no program waits for that.
"""

from __future__ import annotations

import errno
import fcntl
import gc
import os
import select
import time
from collections.abc import Callable

from daqsched_executor.machine.kernel import DRAIN
from daqsched_executor.machine.spared import become_spared

#: Makes a process that calls the function, all signals blocked, and ends; returns its pid.
Fork = Callable[[Callable[[], None]], int]

#: So much waits in a pipe at most; the kernel may allow less (pipe(7), pipe-user-pages-soft).
PIPE_BYTES = 1 << 18
F_SETPIPE_SZ = 1031
#: One that does not live so long, so often, can't do its work, whatever the reason is.
SHORT_S, TRIES = 1.0, 10
#: Once the program and all that it began are gone, or the executor is: whoever else has a pipe open is not waited for longer.
GIVE_UP_S = 2.0


class Drain:
    """The executor's end of it."""

    def __init__(self, fork: Fork, files: tuple[int, int], run_id: str, say: Callable[[str], None]) -> None:
        """``run_id``: how Mesos calls our container; ``say`` is for executor.log. Raises OSError where there can be no process
        or pipe."""
        self._fork, self._files, self._run_id, self._say = fork, files, run_id, say
        self._pipes = (_pipe(), _pipe())
        #: What the program's stdout and stderr become.
        self.ends: tuple[int, ...] = tuple(end for _, end in self._pipes)
        self._mouth = -1
        self._began, self._short = 0.0, 0
        try:
            #: The process.
            self.pid = self._begin()
        except OSError:
            self.handed_over()
            self.close()
            raise

    def handed_over(self) -> None:
        """The program has its ends, or there will be none: the pipes end with those who have them."""
        for end in self.ends:
            os.close(end)
        self.ends = ()

    def again(self) -> None:
        """Somebody killed it. Raises OSError, also where that happens again and again at once."""
        self.finish()
        self._short = self._short + 1 if time.monotonic() - self._began < SHORT_S else 0
        if self._short >= TRIES:
            raise OSError(errno.EAGAIN, f"what copies the program's output ended {TRIES} times at once")
        self.pid = self._begin()

    def finish(self) -> None:
        """Nobody whom we know can write any more."""
        if self._mouth >= 0:
            os.close(self._mouth)
            self._mouth = -1

    def close(self) -> None:
        """It is gone."""
        self.finish()
        for pipe, _ in self._pipes:
            os.close(pipe)

    def _begin(self) -> int:
        self._began = time.monotonic()
        ears, self._mouth = os.pipe()
        pipes = tuple(pipe for pipe, _ in self._pipes)
        try:
            return self._fork(lambda: _serve(ears, pipes, self._files, self._run_id, self._say))
        finally:
            os.close(ears)


def _pipe() -> tuple[int, int]:
    ends = os.pipe()
    try:
        fcntl.fcntl(ends[0], F_SETPIPE_SZ, PIPE_BYTES)
    except OSError:
        pass
    return ends


def _serve(ears: int, pipes: tuple[int, ...], files: tuple[int, int], run_id: str, say: Callable[[str], None]) -> None:
    gc.freeze()
    become_spared(DRAIN, {ears, *pipes, *files}, run_id)
    targets = dict(zip(pipes, files))
    lost: dict[int, int] = {}
    poll = select.poll()
    for file in (ears, *pipes):
        poll.register(file, select.POLLIN)
    limit = float("inf")
    while targets:
        left_s = limit - time.monotonic()
        ready = poll.poll(None if left_s == float("inf") else max(0.0, left_s * 1000))
        for file, _ in ready:
            if file == ears:
                poll.unregister(ears)
                limit = time.monotonic() + GIVE_UP_S
                continue
            text = os.read(file, PIPE_BYTES)
            if text:
                _write(targets[file], text, lost, say)
            else:
                poll.unregister(file)
                del targets[file]
        if left_s <= 0 and (not ready or left_s < -GIVE_UP_S):
            break
    if lost:
        say(f"{sum(lost.values())} bytes of the program's output could not be written to the sandbox")


def _write(file: int, text: bytes, lost: dict[int, int], say: Callable[[str], None]) -> None:
    while text:
        try:
            text = text[os.write(file, text) :]
        except OSError as error:  # a full disk
            if file not in lost:
                say(f"the program's output cannot be written: {error.strerror}; it is dropped")
            lost[file] = lost.get(file, 0) + len(text)
            return
