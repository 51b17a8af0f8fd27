"""The executor's core: stories as lists of events, the whole (phase x event) matrix, and worlds that act at random."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daqsched_executor.contract import Payload, Probe, Restart, Survey
from daqsched_executor.life import lifecycle
from daqsched_executor.life import state as phases
from daqsched_executor.life.commands import Claim, KillTree, Leave, Say, Signal, Spawn, Tell
from daqsched_executor.life.events import (
    Acknowledged,
    Claimed,
    Connected,
    Delivered,
    Died,
    Disconnected,
    Emptied,
    Event,
    Launched,
    Moment,
    Occupied,
    PathFailed,
    Reached,
    Refused,
    SandboxGone,
    SignalRefused,
    Spawned,
    Started,
    StartFailed,
    StopAsked,
    SurveyAsked,
    Ticked,
    TreeGone,
)
from daqsched_executor.life.lifecycle import IllegalMove, handle
from daqsched_executor.life.starting import backoff
from daqsched_executor.life.state import MOVES, PHASES, STORY, State, begin
from daqsched_executor.life.stopping import end_to_restart
from examples import examples
from story import Story, kinds, payload, report_of


class TestClaim:
    """Never two copies of an instance on a machine."""

    def test_another_copy_is_told_once_and_waited_for(self) -> None:
        """The sentence names who is there since when; nothing is forked before it is gone; a stop ends the wait."""
        story = Story()
        story.happen(Launched(payload()))
        for _ in range(3):
            story.happen(Occupied(99, "2025-11-22 14:02:11 UTC"))
            assert kinds(story.due()) == [Claim]
        since = "since 2025-11-22 14:02:11 UTC, pid 99"
        sentence = f"another copy of readout@hlt01 has been running here {since}; starts when it is gone"
        assert story.told[1:] == [("TASK_STARTING", "probing", sentence)]
        assert kinds(story.happen(Claimed())) == [Spawn]
        waiting = in_phase(phases.CLAIMING)
        waiting.happen(Occupied(99, "noon"), StopAsked("the scheduler"))
        assert waiting.told[-1][0] == "TASK_KILLED" and "another copy" in waiting.told[-1][2]

    def test_what_dies_at_once_is_not_told_but_what_does_not_is(self) -> None:
        """A leftover has 5 s to die from SIGKILL; then people hear of it, and nothing starts beside it."""
        story = Story()
        story.happen(Launched(payload()), Occupied(dying=2))
        assert len(story.told) == 1 and kinds(story.due()) == [Claim]
        story.happen(Occupied(dying=2), after=6)
        story.happen(Occupied(dying=1), after=1)
        assert [message for _, _, message in story.told[1:]] == [
            "2 processes of another copy of readout@hlt01 are still there; starts when they are gone",
            "1 process of another copy of readout@hlt01 is still there; starts when it is gone",
        ]

    def test_what_was_ended_is_said_and_what_cannot_be_locked_is_told_while_it_runs(self) -> None:
        """One sentence each."""
        story = Story()
        story.happen(Launched(payload()))
        said = story.happen(Claimed(3, "a second copy could not be told: /x: full"))
        assert Say("ended 3 processes that a dead executor of this job left behind") in said
        story.run()
        assert story.told[-1][2].endswith("; a second copy could not be told: /x: full")


class TestStart:
    """From the task to the program."""

    def test_a_launched_task_is_spawned_and_told(self) -> None:
        """A launch reports TASK_STARTING and forks at once; exec makes it TASK_RUNNING with pid and time."""
        story = Story(payload())
        assert kinds(story.commands) == [Tell, Claim, Spawn]
        story.run()
        assert story.told == [
            ("TASK_STARTING", "starting", "starting /bin/readout"),
            ("TASK_RUNNING", "running", "pid 4711 since clock 100"),
        ]

    def test_a_task_that_cannot_be_understood_fails_with_its_reason(self) -> None:
        """A payload of a newer version is a failed task, not a crashed executor."""
        story = Story()
        story.happen(Refused("install the newer one"))
        assert story.told == [("TASK_FAILED", "exited", "install the newer one")]
        assert story.happen(Acknowledged()) == [Leave()]

    def test_a_missing_path_is_told_once_and_tried_with_growing_distance(self) -> None:
        """A path that stays away makes one update, is tried after 1, 2, 4, 8, 10, 10 s, and never fails the task."""
        story = Story(payload("never", budget=1))
        waits = []
        for _ in range(6):
            story.happen(Spawned(1), Reached("/cvmfs/x"), PathFailed("/cvmfs/x is missing"))
            before = story.time
            assert kinds(story.due()) == [Spawn]
            waits.append(story.time - before)
        assert waits == [1, 2, 4, 8, 10, 10]
        assert [told for told in story.told if told[1] == "probing"] == [
            ("TASK_STARTING", "probing", "/cvmfs/x is missing; trying again every 10 s")
        ]
        story.run()
        assert story.state.restarts == 0 and story.told[-1][0] == "TASK_RUNNING"

    def test_a_hanging_path_is_named_and_no_second_child_is_forked(self) -> None:
        """A child that gets no answer is killed and told; nothing is spawned until it is really gone."""
        story = Story(payload())
        story.happen(Spawned(1), Reached("/cvmfs/belle.cern.ch/x"))
        assert kinds(story.due()) == [Tell, KillTree]
        assert story.told[-1] == (
            "TASK_STARTING",
            "probing",
            (
                "/cvmfs/belle.cern.ch/x does not answer within 5.0 s (cvmfs hangs?); starts when it does, "
                "trying again every 10 s"
            ),
        )
        for _ in range(5):
            assert kinds(story.due()) == [KillTree]
        story.happen(StartFailed("the start was cut short: killed by SIGKILL"))
        assert kinds(story.due()) == [Spawn]
        assert len(story.told) == 2

    def test_an_exec_that_hangs_counts_as_a_hanging_path(self) -> None:
        """Where all paths answered and exec itself does not, that is what is said."""
        story = Story(payload())
        story.happen(Spawned(1), Reached(""))
        story.due()
        assert story.told[-1][2].startswith("exec of /bin/readout does not answer within 5.0 s;")

    def test_each_path_has_its_own_time_limit(self) -> None:
        """Progress from one path to the next gives the child its time anew."""
        story = Story(payload())
        story.happen(Spawned(1), Reached("/a"))
        story.happen(Reached("/b"), after=4)
        assert story.happen(Ticked(), after=4) == []
        assert kinds(story.happen(Ticked(), after=2)) == [Tell, KillTree]

    def test_a_program_that_cannot_be_executed_backs_off_like_one_that_dies(self) -> None:
        """No exec is a death: the first restart at once, the next after the delay, each with the sentence."""
        story = Story(payload())
        assert kinds(story.happen(Spawned(1), StartFailed("it is no program"))) == [Spawn]
        assert kinds(story.happen(Spawned(1), StartFailed("it is no program"))) == [Tell]
        message = "it is no program; starts again in 1.0 s (1 restart so far)"
        assert story.told[-1] == ("TASK_STARTING", "backoff", message)

    def test_success_codes_never_excuse_a_program_that_did_not_start(self) -> None:
        """Even where 127 is a success code, a failed exec is a failure."""
        story = Story(payload("on-failure", success_codes=(0, 127)))
        assert kinds(story.happen(Spawned(1), StartFailed("it is no program"))) == [Spawn]


class TestRestart:
    """A program that ends by itself."""

    def test_the_first_restart_is_in_the_same_breath(self) -> None:
        """A death after a good start is answered by a spawn, without a wait and without an update in between."""
        story = Story(payload())
        story.run()
        assert kinds(story.happen(Died(signal="SIGSEGV"), after=2.1)) == [Spawn]
        story.run(4712)
        assert story.told[-1][2] == "pid 4712 since clock 102.1, 1 restart, last: killed by SIGSEGV after 2.1 s"

    def test_the_back_off_grows_to_the_cap_and_a_good_run_clears_it(self) -> None:
        """0, 1, 2, 4 ... seconds, at most the cap; after a run of reset_s the next restart is immediate again."""
        story = Story(payload(cap_s=4.0))
        waits = []
        for _ in range(6):
            story.run()
            before = story.time
            story.happen(Died(code=1))
            if story.state.phase == phases.WAITING:
                story.due()
            waits.append(story.time - before)
        assert waits == [0, 1, 2, 4, 4, 4]
        story.run()
        assert kinds(story.happen(Died(code=1), after=60)) == [Spawn]

    def test_back_off_survives_any_number_of_deaths(self) -> None:
        """A program that has died ten million times still waits for the cap, not for an overflow."""
        assert backoff(Restart(), 10_000_000) == 60.0
        assert backoff(Restart(delay_s=0.0), 10_000_000) == 0.0

    def test_a_waiting_restart_tells_when_it_is_due(self) -> None:
        """Back-off is TASK_STARTING with its reason and its end, so that nobody must guess."""
        story = Story(payload())
        story.run()
        story.happen(Died(code=3))
        story.run()
        story.happen(Died(code=3), after=0.5)
        tell = [c for c in story.commands if isinstance(c, Tell)][-1]
        assert tell.message == "exit code 3 after 0.50 s; starts again in 1.0 s (1 restart so far)"
        report = report_of(tell)
        assert (report.activity, report.until, report.pid) == ("backoff", story.now.wall + 1.0, 0)

    def test_the_budget_spent_fails_the_task(self) -> None:
        """After ``budget`` restarts within the window the framework takes over."""
        story = Story(payload(budget=2, delay_s=0.0))
        for _ in range(3):
            story.run()
            story.happen(Died(code=3), after=1)
        assert story.told[-1] == (
            "TASK_FAILED",
            "exited",
            "gave up after 2 restarts within 10 min; last: exit code 3 after 1.0 s",
        )

    def test_restarts_outside_the_window_do_not_count(self) -> None:
        """A program that dies now and then may do so for ever."""
        story = Story(payload(budget=2, window_s=100.0))
        for _ in range(20):
            story.run()
            assert kinds(story.happen(Died(code=3), after=61)) == [Spawn]

    @pytest.mark.parametrize(
        ("policy", "death", "state"),
        [
            ("never", Died(code=0), "TASK_FINISHED"),
            ("never", Died(code=1), "TASK_FAILED"),
            ("never", Died(signal="SIGKILL"), "TASK_FAILED"),
            ("on-failure", Died(code=0), "TASK_FINISHED"),
            ("on-failure", Died(code=1), None),
            ("on-failure", Died(signal="SIGSEGV"), None),
            ("always", Died(code=0), None),
        ],
    )
    def test_the_policy_says_whether_it_is_over(self, policy: str, death: Died, state: str | None) -> None:
        """always, on-failure, never: what a success and a failure mean under each."""
        story = Story(payload(policy))
        story.run()
        commanded = story.happen(death, after=1)
        if state is None:
            assert kinds(commanded) == [Spawn]
        else:
            assert kinds(commanded) == [Tell] and story.told[-1][0] == state

    def test_what_a_dead_program_left_behind_is_killed_before_it_starts_again(self) -> None:
        """Workers of a crashed program hold its ports: they go first, then it starts."""
        story = Story(payload())
        story.run()
        assert kinds(story.happen(Died(signal="SIGKILL", left=3), after=5)) == [KillTree]
        assert kinds(story.happen(TreeGone())) == [Spawn]

    def test_a_program_that_daemonises_gets_a_hint(self) -> None:
        """Exit code 0 with a process left behind looks like a daemon, and the message says so."""
        story = Story(payload("never"))
        story.run()
        story.happen(Died(code=0, left=1), TreeGone(), after=0.1)
        assert "1 process it left behind killed (does it go to the background?" in story.told[-1][2]

    def test_leftovers_that_sigkill_does_not_end_hold_the_start_back(self) -> None:
        """Never two copies: the next start waits for what hangs in the kernel, and says so once."""
        story = Story(payload())
        story.run()
        story.happen(Died(signal="SIGKILL", left=1))
        assert kinds(story.due()) == [Tell, KillTree]
        assert kinds(story.due()) == [KillTree]
        assert kinds(story.happen(TreeGone())) == [Spawn]

    def test_what_may_not_be_signalled_is_named_and_waited_for(self) -> None:
        """Said at once and once, and not as a hang of the kernel's."""
        story = Story(payload())
        story.run()
        story.happen(Died(signal="SIGKILL", left=1))
        assert kinds(story.happen(SignalRefused("pid 7 (sudo)"))) == [Tell]
        assert story.told[-1][2].startswith("pid 7 (sudo): end it by hand") and "starts again when" in story.told[-1][2]
        assert kinds(story.due()) == [KillTree]
        assert kinds(story.happen(TreeGone())) == [Spawn]


class TestEmptied:
    """A program that opens its own stream anew empties the file."""

    def test_it_is_told_once_and_for_all_later_runs(self) -> None:
        """With what to write in its place."""
        story = Story(payload())
        story.run()
        assert kinds(story.happen(Emptied(("stderr",)))) == [Tell]
        state, activity, message = story.told[-1]
        assert (state, activity) == ("TASK_RUNNING", "running")
        assert (
            message.startswith("pid 4711 since ")
            and "its stderr was emptied" in message
            and ">> /dev/stderr" in message
        )
        assert story.happen(Emptied(("stderr",))) == []
        story.happen(Died(signal="SIGKILL"))
        story.run(4712)
        assert "its stderr was emptied" in story.told[-1][2]

    def test_a_second_stream_is_told_in_the_same_sentence(self) -> None:
        """Not in another one beside it, which says what to write once more."""
        story = Story(payload())
        story.run()
        story.happen(Emptied(("stderr",)))
        story.happen(Emptied(("stdout",)))
        assert "its stdout and stderr were emptied" in story.told[-1][2]
        assert story.told[-1][2].count("emptied") == 1
        assert story.happen(Emptied(("stdout", "stderr"))) == []

    def test_it_changes_nothing_else_in_any_phase(self) -> None:
        """A stop in particular goes on, with its own sentence."""
        story = Story(payload())
        story.run()
        story.happen(StopAsked("the scheduler"))
        before = len(story.told)
        story.happen(Emptied(("stdout", "stderr")))
        assert len(story.told) == before


class TestStop:
    """Somebody wants it to end."""

    def test_what_may_not_be_signalled_is_named(self) -> None:
        """At the first signal, and not again with the later ones."""
        story = Story(payload())
        story.run()
        story.happen(StopAsked("the scheduler"))
        assert kinds(story.happen(SignalRefused("pid 7 (sudo)"))) == [Tell]
        assert story.told[-1] == (
            "TASK_KILLING",
            "stopping",
            "pid 7 (sudo): end it by hand, as that account or as root",
        )
        assert kinds(story.due()) == [KillTree]
        assert story.happen(SignalRefused("pid 7 (sudo)")) == [] and kinds(story.due()) == [KillTree]
        story.happen(Died(code=0))
        assert story.told[-1][0] == "TASK_KILLED"

    def test_a_stop_is_signal_report_leave(self) -> None:
        """Signal to the group, TASK_KILLED with how it ended, and leave when the agent has that."""
        story = Story(payload())
        story.run()
        assert kinds(story.happen(StopAsked("the scheduler"), after=18000)) == [Tell, Signal]
        assert story.told[-1][:2] == ("TASK_KILLING", "stopping")
        assert kinds(story.happen(Died(code=0))) == [Tell]
        assert story.told[-1] == ("TASK_KILLED", "exited", "stopped: exit code 0 after 5 h")
        assert story.happen(Acknowledged()) == [Leave()]

    def test_sigkill_follows_after_the_grace(self) -> None:
        """A program that ignores the signal is killed with its tree, and the report says so."""
        story = Story(payload())
        story.run()
        story.happen(StopAsked("the scheduler"))
        assert story.happen(Ticked(), after=9.9) == []
        assert kinds(story.happen(Ticked(), after=0.1)) == [KillTree]
        story.happen(Died(signal="SIGKILL"))
        assert story.told[-1][2] == "stopped: still there 10.0 s after SIGTERM, so killed by SIGKILL after 10.0 s"

    def test_children_get_the_rest_of_the_grace(self) -> None:
        """When the program went first, what it began may finish until the grace is over."""
        story = Story(payload())
        story.run()
        story.happen(StopAsked("the scheduler"))
        assert kinds(story.happen(Died(code=0, left=2), after=1)) == []
        assert kinds(story.due()) == [KillTree]
        assert kinds(story.happen(TreeGone())) == [Tell]
        assert story.told[-1][2] == "stopped: exit code 0 after 1.0 s"

    def test_a_second_stop_changes_nothing_but_may_hurry(self) -> None:
        """A repeated kill sends no second signal; a shutdown with less patience shortens the grace."""
        story = Story(payload())
        story.run()
        story.happen(StopAsked("the scheduler"))
        assert story.happen(StopAsked("the scheduler"), after=1) == []
        assert story.happen(StopAsked("the agent", grace_s=2.0)) == []
        assert story.state.wake_at == story.time + 2.0

    def test_the_asker_cannot_lengthen_the_grace(self) -> None:
        """The job's own grace is the most that is given."""
        story = Story(payload())
        story.run()
        story.happen(StopAsked("the scheduler", grace_s=3600.0))
        assert story.state.wake_at == story.time + 10.0

    def test_a_stop_while_it_backs_off_is_over_at_once(self) -> None:
        """Nothing runs, so there is nothing to wait for."""
        story = Story(payload())
        story.run()
        story.happen(Died(code=3))
        story.run()
        story.happen(Died(code=3), after=1)
        story.happen(StopAsked("the scheduler"))
        assert story.told[-1] == ("TASK_KILLED", "exited", "stopped while not running (last: exit code 3 after 1.0 s)")

    def test_a_child_that_hangs_in_the_kernel_does_not_hold_up_a_stop(self) -> None:
        """It is no program yet and SIGKILL waits for it, so after a short wait the task is killed."""
        story = Story(payload())
        story.happen(Spawned(1), Reached("/cvmfs/x"))
        assert kinds(story.happen(StopAsked("the scheduler"))) == [KillTree]
        assert kinds(story.due()) == [Tell]
        assert story.told[-1] == ("TASK_KILLED", "exited", "stopped before the program was started")

    def test_a_program_that_hangs_in_the_kernel_is_not_called_killed(self) -> None:
        """As long as SIGKILL has not ended it, the task is not over: a new one beside it would be a second copy."""
        story = Story(payload())
        story.run()
        story.happen(StopAsked("the scheduler"))
        story.due()
        assert kinds(story.due()) == [Tell, KillTree]
        assert "SIGKILL does not end pid 4711" in story.told[-1][2]
        for _ in range(10):
            assert kinds(story.due()) == [KillTree]
        assert kinds(story.happen(Died(signal="SIGKILL"))) == [Tell]

    def test_a_framework_without_task_killing_is_told_running(self) -> None:
        """TASK_KILLING goes only to a framework that asked for it."""
        story = Story(payload())
        story.run()
        story.happen(Connected(killing=False), StopAsked("the scheduler"))
        assert story.told[-1][:2] == ("TASK_RUNNING", "stopping")

    def test_a_shutdown_does_not_wait_long_for_an_acknowledgement(self) -> None:
        """An agent that shuts us down may have forgotten the framework, and kills us after its grace."""
        story = Story(payload())
        story.run()
        story.happen(StopAsked("the agent", grace_s=4.0, leave_s=0.5))
        story.happen(Died(code=0))
        assert story.happen(Ticked(), after=0.4) == []
        assert kinds(story.happen(Ticked(), after=0.1)) == [Leave]

    def test_an_end_for_a_restart_obeys_the_rules_of_both(self) -> None:
        """Signal, grace, SIGKILL, then a death with its reason: counted, never a success, whatever the exit code."""
        story = Story(payload("on-failure", delay_s=5.0))
        story.run()
        for wait in (False, True):
            story.time += 1
            story.state, commands = end_to_restart(story.state, "check http failed", story.now)
            assert kinds(commands) == [Tell, Signal]
            assert kinds(story.due()) == [KillTree]
            assert kinds(story.happen(Died(code=0), after=1)) == ([Tell] if wait else [Spawn])
            assert story.state.last_exit is not None
            assert story.state.last_exit.words() == "check http failed: exit code 0 after 12.0 s"
            if not wait:
                story.run()
        assert story.told[-1][:2] == ("TASK_STARTING", "backoff") and story.state.restarts == 1

    def test_a_stop_in_the_middle_of_an_end_for_a_restart_is_for_good(self) -> None:
        """The scheduler's word counts more: it is told as stopping, and nothing starts again."""
        story = Story(payload())
        story.run()
        story.state, _ = end_to_restart(story.state, "check http failed", story.now)
        story.happen(StopAsked("the scheduler"))
        assert story.told[-1][:2] == ("TASK_KILLING", "stopping")
        assert kinds(story.happen(Died(code=0))) == [Tell] and story.told[-1][0] == "TASK_KILLED"

    def test_a_stop_before_any_task_just_leaves(self) -> None:
        """Nothing to report: the executor goes."""
        assert kinds(Story().happen(StopAsked("SIGTERM to the executor"))) == [Leave]


class TestAgent:
    """The agent goes away, and comes back or not."""

    def test_the_program_runs_on_while_the_agent_restarts(self) -> None:
        """Disconnected and connected again: nothing is done to the program."""
        story = Story(payload())
        story.run()
        assert kinds(story.happen(Disconnected(), after=10)) == []
        assert kinds(story.happen(Disconnected(), after=800)) == []
        assert kinds(story.happen(Connected(), after=50)) == []
        assert story.state.phase == phases.RUNNING and story.state.wake_at is None

    def test_an_agent_that_stays_away_ends_the_program(self) -> None:
        """After the recovery timeout Mesos calls the task lost, so it must not run any longer."""
        story = Story(payload())
        story.run()
        story.happen(Disconnected())
        assert story.happen(Ticked(), after=899) == []
        assert kinds(story.happen(Ticked(), after=1)) == [Tell, Signal]
        story.happen(Died(code=0))
        assert story.told[-1][0] == "TASK_KILLED"
        assert kinds(story.due()) == [Leave]

    def test_without_checkpoints_a_lost_agent_means_stop(self) -> None:
        """Mesos does not recover such a framework's executors: the program is stopped at once."""
        story = Story(payload(), patience_s=0.0)
        story.run()
        assert kinds(story.happen(Disconnected())) == [Tell, Signal]

    def test_the_last_report_waits_for_an_agent_that_is_away(self) -> None:
        """A program that ends while the agent restarts is reported when it is back, not lost with the executor."""
        story = Story(payload("never"))
        story.run()
        story.happen(Disconnected())
        story.happen(Died(code=0))
        assert story.happen(Ticked(), after=60) == []
        story.happen(Connected())
        assert story.happen(Acknowledged()) == [Leave()]

    def test_an_agent_that_never_acknowledges_does_not_keep_us(self) -> None:
        """After a short wait the executor leaves anyway."""
        story = Story(payload("never"))
        story.run()
        story.happen(Died(code=0))
        story.happen(Delivered())
        assert story.happen(Ticked(), after=9.9) == []
        assert kinds(story.happen(Ticked(), after=0.1)) == [Leave]

    def test_an_agent_that_does_not_even_take_the_last_report_gets_its_recovery_time(self) -> None:
        """One that has just restarted refuses reports for as long as it waits for its executors."""
        story = Story(payload("never"))
        story.run()
        story.happen(Died(code=0))
        assert story.happen(Ticked(), after=899) == []
        assert kinds(story.happen(Ticked(), after=1)) == [Leave]

    def test_a_hurried_end_does_not_wait_for_an_agent_that_is_away(self) -> None:
        """An agent that does not know us will never take a report."""
        story = Story(payload())
        story.run()
        story.happen(Disconnected(), StopAsked("the agent", leave_s=0.5), Died(code=0))
        assert kinds(story.due()) == [Leave]

    def test_an_agent_that_does_not_know_us_any_more_is_not_waited_for_with_the_last_report(self) -> None:
        """The program had ended while the agent was away; the executor's lock would keep the next one waiting."""
        story = Story(payload("never"))
        story.run()
        story.happen(Disconnected(), Died(code=0), Disconnected())
        assert story.happen(StopAsked("the scheduler"), Ticked(), after=10.0) == []
        story.happen(StopAsked("the agent, which does not know this executor", leave_s=0.5))
        assert story.state.wake_at == story.time + 0.5
        assert kinds(story.due()) == [Leave]

    def test_an_executor_that_reaches_no_agent_leaves(self) -> None:
        """Without a first subscription within a minute the agent has given us up."""
        now = Moment(5.0)
        _, commands = handle(begin(now, 900.0), Ticked(), Moment(65.0))
        assert kinds(commands) == [Leave]


def in_phase(phase: str) -> Story:
    """A story that has come to ``phase``."""
    job = payload("always" if phase != phases.ENDED else "never")
    story = Story(None if phase in (phases.IDLE, phases.CLAIMING, phases.LOOKING) else job)
    if phase == phases.CLAIMING:
        story.happen(Launched(job))
    if phase == phases.LOOKING:
        story.happen(SurveyAsked(Survey("preflight-1@hlt01.7", "hlt01", (Probe("p", "/bin/p"),))))
    if phase in (phases.RUNNING, phases.CLEARING, phases.STOPPING, phases.ENDED):
        story.run()
    if phase == phases.WAITING:
        story.happen(Spawned(1), PathFailed("/x is missing"))
    if phase == phases.CLEARING:
        story.happen(Died(code=0, left=1))
    if phase == phases.STOPPING:
        story.happen(StopAsked("the scheduler"))
    if phase == phases.ENDED:
        story.happen(Died(code=0))
    assert story.state.phase == phase
    story.commands.clear()
    return story


EVENTS: tuple[Event, ...] = (
    Launched(payload()), Refused("no"), Claimed(), Occupied(11, "noon"), Spawned(7), Reached("/x"), Started(),
    PathFailed("/x is missing"),
    StartFailed("no program"), Died(code=1), Died(code=1, left=2), TreeGone(), StopAsked("the scheduler"), Connected(),
    Disconnected(), Delivered(), Acknowledged(), Ticked(), SignalRefused("pid 7 (sudo)"),
    Emptied(("stderr",)), SandboxGone("gone"),
)  # fmt: skip

#: Where an event leads; a pair that is not here changes no phase. "!" marks pairs that cannot be, and are said.
LEADS = {
    "idle": "Launched>claiming Refused>ended Spawned! Reached! Started! PathFailed! StartFailed! Died! Died! TreeGone! "
    "StopAsked>ended Delivered! Acknowledged! SignalRefused! SandboxGone!",
    "claiming": "Launched! Refused! Claimed>starting Spawned! Reached! Started! PathFailed! StartFailed! Died! Died! "
    "TreeGone! StopAsked>ended Delivered! Acknowledged! SignalRefused! SandboxGone!",
    "starting": "Launched! Refused! Started>running PathFailed>waiting StartFailed>starting Died>starting "
    "Died>clearing TreeGone! StopAsked>stopping Delivered! Acknowledged! SandboxGone>ended",
    "waiting": "Launched! Refused! Spawned! Reached! Started! PathFailed! StartFailed! Died! Died! TreeGone! "
    "StopAsked>ended Delivered! Acknowledged! Ticked>starting SandboxGone!",
    "running": "Launched! Refused! Spawned! Reached! Started! PathFailed! StartFailed! Died>starting Died>clearing "
    "TreeGone! StopAsked>stopping Delivered! Acknowledged! SandboxGone!",
    "clearing": "Launched! Refused! Spawned! Reached! Started! PathFailed! StartFailed! Died! Died! TreeGone>starting "
    "StopAsked>stopping Delivered! Acknowledged! SandboxGone!",
    "stopping": "Launched! Refused! PathFailed>ended StartFailed>ended Died>ended TreeGone>ended Delivered! "
    "Acknowledged! SandboxGone>ended",
    "looking": "Launched! Refused! Spawned! Reached! Started! PathFailed! StartFailed! Died! Died! TreeGone! StopAsked>ended "
    "Delivered! Acknowledged! Ticked>ended SignalRefused! SandboxGone!",
    "ended": "Launched! Refused! Spawned! Started! Died! Died! TreeGone!",
}


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__ + "+" * getattr(event, "left", 0))
def test_every_event_is_taken_in_every_phase(phase: str, event: Event) -> None:
    """Each pair leads where the table says, and a pair that cannot be is said and changes nothing."""
    story = in_phase(phase)
    if isinstance(event, Ticked):
        story.time = max(story.time, story.state.deadline or 0.0)
    name = type(event).__name__
    leads = LEADS[phase] + ("" if phase in ("claiming", "ended") else " Claimed! Occupied!")
    entries = [entry for entry in leads.split() if entry.rstrip("!").split(">")[0] == name]
    before = story.state
    commanded = story.happen(event)
    if isinstance(event, Died) and len(entries) == 2:
        entries = [entries[1 if event.left else 0]]
    if isinstance(event, Died) and phase == "stopping" and event.left:
        entries = []
    impossible = bool(entries) and entries[0].endswith("!")
    assert (commanded == [Say(f"ignored: {name} while {phase}")]) is impossible
    if impossible:
        assert story.state == before
    expected = entries[0].split(">")[1] if entries and not impossible else phase
    assert story.state.phase == expected


class World:
    """Machine and agent at random: does what the core commands, and checks at each step what must always hold."""

    def __init__(self, job: Payload, draw: st.DataObject, killable: bool = True) -> None:
        self.story = Story(job)
        self.draw = draw
        #: none, forked, program, leftovers
        self.alive = "none"
        self.left = 0
        self.killed = False
        self.finals = 0
        self.gone = False
        self.done = 0
        self.obey()

    def obey(self) -> None:
        """Carry out the commands that are new."""
        while self.done < len(self.story.commands):
            command = self.story.commands[self.done]
            self.done += 1
            assert not self.gone, f"{command} after Leave"
            if isinstance(command, Spawn):
                assert self.alive == "none" and self.left == 0, "a second copy"
                assert self.finals == 0, "a start after the last report"
                self.alive, self.killed = "forked", False
                self.happen(Spawned(4711))
            elif isinstance(command, Tell):
                assert self.finals == 0, "a report after the last one"
                if command.final:
                    self.finals += 1
                    assert self.alive != "program" and self.left == 0, "the last report while something runs"
            elif isinstance(command, KillTree):
                self.killed = True
            elif isinstance(command, Leave):
                assert self.finals == 1
                self.gone = True
        state = self.story.state
        if not self.gone and state.phase not in (phases.RUNNING, phases.IDLE):
            assert state.wake_at is not None, f"nothing wakes {state.phase}"

    def happen(self, *events: Event, after: float = 0.0) -> None:
        """Events, and the obedience that follows."""
        for event in events:
            if not self.gone:
                self.story.happen(event, after=after)
                self.obey()

    def possible(self) -> list[str]:
        """What the world may do next."""
        acts = ["pass", "tick", "disconnect", "connect"]
        acts += {"forked": ["reach", "exec", "path", "start"], "program": ["die", "die+"]}.get(self.alive, [])
        if self.left:
            acts.append("clear")
        if self.finals:
            acts += ["deliver", "acknowledge"]
        return acts

    def act(self, name: str) -> None:
        """Do one of them."""
        alive, self.alive = self.alive, "none"
        if name == "exec":
            self.alive = "program"
            self.happen(Reached(""), Started())
        elif name == "path":
            self.happen(PathFailed("/cvmfs/x is missing"))
        elif name == "start":
            self.happen(StartFailed("no program"))
        elif name in ("die", "die+"):
            self.left = 2 if name == "die+" else 0
            signal = "SIGKILL" if self.killed else None
            self.happen(Died(None if signal else 1, signal, False, self.left))
        else:
            self.alive = alive
            if name == "clear":
                self.left = 0
                self.happen(TreeGone())
            elif name == "reach":
                self.happen(Reached("/cvmfs/x"))
            elif name == "pass":
                self.happen(Ticked(), after=self.draw.draw(st.sampled_from([0.01, 1.0, 7.0, 61.0, 1000.0])))
            elif name == "tick" and self.story.state.wake_at is not None:
                self.story.time = max(self.story.time, self.story.state.wake_at)
                self.happen(Ticked())
            elif name == "disconnect":
                self.happen(Disconnected())
            elif name == "connect":
                self.happen(Connected())
            elif name == "deliver":
                self.happen(Delivered())
            elif name == "acknowledge":
                self.happen(Acknowledged())


RULES = st.builds(
    lambda policy, budget, delay_s: payload(policy, budget=budget, delay_s=delay_s),
    st.sampled_from(["always", "on-failure", "never"]),
    st.integers(0, 3),
    st.sampled_from([0.0, 1.0]),
)


@settings(max_examples=examples(400), deadline=None)
@given(RULES, st.data())
def test_whatever_happens_there_is_one_copy_one_last_report_and_an_end(job: Payload, data: st.DataObject) -> None:
    """Random worlds: never two copies, the last report exactly once, something always wakes us, a stop always ends."""
    world = World(job, data)
    for _ in range(data.draw(st.integers(0, 25))):
        if world.gone:
            break
        world.act(data.draw(st.sampled_from(world.possible())))
    if not world.gone:
        world.happen(StopAsked("the scheduler"))
    for _ in range(20):  # from here on the world obeys: SIGKILL kills, time passes, the agent is silent
        if world.gone:
            break
        if world.left and world.killed:
            world.act("clear")
        elif world.alive == "program" and world.killed:
            world.act("die")
        elif world.alive == "forked" and world.killed and data.draw(st.booleans()):
            world.act("start")
        else:
            world.act("tick")
    assert world.gone and world.finals == 1


def test_state_is_a_value() -> None:
    """Handling an event never changes the state that came in."""
    state = begin(Moment(1.0), 900.0)
    before = replace(state)
    handle(state, Launched(payload()), Moment(2.0))
    assert state == before and isinstance(state, State)


def test_an_illegal_move_is_an_error_with_its_story(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each phase, by a step that is wrong; the real steps never make one: here, in the random stories, anywhere."""
    for before, allowed in MOVES.items():
        for after in sorted(set(MOVES) - {before}):
            state = State(phase=before, payload=payload(), story=("idle to claiming by Launched",))
            monkeypatch.setattr(
                lifecycle, "_handle", lambda state, event, now, to=after: (replace(state, phase=to), [])
            )
            if after in allowed:
                found, _ = lifecycle.handle(state, Ticked(), Moment())
                assert found.story == ("idle to claiming by Launched", f"{before} to {after} by Ticked")
                continue
            with pytest.raises(IllegalMove) as error:
                lifecycle.handle(state, Ticked(), Moment())
            assert str(error.value) == (
                f"{before} to {after} by Ticked is an illegal move; before: idle to claiming by Launched"
            )


def test_the_story_has_a_bound() -> None:
    """A program that dies for years."""
    state = State(phase="running", story=tuple(f"move {at}" for at in range(STORY)))
    found, _ = lifecycle.handle(replace(state, payload=payload(), pid=1), StopAsked("bob"), Moment())
    assert len(found.story) == STORY and found.story[-1] == "running to stopping by StopAsked"


def test_an_account_that_takes_long_to_look_up_is_waited_for_and_told() -> None:
    """A second child would ask the same directory; it is no exec that hangs. A stop ends the wait."""
    story = Story(payload())
    story.happen(Spawned(7), Reached("the account daq", account=True))
    commanded = story.happen(Ticked(), after=5.0)
    assert not [one for one in commanded if isinstance(one, KillTree)]
    told = "its account is being looked up, for more than 5.0 s: the account daq; starts when this machine's directory"
    assert story.told[-1][2].startswith(told)
    said = len(story.told)
    assert not story.happen(Ticked(), after=20.0) and len(story.told) == said
    story.happen(Reached("/bin/readout"), Reached(""), Started())
    assert story.state.phase == phases.RUNNING
    other = Story(payload())
    other.happen(Spawned(7), Reached("the account daq", account=True))
    other.happen(Ticked(), after=5.0)
    other.happen(Reached("/bin/readout"))
    assert [one for one in other.happen(Ticked(), after=5.0) if isinstance(one, KillTree)]
