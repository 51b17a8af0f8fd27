"""`daqsched why` and `daqsched incidents`: why something is not as desired, and what dies alike."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Sequence

import click

from daqsched.cli.completion import names
from daqsched.cli.options import at_least, json_option
from daqsched.cli.root import connect, main
from daqsched.errors import NotRunning, UserError
from daqsched.settings import Where
from daqsched.terminal.out import canvas, print_json
from daqsched.terminal.unmatched import no_match, say_unmatched

if TYPE_CHECKING:
    from daqsched.engine.incidents import Incident

#: So many instances are looked at for what is alike.
MOST_ALIKE = 1000
#: Of so many a story is told where nobody says of how many.
MOST = 20


@main.command()
@click.argument("select", nargs=-1, metavar="[JOB|HOST|SELECT...]", shell_complete=names("place"))
@click.option(
    "-n", "--most", default=20, callback=at_least(0), show_default=True, help="How many to tell of, the worst first."
)
@json_option
@click.pass_obj
def why(path: Where, select: Sequence[str], most: int, as_json: bool) -> None:
    """Tell why things are not as desired, with the evidence; all that are not, or only some. What runs, and ended within the
    last ten minutes, is told of below them.

    Ends with status 4 where something is not as desired, or where nobody can know: no master, or a state that can't be saved. 0
    where all is well.
    """
    from daqsched.terminal import show_changes

    # those that are alike are told of as one
    answer = connect(path).why(select, most if as_json else max(most, MOST_ALIKE))
    if select and not answer.chosen:
        raise UserError(no_match(select, answer.hint))
    say_unmatched(answer)
    if as_json:
        print_json(answer)
    else:
        canvas().print(show_changes.why_lines(answer, most))
    if not answer.connected or answer.read_only or any(one.state not in ("STOPPED", "ASIDE") for one in answer.stories):
        sys.exit(NotRunning.exit_code)


@main.command()
@click.argument("select", nargs=-1, metavar="[JOB|HOST|SELECT...]", shell_complete=names("place"))
@click.option(
    "-n", "--most", default=MOST, callback=at_least(0), show_default=True, help="How many to tell of, the latest first."
)
@json_option
@click.pass_obj
def story(path: Where, select: Sequence[str], most: int, as_json: bool) -> None:
    """Tell what became of instances that are or were not as desired: each change of state, when, and what or who did it.

    As far back as this daemon remembers: up to 30 changes each of the 2,000 that changed last. `daqsched status --at` knows
    longer.
    """
    tell_stories(path, select, most, as_json)


def tell_stories(path: Where, select: Sequence[str], most: int, as_json: bool) -> None:
    """Of these, the latest ``most`` first; raises `UserError` where nothing is meant."""
    from daqsched.terminal import show_changes

    answer = connect(path).stories(select, most)
    if select and len(answer.unmatched) == len(set(select)):
        raise UserError(no_match(select, answer.hint))
    say_unmatched(answer)
    if as_json:
        print_json(answer)
    else:
        canvas().print(show_changes.story_lines(answer.stories))


@main.command()
@click.argument("select", nargs=-1, metavar="[JOB|HOST|SELECT...]", shell_complete=names("place"))
@json_option
@click.pass_obj
def incidents(path: Where, select: Sequence[str], as_json: bool) -> None:
    """Show deaths that are alike as one: how, how often, on which hosts, since when, after which change; all, or those that
    some of these had."""
    from daqsched.terminal import show_changes

    client = connect(path)
    answer = client.incidents()
    if select:
        answer.incidents = [one for one in answer.incidents if _is_of(one, select)]
    if select and not answer.incidents:
        there = client.why(select, 0)
        if not there.chosen:
            raise UserError(no_match(select, there.hint))
    if as_json:
        print_json(answer)
    else:
        canvas().print(show_changes.incidents_table(answer, select))


def _is_of(incident: Incident, select: Sequence[str]) -> bool:
    """Whether any of its jobs and hosts is meant; a word without @ is a job's or a host's."""
    from daqsched.select import selection

    fits = selection([*select, *(f"@{word}" for word in select if "@" not in word)])
    return any(fits(job, host) for job in incident.jobs for host in incident.hosts)
