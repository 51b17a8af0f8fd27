"""How fast and at what cost lines are stored, against what this Elasticsearch can take and what others need.

    python bench/logs.py [--lines 500000] [--rounds 3] [--only rates,outage,poison] [--elasticsearch URL [--pid PID]]

Each round stores the same lines of 174 bytes, in turn: raw (bodies made beforehand, two connections: the limit of the
server), by the forwarder, by rsyslog (`scripts/setup --bench` installs it), by elasticsearch-py's helpers; then by the
forwarder after an outage, while other lines are printed at a steady rate; then with 1 % of lines that the index refuses.
The time begins with the shipper's process and ends when the index counts all. Lines per second depend on what else the
machine does: read the ratios of a round, and the CPU-seconds.
"""

from __future__ import annotations

import argparse
import os
import random
import secrets
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "executor"), str(ROOT / "tests")]

import shippers  # noqa: I001 - after the path that it needs
from catching_up import outage
from poison import POISONED, poisoned
from server import Server
from shippers import Place, Run

from daqcluster import Cluster

PARTS = ("rates", "outage", "poison")

#: 2 in 100 of what a DAQ prints is worse than information.
LEVELS = ("INFO",) * 90 + ("DEBUG",) * 8 + ("WARNING", "ERROR")


def lines(count: int, levels: Sequence[str] = LEVELS) -> bytes:
    """Lines as DAQ programs print them: time, level, a logger's name, numbers; 174 bytes each, about."""
    chance = random.Random(1)
    return "".join(
        f"2026-11-22 20:{at // 60000 % 60:02}:{at // 1000 % 60:02}.{at % 1000:03}123 [{chance.choice(levels)}] "
        f"daq.readout.hslb{chance.randrange(4)}: run 1234 event {at} link {chance.randrange(48)} "
        f"size {chance.randrange(4000)} words, buffer {chance.randrange(100)} % full, "
        f"{chance.randrange(10**6)} events since the start of this run by the shift\n"
        for at in range(count)
    ).encode()


class Bench:
    """One server, rounds of the same lines, and what is made of them."""

    def __init__(self, server: Server, count: int, rounds: int, folder: Path) -> None:
        self._server, self._count, self._rounds, self._folder = server, count, rounds, folder
        self._file = folder / "lines"
        text = lines(count)
        self._file.write_bytes(text)
        self._bodies = shippers.bodies(text)
        #: What each shipper's rounds came to; `raw` is the limit.
        self.runs: dict[str, list[Run]] = {}
        print(
            f"{count} lines of {len(text) / count:.0f} bytes, {len(self._bodies)} bodies, load {os.getloadavg()[0]:.1f}"
        )

    def _place(self, file: Path | None = None) -> Place:
        return Place(self._server, f"bench-{secrets.token_hex(4)}", file or self._file, self._count)

    def _scratch(self) -> Path:
        return Path(tempfile.mkdtemp(dir=self._folder))

    def rates(self) -> None:
        """Everybody in turn."""
        ways = {
            "raw": lambda place: shippers.raw(place, self._bodies),
            "forwarder": lambda place: shippers.forwarder(place, self._scratch()),
            "rsyslog": lambda place: shippers.rsyslog(place, self._scratch()),
            "helpers": shippers.helpers,
        }
        if not shippers.RSYSLOGD:
            del ways["rsyslog"]
            print("there is no rsyslogd to compare with: scripts/setup --bench")
        print(
            "round  shipper     lines/s  of raw  of rsyslog  CPU-s a million lines  peak MB  Elasticsearch's CPU-s a million"
        )
        if self._rounds > 1:
            self._warm_up()
        for number in range(1, self._rounds + 1):
            for name, way in ways.items():
                self._once(name, way)
            self._show(str(number), {name: runs[-1:] for name, runs in self.runs.items()})
        self._show("med.", self.runs)

    def _warm_up(self) -> None:
        """A new server compiles itself while it runs: until it becomes no faster, nothing counts."""
        best, times = 0.0, 0
        while times < 8 and (times < 2 or self.runs["raw"][-1].seconds < 0.95 * best):
            best = min((run.seconds for run in self.runs.get("raw", [])), default=1e9)
            self._once("raw", lambda place: shippers.raw(place, self._bodies))
            times += 1
        self.runs.clear()

    def _once(self, name: str, way: Callable[[Place], Run]) -> None:
        place = self._place()
        self.runs.setdefault(name, []).append(way(place))
        self._server.clean(place.prefix, self._count)

    def _show(self, title: str, runs: dict[str, list[Run]]) -> None:
        """Ratios are taken within each round and their median is shown."""
        for name, mine in runs.items():
            ratio = {
                other: statistics.median(that.seconds / this.seconds for this, that in zip(mine, runs[other]))
                for other in ("raw", "rsyslog")
                if other in runs
            }
            print(
                f"{title:5}  {name:9}  {self._count / statistics.median(run.seconds for run in mine):8.0f}"
                f"  {ratio['raw']:6.2f}  {ratio.get('rsyslog', 0):10.2f}"
                f"  {statistics.median(run.cpu_s for run in mine) / self._count * 1e6:21.2f}"
                f"  {statistics.median(run.peak for run in mine):7.1f}"
                f"  {statistics.median(run.server_cpu_s for run in mine) / self._count * 1e6:31.1f}",
                flush=True,
            )

    def outage(self) -> None:
        """How fast what waited is stored when the server comes back, and how late new lines are meanwhile."""
        print("round  outage: waiting lines/s  of raw  live lines late by at most, s: waiting stream, other stream")
        rows = []
        for number in range(1, self._rounds + 1):
            limit = self._place()
            seconds = shippers.raw(limit, self._bodies).seconds
            self._server.clean(limit.prefix, self._count)
            place = self._place()
            found = outage(place, self._scratch())
            self._server.clean(place.prefix, self._count + found.live)
            rows.append((self._count / found.seconds, seconds / found.seconds, found.late_same_s, found.late_other_s))
            _show_rows(f"{number}", rows[-1:], "{:23.0f}  {:6.2f}  {:54.1f}  {:12.1f}")
        _show_rows("med.", rows, "{:23.0f}  {:6.2f}  {:54.1f}  {:12.1f}")

    def poison(self) -> None:
        """What 1 % of refused lines costs, and whether each of them is found as a dead letter."""
        print("round  poison: clean lines/s  with 1 % refused  ratio  ratio of all CPU-s  refused lines found  of")
        form = "{:21.0f}  {:16.0f}  {:5.2f}  {:18.2f}  {:19.0f}  {:2.0f}"
        rows: list[tuple[float, ...]] = []
        file = self._folder / "poisoned"
        text = lines(self._count, POISONED)
        file.write_bytes(text)
        bad = text.count(b"[ERROR]")
        for number in range(1, self._rounds + 1):
            # who is first has the colder caches, or the quieter machine: in turn
            clean, other = (self._place(file) for _ in range(2))
            if number % 2:
                usual = self._cleaned(clean, shippers.forwarder(clean, self._scratch()))
            run, found = poisoned(other, self._scratch())
            self._cleaned(other, run)
            if not number % 2:
                usual = self._cleaned(clean, shippers.forwarder(clean, self._scratch()))
            rates = [self._count / each.seconds for each in (usual, run)]
            cpu_s = [each.cpu_s + each.server_cpu_s for each in (usual, run)]
            rows.append((*rates, rates[1] / rates[0], cpu_s[0] / cpu_s[1], found, bad))
            _show_rows(f"{number}", rows[-1:], form)
            assert found == bad, f"{found} of {bad} refused lines can be found"
        _show_rows("med.", rows, form)

    def _cleaned(self, place: Place, run: Run) -> Run:
        self._server.clean(place.prefix, self._count)
        return run


def _show_rows(title: str, rows: Sequence[Sequence[float]], form: str) -> None:
    """The medians of the rows."""
    print(f"{title:5}  " + form.format(*map(statistics.median, zip(*rows))), flush=True)


def measure(server: Server, count: int, rounds: int, parts: Sequence[str] = PARTS) -> Bench:
    """Print one row per round, and the medians."""
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(server, count, rounds, Path(folder))
        for part in parts:
            if part == "outage" and not server.ours:
                print("no outage: this server is not ours to stop")
                continue
            getattr(bench, part)()
    return bench


def main() -> None:
    """Measure against the Elasticsearch that is named, or one that is brought up for it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--elasticsearch", metavar="URL", help="without it one is brought up")
    parser.add_argument("--pid", type=int, default=0, help="its first process, where it may be stopped for an outage")
    parser.add_argument("--lines", type=int, default=500_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default=",".join(PARTS), help=f"some of {','.join(PARTS)}")
    options = parser.parse_args()
    parts = options.only.split(",")
    if not set(parts) <= set(PARTS):
        parser.error(f"--only takes some of {','.join(PARTS)}")
    if options.elasticsearch:
        measure(Server(options.elasticsearch, options.pid), options.lines, options.rounds, parts)
        return
    with tempfile.TemporaryDirectory() as folder:
        cluster = Cluster(Path(folder) / "cluster", print)
        try:
            # the server as it is delivered: with both compilers of the JVM, without which it is the limit for everybody
            cluster.up(agents=0, elasticsearch_=True, jvm="")
            pid = cluster.members["elasticsearch"].pid
            measure(Server(cluster.elasticsearch_url, pid), options.lines, options.rounds, parts)
        finally:
            cluster.down()


if __name__ == "__main__":
    main()
