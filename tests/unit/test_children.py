"""Whom an executor finds below itself, by the kernel's lists and without them, and what a look costs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from daqsched_executor.machine import children, kernel
from daqsched_executor.machine.kernel import Kernel
from waiting import until

#: Forks from its first thread and from another one; both children begin one of their own. Each of the four says its pid and
#: its parent's.
FAMILY = """
import os, threading, time
def family():
    if os.fork() == 0:
        if os.fork() == 0:
            os.write(1, b"%d %d\\n" % (os.getpid(), os.getppid()))
            time.sleep(1000)
        os.write(1, b"%d %d\\n" % (os.getpid(), os.getppid()))
        time.sleep(1000)
    time.sleep(1000)
threading.Thread(target=family).start()
family()
"""


@pytest.fixture
def family() -> Iterator[tuple[int, dict[int, int]]]:
    """The first one's pid, and of the four below it the parents."""
    first = subprocess.Popen([sys.executable, "-S", "-c", FAMILY], stdout=subprocess.PIPE)
    assert first.stdout is not None
    lines = [first.stdout.readline().split() for _ in range(4)]
    below = {int(pid): int(parent) for pid, parent in lines}
    yield first.pid, below
    for pid in (first.pid, *below):
        os.kill(pid, signal.SIGKILL)
    first.wait()
    first.stdout.close()


@pytest.fixture(params=["lists", "no lists"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With the kernel's lists, and as in a kernel that has none."""
    if request.param == "no lists":
        monkeypatch.setattr(kernel, "children", lambda pid: None)
    return str(request.param)


def test_the_whole_family_is_found_parents_first(way: str, family: tuple[int, dict[int, int]]) -> None:
    """Also what other threads began."""
    first, below = family
    found = [entry.pid for entry in Kernel().descendants()]
    assert set(found) >= {first, *below}
    assert all(found.index(parent) < found.index(pid) for pid, parent in below.items())


def test_runners_are_left_out_with_all_below_them(way: str, family: tuple[int, dict[int, int]]) -> None:
    """Whatever else the tests' process has."""
    first, below = family
    assert not {first, *below} & {entry.pid for entry in Kernel().descendants({first})}


def test_one_that_has_ended_and_was_not_reaped_is_none(way: str) -> None:
    """A zombie is on the kernel's list."""
    ended = subprocess.Popen(["/bin/true"])
    until(lambda: (entry := Kernel().entry(ended.pid)) is not None and entry.dead, "it has ended")
    assert ended.pid not in {entry.pid for entry in Kernel().descendants()}
    ended.wait()


def test_a_number_that_is_another_process_s_by_now_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a child ended, and its number was given away, between the look at the list and at it."""
    monkeypatch.setattr(kernel, "children", lambda pid: [1] if pid == os.getpid() else [])
    assert Kernel().descendants() == []


def test_a_list_from_which_one_went_while_it_was_read_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel may then leave out the next one (proc(5))."""
    readings = iter([[1, 3], [2, 3], [2, 3]])
    monkeypatch.setattr(children, "_read", lambda pid: next(readings))
    assert children.children(7) == [2, 3]


def test_a_look_is_at_nobody_else(monkeypatch: pytest.MonkeyPatch, family: tuple[int, dict[int, int]]) -> None:
    """A hundred executors that end their programs at once do not each look at the other ninety-nine."""
    looked: list[int] = []

    class Counted(Kernel):
        def entry(self, pid: int) -> kernel.ProcessEntry | None:
            """As ever."""
            looked.append(pid)
            return super().entry(pid)

    found = Counted().descendants()
    assert set(looked) >= {family[0], *family[1]} and len(looked) == len(set(looked))
    dead = [pid for pid in looked if pid not in {entry.pid for entry in found}]
    assert all((entry := Kernel().entry(pid)) is None or entry.dead for pid in dead)
