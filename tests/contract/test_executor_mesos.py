"""Real executors against an agent that vanishes, hangs, refuses and comes back (a fake one, over real sockets)."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Callable

from daqsched_executor.contract import Payload, Restart, Stop
from daqsched_executor.life.outbox import BURST, INTERVAL_S
from fake_agent import ExecutorUnderTest, FakeAgent, Start, report_of
from waiting import alive, until


def pids_of(executor: ExecutorUnderTest) -> list[int]:
    """What a program that does ``echo $$ >> pids`` has written so far, through all its restarts."""
    file = executor.sandbox / "pids"
    return [int(word) for word in file.read_text().split()] if file.exists() else []


class TestOrders:
    """What the agent says."""

    def test_two_kills_are_one_stop(self, agent: FakeAgent, start: Start) -> None:
        """A repeated kill makes no second signal and no second last report."""
        executor = start("/bin/sleep", "1000")
        executor.running()
        agent.kill("readout@hlt01.1")
        agent.kill("readout@hlt01.1")
        assert executor.leave() == 0
        assert [update["state"] for update in agent.updates].count("TASK_KILLED") == 1

    def test_the_kill_policy_of_the_scheduler_shortens_the_grace(self, agent: FakeAgent, start: Start) -> None:
        """A scheduler in a hurry gets its way."""
        executor = start("/bin/sh", "-c", "trap '' TERM; touch ready; sleep 1000", stop=Stop(grace_s=1000.0))
        until((executor.sandbox / "ready").exists, "trap")
        agent.kill("readout@hlt01.1", grace_s=0.2)
        agent.wait_update("TASK_KILLED")

    def test_a_shutdown_ends_before_the_agents_patience_does(self, agent: FakeAgent, start: Start) -> None:
        """Mesos kills the container after its grace, so SIGKILL and the last report come before that."""
        executor = start(
            "/bin/sh", "-c", "trap '' TERM; touch ready; sleep 1000",
            stop=Stop(grace_s=1000.0), environ={"MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD": "1200ms"},
        )  # fmt: skip
        until((executor.sandbox / "ready").exists, "trap")
        agent.send({"type": "SHUTDOWN"})
        agent.wait_update("TASK_KILLED", limit_s=5)
        assert executor.leave() == 0

    def test_sigterm_to_the_executor_is_a_stop(self, agent: FakeAgent, start: Start) -> None:
        """Whoever ends the executor politely gets an orderly end of the program."""
        executor = start("/bin/sleep", "1000")
        executor.running()
        os.kill(executor.pid, signal.SIGTERM)
        agent.wait_update("TASK_KILLED")
        assert executor.leave() == 0 and "stopped by SIGTERM to the executor" in executor.log()

    def test_a_framework_without_the_capability_never_sees_task_killing(self, agent: FakeAgent, start: Start) -> None:
        """The state is for those that asked for it."""
        agent.capabilities = []
        executor = start("/bin/sleep", "1000")
        executor.running()
        agent.kill("readout@hlt01.1")
        executor.leave()
        assert "TASK_KILLING" not in [update["state"] for update in agent.updates]

    def test_a_payload_of_a_newer_version_fails_the_task(self, agent: FakeAgent, tmp_path: Path) -> None:
        """It is told to install the newer executor, and nothing is started."""
        executor = ExecutorUnderTest(agent, tmp_path / "sandbox")
        try:
            agent.wait_subscribed()
            raw = json.loads(Payload("t", "j", "h", ("/bin/true",)).to_json())
            agent.launch(json.dumps({**raw, "version": 99}).encode(), "t")
            assert "install the newer one" in agent.wait_update("TASK_FAILED")["message"]
            assert executor.leave() == 0
        finally:
            executor.end()

    def test_a_second_task_is_refused_and_the_first_runs_on(self, agent: FakeAgent, start: Start) -> None:
        """One executor, one program."""
        executor = start("/bin/sleep", "1000")
        pid = executor.running().pid
        agent.launch(Payload("other", "j", "h", ("/bin/true",)).to_json(), "other")
        status = agent.wait(lambda: [u for u in agent.updates if u["task_id"]["value"] == "other"], "refusal")[0]
        assert status["state"] == "TASK_FAILED" and "one task" in status["message"]
        assert alive(pid)

    def test_the_agents_token_is_shown(self, agent: FakeAgent, start: Start) -> None:
        """An agent that authenticates executors gets its token with every request, and the program does not."""
        executor = start("/bin/sleep", "1000", environ={"MESOS_EXECUTOR_AUTHENTICATION_TOKEN": "secret"})
        pid = executor.running().pid
        assert all("Authorization: Bearer secret\n" in head for head in agent.requests)
        assert b"secret" not in Path(f"/proc/{pid}/environ").read_bytes()


class TestUpdates:
    """None lost, none too many."""

    def test_a_program_that_dies_often_makes_few_updates(self, agent: FakeAgent, start: Start) -> None:
        """Restarts in quick succession are told together, the latest state last."""
        began = time.monotonic()
        start("/bin/false", restart=Restart(delay_s=0.005, factor=1.0, budget=60))
        failed = agent.wait_update("TASK_FAILED")
        took_s = time.monotonic() - began
        assert report_of(failed).restarts == 60 and agent.updates[-1] is failed
        assert len(agent.updates) <= BURST + took_s / INTERVAL_S + 1

    def test_an_update_that_is_refused_is_sent_again(self, agent: FakeAgent, start: Start) -> None:
        """An agent that is not ready loses nothing."""
        agent.refuses = "503 Service Unavailable"
        executor = start("/bin/sleep", "1000")
        until(lambda: "HTTP 503: oops" in executor.log(), "refusal")
        agent.refuses = ""
        executor.running()

    def test_a_hanging_agent_does_not_delay_a_restart(self, agent: FakeAgent, start: Start) -> None:
        """The program is back although the agent answers nothing any more."""
        program = ("/bin/sh", "-c", "echo $$ >> pids; exec sleep 1000")
        executor = start(*program, restart=Restart(reset_s=0.0))  # every restart is an immediate one
        executor.running()
        agent.hangs = True

        def started(count: int) -> Callable[[], bool]:
            return lambda: len(pids_of(executor)) == count

        for count in (1, 2):
            until(started(count), "program")
            os.kill(pids_of(executor)[-1], signal.SIGKILL)
        until(started(3), "next program", 4)


class TestAgentRestart:
    """kill -9 of the agent, and what comes after it."""

    def test_program_and_updates_survive_it(self, agent: FakeAgent, start: Start) -> None:
        """The same process runs on; what was not acknowledged is in the next subscription, and updates flow again."""
        executor = start("/bin/sleep", "1000")
        first = executor.running().pid
        agent.acknowledges = False
        os.kill(first, signal.SIGKILL)
        second = executor.running(2).pid
        unacknowledged = agent.updates[-1]["uuid"]
        agent.vanish()
        agent.acknowledges = True
        agent.come()
        agent.wait_subscribed(2)
        assert alive(second)
        repeated = agent.subscriptions[1]["unacknowledged_updates"]
        assert [update["status"]["uuid"] for update in repeated] == [unacknowledged]
        assert agent.subscriptions[1]["unacknowledged_tasks"] == []
        agent.kill("readout@hlt01.1")
        agent.wait_update("TASK_KILLED")
        assert executor.leave() == 0

    def test_a_task_without_any_acknowledgement_is_named_in_the_next_subscription(
        self, agent: FakeAgent, start: Start
    ) -> None:
        """An agent that never recorded an update of the task would call it dropped if we did not name it."""
        agent.acknowledges = False
        executor = start("/bin/sleep", "1000")
        executor.running()
        agent.vanish()
        agent.come()
        agent.wait_subscribed(2)
        tasks = agent.subscriptions[1]["unacknowledged_tasks"]
        assert [task["task_id"]["value"] for task in tasks] == ["readout@hlt01.1"]

    def test_a_restart_while_it_is_away_is_told_when_it_is_back(self, agent: FakeAgent, start: Start) -> None:
        """A program that dies without an agent is restarted all the same; the latest state arrives afterwards."""
        executor = start("/bin/sh", "-c", "echo $$ >> pids; exec sleep 1000")
        pid = executor.running().pid
        until(lambda: pids_of(executor) == [pid], "program")
        agent.vanish()
        os.kill(pid, signal.SIGKILL)
        until(lambda: len(pids_of(executor)) == 2, "restart")
        agent.come()
        assert report_of(agent.wait_update("TASK_RUNNING", 2)).restarts == 1

    def test_a_program_that_dies_again_and_again_stays_in_one_state(self, agent: FakeAgent, start: Start) -> None:
        """TASK_STARTING comes only before its first run: a master keeps each change of state."""
        executor = start("/bin/sh", "-c", "sleep 0.2; exit 3", restart=Restart("always", delay_s=0.1, cap_s=0.1))
        agent.wait_update("TASK_STARTING", contains="exit code 3", count=3)
        executor.running(4)
        told = list(agent.updates)  # it goes on
        ran = [one for one in told if one["state"] != "TASK_STARTING"]
        assert {one["state"] for one in ran} == {"TASK_RUNNING"}
        assert told[-len(ran) :] == ran
        for one in ran:
            report = report_of(one)
            assert report.ready is (report.activity == "running") and report.healthy is None
            assert one.get("healthy") is (None if report.ready else False)

    def test_an_end_while_it_is_away_is_told_when_it_is_back(self, agent: FakeAgent, start: Start) -> None:
        """The last report waits for the agent; the executor leaves after the acknowledgement."""
        executor = start("/bin/sh", "-c", "while ! test -e go; do sleep 0.02; done", restart=Restart("never"))
        executor.running()
        agent.vanish()
        (executor.sandbox / "go").touch()
        until(lambda: "TASK_FINISHED" in executor.log(), "end")
        agent.come()
        agent.wait_update("TASK_FINISHED")
        assert executor.leave() == 0

    def test_one_that_stays_away_ends_the_program(self, agent: FakeAgent, start: Start) -> None:
        """After MESOS_RECOVERY_TIMEOUT nobody counts on this program any more."""
        executor = start("/bin/sleep", "1000", environ={"MESOS_RECOVERY_TIMEOUT": "500ms"})
        pid = executor.running().pid
        agent.vanish()
        until(lambda: not alive(pid), "end of the program")
        assert "the agent did not come back within 0.50 s" in executor.log()

    def test_one_that_comes_back_as_another_ends_the_program(self, agent: FakeAgent, start: Start) -> None:
        """An agent with a new id does not know the executor, and may be given the same job again: never two copies."""
        executor = start("/bin/sleep", "1000")
        pid = executor.running().pid
        agent.vanish()
        agent.forgot = True
        agent.come()
        assert executor.leave() == 0 and not alive(pid)
        assert "the agent, which does not know this executor" in executor.log()

    def test_without_checkpoints_the_program_ends_with_its_agent(self, agent: FakeAgent, start: Start) -> None:
        """MESOS_CHECKPOINT=0 means that Mesos will not recover us."""
        executor = start("/bin/sleep", "1000", environ={"MESOS_CHECKPOINT": "0"})
        pid = executor.running().pid
        agent.vanish()
        until(lambda: not alive(pid), "end of the program")
