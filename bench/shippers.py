"""Who brings lines from a file into Elasticsearch: our forwarder, rsyslog, elasticsearch-py, and nobody (bodies made before).

All store documents with the same fields, `create` them with an id of their own, into an index made by the same template.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from server import Server

from daqsched_executor.contract import Stream
from daqsched_executor.contract.template import template
from daqsched_executor.forward.documents.batch import BODY, REPLY_FILTER, Documents
from daqsched_executor.forward.documents.lines import CHUNK
from daqsched_executor.forward.documents.record import constant, index_of
from daqsched_executor.forward.forms import Text
from daqsched_executor.forward.journal.position import Position
from forwarding import ForwarderProcess, Printer

HERE = Path(__file__).parent

STREAM = Stream("AAAAAAAAAAA", "stdout", "", 0, "readout@hlt01.1", "readout", "hlt01")

#: What the index's template asks of rsyslog, where it is in no PATH of a user.
RSYSLOGD = shutil.which("rsyslogd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


class Run(NamedTuple):
    """What it took to store the lines: seconds until all are counted, the shipper's CPU-seconds with its start and end, its
    largest memory in MB (0: nothing to compare), and the server's CPU-seconds."""

    seconds: float
    cpu_s: float
    peak: float
    server_cpu_s: float


@dataclass(frozen=True)
class Place:
    """Where lines come from and go to."""

    server: Server
    prefix: str
    file: Path
    count: int

    @property
    def index(self) -> str:
        """Today's."""
        return index_of(self.prefix, time.time_ns() // 1000)


def bodies(text: bytes) -> list[bytes]:
    """The very bodies that the forwarder would send."""
    form = Text(STREAM, 0)
    micros = time.time_ns() // 1000
    at, made, documents = Position(0, 0), [], Documents()
    while at.offset < len(text):
        step = form.encode(text[at.offset : at.offset + CHUNK], at, micros, False, BODY - documents.size)
        if not step.documents:
            made.append(documents.body())
            documents = Documents()
            continue
        documents += step.documents
        micros += len(step.documents)
        at = Position(0, step.end, step.cut)
    return [*made, documents.body()]


def raw(place: Place, made: Sequence[bytes]) -> Run:
    """The limit of the server: the bodies over two kept-alive connections, by somebody who does nothing else."""
    server = place.server
    server.ask("PUT", f"/_index_template/{place.prefix}", template(place.prefix))
    path = f"/{place.index}/_bulk?{REPLY_FILTER}"

    def send(mine: Sequence[bytes]) -> None:
        connection = server.connect()
        for body in mine:
            connection.request("POST", path, body, {"Content-Type": "application/x-ndjson"})
            assert connection.getresponse().read().startswith(b'{"errors":false')
        connection.close()

    before, cpu_s, began = server.cpu_s(), time.process_time(), time.monotonic()
    threads = [threading.Thread(target=send, args=(made[at::2],)) for at in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    server.wait_for(place.prefix, place.count)
    return Run(time.monotonic() - began, time.process_time() - cpu_s, 0.0, server.cpu_s() - before)


def forwarder(place: Place, folder: Path) -> Run:
    """Ours, from a stream's file on disk."""
    spool = folder / "spool"
    printer = Printer(spool)
    printer.print(place.file.read_bytes())
    with _measured(place) as results:
        forward = ForwarderProcess(spool, place.server.url, place.prefix)
        results.wait(forward.process)
        assert forward.stop() == 0, forward.errors
    printer.die()
    return results.run


def helpers(place: Place) -> Run:
    """elasticsearch-py's ``helpers.bulk`` in a process of its own."""
    server = place.server
    server.ask("PUT", f"/_index_template/{place.prefix}", template(place.prefix))
    with _measured(place) as results:
        process = subprocess.Popen(
            [sys.executable, str(HERE / "helpers.py"), server.url, place.index, str(place.file), _constant()]
        )
        results.wait(process)
        assert process.wait() == 0
    return results.run


#: Tuned as far as its manual tells: large batches, two workers. The level is cut out of the line between brackets.
RSYSLOG_CONF = r"""
global(workDirectory="{folder}" maxMessageSize="256k")
module(load="imfile")
module(load="omelasticsearch")
template(name="id" type="string" string="AAAAAAAAAAA-%$!metadata!fileoffset%")
template(name="document" type="string" string="{{\"@timestamp\":\"%timegenerated:::date-rfc3339%\",\"message\":\"%msg:::json%\",\
\"log\":{{\"offset\":%$!metadata!fileoffset%,\"level\":\"%$.level%\"}},{constant}}}")
input(type="imfile" file="{file}" tag="readout" addMetadata="on" ruleset="store")
ruleset(name="store" queue.type="LinkedList" queue.size="100000" queue.dequeueBatchSize="5000" queue.workerThreads="2") {{
  set $.rest = field($msg, 91, 2);
  set $.level = tolower(field($.rest, 93, 1));
  action(type="omelasticsearch" server="{host}" serverport="{port}" searchType="" searchIndex="{index}"
         bulkmode="on" writeoperation="create" template="document" bulkid="id" dynbulkid="on" maxbytes="10m"
         errorfile="{folder}/errors" action.resumeRetryCount="-1")
}}
"""


def rsyslog(place: Place, folder: Path) -> Run:
    """Debian's rsyslog with omelasticsearch."""
    assert RSYSLOGD, "there is no rsyslogd: scripts/setup --bench"
    server = place.server
    server.ask("PUT", f"/_index_template/{place.prefix}", template(place.prefix))
    conf = folder / "rsyslog.conf"
    conf.write_text(
        RSYSLOG_CONF.format(
            folder=folder,
            file=place.file,
            host=server.host,
            port=server.port,
            index=place.index,
            constant=_constant()[1:-1].replace('"', r"\""),
        )
    )
    with _measured(place) as results, (folder / "says").open("wb") as says:
        process = subprocess.Popen([RSYSLOGD, "-n", "-f", str(conf), "-i", str(folder / "pid")], stderr=says)
        results.wait(process)
        process.terminate()
        process.wait(30)
    assert not (folder / "errors").exists(), (folder / "errors").read_text()[:2000]
    return results.run


def _constant() -> str:
    """The fields that all lines have, as a JSON object."""
    return json.dumps(json.loads(b"{" + constant(STREAM)[1:] + b"}"), separators=(",", ":"))


class _Results:
    def __init__(self, place: Place) -> None:
        self._place = place
        self._began = time.monotonic()
        self._seconds = self._peak = 0.0
        self.run = Run(0, 0, 0, 0)

    def wait(self, process: subprocess.Popen[bytes]) -> None:
        """Until the index counts all lines."""

        def look() -> None:
            assert not process.poll(), f"it ended with {process.returncode}"
            self._peak = max(self._peak, peak_mb(process.pid))

        self._place.server.wait_for(self._place.prefix, self._place.count, look)
        self._seconds = time.monotonic() - self._began

    def finish(self, cpu_s: float, server_cpu_s: float) -> None:
        self.run = Run(self._seconds, cpu_s, self._peak, server_cpu_s)


def peak_mb(pid: int) -> float:
    """The largest memory (RSS) that a process has had; 0 where it has ended."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next((int(row.split()[1]) / 1024 for row in status.splitlines() if row.startswith("VmHWM")), 0.0)


@contextmanager
def _measured(place: Place) -> Iterator[_Results]:
    """Everything from the start of a process until it was waited for."""
    before, server_before = resource.getrusage(resource.RUSAGE_CHILDREN), place.server.cpu_s()
    results = _Results(place)
    yield results
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    results.finish(cpu_s, place.server.cpu_s() - server_before)
