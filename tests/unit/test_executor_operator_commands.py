"""What an operator asks of a running executor, and the hooks and second signal of a stop, as events and commands."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from daqsched_executor.contract import ContractError, OperatorCommand, Payload, Report, Stop
from daqsched_executor.life.commands import EndSideCommand, KillTree, RunSideCommand, Say, Signal, Spawn, Tell
from daqsched_executor.life.events import Died, OperatorAsked, PathFailed, SideCommandEnded, StopAsked, Ticked, TreeGone
from story import Story, kinds, payload


def with_stop(policy: str = "always", **rule: Any) -> Payload:
    """A job with these rules for its end."""
    return replace(payload(policy), stop=Stop(**rule))


def running(job: Payload) -> Story:
    """A story that has come to its program."""
    story = Story(job)
    story.run()
    return story


HOOKS: dict[str, Any] = {"before": ("/bin/before", "x"), "after": ("/bin/after",), "hook_timeout_s": 7.0}


class TestHooks:
    """Commands before the first signal, and after the end."""

    def test_a_stop_runs_hook_signal_hook_report(self) -> None:
        """Each begins when the one before has ended; how a hook went is said and decides nothing."""
        story = running(with_stop(**HOOKS))
        assert story.happen(StopAsked("the scheduler"))[-1] == RunSideCommand("before", ("/bin/before", "x"), 7.0, True)
        assert story.told[-1] == (
            "TASK_KILLING",
            "stopping",
            "stopped by the scheduler: its hook runs first (/bin/before, at most 7.0 s)",
        )
        done = story.happen(SideCommandEnded("before", False, "exit code 3 after 0.10 s"), after=1)
        assert Say("hook before: exit code 3 after 0.10 s") in done and done[-1] == Signal("TERM")
        assert story.happen(Died(code=0), after=1)[-1] == RunSideCommand("after", ("/bin/after",), 7.0, True)
        story.happen(SideCommandEnded("after", True, "exit code 0 after 0.10 s"), after=1)
        assert story.told[-1] == ("TASK_KILLED", "exited", "stopped: exit code 0 after 2.0 s")

    def test_the_hook_after_comes_before_every_new_start(self) -> None:
        """Also after a death, when nothing of the program is left; a failed start has no program to clear up after."""
        story = running(with_stop(after=("/bin/after",)))
        assert kinds(story.happen(Died(signal="SIGSEGV", left=1))) == [KillTree]
        assert kinds(story.happen(TreeGone())) == [RunSideCommand]
        assert kinds(story.happen(SideCommandEnded("after", True, "exit code 0 after 0.10 s"))) == [Spawn]
        assert kinds(story.happen(PathFailed("/bin/readout is missing"))) == [Tell]

    @pytest.mark.parametrize("which", ["before", "after"])
    def test_a_hook_without_an_answer_is_given_up(self, which: str) -> None:
        """Not even its own time limit ended it: the way goes on, and its late answer changes nothing."""
        hooks: dict[str, Any] = {which: ("/bin/hook",), "hook_timeout_s": 2.0}
        story = running(with_stop(**hooks))
        story.happen(StopAsked("the scheduler"))
        if which == "after":
            story.happen(Died(code=0))
        given_up = story.due()
        assert EndSideCommand(which) in given_up and isinstance(given_up[-1], Signal if which == "before" else Say)
        assert kinds(story.happen(SideCommandEnded(which, False, "did not end"))) == []

    def test_a_program_that_ends_during_the_hook_needs_no_signal(self) -> None:
        """The hook is ended, what is left of the tree is killed, and the report is given."""
        story = running(with_stop(before=("/bin/before",)))
        story.happen(StopAsked("the scheduler"))
        assert kinds(story.happen(Died(code=0, left=1), after=1)) == [EndSideCommand, KillTree]
        story.happen(SideCommandEnded("before", False, "was told to end and was killed"), TreeGone())
        assert story.told[-1] == ("TASK_KILLED", "exited", "stopped: exit code 0 after 1.0 s")

    def test_who_is_in_a_hurry_cuts_hooks_and_grace_short(self) -> None:
        """A quarter of the time is the hook's, SIGKILL comes at its end."""
        story = running(with_stop(grace_s=30.0, second_signal="INT", **HOOKS))
        hook = story.happen(StopAsked("the agent's shutdown", grace_s=4.0))[-1]
        assert hook == RunSideCommand("before", ("/bin/before", "x"), 1.0, True)
        story.happen(SideCommandEnded("before", True, "exit code 0 after 1.0 s"), after=1)
        assert story.state.wake_at == story.time + 3.0
        assert kinds(story.due()) == [KillTree]

    def test_a_stop_while_the_hook_after_a_death_runs_waits_for_it(self) -> None:
        """Nothing starts again, and the report comes after the hook."""
        story = running(with_stop(after=("/bin/after",)))
        story.happen(Died(code=1), StopAsked("the scheduler"))
        assert story.told[-1][0] != "TASK_KILLED"
        story.happen(SideCommandEnded("after", True, "exit code 0 after 0.10 s"))
        assert story.told[-1] == ("TASK_KILLED", "exited", "stopped: exit code 1 after 0.00 s")

    def test_a_hurry_also_ends_a_hook_that_runs_already(self) -> None:
        """The one before the signal, and the one of a program that had ended by itself."""
        for died, last in ((False, "TASK_KILLING"), (True, "TASK_KILLED")):
            story = running(with_stop(**HOOKS))
            story.happen(Died(code=1) if died else StopAsked("the scheduler"))
            began = story.time
            story.happen(StopAsked("the agent's shutdown", grace_s=1.0))
            assert EndSideCommand in kinds(story.due()) and story.time == began + 1.0
            assert story.told[-1][0] == last

    def test_a_hurry_also_ends_the_hook_after_a_sigkill(self) -> None:
        """The grace is over, the program was killed, its hook runs: the agent that shuts down now does not wait for that."""
        story = running(with_stop(after=("/bin/after",), hook_timeout_s=60.0))
        story.happen(StopAsked("the scheduler"))
        assert kinds(story.due()) == [KillTree]
        assert kinds(story.happen(Died(signal="SIGKILL"))) == [RunSideCommand]
        began = story.time
        story.happen(StopAsked("the agent's shutdown", grace_s=4.0))
        assert kinds(story.due()) == [EndSideCommand, Tell] and story.time == began + 4.0
        assert story.told[-1][0] == "TASK_KILLED"


def test_the_second_signal_comes_between_grace_and_sigkill() -> None:
    """And the report says that neither helped."""
    story = running(with_stop(grace_s=3.0, second_signal="INT", second_grace_s=2.0))
    story.happen(StopAsked("the scheduler"))
    assert "SIGTERM sent to pid 4711, SIGINT follows in 3.0 s" in story.told[-1][2]
    assert story.happen(Ticked(), after=3)[-1] == Signal("INT")
    assert kinds(story.happen(Ticked(), after=2)) == [KillTree]
    story.happen(Died(signal="SIGKILL"))
    assert story.told[-1][2] == (
        "stopped: still there 3.0 s after SIGTERM and 2.0 s after SIGINT, so killed by SIGKILL after 5.0 s"
    )


def order(kind: str, name: str = "", id: str = "1", message: str = "") -> OperatorAsked:
    """Alice asks."""
    return OperatorAsked(OperatorCommand(id, kind, "alice", name, message=message))


class TestRetry:
    """A start now, whatever the back-off."""

    def test_a_back_off_is_cut_short_and_begins_anew(self) -> None:
        """The start is counted; the next death is the first one again."""
        story = running(payload(delay_s=8.0))
        story.happen(Died(code=1))
        story.run()
        assert kinds(story.happen(Died(code=1))) == [Tell] and story.state.wake_at == story.time + 8
        assert kinds(story.happen(order("retry"))) == [Spawn] and story.state.restarts == 2
        story.run()
        assert kinds(story.happen(Died(code=1))) == [Spawn]

    def test_a_path_is_looked_at_again_now(self) -> None:
        """Without counting a restart."""
        story = Story(payload())
        story.happen(PathFailed("/bin/readout is missing"))
        assert kinds(story.happen(order("retry"))) == [Spawn] and story.state.restarts == 0

    def test_what_runs_is_left_alone(self) -> None:
        """One sentence in executor.log."""
        story = running(payload())
        assert story.happen(order("retry")) == [Say("ignored: a start now, asked for by alice: the program is running")]


class TestRestart:
    """An end by the rules, and a start at once."""

    def test_it_is_no_death(self) -> None:
        """Whatever the policy, and however often; the exit says who wished it."""
        story = running(payload("never"))
        for id in ("1", "2", "3"):
            assert story.happen(order("restart", id=id, message="new cabling"))[-1] == Signal("TERM")
            assert story.told[-1][0] == "TASK_STARTING"
            assert kinds(story.happen(Died(code=0), after=1)) == [Spawn]
            story.run()
        assert story.state.deaths == 0 and story.state.restarts == 3
        assert "last: restarted by alice: new cabling: exit code 0 after 1.0 s" in story.told[-1][2]

    def test_the_same_operator_command_counts_once(self) -> None:
        """A message may come twice."""
        story = running(payload())
        assert story.happen(order("restart")) and story.happen(order("restart")) == []
        story.happen(Died(code=0))
        story.run()
        assert story.happen(order("restart")) == []


def held(story: Story) -> bool:
    """As it was told last."""
    told = story.state.told
    return told is not None and isinstance(told.report, Report) and told.report.held


class TestHold:
    """Left dead when it has ended, while somebody is looking."""

    def test_a_program_that_ends_is_not_started_again(self) -> None:
        """Whatever its policy and its back-off; the report says so from the order on."""
        story = running(payload())
        story.happen(order("hold", message="no beam"))
        assert held(story) and story.told[-1][0] == "TASK_RUNNING"
        assert Spawn not in kinds(story.happen(Died(code=3), after=2))
        assert story.told[-1][0] == "TASK_FAILED"
        assert story.told[-1][2] == "exit code 3 after 2.0 s; not started again: held by alice: no beam"

    def test_what_waits_for_its_next_start_has_ended(self) -> None:
        """In its back-off, or for a path."""
        story = running(payload(delay_s=8.0))
        story.happen(Died(code=1))
        story.run()
        story.happen(Died(code=1))
        story.happen(order("hold"))
        assert story.told[-1][0] == "TASK_FAILED" and "not started again: held by alice" in story.told[-1][2]
        story = Story(payload())
        story.happen(PathFailed("/bin/readout is missing"))
        story.happen(order("hold"))
        assert story.told[-1][0] == "TASK_FAILED" and "/bin/readout is missing" in story.told[-1][2]

    def test_a_start_under_way_may_come_to_its_program_and_is_the_last(self) -> None:
        """One that can't be ends, too."""
        story = Story(payload())
        story.happen(order("hold"))
        story.happen(PathFailed("/bin/readout is missing"))
        assert story.told[-1][0] == "TASK_FAILED"

    def test_one_that_is_released_is_started_again(self) -> None:
        """As before."""
        story = running(payload())
        story.happen(order("hold", id="1"))
        story.happen(order("release", id="2"))
        assert not held(story)
        assert Spawn in kinds(story.happen(Died(code=3), after=2))

    def test_a_restart_that_somebody_orders_is_made(self) -> None:
        """He knows what he does; the next end is the last again."""
        story = running(payload())
        story.happen(order("hold", id="1"))
        assert story.happen(order("restart", id="2"))[-1] == Signal("TERM")
        assert Spawn in kinds(story.happen(Died(code=0), after=1))
        story.run()
        assert held(story) and Spawn not in kinds(story.happen(Died(code=0), after=1))


class TestAct:
    """Actions that the job offers."""

    JOB = replace(payload(), actions={"dump": ("/bin/dump", "now")}, action_timeout_s=9.0)

    def done(self, story: Story) -> tuple[str, str, bool, str, tuple[str, ...]]:
        told = [command for command in story.commands if isinstance(command, Tell)][-1]
        assert isinstance(told.report, Report) and told.report.done is not None
        return (
            told.report.done.id,
            told.report.done.name,
            told.report.done.ok,
            told.report.done.words,
            told.report.done.lines,
        )

    def test_its_outcome_is_reported_with_the_present_state(self) -> None:
        """The report says what it said before, and the outcome."""
        story = running(self.JOB)
        before = story.told[-1]
        assert story.happen(order("act", "dump"))[-1] == RunSideCommand("act", ("/bin/dump", "now"), 9.0, True)
        story.happen(SideCommandEnded("act", True, "exit code 0 after 1.0 s", ("37 channels",)))
        assert self.done(story) == ("1", "dump", True, "exit code 0 after 1.0 s", ("37 channels",))
        assert story.told[-1] == before

    def test_what_can_not_be_is_an_outcome_too(self) -> None:
        """An unknown action, and a second one at the same time."""
        story = running(self.JOB)
        story.happen(order("act", "purge"))
        assert self.done(story)[2:4] == (False, "the job has no action 'purge' (it has: dump)")
        story.happen(order("act", "dump", "2"), order("act", "dump", "3"))
        assert self.done(story)[:4] == ("3", "dump", False, "dump of alice is still running")

    def test_it_also_runs_while_the_program_does_not(self) -> None:
        """A dump of what a dead program left is wanted just then; a stop's last report is not delayed by it."""
        story = running(self.JOB)
        story.happen(Died(code=1))
        story.run()
        story.happen(Died(code=1))
        assert kinds(story.happen(order("act", "dump"))) == [RunSideCommand]
        story.happen(StopAsked("the scheduler"))
        assert story.told[-1][0] == "TASK_KILLED"
        assert kinds(story.happen(SideCommandEnded("act", True, "exit code 0 after 1.0 s"))) == []


@pytest.mark.parametrize("fields", [{"until": float("inf")}, {"until": float("nan")}, {"until": "noon"}, {"user": 7}])
def test_an_operator_command_that_makes_no_sense_is_refused_where_it_is_read(fields: dict[str, Any]) -> None:
    """It comes over the network, and no message may end an executor."""
    order = OperatorCommand(**{"id": "1", "kind": "snooze", "user": "alice", **fields})
    with pytest.raises(ContractError, match="an order has"):
        OperatorCommand.from_json(order.to_json())
