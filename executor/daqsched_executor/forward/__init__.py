"""``daqsched-executor forward``: every line that a machine's jobs print, stored in Elasticsearch once.

One per machine, run as an ordinary job. `lines`, `record`, `template` and `batch` take values and return values;
`sources`, `journal`, `elastic` and `status` touch files and the network; `loop` puts them together.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import signal
import sys
import time
from collections.abc import Sequence

from ..contract import SPOOL_VARIABLE, spool_of
from .elastic import addresses
from .loop import Forwarder
from .sources import prepare

#: How often a second forwarder looks whether the first has gone.
LOCK_EVERY_S = 0.5


def main(argv: Sequence[str] | None = None) -> int:
    """Forward until SIGTERM or SIGINT; the exit status."""
    parser = argparse.ArgumentParser(
        prog="daqsched-executor forward", description="Send this machine's lines to Elasticsearch."
    )
    parser.add_argument(
        "--spool", help=f"the folder of registered streams (default: ${SPOOL_VARIABLE}, or the agent's)"
    )
    parser.add_argument("--elasticsearch", required=True, metavar="URL[,URL]", help="nodes, e.g. http://es1:9200")
    parser.add_argument("--index", default="daqsched-logs", metavar="PREFIX", help="indices are PREFIX-YYYY.MM.DD")
    parser.add_argument("--user-file", metavar="FILE", help="a file whose first line is NAME:PASSWORD")
    options = parser.parse_args(argv)
    spool = options.spool or spool_of(os.environ)
    if not spool:
        parser.error(f"no spool: give --spool DIR or set {SPOOL_VARIABLE} (a Mesos sandbox tells it by itself)")
    try:
        nodes = addresses(options.elasticsearch)
        user = _user(options.user_file) if options.user_file else ""
    except (OSError, ValueError) as error:
        parser.error(str(error))
    stopped: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, frame: stopped.append(number))
    folder = prepare(spool)
    lock = os.open(os.path.join(folder, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if not _only_one(lock, spool, stopped):
        return 0
    forwarder = Forwarder(spool, folder, nodes, options.index, user)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, frame: forwarder.stop())
    if not stopped:
        forwarder.run()
    return 0


def _only_one(lock: int, spool: str, stopped: Sequence[int]) -> bool:
    """Wait until no other forwarder works on this spool; False if we were told to stop first."""
    told = False
    while not stopped:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not told:
                other = os.pread(lock, 20, 0).decode("ascii", "replace").strip()
                print(
                    f"daqsched-executor forward: process {other} forwards {spool} already; waiting for its end",
                    file=sys.stderr,
                    flush=True,
                )
                told = True
            time.sleep(LOCK_EVERY_S)
        else:
            os.ftruncate(lock, 0)
            os.pwrite(lock, b"%d\n" % os.getpid(), 0)
            return True
    return False


def _user(path: str) -> str:
    with open(path) as file:
        user = file.readline().strip()
    if ":" not in user:
        raise ValueError(f"{path} does not begin with NAME:PASSWORD")
    return user
