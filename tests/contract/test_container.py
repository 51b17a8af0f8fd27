"""Jobs in containers: a real executor, a real container engine, a fake agent. What holds for other programs holds here.

Needs root, and Debian's docker.io and busybox-static (scripts/setup installs them): where the engine can't be, these
tests fail and say so.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest

from daqcluster.engine import IMAGE, Engine
from daqsched_executor.contract import Check, Container, Restart, Stop
from exchange import exchanging, lay_out
from fake_agent import ExecutorUnderTest, FakeAgent, Start, report_of
from waiting import alive, until

LIMIT_S = 30.0


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine of these tests' own."""
    made = Engine(tmp_path_factory.mktemp("engine") / "e")
    try:
        yield made.up()
    finally:
        made.down()


#: Starts an executor with a shell's text in a container; fields of the payload, and of the container by `container`.
StartIn = Callable[..., ExecutorUnderTest]


@pytest.fixture
def run(start: Start, engine: Engine) -> Iterator[StartIn]:
    """Starts a job in a container; afterwards nothing of it may be left."""
    started: list[ExecutorUnderTest] = []

    def run_one(text: str, container: dict[str, Any] = {}, **fields: Any) -> ExecutorUnderTest:  # noqa: B006
        given = Container(**{"image": IMAGE, "engine": engine.address, **container})
        started.append(start("/bin/sh", "-c", text, container=given, **fields))
        return started[-1]

    yield run_one
    for executor in started:
        executor.end()
    until(lambda: engine.names() == [], "removal of the containers", LIMIT_S)
    until(lambda: engine.pids() == set(), "end of their processes", LIMIT_S)


def running(agent: FakeAgent, count: int = 1) -> int:
    """Wait for the n-th TASK_RUNNING; the runner's pid."""
    return report_of(agent.wait_update("TASK_RUNNING", count, limit_s=LIMIT_S)).pid


class TestHeartbeat:
    """sd_notify(3) from within."""

    def test_a_program_of_another_account_without_a_network_is_heard(self, agent: FakeAgent, run: StartIn) -> None:
        """The socket's path is the same inside; its only mode is for the account."""
        hello = """
import os, socket, time
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
    one.connect(os.environ["NOTIFY_SOCKET"])
    one.sendall(b"READY=1\\nSTATUS=from within")
time.sleep(1000)
"""
        run(
            'exec /usr/bin/python3 -S -c "$HELLO"',
            {"network": "none", "volumes": tuple(f"/{name}:/{name}:ro" for name in ("usr", "lib", "lib64"))},
            env={"HELLO": hello},
            user="nobody",
            checks=(Check("heartbeat", "beat", grace_s=60.0),),
        )
        assert report_of(agent.wait_update("TASK_RUNNING", limit_s=LIMIT_S)).says == "from within"


class TestLife:
    """Start, restart, exit."""

    def test_it_runs_with_the_jobs_environment_account_folder_and_limits(
        self, agent: FakeAgent, run: StartIn, engine: Engine, public: Path
    ) -> None:
        """The image's PATH and files, the machine's network, and what the job says."""
        (public / "geometry").write_text("v7\n")
        text = """
echo "$DAQSCHED_INSTANCE $RUN $PATH"; pwd; id -u; id -g; cat /db/geometry; touch /db/x 2>/dev/null || echo read-only
ulimit -n; cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/cpu/cpu.shares; hostname; sleep 1000
"""
        executor = run(
            text,
            {"volumes": (f"{public}:/db:ro",)},
            env={"RUN": "7"},
            user="nobody",
            limits={"nofile": 100},
            mem=64.0,
            cpus=0.5,
        )
        running(agent)
        out = executor.sandbox / "stdout"
        until(lambda: len(out.read_text().splitlines()) == 10, "all lines")
        assert out.read_text().splitlines() == [
            "readout@hlt01 7 /bin", str(executor.sandbox), "65534", "65534", "v7", "read-only",
            "100", str(64 << 20), "512", os.uname().nodename,
        ]  # fmt: skip
        (name,) = engine.names()
        labels = json.loads(engine.command("inspect", "--format", "{{json .Config.Labels}}", name))
        assert labels["daqsched.instance"] == "readout@hlt01" and labels["daqsched.task_id"] == "readout@hlt01.1"
        assert f"container {name} runs: image {IMAGE}" in executor.log()

    def test_it_is_started_again_in_place(self, agent: FakeAgent, run: StartIn, engine: Engine) -> None:
        """A program that ends is followed by the next one, in a new container of the same name."""
        run("exit 3")
        agent.wait_update("TASK_RUNNING", 1, "1 restart, last: exit code 3 after", LIMIT_S)

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("exit 0", "exit code 0"),
            ("exit 77", "exit code 77"),
            ("kill -SEGV $$", "killed by SIGSEGV"),
            ("kill -9 $$", "killed by SIGKILL"),
        ],
    )
    def test_how_it_ended_is_told_as_of_any_program(
        self, agent: FakeAgent, run: StartIn, text: str, words: str
    ) -> None:
        """Exit codes and signals, and no core of the runner's."""
        executor = run(text, restart=Restart("never"))
        state = "TASK_FINISHED" if words.endswith(" 0") else "TASK_FAILED"
        assert agent.wait_update(state, limit_s=LIMIT_S)["message"].startswith(f"{words} after ")
        assert executor.leave() == 0

    def test_a_program_that_the_image_lacks_is_exit_code_127(
        self, agent: FakeAgent, start: Start, run: StartIn
    ) -> None:
        """The container's first process says so on stderr."""
        executor = run("exec nosuch", restart=Restart("never"))
        agent.wait_update("TASK_FAILED", contains="exit code 127", limit_s=LIMIT_S)
        assert "nosuch" in (executor.sandbox / "stderr").read_text()


class TestLines:
    """What it prints."""

    def test_every_byte_is_in_the_sandbox_at_volume(self, agent: FakeAgent, run: StartIn) -> None:
        """100 MB as fast as it can, invalid UTF-8 and NULs among them, stdout and stderr apart, nothing lost at the end."""
        text = """
printf '\\377\\000err\\n' >&2; printf '\\376\\000begin\\n'
i=0; while [ $i -lt 10 ]; do yes 0123456789abcdef | head -c 10485760; echo "part $i" >&2; i=$((i+1)); done; printf end
"""
        executor = run(text, restart=Restart("never"))
        agent.wait_update("TASK_FINISHED", limit_s=LIMIT_S)
        part = (b"0123456789abcdef\n" * 616810)[:10485760]
        expected = hashlib.sha256(b"\xfe\0begin\n" + part * 10 + b"end").hexdigest()
        assert hashlib.sha256((executor.sandbox / "stdout").read_bytes()).hexdigest() == expected
        parts = b"".join(b"part %d\n" % number for number in range(10))
        assert (executor.sandbox / "stderr").read_bytes() == b"\xff\0err\n" + parts

    def test_one_that_closes_its_output_runs_on(self, agent: FakeAgent, run: StartIn) -> None:
        """The end of the lines is not the end of the program."""
        executor = run("exec >&- 2>&-; touch closed; while ! test -e go; do sleep 0.05; done; exit 5",
                       restart=Restart("never"))  # fmt: skip
        pid = running(agent)
        until((executor.sandbox / "closed").exists, "closed output")
        assert alive(pid)
        (executor.sandbox / "go").touch()
        agent.wait_update("TASK_FAILED", contains="exit code 5", limit_s=LIMIT_S)


class TestStop:
    """Signals and their end."""

    def test_the_stop_signal_reaches_the_program(self, agent: FakeAgent, run: StartIn) -> None:
        """It ends as it likes, and its last line is there."""
        executor = run(
            "trap 'echo bye; exit 7' USR1; touch ready; while :; do sleep 0.05; done", stop=Stop("USR1", 10.0)
        )
        running(agent)
        until((executor.sandbox / "ready").exists, "trap")
        agent.kill("readout@hlt01.1")
        message = agent.wait_update("TASK_KILLED", limit_s=LIMIT_S)["message"]
        assert message.startswith("stopped: exit code 7 after ")
        assert (executor.sandbox / "stdout").read_text() == "bye\n"
        assert executor.leave() == 0

    def test_one_that_ignores_it_is_killed_after_the_grace(
        self, agent: FakeAgent, run: StartIn, engine: Engine
    ) -> None:
        """SIGKILL to the whole container, and its lines to the last."""
        text = "trap 'echo no' TERM; (trap '' TERM; sleep 1000) & touch ready; while :; do sleep 0.05; done"
        executor = run(text, stop=Stop(grace_s=0.5))
        running(agent)
        until((executor.sandbox / "ready").exists, "trap")
        agent.kill("readout@hlt01.1")
        message = agent.wait_update("TASK_KILLED", limit_s=LIMIT_S)["message"]
        assert "still there 0.50 s after SIGTERM, so killed by SIGKILL" in message
        assert engine.names() == [] and engine.pids() == set()  # at the time of the report, not some time after
        assert (executor.sandbox / "stdout").read_text() == "no\n"
        assert executor.leave() == 0

    def test_a_stop_while_it_starts_leaves_no_container(self, agent: FakeAgent, run: StartIn) -> None:
        """The runner is killed at any point of its start; `run` sees that nothing is left."""
        run("sleep 1000")
        agent.kill("readout@hlt01.1")
        agent.wait_update("TASK_KILLED", limit_s=LIMIT_S)


class TestDeath:
    """kill -9 of what is ours."""

    def test_kill_9_of_the_runner_takes_the_container_along(
        self, agent: FakeAgent, run: StartIn, engine: Engine
    ) -> None:
        """And the next one is started after that, never beside it."""
        executor = run("echo $$ >> starts; ls starts >/dev/null; sleep 1000")
        first = running(agent)
        until(lambda: len(engine.pids()) >= 2, "the program")
        before = engine.pids()
        os.kill(first, signal.SIGKILL)
        assert running(agent, 2) != first
        assert not any(alive(pid) for pid in before) and len(engine.names()) == 1
        assert f"container {engine.names()[0]} is removed: its runner was killed" in executor.log()

    def test_kill_9_of_the_executor_takes_the_container_along(
        self, agent: FakeAgent, run: StartIn, engine: Engine
    ) -> None:
        """Runner and container go at once, with nobody to come after them."""
        executor = run("sleep 1000")
        runner = running(agent)
        os.kill(executor.process.pid, signal.SIGKILL)
        until(lambda: not alive(runner) and engine.names() == [] and engine.pids() == set(), "end of all", LIMIT_S)

    def test_what_was_left_behind_is_found_by_the_next_one(
        self, agent: FakeAgent, run: StartIn, start: Start, engine: Engine, tmp_path: Path
    ) -> None:
        """Executor, runner and janitor are all killed: the container lives on, until an executor of the job comes."""
        executor = run("echo first; sleep 1000")
        runner = running(agent)
        until(lambda: (executor.sandbox / "stdout").read_text() == "first\n", "its line")
        left = engine.pids()
        janitor = children(runner)
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in (*janitor, runner, executor.process.pid):
                with contextlib.suppress(ProcessLookupError):  # the runner goes with its executor
                    os.kill(pid, number)
        until(lambda: not alive(runner) and not alive(janitor[0]), "the end of ours")
        assert all(alive(pid) for pid in left) and len(engine.names()) == 1
        agent.updates.clear()
        agent.subscriptions.clear()
        second = run("sleep 1000")
        running(agent)
        assert not any(alive(pid) for pid in left) and len(engine.names()) == 1
        assert f"container {engine.names()[0]} is removed: its executor is dead" in second.log()

    def test_a_container_removed_by_hand_is_a_death(self, agent: FakeAgent, run: StartIn, engine: Engine) -> None:
        """docker rm -f by somebody: told as SIGKILL, started again."""
        run("sleep 1000")
        running(agent)
        engine.command("rm", "-f", *engine.names())
        agent.wait_update("TASK_RUNNING", 1, "last: killed by SIGKILL", LIMIT_S)


def children(pid: int) -> list[int]:
    """The pids right below one."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


class TestWaiting:
    """What can't be now is said, tried again, and never counted as a death."""

    def test_without_an_engine_it_waits_and_starts_when_there_is_one(
        self, agent: FakeAgent, run: StartIn, engine: Engine, tmp_path: Path
    ) -> None:
        """The sentence names the socket; the activity is that of a path that can't be read."""
        place = tmp_path / "docker.sock"
        run("sleep 1000", {"engine": str(place)}, restart=Restart(budget=1))
        status = agent.wait_update(
            "TASK_STARTING", contains="there is no container engine on this machine", limit_s=LIMIT_S
        )
        assert str(place) in status["message"] and report_of(status).activity == "probing"
        place.symlink_to(engine.socket)
        running(agent)

    def test_an_image_that_is_missing_is_named(self, agent: FakeAgent, run: StartIn, engine: Engine) -> None:
        """It starts when the image is there."""
        run("sleep 1000", {"image": "daq/readout:v9"}, restart=Restart(budget=1))
        agent.wait_update("TASK_STARTING", contains="image daq/readout:v9 is not on this machine", limit_s=LIMIT_S)
        engine.command("tag", IMAGE, "daq/readout:v9")
        running(agent)

    @pytest.mark.parametrize(
        ("container", "words"),
        [
            ({"volumes": ("/nowhere/db:/db",)}, "/nowhere is missing"),
            ({"devices": ("/dev/pcie40",)}, "/dev/pcie40 is missing"),
            ({"network": "nosuch"}, "network nosuch not found"),
        ],
    )
    def test_what_this_machine_lacks_is_named(
        self, agent: FakeAgent, run: StartIn, container: dict[str, object], words: str
    ) -> None:
        """Volumes, devices and networks."""
        run("sleep 1000", container, restart=Restart(budget=1))
        agent.wait_update("TASK_STARTING", contains=words, limit_s=LIMIT_S)

    def test_a_frozen_engine_is_told_and_holds_nothing_up(self, agent: FakeAgent, run: StartIn, engine: Engine) -> None:
        """Within the time that a path has to answer; a stop works meanwhile."""
        engine.freeze()
        try:
            executor = run("sleep 1000", probe_timeout_s=1.0)
            agent.wait_update("TASK_STARTING", contains="does not answer within 1.0 s", limit_s=LIMIT_S)
            agent.kill("readout@hlt01.1")
        finally:
            engine.thaw()
        agent.wait_update("TASK_KILLED", limit_s=LIMIT_S)
        assert executor.leave() == 0

    def test_what_the_job_may_not_have_counts_as_a_failed_start(self, agent: FakeAgent, run: StartIn) -> None:
        """As with any program: a limit that the kernel does not know."""
        run("sleep 1000", limits={"files": 1}, restart=Restart("never"))
        agent.wait_update("TASK_FAILED", contains="RLIMIT_FILES", limit_s=LIMIT_S)

    def test_a_container_never_sees_what_is_closed_to_its_account(
        self, agent: FakeAgent, run: StartIn, public: Path
    ) -> None:
        """The job is started again and again, while its account exchanges its folder for a link to a closed one."""
        lay_out(public)
        with exchanging(public / "mine", public / "link"):
            rule = Restart(delay_s=0.0, cap_s=0.0)
            executor = run("cat /d/word", {"volumes": (f"{public}/mine:/d:ro",)}, user="nobody", restart=rule)
            out = executor.sandbox / "stdout"
            until(lambda: out.read_text().count("public") >= 2, "it has looked twice", 60.0)
        assert "secret" not in out.read_text() and "secret" not in (executor.sandbox / "stderr").read_text()
        agent.kill("readout@hlt01.1")
        agent.wait_update("TASK_KILLED", limit_s=60.0)
        until(lambda: str(public) not in Path("/proc/self/mountinfo").read_text(), "nothing is left of its places")

    def test_a_volume_that_the_account_may_not_read_is_refused(
        self, agent: FakeAgent, run: StartIn, tmp_path: Path
    ) -> None:
        """The engine is root and would mount it: a job gets by a container what its account may have, no more."""
        (tmp_path / "secret").mkdir(mode=0o700)
        run("ls /s", {"volumes": (f"{tmp_path}/secret:/s",)}, user="nobody")
        agent.wait_update("TASK_STARTING", contains="may not be read by uid 65534", limit_s=LIMIT_S)


class TestMemory:
    """Its limit."""

    def test_out_of_memory_is_told(self, agent: FakeAgent, run: StartIn) -> None:
        """Killed by SIGKILL, and why."""
        run("a=xxxxxxxxxxxxxxxx; while :; do a=$a$a; done", mem=16.0, restart=Restart("never"))
        failed = agent.wait_update("TASK_FAILED", contains="killed by SIGKILL", limit_s=LIMIT_S)
        last = report_of(failed).last_exit
        assert last is not None and last.out_of_memory and last.limit == 16.0
        assert "out of memory (it may have 16 MiB)" in failed["message"]


class TestEngineIsSlow:
    """One that does not answer for a while."""

    def test_no_second_copy_is_started_while_the_first_cannot_be_removed(
        self, agent: FakeAgent, run: StartIn, engine: Engine
    ) -> None:
        """The program is dead at once; the next one waits until the engine has removed its container, and says so."""
        run("sleep 1000")
        first = running(agent)
        until(lambda: len(engine.pids()) >= 2, "the program")
        engine.freeze()
        try:
            os.kill(first, signal.SIGKILL)
            until(lambda: engine.pids() == set(), "the program's end", LIMIT_S)
            # that the container is not gone, or that nobody says so: whoever finds out first
            agent.wait_update("TASK_STARTING", contains="container engine", limit_s=LIMIT_S)
            assert engine.pids() == set()
        finally:
            engine.thaw()
        assert running(agent, 2) != first


class TestEngineDies:
    """kill -9 of the engine itself; it comes back."""

    def test_the_job_is_back_when_the_engine_is(self, agent: FakeAgent, run: StartIn, engine: Engine) -> None:
        """Whatever the engine does with its containers: one copy runs in the end, and the lines go on."""
        executor = run("while :; do echo tick; sleep 0.05; done")
        running(agent)
        engine.kill()
        engine.up()
        agent.wait_update("TASK_RUNNING", 2, limit_s=LIMIT_S)
        printed = executor.sandbox / "stdout"
        before = printed.stat().st_size
        until(lambda: printed.stat().st_size > before + 50, "ten more lines", LIMIT_S)
        assert set(printed.read_text().splitlines()[:-1]) == {"tick"} and len(engine.names()) == 1

    def test_a_stop_without_an_engine_ends_the_program(self, agent: FakeAgent, run: StartIn, engine: Engine) -> None:
        """The kernel needs no engine for a signal; the container's record goes with the next one."""
        executor = run("sleep 1000")
        running(agent)
        until(lambda: len(engine.pids()) >= 2, "the program")
        engine.kill()
        try:
            agent.kill("readout@hlt01.1")
            until(lambda: engine.pids() == set(), "the program's end", LIMIT_S)
        finally:
            engine.up()
        agent.wait_update("TASK_KILLED", limit_s=60.0)
        assert executor.leave() == 0
