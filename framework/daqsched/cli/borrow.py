"""`daqsched borrow`: one job by hand on a host that is set aside, its output in this terminal and in the logs."""

from __future__ import annotations

import shlex
import sys
import time
from typing import Any, Optional, Sequence

import click

from daqsched.cli.completion import names
from daqsched.cli.root import connect, main
from daqsched.errors import NotRunning, Refused, Unreachable, UserError
from daqsched.foreign import Printing
from daqsched.settings import Where
from daqsched.terminal.out import say, show

#: How often its output is looked at.
LOOK_S = 0.3

#: How long it may take to begin before people are told why it does not.
BEGIN_S = 30.0


@main.command(context_settings={"ignore_unknown_options": True})
@click.argument("host", shell_complete=names("aside"))
@click.argument("job", shell_complete=names("selection"))
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="[COMMAND...]")
@click.option("--raw", is_flag=True, help="Show what it prints as it is, also what moves the cursor or recolours.")
@click.pass_obj
def borrow(path: Where, host: str, job: str, command: Sequence[str], raw: bool) -> None:
    """Run JOB by hand on HOST, which is set aside; its output is shown here, and goes into the logs as always.

    With the environment, account, limits and resources of the job; COMMAND is run in the place of the job's own. Ctrl-C
    ends it. It is not started again when it ends, nothing waits for it, and the job's checks are not made. Where COMMAND has
    options: `daqsched borrow -- HOST JOB COMMAND...`.
    """
    client = connect(path)
    host = host.lstrip("@")
    if "@" in host:
        name, _, host = host.partition("@")
        raise UserError(f"the host comes first: `{shlex.join(['daqsched', 'borrow', host, name])}`")
    try:
        answer = client.borrow(job, host, command)
    except Refused as error:
        if not client.status([f"{host}@{job}"]).rows:
            raise
        right = shlex.join(["daqsched", "borrow", job, host])
        raise UserError(f"the host comes first, {job} is one and {host} a job on it: `{right}`") from error
    say(f"Running on {host}: {' '.join(answer.argv)}  (Ctrl-C ends it)", err=True)
    if answer.console:
        say(f"Nothing is typed into it here: `daqsched console {shlex.quote(f'{job}@{host}')}` does.", err=True)
    try:
        last = _follow(client, job, host, {stream: Printing(raw) for stream in ("stdout", "stderr")})
    except KeyboardInterrupt:
        client.borrow(job, host, end=True)
        say("Ended.", err=True)
        sys.exit(130)
    say(f"{job}@{host}: {last}", err=True)
    if "exit code 0" not in last:
        raise NotRunning(f"{job} failed")


def _follow(client: Any, job: str, host: str, shown: dict[str, Printing]) -> str:
    """Show what it prints until it has ended; how it did."""
    word, task_id, last = f"{job}@{host}", "", ""
    began, told = time.monotonic(), ""
    seen: dict[str, int] = {}
    while True:
        (row,) = client.status([word]).rows
        task_id = row.task_id or task_id
        if task_id:
            _show_new(client, word, task_id, seen, shown)
        if row.state == "ASIDE":
            if task_id:
                _show_new(client, word, task_id, seen, shown)
            end = row.report.last_exit if row.report is not None else None
            return end.words() if end is not None else last or "it did not start"
        last = row.reason
        if not row.pid and time.monotonic() - began > BEGIN_S and row.reason != told:
            told = row.reason
            say(f"{row.state}: {row.reason}", err=True)
        time.sleep(LOOK_S)


def _show_new(client: Any, word: str, task_id: str, seen: dict[str, int], shown: dict[str, Printing]) -> None:
    """What its sandbox has more than last time."""
    from daqsched.logs.file_tails import without_heading
    from daqsched.protocol import Piece

    try:
        found = [one for one in client.sandboxes([word]).sandboxes if one.task_id == task_id]
        for sandbox in found:
            for stream in shown:
                size = sandbox.files.get(stream, (0, 0.0))[0]
                while seen.get(stream, 0) < size:
                    piece = Piece(sandbox.agent_id, task_id, stream, seen.get(stream, 0))
                    data: Optional[bytes] = client.read([piece]).data[0]
                    if not data:
                        break
                    printed = without_heading(data, seen.get(stream, 0))
                    seen[stream] = seen.get(stream, 0) + len(data)
                    show(shown[stream].take(printed), err=stream == "stderr")
    except Unreachable:
        pass  # its agent has not heard of it yet, or has no time: the next look shows it
