"""The crew's verbs about changes: what was applied when, how far a rollout is, which hosts are set aside."""

from __future__ import annotations

import secrets
import shlex
import sys
import time
from typing import Any, Optional, Sequence

import click

from daqsched.cli.completion import names, revision_or_file
from daqsched.cli.confirming import confirmed, stops_options
from daqsched.cli.farm import DIFFERENT
from daqsched.cli.jobfiles import is_revision, spec_of, with_part
from daqsched.cli.options import (
    at_least,
    json_option,
    look_option,
    message_option,
    part_option,
    strategy_of,
    strategy_options,
)
from daqsched.cli.root import connect, main
from daqsched.cli.waiting import PATIENCE_S, SETTLE_S, follow, follow_restart, wait_options
from daqsched.errors import UserError
from daqsched.plural import plural
from daqsched.settings import Where
from daqsched.terminal.out import canvas, capital, print_json, say


@main.command()
@click.argument("revision", type=click.IntRange(1), default=None, required=False, shell_complete=names("revision"))
@click.option("-n", "--most", default=20, callback=at_least(1), show_default=True, help="How many.")
@part_option("Only what was applied to this part of the farm; - is the one without a name.")
@json_option
@click.pass_obj
def history(path: Where, revision: Optional[int], most: int, part: Optional[str], as_json: bool) -> None:
    """Show what was applied, when, by whom and why; the newest first, or only REVISION, of which `show` has the jobs."""
    from daqsched.farm_parts import called
    from daqsched.terminal import show_changes

    client = connect(path)
    if revision is None:
        found = client.history(most, part)
    else:
        found = [one for one in client.history(1, part, revision + 1) if one.number == revision]
        if not found:
            whose = "" if part is None else f" of {called(part)}"
            raise UserError(f"there is no revision {revision}{whose}: `daqsched history` lists them")
    if as_json:
        print_json(found)
    else:
        canvas().print(show_changes.history_table(found, part))


@main.command()
@click.argument("a", metavar="A", shell_complete=revision_or_file)
@click.argument("b", metavar="[B]", default="", shell_complete=revision_or_file)
@part_option("Only this part of the farm; - is the one without a name.  [default: that of a job file]")
@json_option
@click.pass_obj
def diff(path: Where, a: str, b: str, part: Optional[str], as_json: bool) -> None:
    """Show what differs from A to B: numbers of revisions, or job files. A job file alone is compared as by `plan`, from what is
    in force to it; a revision alone, from it to what is in force.

    Ends with status 6 where there is a difference, 0 where there is none.
    """
    from daqsched import farm_parts
    from daqsched.redaction import hides, veiled
    from daqsched.terminal import show_changes
    from daqsched.views.plan import plan

    client = connect(path)
    words = (a, b or "0") if b or is_revision(a) else ("0", a)
    told = [spec_of(lambda: client, word) for word in words]
    # what one of them hides is compared by its mark, which the daemon alone can make
    if any(hides(job) for spec in told for job in (*spec.jobs, *spec.variants)):
        told = list(map(client.hidden, told))
    key = secrets.token_bytes(16)
    old, new = (veiled(spec, key) for spec in told)
    if part is not None or not all(map(is_revision, words)):
        # a job file is of a part, and of all else says nothing
        files = [spec.part for spec, word in zip((old, new), words) if not is_revision(word)]
        name = farm_parts.read(part) if part is not None else files[0]
        old, new = (with_part(spec, part) if spec.part else farm_parts.of_part(spec, name) for spec in (old, new))
        if part is not None and not (old.jobs or new.jobs):  # or a slip of the pen would be "nothing changes"
            raise UserError(
                f"{farm_parts.called(part)} has no job in either: `daqsched history` shows which parts there are"
            )
    old, new = farm_parts.as_farm(old), farm_parts.as_farm(new)
    found = plan(old, new)
    if as_json:
        print_json(found)
    else:
        canvas().print(show_changes.plan_lines(found, done=True))
    if found.changes:
        sys.exit(DIFFERENT)


@main.command()
@click.argument("revision", type=click.IntRange(1), shell_complete=names("revision"))
@part_option("Go back with this part of the farm alone; - is the one without a name.")
@click.option("--all", "everyones", is_flag=True, help="Go back with all parts of the farm.")
@message_option
@strategy_options("as the REVISION says", "as the REVISION says")
@wait_options
@look_option
@stops_options
@json_option
@click.pass_obj
def rollback(
    path: Where,
    revision: int,
    part: Optional[str],
    everyones: bool,
    message: str,
    batches: Optional[str],
    ready: Optional[float],
    pause_after: Sequence[int],
    wait: bool,
    timeout: float,
    no_look: bool,
    yes: bool,
    stops: Optional[int],
    as_json: bool,
) -> None:
    """Apply what an earlier REVISION said, as a new one.

    A farm of several parts goes back with one of them, or with all, and has to be told which.
    """
    from daqsched import farm_parts

    if everyones and part is not None:
        raise UserError("--all and --part can't be combined: choose one")
    client = connect(path)
    base = None
    if ready is not None or pause_after or batches:
        name = farm_parts.read(part) if part is not None else ""
        base = farm_parts.of_part(client.revision(revision).spec, name).rollout
    strategy = strategy_of(base, batches, ready, pause_after)
    applied = confirmed(
        lambda stops: client.rollback(revision, message, strategy, stops, part, everyones, no_look), yes, stops
    )
    follow(client, applied, (), part, wait, timeout, SETTLE_S, as_json)


@main.group(invoke_without_command=True, subcommand_metavar="[COMMAND] [ARGS]...")
@json_option
@click.pass_context
def rollout(ctx: click.Context, as_json: bool) -> None:
    """Show how far the rollout under way is, or how the last one ended."""
    if ctx.invoked_subcommand is None:
        _show_rollout(connect(ctx.obj).rollout(), as_json)


def _show_rollout(answer: Any, as_json: bool = False) -> None:
    from daqsched.terminal import show_changes

    if as_json:
        print_json(answer)
    else:
        canvas().print(show_changes.rollout_lines(answer))


@rollout.command()
@message_option
@click.pass_obj
def pause(path: Where, message: str) -> None:
    """Begin no further batch until `resume`; what has begun goes on."""
    _show_rollout(connect(path).steer("pause", message))


@rollout.command()
@message_option
@stops_options
@click.pass_obj
def resume(path: Where, message: str, yes: bool, stops: Optional[int]) -> None:
    """Go on with a paused rollout; failures are counted from 0."""
    client = connect(path)
    _show_rollout(confirmed(lambda stops: client.steer("resume", message, stops), yes, stops))


@rollout.command()
@message_option
@click.pass_obj
def abort(path: Where, message: str) -> None:
    """End it: what it has not reached stays as it is until the next apply."""
    _show_rollout(connect(path).steer("abort", message))


@rollout.command("rollback")
@message_option
@stops_options
@click.pass_obj
def roll_back(path: Where, message: str, yes: bool, stops: Optional[int]) -> None:
    """End it, and let all that it has changed go back to what ran before, batch by batch as it came."""
    from daqsched.rollout import words

    client = connect(path)
    answer = confirmed(lambda stops: client.steer("rollback", message, stops), yes, stops)
    now = answer.rollout
    ended = client.rollout(now.number - 1).rollout if now is not None and now.state != "rolled-back" else None
    if ended is not None and ended.state == "rolled-back":
        said = words(ended)
        say(f"{capital(said)}.")
    _show_rollout(answer)
    say("`daqsched rollout` shows how far it is, `daqsched history` what is in force.", err=True)


@main.command()
@click.argument("select", nargs=-1, required=True, shell_complete=names("selection"))
@message_option
@strategy_options(batches="1", ready="0")
@click.option("--wait/--no-wait", default=False, help="Wait until all have been started anew.  [default: no-wait]")
@click.option(
    "--timeout", default=PATIENCE_S, callback=at_least(0), show_default=True, help="Seconds to wait for each batch."
)
@stops_options
@json_option
@click.pass_obj
def restart(
    path: Where,
    select: Sequence[str],
    message: str,
    batches: Optional[str],
    ready: Optional[float],
    pause_after: Sequence[int],
    wait: bool,
    timeout: float,
    yes: bool,
    stops: Optional[int],
    as_json: bool,
) -> None:
    """Start jobs anew, host by host, each when the one before is ready; `daqsched rollout` shows how far it is.

    With --wait it ends with status 4 where the restart is paused, was aborted, or not all runs in time.
    """
    from daqsched.rollout import ONE_BY_ONE
    from daqsched.terminal.rejected import show_rejected

    strategy = strategy_of(ONE_BY_ONE, batches, ready, pause_after) or ONE_BY_ONE
    client = connect(path)
    answer = confirmed(lambda stops: client.restart(select, message, strategy, stops), yes, stops)
    show_rejected(answer.rejected)
    if not wait or not as_json:
        _show_rollout(answer, as_json)
    if wait:
        follow_restart(client, answer.rollout, select, timeout, as_json)


@main.command()
@click.argument("hosts", nargs=-1, metavar="[HOST...]", shell_complete=names("host"))
@click.option("--for", "length", default="", help="How long: 90s, 30m, 2h, 1d. Then they come back by themselves.")
@click.option("--all", "everyones", is_flag=True, help="Also those that others have set aside: they are yours then.")
@message_option
@stops_options
@json_option
@click.pass_obj
def aside(
    path: Where,
    hosts: Sequence[str],
    length: str,
    everyones: bool,
    message: str,
    yes: bool,
    stops: Optional[int],
    as_json: bool,
) -> None:
    """Set HOSTs aside: their jobs end in order and stay away for a time. Without HOSTs: show which are.

    HOST may be a range: hlt[01-10]. The forwarder of lines stays. `daqsched return HOST` gives a host back before.
    """
    from daqsched.errors import UserError
    from daqsched.terminal import show_changes
    from daqsched.times import span

    client = connect(path)
    if hosts and not length:
        raise UserError("say for how long: --for 2h")
    if not hosts and (length or message or everyones):
        raise UserError("name the hosts that are to be set aside")
    if hosts:
        until = time.time() + span(length)
        answer = confirmed(lambda stops: client.aside(hosts, until, message, stops, everyones), yes, stops)
    else:
        answer = client.leases()
    if as_json:
        print_json(answer)
    else:
        canvas().print(show_changes.leases_lines(answer))


@main.command()
@click.argument("host", shell_complete=names("host"))
@click.argument("agent", default="")
@message_option
@stops_options
@click.pass_obj
def replace(path: Where, host: str, agent: str, message: str, yes: bool, stops: Optional[int]) -> None:
    """Say that another agent which calls itself HOST is the right one: what runs on the first ends, and starts there.

    For a machine with an old one's name: nothing is given to it while the first may still live. AGENT is its id or
    address:port, as `daqsched why` tells them, where there are several others, or somebody has said before which it is;
    naming the first says that it stays.
    """
    client = connect(path)
    answer = confirmed(lambda stops: client.replace(host, agent, message, stops), yes, stops)
    host = host.lstrip("@")
    if answer.agent == answer.agent_before:
        which = f"{host} is {answer.agent}, as before" if answer.agent else "Done"
    else:
        which = f"{host} is {answer.agent} now, and was {answer.agent_before}"
    say(
        f"{which}; {plural(answer.count, 'program', 'moves', 'move')}. `daqsched status @{host}` shows what runs there."
    )


@main.command("return")
@click.argument("hosts", nargs=-1, required=True, metavar="HOST...", shell_complete=names("aside"))
@click.option("--all", "everyones", is_flag=True, help="Also those that others have set aside.")
@stops_options
@click.pass_obj
def give_back(path: Where, hosts: Sequence[str], everyones: bool, yes: bool, stops: Optional[int]) -> None:
    """Give HOSTs back that were set aside: their jobs start again."""
    client = connect(path)
    confirmed(lambda stops: client.give_back(hosts, stops, everyones), yes, stops)
    say(f"Given back; `daqsched status {shlex.join('@' + host.lstrip('@') for host in hosts)}` shows what runs there.")
