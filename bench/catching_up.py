"""After an outage: how fast what waited is stored, and how late what is printed meanwhile."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import NamedTuple

from server import Server
from shippers import Place

from forwarding import ForwarderProcess, Printer

#: How long the server answers nobody, and how many lines a second each of two streams prints from then on.
OUTAGE_S, RATE = 3.0, 100.0


class Outage(NamedTuple):
    """Seconds from the server's return until as many lines as had waited were indexed; how late live lines could be found
    meanwhile, at most, in the stream where lines waited and in the other one; how many live lines there were."""

    seconds: float
    late_same_s: float
    late_other_s: float
    live: int


class Live(threading.Thread):
    """Prints numbered lines at a steady rate until it is told to end."""

    def __init__(self, printer: Printer) -> None:
        super().__init__(daemon=True)
        self._printer = printer
        self.printed: list[float] = []
        self.ending = threading.Event()

    def run(self) -> None:
        while not self.ending.wait(1 / RATE):
            self.printed.append(time.monotonic())
            self._printer.print(f"livelihood {len(self.printed)} of {self._printer.id}\n")

    def late_s(self, server: Server, prefix: str) -> float:
        """How long the oldest line that can't be found yet has been printed."""
        now, printed = time.monotonic(), len(self.printed)
        mine = [{"term": {"service.name": self._printer.stream.job}}, {"match": {"message": "livelihood"}}]
        found = server.ask("POST", f"/{prefix}-*/_count", {"query": {"bool": {"filter": mine}}})["count"]
        return now - self.printed[found] if found < printed else 0.0


def outage(place: Place, folder: Path) -> Outage:
    """Stop the server, print all lines into a stream, let it go on, and print live ones into this and another stream."""
    server, spool = place.server, folder / "spool"
    same, other = Printer(spool), Printer(spool, job="storage")
    same.print("before\n")
    forward = ForwarderProcess(spool, server.url, place.prefix)
    server.wait_for(place.prefix, 1)
    with server.hanging():
        same.print(place.file.read_bytes())
        time.sleep(OUTAGE_S)
    began = time.monotonic()
    live = [Live(printer) for printer in (same, other)]
    for one in live:
        one.start()
    late = [0.0, 0.0]
    seconds = 0.0
    while not seconds:
        if server.indexed(place.prefix) > place.count:
            seconds = time.monotonic() - began
        late = [max(most, one.late_s(server, place.prefix)) for most, one in zip(late, live)]
        time.sleep(0.1)
    for one in live:
        one.ending.set()
        one.join()
    total = place.count + 1 + sum(len(one.printed) for one in live)
    server.wait_for(place.prefix, total)
    assert forward.stop() == 0, forward.errors
    same.die()
    other.die()
    return Outage(seconds, late[0], late[1], total - place.count)
