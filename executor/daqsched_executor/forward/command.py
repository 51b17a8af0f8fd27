"""The command: what it is told, one forwarder at a time, and what `--status` says."""

from __future__ import annotations

import argparse
import fcntl
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress

from ..contract import FORWARDING_VARIABLE, SPOOL_VARIABLE, Forwarding
from ..contract.sysctl import unprotected
from ..machine.spool import FORWARD_DIR, LONGEST, open_ours, open_regular
from ..out import say, say_json
from .config import configured, unchecked
from .loop import Forwarder
from .status.last_end import record
from .status.sd_notify import Notifier
from .streams.spool import nothing_left, prepare

#: How often a second forwarder looks whether the first has gone.
LOCK_EVERY_S = 0.5


def main(argv: Sequence[str] | None = None) -> int:
    """Forward until SIGTERM or SIGINT; the exit status."""
    parser = argparse.ArgumentParser(
        prog="daqsched-executor forward",
        description=f"Send this machine's lines to Elasticsearch. A job is told the rest in ${FORWARDING_VARIABLE}.",
    )
    parser.add_argument("--config", metavar="FILE", help="a YAML file with all that a forwarder can be told")
    parser.add_argument("--check", action="store_true", help="look for mistakes in what it is told, and do nothing")
    parser.add_argument("--status", action="store_true", help="say what this machine's forwarder does, and end")
    parser.add_argument("--json", action="store_true", help="with --status: print JSON, for programs")
    parser.add_argument(
        "--spool", help=f"the folder of registered streams (default: ${SPOOL_VARIABLE}, or the agent's)"
    )
    parser.add_argument("--elasticsearch", metavar="URL[,URL]", help="nodes, e.g. http://es1:9200")
    parser.add_argument("--index", metavar="PREFIX", help="indices are PREFIX-YYYY.MM.DD")
    parser.add_argument(
        "--ca-file", metavar="FILE", help="PEM of the authority that signed Elasticsearch's certificate"
    )
    parser.add_argument("--user-file", metavar="FILE", help="a file whose first line is NAME:PASSWORD")
    parser.add_argument("--api-key-file", metavar="FILE", help="a file whose first line is an API key")
    options = parser.parse_args(argv)
    try:
        if options.status:
            return _status(unchecked(options, os.environ).spool, options.json)
        config = configured(options, os.environ)
    except (OSError, ValueError) as error:
        about = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)
        for sentence in about.splitlines():
            say(f"daqsched-executor forward: {sentence}", file=sys.stderr)
        return 2
    if options.check:
        say(
            f"No mistake: lines go to {config.elasticsearch}, indices {config.index}-*, spool {config.spool}; "
            f"files of {len(config.files)} services."
        )
        return 0
    return _forward(config)


def _status(spool: str, as_json: bool) -> int:
    """Print what the status file says; 0 where all is well, 1 where there is trouble. Raises ValueError where there is none."""
    import json

    from .status import last_end
    from .status.report import checked, end_in_words, in_words, well

    folder = os.path.join(spool, FORWARD_DIR)
    end = last_end.read(folder)  # also that of a process that could no longer write its status
    path = os.path.join(folder, "status.json")
    try:
        file = open_regular(path, None)
    except FileNotFoundError as error:
        why = f". {end_in_words(end)}" if end else ""
        raise ValueError(f"no forwarder has worked on {spool} yet: there is no {error.filename}{why}") from error
    try:
        state = {**checked(json.loads(os.read(file, LONGEST))), "last_end": end}
        running = _held(os.path.join(folder, "lock"), state["pid"])
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} was not written by a forwarder, or is torn: {error}") from error
    finally:
        os.close(file)
    if as_json:
        say_json(json.dumps({**state, "spool": spool, "running": running}, indent=2))
    else:
        say(*in_words(state, spool, running, time.time()))
    return 0 if well(state, running) else 1


def _held(lock: str, pid: int) -> bool:
    """Whether a forwarder holds the lock; for an account that may not try, whether its process is there."""
    try:
        file = open_regular(lock, None)
    except PermissionError:
        return os.path.exists(f"/proc/{pid}")
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


def _forward(config: Forwarding) -> int:
    stopped: list[int] = []
    os.umask(0o077)  # what is made holds lines
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, frame: stopped.append(number))
    try:
        folder = prepare(config.spool)
        lock = open_ours(os.path.join(folder, "lock"), None, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        say(f"daqsched-executor forward: nothing is forwarded: {error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    if not _only_one(lock, config, stopped):
        return 0
    problem = unprotected(_setting)
    if problem:
        say(f"daqsched-executor forward: {problem}", file=sys.stderr)
    try:
        forwarder = Forwarder(config, folder)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, frame: forwarder.stop())
        if not stopped:
            forwarder.run()
    except Exception as error:
        record(folder, "main", error)
        raise
    return 0


def _setting(path: str) -> str:
    with open(path) as file:
        return file.read()


def _only_one(lock: int, config: Forwarding, stopped: Sequence[int]) -> bool:
    """Wait until no other forwarder works on this spool, which is nothing that is wrong here: the other one has our lines, too;
    False if we were told to stop first, or are to go when all of our farm is stored, and the other one has done that."""
    told, spool = "", config.spool
    notifier = Notifier(os.environ)
    while not stopped:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            other = os.pread(lock, 20, 0).decode("ascii", "replace").strip()
            if config.until_empty and nothing_left(spool, os.environ.get("DAQSCHED_TASK_ID", "")):
                say(
                    f"daqsched-executor forward: process {other} has stored all that this farm had here",
                    file=sys.stderr,
                )
                return False
            words = (
                f"process {other} forwards {spool} already, with all that is registered there; stands by until its end"
            )
            if words != told:
                say(f"daqsched-executor forward: {words}", file=sys.stderr)
                told = words
            notifier.send(time.monotonic(), words)
            time.sleep(LOCK_EVERY_S)
        else:
            notifier.close()
            with suppress(OSError):  # a full disk: it is for people only
                os.ftruncate(lock, 0)
                os.pwrite(lock, b"%d\n" % os.getpid(), 0)
            return True
    return False
