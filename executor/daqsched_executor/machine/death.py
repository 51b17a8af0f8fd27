"""What is known of a program's death besides its exit status: its last lines, and whether memory was the reason."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

from daqsched_executor.life.tail import LINES, TAIL_BYTES, last_lines

MIB = 1 << 20
#: Limits from here on mean "none" (cgroup v1 has a number of 63 bits there).
_NO_LIMIT = 1 << 60
#: A file that is emptied with each line holds no more.
SMALL = 1 << 16


class ProgramMemory(NamedTuple):
    """What a memory cgroup says: kills for memory so far, the most that was used, and what may be (MiB; 0: no limit)."""

    kills: int = 0
    peak: float = 0.0
    limit: float = 0.0


def memory_cgroup(environ: Mapping[str, str], cgroups: str) -> str:
    """The folder of the memory cgroup that is this container's own; empty where there is none.

    One that is shared with other jobs (the agent's service) says nothing of this program.
    """
    container = os.path.basename(environ.get("MESOS_DIRECTORY", ""))
    for line in cgroups.splitlines():
        _, controllers, path = line.split(":", 2)
        if container and container in path.split("/"):
            if "memory" in controllers.split(","):
                return "/sys/fs/cgroup/memory" + path
            if not controllers and os.path.exists(f"/sys/fs/cgroup{path}/memory.events"):
                return "/sys/fs/cgroup" + path
    return ""


def read_memory(folder: str) -> ProgramMemory:
    """As it is now, of cgroup v1 or v2; zeros where there is none, or it can't be read."""
    if not folder:
        return ProgramMemory()
    if os.path.exists(f"{folder}/memory.events"):
        events, peak, limit = "memory.events", "memory.peak", "memory.max"
    else:
        events, peak, limit = "memory.oom_control", "memory.max_usage_in_bytes", "memory.limit_in_bytes"
    kills = dict(line.split(" ", 1) for line in _read(f"{folder}/{events}").splitlines()).get("oom_kill", "0")
    return ProgramMemory(int(kills), _mib(_read(f"{folder}/{peak}")), _mib(_read(f"{folder}/{limit}")))


class OutputPlace(NamedTuple):
    """How far a file has been filled, and whether it was emptied since.

    stdout and stderr are files that are opened to append: they grow. A program that opens /dev/stderr anew with a shell's ``>``
    (O_TRUNC) empties its file, whose size may be the same after each line: then the time of its last change tells. What
    the forwarder gives back to the disk (fallocate(2)) changes the time, too, and leaves fewer blocks.
    """

    size: int
    changed: int
    blocks: int

    @classmethod
    def of(cls, status: os.stat_result) -> OutputPlace:
        """As it is now."""
        return cls(status.st_size, status.st_mtime_ns, status.st_blocks)

    def emptied(self, before: OutputPlace) -> bool:
        """Whether somebody emptied it in between, as far as can be seen."""
        if self.size != before.size:
            return self.size < before.size
        return self.size > 0 and self.changed != before.changed and self.blocks >= before.blocks


class Watch:
    """Looks at a run's beginning and at its end. ``output`` are the files of stdout and stderr."""

    def __init__(self, output: tuple[int, int], memory: str) -> None:
        self._output, self._memory = output, memory
        self._sizes = [_size(file) for file in output]
        self._places = [_place(file) for file in output]
        self._kills = 0

    def begin(self) -> None:
        """A run is about to begin: its first line shall not be glued to a last one that the run before left open."""
        for file, before in zip(self._output, self._sizes):
            size = _size(file)
            if size > before and _tail(file, size - 1, 1) not in (b"\n", b""):
                try:
                    os.write(file, b"\n")
                except OSError:  # a full disk does not prevent a start
                    pass
        self._sizes = [_size(file) for file in self._output]
        self._kills = read_memory(self._memory).kills

    def emptied(self) -> tuple[int, ...]:
        """Which of the two files were emptied since the last look, small ones where only the time of change tells: in large ones
        the forwarder moves lines."""
        found = []
        for number, file in enumerate(self._output):
            before, now = self._places[number], _place(file)
            if now.emptied(before) and (now.size < before.size or now.size < SMALL):
                found.append(number)
            self._places[number] = now
        return tuple(found)

    def memory(self) -> ProgramMemory | None:
        """What the cgroup says where the kernel killed for memory in it since `begin`; None where it did not.

        A limit of the address space (RLIMIT_AS) is not seen: there malloc fails, and the program ends as it likes.
        """
        now = read_memory(self._memory)
        return now if now.kills > self._kills else None

    def lines(self, written: tuple[int, ...] = ()) -> tuple[str, ...]:
        """The last lines since `begin`; those of the file that was written to last come last. ``written``: when the program wrote
        to each, in ns, where somebody else wrote them into the files later."""
        found: list[tuple[int, list[str]]] = []
        for number, (file, start) in enumerate(zip(self._output, self._sizes)):
            try:
                status = os.fstat(file)
            except OSError:
                continue
            if status.st_size < start:  # emptied
                start = 0
            begin = max(start, status.st_size - TAIL_BYTES)
            text = _tail(file, begin, TAIL_BYTES)
            found.append((written[number] if written else status.st_mtime_ns, last_lines(text, cut=begin > start)))
        return tuple([line for _, lines in sorted(found, key=lambda one: one[0]) for line in lines][-LINES:])


def _place(file: int) -> OutputPlace:
    try:
        return OutputPlace.of(os.fstat(file))
    except OSError:
        return OutputPlace(0, 0, 0)


def _size(file: int) -> int:
    try:
        return os.fstat(file).st_size
    except OSError:
        return 0


def _tail(file: int, start: int, most: int) -> bytes:
    """Bytes of a file that is open for writing alone; a name in the sandbox may be another file by now."""
    try:
        again = os.open(f"/proc/self/fd/{file}", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return b""
    try:
        return os.pread(again, most, start)
    except OSError:
        return b""
    finally:
        os.close(again)


def _read(path: str) -> str:
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""


def _mib(text: str) -> float:
    text = text.strip()
    return int(text) / MIB if text.isdigit() and int(text) < _NO_LIMIT else 0.0
