"""A forwarder goes on where one of an older version was killed: no line is lost, doubled, or of another time.

What the older one left is recorded in tests/recorded, by tests/record_forwarder.py.
"""

from __future__ import annotations

import json
import os
import socket
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from fake_elastic import FakeElastic
from forwarding import ForwarderProcess
from record_forwarder import ROOT, config
from waiting import until

RECORDED = sorted((Path(__file__).parent.parent / "recorded").glob("forwarder_*.json"))


@pytest.fixture
def elastic() -> Iterator[FakeElastic]:
    """An empty server, healthy."""
    made = FakeElastic()
    yield made
    made.close()


def lay_out(found: dict[str, Any], root: Path) -> None:
    """All files as they were when the forwarder was killed; what knows a file by its numbers knows the new ones."""
    numbers: dict[tuple[int, int], tuple[int, int]] = {}
    for one in found["files"]:
        path = root / one["path"]
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if "same_as" in one:
            os.link(root / one["same_as"], path)
            continue
        path.write_bytes(b"\0" * one.get("zeros", 0) + one.get("text", "").encode("utf-8", "surrogateescape"))
        status = path.stat()
        numbers[one["device"], one["inode"]] = status.st_dev, status.st_ino
    inodes = {old: new for (_, old), (_, new) in numbers.items()}
    for path in (*root.glob("spool/streams/*.json"), *root.glob("spool/forward/files/*.json")):
        stream = json.loads(path.read_text())
        stream["inode"] = inodes[stream["inode"]] if stream["inode"] else 0
        identity = stream["options"].get("identity")
        if identity:
            identity[:2] = numbers[identity[0], identity[1]]
        path.write_text(json.dumps(stream))
    for one in found["files"]:
        if "mtime_ns" in one:
            os.utime(root / one["path"], ns=(one["mtime_ns"], one["mtime_ns"]))


def test_there_is_a_record() -> None:
    """Else the test below would be content with nothing; and none of them names a place of whoever made it."""
    assert RECORDED
    for path in RECORDED:
        text = path.read_text()
        assert f'"{ROOT}/' in text and "/tmp" not in text and '"text": ""' not in text


@pytest.mark.parametrize("record", RECORDED, ids=lambda path: path.stem)
def test_what_an_older_forwarder_left_is_gone_on_with(record: Path, tmp_path: Path, elastic: FakeElastic) -> None:
    """Lines that are stored, that were sent without an answer, planned, left for later, cut in half, and not seen yet; a dead
    letter, a loss that is still to be told of, a second start of a program, a service's files, what came by syslog."""
    found = json.loads(record.read_text().replace(ROOT, str(tmp_path)))
    unfinished, half = found["unfinished"]
    (part,) = [one for one in found["files"] if one["path"] == unfinished]
    assert part["text"].endswith(half)
    part["text"] += "ne\n"
    lay_out(found, tmp_path)
    elastic.documents = {(index, id): document for index, id, document in found["documents"]}
    before = json.loads((tmp_path / "spool/forward/status.json").read_text())
    letters = (tmp_path / "spool/forward/deadletter.ndjson").read_text()
    jobs = list((tmp_path / "spool/streams").glob("*.json"))
    expected = Counter([*found["messages"], half + "ne"])
    assert set(expected.values()) == {1}
    with socket.socket(type=socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]

    def go_on() -> ForwarderProcess:
        process = ForwarderProcess(tmp_path / "spool", elastic.url, "logs", config=config(tmp_path, port))
        try:
            until(lambda: len(elastic.documents) > len(expected), "all is stored")
            until(lambda: not any(path.exists() for path in jobs), "streams that have ended are taken away")
            until(lambda: process.counts()["pid"] == process.process.pid, "the counts are written")
            assert process.counts()["losses"] == before["losses"]
        finally:
            assert process.stop() == 0
        return process

    go_on()
    process = go_on()  # what the first one leaves is gone on with, too
    told = Counter(elastic.messages()) - expected
    assert Counter(elastic.messages()) - told == expected
    assert list(told.values()) == [1] and "emptied before it was read to its end" in next(iter(told))
    # the times are those of the printing: nothing is of the day on which it was gone on with
    last = max(one["mtime_ns"] for one in found["files"] if "mtime_ns" in one) / 1e9
    times = [datetime.fromisoformat(one["@timestamp"].replace("Z", "+00:00")) for one in elastic.documents.values()]
    assert max(times).timestamp() < last + 0.001  # lines seen at once are a microsecond apart
    assert {index for index, _ in elastic.documents} == {index for index, _, _ in found["documents"]}
    starts = {
        one["message"]: one["daqsched"]["start"] for one in elastic.documents.values() if "readout 0" in one["message"]
    }
    assert (starts["readout 0041"], starts["readout 0042"]) == (1, 2)
    counts = process.counts()
    assert counts["duplicates"] == found["again"] and counts["dead"] == counts["dead_here"] == 1
    assert counts["read"] == len(elastic.documents) + counts["dead"] and counts["under_way"] == 0
    assert (counts["lost_bytes"], counts["dropped"]) == (found["lost_bytes"], 0)
    assert (tmp_path / "spool/forward/deadletter.ndjson").read_text() == letters
    assert not (tmp_path / "spool/forward/journal.bad").exists()
