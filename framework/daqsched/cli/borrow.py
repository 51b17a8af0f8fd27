"""`daqsched borrow`: one job by hand on a host that is set aside, its output in this terminal and in the logs."""

from __future__ import annotations

import shlex
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn, Optional, Sequence

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
@click.option("--end", is_flag=True, help="End what runs there by hand, whoever runs it.")
@click.pass_obj
def borrow(path: Where, host: str, job: str, command: Sequence[str], raw: bool, end: bool) -> None:
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
    if end and command:
        raise UserError("--end and a COMMAND can't be combined: choose one")
    try:
        answer = client.borrow(job, host, command, end)
    except Refused as error:
        if not client.status([f"{host}@{job}"]).rows:
            raise
        right = shlex.join(["daqsched", "borrow", job, host])
        raise UserError(f"the host comes first, {job} is one and {host} a job on it: `{right}`") from error
    status = shlex.join(["daqsched", "status", f"{job}@{host}"])
    if end:
        what = f"Told to end; `{status}` shows when it has." if answer.ended else "Nothing runs there by hand."
        say(what)
        return
    run = HandRun(client, job, host, raw)
    with _left_running(shlex.join(["daqsched", "borrow", "--end", host, job])):
        try:
            say(f"Running on {host}: {' '.join(answer.argv)}  (Ctrl-C ends it)", err=True)
            if answer.console:
                say(f"Nothing is typed into it here: `daqsched console {shlex.quote(f'{job}@{host}')}` does.", err=True)
            last = run.follow()
        except KeyboardInterrupt:
            client.borrow(job, host, end=True)
            say("Told to end; Ctrl-C once more does not wait for that.", err=True)
            try:
                last = run.follow()
            except KeyboardInterrupt:
                say(f"It was told to end, and has not yet: `{status}` shows when it has.", err=True)
            else:
                say(f"Ended: {last}", err=True)
            sys.exit(130)
    say(f"{job}@{host}: {last}", err=True)
    if "exit code 0" not in last:
        raise NotRunning(f"{job} failed")


@contextmanager
def _left_running(end: str) -> Iterator[None]:
    """Whoever is told to go meanwhile says that the program runs on, and the command that ends it."""

    def leave(number: int, frame: object) -> NoReturn:
        raise _ToldToGo(number)

    old = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    except _ToldToGo as told:
        say(f"It runs on: `{end}` ends it.", err=True)
        sys.exit(128 + told.args[0])
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


class _ToldToGo(BaseException):
    """By this signal."""


class HandRun:
    """What somebody runs by hand, and how much of its output has been shown."""

    def __init__(self, client: Any, job: str, host: str, raw: bool) -> None:
        self._client, self._host, self._word = client, host, f"{job}@{host}"
        self._shown = {stream: Printing(raw) for stream in ("stdout", "stderr")}
        self._seen: dict[str, int] = {}
        self._task_id, self._known = "", False

    def follow(self) -> str:
        """Show what it prints until it has ended; how it did. Raises `NotRunning` where its host is set aside no more."""
        last = told = ""
        began = time.monotonic()
        while True:
            rows = self._client.status([self._word]).rows
            row = rows[0] if rows else None
            another = row is None or (self._task_id and row.task_id not in ("", self._task_id))
            if row is not None and not another and (row.borrowed or not self._known):
                self._task_id = row.task_id or self._task_id
            self._known = self._known or bool(row and row.borrowed)  # a daemon before does not say
            if self._task_id:
                self._show_new()
            if row is not None and row.state == "ASIDE":
                end = row.report.last_exit if row.report is not None else None
                return end.words() if end is not None else last or "it did not start"
            if row is None or another or (self._known and not row.borrowed):
                raise NotRunning(
                    f"{self._host} is set aside no more, or another runs there by hand, and so this was ended: "
                    f"`daqsched story {shlex.quote(self._word)}` tells by whom"
                )
            last = row.reason
            if not row.pid and time.monotonic() - began > BEGIN_S and row.reason != told:
                told = row.reason
                say(f"{row.state}: {row.reason}", err=True)
            time.sleep(LOOK_S)

    def _show_new(self) -> None:
        """What its sandbox has more than last time."""
        from daqsched.logs.file_tails import without_heading
        from daqsched.protocol import Piece

        seen = self._seen
        try:
            found = [one for one in self._client.sandboxes([self._word]).sandboxes if one.task_id == self._task_id]
            for sandbox in found:
                for stream in self._shown:
                    size = sandbox.files.get(stream, (0, 0.0))[0]
                    while seen.get(stream, 0) < size:
                        piece = Piece(sandbox.agent_id, self._task_id, stream, seen.get(stream, 0))
                        data: Optional[bytes] = self._client.read([piece]).data[0]
                        if not data:
                            break
                        printed = without_heading(data, seen.get(stream, 0))
                        seen[stream] = seen.get(stream, 0) + len(data)
                        show(self._shown[stream].take(printed), err=stream == "stderr")
        except Unreachable:
            pass  # its agent has not heard of it yet, or has no time: the next look shows it
