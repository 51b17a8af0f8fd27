"""What a machine's policy does not allow is not started, and said; real executors, a fake agent."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from children import child
from daqsched_executor.contract import Container, Probe, Restart, Survey
from fake_agent import ExecutorUnderTest, FakeAgent, Start, report_of

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    """The file of executors that are given `environ`."""
    path = tmp_path / "policy"
    path.write_text("accounts = nobody\n")
    path.chmod(0o644)
    return path


def test_root_waits_until_the_policy_names_it(agent: FakeAgent, start: Start, policy: Path) -> None:
    """Told as what is waited for: no death is counted, and it starts by itself."""
    start("/bin/sleep", "1000", environ={"DAQSCHED_POLICY": str(policy)}, restart=Restart(budget=1))
    status = agent.wait_update("TASK_STARTING", contains="a job may not run as root on this machine")
    assert f"{policy} allows accounts = nobody" in status["message"] and report_of(status).activity == "probing"
    policy.write_text("accounts = nobody, root\n")
    assert report_of(agent.wait_update("TASK_RUNNING")).restarts == 0


def test_an_account_that_it_names_runs_and_gets_no_more_rights(agent: FakeAgent, start: Start, policy: Path) -> None:
    """Also where an older framework says nothing of setuid programs."""
    environ = {"DAQSCHED_POLICY": str(policy)}
    start("/bin/sleep", "1000", environ=environ, user="nobody")
    pid = report_of(agent.wait_update("TASK_RUNNING")).pid
    status = Path(f"/proc/{pid}/status").read_text()
    assert "NoNewPrivs:\t1\n" in status and "Uid:\t65534\t" in status


@pytest.mark.parametrize(
    ("text", "fields", "words"),
    [
        ("accounts = root", {"user": "nobody"}, "a job may not run as nobody"),
        ("accounts = root", {"new_privileges": True}, "a job may not have setuid=True"),
        ("acounts = root", {}, "line 1: 'acounts' is not a word of a policy"),
        (
            "accounts = root\nnetworks = host",
            {"container": Container("i")},
            "unix:///var/run/docker.sock may not be used on this machine",
        ),
        ("accounts = root\nengines = unix:///x.sock", {"container": Container("i", engine="/x.sock")}, "network host"),
    ],
)
def test_what_it_does_not_allow_is_said(
    agent: FakeAgent, start: Start, policy: Path, text: str, fields: dict[str, object], words: str
) -> None:
    """With the file, and what it allows."""
    policy.write_text(text)
    start("/bin/sleep", "1000", environ={"DAQSCHED_POLICY": str(policy)}, **fields)
    assert str(policy) in agent.wait_update("TASK_STARTING", contains=words)["message"]


def test_an_engine_elsewhere_has_to_be_named(agent: FakeAgent, start: Start) -> None:
    """What answers is believed by a process of root's."""
    start("/bin/true", container=Container("i", engine="tcp://127.0.0.1:1"))
    agent.wait_update(
        "TASK_STARTING", contains="tcp://127.0.0.1:1 is not an engine of this machine: /etc/daqsched/policy"
    )


def test_a_preflight_says_it_too(agent: FakeAgent, tmp_path: Path, policy: Path) -> None:
    """Before anything is changed."""
    executor = ExecutorUnderTest(agent, tmp_path / "sandbox", DAQSCHED_POLICY=str(policy))
    try:
        probes = (
            Probe("as root", "/bin/true"),
            Probe("nobody", "/bin/true", user="nobody"),
            Probe("raised", "/bin/true", user="nobody", new_privileges=True),
        )
        executor.launch(Survey("s", "h", probes))
        message = agent.wait_update("TASK_FINISHED")["message"]
        assert message.startswith("survey: 1 of 3 could start; ")
        assert "as root: a job may not run as root on this machine" in message
        assert "raised: a job may not have setuid=True on this machine" in message
    finally:
        executor.end()


def test_no_job_can_say_where_the_policy_is(agent: FakeAgent, start: Start, policy: Path) -> None:
    """Its environment is the program's, not the executor's."""
    own = policy.with_name("own")
    own.write_text("accounts = root")
    environ = {"DAQSCHED_POLICY": str(policy)}
    start("/bin/sleep", "1000", environ=environ, env={"DAQSCHED_POLICY": str(own)})
    agent.wait_update("TASK_STARTING", contains=f"{policy} allows accounts = nobody")


def test_what_another_account_serves_is_no_engine(agent: FakeAgent, start: Start, public: Path) -> None:
    """It could name any process as the container's, and the runner, which is root, would signal it."""
    public.chmod(0o777)
    serve = """
import os, socket, sys
os.setgid(65534)
os.setuid(65534)
with socket.socket(socket.AF_UNIX) as one:
    one.bind(sys.argv[1])
    one.listen()
    print("listens", flush=True)
    sys.stdin.read()
"""
    command = ["/usr/bin/python3", "-S", "-c", serve, str(public / "sock")]
    with child(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"listens\n"
        start("/bin/true", container=Container("i", engine=str(public / "sock")))
        agent.wait_update("TASK_STARTING", contains="/sock is served by uid 65534, not by root")
        process.kill()
