"""Waiting until what was asked for runs: an apply, a rollback, a rolling restart. What is missing then is said."""

from __future__ import annotations

import sys
import time
from typing import Any, Optional, Sequence

import click

from daqsched.cli.options import Command, at_least
from daqsched.errors import NotRunning, ReplacedByAnother
from daqsched.terminal.out import canvas, capital, print_json, say
from daqsched_executor.contract import duration

#: Seconds after which `apply` says what is missing and ends; the farm goes on trying.
PATIENCE_S = 300.0

#: How long everything must have been running before `apply` believes it: a program that dies at once is not running.
SETTLE_S = 1.0

#: How long it does not look again after a look, for each instance that there is, and at most: a look costs the daemon as much as
#: there are, and while much starts something changes at any moment.
PAUSE_EACH_S, PAUSE_MOST_S = 0.001, 1.0

#: How long a job may wait for the first word of a machine, where nothing else is waited for: one that is up says so within this.
NO_MACHINE_S = 5.0

#: So many instances that are not as desired are looked at for whether all of them wait for machines.
MOST_ABSENT = 1000

#: How a rollout stands of which nothing more comes by itself.
STOPPED = ("paused", "aborted", "rolled-back")


def wait_options(command: Command) -> Command:
    """Whether `follow` waits, and how long."""
    command = click.option(
        "--timeout", default=PATIENCE_S, callback=at_least(0), show_default=True, help="Seconds to wait."
    )(command)
    return click.option("--wait/--no-wait", default=True, help="Wait until all is running.  [default: wait]")(command)


def follow(
    client: Any,
    applied: Any,
    only: Sequence[str],
    part: Optional[str],
    wait: bool,
    timeout: float,
    settle: float,
    as_json: bool,
) -> None:
    """Tell what an apply to a ``part`` did, and wait until it is done; raises `NotRunning` where that does not come about, and
    `ReplacedByAnother` where somebody else's apply did."""
    from daqsched.rollout import words
    from daqsched.terminal import show_changes

    began = time.time()
    say(*applied.doubts, err=True)
    if not as_json:
        console = canvas()
        console.print(
            show_changes.plan_lines(applied.plan, done=True, counts=show_changes.verdict_line(applied)),
        )
        console.print(f"Revision {applied.revision} ({applied.digest or applied.plan.digest}) is in force.")
    numbers = applied.rollout, applied.revision
    answer = _wait_for(client, began, timeout, settle, only, part, numbers, as_json) if wait else None
    outcome = answer.progress if answer else None
    if as_json:
        print_json({"applied": applied, "progress": outcome})
    rollout = client.rollout(applied.rollout).rollout if applied.rollout and outcome is not None else None
    if rollout is not None and (rollout.number != applied.rollout or rollout.state not in STOPPED):
        rollout = None
    if answer is not None and answer.superseded and (rollout is None or rollout.state != "rolled-back"):
        raise ReplacedByAnother(
            f"revision {applied.revision} is not in force any more: {answer.superseded}; `daqsched history` shows both"
        )
    if rollout is not None:
        _end_as_asked(rollout)
        raise NotRunning(words(rollout) + _way_back(client, rollout))
    _raise_incomplete(client, applied.rollout, answer, timeout)


def _end_as_asked(rollout: Any) -> None:
    """Where it is paused as somebody asked for, that is no error; not everything runs all the same."""
    from daqsched.rollout import words

    if rollout.state == "paused" and rollout.as_asked:
        said = words(rollout)
        say(f"{capital(said)}.", err=True)
        sys.exit(NotRunning.exit_code)


def _way_back(client: Any, rollout: Any) -> str:
    """Of a rollout that goes back: how far that is, and what to do; empty: it does not."""
    from daqsched.rollout import words

    if rollout.state != "rolled-back":
        return ""
    now = client.rollout().rollout
    back = now if now is not None and now.number == rollout.number + 1 else None
    if back is None:
        return "; `daqsched status` shows whether all is back"
    if back.over:
        return f"; {words(back)}: `daqsched why` tells of what is not as it was" if back.unreached else "; that is done"
    return f"; {words(back)}, `daqsched rollout` shows it"


def _raise_incomplete(client: Any, number: int, answer: Any, timeout: float) -> None:
    """Raise `NotRunning` where the last `ProgressAnswer` of a wait, for that rollout if any, says that not all runs."""
    from daqsched.rollout import words
    from daqsched.terminal import show

    outcome = answer.progress if answer else None
    if outcome is None or outcome.complete:
        return
    rollout = client.rollout(number).rollout if number else None
    away = rollout.unreached if rollout is not None and rollout.number == number else ()
    if absent(answer, away, True):
        ended = f"{words(rollout)}; " if rollout is not None and away else ""
        unplaced = [f"{row.job}: {row.reason}" for row in outcome.lagging if not row.host]
        raise NotRunning(
            f"not everything is running: {ended}{''.join(f'{one}; ' for one in unplaced)}{show.state_counts(outcome.states)}"
        )
    if outcome.given_up:
        raise NotRunning(
            f"not everything is running: {show.state_counts(outcome.states)}. What has FAILED is given up, and "
            "what comes after it, or after what is stopped, is blocked: "
            "`daqsched why` gives the reasons, and what tries again"
        )
    raise NotRunning(
        f"not everything is running after {timeout:g} s: {show.state_counts(outcome.states)}{_no_master(answer)}. "
        "The farm goes on trying; `daqsched status` and `daqsched why` show it"
    )


def follow_restart(client: Any, rollout: Any, select: Sequence[str], timeout: float, as_json: bool) -> None:
    """Wait until a restart that has begun is through and what it restarted runs; raises `NotRunning` where that does not come
    about, and `ReplacedByAnother` where somebody else's rollout took its place."""
    from daqsched.rollout import words

    number = rollout.number
    answer = _wait_for(client, time.time(), timeout, SETTLE_S, select, None, (number, 0), as_json)
    found = client.rollout(number)
    if as_json:
        print_json(found)
    if found.rollout is None or found.rollout.number != number:
        raise ReplacedByAnother(f"rollout {number} is not the last one any more: `daqsched rollout` shows that")
    _end_as_asked(found.rollout)
    if found.rollout.state in STOPPED:
        raise NotRunning(words(found.rollout))
    _raise_incomplete(client, number, answer, timeout)


def _wait_for(
    client: Any,
    began: float,
    timeout: float,
    settle: float,
    only: Sequence[str],
    part: Optional[str],
    numbers: tuple[int, int],
    quiet: bool,
) -> Any:
    """Follow until all has been as desired for ``settle`` seconds, its rollout has stopped, another apply took its place, or the
    time is over, which begins anew with each batch; returns the last `ProgressAnswer`. ``numbers``: the
    rollout's and the revision's, 0 where there is none."""
    from rich.live import Live

    from daqsched.rollout import words
    from daqsched.terminal import show

    live = Live(console=canvas(), refresh_per_second=8, transient=True) if sys.stdout.isatty() and not quiet else None
    said: Sequence[str] = ()
    complete_since: Optional[float] = None
    rollout, revision = numbers
    answer = client.progress(only, revision=revision, part=part)
    patience, batch = began, -1
    try:
        if live:
            live.start()
        while True:
            now = time.time()
            going = client.rollout(rollout).rollout if rollout else None
            under_way = going is not None and going.number == rollout and not going.over
            complete = (answer.progress.complete or answer.progress.given_up) and not under_way
            complete_since = (complete_since or now) if complete else None
            if complete_since is not None and now - complete_since >= settle:
                break
            if going is not None and going.number == rollout:
                if going.state in STOPPED:
                    answer = client.progress(only, revision=revision, part=part)
                    break
                if going.at != batch:
                    patience, batch = now, going.at
                    if not quiet and not live:
                        say(words(going))
            if now - patience > timeout or answer.superseded:
                break
            if not under_way and answer.connected and not complete:
                away = going.unreached if going is not None and going.number == rollout else ()
                found = absent(answer, away, now - began > NO_MACHINE_S) and client.progress(
                    only, most=MOST_ABSENT, revision=revision, part=part
                )
                if found and absent(found, away, True, MOST_ABSENT):
                    break
            if live:
                live.update(show.progress_view(answer, began, rollout=going))
            elif not quiet:
                lines = [show.state_counts(answer.progress.states) + _no_master(answer)]
                if lines != said:
                    said = lines
                    say(lines[0])
            left = settle - (now - complete_since) if complete_since is not None else 0.5
            wait_s = max(0.01, min(0.5, left))
            if complete_since is None:
                time.sleep(min(PAUSE_MOST_S, PAUSE_EACH_S * sum(answer.progress.states.values())))
            answer = client.progress(only, seen=answer.progress.version, wait_s=wait_s, revision=revision, part=part)
    except KeyboardInterrupt:
        if live:
            live.stop()
        say("Not waiting any more; the farm goes on. `daqsched status` shows how far it is.", err=True)
        sys.exit(130)
    finally:
        if live:
            live.stop()
    if not quiet:
        console = canvas()
        total = sum(answer.progress.states.values())
        if answer.superseded:
            pass  # of what is in force now, whoever waits for it is told
        elif answer.progress.complete:
            took = max(0.0, (complete_since or time.time()) - began)
            left_alone = {state: answer.progress.states.get(state, 0) for state in ("ASIDE", "STOPPED")}
            total -= sum(left_alone.values())
            besides = "".join(f", {count} {state}" for state, count in left_alone.items() if count)
            besides += " until `daqsched start`" if left_alone["STOPPED"] else ""
            console.print(f"All {total} running after {duration(took)}{besides}.", style="green")
        else:
            console.print(show.lagging_table(answer.progress.lagging))
    return answer


def absent(answer: Any, away: Sequence[str], unplaced: bool, most: int = 0) -> bool:
    """Whether all that is not as desired, of so much as there is in the answer, waits for machines that nobody hears of: those that
    the rollout could not reach, and with ``unplaced`` those of jobs by attributes. ``most``: of all, where there are fewer."""
    rows = answer.progress.lagging
    waits = [
        row.state in ("UNREACHABLE", "UNKNOWN", "WAITING") and (row.host in away or (unplaced and not row.host))
        for row in rows
    ]
    over = [one or row.state == "FAILED" or row.blocked for one, row in zip(waits, rows)]
    return any(waits) and all(over) and (not most or len(rows) < most)


def _no_master(answer: Any) -> str:
    """What else there is to say of a farm that waits."""
    return "" if answer.connected else f"; no connection to the master {answer.master}".rstrip()
