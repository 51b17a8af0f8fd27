"""What a status costs the daemon: over its socket, and over HTTPS with a token, on a connection that stays and on one for each.

python bench/status.py [--rows 20 2000] [--rounds 200]

CPU time of the daemon's process, of all its threads; the real loop, sockets, TLS and rights, in Mesos' place an edge that takes
whatever it is told. The best of three, as everything else on a machine makes it more.
"""

from __future__ import annotations

import argparse
import http.client
import os
import socket
import ssl
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Callable

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from builders import job  # noqa: E402
from daqsched.spec import Spec  # noqa: E402
from webport import WebServe  # noqa: E402

TICKS = os.sysconf("SC_CLK_TCK")


def daemon(folder: Path, rows: int) -> None:
    """Serve until nobody listens."""
    web = WebServe(folder)
    web.serve.client.apply(Spec(jobs=(job(hosts=f"hlt[00001-{rows:05}]"),)))
    token = web.token("viewer")
    sys.stdout.write(f"{web.url} {token} {web.ca} {folder / 'door'}\n")
    sys.stdout.flush()
    sys.stdin.read()
    web.close()


class OverSocket(http.client.HTTPConnection):
    """To a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("daqsched", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(self._path)


def cpu_s(pid: int) -> float:
    """What a process has spent."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def spent(
    pid: int, rounds: int, each: bool, connect: Callable[[], http.client.HTTPConnection], headers: dict[str, str]
) -> float:
    """CPU seconds of the daemon for a status."""
    found = []
    for _ in range(3):
        connection = connect()
        before = cpu_s(pid)
        for _ in range(rounds):
            if each:
                connection.close()
                connection = connect()
            connection.request("GET", "/v1/status", headers=headers)
            answer = connection.getresponse()
            assert answer.status == 200, answer.read()
            answer.read()
        found.append((cpu_s(pid) - before) / rounds)
        connection.close()
    return min(found)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[20, 2000])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--daemon", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.daemon is not None:
        daemon(asked.daemon, asked.rows[0])
        return
    out = sys.stdout.write
    out("| rows | connection | socket | HTTPS | ratio |\n| --- | --- | --- | --- | --- |\n")
    for rows in asked.rows:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, __file__, "--daemon", folder, "--rows", str(rows)]
            with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
                assert process.stdout is not None and process.stdin is not None
                url, token, ca, door = process.stdout.readline().split()
                host, _, port = url.rpartition("//")[2].rpartition(":")
                context = ssl.create_default_context(cafile=ca)
                shown = {"authorization": f"Bearer {Path(token).read_text().strip()}"}
                for each in (False, True):
                    plain = spent(process.pid, asked.rounds, each, partial(OverSocket, door), {})
                    secure = spent(
                        process.pid,
                        asked.rounds,
                        each,
                        partial(http.client.HTTPSConnection, host, int(port), context=context, timeout=60),
                        shown,
                    )
                    what = "one for each" if each else "stays"
                    out(
                        f"| {rows} | {what} | {1000 * plain:.2f} ms | {1000 * secure:.2f} ms | {secure / plain:.2f} |\n"
                    )
                process.stdin.close()


if __name__ == "__main__":
    main()
