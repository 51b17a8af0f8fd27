"""What a status costs the daemon: over its socket, and over HTTPS with a token, on a connection that stays and on one for each.

python bench/status.py [--rows 20 2000] [--rounds 200]

CPU time of the daemon's process, of all its threads; the real loop, sockets, TLS and rights, in Mesos' place an edge that takes
whatever it is told. The best of three, as everything else on a machine makes it more.

Besides, what 200 clients that never end a handshake, and 200 that send a byte of a request now and then, mean to the engine: how
long its answer takes, with them and without in turn, and what memory the daemon has.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import os
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from functools import partial
from pathlib import Path
from typing import Callable

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from builders import job  # noqa: E402
from daqsched.spec import Spec  # noqa: E402
from webport import WebServe  # noqa: E402

#: So often the engine is asked, and so many slow clients there are of each kind.
ASKED, CLIENTS = 1000, 200

TICKS = os.sysconf("SC_CLK_TCK")


def daemon(folder: Path, rows: int) -> None:
    """Serve until nobody listens."""
    web = WebServe(folder)
    web.serve.client.apply(Spec(jobs=(job(hosts=f"hlt[00001-{rows:05}]"),)))
    token = web.token("viewer")
    sys.stdout.write(f"{web.url} {token} {web.ca} {folder / 'door'}\n")
    sys.stdout.flush()
    for _ in sys.stdin:
        waited = []
        for _ in range(ASKED):
            began = time.perf_counter()
            web.serve.daemon.ask(lambda engine, now: now).result(60)
            waited.append(time.perf_counter() - began)
            time.sleep(0.001)
        waited.sort()
        resident = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
        sys.stdout.write(f"{waited[ASKED // 2]} {waited[ASKED * 99 // 100]} {int(resident.split()[1]) / 1024}\n")
        sys.stdout.flush()
    web.close()


class Slow:
    """So many clients that never end a handshake, and as many that never end a request, a byte at a time."""

    def __init__(self, host: str, port: int, context: ssl.SSLContext, count: int) -> None:
        self._over = threading.Event()
        self._silent = [socket.create_connection((host, port), 60) for _ in range(count)]
        self._begun = []
        for _ in range(count):
            plain = socket.create_connection((host, port), 60)
            try:
                self._begun.append(context.wrap_socket(plain, server_hostname=host))
                self._begun[-1].sendall(b"GET /v1/status HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
            except OSError:  # there is no room for it
                plain.close()
        self._thread = threading.Thread(target=self._trickle)
        self._thread.start()

    def _trickle(self) -> None:
        while not self._over.wait(0.5):
            for one in self._begun:
                with contextlib.suppress(OSError):
                    one.send(b"x")

    def close(self) -> None:
        """They go."""
        self._over.set()
        self._thread.join()
        for one in (*self._silent, *self._begun):
            one.close()


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


def beside_slow_clients(process: subprocess.Popen[str], host: str, port: int, context: ssl.SSLContext) -> str:
    """The engine's answers without and with them, three times in turn; medians."""
    assert process.stdin is not None and process.stdout is not None
    found: dict[bool, list[list[float]]] = {False: [], True: []}
    for _ in range(3):
        for there in (False, True):
            clients = Slow(host, port, context, CLIENTS) if there else None
            process.stdin.write("\n")
            process.stdin.flush()
            found[there].append([float(word) for word in process.stdout.readline().split()])
            if clients is not None:
                clients.close()
    lines = []
    for there, name in ((False, "without"), (True, f"with {2 * CLIENTS} slow clients")):
        median, most, memory = (statistics.median(column) for column in zip(*found[there]))
        lines.append(f"{name}: {1e6 * median:.0f} µs, {1e6 * most:.0f} µs, {memory:.1f} MB")
    return "\n".join(lines)


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
                slow = beside_slow_clients(process, host, int(port), context)
                process.stdin.close()
        out(f"\n{rows} rows | median, 99 % of the engine's answers, memory\n{slow}\n")


if __name__ == "__main__":
    main()
