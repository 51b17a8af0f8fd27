"""pymesos' driver, made to keep at it: whatever a master, what tells of one, a network or a name server does, it is tried again.

The library's own ends with an exception where a name can't be resolved, a network can't be reached, or a master that has
just started answers 404 because it does not know its own paths yet. It stops looking for a leader too early (`detection`), asks
again without a pause where no master leads, waits for ever for a master that is frozen, cut off or drips, takes in an
event of any size, ends at each that it does not understand, and where it is given a descriptor above 1,023.
"""

from __future__ import annotations

import json
import logging
import re
import threading
import time
from typing import Any, Callable, Mapping, Optional

import pymesos
import pymesos.process

from daqsched.limits import brief
from daqsched.mesos import detection
from daqsched.mesos.calls import CallConnection
from daqsched.mesos.incoming import MessageMessage, StatusMessage
from daqsched.mesos.subscription import Connection, Patient, Poll, is_address

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

#: The longest pause between heartbeats that is believed.
_HEARTBEAT_MOST_S = 300.0

#: A subscription that lasts so long was none that ends at once.
_CALM_S = 10.0

#: How many kinds of nonsense are told.
_ODD_MOST = 100

#: After so many attempts at the leader that a master named, the master that we were given is asked again.
_AT_ANOTHER = 5


class Driver(pymesos.MesosSchedulerDriver, Patient):
    """Quick to come back (pymesos' own waits begin at 2 s and end at 15 s), quick to end, and never tired."""

    def __init__(self, allowed: Callable[[], bool], sched: Any, framework: Any, master: str, **options: Any) -> None:
        """``allowed`` says, on another thread, whether we may still speak for the framework."""
        # not before a framework of ours is here: who uses pymesos otherwise in this process has it as it is
        pymesos.process.Connection = Connection  # type: ignore[misc]  # a class is put in a class's place
        pymesos.process.select = Poll
        self._elected = detection.elected(master)
        master = master if self._elected or ":" in master else f"{master}:5050"
        # the time limit is that of a call; for attempts to connect there is none, see Connection.handle_connect_event
        super().__init__(sched, framework, master, timeout=_CALL_S, **options)
        self._allowed = allowed
        #: Set where nobody shall wait any more.
        self.over = threading.Event()
        #: The master's silence, in seconds, that says that it is gone; before it has answered, and after.
        self.patience_s = _SUBSCRIBE_S
        self.connection: Optional[Connection] = None
        self.subscribed = False
        self._attempts = 0
        self._told: set[str] = set()
        self._calm_at = float("inf")
        self._odd: set[str] = set()

    # ------------------------------------------------------------------ from one attempt to the next

    def start(self) -> None:
        """Begin to connect, and return."""
        if self._elected:
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
            detection.end(detector)

    def _detect(self) -> None:
        detection.watch(self.master_uri, self, self._given, self.again)

    def _given(self, detector: Any) -> bool:
        with self._lock:  # `stop` sees this one, or we see that it was there
            if self.over.is_set():
                return False
            self.detector = detector
            return True

    def again(self, why: str) -> None:
        """Say, once, why the master can't be reached, and wait before the next attempt, longer each time."""
        self._look_back()
        if why not in self._told:
            self._told.add(why)
            logger.warning("not connected to %s: %s; trying again", self.master or self.master_uri, why)
        self.over.wait(min(_RETRY_MOST_S, _RETRY_S * 2 ** min(self._attempts, 10)))
        self._attempts += 1
        if self._attempts % _AT_ANOTHER == 0 and not self._elected and self.master != self.master_uri:
            self.change_master(self.master_uri)

    def _look_back(self) -> None:
        """The first attempts come without a wait where the connection had lasted for a while."""
        if time.monotonic() >= self._calm_at:
            self._attempts = 0
            self._told.clear()
            self._calm_at = float("inf")

    def doubt(self, why: str) -> None:
        """What is connected is not to be used any more: begin again."""
        self.stream_id = None
        if self.connection is not None:
            self.connection.fail(why)

    def odd(self, why: str) -> None:
        """Say, once, what was left out."""
        if why not in self._odd and len(self._odd) < _ODD_MOST:
            self._odd.add(why)
            logger.error("left out of what the master %s says: %s", self.master, why)

    def change_master(self, master: Optional[str]) -> None:
        """The master is at another address, which somebody, or another master, may have made up."""
        if master is not None and not is_address(master):
            logger.error("not connected: %r is not the HOST:PORT of a master", brief(master))
            master = None
        super().change_master(master)

    def _get_version(self, master: Optional[str]) -> Optional[str]:
        # pymesos' own has no end, and believes any answer
        if master is None:
            return None
        host, _, port = master.rpartition(":")
        connection = CallConnection(host, int(port), timeout=self._timeout)
        try:
            connection.request("GET", "/version")
            version = re.match(r"\d{1,9}(?:\.\d{1,9})*", json.loads(connection.getresponse().read())["version"])
            return version[0] if version else None
        except Exception:  # whatever it is, we go on without
            logger.debug("the version of %s", master, exc_info=True)
            return None
        finally:
            connection.close()

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
        known, named = self.framework_id, info["framework_id"]["value"]
        if not named or (known and named != known):
            raise ValueError(f"it calls this framework {brief(named)!r}, which is {known!r}")
        self.subscribed = True
        heartbeat_s = info["heartbeat_interval_seconds"]
        usual = heartbeat_s is not None and 0 < heartbeat_s <= _HEARTBEAT_MOST_S
        self.patience_s = _HEARTBEATS * (heartbeat_s if usual else _HEARTBEAT_S)
        self._calm_at = time.monotonic() + _CALM_S
        super().on_subscribed(info)

    def on_close(self) -> None:
        self._look_back()
        self.subscribed, self.patience_s = False, _SUBSCRIBE_S
        super().on_close()

    def on_offers(self, event: Mapping[str, Any]) -> None:
        # pymesos' own makes a dictionary of each
        self.sched.resourceOffers(self, event["offers"])

    def on_update(self, event: Mapping[str, StatusMessage]) -> None:
        self.sched.statusUpdate(self, event["status"])

    def on_message(self, event: MessageMessage) -> None:
        self.sched.frameworkMessage(self, event.executor_id.value, event.agent_id.value, event.data)

    def gen_request(self) -> bytes:
        # an empty request is one that is never sent: who was deposed would take the farm away from its successor
        return super().gen_request() if self._allowed() else b""
