"""Syslog and JSON lines over UDP and TCP: one thread that takes what comes and writes it to the spool, and nothing else.

It never waits for Elasticsearch or for the thread that makes documents. What the kernel dropped, and what the spool had no
room for, is counted and written to the spool as a row that becomes a document.
"""

from __future__ import annotations

import os
import selectors
import threading
import time
from collections.abc import Sequence

from ...contract import JsonLines, Syslog
from ..forms.received import MISSED, row
from ..status.threads import start
from ..streams.source import Source
from .downtime import Downtime
from .handover import Handover
from .port import Port, Warn
from .spool_file import SpoolFile
from .tcp import Listener
from .udp import Datagrams

#: So often all is synced, and the kernel's drops are read.
SYNC_S, ASK_S = 0.2, 1.0


class Receiver:
    """All sockets of a forwarder. Its sources are found in the spool: it gives none itself."""

    def __init__(self, syslog: Syslog, json: JsonLines, spool: str, folder: str, host: str, warn: Warn) -> None:
        """Opens the sockets and begins to take; a port that can't be had is said, and tried again. ``folder`` is the
        forwarder's own."""
        self._warn = warn
        self._selector = selectors.DefaultSelector()
        self._over = threading.Event()
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._selector.register(self._wake_read, selectors.EVENT_READ, None)
        self._ports: list[Port] = []
        handover = Handover(os.environ)
        files: dict[str, SpoolFile] = {}
        for format, told in (("syslog", syslog), ("json", json)):
            file = SpoolFile(spool, format, host, format)
            at = (self._selector, file, told.address)
            if told.udp:
                buffer = int(told.buffer * 1024 * 1024)
                self._ports.append(Datagrams(*at, told.udp, buffer, warn, handover))
                files[format] = file
            if isinstance(told, Syslog) and told.tcp:
                self._ports.append(Listener(*at, told.tcp, told.senders, told.idle_s, warn, handover))
                files[format] = file
        handover.close()
        self._files = list(files.values())
        self._downtime = Downtime(os.path.join(folder, "no_ports.json")) if syslog.udp or json.udp else None
        self._missed_reported = False
        self._thread = start("receiver", self._work, folder)

    @property
    def lost(self) -> int:
        """See `spool.Input`."""
        return sum(port.lost for port in self._ports)

    def discover(self, now: float) -> Sequence[Source]:
        """See `spool.Input`: the streams are registered in the spool, where they are found as all others."""
        return ()

    def close(self) -> None:
        """Take what the sockets hold, and no more."""
        self._over.set()
        os.write(self._wake_write, b"x")
        self._thread.join(5.0)

    def _work(self) -> None:
        next_sync = next_ask = 0.0
        while not self._over.is_set():
            now = time.monotonic()
            if now >= next_ask:
                next_ask = now + ASK_S
                for port in self._ports:
                    port.look(now)
                self._report_downtime()
            timeout = max(0.0, min(next_sync, next_ask) - now) if any(file.dirty for file in self._files) else ASK_S
            for key, _ in self._selector.select(timeout):
                if key.data is not None:
                    key.data()
            if time.monotonic() >= next_sync:
                next_sync = time.monotonic() + SYNC_S
                self._sync()
        for port in self._ports:
            port.finish()
        self._sync()
        for file in self._files:
            file.close()

    def _report_downtime(self) -> None:
        """Once all ports are open: how many datagrams may have been lost before."""
        if self._downtime is None or not all(port.open for port in self._ports):
            return
        there = all(port.handed for port in self._ports if isinstance(port, Datagrams))
        missed = 0 if self._missed_reported or there else self._downtime.missed()
        if missed:
            try:
                self._files[0].append(row(time.time_ns() // 1000, MISSED, b"%d" % missed))
            except OSError:
                return  # the next look tries again
        self._missed_reported = True
        self._downtime.note()

    def _sync(self) -> None:
        for file in self._files:
            try:
                file.sync()
            except OSError as error:
                self._warn("received", f"what was received cannot be written to the disk: {error.strerror}")
