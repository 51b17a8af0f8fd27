"""A program's terminal beside procServ, in one run: a line until its answer, what one that idles costs, a reader that is stopped.

    python bench/console.py [--lines 120] [--procserv procServ]

Ours as the command has it, without the command: the daemon's socket, the daemon, a master and an agent (`daqcluster`), the
executor. procServ as telnet has it: its port on loopback. The program is the same shell, which answers each line. Nothing is
judged.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
for place in (HERE.parent, HERE.parent / "tests"):
    sys.path.insert(0, str(place))

from daqsched.client import Client  # noqa: E402
from daqsched.protocol import ConsoleKeys, ConsoleRead  # noqa: E402
from daqsched.settings import socket_path  # noqa: E402
from farm import Farm, running  # noqa: E402

SHELL = "echo ready; while read -r line; do echo heard $line; done"
#: What prints, and then says so in a file, while somebody is attached who reads nothing.
PRINTER = "echo ready; read -r go; seq -f %0200g 50000; touch printed; sleep 100000"
LIMIT_S = 30.0


class Seen(NamedTuple):
    """Of one of the two."""

    #: Milliseconds from a line typed to its answer, in order.
    answers: list[float]
    #: Memory of what stands between, MB (PSS), without the program.
    memory: float
    #: Whether 50,000 lines were printed while a reader read nothing.
    printed: bool


def pss_mb(pid: int) -> float:
    """The proportional share of memory."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("no Pss in smaps_rollup")


def timed(lines: int, type_line: Callable[[bytes], object], read: Callable[[], bytes]) -> list[float]:
    """Type one line after the other, each when the one before was answered."""
    found = []
    for number in range(lines):
        begin, word, heard = time.monotonic(), b"heard %d" % number, b""
        type_line(b"%d\n" % number)
        while word not in heard:
            heard += read()
            assert time.monotonic() - begin < LIMIT_S, heard
        found.append((time.monotonic() - begin) * 1e3)
    return sorted(found)


def within(limit_s: float, true: Callable[[], bool]) -> bool:
    """Whether it becomes so."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(0.05)
    return False


# ------------------------------------------------------------------------------------------------- procServ


@contextmanager
def proc_serv(command: str, folder: Path, shell: str) -> Iterator[tuple[subprocess.Popen[bytes], socket.socket]]:
    """With a program, and somebody at its port."""
    folder.mkdir()
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    argv = [command, "-f", "-q", "-L", str(folder / "log"), "-c", str(folder), str(port), "/bin/sh", "-c", shell]
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        # what is typed before the program runs is dropped
        ready = within(LIMIT_S, lambda: process.poll() is not None or _told(folder / "log"))
        assert ready and process.poll() is None, "procServ has ended"
        with socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S) as there:
            yield process, there
    finally:
        process.terminate()
        process.wait()


def _told(log: Path) -> bool:
    return log.exists() and b"ready" in log.read_bytes()


def of_proc_serv(command: str, folder: Path, lines: int) -> Seen:
    """All of it."""
    with proc_serv(command, folder / "answers", SHELL) as (process, there):
        answers = timed(lines, there.sendall, lambda: there.recv(65536))
        memory = pss_mb(process.pid)
    with proc_serv(command, folder / "prints", PRINTER) as (_, there):
        there.sendall(b"go\n")
        printed = within(10.0, (folder / "prints" / "printed").exists)
    return Seen(answers, memory, printed)


# ------------------------------------------------------------------------------------------------- ours


class Attached:
    """Somebody, by the daemon's socket."""

    def __init__(self, farm: Farm, job: str) -> None:
        self._types, self._reads = (Client(socket_path(farm.env)) for _ in range(2))
        self._id = self._types.attach(job, "hlt01", True, False, "").id
        self._asked = ConsoleRead()

    def type(self, line: bytes) -> None:
        """Confirmed, or an error."""
        assert self._types.keys(self._id, ConsoleKeys(line)).confirmed

    def read(self) -> bytes:
        """What was printed since, waited for."""
        found = self._reads.console(self._id, self._asked)
        self._asked = ConsoleRead(found.task_id, found.offset, found.seen, 8.0)
        return found.data


def of_ours(folder: Path, lines: int) -> Seen:
    """All of it."""
    with running(folder, agents=1) as cluster:
        farm = Farm(folder / "farm", cluster.master_url)
        farm.fresh = True
        farm.serve()
        farm.apply(
            f"jobs = [Job('ioc', argv=['/bin/sh', '-c', {SHELL!r}], hosts='hlt01', console=True),"
            f" Job('prints', argv=['/bin/sh', '-c', {PRINTER!r}], hosts='hlt01', console=True)]"
        )
        somebody = Attached(farm, "ioc")
        while b"ready" not in somebody.read():
            pass
        answers = timed(lines, somebody.type, somebody.read)
        executor = int(Path(f"/proc/{farm.pid('ioc@hlt01')}/stat").read_text().rpartition(")")[2].split()[1])
        program = farm.pid("ioc@hlt01")
        below = Path(f"/proc/{executor}/task/{executor}/children").read_text().split()
        memory = pss_mb(executor) + sum(pss_mb(int(pid)) for pid in below if int(pid) != program)
        place = Path(f"/proc/{farm.pid('prints@hlt01')}/cwd").resolve()
        Attached(farm, "prints").type(b"go\n")
        printed = within(10.0, (place / "printed").exists)
        farm.end()
    return Seen(answers, memory, printed)


def told(what: str, seen: Seen) -> None:
    """A line."""
    took = seen.answers
    nearly = took[int(len(took) * 0.95)]
    print(
        f"{what}: a line until its answer {statistics.median(took):.1f} ms median of {len(took)}, {nearly:.1f} ms 95 %,"
        f" {took[-1]:.1f} ms most; {seen.memory:.1f} MB beside the program;"
        f" 50,000 lines of 200 bytes with a reader that reads nothing:"
        f" {'printed' if seen.printed else 'not printed in 10 s'}",
        flush=True,
    )


def main() -> None:
    """Measure and print."""
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("--lines", type=int, default=120)
    words.add_argument("--procserv", default="procServ", help="Debian's package is procserv (bench/apt-packages.txt)")
    options = words.parse_args()
    command = shutil.which(options.procserv)
    if command is None:
        sys.exit(f"{options.procserv} is not here: scripts/setup --bench installs it, or apt-get download procserv")
    print(f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as name:
        told("procServ", of_proc_serv(command, Path(name), options.lines))
        told("console=True", of_ours(Path(name) / "ours", options.lines))


if __name__ == "__main__":
    main()
