"""`daqsched debug`: what whoever is asked for help wants to see first, in one file."""

from __future__ import annotations

import os
import platform
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Optional, TypeVar

import click
import msgspec

from daqsched import __version__
from daqsched.cli.options import at_least
from daqsched.cli.root import connect, main
from daqsched.errors import DaqschedError, Unreachable, UserError
from daqsched.settings import Where
from daqsched.terminal.out import say
from daqsched_executor.contract.foreign import ascii_json

Answer = TypeVar("Answer")

#: How many stories, revisions and notes; of how many programs and hosts that are not as desired the logs.
MOST_TOLD, MOST_LOGS = 1000, 10

#: Of so many revisions the secrets are known.
MOST_SPECS = 20

#: So long one answer may take: a host that hangs leaves time for the others.
ANSWER_S = 20.0

#: So much of each executor's log.
LOG_BYTES = 64 << 10

#: The journal of the unit on this machine, which may be the daemon's.
JOURNAL = ("journalctl", "--unit", "daqsched-serve", "--lines", "2000", "--no-pager", "--output", "short-iso")


@main.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), required=False)
@click.option("--timeout", default=60.0, callback=at_least(1), show_default=True, help="Seconds for all of it.")
@click.pass_obj
def debug(path: Where, file: Optional[Path], timeout: float) -> None:
    """Write what helps to find a fault into FILE, for whoever is asked for help.  [default: daqsched-debug-TIME.tar.gz]

    It has status, reasons, stories, incidents, history, notes, versions, the jobs without the values of their environment,
    and logs of daemon, executors and Mesos agents; those of daemon and agents are for admins, or without `serve --rights` for
    root and the daemon's own account.
    What could not be obtained is said, and is in CONTENTS.txt. Look at it before you send it: programs print what they like.
    """
    from daqsched.bundle import Bundle, name_at

    now = time.time()
    name = name_at(now)
    file = Path(f"{name}.tar.gz") if file is None else file
    if os.path.lexists(file):
        raise UserError(f"{file} exists already: give another FILE")
    found = _Collecting(Bundle(name), connect(path), time.monotonic() + timeout)
    found.versions()
    answered = found.answers()
    if not answered:
        found.journal()
    elif found.secrets_known:
        found.journal()
        found.logs()
    size = found.bundle.write(file, now)
    say(f"{file}: {size / 1024:.0f} KiB, readable by you alone; look at it before you send it")
    say(*(f"not in it: {sentence}" for sentence in found.bundle.lacks), err=True)
    if not answered:
        raise Unreachable("the daemon told nothing: what is in it is of this machine alone")


class _Collecting:
    """Asks for one thing after the other, as long as there is time; what fails is told."""

    def __init__(self, bundle: Any, client: Any, end: float) -> None:
        self.bundle, self._client, self._end = bundle, client, end
        #: Whether what is secret can be taken out of what programs print.
        self.secrets_known = False
        #: Instances that are not as desired, the worst first.
        self._troubled: list[tuple[str, str]] = []

    def versions(self) -> None:
        """Of what runs this command."""
        from importlib.metadata import PackageNotFoundError, requires, version

        found = {"daqsched": __version__, "python": sys.version, "platform": platform.platform()}
        try:
            for one in requires("daqsched") or ():
                name = "".join(letter if letter.isalnum() or letter in "-_." else " " for letter in one).split()[0]
                try:
                    found[name] = version(name)
                except PackageNotFoundError:
                    found[name] = "not installed"
        except PackageNotFoundError:
            self.bundle.lacks.append("versions of packages: daqsched is not installed as one")
        self._json("versions.json", found)

    def answers(self) -> bool:
        """What the daemon says; whether it does."""
        from daqsched.redaction import scrubber, veiled, veiled_source

        client = self._client
        info = self._ask("info.json", client.info)
        if info is None:
            return False
        self._json("info.json", info)
        heads = self._ask("history.json", lambda: client.history(MOST_TOLD))
        # whoever is told the values takes them out of all else, also those of before
        last = [one.number for one in heads or ()][:MOST_SPECS]
        specs = [self._ask(f"secrets of revision {number}", partial(client.revision, number)) for number in last]
        if heads is None or None in specs:
            self.bundle.lacks.append("all else that the daemon says: what is secret in it is not known")
            return True
        self.secrets_known = True
        self.bundle.scrub = scrubber(one.spec for one in specs if one is not None)
        self._json("history.json", [msgspec.structs.replace(one, source=veiled_source(one.source)) for one in heads])
        if specs and specs[0] is not None:
            self._json("configuration.json", veiled(specs[0].spec, secrets.token_bytes(16)))
        why = self._ask("why.json", lambda: client.why((), MOST_TOLD))
        self._json("why.json", why)
        self._troubled = [(one.job, one.host) for one in why.stories if one.host] if why is not None else []
        for name, question in (
            ("status.json", client.status),
            ("stories.json", lambda: client.stories((), MOST_TOLD)),
            ("incidents.json", client.incidents),
            ("notes.json", lambda: client.notes(MOST_TOLD)),
            ("rollout.json", client.rollout),
            ("aside.json", client.leases),
        ):
            self._json(name, self._ask(name, question))
        return True

    def journal(self) -> None:
        """What the daemon of this machine has said."""
        journal = self._ask("logs/journal.log", _journal)
        if journal is not None:
            self.bundle.add_lines("logs/journal.log", journal)

    def logs(self) -> None:
        """Of the daemon, of executors, of agents."""
        client = self._client
        lines = self._ask("logs/daemon.log", client.log)
        if lines is not None:
            self.bundle.add_lines("logs/daemon.log", lines)
        for job, host in self._troubled[:MOST_LOGS]:
            name = f"logs/executors/{job}@{host}.log"
            found = self._ask(name, partial(self._executor_log, job, host))
            if found is not None:
                self.bundle.add_lines(name, found)
        for host in list(dict.fromkeys(host for _, host in self._troubled))[:MOST_LOGS]:
            name = f"logs/agents/{host}.log"
            found = self._ask(name, partial(client.agent_log, host))
            if found is not None:
                self.bundle.add_lines(name, found)

    def _executor_log(self, job: str, host: str) -> list[str]:
        from daqsched.protocol import Piece
        from daqsched_executor.contract import EXECUTOR

        answer = self._client.sandboxes([f"{job}@{host}"])
        there = [one for one in answer.sandboxes if EXECUTOR in one.files]
        if not there:
            raise Unreachable("; ".join(answer.silent) or "there is no sandbox of it any more")
        last = max(there, key=lambda one: (one.running, one.files[EXECUTOR][1]))
        at = max(0, last.files[EXECUTOR][0] - LOG_BYTES)
        read = self._client.read([Piece(last.agent_id, last.task_id, EXECUTOR, at)])
        if read.data[0] is None:
            raise Unreachable("; ".join(read.silent))
        lines = str(read.data[0].decode("utf-8", "backslashreplace")).split("\n")
        return lines[1:] if at else lines  # the first is half a one

    def _json(self, name: str, value: Any) -> None:
        if value is not None:
            text = msgspec.json.format(msgspec.json.encode(value), indent=1).decode()
            self.bundle.add(name, f"{ascii_json(text)}\n")

    def _ask(self, name: str, question: Callable[[], Answer]) -> Optional[Answer]:
        """The answer; None where there is none in time, which is told."""
        found: list[Answer] = []
        why: list[str] = []

        def ask() -> None:
            try:
                found.append(question())
            except DaqschedError as error:
                why.append(error.lines[0])
            except Exception as error:  # that one is a fault of ours, too, and all the more welcome
                why.append(f"{type(error).__name__}: {error}")

        # a daemon that hangs is no reason to have nothing of it
        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        thread.join(max(0.0, min(ANSWER_S, self._end - time.monotonic())))
        if found:
            return found[0]
        self.bundle.lacks.append(f"{name}: {why[0] if why else 'no answer in time'}")
        return None


def _journal() -> list[str]:
    """What the machine's journal has of a daemon that runs here as a service."""
    try:
        found = subprocess.run(JOURNAL, stdin=subprocess.DEVNULL, capture_output=True, timeout=10, check=False)
    except FileNotFoundError as error:
        raise Unreachable("there is no journalctl on this machine") from error
    except subprocess.TimeoutExpired as error:
        raise Unreachable("journalctl did not end within 10 s") from error
    lines = found.stdout.decode("utf-8", "backslashreplace").split("\n")
    if found.returncode != 0 or len(lines) < 3:
        raise Unreachable("the journal of this machine has nothing of daqsched-serve, or you may not read it")
    return lines
