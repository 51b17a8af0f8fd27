"""Every state that an instance can be in, and everything that can happen to it: docs/reference/states.md is this test's table.

    python tests/unit/test_states.py > docs/reference/states.md

makes it anew; whoever changes a cell has to mean it.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any, Callable, get_args

import pytest

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from builders import World, job, rows
from daqsched.engine import events
from daqsched.engine.changes import GONE, TRANSITIONS
from daqsched.rollout import AT_ONCE, Strategy
from daqsched.spec import JobSpec
from daqsched.states import Shown
from daqsched_executor.contract import OperatorCommand, Report, Restart
from daqsched_executor.life import lifecycle
from daqsched_executor.life.state import MOVES

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "reference" / "states.md"

KEY = ("readout", "hlt01")

#: Two hosts, so that a rollout has a second batch, which hlt01 is in: `first` is on hlt00 and others come after it.
HOSTS = ("hlt00", "hlt01")


def jobs(release: str = "r1", **fields: Any) -> tuple[JobSpec, ...]:
    return (job("first", "hlt00"), job(hosts="hlt[00-01]", release=release, **fields))


def applied(**fields: Any) -> World:
    world = World(HOSTS)
    world.register()
    world.apply(*jobs(**fields))
    return world


def launched(**fields: Any) -> World:
    world = applied(**fields)
    world.offers()
    return world


def running(**fields: Any) -> World:
    world = launched(**fields)
    for task in sorted(world.tasks):
        world.report(task)
    return world


def task(world: World) -> str:
    """The instance's task, or one that it had."""
    return next((one for one in sorted(world.payloads) if one.startswith("readout@hlt01.")), "readout@hlt01.none")


def present(world: World) -> str:
    found = [one for one in world.tasks if one.startswith("readout@hlt01.")]
    return found[0] if found else task(world)


def says(state: str, report: Report | None = None) -> Callable[[World], None]:
    def say(world: World) -> None:
        more = {"data": report.to_json(), "by_executor": True} if report is not None else {}
        world.report(present(world), state, **more)

    return say


def then(
    *steps: Callable[[World], object], begin: Callable[..., World] = running, **fields: Any
) -> Callable[[], World]:
    def make() -> World:
        world = begin(**fields)
        for step in steps:
            step(world)
        return world

    return make


def stop(world: World) -> None:
    world.say(events.Held((KEY,), "eve"))


def hold(world: World) -> None:
    world.say(events.Held((KEY,), "eve", spares=True))


def aside(world: World) -> None:
    world.say(events.PutAside(("hlt01",), "eve", world.now + 3600.0))


def borrow(world: World) -> None:
    world.say(events.Borrowed(*KEY, "eve"))


def change(world: World) -> None:
    world.apply(*jobs("r2"), strategy=AT_ONCE)


def roll(world: World) -> None:
    """hlt00 changes first."""
    world.apply(*jobs("r2"), strategy=Strategy(batches=(1,)))


def fail_twice(world: World) -> None:
    for _ in range(2):
        says("TASK_FAILED")(world)
        world.offers()


#: How it comes into each state.
STATES: dict[str, Callable[[], World]] = {
    "not desired": lambda: World(HOSTS),
    "WAITING for an offer": then(begin=applied),
    "WAITING for a job": then(begin=applied, after=("first",)),
    "launching": then(begin=launched),
    "STARTING": then(says("TASK_STARTING"), begin=launched),
    "RUNNING": then(),
    "UNHEALTHY": then(says("TASK_RUNNING", Report("running", pid=1, healthy=False, ailment="no answer"))),
    "BACKOFF in place": then(says("TASK_STARTING", Report("backoff", restarts=1, until=2000.0))),
    "BACKOFF of ours": then(fail_twice),
    "FAILED": then(says("TASK_FAILED"), restart=Restart("never")),
    "FINISHED": then(says("TASK_FINISHED")),
    "held": then(hold),
    "STOPPING": then(stop),
    "STOPPED": then(stop, says("TASK_KILLED")),
    "making way": then(change),
    "going": then(lambda world: world.apply()),
    "UNREACHABLE": then(says("TASK_UNREACHABLE")),
    "UNKNOWN": then(says("TASK_UNKNOWN")),
    "behind": then(roll),
    "going ASIDE": then(aside),
    "ASIDE": then(aside, says("TASK_KILLED")),
    "by hand": then(aside, says("TASK_KILLED"), borrow, lambda world: world.offers(), says("TASK_RUNNING")),
    "left out": then(
        lambda world: world.apply(*jobs(), only=("@hlt00",)), begin=lambda: (made := World(HOSTS), made.register())[0]
    ),
}


def dies(world: World) -> None:
    world.restart()
    world.register()


def again(world: World) -> None:
    world.say(events.Disconnected())
    world.register()


def refused(world: World) -> None:
    world.say(events.LaunchRefused((present(world),), "not connected"))
    world.tasks.pop(present(world), None)


def long_after(world: World) -> None:
    world.now += 700.0
    world.say(events.Ticked())


#: What can happen.
HAPPENS: dict[str, Callable[[World], object]] = {
    "offers": lambda world: world.offers(),
    "STARTING": says("TASK_STARTING"),
    "RUNNING": says("TASK_RUNNING"),
    "FINISHED": says("TASK_FINISHED"),
    "FAILED": says("TASK_FAILED"),
    "KILLED": says("TASK_KILLED"),
    "UNREACHABLE": says("TASK_UNREACHABLE"),
    "UNKNOWN": says("TASK_UNKNOWN"),
    "GONE": says("TASK_GONE"),
    "launch refused": refused,
    "apply the same": lambda world: world.apply(*jobs(), strategy=AT_ONCE),
    "apply a change": change,
    "roll a change": roll,
    "apply without": lambda world: world.apply(job("first", "hlt00")),
    "stop": stop,
    "hold": hold,
    "start": lambda world: world.say(events.Released((KEY,), "eve")),
    "retry": lambda world: world.say(events.OperatorCommanded((KEY,), OperatorCommand("1", "retry", "eve"))),
    "restart": lambda world: world.say(events.RestartAsked((KEY,), "eve")),
    "aside": aside,
    "return": lambda world: world.say(events.Returned(("hlt01",), "eve")),
    "borrow": borrow,
    "borrow ends": lambda world: world.say(events.BorrowEnded(*KEY, "eve")),
    "abort": lambda world: world.say(events.RolloutSteered("abort", "eve")),
    "roll back": lambda world: world.say(events.RolloutSteered("rollback", "eve")),
    "master back": again,
    "daemon dies": dies,
    "700 s pass": long_after,
}


def shown(world: World) -> str:
    """The state as `status` has it; ``*``: it has the job of an older revision; ``-``: it is not there."""
    found = list(rows(world.engine, lambda name, host: (name, host) == KEY, world.now))
    return f"{found[0].state}{'*' if found[0].behind else ''}" if found else "-"


def outcome(state: str, happens: str) -> str:
    """What becomes of it; the world checks its rules at every step."""
    world = STATES[state]()
    if world.engine.connected is False:
        world.register()
    world.wait(1.0)
    before = shown(world)
    if happens in ("STARTING", "RUNNING", "FINISHED", "FAILED", "KILLED", "UNREACHABLE", "UNKNOWN", "GONE"):
        if present(world) == "readout@hlt01.none":
            return "."
    HAPPENS[happens](world)
    after = shown(world)
    return "." if after == before else after


def page() -> str:
    """The documentation's page."""
    lines = [
        "# States and events",
        "",
        "Every state that a job on a host can be in, and what `status` shows after everything that can happen to it; `.` where",
        "that is what it was before, `-` where it is not there any more, `*` where it has the job of an older revision. Made, and",
        "checked in every cell, by `tests/unit/test_states.py`; at each step the rules of its world hold: nothing runs twice,",
        "nothing is forgotten, all was saved before it was done, and a daemon that dies there goes on.",
        "",
    ]
    lines += ["| | " + " | ".join(STATES) + " |", "| --- " * (len(STATES) + 1) + "|"]
    for happens in HAPPENS:
        lines.append(f"| {happens} | " + " | ".join(outcome(state, happens) for state in STATES) + " |")
    lines += [
        "",
        "## From state to state",
        "",
        "What an instance can come into in one step of the engine; `-`: it is not there. Any other move would be a bug of",
        "ours: it is in the daemon's log with the instance's story, the farm runs on, and in tests it is an error",
        "(`test_changes.py`).",
        "",
        "| from | to |",
        "| --- | --- |",
    ]
    order = [GONE, *get_args(Shown)]
    for before in order:
        lines.append(
            f"| {before or '-'} | {', '.join(after or '-' for after in order if after in TRANSITIONS[before])} |"
        )
    lines += [
        "",
        "## The executor's phases",
        "",
        "What an executor's phase can come into (`life/state.py` says what is alive in each). Any other move would be a bug of",
        "ours, after which nobody knows what runs: it is said in executor.log with the moves before, the program is ended by its",
        "rules, and the job is started anew (`test_lifecycle.py`).",
        "",
        "| from | to |",
        "| --- | --- |",
        *(f"| {before} | {', '.join(phases) or 'none: it leaves'} |" for before, phases in MOVES.items()),
    ]
    return "\n".join(lines) + "\n"


def table() -> dict[tuple[str, str], str]:
    """(state, what happens) -> cell, out of the page."""
    found = [
        line.strip("| \n").split(" | ")
        for line in PAGE.read_text(encoding="utf-8").splitlines()
        if line.startswith("|") and len(line.split(" | ")) > 3
    ]
    return {(state, row[0]): cell for row in found[2:] for state, cell in zip(STATES, row[1:])}


@pytest.mark.parametrize("happens", HAPPENS)
def test_every_state_and_event_is_as_the_documentation_says(happens: str) -> None:
    """No pair is left out."""
    known = table()
    assert {state: outcome(state, happens) for state in STATES} == {state: known[state, happens] for state in STATES}


def test_the_table_of_moves_is_that_of_the_documentation() -> None:
    """The page is made of the code."""
    head = "## From state to state"
    assert page().partition(head)[2] == PAGE.read_text(encoding="utf-8").partition(head)[2]


def test_the_executor_s_page_has_every_phase_and_what_leads_on_in_it() -> None:
    """Each phase has its row; each event that it names is taken there, and a stop is everywhere."""
    text = (PAGE.parent.parent / "design" / "executor.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\w+) \| .* \| (.*) \|$", text.partition("| what is alive in it |")[2], re.MULTILINE)
    assert [phase for phase, _ in rows] == list(MOVES)
    taken = {(phase, event.__name__) for phase, event in lifecycle._STEPS}
    assert {(phase, event) for phase, events in rows for event in re.findall(r"`(\w+)`", events)} <= taken
    assert all(re.search(r"`\w+`", events) for _, events in rows)
    assert {(phase, "StopAsked") for phase in MOVES} <= taken


if __name__ == "__main__":
    sys.stdout.write(page())
