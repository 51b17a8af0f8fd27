"""A survey: whether jobs could start on this host, asked before anything is changed (``daqsched preflight``).

Each probe is looked at by a child that does all that a start does, but for exec, so that it says what a start would
say. A few look at a time: where one path of a mount hangs, its neighbours will, and all of it has to end in a time
that somebody waits for. Each function is one step of `lifecycle`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from daqsched_executor.contract import Findings, Payload, duration
from daqsched_executor.life import words
from daqsched_executor.life.commands import Command, LeaveLook, Look, Say, Tell
from daqsched_executor.life.events import (
    TASK_FINISHED,
    TASK_KILLED,
    Event,
    LookEnded,
    LookReached,
    Moment,
    StopAsked,
    SurveyAsked,
)
from daqsched_executor.life.state import ENDED, LOOKING, Course, State, leave_at, nothing_runs

#: So many look at a time, and so long the whole may take; with probes of 5 s, 40 that hang are told of one by one.
AT_ONCE, WHOLE_S = 8, 30.0
#: A sentence that is longer is cut: a report has to get through the agent and the master.
SENTENCE = 500


def step(state: State, event: Event, now: Moment) -> tuple[State, list[Command]]:
    """What is so after ``event``, and what is to be done."""
    if isinstance(event, SurveyAsked):
        return _go_on(state, Course(event.survey, now.mono + WHOLE_S), now)
    course = state.course
    assert course is not None, "a survey was asked for"
    if isinstance(event, StopAsked):
        course, left = _give_up(course, f"not looked at: stopped by {event.why}")
        ended, told = _end(state, course, TASK_KILLED, now)
        return ended, left + told
    if isinstance(event, LookReached):
        if event.look in course.running:
            limit = now.mono + course.survey.probes[event.look].timeout_s
            at = (event.path, limit if not event.account else max(limit, course.until))
            course = replace(course, running={**course.running, event.look: at})
        return _go_on(state, course, now)
    if isinstance(event, LookEnded):
        if event.look in course.running:
            course = _found(course, event.look, event.problem)
        return _go_on(state, course, now)
    return _time_passed(state, course, now)


def _time_passed(state: State, course: Course, now: Moment) -> tuple[State, list[Command]]:
    commands: list[Command] = []
    for look, (path, deadline) in course.running.items():
        if now.mono >= deadline:
            account = path.startswith("the account ")
            problem = words.not_looked_up(path, WHOLE_S) if account else words.no_answer(path, payload_of(course, look))
            course = _found(course, look, problem)
            commands.append(LeaveLook(look))
    if now.mono >= course.until:
        others = f"not looked at within {duration(WHOLE_S)}, because too many others hang"
        course, left = _give_up(course, others)
        commands += left
    state, more = _go_on(state, course, now)
    return state, commands + more


def _go_on(state: State, course: Course, now: Moment) -> tuple[State, list[Command]]:
    """Begin what may begin; end where nothing is left to be looked at."""
    begun: list[Command] = []
    probes = course.survey.probes
    while course.begun < len(probes) and len(course.running) < AT_ONCE:
        look = course.begun
        at = ("", now.mono + probes[look].timeout_s)
        course = replace(course, begun=look + 1, running={**course.running, look: at})
        begun.append(Look(look, payload_of(course, look)))
    if not course.running:
        return _end(state, course, TASK_FINISHED, now)
    due = min(course.until, *(deadline for _, deadline in course.running.values()))
    return replace(state, phase=LOOKING, course=course, deadline=due), begun


def _found(course: Course, look: int, problem: str) -> Course:
    running = {other: at for other, at in course.running.items() if other != look}
    found = {**course.found, course.survey.probes[look].name: problem[:SENTENCE]}
    return replace(course, running=running, found=found)


def _give_up(course: Course, why: str) -> tuple[Course, list[Command]]:
    """All that is not known by now becomes ``why``."""
    left: list[Command] = [LeaveLook(look) for look in course.running]
    found = {probe.name: course.found.get(probe.name, why) for probe in course.survey.probes}
    return replace(course, begun=len(course.survey.probes), running={}, found=found), left


def _end(state: State, course: Course, task_state: str, now: Moment) -> tuple[State, list[Command]]:
    state = replace(nothing_runs(state, ENDED), course=None, deadline=leave_at(state, now))
    message = summary(course.found)
    return state, [Tell(task_state, Findings(course.found), message, final=True), Say(f"{task_state}: {message}")]


def summary(found: Mapping[str, str]) -> str:
    """The last report's sentence: ``survey: 3 of 4 could start; readout release-09: /cvmfs/... is missing``."""
    bad = [f"{name}: {problem}" for name, problem in found.items() if problem]
    return "; ".join([f"survey: {len(found) - len(bad)} of {len(found)} could start", *bad[:3]])


def payload_of(course: Course, look: int) -> Payload:
    """The probe as a job that is never started: so one code looks at both."""
    probe = course.survey.probes[look]
    return Payload(
        task_id=course.survey.task_id,
        job="preflight",
        host=course.survey.host,
        argv=(probe.program,),
        env=probe.env,
        cwd=probe.cwd,
        user=probe.user,
        limits=probe.limits,
        needs=probe.needs,
        libraries=probe.libraries,
        new_privileges=probe.new_privileges,
        probe_timeout_s=probe.timeout_s,
    )
