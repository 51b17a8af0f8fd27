"""`daqsched note`: the crew's logbook."""

from __future__ import annotations

from typing import Optional

import click

from daqsched.cli.options import at_least, json_option
from daqsched.cli.root import connect, main
from daqsched.foreign import check_message
from daqsched.settings import Where
from daqsched.terminal.out import canvas, print_json, say
from daqsched.times import clock


@main.command()
@click.argument("text", nargs=-1, callback=lambda ctx, option, value: check_message(" ".join(value)) if value else None)
@click.option("-n", "--most", default=20, callback=at_least(0), show_default=True, help="How many to show.")
@json_option
@click.pass_obj
def note(path: Where, text: Optional[str], most: int, as_json: bool) -> None:
    """Write TEXT into the logbook, for whoever looks at the farm next. Without TEXT: show it, the newest first.

    `daqsched history` has it between revisions, `daqsched logs` among the lines of jobs.
    """
    from daqsched.terminal import show_changes

    client = connect(path)
    answer = client.notes(most) if text is None else client.note(text)
    if as_json:
        print_json(answer)
    elif text is not None:
        say(*(f"Noted as {one.number}, {clock(one.time)}; `daqsched history` shows it." for one in answer.notes))
    else:
        canvas().print(show_changes.notes_table(answer.notes))
