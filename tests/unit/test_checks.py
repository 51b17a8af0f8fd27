"""The alive checks in the executor's core: who is asked when, what makes ready, what makes ill, and what follows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daqsched_executor.contract import OBEY, Check, OperatorCommand, Payload, Report, Restart, Stop
from daqsched_executor.life import state as phases
from daqsched_executor.life.check_words import clock_after
from daqsched_executor.life.checks import WORDS_S
from daqsched_executor.life.commands import Ask, Command, EndAsk, Obey, Say, Signal, Spawn, Tell
from daqsched_executor.life.events import (
    Answered,
    Claimed,
    Connected,
    Died,
    Event,
    Launched,
    Moment,
    Notice,
    Notified,
    OperatorAsked,
    Spawned,
    Started,
    StopAsked,
    Ticked,
)
from daqsched_executor.life.health import Health
from daqsched_executor.life.lifecycle import handle
from daqsched_executor.life.notify import LONGEST_S, STATUS_LENGTH, parse
from daqsched_executor.life.state import begin

HTTP = Check("http", "http", port=8080, path="/health", grace_s=10.0, interval_s=5.0, timeout_s=2.0, failures=3)
TCP = replace(HTTP, kind="tcp", name="tcp", path="")
COMMAND = replace(HTTP, kind="command", name="command", argv=("/bin/ask",), path="", port=0)
OUTPUT = Check("output", "output", silence_s=8.0, grace_s=10.0, interval_s=5.0)
FILE = Check("file", "file", path="/data/run.raw", silence_s=8.0, grace_s=10.0, interval_s=5.0, timeout_s=2.0)
HEARTBEAT = Check("heartbeat", "heartbeat", silence_s=8.0, grace_s=10.0)

ASKED, LOOKING, ALL = (COMMAND, TCP, HTTP), (OUTPUT, FILE), (COMMAND, TCP, HTTP, OUTPUT, FILE, HEARTBEAT)

READY, BEAT = Notified(Notice(ready=True)), Notified(Notice(watchdog=True))


def kinds(commands: list[Command]) -> list[type]:
    """The commands' types without what is only said."""
    return [type(command) for command in commands if not isinstance(command, Say)]


class Story:
    """A program with checks that has just started; a check is answered as `answers` says, at once."""

    def __init__(self, *checks: Check, policy: str = "always", **rule: Any) -> None:
        self.time, self.began = 100.0, 100.0
        #: By the check's name: whether it passes, and why not; None: it hangs.
        self.answers: dict[str, tuple[bool | None, str] | None] = {}
        self.asked: list[tuple[float, str]] = []
        self.told: list[Tell] = []
        self.said: list[str] = []
        self.signals = self.orders = 0
        restart = Restart(policy, **rule)
        job = Payload("r@hlt01.1", "r", "hlt01", ("/bin/r",), restart=restart, stop=Stop(grace_s=3.0), checks=checks)
        self.state = begin(self.now, 900.0)
        self.happen(Connected(killing=True), Launched(job), Claimed())
        self.start()

    @property
    def now(self) -> Moment:
        return Moment(self.time, 1e9 + self.time, "2025-11-22 14:02:11+01:00")

    @property
    def last(self) -> tuple[str, str]:
        """Task state and sentence of the last report."""
        return self.told[-1].task_state, self.told[-1].message

    def report(self) -> Report:
        """What the last one says."""
        report = self.told[-1].report
        assert isinstance(report, Report)
        return report

    def health(self) -> Health:
        """What is known of the checks."""
        assert self.state.health is not None
        return self.state.health

    def start(self) -> None:
        """The child that was spawned becomes the program."""
        self.began = self.time
        self.happen(Spawned(4711), Started())

    def happen(self, *events: Event) -> list[Command]:
        """What the events command; questions are answered."""
        commanded: list[Command] = []
        queue = list(events)
        while queue:
            event = queue.pop(0)
            self.state, commands = handle(self.state, event, self.now)
            commanded += commands
            for command in commands:
                if isinstance(command, Tell):
                    self.told.append(command)
                elif isinstance(command, Say):
                    self.said.append(command.sentence)
                elif isinstance(command, Signal):
                    self.signals += 1
                elif isinstance(command, Ask):
                    self.asked.append((round(self.time - self.began, 2), command.check.name))
                    answer = self.answers.get(command.check.name, (False, ""))
                    if answer is not None:
                        queue.append(Answered(command.number, command.ask, *answer))
        return commanded

    def go(self, seconds: float) -> list[Command]:
        """Time passes, and the core is woken whenever it wants to be."""
        until = self.time + seconds
        commanded: list[Command] = []
        for _ in range(1000):
            wake_at = self.state.wake_at
            if wake_at is None or wake_at > until + 1e-6:
                self.time = until
                return commanded
            self.time = max(self.time, wake_at)
            commanded += self.happen(Ticked())
        raise AssertionError("it wants to be woken for ever")

    def order(self, kind: str, name: str = "", for_s: float = 0.0) -> list[Command]:
        """An operator speaks."""
        self.orders += 1
        return self.happen(
            OperatorAsked(OperatorCommand(f"o{self.orders}", kind, "alice", name, self.now.wall + for_s, "tuning"))
        )


class TestOtherChecks:
    """The job file says others while the program runs."""

    def obey(self, story: Story, *checks: Check) -> list[Command]:
        assert story.state.payload is not None
        told = replace(story.state.payload, checks=checks, rules=f"r{story.orders}")
        story.orders += 1
        order = OperatorCommand(f"o{story.orders}", OBEY, "daqsched apply", payload=told.to_json().decode())
        return story.happen(OperatorAsked(order))

    def test_a_new_one_has_to_pass_and_what_is_known_of_others_is_known_on(self) -> None:
        """The program is left alone; a question that was under way is put again."""
        story = Story(TCP)
        story.answers = {"tcp": (True, ""), "http": None}
        story.go(1.0)
        assert story.last[0] == "TASK_RUNNING"
        commands = self.obey(story, HTTP, TCP)
        assert Obey in kinds(commands) and story.last[0] == "TASK_STARTING" and "http" in story.last[1]
        asked = len(story.asked)
        story.answers["http"] = (True, "")
        story.go(1.0)
        assert story.last[0] == "TASK_RUNNING" and [name for _, name in story.asked[asked:]] == ["http"]
        assert story.signals == 0 and story.state.pid == 4711

    def test_the_last_one_may_go_and_a_first_one_come(self) -> None:
        """What runs without checks is well."""
        story = Story(TCP)
        story.answers = {"tcp": (False, "refused")}
        story.go(1.0)
        assert story.last[0] == "TASK_STARTING"
        self.obey(story)
        assert story.last[0] == "TASK_RUNNING" and story.state.wake_at is None
        self.obey(story, COMMAND)
        story.answers = {"command": (True, "")}
        story.go(1.0)
        assert story.last[0] == "TASK_RUNNING" and story.report().healthy is True

    def test_an_answer_to_one_that_is_gone_is_not_heard(self) -> None:
        """Neither as that of the one that has its number now."""
        story = Story(HTTP, TCP)
        story.answers = {"http": None, "tcp": None}
        story.go(1.0)
        assert story.state.health is not None
        late = [Answered(number, pulse.ask, False, "late") for number, pulse in enumerate(story.state.health.pulses)]
        self.obey(story, TCP)
        assert story.happen(*late) == [] and story.state.phase == phases.RUNNING

    def test_a_stricter_one_ends_what_the_one_before_let_live(self) -> None:
        """By its own failures, counted anew."""
        story = Story(HTTP)
        story.answers = {"http": (True, "")}
        story.go(60.0)
        self.obey(story, replace(HTTP, failures=1))
        story.answers = {"http": (False, "status 500")}
        story.go(10.0)
        assert story.signals == 1

    def test_a_snooze_is_of_the_check_that_it_names(self) -> None:
        """And goes with it."""
        story = Story(HTTP, TCP)
        story.answers = {"http": (True, ""), "tcp": (True, "")}
        story.go(1.0)
        story.order("snooze", "http", 100.0)
        self.obey(story, replace(HTTP, failures=7), TCP)
        assert list(story.state.snoozes) == ["http"]
        self.obey(story, TCP)
        assert not story.state.snoozes


class TestReady:
    """When a program counts as running."""

    @pytest.mark.parametrize("check", ALL, ids=lambda check: check.kind)
    def test_it_is_told_as_starting_until_the_check_has_passed_once(self, check: Check) -> None:
        """With a pid and what has not happened; then TASK_RUNNING, once."""
        story = Story(check)
        assert story.report().activity == "starting" and story.report().pid == 4711
        assert story.last[0] == "TASK_STARTING" and story.last[1].startswith("pid 4711 started, not ready yet: ")
        assert story.report().healthy is None
        story.answers[check.name] = (True, "")
        if check is HEARTBEAT:
            story.happen(READY)
        story.go(7)
        assert story.last == ("TASK_RUNNING", "pid 4711 since 2025-11-22 14:02:11+01:00")
        assert story.report().healthy is True and story.report().activity == "running"
        assert [told.task_state for told in story.told].count("TASK_RUNNING") == 1
        assert story.said[-1].startswith("ready after ")

    @pytest.mark.parametrize(
        "check, words",
        [
            (COMMAND, "command has not succeeded"),
            (TCP, "tcp takes no connection"),
            (HTTP, "http has not answered"),
            (OUTPUT, "output has printed nothing"),
            (replace(OUTPUT, pattern="^run"), "output has printed no line with '^run'"),
            (FILE, "file was not written"),
            (HEARTBEAT, "heartbeat has not sent READY=1"),
        ],
    )
    def test_what_is_waited_for_is_said(self, check: Check, words: str) -> None:
        """In words for each kind."""
        assert Story(check).last[1] == f"pid 4711 started, not ready yet: {words}"

    def test_all_have_to_pass_and_the_others_are_named(self) -> None:
        """Two of three are not enough."""
        story = Story(HTTP, OUTPUT, HEARTBEAT)
        story.answers["http"] = (True, "")
        story.happen(READY)
        story.go(3)
        assert story.last == ("TASK_STARTING", "pid 4711 started, not ready yet: output has printed nothing")
        story.answers["output"] = (True, "")
        story.go(3)
        assert story.last[0] == "TASK_RUNNING"

    def test_the_reason_of_the_last_failure_is_told_now_and_then(self) -> None:
        """Another reason alone makes one report in 10 s at most."""
        story = Story(replace(HTTP, grace_s=100.0))
        story.answers["http"] = (False, "refused")
        story.go(WORDS_S - 1)
        assert len(story.told) == 2  # starting, started
        story.go(1)
        assert story.last[1].endswith("http has not answered (refused)")
        for number in range(30):
            story.answers["http"] = (False, f"reason {number}")
            story.go(1)
        assert len(story.told) == 6

    def test_it_is_asked_soon_and_then_as_often_as_the_job_says(self) -> None:
        """0.2 s after the start, then twice as long, up to the interval; from the first success on the interval."""
        story = Story(replace(HTTP, grace_s=60.0))
        story.go(12.0)
        assert [at for at, _ in story.asked] == [0.2, 0.6, 1.4, 3.0, 6.2, 11.2]
        story.answers["http"] = (True, "")
        story.go(20.0)
        assert [at for at, _ in story.asked[6:]] == [16.2, 21.2, 26.2, 31.2]

    def test_jobs_without_checks_behave_as_ever(self) -> None:
        """Running from exec on; nothing wakes, no word of health; a message of the protocol changes nothing."""
        story = Story()
        assert (
            story.last == ("TASK_RUNNING", "pid 4711 since 2025-11-22 14:02:11+01:00") and story.state.wake_at is None
        )
        assert story.report().healthy is None
        assert story.happen(READY, Answered(0, 1, True)) == []

    def test_each_run_has_to_become_ready_anew(self) -> None:
        """A restart in place is told as starting again, and earlier answers count for nothing."""
        story = Story(HTTP)
        story.answers["http"] = (True, "")
        story.go(1)
        story.answers["http"] = (False, "")
        story.happen(Died(code=1))
        story.start()
        assert story.last[0] == "TASK_STARTING" and story.report().restarts == 1
        story.answers["http"] = (True, "")
        story.go(1)
        assert story.last[0] == "TASK_RUNNING" and "1 restart, last: exit code 1" in story.last[1]


def ready(*checks: Check, **rule: Any) -> Story:
    """A program whose checks have all passed: 20 s after its start."""
    story = Story(*checks, **rule)
    story.answers = {check.name: (True, "") for check in checks}
    story.happen(READY)
    for _ in range(20):
        story.go(1)
        story.happen(BEAT)
    assert story.report().healthy is True and story.signals == 0
    return story


class TestIll:
    """What makes a program unhealthy, and what follows."""

    @pytest.mark.parametrize("check", ASKED, ids=lambda check: check.kind)
    def test_so_many_failures_in_a_row_end_it(self, check: Check) -> None:
        """Two are said only; a success in between begins the count anew; the third ends it by its rules of Stop."""
        story = ready(check)
        story.answers[check.name] = (False, "no")
        story.go(10)
        assert story.signals == 0 and f"check {check.name} fails (1 of 3): no" in story.said
        story.answers[check.name] = (True, "")
        story.go(5)
        assert f"check {check.name} passes again" in story.said
        story.answers[check.name] = (False, "no")
        story.go(10)
        assert story.signals == 0
        story.go(5)
        why = f"check {check.name} failed 3 times in a row: no"
        assert story.last == ("TASK_STARTING", f"{why}: SIGTERM sent to pid 4711, SIGKILL follows in 3.0 s")
        report = story.report()
        assert (report.healthy, report.ailment, report.activity) == (False, why, "stopping")
        assert kinds(story.happen(Died(signal="SIGTERM"))) == [Spawn]
        story.start()
        assert story.state.last_exit is not None and story.state.last_exit.why == why

    @pytest.mark.parametrize("check", ASKED + LOOKING, ids=lambda check: check.kind)
    def test_what_could_not_be_asked_says_nothing_of_the_program(self, check: Check) -> None:
        """Said once, however long that lasts; when it can be asked again, the program is as ill or well as then."""
        story = ready(check)
        story.answers[check.name] = (None, "a mistake of ours")
        story.go(100)
        assert story.signals == 0 and story.last[0] == "TASK_RUNNING"
        assert story.report().lacks == f"check {check.name} can't be asked: a mistake of ours"
        assert [said for said in story.said if "could not" in said] == [
            f"check {check.name} could not be asked: a mistake of ours"
        ]
        assert len([at for at, _ in story.asked if at > 20]) <= 51  # every 2 s at most
        story.answers[check.name] = (True, "")
        story.go(10)
        assert story.signals == 0 and story.last[0] == "TASK_RUNNING" and story.report().lacks == ""
        story.answers[check.name] = (False, "no")
        story.go(30)
        assert story.signals == 1

    @pytest.mark.parametrize("check", ASKED, ids=lambda check: check.kind)
    def test_one_that_does_not_answer_is_given_up_and_has_failed(self, check: Check) -> None:
        """After the timeout, with a sentence that says so; one run of a check at a time."""
        story = ready(replace(check, failures=1))
        story.answers[check.name] = None
        while not story.signals:
            commanded = story.go(1)
        assert kinds(commanded)[:3] == [EndAsk, Tell, Signal]
        assert "not answer within 2.0 s" in story.last[1]
        assert [at for at, _ in story.asked] == [0.2, 5.2, 10.2, 15.2, 20.2]

    def test_an_answer_that_comes_too_late_is_not_heard(self) -> None:
        """Nor one to an older question."""
        story = ready(HTTP)
        story.answers["http"] = None
        story.go(8)
        asks = story.health().pulses[0].ask
        before = story.state
        assert story.happen(Answered(0, asks, True), Answered(0, asks - 1, True)) == []
        assert story.state == before and story.health().pulses[0].fails == 2

    @pytest.mark.parametrize("check", ASKED, ids=lambda check: check.kind)
    def test_failures_count_from_the_end_of_the_grace(self, check: Check) -> None:
        """10 s of grace, then three failures in a row, 5 s apart."""
        story = Story(check)
        story.go(21)
        assert story.signals == 0
        story.go(5)
        assert story.signals == 1 and story.last[0] == "TASK_STARTING"

    def test_the_first_success_ends_the_grace(self) -> None:
        """What was well once is expected to stay so."""
        story = Story(replace(HTTP, grace_s=1000.0))
        story.answers["http"] = (True, "")
        story.go(1)
        story.answers["http"] = (False, "no")
        story.go(16)
        assert story.signals == 1

    @pytest.mark.parametrize(
        "check, words",
        [
            (OUTPUT, "nothing printed for 8.0 s"),
            (replace(OUTPUT, pattern="event"), "no line with 'event' for 8.0 s"),
            (FILE, "/data/run.raw unchanged for 8.0 s"),
            (HEARTBEAT, "no WATCHDOG=1 for 8.0 s"),
        ],
    )
    def test_one_silence_is_enough(self, check: Check, words: str) -> None:
        """Counted from the last sign of life."""
        story = ready(check)
        story.answers[check.name] = (False, "")
        story.go(7.9 if check is HEARTBEAT else 5.9)
        assert story.signals == 0
        while not story.signals:
            story.go(0.1)
        assert story.time - story.began <= 28.2 and f"check {check.name} failed: {words}: SIGTERM" in story.last[1]

    @pytest.mark.parametrize(
        "check, at, words",
        [
            (OUTPUT, 10.0, "nothing printed for 10.0 s"),
            (replace(OUTPUT, silence_s=20.0), 20.0, "nothing printed for 20.0 s"),
            (FILE, 10.0, "/data/run.raw unchanged for 10.0 s (/data/run.raw is missing)"),
            (HEARTBEAT, 10.0, "no READY=1 within 10.0 s"),
            (replace(HEARTBEAT, silence_s=20.0), 10.0, "no READY=1 within 10.0 s"),
        ],
    )
    def test_a_first_sign_has_the_grace_and_the_silence(self, check: Check, at: float, words: str) -> None:
        """Whichever is longer; READY=1 has the grace alone."""
        story = Story(check)
        story.answers["file"] = (False, "/data/run.raw is missing")
        story.go(at - 0.1)
        assert story.signals == 0
        story.go(0.2)
        assert story.signals == 1 and words in story.last[1] and story.last[0] == "TASK_STARTING"

    def test_a_file_is_looked_at_since_the_start_and_within_the_silence(self) -> None:
        """What a predecessor wrote is no sign of life."""
        story = Story(FILE)
        sinces: list[float] = []
        for _ in range(12):
            sinces += [round(one.since - 1e9 - 100, 2) for one in story.go(1) if isinstance(one, Ask)]
            story.answers["file"] = (True, "")
        assert sinces[0] == -0.02 and sinces[-1] > 2

    def test_notify_only_reports_and_tells_the_recovery(self) -> None:
        """The program runs on; the report has the ailment until the check passes again."""
        story = ready(replace(HTTP, unhealthy="notify"))
        story.answers["http"] = (False, "no")
        story.go(60)
        ill = story.told[-1]
        assert story.signals == 0 and ill.task_state == "TASK_RUNNING" and story.report().healthy is False
        assert ill.message == "pid 4711 since 2025-11-22 14:02:11+01:00; unhealthy: " + story.report().ailment
        story.answers["http"] = (True, "")
        story.go(5.3)
        assert story.report().healthy is True and story.report().ailment == ""
        assert story.said[-1] == "recovered: pid 4711 since 2025-11-22 14:02:11+01:00"

    def test_an_unhealthy_end_counts_as_a_death(self) -> None:
        """It spends the budget and backs off; an exit code of success excuses nothing."""
        story = Story(replace(HTTP, grace_s=0.0, failures=1), policy="on-failure", budget=2)
        for _ in range(3):
            story.go(1)
            story.happen(Died(code=0))
            if story.state.phase == phases.WAITING:
                story.go(5)
            if story.state.phase == phases.STARTING:
                story.start()
        assert story.last[0] == "TASK_FAILED" and story.last[1].startswith("gave up after 2 restarts")

    def test_a_long_run_that_was_never_ready_does_not_clear_the_back_off(self) -> None:
        """It was no good run."""
        story = Story(replace(HTTP, grace_s=100.0), reset_s=60.0)
        for deaths in (1, 2):
            story.go(99)
            story.happen(Died(code=1))
            assert story.state.deaths == deaths
            story.go(5)
            if deaths == 1:
                story.start()

    def test_a_policy_of_never_makes_it_fail(self) -> None:
        """The framework hears why."""
        story = ready(replace(TCP, failures=1), policy="never")
        story.answers["tcp"] = (False, "refused")
        story.go(6)
        story.happen(Died(code=0))
        assert story.last[0] == "TASK_FAILED" and story.last[1].startswith("check tcp failed: refused: exit code 0")


class TestMiddle:
    """Ends in the middle of a check."""

    @pytest.mark.parametrize("check", (*ASKED, FILE), ids=lambda check: check.kind)
    @pytest.mark.parametrize("event", [Died(code=1), Died(code=1, left=2), StopAsked("the scheduler")], ids=str)
    def test_what_is_asked_ends_with_the_program(self, check: Check, event: Event) -> None:
        """No check outlives it, and none is asked while it does not run."""
        story = Story(check)
        story.answers[check.name] = None
        story.go(0.3)
        assert EndAsk(0) in story.happen(event)
        asked = len(story.asked)
        assert story.happen(Answered(0, 1, True), READY) == []
        story.go(2)
        assert len(story.asked) == asked

    def test_a_lost_agent_ends_it_as_well(self) -> None:
        """The way that no event of a step takes."""
        story = Story(HTTP)
        story.answers["http"] = None
        story.go(0.3)
        story.state = replace(story.state, alone_until=story.time)
        assert EndAsk(0) in story.happen(Ticked())

    @pytest.mark.parametrize("check", ALL, ids=lambda check: check.kind)
    def test_a_stop_is_not_disturbed(self, check: Check) -> None:
        """Nothing is asked, nothing ends it twice; it is told as stopped."""
        story = ready(check)
        story.answers[check.name] = (False, "no")
        story.happen(StopAsked("the scheduler"))
        story.go(2.9)
        story.happen(Died(code=0))
        assert story.signals == 1 and story.last == ("TASK_KILLED", "stopped: exit code 0 after 22.9 s")


class TestHeartbeat:
    """sd_notify(3)."""

    def test_without_a_silence_ready_is_enough(self) -> None:
        """No WATCHDOG=1 is waited for."""
        story = Story(replace(HEARTBEAT, silence_s=0.0))
        story.happen(READY)
        story.go(1000)
        assert story.signals == 0 and story.last[0] == "TASK_RUNNING"

    def test_a_message_that_comes_before_the_word_that_the_program_runs_counts(self) -> None:
        """A program in a container is quicker than the runner that says so; what an earlier start said is forgotten."""
        story = Story(HEARTBEAT)
        story.happen(READY, Died(signal="SIGKILL"), Spawned(4712), Notified(Notice(status="here")), READY, Started())
        assert story.last[0] == "TASK_RUNNING" and "here" in story.last[1]
        story.happen(Died(signal="SIGKILL"))
        story.go(2.0)
        story.happen(Spawned(4713), Started())
        assert story.last[0] == "TASK_STARTING"

    def test_a_heartbeat_does_not_make_ready(self) -> None:
        """READY=1 must come, and within the grace."""
        story = Story(HEARTBEAT)
        for _ in range(12):
            story.happen(BEAT)
            story.go(1)
        assert story.signals == 1 and "no READY=1 within 10.0 s" in story.last[1]

    def test_a_program_may_ask_for_more_time(self) -> None:
        """EXTEND_TIMEOUT_USEC: before READY=1 and later; it never shortens."""
        story = Story(HEARTBEAT)
        story.happen(Notified(Notice(extend_s=30.0)), Notified(Notice(extend_s=1.0)))
        story.go(29)
        assert story.signals == 0
        story.happen(READY)
        story.happen(Notified(Notice(extend_s=20.0)))
        story.go(19)
        assert story.signals == 0
        story.go(1)
        assert story.signals == 1 and "no WATCHDOG=1 for 20.0 s" in story.last[1]

    def test_a_program_may_change_its_own_interval(self) -> None:
        """WATCHDOG_USEC, as systemd takes it; from then on for each heartbeat."""
        story = Story(HEARTBEAT)
        story.happen(READY, Notified(Notice(watchdog_s=100.0)))
        story.go(99)
        story.happen(BEAT)
        story.go(99)
        assert story.signals == 0
        story.go(1)
        assert story.signals == 1

    def test_a_program_may_call_for_its_own_end(self) -> None:
        """WATCHDOG=trigger."""
        story = ready(HEARTBEAT)
        story.happen(Notified(Notice(trigger=True)))
        assert story.signals == 1 and "the program sent WATCHDOG=trigger" in story.last[1]

    def test_one_that_says_stopping_has_the_grace_of_a_stop_to_end(self) -> None:
        """No heartbeat is due any more."""
        story = ready(replace(HEARTBEAT, silence_s=1.5))
        story.happen(Notified(Notice(stopping=True)))
        story.go(2.9)
        assert story.signals == 0 and story.report().healthy is True
        story.go(0.2)
        assert story.signals == 1 and "it said STOPPING=1 and did not end" in story.last[1]

    def test_what_it_says_of_itself_is_in_report_and_sentence(self) -> None:
        """The latest words, in one report in 10 s; RELOADING=1 without words is said as such until READY=1."""
        story = ready(HEARTBEAT)
        before = len(story.told)
        for number in range(200):
            story.happen(Notified(Notice(watchdog=True, status=f"run {number}")))
            story.go(0.1)
        assert 2 <= len(story.told) - before <= 4
        story.go(5)
        story.happen(BEAT)
        story.go(5)
        assert story.report().says == "run 199" and story.last[1].endswith("; it says: run 199")
        story.happen(Notified(Notice(reloading=True, status="")), Notified(Notice(reloading=True)))
        assert story.health().says == "reloading"
        story.happen(READY)
        assert story.health().says == ""


class TestSnooze:
    """An operator knows better, for a while."""

    @pytest.mark.parametrize("check", ALL, ids=lambda check: check.kind)
    @pytest.mark.parametrize("name", ["", "its own"])
    def test_a_snoozed_check_is_shown_and_leads_to_nothing_until_the_end(self, check: Check, name: str) -> None:
        """It is asked on; the report says ill and snoozed; when the snooze is over, the program is ended."""
        story = ready(check)
        story.order("snooze", check.name if name else "", for_s=100.0)
        until = story.now.wall + 100
        assert story.report().snoozed == until
        assert story.last[1].endswith(f"; check {check.name} snoozed by alice until 14:03:51+01:00 (tuning)")
        story.answers[check.name] = (False, "no")
        asked = len(story.asked)
        story.go(99)
        assert story.signals == 0 and (check is HEARTBEAT or len(story.asked) > asked + 10)
        report = story.report()
        assert report.healthy is False and report.ailment and report.snoozed == until
        story.go(1.1)
        assert f"the snooze of check {check.name} is over" in story.said
        assert story.signals == 1 and story.report().snoozed == 0

    def test_a_snooze_that_ends_while_all_is_well_is_told(self) -> None:
        """The report says so by itself."""
        story = ready(HTTP)
        story.order("snooze", for_s=7.0)
        story.go(7.1)
        assert story.report().snoozed == 0 and "snoozed" not in story.last[1] and story.signals == 0

    def test_others_than_the_snoozed_one_go_on(self) -> None:
        """One check set aside does not blind the rest."""
        story = ready(HTTP, TCP)
        story.order("snooze", "http", for_s=100.0)
        story.answers = {"http": (False, "no"), "tcp": (False, "no")}
        story.go(16)
        assert story.signals == 1 and "check tcp failed" in story.last[1]

    def test_wake_ends_it_at_once(self) -> None:
        """And what the check has found by then counts."""
        story = ready(HTTP)
        story.order("snooze", for_s=1000.0)
        story.answers["http"] = (False, "no")
        story.go(20)
        assert story.signals == 0
        story.order("wake", "http")
        assert story.signals == 1 and "check http woken by alice" in story.said

    def test_a_snooze_outlives_a_run_of_the_program_and_can_be_asked_for_in_between(self) -> None:
        """In back-off, too."""
        story = Story(replace(HTTP, grace_s=0.0, failures=1))
        story.happen(Died(code=1))
        story.start()
        story.happen(Died(code=1))
        assert story.state.phase == phases.WAITING
        story.order("snooze", for_s=1000.0)
        assert story.report().activity == "backoff" and story.report().snoozed > 0
        story.go(2)
        story.start()
        assert story.report().snoozed > 0
        story.go(100)
        assert story.signals == 0 and story.report().healthy is False and story.last[0] == "TASK_STARTING"

    @pytest.mark.parametrize(
        "checks, name, for_s, words",
        [
            ((HTTP,), "htpt", 5.0, "snooze by alice: there is no check 'htpt'"),
            ((), "", 5.0, "snooze by alice: the job has no checks"),
            ((HTTP,), "", -5.0, "snooze by alice: it would have ended 5.0 s ago"),
        ],
    )
    def test_what_cannot_be_is_said(self, checks: tuple[Check, ...], name: str, for_s: float, words: str) -> None:
        """And changes nothing."""
        story = Story(*checks)
        before = story.state
        assert story.order("snooze", name, for_s) == [Say(words)]
        assert replace(story.state, orders=()) == before

    def test_the_same_operator_command_twice_changes_nothing(self) -> None:
        """Messages may be lost, so they are sent again."""
        story = ready(HTTP)
        story.order("snooze", for_s=100.0)
        before = story.state
        assert kinds(story.order("snooze", for_s=100.0)) == []
        assert replace(story.state, orders=before.orders) == before


@pytest.mark.parametrize(
    "datagram, notice",
    [
        (b"READY=1", Notice(ready=True)),
        (b"READY=1\nSTATUS=42 events/s\nMAINPID=5\n", Notice(ready=True, status="42 events/s")),
        (b"WATCHDOG=1", Notice(watchdog=True)),
        (b"WATCHDOG=trigger", Notice(trigger=True)),
        (b"WATCHDOG_USEC=2500000", Notice(watchdog_s=2.5)),
        (b"EXTEND_TIMEOUT_USEC=30000000", Notice(extend_s=30.0)),
        (b"STOPPING=1\nRELOADING=1", Notice(stopping=True, reloading=True)),
        (b"STATUS=", Notice(status="")),
        (b"STATUS=a=b", Notice(status="a=b")),
        (b"STATUS=one\nSTATUS=two", Notice(status="two")),
        (b"STATUS=\xff\x00\x1b[31m", Notice(status="\N{REPLACEMENT CHARACTER}  [31m")),
        (b"STATUS=" + b"x" * 9000, Notice(status="x" * (STATUS_LENGTH - 1) + "…")),
        (b"WATCHDOG_USEC=" + b"9" * 4000, Notice(watchdog_s=LONGEST_S)),
        # junk: nothing of it is believed
        (b"", Notice()),
        (b"\n\n=\n=1\n", Notice()),
        (b"READY", Notice()),
        (b"READY=0\nSTOPPING=yes\nWATCHDOG=2", Notice()),
        (b"ready=1\n READY=1", Notice()),
        (b"WATCHDOG_USEC=-5\nEXTEND_TIMEOUT_USEC=1e9", Notice()),
        ("WATCHDOG_USEC=\N{SUPERSCRIPT TWO}".encode(), Notice()),
        (b"\x00\xff\xfeREADY=1", Notice()),
        (b"BARRIER=1\nFDSTORE=1\nX_OURS=7", Notice()),
    ],
)
def test_a_message_means_what_sd_notify_says(datagram: bytes, notice: Notice) -> None:
    """And what is no message of the protocol means nothing."""
    assert parse(datagram) == notice


@given(st.binary(max_size=200) | st.text("=\nREADY10WATCHDOG_USEC STATUS", max_size=60).map(str.encode))
def test_no_message_breaks_the_executor(datagram: bytes) -> None:
    """Whatever bytes a program sends."""
    notice = parse(datagram)
    assert notice.watchdog_s >= 0 and len(notice.status or "") <= STATUS_LENGTH
    Story(HEARTBEAT, OUTPUT).happen(Notified(notice))


@pytest.mark.parametrize("zone", ["", " UTC", "+01:00", "-03:30"])
@pytest.mark.parametrize(
    "seconds, words",
    [(0, "14:02:11{}"), (1800, "14:32:11{}"), (36000, "00:02:11{} tomorrow"), (200000, "21:35:31{} in 2 days")],
)
def test_the_clock_after_a_while(seconds: float, words: str, zone: str) -> None:
    """For sentences only; in the zone of now."""
    assert clock_after(f"2025-11-22 14:02:11{zone}", seconds) == words.format(zone)
    assert clock_after("noon", 60) == "in 1 min"
