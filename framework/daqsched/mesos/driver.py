"""pymesos' driver, made to keep at it: whatever a master, a network, ZooKeeper or a name server does, it is tried again.

The library's own ends with an exception where a name can't be resolved, a network can't be reached, or a master that has
just started answers 404 because it does not know its own paths yet. It stops looking where ZooKeeper is silent at the start,
asks again without a pause where no master leads, and waits for ever for a master that is frozen or cut off.
"""

from __future__ import annotations

import contextlib
import json
import logging
import select
import socket
import threading
import time
import warnings
from http import HTTPStatus
from typing import Any, Callable, Mapping, Optional

import pymesos
import pymesos.process

from daqsched.mesos.incoming import event_of

logger = logging.getLogger(__name__)

# pymesos hangs a handler of its own onto its logger, which would say everything twice
for _handler in list(pymesos.logger.handlers):
    pymesos.logger.removeHandler(_handler)

#: Seconds between two attempts to reach the master: the first, and the most that they become.
_RETRY_S, _RETRY_MOST_S = 0.2, 3.0

#: Seconds within which a master answers a call, and a subscription.
_CALL_S, _SUBSCRIBE_S = 10.0, 30.0

#: So many of its heartbeats may stay away before a master is taken for gone; one comes each 15 s, where it says nothing else.
_HEARTBEATS, _HEARTBEAT_S = 4, 15.0

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

        class Detector(MasterDetector):
            looked = False

            def choose(self, children: list[str]) -> bool:
                self.looked = True
                return super().choose(children)

        # kazoo's way to say what is said below
        warnings.filterwarnings("ignore", "No chroot path exists", UserWarning)
        while True:
            detector = Detector(self.master_uri[len("zk://") :], self)
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

    # ------------------------------------------------------------------ pymesos' names, pymesos' thread

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
        self._heard = time.monotonic()
        try:
            super().__init__(addr, callback)
        except OSError as error:  # no such name (now), no route
            if self._driver is None:
                raise
            self._failed = error.strerror or str(error)
            self._callback, self._request = callback, b""
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

    def fail(self, why: str) -> None:
        """Let the library's loop find the connection ended; from any thread."""
        self._failed = self._failed or why
        with contextlib.suppress(OSError, AttributeError):  # it is closed already
            self._sock.shutdown(socket.SHUT_RDWR)

    def want_write(self) -> bool:
        # the one thing that the library's loop asks at least every other second
        driver = self._driver
        if driver is not None and not self._failed and time.monotonic() - self._heard > driver.patience_s:
            # we may be the ones who slept
            if not select.select([self._sock], [], [], 0)[0]:
                self.fail(f"not a word from it for {driver.patience_s:.0f} s")
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
        self._heard = time.monotonic()
        try:
            if super().read():
                return True
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


class _Json:
    """In the place of the library's module within pymesos, which asks it for nothing but ``loads`` and ``dumps``: a master of
    ten thousand agents sends ten megabytes of offers at once, see `incoming.OfferMessage`."""

    loads = staticmethod(event_of)
    dumps = staticmethod(json.dumps)
