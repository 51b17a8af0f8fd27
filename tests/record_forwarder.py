"""Records what the forwarder of an older checkout leaves behind when it is killed: see tests/contract/test_forward_older.py.

    git worktree add --detach OLD COMMIT
    PYTHONPATH=OLD/executor:OLD/framework:OLD/tests python tests/record_forwarder.py tests/recorded/forwarder_COMMIT.json

The older forwarder runs against the fake Elasticsearch with every kind of state on its disk: lines that are stored; batches that
were sent and whose answers it never saw, and one that was planned and not sent; lines that were left for later; a line cut in half;
a dead letter of this machine; a file that was emptied; starts of a program; a service's file, rotated; what came by syslog.
"""

from __future__ import annotations

import atexit
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Callable

from daqsched_executor.contract import FORWARDING_VARIABLE, Forwarding, LogFiles, Syslog
from daqsched_executor.contract.stream import start_row, starts_path
from fake_elastic import FakeElastic
from forwarding import Printer
from waiting import until

#: Stands in the record for the folder that all was in.
ROOT = "@ROOT@"

#: The forwarder with batches so small that a record of some kilobytes has all of them.
PROGRAM = """
import sys
from daqsched_executor.forward import main
for module in list(sys.modules.values()):
    for name in ("BODY", "LATE_BYTES", "BACKLOG_BYTES"):
        if module.__name__.startswith("daqsched_executor.forward") and hasattr(module, name):
            setattr(module, name, 4096)
sys.exit(main())
"""


def config(root: Path, port: int) -> Forwarding:
    """What it is told, and whoever goes on, too."""
    return Forwarding(
        host="hlt01",
        run_file=str(root / "run"),
        files=(LogFiles(name="conditions", paths=(f"{root}/logs/*.log",)),),
        syslog=Syslog(udp=port, address="127.0.0.1"),
    )


class Gate:
    """Requests with lines wait here until they may go on."""

    def __init__(self) -> None:
        self._free = threading.Semaphore(0)
        self.shut = False

    def __call__(self, path: str, body: bytes) -> int | None:
        if self.shut and "_bulk" in path:
            self._free.acquire()
        return None

    def let(self, count: int) -> None:
        """So many go on."""
        for _ in range(count):
            self._free.release()


def record(root: Path) -> dict[str, Any]:
    """Run it, kill it, and give all that is left, and what is expected of whoever goes on."""
    spool, logs = root / "spool", root / "logs"
    logs.mkdir()
    (root / "run").write_text("41\n")
    elastic, gate = FakeElastic(), Gate()
    elastic.refuse_request = gate
    with socket.socket(type=socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    printers = {
        name: Printer(spool, job=name, release="r5", labels={"crew": "night"}) for name in ("readout", "replay")
    }
    readout, replay = printers.values()
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "--spool", str(spool), "--elasticsearch", elastic.url, "--index", "logs"],
        env={**os.environ, FORWARDING_VARIABLE: config(root, port).to_json()},
    )
    atexit.register(process.kill)
    counts = spool / "forward" / "status.json"
    until(counts.exists, "the forwarder has begun")

    def log(count: int) -> str:
        """The service's next lines."""
        rows = "".join(f"{word} of the service\n" for word in number("conditions", count))
        with (logs / "conditions.log").open("a") as file:
            file.write(rows)
        return rows

    numbers: dict[str, int] = {}
    expected: list[str] = []

    def number(kind: str, count: int) -> list[str]:
        first = numbers.get(kind, 0)
        numbers[kind] = first + count
        return [f"{kind} {at:04}" for at in range(first, first + count)]

    def print_lines(printer: Printer, kind: str, count: int) -> None:
        rows = number(kind, count)
        expected.extend(rows)
        printer.print("".join(f"{row}\n" for row in rows))

    def send(count: int) -> None:
        with socket.socket(type=socket.SOCK_DGRAM) as sender:
            for row in number("syslog", count):
                expected.append(row)
                sender.sendto(f"<28>nsmd2[4711]: {row}".encode(), ("127.0.0.1", port))

    def stored() -> bool:
        return sorted(elastic.messages()) == sorted(expected)

    # stored, and a letter that is taken in no form
    until(lambda: _bound(port), "the port is open")
    print_lines(readout, "readout", 30)
    print_lines(replay, "replay", 5)
    send(6)
    expected += log(8).splitlines()
    until(stored, "all is stored")
    elastic.refuse_document = lambda document: (400, "poison") if "poison" in json.dumps(document) else None
    readout.print("poison\n")
    until((spool / "forward" / "deadletter.ndjson").exists, "the dead letter")
    until(lambda: json.loads(counts.read_text())["dead_here"] == 1, "the dead letter is counted")
    elastic.refuse_document = lambda document: None
    # sent, and no answer: three senders, and one batch that waits for them
    gate.shut = True
    (root / "run").write_text("42\n")
    journal = spool / "forward" / "journal"
    for planned in range(1, 5):
        another = planned_after(journal)
        print_lines(readout, "readout", 3)
        until(another, f"batch {planned} is planned")
    # a second start of the program; what its first lines wait for is long ago
    size = readout.path.stat().st_size
    Path(starts_path(str(readout.registration))).write_bytes(start_row(size, 2))
    print_lines(readout, "readout", 350)
    replay.print("lost 1\nlost 2\n")
    send(4)
    expected += log(4).splitlines()
    until(lambda: json.loads(counts.read_text())["waiting_bytes"] > 4672, "it is seen")
    os.truncate(replay.path, 0)
    until(lambda: b'"lost"' in journal.read_bytes(), "the loss is noted")
    print_lines(replay, "replay", 3)
    os.rename(logs / "conditions.log", logs / "conditions.log.1")
    expected += log(5).splitlines()
    until(lambda: len(list((spool / "forward" / "files").glob("*.json"))) == 2, "the new file is found")
    print_lines(readout, "readout", 4)
    time.sleep(2.5)  # noqa: TID251 - what waits must be old before new lines go ahead of it
    print_lines(readout, "readout", 4)
    time.sleep(0.5)  # noqa: TID251 - two looks
    gate.let(1)
    until(lambda: b'"jump"' in journal.read_bytes(), "new lines go ahead")
    done = journal.read_bytes().count(b'"done"')
    until(lambda: journal.read_bytes().rpartition(b'"jump"')[2].count(b'"plan"') > 0, "they are planned")
    process.kill()
    process.wait()
    assert journal.read_bytes().count(b'"done"') == done
    # what was sent arrives all the same; nobody hears of it
    sent = len(elastic.bulks) + 3
    gate.let(1000)
    until(lambda: len(elastic.bulks) == sent, "what was sent arrives")
    elastic.close()
    # and programs print on
    print_lines(readout, "readout", 5)
    readout.print("half a li")
    expected += log(2).splitlines()
    for printer in printers.values():
        printer.die()
    return {
        "messages": sorted(expected),
        "unfinished": [str(readout.path.relative_to(root)), "half a li"],
        "lost_bytes": len("lost 1\nlost 2\n"),
        "again": 9,
        "documents": [[*key, document] for key, document in sorted(elastic.documents.items())],
        "files": files(root),
    }


def files(root: Path) -> list[dict[str, Any]]:
    """All files below the folder."""
    found: list[dict[str, Any]] = []
    names: dict[int, str] = {}
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        status, name = path.stat(), str(path.relative_to(root))
        text = path.read_bytes().decode("utf-8", "surrogateescape")
        if name.endswith("no_ports.json"):
            text = json.dumps({**json.loads(text), "boot": ""})
        first = names.setdefault(status.st_ino, name)
        one: dict[str, Any] = {"path": name}
        if first != name:
            one["same_as"] = first
        else:
            one.update(mtime_ns=status.st_mtime_ns, device=status.st_dev, inode=status.st_ino)
            one.update({"zeros": len(text)} if not text.strip("\0") else {"text": text})
        found.append(one)
    return found


def planned_after(journal: Path) -> Callable[[], bool]:
    """A condition: one batch more is planned than now."""
    before = journal.read_bytes().count(b'"plan"')
    return lambda: journal.read_bytes().count(b'"plan"') > before


def _bound(port: int) -> bool:
    with socket.socket(type=socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
        return False


def text_of(found: dict[str, Any], root: str) -> str:
    """JSON with a file, a document or a message in each row, and no name of a place on this machine."""
    parts = []
    for name, value in found.items():
        rows = ",\n ".join(json.dumps(one) for one in value) if isinstance(value, list) else ""
        parts.append(f"{json.dumps(name)}: " + (f"[\n {rows}\n]" if rows else json.dumps(value)))
    return ("{" + ",\n".join(parts) + "}\n").replace(root, ROOT)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        Path(sys.argv[1]).write_text(text_of(record(Path(folder)), folder))
