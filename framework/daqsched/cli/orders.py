"""What is asked of programs that run, by their executors: start now, run an action, let checks rest."""

from __future__ import annotations

import shlex
import time
from typing import TYPE_CHECKING, Any, Optional, Sequence

import click
import msgspec

from daqsched.cli.completion import names
from daqsched.cli.options import at_least, json_option, message_option
from daqsched.cli.root import connect, main
from daqsched.errors import NotRunning
from daqsched.foreign import joined, paint
from daqsched.plural import plural
from daqsched.settings import Where
from daqsched.terminal.out import colours, print_json, say
from daqsched.terminal.rejected import show_rejected

if TYPE_CHECKING:
    from daqsched.protocol import OrderAnswer

#: An order that nobody has answered is sent again: messages to executors may be lost, and count once.
AGAIN_S = 5.0


def _reached(answer: OrderAnswer, none: str) -> int:
    """How many were asked; whom it does not concern is told. Raises `NotRunning` where there is none."""
    show_rejected(answer.rejected)
    if not answer.accepted:
        raise NotRunning(none)
    return len(answer.accepted)


@main.command()
@click.argument("select", nargs=-1, required=True, shell_complete=names("selection"))
@message_option
@click.pass_obj
def retry(path: Where, select: Sequence[str], message: str) -> None:
    """Start now what backs off or waits for a path; the back-off begins anew. What runs is left alone."""
    answer = connect(path).order(select, "retry", message=message)
    count = _reached(answer, "none was asked to start")
    say(f"{count} asked to start now; `daqsched status {shlex.join(select)}` shows them.")


@main.command()
@click.argument("select", nargs=-1, required=True, shell_complete=names("selection"))
@click.option("--for", "length", required=True, help="How long: 90s, 30m, 2h, 1d.")
@click.option("--check", "check", default="", help="Only this check of the job [default: all].")
@message_option
@click.pass_obj
def snooze(path: Where, select: Sequence[str], length: str, check: str, message: str) -> None:
    """Ignore failing checks for a while: they go on and are shown, but restart nothing. The snooze ends by itself."""
    from daqsched import times

    until = time.time() + times.span(length)
    answer = connect(path).order(select, "snooze", check, until, message)
    count = _reached(answer, f"no checks are snoozed: `daqsched status {shlex.join(select)}` shows what runs")
    end = times.clock(until)
    say(f"Checks of {plural(count, 'instance')} are snoozed until {end}; `daqsched wake {shlex.join(select)}` ends it.")


@main.command()
@click.argument("select", nargs=-1, required=True, shell_complete=names("selection"))
@click.option("--check", "check", default="", help="Only this check of the job [default: all].")
@message_option
@click.pass_obj
def wake(path: Where, select: Sequence[str], check: str, message: str) -> None:
    """End a snooze."""
    answer = connect(path).order(select, "wake", check, 0.0, message)
    none = f"no snooze was ended: `daqsched status {shlex.join(select)}` shows whose checks are snoozed"
    say(f"Checks of {plural(_reached(answer, none), 'instance')} count again.")


class Acted(msgspec.Struct):
    """One job's answer to `act`, or why it could not be asked."""

    job: str
    host: str
    #: None: it did not answer in time.
    ok: Optional[bool]
    words: str
    lines: tuple[str, ...] = ()


@main.command()
@click.argument("select", nargs=-1, required=True, shell_complete=names("selection"))
@click.argument("action")
@click.option(
    "--timeout", default=120.0, callback=at_least(0), show_default=True, help="Seconds to wait for the outcomes."
)
@message_option
@json_option
@click.pass_obj
def act(path: Where, select: Sequence[str], action: str, timeout: float, message: str, as_json: bool) -> None:
    """Have ACTION, one that the job file offers, run beside each of these jobs, and show how it went.

    All that it prints is in `daqsched logs JOB --stream executor`.
    """
    client = connect(path)
    asked = client.order(select, "act", action, 0.0, message)
    found = [Acted(job, host, False, why) for job, host, why in asked.rejected]
    found += _outcomes(client, select, asked, action, message, timeout)
    if as_json:
        print_json(found)
    else:
        show_rejected(asked.rejected)
        for one in found[len(asked.rejected) :]:
            _show(one)
    failed = [one for one in found if not one.ok]
    if failed:
        raise NotRunning(f"{action} did not succeed on {len(failed)} of {len(found)}")


def _outcomes(client: Any, select: Sequence[str], asked: Any, action: str, message: str, timeout: float) -> list[Acted]:
    done: dict[tuple[str, str], Acted] = {}
    waiting = set(asked.accepted)
    began = sent = time.monotonic()
    seen = -1
    while waiting:
        for row in client.status(select).rows:
            outcome = row.report.done if row.report is not None else None
            if (row.job, row.host) in waiting and outcome is not None and outcome.id == asked.id:
                waiting.discard((row.job, row.host))
                done[row.job, row.host] = Acted(row.job, row.host, outcome.ok, outcome.words, outcome.lines)
        now = time.monotonic()
        if not waiting or now - began > timeout:
            break
        if now - sent > AGAIN_S:
            sent = now
            client.order(select, "act", action, 0.0, message, asked.id)
        seen = client.progress(select, most=0, seen=seen, wait_s=1.0).progress.version
    for job, host in waiting:
        words = f"no outcome within {timeout:g} s; it may still be running"
        done[job, host] = Acted(job, host, None, words)
    return [done[key] for key in sorted(done)]


def _show(one: Acted) -> None:
    mark, colour = ("ok  ", "32") if one.ok else ("FAIL", "31")
    head = joined(paint(mark, colour if colours() else ""), f"{one.job}@{one.host}", one.words, between="  ")
    say(head, *(f"        {line}" for line in one.lines))
