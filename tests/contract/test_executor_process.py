"""Real executors with real programs: what the process layer promises, seen from outside.

The agent is fake (tests/fake_agent.py), everything else is real: processes, signals, mounts, files.
"""

from __future__ import annotations

import fcntl
import json
import os
import pwd
import shlex
import shutil
import signal
import sys
import time
from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any

import pytest

from daqsched_executor.contract import Check, Payload, Restart, Stop, Stream, starts_of, starts_path
from daqsched_executor.life.events import Died, Event, Started, TreeGone
from daqsched_executor.machine.kernel import Kernel, ProcessEntry
from daqsched_executor.machine.process import Program
from daqsched_executor.run.streams import Registered
from fake_agent import FakeAgent, Start, processes_of, report_of
from hanging_mount import HangingMount
from waiting import alive, until


def python(text: str) -> list[str]:
    """argv of a small program."""
    return [sys.executable, "-c", text]


class TestRestart:
    """A program that ends."""

    def test_a_binary_killed_with_9_runs_again(self, agent: FakeAgent, start: Start) -> None:
        """kill -9 is followed by a new process at once, and the update says what happened."""
        executor = start("/bin/sleep", "1000")
        first = executor.running().pid
        os.kill(first, signal.SIGKILL)
        report = executor.running(2)
        assert alive(report.pid) and not alive(first) and report.restarts == 1
        assert "1 restart, last: killed by SIGKILL after" in agent.updates[-1]["message"]

    def test_one_that_exits_at_once_backs_off_and_spends_its_budget(self, agent: FakeAgent, start: Start) -> None:
        """Restarts get slower, are few in updates, and end in TASK_FAILED with the reason."""
        start(*python("raise SystemExit(3)"), restart=Restart(delay_s=0.02, factor=1.5, budget=8))
        failed = agent.wait_update("TASK_FAILED")
        assert failed["message"].startswith("gave up after 8 restarts within 10 min; last: exit code 3 after 0.")
        assert report_of(failed).restarts == 8
        assert len(agent.updates) <= 9

    def test_a_core_dump_and_its_signal_are_named(self, agent: FakeAgent, start: Start) -> None:
        """A crash is told by its signal's name."""
        start(*python("import os; os.abort()"), restart=Restart("never"), limits={"core": 0})
        assert agent.wait_update("TASK_FAILED")["message"].startswith("killed by SIGABRT after 0.")

    def test_workers_of_a_killed_program_are_gone_before_the_next_one(self, agent: FakeAgent, start: Start) -> None:
        """Plain children and double-forked daemons both die with the program that began them."""
        text = """
import os, time
if os.fork() == 0:
    time.sleep(1000)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        open("daemon", "w").write(str(os.getpid()))
        os.rename("daemon", "daemon.pid")
        time.sleep(1000)
    os._exit(0)
os.wait()
time.sleep(1000)
"""
        executor = start(*python(text))
        pid_file = executor.sandbox / "daemon.pid"
        until(pid_file.exists, "daemon")
        daemon = int(pid_file.read_text())
        assert len(processes_of(executor)) == 3
        pid_file.unlink()
        os.kill(executor.running().pid, signal.SIGKILL)
        executor.running(2)
        assert not alive(daemon)
        until(pid_file.exists, "second daemon")
        assert len(processes_of(executor)) == 3
        assert "2 processes it left behind killed" in executor.log()

    def test_a_program_that_goes_to_the_background_is_told_so(self, agent: FakeAgent, start: Start) -> None:
        """Exit 0 with a daemon left over: the message says that it must stay in the foreground."""
        start("/bin/sh", "-c", "sleep 1000 & exit 0", restart=Restart("never"))
        assert "it must stay in the foreground" in agent.wait_update("TASK_FINISHED")["message"]


def test_a_sandbox_that_was_removed_gives_the_task_up(agent: FakeAgent, start: Start) -> None:
    """With its path: the framework launches a task that has a new one."""
    executor = start("/bin/sleep", "1000")
    pid = executor.running().pid
    shutil.rmtree(executor.sandbox)
    os.kill(pid, signal.SIGKILL)
    told = agent.wait_update("TASK_FAILED")
    assert told["message"] == f"the sandbox {executor.sandbox} was removed: the task needs a new one"
    assert executor.leave() == 0


@pytest.mark.parametrize(
    "check",
    [
        Check("command", "alive", argv=("/bin/true",), interval_s=0.05, failures=1),
        Check("file", "alive", path="beat", silence_s=1.0, interval_s=0.05, failures=1),
    ],
    ids=lambda check: check.kind,
)
def test_a_sandbox_that_was_removed_kills_no_healthy_program(agent: FakeAgent, start: Start, check: Check) -> None:
    """What can't be asked says nothing of the program; people are told."""
    executor = start("/bin/sh", "-c", "while touch beat; do sleep 0.05; done; exec sleep 1000", checks=(check,))
    pid = executor.running().pid
    shutil.rmtree(executor.sandbox)
    told = f"check alive can't be asked: the sandbox {executor.sandbox} was removed: the task needs a new one"
    report = report_of(agent.wait_update("TASK_RUNNING", contains=told))
    assert (report.pid, report.healthy, report.lacks) == (pid, True, told) and alive(pid)


class TestStop:
    """TERM, grace, KILL, the whole tree."""

    def test_a_program_that_ends_on_term_is_told_with_its_exit_code(self, agent: FakeAgent, start: Start) -> None:
        """The signal reaches the program, which ends as it likes."""
        executor = start("/bin/sh", "-c", "trap 'exit 7' TERM; touch ready; while :; do sleep 0.05; done")
        executor.running()
        until((executor.sandbox / "ready").exists, "trap")
        agent.kill("readout@hlt01.1")
        assert agent.wait_update("TASK_KILLED")["message"].startswith("stopped: exit code 7 after ")
        assert executor.leave() == 0

    def test_one_that_ignores_term_is_killed_after_the_grace(self, agent: FakeAgent, start: Start) -> None:
        """The whole tree goes with it, and the report says that it had to be forced."""
        executor = start("/bin/sh", "-c", "trap '' TERM; touch ready; sleep 1000", stop=Stop(grace_s=0.3))
        executor.running()
        until((executor.sandbox / "ready").exists, "trap")
        agent.kill("readout@hlt01.1")
        assert "still there 0.30 s after SIGTERM, so killed by SIGKILL" in agent.wait_update("TASK_KILLED")["message"]
        assert executor.leave() == 0 and processes_of(executor) == []

    def test_a_stopped_program_hears_the_signal(self, agent: FakeAgent, start: Start) -> None:
        """One that hangs in SIGSTOP is continued, so that it need not be killed."""
        executor = start("/bin/sleep", "1000")
        os.kill(executor.running().pid, signal.SIGSTOP)
        agent.kill("readout@hlt01.1")
        assert agent.wait_update("TASK_KILLED")["message"].startswith("stopped: killed by SIGTERM")

    def test_a_double_forked_daemon_gets_signal_and_grace_as_well(self, agent: FakeAgent, start: Start) -> None:
        """What left the process group is not forgotten by a stop."""
        daemon = 'trap "touch daemon.ended; exit" TERM; touch ready; while :; do sleep 0.05; done'
        executor = start("/bin/sh", "-c", f"setsid -f sh -c {shlex.quote(daemon)}; exec sleep 1000")
        executor.running()
        until((executor.sandbox / "ready").exists, "daemon")
        agent.kill("readout@hlt01.1")
        agent.wait_update("TASK_KILLED")
        assert (executor.sandbox / "daemon.ended").exists() and processes_of(executor) == []

    def test_another_signal_than_term(self, agent: FakeAgent, start: Start) -> None:
        """The job's own stop signal is the one that is sent."""
        text = """
import signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
open("ready", "w")
signal.sigwait([signal.SIGUSR1])
sys.exit(9)
"""
        executor = start(*python(text), stop=Stop("USR1", 5.0))
        until((executor.sandbox / "ready").exists, "handler")
        agent.kill("readout@hlt01.1")
        assert "exit code 9" in agent.wait_update("TASK_KILLED")["message"]

    def test_kill_9_of_the_executor_leaves_no_program(self, start: Start) -> None:
        """The program dies with its executor, whoever kills that."""
        executor = start("/bin/sleep", "1000")
        pid = executor.running().pid
        os.kill(executor.pid, signal.SIGKILL)
        until(lambda: not alive(pid), "end of the program")

    def test_processes_that_hop_are_caught(self, agent: FakeAgent, start: Start) -> None:
        """Some fork a successor in a session of its own and exit, every 10 ms: they are killed to the last one."""
        text = """
import os, time
def hop():
    end = time.monotonic() + 20
    while time.monotonic() < end:
        os.setsid()
        time.sleep(0.01)
        if os.fork():
            os._exit(0)
for _ in range(4):
    if os.fork() == 0:
        hop()
open("ready", "w")
time.sleep(1000)
"""
        executor = start(*python(text), stop=Stop("TERM", 0.1))
        until((executor.sandbox / "ready").exists, "hoppers")
        agent.kill("readout@hlt01.1")
        agent.wait_update("TASK_KILLED")
        assert processes_of(executor) == []


#: A helper in a session of its own, whose first thread ends while another one works: stat(5) calls it a zombie.
LEADERLESS = """
import ctypes, os, threading, time
if os.fork() == 0:
    os.setsid()
    threading.Thread(target=lambda: (open("helpers", "a").write(f"{os.getpid()}\\n"), time.sleep(1000))).start()
    ctypes.CDLL(None).pthread_exit(None)
time.sleep(1000)
"""


def zombie_with_threads(pid: int) -> bool:
    """What `LEADERLESS` leaves: the first thread has ended, another one is there."""
    try:
        ended = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        return ended and len(os.listdir(f"/proc/{pid}/task")) > 1
    except OSError:
        return False


class TestFirstThreadHasEnded:
    """A process is alive as long as one of its threads is."""

    def helpers(self, sandbox: Path, count: int) -> list[int]:
        """Wait for the n-th helper, as one whose first thread has ended; all of them so far."""
        file = sandbox / "helpers"
        until(lambda: file.exists() and len(file.read_text().split()) >= count, f"helper {count}")
        found = [int(pid) for pid in file.read_text().split()]
        until(lambda: zombie_with_threads(found[-1]), "end of its first thread")
        return found

    def test_it_is_ended_with_the_tree_and_before_a_restart(self, agent: FakeAgent, start: Start) -> None:
        """One at most beside the program, none after the stop."""
        executor = start(*python(LEADERLESS))
        for number in (1, 2):
            *old, newest = self.helpers(executor.sandbox, number)
            assert not [pid for pid in old if os.path.exists(f"/proc/{pid}")]
            os.kill(executor.running(number).pid, signal.SIGKILL)
        self.helpers(executor.sandbox, 3)
        agent.kill("readout@hlt01.1")
        agent.wait_update("TASK_KILLED")
        assert not [pid for pid in self.all(executor.sandbox) if os.path.exists(f"/proc/{pid}")]

    def test_the_warden_ends_it_too(self, start: Start) -> None:
        """kill -9 of the executor."""
        executor = start(*python(LEADERLESS))
        found = self.helpers(executor.sandbox, 1)
        os.kill(executor.pid, signal.SIGKILL)
        executor.process.wait(15)
        assert not os.path.exists(f"/proc/{found[0]}")

    def all(self, sandbox: Path) -> list[int]:
        """Every helper there was."""
        return [int(pid) for pid in (sandbox / "helpers").read_text().split()]

    def test_its_environment_is_found(self, agent: FakeAgent, start: Start) -> None:
        """By which a copy that a dead executor left is known (`machine.claim`)."""
        executor = start(*python(LEADERLESS))
        (pid,) = self.helpers(executor.sandbox, 1)
        try:
            assert b"DAQSCHED_INSTANCE=readout@hlt01" in Kernel().environ(pid).split(b"\0")
        finally:
            os.kill(pid, signal.SIGKILL)  # whoever ends what is left goes by folders, and it shows none


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_what_our_account_may_not_signal_is_told(tmp_path: Path) -> None:
    """A program that became another account's is named, with both accounts, each time it should be ended."""
    told, tell = os.pipe()
    executor = os.fork()
    if executor == 0:
        try:
            program = Program(Kernel(), (2, 2))
            program.spawn(Payload("j@h.1", "j", "h", ("/bin/sleep", "1000")))
            while not any(isinstance(event, Started) for event in program.listen()):
                pass
            os.setresuid(65534, 65534, 65534)
            events = [*program.signal("TERM"), *program.kill_tree()]
            os.write(tell, "\n".join(getattr(event, "problem", "") for event in events).encode())
            os.kill(os.getpid(), signal.SIGSTOP)  # its end would be the program's
        finally:
            os._exit(1)
    os.close(tell)
    pid = 0
    try:
        os.waitpid(executor, os.WUNTRACED)
        words = os.read(told, 4096).decode().splitlines()
        assert len(words) == 2 and words[0] == words[1]
        pid = int(words[0].split()[1])
        assert words[0] == (
            f"pid {pid} (sleep), which runs as uid 0, can't be ended by uid 65534, the executor's account"
        )
    finally:
        if pid:
            os.kill(pid, signal.SIGKILL)  # nor may that account's end be its end (prctl(2), PR_SET_PDEATHSIG)
        os.kill(executor, signal.SIGKILL)
        os.waitpid(executor, 0)
        os.close(told)


class Blind(Kernel):
    """Sees nothing below us for a while, as one does that looks just when each of the processes there has forked and exited."""

    looks = 0

    def descendants(self, runners: Container[int] = ()) -> list[ProcessEntry]:
        """As ever, after ten looks."""
        self.looks += 1
        return [] if self.looks <= 10 else super().descendants(runners)


def test_what_a_look_misses_is_not_taken_for_gone() -> None:
    """Beside a relay process, which lives as long as the program, too: that something lives, our own children say."""
    told, tell = os.pipe()
    executor = os.fork()
    if executor == 0:
        try:
            kernel = Blind()
            kernel.adopt_orphans()
            program = Program(kernel, (2, 2))
            program.spawn(Payload("j@h.1", "j", "h", ("/bin/sh", "-c", "sleep 1000 & exit 3")))
            (died,) = (event for event in heard(program, Died) if isinstance(event, Died))
            heard(program, TreeGone, program.kill_tree())
            os.write(tell, f"{died.left} was left".encode())
        finally:
            os._exit(1)
    os.close(tell)
    assert os.read(told, 100) == b"1 was left"
    os.waitpid(executor, 0)
    os.close(told)


def heard(program: Program, kind: type[Event], events: Sequence[Event] = ()) -> list[Event]:
    """All that is told until one of these is."""
    found = list(events)

    def told() -> bool:
        if not any(isinstance(one, kind) for one in found):
            found.extend([*program.listen(), *program.reap()])
        return any(isinstance(one, kind) for one in found)

    until(told, f"{kind.__name__} is told")
    return found


class TestWhatAProgramFinds:
    """Environment, files, folder, limits, account."""

    def facts(self, start: Start, agent: FakeAgent, **fields: Any) -> dict[str, object]:
        """What a program sees of itself."""
        text = """
import json, os, resource
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(json.dumps(dict(
    env=dict(os.environ), cwd=os.getcwd(), group=os.getpgrp() == os.getpid(), session=os.getsid(0), uid=os.getuid(),
    groups=os.getgroups(), blocked=status["SigBlk"].strip(), ignored=status["SigIgn"].strip(),
    files=[int(f) for f in os.listdir("/proc/self/fd")], stdin=os.readlink("/proc/self/fd/0"),
    nofile=resource.getrlimit(resource.RLIMIT_NOFILE))))
"""
        interpreter = fields.pop("interpreter", sys.executable)
        executor = start(str(interpreter), "-S", "-c", text, restart=Restart("never"), **fields)
        agent.wait_update("TASK_FINISHED")
        self.executor = executor
        facts: dict[str, object] = json.loads((executor.sandbox / "stdout").read_text())
        return facts

    def test_the_environment_is_small_and_its_own(self, agent: FakeAgent, start: Start) -> None:
        """PATH, HOME, LANG, what the job says, and DAQSCHED_*: nothing of the executor's."""
        facts = self.facts(start, agent, env={"RUN": "7", "LANG": "C", "DAQSCHED_JOB": "forged"})
        env = facts["env"]
        assert isinstance(env, dict)
        assert set(env) - {"LC_CTYPE"} == {
            "PATH", "HOME", "LANG", "RUN", "DAQSCHED_JOB", "DAQSCHED_HOST", "DAQSCHED_INSTANCE", "DAQSCHED_TASK_ID",
            "DAQSCHED_SPOOL", "DAQSCHED_KEY", "USER", "LOGNAME", "SHELL",
        }  # fmt: skip
        own = pwd.getpwuid(os.geteuid())
        assert env["HOME"] == own.pw_dir and {env["USER"], env["LOGNAME"]} == {own.pw_name}
        assert env["SHELL"] == own.pw_shell
        assert (env["RUN"], env["LANG"], env["DAQSCHED_JOB"]) == ("7", "C", "readout")
        assert (env["DAQSCHED_INSTANCE"], env["DAQSCHED_TASK_ID"]) == ("readout@hlt01", "readout@hlt01.1")

    def test_process_group_session_signals_and_files(self, agent: FakeAgent, start: Start) -> None:
        """Own group, the executor's session, no signal blocked or ignored, no file but the three."""
        facts = self.facts(start, agent)
        assert facts["group"] and facts["session"] == self.executor.process.pid
        assert int(str(facts["blocked"]), 16) == 0
        # Python, the program here, ignores these two itself
        # and what glibc keeps for itself (from 32 on) is as whoever started the tests left it
        assert int(str(facts["ignored"]), 16) & 0x7FFFFFFF == sum(
            1 << (int(s) - 1) for s in (signal.SIGPIPE, signal.SIGXFSZ)
        )
        assert facts["files"] == [0, 1, 2, 3] and facts["stdin"] == "/dev/null"  # 3 is the listing itself
        assert facts["cwd"] == str(self.executor.sandbox)

    def test_folder_and_limits(self, agent: FakeAgent, start: Start, tmp_path: Path) -> None:
        """The job's working directory and resource limits hold."""
        facts = self.facts(start, agent, cwd=str(tmp_path), limits={"nofile": 100})
        assert facts["cwd"] == str(tmp_path) and facts["nofile"] == [100, 100]

    @pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
    def test_another_account(self, agent: FakeAgent, start: Start) -> None:
        """The program runs as the job's user with that user's groups and home, and still dies with the executor."""
        facts = self.facts(start, agent, user="nobody", interpreter="/usr/bin/python3")
        assert facts["uid"] == 65534 and facts["groups"] == [65534]
        env = facts["env"]
        assert isinstance(env, dict)
        assert (env["HOME"], env["USER"], env["LOGNAME"]) == (str(self.executor.sandbox), "nobody", "nobody")
        assert "SHELL" not in env  # nobody logs in

    @pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
    @pytest.mark.parametrize(
        ("option", "uid"), [({"new_privileges": False}, 65534), ({"new_privileges": True}, 0), ({}, 0)]
    )
    def test_a_setuid_program_helps_only_a_job_that_says_so(
        self, agent: FakeAgent, start: Start, public: Path, option: dict[str, bool], uid: int
    ) -> None:
        """The program, a command that its check runs, and its hook; an older framework says nothing, and meant that it does."""
        program = public / "id"
        shutil.copy("/usr/bin/id", program)
        program.chmod(0o4755)
        text = f"{program} -u; {program} -u > $DAQSCHED_TASK_ID; exec sleep 1000"
        hook = ("/bin/sh", "-c", f"echo the hook has $({program} -u)")
        check = Check("command", "check", argv=("/bin/sh", "-c", f"{program} -u > new && mv new check"), interval_s=0.1)
        executor = start("/bin/sh", "-c", text, user="nobody", stop=Stop(after=hook), checks=(check,), **option)
        executor.running()
        until((executor.sandbox / "check").exists, "its first check")
        agent.kill("readout@hlt01.1")
        agent.wait_update("TASK_KILLED")
        assert (executor.sandbox / "stdout").read_text() == f"{uid}\n" == (executor.sandbox / "check").read_text()
        assert f"the hook has {uid}" in executor.log()

    def test_home_is_that_of_the_account_and_not_of_the_agent(self, agent: FakeAgent, start: Start) -> None:
        """An agent hands on its own, or none."""
        environ = {"HOME": "/agent", "USER": "agent"}
        executor = start("/bin/sh", "-c", "echo $HOME $USER", environ=environ, restart=Restart("never"))
        agent.wait_update("TASK_FINISHED")
        own = pwd.getpwuid(os.geteuid())
        assert (executor.sandbox / "stdout").read_text() == f"{own.pw_dir} {own.pw_name}\n"

    @pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
    def test_another_account_can_use_sandbox_and_home(self, agent: FakeAgent, start: Start, tmp_path: Path) -> None:
        """In a sandbox as Mesos makes it, for root alone: the account writes files into it, and again after a restart."""
        (tmp_path / "sandbox").mkdir(mode=0o750)
        text = "echo x >> file && cat file && ls . >/dev/null && mkdir -p sub && echo $HOME > sub/home"
        executor = start("/bin/sh", "-c", text, user="nobody", restart=Restart(budget=1))
        agent.wait_update("TASK_FAILED", contains="last: exit code 0")
        assert (executor.sandbox / "stdout").read_text() == "x\nx\nx\n"
        assert (executor.sandbox / "sub" / "home").read_text() == f"{executor.sandbox}\n"
        assert (executor.sandbox / "file").stat().st_uid == 65534 == executor.sandbox.stat().st_uid
        assert (executor.sandbox / "executor.log").stat().st_uid == 0

    @pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
    def test_another_account_dies_with_the_executor_too(self, start: Start) -> None:
        """A change of user clears the parent-death signal; it is set after that."""
        executor = start("/bin/sleep", "1000", user="nobody")
        pid = executor.running().pid
        assert os.stat(f"/proc/{pid}").st_uid == 65534
        os.kill(executor.pid, signal.SIGKILL)
        until(lambda: not alive(pid), "end of the program")

    def test_a_name_without_a_slash_is_looked_up_in_the_jobs_path(
        self, agent: FakeAgent, start: Start, tmp_path: Path
    ) -> None:
        """argv[0] may be a bare name, found in the PATH of the job's environment."""
        (tmp_path / "readout").symlink_to("/bin/true")
        start("readout", env={"PATH": str(tmp_path)}, restart=Restart("never"))
        agent.wait_update("TASK_FINISHED")


class TestOutput:
    """What a program prints."""

    def test_every_byte_is_in_the_sandbox(self, agent: FakeAgent, start: Start) -> None:
        """NULs, invalid UTF-8 and long lines arrive unchanged; stdout and stderr apart."""
        text = "import os; os.write(1, bytes(range(256)) * 4096); os.write(2, b'\\xff\\x00err')"
        executor = start(*python(text), restart=Restart("never"))
        agent.wait_update("TASK_FINISHED")
        assert (executor.sandbox / "stdout").read_bytes() == bytes(range(256)) * 4096
        assert (executor.sandbox / "stderr").read_bytes() == b"\xff\x00err"

    def test_nothing_of_ours_is_among_it(self, agent: FakeAgent, start: Start) -> None:
        """The executor's words go to executor.log, one line per event with its time."""
        executor = start("/bin/true", restart=Restart("never"))
        agent.wait_update("TASK_FINISHED")
        executor.leave()
        assert (executor.sandbox / "stdout").read_bytes() == b"" == (executor.sandbox / "stderr").read_bytes()
        sentences = [line.split(" ", 1)[1] for line in executor.log().splitlines()]
        beginnings = ["subscribed", "runs: pid ", "exit code 0", "TASK_FINISHED: exit"]
        assert [sentence[: len(word)] for sentence, word in zip(sentences, beginnings)] == beginnings

    def test_a_program_that_closes_its_output_and_opens_1000_files_runs_on(self, start: Start) -> None:
        """What a program does with its files is its own business."""
        text = """
import os, time
os.close(1)
os.close(2)
files = [open("/dev/null") for _ in range(1000)]
open("ok", "w")
time.sleep(1000)
"""
        executor = start(*python(text), limits={"nofile": 2000})
        pid = executor.running().pid
        until((executor.sandbox / "ok").exists, "1000 files")
        assert alive(pid)

    def test_its_streams_are_registered_and_locked_while_the_executor_lives(
        self, agent: FakeAgent, start: Start, tmp_path: Path
    ) -> None:
        """Registration, link and lock as `contract.Stream` promises; the lock is free when the executor is gone."""
        (tmp_path / "sandbox").mkdir()
        (tmp_path / "sandbox" / "stderr").write_bytes(b"Mesos' own words\n")
        executor = start("/bin/sleep", "1000", release="v7", labels={"shift": "night"})
        executor.running()
        files = sorted((executor.spool / "streams").iterdir())
        streams = [Stream.from_json(file.read_bytes()) for file in files]
        assert sorted(stream.name for stream in streams) == ["executor", "stderr", "stdout"]
        for file, stream in zip(files, streams):
            assert file.name == f"{stream.id}.json" and len(stream.id) == 11
            assert os.path.samefile(executor.spool / "links" / stream.id, stream.path)
            assert (stream.job, stream.host, stream.task_id) == ("readout", "hlt01", "readout@hlt01.1")
            assert (stream.release, stream.labels) == ("v7", {"shift": "night"})
            assert stream.start == {"stderr": 17, "stdout": 0}.get(stream.name, stream.start)
            assert not lockable(file)
        agent.kill("readout@hlt01.1")
        executor.leave()
        until(lambda: all(lockable(file) for file in files), "end of the locks")

    def test_each_start_tells_where_its_lines_begin(self, agent: FakeAgent, start: Start) -> None:
        """From the second one on, for stdout and stderr, whether it prints or not; an old half is forgotten."""
        text = """
import os, sys, time
number = len(os.listdir("."))
open(f"start-{number}", "w")
print(os.environ["HOME"] and "line", flush=True)
if not os.path.exists("enough"):
    sys.exit(3)
time.sleep(1000)
"""
        executor = start(*python(text), restart=Restart(delay_s=0.01, factor=1.0))
        until(lambda: executor.running().restarts >= 0 and len(list(executor.sandbox.glob("start-*"))) > 4, "starts")
        (executor.sandbox / "enough").touch()
        agent.wait_update("TASK_RUNNING", contains="restarts")
        streams = {
            Stream.from_json(file.read_bytes()).name: file for file in (executor.spool / "streams").glob("*.json")
        }
        for name, width in (("stdout", 5), ("stderr", 0)):
            rows = starts_of(Path(starts_path(str(streams[name]))).read_bytes())
            assert len(rows) >= 4 and [number for _, number in rows] == list(range(2, len(rows) + 2))
            assert [offset for offset, _ in rows] == [width * (number - 1) for _, number in rows]
        assert not Path(starts_path(str(streams["executor"]))).exists()

    def test_starts_without_end_do_not_fill_the_disk(self, tmp_path: Path) -> None:
        """The older half goes; the newest row is always there."""
        path = tmp_path / "AAAAAAAAAAA.starts"
        with open(tmp_path / "stdout", "wb") as file:
            folder = os.open(tmp_path, os.O_RDONLY)
            known = Registered(folder)
            known.add(file.fileno(), "stdout", f"{path.stem}.json")
            for number in range(2, 12_000):
                known.started(number)
            os.close(folder)
        assert path.stat().st_size <= 65 * 1024
        rows = starts_of(path.read_bytes())
        assert rows == [(0, number) for number in range(rows[0][1], 12_000)] and len(rows) > 2000

    def test_a_job_that_is_not_forwarded_registers_nothing(self, start: Start) -> None:
        """``forward = False`` leaves no stream in the spool."""
        executor = start("/bin/sleep", "1000", forward=False)
        executor.running()
        assert not (executor.spool / "streams").exists()

    def test_a_spool_that_cannot_be_made_is_said_and_does_not_stop_the_job(
        self, agent: FakeAgent, start: Start, tmp_path: Path
    ) -> None:
        """Lines that stay on the machine are better than a program that stays down."""
        (tmp_path / "file").write_text("")
        executor = start("/bin/sleep", "1000", environ={"DAQSCHED_SPOOL": str(tmp_path / "file" / "spool")})
        executor.running()
        agent.wait_update("TASK_RUNNING", contains="the lines are not forwarded")
        assert executor.log().count("the lines are not forwarded") == 1


def lockable(file: Path) -> bool:
    """Whether nobody holds the registration's lock."""
    with open(file) as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


class TestPaths:
    """Paths that are missing, hang or are no programs."""

    def test_a_missing_program_is_waited_for(self, agent: FakeAgent, start: Start, tmp_path: Path) -> None:
        """The state says which path and what to do; when it appears, the program starts by itself."""
        path = tmp_path / "v7" / "readout"
        executor = start(str(path))
        status = agent.wait_update("TASK_STARTING", contains="is missing: is the version published?")
        assert status["message"].startswith(str(path.parent)) and report_of(status).activity == "probing"
        path.parent.mkdir()
        path.symlink_to("/bin/sleep")
        agent.wait_update("TASK_RUNNING")
        assert executor.process.poll() is None

    def test_a_needed_path_that_may_not_be_read(self, agent: FakeAgent, start: Start, tmp_path: Path) -> None:
        """A missing ``needs`` prevents the start just as the binary does."""
        start("/bin/sleep", "1000", needs=(str(tmp_path / "geometry.db"),))
        agent.wait_update("TASK_STARTING", contains="geometry.db is missing")
        (tmp_path / "geometry.db").write_text("")
        agent.wait_update("TASK_RUNNING")

    @pytest.mark.parametrize(
        ("content", "mode", "words"),
        [
            ("#!/bin/sh\n", 0o644, "is not executable for"),
            ("#!/nowhere/python\n", 0o755, "/nowhere/python is missing, which the first line of "),
            ("no program", 0o755, "is not a program: neither a binary of this machine"),
        ],
    )
    def test_what_is_no_program_is_a_clear_sentence(
        self, agent: FakeAgent, start: Start, tmp_path: Path, content: str, mode: int, words: str
    ) -> None:
        """Each way not to be executable has its own words, and none ends the executor."""
        path = tmp_path / "readout"
        path.write_text(content)
        path.chmod(mode)
        executor = start(str(path))
        assert agent.wait_update("TASK_STARTING", contains=words)
        assert executor.process.poll() is None

    @pytest.mark.parametrize(
        ("fields", "words"),
        [
            ({"user": "nosuchuser"}, "user 'nosuchuser' is unknown on this machine"),
            ({"limits": {"nofiles": 1}}, "limit 'nofiles' is unknown on this machine"),
        ],
    )
    def test_what_this_machine_cannot_do_is_a_clear_sentence(
        self, agent: FakeAgent, start: Start, fields: dict[str, object], words: str
    ) -> None:
        """An unknown account or limit is told, and under `never` it fails the task."""
        start("/bin/true", restart=Restart("never"), **fields)
        agent.wait_update("TASK_FAILED", contains=words)

    @pytest.mark.parametrize("killable", [True, False], ids=["killable", "state-D"])
    def test_a_mount_that_hangs_is_told_and_blocks_nothing(
        self, agent: FakeAgent, start: Start, tmp_path: Path, killable: bool
    ) -> None:
        """A path below a mount that hangs: the state names it, a stop still works, no second child hangs beside it."""
        mount = HangingMount(tmp_path / "cvmfs", killable)
        try:
            path = str(mount.path / "v7")
            executor = start("/bin/sleep", "1000", needs=(path,), probe_timeout_s=0.3)
            status = agent.wait_update("TASK_STARTING", contains=f"{path} does not answer within 0.30 s")
            assert report_of(status).activity == "probing"
            until(lambda: len(processes_of(executor)) <= 1, "at most one child")
            agent.kill("readout@hlt01.1")
            message = agent.wait_update("TASK_KILLED")["message"]
            assert message.startswith("stopped ")
            assert executor.leave() == 0
        finally:
            mount.end()

    def test_a_mount_that_comes_back_is_used(self, agent: FakeAgent, start: Start, tmp_path: Path) -> None:
        """When the mount that hung is gone and the path is there, the program starts by itself."""
        mount = HangingMount(tmp_path / "cvmfs", killable=False)
        try:
            start("/bin/sleep", "1000", needs=(str(mount.path / "v7"),), probe_timeout_s=0.3)
            agent.wait_update("TASK_STARTING", contains="does not answer")
        finally:
            mount.end()
        (tmp_path / "cvmfs" / "v7").write_text("")
        agent.wait_update("TASK_RUNNING")


#: Leaves so many orphans, one after the other, 40 a second, then writes "left", and stays.
ORPHANS = """
import os, time
for _ in range(200):
    if os.fork() == 0:
        if os.fork() == 0:
            os._exit(0)
        os._exit(0)
    os.wait()
    time.sleep(1 / 40)
open("left", "w").close()
time.sleep(1000)
"""


def test_orphans_of_a_program_cost_next_to_nothing(agent: FakeAgent, start: Start) -> None:
    """40 a second, less than 2 % of a core: each is reaped, and nobody looks who else lives."""
    executor = start(*python(ORPHANS))
    executor.running()

    def used_s() -> float:
        return int(Path(f"/proc/{executor.pid}/schedstat").read_text().split()[0]) / 1e9

    before, began = used_s(), time.monotonic()
    until((executor.sandbox / "left").exists, "all are left")
    share = (used_s() - before) / (time.monotonic() - began)
    until(lambda: len(processes_of(executor)) == 1, "all are reaped")
    assert share < 0.02
