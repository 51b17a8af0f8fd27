"""How fast and at what cost the forwarder stores lines, against what this Elasticsearch can take at most.

    python bench/forward.py [--elasticsearch URL] [--lines 250000] [--rounds 3]

Each round stores the same number of lines of about 174 bytes twice: raw (bodies made beforehand, two kept-alive
connections: the limit of this server) and through the forwarder, from a file on disk. The time ends when the index
counts all. Lines per second depend on what else the machine does: read the ratio of a round, and the CPU seconds.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import resource
import secrets
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "executor"), str(ROOT / "tests")]

from daqcluster import Cluster
from daqsched_executor.contract import Stream  # noqa: E402 - the checkout's, installed or not
from daqsched_executor.forward.batch import BODY, REPLY_FILTER  # noqa: E402
from daqsched_executor.forward.forms import Text  # noqa: E402
from daqsched_executor.forward.lines import CHUNK  # noqa: E402
from daqsched_executor.forward.position import Position  # noqa: E402
from daqsched_executor.forward.record import index_of  # noqa: E402
from daqsched_executor.forward.template import template  # noqa: E402
from forwarding import ForwarderProcess, Printer  # noqa: E402


def lines(count: int) -> bytes:
    """Lines as DAQ programs print them: time, level, a logger's name, numbers; about 174 bytes each."""
    chance = random.Random(1)
    levels = ["INFO"] * 90 + ["DEBUG"] * 6 + ["WARNING"] * 3 + ["ERROR"]
    rows = []
    for at in range(count):
        rows.append(
            f"2026-11-22 20:{at // 60000 % 60:02}:{at // 1000 % 60:02}.{at % 1000:03}123 [{chance.choice(levels)}] "
            f"daq.readout.hslb{chance.randrange(4)}: run 1234 event {at} link {chance.randrange(48)} "
            f"size {chance.randrange(4000)} words, buffer {chance.randrange(100)} % full, "
            f"{chance.randrange(10**6)} events since the start of this run\n"
        )
    return "".join(rows).encode()


class Server:
    """The few questions that are asked."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.host, self.port = parts.hostname or "localhost", parts.port or 9200

    def connect(self) -> http.client.HTTPConnection:
        """A new connection."""
        return http.client.HTTPConnection(self.host, self.port, timeout=120)

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """One request on a connection of its own."""
        connection = self.connect()
        text = None if body is None else json.dumps(body).encode()
        connection.request(method, path, text, {"Content-Type": "application/json"})
        answer = json.loads(connection.getresponse().read())
        connection.close()
        return answer

    def wait_for(self, prefix: str, count: int) -> None:
        """Until so many lines are indexed; then checked to be countable."""
        while True:
            stats = self.ask("GET", f"/{prefix}-*/_stats/indexing")
            if stats["_all"]["primaries"].get("indexing", {}).get("index_total", 0) >= count:
                break
            time.sleep(0.05)

    def clean(self, prefix: str, count: int) -> None:
        """Check that exactly so many lines can be found, and delete them."""
        self.ask("POST", f"/{prefix}-*/_refresh")
        found = self.ask("GET", f"/{prefix}-*/_count")["count"]
        assert found == count, f"{found} lines instead of {count}"
        for name in self.ask("GET", f"/{prefix}-*"):
            self.ask("DELETE", f"/{name}")
        self.ask("DELETE", f"/_index_template/{prefix}")


def bodies(text: bytes) -> list[bytes]:
    """The very bodies that the forwarder would send."""
    form = Text(Stream("AAAAAAAAAAA", "stdout", "", 0, "readout@hlt01.1", "readout", "hlt01"), 0)
    micros = time.time_ns() // 1000
    at, made, documents, size = Position(0, 0), [], [], 0
    while at.offset < len(text):
        step = form.encode(text[at.offset : at.offset + CHUNK], at, micros, False, BODY - size)
        if not step.documents:
            made.append(b"".join(documents))
            documents, size = [], 0
            continue
        documents += step.documents
        size += step.size
        micros += len(step.documents)
        at = Position(0, step.end, step.cut)
    return [*made, b"".join(documents)]


def raw(server: Server, prefix: str, made: Sequence[bytes], count: int) -> float:
    """Seconds to store the bodies over two connections."""
    server.ask("PUT", f"/_index_template/{prefix}", template(prefix))
    path = f"/{index_of(prefix, time.time_ns() // 1000)}/_bulk?{REPLY_FILTER}"

    def send(mine: Sequence[bytes]) -> None:
        connection = server.connect()
        for body in mine:
            connection.request("POST", path, body, {"Content-Type": "application/x-ndjson"})
            assert connection.getresponse().read().startswith(b'{"errors":false')
        connection.close()

    began = time.monotonic()
    threads = [threading.Thread(target=send, args=(made[at::2],)) for at in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    server.wait_for(prefix, count)
    return time.monotonic() - began


def forwarded(server: Server, url: str, prefix: str, text: bytes, count: int) -> tuple[float, float, float]:
    """Seconds, CPU seconds of the forwarder, and its largest memory in MB, start and end of the process included."""
    with tempfile.TemporaryDirectory() as folder:
        spool = Path(folder) / "spool"
        printer = Printer(spool)
        printer.print(text)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        began = time.monotonic()
        process = ForwarderProcess(spool, url, prefix)
        server.wait_for(prefix, count)
        seconds = time.monotonic() - began
        peak = next(
            int(row.split()[1])
            for row in Path(f"/proc/{process.process.pid}/status").read_text().splitlines()
            if row.startswith("VmHWM")
        )
        assert process.stop() == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        printer.die()
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, cpu, peak / 1024


def measure(url: str, count: int, rounds: int) -> None:
    """Print one row per round, and the medians."""
    server = Server(url)
    text = lines(count)
    made = bodies(text)
    print(f"{count} lines of {len(text) / count:.0f} bytes, {len(made)} bodies, load {os.getloadavg()[0]:.1f}")
    print("round  raw lines/s  forwarder lines/s  of raw  CPU-s per million lines  peak MB")
    rows = []
    for number in range(1, rounds + 1):
        prefix = f"bench-{secrets.token_hex(4)}"
        limit = raw(server, prefix, made, count)
        server.clean(prefix, count)
        seconds, cpu, peak = forwarded(server, url, prefix, text, count)
        server.clean(prefix, count)
        row = (count / limit, count / seconds, limit / seconds, cpu / count * 1e6, peak)
        rows.append(row)
        print("{:5}  {:11.0f}  {:17.0f}  {:6.2f}  {:23.2f}  {:7.1f}".format(number, *row), flush=True)
    print("{:>5}  {:11.0f}  {:17.0f}  {:6.2f}  {:23.2f}  {:7.1f}".format("med.", *map(statistics.median, zip(*rows))))


def main() -> None:
    """Measure against the Elasticsearch that is named, or one that is brought up for it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--elasticsearch", help="its URL; without it one is brought up")
    parser.add_argument("--lines", type=int, default=250_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if options.elasticsearch:
        measure(options.elasticsearch, options.lines, options.rounds)
        return
    with tempfile.TemporaryDirectory() as folder:
        cluster = Cluster(Path(folder) / "cluster", print)
        try:
            cluster.up(agents=0, elasticsearch_=True)
            measure(cluster.elasticsearch_url, options.lines, options.rounds)
        finally:
            cluster.down()


if __name__ == "__main__":
    main()
