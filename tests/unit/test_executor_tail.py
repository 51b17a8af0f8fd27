"""The last lines before a death, and what its words make of them."""

from __future__ import annotations

import pytest

from daqsched_executor.contract import Exit
from daqsched_executor.life.tail import WIDTH, last_lines
from daqsched_executor.machine.death import memory_cgroup


@pytest.mark.parametrize(
    ("tail", "cut", "lines"),
    [
        (b"", False, []),
        (b"one\ntwo\n", False, ["one", "two"]),
        (b"one\nan open end", False, ["one", "an open end"]),
        (b"ddle of a line\ntwo\n", True, ["two"]),
        (b"ddle of a line\n\n", True, ["ddle of a line"]),
        (b"1\n2\n3\n4\n5\n6\n7\n", False, ["3", "4", "5", "6", "7"]),
        (b"\0\0\0\n\n\r\nlast\r\n", False, ["last"]),
        (b"caf\xc3\xa9 \xff\x00\x1b[31m\tx", False, ["café \\xff\\x00\\x1b[31m x"]),
        (b"x" * 1000, True, ["x" * (WIDTH - 3) + "..."]),
    ],
)
def test_lines_are_the_last_ones_and_readable(tail: bytes, cut: bool, lines: list[str]) -> None:
    """Holes and empty lines are left out; what no terminal should get is shown as an escape."""
    assert last_lines(tail, cut) == lines


def test_out_of_memory_is_said_with_its_numbers() -> None:
    """By how much: what it had of what it may have."""
    dead = Exit(0.0, 180.0, signal="SIGKILL", out_of_memory=True, peak=512.2, limit=512.0)
    assert dead.words() == "killed by SIGKILL after 3 min: out of memory (512 MiB of 512 MiB)"
    assert Exit(0.0, 2.0, code=1, out_of_memory=True).words() == "exit code 1 after 2.0 s: out of memory"
    assert Exit(0.0, 2.0, code=1, peak=100.0).words() == "exit code 1 after 2.0 s"


def test_only_the_containers_own_memory_cgroup_counts() -> None:
    """In the agent's own, another job's death would be blamed on this one."""
    environ = {"MESOS_DIRECTORY": "/work/runs/4711"}
    assert memory_cgroup(environ, "4:memory:/mesos/4711\n0::/\n") == "/sys/fs/cgroup/memory/mesos/4711"
    assert memory_cgroup(environ, "4:memory:/system.slice/agent\n0::/\n") == ""
    assert memory_cgroup({}, "4:memory:/\n0::/\n") == ""
