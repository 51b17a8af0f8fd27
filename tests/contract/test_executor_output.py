"""What a program prints and opens anew: files that it empties itself, told and no silence; pipes, which nothing empties."""

from __future__ import annotations

import errno
import fcntl
import itertools
import os
import select
import signal
import sys
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Any, Optional

import pytest

from daqsched_executor.contract import Check, Payload, Restart
from daqsched_executor.machine import relay
from daqsched_executor.machine.relay import Relay
from daqsched_executor.machine.terminal import Terminal
from fake_agent import ExecutorUnderTest, FakeAgent, Start, processes_of, relays, report_of
from waiting import alive, until

#: Each way to open one's own stream anew that people use, 100 lines of each, among lines of the usual kind.
ANEW = """
for i in $(seq 100); do
  echo usual $i >&2
  echo anew $i > /dev/stderr
  echo copied $i | tee /dev/stderr > /dev/null
  echo appended $i >> /dev/stderr
  echo by-number $i > /proc/self/fd/2
done
"""

#: Prints numbered lines as fast as it can, and keeps the number of the last one that the kernel took.
COUNTS = """
import mmap, os
count = int(open("count").read() or 0) if os.path.exists("count") else 0
with open("count", "w+b") as file:
    file.write(b"%020d" % count)
    file.flush()
    kept = mmap.mmap(file.fileno(), 20)
    while True:
        os.write(1, b"%020d\\n" % (count + 1))
        count += 1
        kept[:] = b"%020d" % count
"""


def counted(sandbox: Path) -> int:
    """The number of the last line that the program is sure of."""
    text = (sandbox / "count").read_text() if (sandbox / "count").exists() else ""
    return int(text or 0)


def wait_for_more(sandbox: Path) -> None:
    """Wait until the program has counted many lines more."""
    enough = counted(sandbox) + 20_000
    until(lambda: counted(sandbox) > enough, "lines")


def wait_for_another_relay(executor: ExecutorUnderTest, before: int) -> None:
    """Wait until another process than this one copies."""
    until(lambda: relays(executor) not in ([], [before]), "next relay")


def wait_for_the_end_of_drains(executor: ExecutorUnderTest) -> None:
    """Wait until nobody copies."""
    until(lambda: not relays(executor), "end of the relay")


def check_lines(sandbox: Path) -> None:
    """Every line is there once, in order; one may be there that the program did not live to count, and is printed again."""
    with open(sandbox / "stdout", "rb") as file:
        last = 0
        for line in file:
            number = int(line)
            assert number in (last, last + 1) and len(line) == 21
            last = number
    assert last >= counted(sandbox)


def refused(pipe: int, file: int, most: int) -> int:
    """splice(2) of a file system that has none."""
    raise OSError(errno.EINVAL, "no")


class TestPipe:
    """``output="pipe"``."""

    @pytest.mark.parametrize("user", ["", "nobody"])
    def test_nothing_is_lost_however_a_stream_is_opened(self, agent: FakeAgent, start: Start, user: str) -> None:
        """By redirections, tee and numbers; also by another account."""
        executor = start("/bin/sh", "-c", ANEW, output="pipe", user=user, restart=Restart("never"))
        agent.wait_update("TASK_FINISHED")
        lines = (executor.sandbox / "stderr").read_text().splitlines()
        kinds = ("usual", "anew", "copied", "appended", "by-number")
        assert lines == [f"{kind} {number}" for number in range(1, 101) for kind in kinds]
        assert (executor.sandbox / "stdout").read_bytes() == b""
        executor.leave()
        assert relays(executor) == []

    def test_kill_9_of_the_program_loses_no_line(self, start: Start) -> None:
        """Again and again, in full speed."""
        executor = start(sys.executable, "-S", "-c", COUNTS, output="pipe", restart=Restart(delay_s=0.0))
        for number in range(1, 6):
            pid = executor.running(number).pid
            wait_for_more(executor.sandbox)
            os.kill(pid, signal.SIGKILL)
        executor.running(6)
        until(lambda: len(relays(executor)) == 1, "the last relay alone")
        executor.end()
        wait_for_the_end_of_drains(executor)
        check_lines(executor.sandbox)

    def test_kill_9_of_the_executor_loses_no_line(self, start: Start) -> None:
        """What copies is left alone by the warden, and ends when all is in the file."""
        executor = start(sys.executable, "-S", "-c", COUNTS, output="pipe")
        executor.running()
        until(lambda: counted(executor.sandbox) > 20_000, "lines")
        os.kill(executor.pid, signal.SIGKILL)
        executor.leave()
        assert relays(executor) == [] and processes_of(executor) == []
        check_lines(executor.sandbox)

    def test_kill_9_of_all_at_once_loses_no_line(self, tmp_path: Path) -> None:
        """As an agent does that destroys the cgroup: all are frozen, killed, and go on into their death."""
        job = Payload("readout@hlt01.1", "readout", "hlt01", (sys.executable, "-S", "-c", COUNTS), output="pipe")
        for _ in range(5):
            executor = ExecutorUnderTest(FakeAgent(), tmp_path / "sandbox")
            executor.launch(job)
            program = executor.running().pid
            wait_for_more(executor.sandbox)
            everybody = (executor.process.pid, executor.pid, program)
            for sent in (signal.SIGSTOP, signal.SIGKILL):
                for pid in everybody:
                    os.kill(pid, sent)
            executor.leave()
            wait_for_the_end_of_drains(executor)
            check_lines(executor.sandbox)

    def test_kill_9_of_what_copies_goes_unnoticed(self, start: Start) -> None:
        """Another one goes on with what is in the pipe, and the program notices nothing."""
        executor = start(sys.executable, "-S", "-c", COUNTS, output="pipe")
        pid = executor.running().pid
        for _ in range(5):
            (copier,) = until(lambda: relays(executor), "relay")
            wait_for_more(executor.sandbox)
            os.kill(copier, signal.SIGKILL)
            wait_for_another_relay(executor, copier)
        assert alive(pid)
        os.kill(executor.pid, signal.SIGKILL)
        executor.leave()
        check_lines(executor.sandbox)

    def test_one_that_closes_its_output_costs_nothing_more(self, start: Start) -> None:
        """Nothing is made anew for it, and the next one prints as ever."""
        text = "echo a; exec >&- 2>&-; touch closed; sleep 1000"
        executor = start("/bin/sh", "-c", text, output="pipe", restart=Restart(delay_s=0.0))
        pid = executor.running().pid
        until((executor.sandbox / "closed").exists, "closed output")
        before = relays(executor)
        os.kill(pid, signal.SIGKILL)
        executor.running(2)
        until(lambda: (executor.sandbox / "stdout").read_text() == "a\na\n", "second line")
        assert relays(executor) == before

    @pytest.mark.parametrize("spliced", [True, False])
    def test_a_full_disk_is_counted_and_holds_nobody_up(
        self, spliced: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whoever moves, the kernel or the relay itself."""
        said: list[str] = []
        if not spliced:
            monkeypatch.setattr(relay, "splice", refused)
        with open("/dev/full", "wb", buffering=0) as full, open(tmp_path / "log", "ab", buffering=0) as file:
            ours, theirs = os.pipe()
            os.write(theirs, b"x" * 1000)
            target = relay.Target(full.fileno(), said.append)
            assert target.take(ours) == 1000
            assert said == ["the program's output cannot be written: No space left on device; it is dropped"]
            target.tell_lost()
            assert said[1:] == ["1000 bytes of the program's output could not be written to the sandbox"]
            os.write(theirs, b"y" * 1000)
            assert relay.Target(file.fileno(), said.append).take(ours) == 1000
            os.close(theirs)
            assert target.take(ours) == 0
            os.close(ours)
        assert (tmp_path / "log").read_bytes() == b"y" * 1000

    def test_a_pipe_that_a_stranger_holds_open_delays_nothing(self, start: Start) -> None:
        """He may be anybody to whom the program gave it; what he prints is there, until the executor is gone."""
        executor = start("/bin/sh", "-c", "echo a; sleep 1000", output="pipe", restart=Restart(delay_s=0.0))
        pid = executor.running().pid
        with open(f"/proc/{pid}/fd/1", "wb", buffering=0) as held:
            os.kill(pid, signal.SIGKILL)
            executor.running(2)
            held.write(b"stranger\n")
            until(lambda: "stranger\n" in (executor.sandbox / "stdout").read_text(), "stranger's line")
            executor.end()
            until(lambda: not relays(executor), "end of the relay process")

            def broken() -> bool:
                try:
                    held.write(b"x")
                except BrokenPipeError:
                    return True
                return False  # whoever closes it may do so a moment after the end of the relay process

            until(broken, "nobody reads what the stranger prints")

    def test_what_a_program_leaves_behind_is_killed_and_what_it_printed_is_there(
        self, agent: FakeAgent, start: Start
    ) -> None:
        """The last lines are in the report of its death."""
        text = "setsid -f sh -c 'echo daemon; sleep 1000'; sleep 0.2; echo last words; exit 3"
        start("/bin/sh", "-c", text, output="pipe", restart=Restart("never"))
        exit = report_of(agent.wait_update("TASK_FAILED")).last_exit
        assert exit is not None and exit.code == 3

    def test_the_last_lines_are_told(self, agent: FakeAgent, start: Start) -> None:
        """A death is told when all that was printed has been copied."""
        text = "for i in $(seq 5000); do echo line $i; done; exit 3"
        start("/bin/sh", "-c", text, output="pipe", restart=Restart("never"))
        exit = report_of(agent.wait_update("TASK_FAILED")).last_exit
        assert exit is not None and exit.lines[-1] == "line 5000"


class TestFile:
    """``output="file"``."""

    def test_a_program_that_empties_its_file_is_told_and_not_taken_for_silent(
        self, agent: FakeAgent, start: Start
    ) -> None:
        """Each line has the length of the one before, so that the file's size is always the same."""
        text = "while :; do echo alive, all well > /dev/stderr; sleep 0.2; done"
        check = Check("output", "lines", silence_s=8.0, grace_s=20.0)
        executor = start("/bin/sh", "-c", text, checks=(check,), output="file")
        pid = executor.running().pid
        told = agent.wait_update(
            "TASK_RUNNING", contains="its stderr was emptied, as `> /dev/stderr` does", limit_s=40.0
        )
        assert report_of(told).pid == pid and 'leave out Job(output="file")' in told["message"]
        assert alive(pid) and report_of(told).restarts == 0

    def test_it_is_told_of_a_program_without_checks(self, agent: FakeAgent, start: Start) -> None:
        """Once."""
        text = "for i in $(seq 1000); do echo $i; done; while :; do echo x | tee /dev/stdout; sleep 0.2; done"
        executor = start("/bin/sh", "-c", text, output="file")
        executor.running()
        agent.wait_update("TASK_RUNNING", contains="its stdout was emptied", limit_s=40.0)
        assert executor.log().count("was emptied") == 1

    def test_a_pattern_is_found_in_a_file_that_is_emptied(self, agent: FakeAgent, start: Start) -> None:
        """Whether it is shorter, as long, or longer by the next look."""
        text = (
            "while :; do echo event > /dev/stderr; for i in 1 2 3 4 5 6 7; do echo other $i >&2; sleep 0.05; done; done"
        )
        check = Check("output", "lines", pattern="^event$", silence_s=8.0, grace_s=20.0)
        executor = start("/bin/sh", "-c", text, checks=(check,), output="file")
        pid = executor.running().pid
        agent.wait_update("TASK_RUNNING", contains="its stderr was emptied", limit_s=40.0)
        assert alive(pid)

    def test_the_last_lines_of_a_file_that_was_emptied_are_told(self, agent: FakeAgent, start: Start) -> None:
        """It is shorter than it was when the program began."""
        text = "test -e second || { touch second; seq 100000; exit 1; }; : > /dev/stdout; echo last words; exit 3"
        start("/bin/sh", "-c", text, restart=Restart(budget=1), output="file")
        exit = report_of(agent.wait_update("TASK_FAILED")).last_exit
        assert exit is not None and exit.lines == ("last words",)


def test_what_copies_and_ends_at_once_is_not_begun_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program shall not cost a process each moment."""
    begun: list[int] = []

    def spawned(files: object) -> int:
        begun.append(1)
        return 1

    monkeypatch.setattr(relay, "_spawned", spawned)
    some = Relay((1, 2), "", lambda words: None)
    with pytest.raises(OSError, match="ended 10 times at once"):
        for _ in range(100):
            some.again()
    assert len(begun) == 10
    for end in (*some.pipes, *some.ends):
        os.close(end)
    some.let_go()


@pytest.mark.parametrize("number", relay.NO_ROOM)
@pytest.mark.parametrize("kind", [Relay, Terminal])
def test_where_there_can_be_no_relay_process_no_file_stays_open(
    kind: type[Relay], number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The start is tried again and again."""

    def spawned(*arguments: object, **more: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "posix_spawn", spawned)
    with open(tmp_path / "out", "ab") as out:
        before = set(os.listdir("/proc/self/fd"))
        for _ in range(3):
            with pytest.raises(OSError, match=os.strerror(number)):
                kind((out.fileno(), out.fileno()), "", lambda words: None)
        assert set(os.listdir("/proc/self/fd")) == before


#: What a relay asks of the system, and where; any of it may fail.
ASKED: tuple[tuple[Any, str], ...] = (
    (os, "pipe"),
    (os, "openpty"),
    (os, "fchmod"),
    (os, "open"),
    (os, "posix_spawn"),
    (fcntl, "fcntl"),
    (fcntl, "ioctl"),
    (termios, "tcgetattr"),
    (relay, "leave_groups"),
    (select, "poll"),
)


def failing(monkeypatch: pytest.MonkeyPatch, at: int, error: BaseException) -> list[str]:
    """Have the call of that number fail; the calls so far."""
    calls: list[str] = []

    def instead(name: str, ask: Callable[..., Any]) -> Callable[..., Any]:
        def asked(*words: Any, **more: Any) -> Any:
            calls.append(name)
            if len(calls) == at:
                raise error
            return ask(*words, **more)

        return asked

    for place, name in ASKED:
        monkeypatch.setattr(place, name, instead(name, getattr(place, name)))
    return calls


def our_children() -> str:
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text()


@pytest.mark.parametrize(
    "error", [OSError(errno.EMFILE, "full"), OSError(errno.EIO, "ill"), MemoryError(), termios.error()]
)
@pytest.mark.parametrize("kind", [Relay, Terminal])
def test_whatever_fails_no_file_stays_open_and_no_process_is_forgotten(
    kind: type[Relay], error: BaseException, tmp_path: Path
) -> None:
    """At each call of its begin in turn, and at each of another try before the next start."""
    said: list[str] = []
    with open(tmp_path / "out", "ab") as out:
        files, before, children = (out.fileno(), out.fileno()), set(os.listdir("/proc/self/fd")), our_children()
        for at in itertools.count(1):
            with pytest.MonkeyPatch.context() as patch:
                calls = failing(patch, at, error)
                try:
                    some: Optional[Relay] = kind(files, "", said.append)
                except (OSError, MemoryError, termios.error) as raised:
                    assert raised is error
                    some = None
            if some is not None:
                some.end()
                with pytest.MonkeyPatch.context() as patch:
                    again = failing(patch, at, error)
                    try:
                        some.renew()
                    except (MemoryError, termios.error) as raised:
                        assert raised is error and not some.process
                some.end()
                some._close()
            assert (set(os.listdir("/proc/self/fd")), our_children()) == (before, children), calls
            if some is not None and len(calls) < at and len(again) < at:
                break
        assert at > 10, "all calls have failed once"


#: An executor whose relay process can't be begun while there is a file ``full`` in its sandbox.
BUSY = """
import os, sys
from daqsched_executor.machine import relay
begin = relay._spawned
def spawned(files):
    if os.path.exists("full"):
        raise OSError({number}, os.strerror({number}))
    return begin(files)
relay._spawned = spawned
from daqsched_executor.__main__ import main
sys.exit(main())
"""


@pytest.mark.parametrize("console", [False, True])
def test_what_copies_is_there_again_while_the_program_runs(agent: FakeAgent, tmp_path: Path, console: bool) -> None:
    """A program runs for months, and the machine had no room for a moment."""
    often = BUSY.format(number=errno.EAGAIN).replace(
        "from daqsched_executor.__main__",
        "from daqsched_executor.run import moving\nmoving.KEEP_S = 0.2\nfrom daqsched_executor.__main__",
    )
    executor = ExecutorUnderTest(agent, tmp_path / "sandbox", (sys.executable, "-c", often))
    full, log = tmp_path / "sandbox" / "full", executor.log
    try:
        argv = ("/bin/sh", "-c", "while sleep 0.05; do echo x; done")
        executor.launch(Payload("readout@hlt01.1", "readout", "hlt01", argv, console=console))
        program = executor.running().pid
        for times in (1, 2):
            (copier,) = until(lambda: relays(executor), "relay")
            full.touch()
            os.kill(copier, signal.SIGKILL)
            until(lambda: log().count("nothing keeps them then") == times, "word of it")  # noqa: B023
            assert relays(executor) == []
            full.unlink()
            until(lambda: log().count("kept again") == times, "another relay")  # noqa: B023
            assert executor.running().pid == program
    finally:
        executor.end()
    wait_for_the_end_of_drains(executor)


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.EIO])
@pytest.mark.parametrize("console", [False, True])
def test_what_copies_is_there_again_at_the_next_start(
    agent: FakeAgent, tmp_path: Path, number: int, console: bool
) -> None:
    """What was in the way may have passed: once it is tried at each start, and one that fails holds no program up."""
    executor = ExecutorUnderTest(agent, tmp_path / "sandbox", (sys.executable, "-c", BUSY.format(number=number)))
    full, log = tmp_path / "sandbox" / "full", executor.log
    try:
        argv = ("/bin/sleep", "1000")
        job = Payload("readout@hlt01.1", "readout", "hlt01", argv, console=console, restart=Restart(delay_s=0.0))
        executor.launch(job)
        first = executor.running().pid
        (copier,) = until(lambda: relays(executor), "relay")
        full.touch()
        os.kill(copier, signal.SIGKILL)
        until(lambda: f"nothing keeps them then: {os.strerror(number)}" in log(), "word of it")
        os.kill(first, signal.SIGKILL)
        second = executor.running(2).pid
        assert relays(executor) == [] and "kept again" not in log()
        full.unlink()
        os.kill(second, signal.SIGKILL)
        third = executor.running(3).pid
        (another,) = until(lambda: relays(executor), "another relay")
        assert log().count("kept again") == log().count("nothing keeps them then") == 1
        os.kill(third, signal.SIGKILL)
        executor.running(4)
        assert relays(executor) == [another], "it is no part of the program"
    finally:
        executor.end()
    wait_for_the_end_of_drains(executor)


#: An executor on a machine whose shell is at another place, where it can't be run.
ELSEWHERE = """
import sys
from daqsched_executor.machine import relay, warden
relay.SHELL = warden.SHELL = {shell!r}
from daqsched_executor.__main__ import main
sys.exit(main())
"""


@pytest.mark.parametrize("gone", [False, True])
def test_kill_9_of_the_warden_loses_no_line_where_nothing_copies(agent: FakeAgent, tmp_path: Path, gone: bool) -> None:
    """As there never was what copies, or as it goes with the warden: then the executor moves what was printed until the end."""
    code = ELSEWHERE.format(shell=str(tmp_path / "sh")).replace("= warden.SHELL", "")
    command = ExecutorUnderTest.COMMAND if gone else (sys.executable, "-c", code)
    executor = ExecutorUnderTest(agent, tmp_path / "sandbox", command)
    try:
        argv = (sys.executable, "-S", "-c", COUNTS)
        executor.launch(Payload("readout@hlt01.1", "readout", "hlt01", argv, output="pipe"))
        executor.running()
        wait_for_more(executor.sandbox)
        assert bool(relays(executor)) == gone
        ours = executor.pid
        for pid in (*relays(executor), executor.process.pid):
            os.kill(pid, signal.SIGKILL)
        until(lambda: not alive(ours), "the executor's end")
        wait_for_the_end_of_drains(executor)
        assert processes_of(executor) == []
        check_lines(executor.sandbox)
    finally:
        executor.end()


@pytest.mark.parametrize("shell", ["there is none", "not a program", "no right"])
@pytest.mark.parametrize("console", [False, True])
def test_a_machine_without_a_shell_starts_programs_and_is_told_what_it_lacks(
    agent: FakeAgent, tmp_path: Path, shell: str, console: bool
) -> None:
    """Once, whatever becomes of the program; its lines come, each start is one, and a stop and kill -9 leave nothing."""
    place = tmp_path / "sh"
    if shell != "there is none":
        place.write_bytes(b"\x7fELF")
        place.chmod(0o755 if shell == "not a program" else 0o644)
    command = (sys.executable, "-c", ELSEWHERE.format(shell=str(place)))
    executor = ExecutorUnderTest(agent, tmp_path / "sandbox", command)
    text = "import time; print('line', flush=True); time.sleep(1000)"
    argv = (sys.executable, "-S", "-c", text)
    try:
        job = Payload("readout@hlt01.1", "readout", "hlt01", argv, console=console, restart=Restart(delay_s=0.0))
        executor.launch(job)
        for number in range(1, 4):
            pid = executor.running(number).pid
            until(lambda: (executor.sandbox / "stdout").read_text() == "line\n" * number, "its line")  # noqa: B023
            if number < 3:
                os.kill(pid, signal.SIGKILL)
        assert executor.log().count("nothing keeps them then") == 1 and f"{place}: " in executor.log()
        assert relays(executor) == []
        os.kill(executor.pid, signal.SIGKILL)
        executor.leave()
        assert processes_of(executor) == []
    finally:
        executor.end()
