"""The forwarder against the real Elasticsearch: every line once, whatever dies."""

from __future__ import annotations

import contextlib
import json
import os
import random
import statistics
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from daqcluster.processes import marked
from daqsched.logs import search
from daqsched.logs.query import Wanted
from daqsched_executor.contract.template import template
from daqsched_executor.forward.documents.record import index_of
from forwarding import ForwarderProcess, Index, Printer
from relay import Relay
from waiting import alive, until


@pytest.fixture
def index(cluster: Any) -> Iterator[Index]:
    """A clean prefix; its indices and template are deleted afterwards."""
    made = Index(cluster.elasticsearch_url)
    yield made
    made.remove()


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """An empty spool."""
    return tmp_path / "spool"


#: How often the forwarder is killed; `make faults` may want more.
KILLS = int(os.environ.get("DAQSCHED_TEST_KILLS", "20"))


class Chatter(threading.Thread):
    """Prints numbered lines of all kinds into a stream until it is told to end."""

    def __init__(self, printer: Printer, seed: int) -> None:
        super().__init__(daemon=True)
        self._printer = printer
        self._random = random.Random(seed)
        self.expected: dict[str, str] = {}
        self._offset = 0
        self.ending = threading.Event()

    def run(self) -> None:
        number = 0
        while not self.ending.is_set():
            written = b""
            for _ in range(self._random.choice((1, 5, 50, 400))):
                number += 1
                text = f"line {number} of {self._printer.id} " + "x" * self._random.choice((0, 10, 100, 1000))
                self.expected[f"{self._printer.id}-{self._offset:010x}"] = text
                row = text.encode() + b"\n"
                written += row
                self._offset += len(row)
            # Half a line now and the rest later is what a buffering program writes.
            middle = self._random.randrange(len(written))
            self._printer.print(written[:middle])
            time.sleep(self._random.uniform(0, 0.3))
            self._printer.print(written[middle:])


@contextlib.contextmanager
def chatting(spool: Path, count: int, seed: int) -> Iterator[dict[str, str]]:
    """So many programs print while the block runs; the dict holds ids and texts of all their lines at its end."""
    printers = [Printer(spool, job=f"job{at}") for at in range(count)]
    chatters = [Chatter(printer, seed + at) for at, printer in enumerate(printers)]
    expected: dict[str, str] = {}
    for chatter in chatters:
        chatter.start()
    try:
        yield expected
    finally:
        for chatter, printer in zip(chatters, printers):
            chatter.ending.set()
            chatter.join()
            printer.die()
            expected.update(chatter.expected)


def settle(spool: Path) -> None:
    """Wait until the forwarder has taken all streams away: every line of theirs is stored."""
    until(lambda: not list((spool / "streams").iterdir()), "all streams are taken away", 120)


def check(index: Index, expected: dict[str, str], seed: int) -> None:
    """Every line once, with its own text, and each stream's lines in their order when sorted by time."""
    found = index.documents()
    assert len(found) == len(expected), f"seed {seed}"
    assert {hit["_id"]: hit["_source"]["message"] for hit in found} == expected, f"seed {seed}"
    latest: dict[str, int] = {}
    for hit in found:
        stream, offset = hit["_id"].rsplit("-", 1)
        assert int(offset, 16) == hit["_source"]["log"]["offset"] > latest.get(stream, -1), f"seed {seed}"
        latest[stream] = int(offset, 16)


def test_kill_9_at_random_moments_loses_no_line_and_doubles_none(index: Index, spool: Path) -> None:
    """Killed again and again while four streams are written: every line is there exactly once, with its own text, in order."""
    seed = random.randrange(1 << 30)
    chance = random.Random(seed)
    with chatting(spool, 4, seed) as expected:
        for _ in range(KILLS):
            forwarder = ForwarderProcess(spool, index.url, index.prefix)
            time.sleep(chance.uniform(0.1, 1.0))
            forwarder.kill()
    forwarder = ForwarderProcess(spool, index.url, index.prefix)
    settle(spool)
    assert forwarder.stop() == 0
    check(index, expected, seed)


def test_cut_connections_lose_no_line_and_double_none(index: Index, spool: Path) -> None:
    """Connections break at any byte, also between a request that was applied and its answer."""
    seed = random.randrange(1 << 30)
    chance = random.Random(seed)
    with Relay(index.url) as relay, chatting(spool, 3, seed) as expected:
        forwarder = ForwarderProcess(spool, relay.url, index.prefix)
        for _ in range(40):
            time.sleep(chance.uniform(0.02, 0.2))
            relay.cut()
    with Relay(index.url, relay.port):
        settle(spool)
        assert forwarder.stop() == 0
    check(index, expected, seed)
    assert "Traceback" not in forwarder.errors


def test_a_line_is_found_within_two_seconds(index: Index, spool: Path) -> None:
    """From printing to a search that finds it: the median of a few, so that a machine that stands still once does no harm."""
    printer = Printer(spool)
    forwarder = ForwarderProcess(spool, index.url, index.prefix)
    printer.print("the first makes the index\n")
    until(lambda: index.messages() and True, "the index is there")
    client = search.connect(index.url)
    took = []
    for at in range(5):
        printed = time.monotonic()
        printer.print(f"marker{at}\n")
        wanted = Wanted(words=("readout",), text=f"marker{at}")
        until(partial(search.tail, client, wanted, 1, index.prefix), "found", 10)
        took.append(time.monotonic() - printed)
        time.sleep(0.37)
    assert statistics.median(took) < 2.0, took
    client.close()
    assert forwarder.stop() == 0


def test_a_backlog_is_stored_whole(index: Index, spool: Path) -> None:
    """What was printed while no forwarder ran, 60,000 lines of three streams, is all there."""
    printers = [Printer(spool, job=f"job{at}") for at in range(3)]
    for printer in printers:
        printer.print("".join(f"{at} of the backlog\n" for at in range(20_000)))
        printer.die()
    forwarder = ForwarderProcess(spool, index.url, index.prefix)
    settle(spool)
    assert forwarder.stop() == 0
    index.ask("POST", f"/{index.prefix}-*/_refresh")
    assert index.count() == 60_000


def misfit(index: Index, field: str) -> str:
    """Today's index as somebody made it by hand, with a number where our documents have ``field``; its name."""
    name = index_of(index.prefix, time.time_ns() // 1000)
    mappings = template(index.prefix)["template"]["mappings"]
    mappings["properties"][field] = {"type": "long"}
    index.ask("PUT", f"/{name}", {"mappings": mappings})
    return name


@pytest.mark.parametrize("field", ["labels", "message"])
def test_a_document_that_the_mapping_refuses_is_a_dead_letter(index: Index, spool: Path, field: str) -> None:
    """Somebody's index has numbers where our documents have texts: the line is in an index of our own, and says why."""
    name = misfit(index, field)
    printer = Printer(spool, labels={"run": "7"})
    printer.print("cannot be refused\n")
    printer.die()
    forwarder = ForwarderProcess(spool, index.url, index.prefix)
    settle(spool)
    assert forwarder.stop() == 0
    (hit,) = index.documents()
    assert hit["_index"] == f"{index.prefix}-deadletter-{time.gmtime().tm_year}.{time.gmtime().tm_mon:02}"
    source = hit["_source"]
    assert source["message"] == "cannot be refused"
    assert source["event"]["dataset"] == "daqsched.deadletter"
    assert source["daqsched"]["deadletter"]["index"] == name
    assert "document_parsing_exception" in source["error"]["message"]
    assert json.loads(source["event"]["original"])["labels"] == {"run": "7"}
    assert not (spool / "forward" / "deadletter.ndjson").exists()


def test_strange_lines_are_stored_and_read_back_as_they_are(index: Index, spool: Path) -> None:
    """NULs, rubbish bytes, emoji, an empty line and one of 300 KiB."""
    long = "".join(f"word{at} " for at in range(40_000))
    printer = Printer(spool)
    printer.print(b"nul \0\nbad \xff\xfe\n\xf0\x9f\x90\xb1\n\n" + long.encode() + b"\n" + b"y" * 70_000 + b"\nend")
    printer.die()
    forwarder = ForwarderProcess(spool, index.url, index.prefix)
    settle(spool)
    assert forwarder.stop() == 0
    messages = index.messages()
    assert messages[:4] == ["nul \0", "bad \ufffd\ufffd", "\U0001f431", ""]
    assert "".join(messages[4:6]) == long
    assert messages[6:] == ["y" * 70_000, "end"]
    assert not (spool / "forward" / "deadletter.ndjson").exists()


def test_elasticsearch_killed_in_the_middle_loses_no_line(cluster: Any, index: Index, spool: Path) -> None:
    """kill -9 of the server, under load; when it is back, every line is there once."""
    seed = random.randrange(1 << 30)
    forwarder = ForwarderProcess(spool, index.url, index.prefix)
    with chatting(spool, 2, seed) as expected:
        until(index.count, "some lines are stored")
        pids = [pid for pid in marked(cluster.id) if b"elasticsearch" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        cluster.kill("elasticsearch")
        assert len(pids) == 1 and not any(alive(pid) for pid in pids)
        time.sleep(1)
        cluster.start("elasticsearch")
    settle(spool)
    assert forwarder.stop() == 0
    check(index, expected, seed)
