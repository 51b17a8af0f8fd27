"""pymesos' driver, made to keep at it: whatever a master, a network, ZooKeeper or a name server does, it is tried again.

The library's own ends with an exception where a name can't be resolved, a network can't be reached, or a master that has
just started answers 404 because it does not know its own paths yet. It stops looking where ZooKeeper is silent at the start,
asks again without a pause where no master leads, waits for ever for a master that is frozen, cut off or drips, takes in an
event of any size, and ends where it is given a descriptor above 1,023.
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import select
import socket
import threading
import time
import warnings
from collections.abc import Collection
from http import HTTPStatus
from typing import Any, Callable, Mapping, Optional

import pymesos
import pymesos.process

from daqsched.mesos.calls import CallConnection
from daqsched.mesos.incoming import event_of

logger = logging.getLogger(__name__)

# pymesos hangs a handler of its own onto its logger, which would say everything twice
for _handler in list(pymesos.logger.handlers):
    pymesos.logger.removeHandler(_handler)

#: Seconds between two attempts to reach the master: the first, and the most that they become.
_RETRY_S, _RETRY_MOST_S = 0.2, 3.0

#: Seconds within which a master answers a call, and a subscription.
_CALL_S, _SUBSCRIBE_S = 10.0, 30.0

#: How long the library's loop waits at most before it looks again (`pymesos.process.SELECT_TIMEOUT`).
_LOOKS_S = 2.0

#: So many of its heartbeats may stay away before a master is taken for gone; one comes each 15 s, where it says nothing else.
_HEARTBEATS, _HEARTBEAT_S = 4, 15.0

#: The largest header of a subscription's answer, and the largest event: 10,000 agents offered at once are 20 MB.
_HEADER_BYTES, _EVENT_BYTES = 64 << 10, 256 << 20

#: After so many attempts at the leader that a master named, the master that we were given is asked again.
_AT_ANOTHER = 5

#: Answers to a subscription that no waiting changes: somebody has to mend something first. Mesos gives the first three.
FOR_GOOD = (HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.METHOD_NOT_ALLOWED)

#: What the library does not put into words.
_WORDS: Mapping[int, str] = {
    HTTPStatus.TEMPORARY_REDIRECT: "it names another leader",
    HTTPStatus.SERVICE_UNAVAILABLE: "no master leads (503)",
}


class Driver(pymesos.MesosSchedulerDriver):
    """Quick to come back (pymesos' own waits begin at 2 s and end at 15 s), quick to end, and never tired."""

    def __init__(self, allowed: Callable[[], bool], sched: Any, framework: Any, master: str, **options: Any) -> None:
        """``allowed`` says, on another thread, whether we may still speak for the framework."""
        # not before a framework of ours is here: who uses pymesos otherwise in this process has it as it is
        pymesos.process.json = _Json
        pymesos.process.Connection = _Connection  # type: ignore[misc]
        pymesos.process.select = _Poll
        self._by_zookeeper = master.startswith("zk://")
        master = master if self._by_zookeeper or ":" in master else f"{master}:5050"
        # the time limit is that of a call; for attempts to connect there is none, see _Connection.handle_connect_event
        super().__init__(sched, framework, master, timeout=_CALL_S, **options)
        self._allowed = allowed
        #: Set where nobody shall wait any more.
        self.over = threading.Event()
        #: The master's silence, in seconds, that says that it is gone; before it has answered, and after.
        self.patience_s = _SUBSCRIBE_S
        self.connection: Optional[_Connection] = None
        self.subscribed = False
        self._attempts = 0
        self._told: set[str] = set()

    # ------------------------------------------------------------------ from one attempt to the next

    def start(self) -> None:
        """Begin to connect, and return."""
        if self._by_zookeeper:
            pymesos.process.Process.start(self)
            threading.Thread(target=self._detect, name="master detection", daemon=True).start()
        else:
            super().start()

    def stop(self, failover: bool = True) -> None:
        """Wait for nothing any more."""
        self.over.set()
        detector = self.detector
        super().stop(failover)
        if detector is not None:
            detector.zk.close()

    def _detect(self) -> None:
        """Watch the leader's node. The library's own way ends where ZooKeeper is silent, or has no such node, at the start."""
        from kazoo.handlers.threading import KazooTimeoutError
        from pymesos.detector import MasterDetector

        from daqsched.store.keeper import bound

        class Detector(MasterDetector):
            looked = False

            def choose(self, children: list[str]) -> bool:
                self.looked = True
                return super().choose(children)

        # kazoo's way to say what is said below
        warnings.filterwarnings("ignore", "No chroot path exists", UserWarning)
        while True:
            detector = Detector(self.master_uri[len("zk://") :], self)
            bound(detector.zk)
            with self._lock:  # `stop` sees this one, or we see that it was there
                if self.over.is_set():
                    return
                self.detector = detector
            why = "no master has announced itself there"
            try:
                detector.start()
                if detector.looked:
                    return
            except KazooTimeoutError:
                why = "ZooKeeper does not answer"
            detector.stop()
            detector.zk.close()
            self.again(why)

    def again(self, why: str) -> None:
        """Say, once, why the master can't be reached, and wait before the next attempt, longer each time."""
        if why not in self._told:
            self._told.add(why)
            logger.warning("not connected to %s: %s; trying again", self.master or self.master_uri, why)
        self.over.wait(min(_RETRY_MOST_S, _RETRY_S * 2 ** min(self._attempts, 10)))
        self._attempts += 1
        if self._attempts % _AT_ANOTHER == 0 and not self._by_zookeeper and self.master != self.master_uri:
            self.change_master(self.master_uri)

    def doubt(self, why: str) -> None:
        """What is connected is not to be used any more: begin again."""
        self.stream_id = None
        if self.connection is not None:
            self.connection.fail(why)

    def _get_conn(self) -> Any:
        if self.connected and self._conn is None and self.master is not None:
            host, _, port = self.master.rpartition(":")
            self._conn = CallConnection(host, int(port), timeout=self._timeout)
        return super()._get_conn()

    # ------------------------------------------------------------------ pymesos' names, pymesos' thread

    def process_event(self, event: Any) -> None:
        if self.connection is not None:
            self.connection.heard()
        super().process_event(event)

    def on_subscribed(self, info: Mapping[str, Any]) -> None:
        self.subscribed = True
        self.patience_s = _HEARTBEATS * float(info.get("heartbeat_interval_seconds") or _HEARTBEAT_S)
        self._attempts = 0
        self._told.clear()
        super().on_subscribed(info)

    def on_close(self) -> None:
        self.subscribed, self.patience_s = False, _SUBSCRIBE_S
        super().on_close()

    def on_offers(self, event: Mapping[str, Any]) -> None:
        # pymesos' own makes a dictionary of each
        self.sched.resourceOffers(self, event["offers"])

    def gen_request(self) -> bytes:
        # an empty request is one that is never sent: who was deposed would take the farm away from its successor
        return super().gen_request() if self._allowed() else b""


class _Connection(pymesos.process.Connection):
    """In the place of the library's: for a `Driver`, what may pass is waited for; for others nothing is different."""

    def __init__(self, addr: str, callback: Any) -> None:
        self._driver = callback if isinstance(callback, Driver) else None
        #: Why it is no use any more.
        self._failed = ""
        #: When it last said something whole, and when anybody last looked whether it did.
        self._heard = self._looked = time.monotonic()
        #: Bytes of a header that is not whole.
        self._header = 0
        while True:
            try:
                super().__init__(addr, callback)
            except OSError as error:  # no such name (now), no route
                if self._driver is None:
                    raise
                if error.errno in (errno.EMFILE, errno.ENFILE) and not self._driver.over.is_set():
                    self._driver.again(error.strerror or str(error))
                    continue
                self._failed = error.strerror or str(error)
                self._callback, self._request = callback, b""
            break
        if self._driver is not None:
            self._driver.connection = self

    def handle_connect_event(self) -> str:
        why = super().handle_connect_event()
        if self._driver is None:
            return why
        # not told to the library, which would count it and give up one day: the socket is now ready for both, and fails there
        self._failed = self._failed or why
        self.connected = True
        return ""

    def heard(self) -> None:
        """A whole event came."""
        self._heard = time.monotonic()

    def fail(self, why: str) -> None:
        """Let the library's loop find the connection ended; from any thread."""
        self._failed = self._failed or why
        with contextlib.suppress(OSError, AttributeError):  # it is closed already
            self._sock.shutdown(socket.SHUT_RDWR)

    def want_write(self) -> bool:
        # the one thing that the library's loop asks at least every other second
        driver = self._driver
        if driver is not None and not self._failed and time.monotonic() - self._heard > driver.patience_s:
            # we may be the ones who slept; but who drips is as good as silent
            asleep = time.monotonic() - self._looked > 2 * _LOOKS_S and _Poll.select([self._sock], [], [], 0)[0]
            if not asleep:
                self.fail(f"not a word from it for {driver.patience_s:.0f} s")
        self._looked = time.monotonic()
        return bool(self._failed) or super().want_write()

    def write(self) -> bool:
        if self._driver is None:
            return super().write()
        if not self._failed and super().write():
            return True
        return self._ended(self._failed or "the connection can't be made")

    def read(self) -> bool:
        if self._driver is None:
            return super().read()
        if self._failed:
            return self._ended(self._failed)
        try:
            if not self._parser.is_headers_complete():
                with contextlib.suppress(OSError):  # told below
                    self._header += len(self._sock.recv(pymesos.process.PIPE_BUF, socket.MSG_PEEK))
            if super().read():
                if self._header > _HEADER_BYTES and not self._parser.is_headers_complete():
                    self._failed = f"a header of more than {_HEADER_BYTES >> 10} KiB"
                elif len(self._response) > _EVENT_BYTES:
                    self._failed = f"an event of more than {_EVENT_BYTES >> 20} MiB"
                return self._ended(self._failed) if self._failed else True
            why = _WORDS.get(self._status, "the connection was ended")
        except RuntimeError as error:
            if self._status in (HTTPStatus.OK, *FOR_GOOD):
                raise
            why = f"it answers with HTTP {self._status}" if self._status else str(error)
        return self._ended(why)

    def _ended(self, why: str) -> bool:
        assert self._driver is not None
        # the end of what was subscribed may be a master's that starts anew: the first attempt comes without a wait
        if not self._driver.subscribed or self._failed:
            self._driver.again(why)
        return False

    @property
    def _status(self) -> int:
        """Of the answer; 0 where there is none yet."""
        return self._parser.get_status_code() if self._parser.is_headers_complete() else 0


class _Poll:
    """In the place of the library's module ``select`` within pymesos, which asks it for nothing else. The system call of that
    name knows descriptors up to 1,023; a daemon that many ask at once may have others."""

    @staticmethod
    def select(
        read: Collection[Any], write: Collection[Any], other: Collection[Any], timeout_s: Optional[float] = None
    ) -> tuple[list[Any], list[Any], list[Any]]:
        def number(file: Any) -> int:
            return file if isinstance(file, int) else int(file.fileno())

        poll = select.poll()
        wanted: dict[int, int] = {}
        for files, event in ((read, select.POLLIN), (write, select.POLLOUT)):
            for file in files:
                wanted[number(file)] = wanted.get(number(file), 0) | event
        for one, event in wanted.items():
            poll.register(one, event)
        found = dict(poll.poll(None if timeout_s is None else 1000 * timeout_s))
        # what has ended is ready for whatever was asked of it, as with select
        over = select.POLLHUP | select.POLLERR | select.POLLNVAL
        readable = [file for file in read if found.get(number(file), 0) & (select.POLLIN | over)]
        writable = [file for file in write if found.get(number(file), 0) & (select.POLLOUT | over)]
        return readable, writable, []


class _Json:
    """In the place of the library's module within pymesos, which asks it for nothing but ``loads`` and ``dumps``: a master of
    ten thousand agents sends ten megabytes of offers at once, see `incoming.OfferMessage`."""

    loads = staticmethod(event_of)
    dumps = staticmethod(json.dumps)
