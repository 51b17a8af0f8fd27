"""One session with ZooKeeper: what is asked of it has an end, and whether it still holds is known without asking.

A session that is lost is never taken up again: whoever had it makes a new `ZooKeeperSession` and begins anew. So all that a daemon
believed under the old one, it believed as another.
"""

from __future__ import annotations

import logging
import threading
import time
from functools import partial
from typing import Any, Callable, Optional, Sequence

from kazoo.client import KazooClient
from kazoo.exceptions import AuthFailedError, ConnectionLoss, KazooException, NoAuthError, SessionExpiredError
from kazoo.handlers.threading import KazooTimeoutError
from kazoo.security import make_digest_acl

from daqsched.errors import Deposed, UserError
from daqsched.store.zookeeper.ownership_lease import OwnershipLease
from daqsched.store.zookeeper.place import ZooKeeperPlace
from daqsched.zookeeper_client import bound

logger = logging.getLogger(__name__)

# it tells of each attempt to connect and of its own closing as of a fault; what matters is said here, in our words
_quiet = logging.getLogger("daqsched.kazoo")
_quiet.setLevel(logging.CRITICAL)

#: After so long without a word ZooKeeper takes a daemon for dead, and a standby takes over. The server may ask for more
#: (`minSessionTimeout`, twice its `tickTime` unless set).
SESSION_S = 3.0
#: How often the lease is renewed.
HEARTBEAT_S = 0.4
#: How long one question may take, where no lease ends it before.
ANSWER_S = 10.0
#: How many questions are under way at once.
AT_ONCE = 256


def clock() -> float:
    """Seconds that nobody sets back, also those in which the machine was suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class ZooKeeperSession:
    """See the module. Its callbacks come from kazoo's threads; everything else may be called from any thread."""

    def __init__(self, place: ZooKeeperPlace, session_s: float = SESSION_S) -> None:
        self.place = place
        user, _, password = place.credentials.partition(":")
        #: Who may reach the nodes, where there is a password.
        self._ours = [make_digest_acl(user, password, all=True)] if user else []
        self.client = bound(
            KazooClient(
                place.servers,
                timeout=session_s,
                auth_data=[("digest", place.credentials)] if user else None,
                default_acl=self._ours or None,
                connection_retry={"max_tries": -1, "delay": 0.1, "backoff": 2, "max_delay": 0.5},
                logger=_quiet,
            )
        )
        #: Set while ZooKeeper answers.
        self._connected = threading.Event()
        self._over: Callable[[], None] = lambda: None
        self._lost = threading.Event()
        self._lease = OwnershipLease(session_s)
        self._heartbeats = threading.Thread(target=self._renew, name="zookeeper-session", daemon=True)

    def start(self) -> None:
        """Begin to connect, and keep trying."""
        self.client.add_listener(self._heard)
        self.client.start_async()
        self._heartbeats.start()

    def stop(self) -> None:
        """Give the session up: where ZooKeeper hears it, others need not wait for its end."""
        self._lost.set()
        self._lease.ended()
        try:
            self.client.stop()
            self.client.close()
        except (KazooException, KazooTimeoutError, OSError):
            logger.debug("closing the session", exc_info=True)

    @property
    def connected(self) -> bool:
        """Whether ZooKeeper answers."""
        return self._connected.is_set()

    def wait_connected(self, timeout_s: float) -> bool:
        """Wait until it does, at most so long."""
        return self._connected.wait(timeout_s)

    def when_over(self, call: Callable[[], None]) -> None:
        """Call this when the lease has run out or the session is lost; from then on `holds` is false for ever."""
        self._over = call
        if self.lost:
            call()

    @property
    def lost(self) -> bool:
        """Whether the session has ended, or may have."""
        return self._lost.is_set() or self._lease.over(clock())

    def holds(self) -> bool:
        """Whether the session is alive for certain: nobody else can have taken over."""
        return self._lease.holds(clock())

    def ensure_ownership(self) -> None:
        """Raise `Deposed` unless `holds`."""
        if not self.holds():
            why = "ended the session" if self._lost.is_set() else "does not answer"
            raise Deposed(f"ZooKeeper ({self.place.servers}) {why}")

    def ask(self, question: Callable[[], Any]) -> Any:
        """What the call (one of the client's ..._async) comes to; asked again where the connection broke meanwhile, so it
        must not matter if it is carried out twice. Raises `Deposed` where the session ends before there is an answer."""
        return self.all([question])[0]

    def all(self, questions: Sequence[Callable[[], Any]]) -> list[Any]:
        """The same of many: `AT_ONCE` of them are under way at a time."""
        found: list[Any] = []
        for start in range(0, len(questions), AT_ONCE):
            part = questions[start : start + AT_ONCE]
            for question, asked in zip(part, [question() for question in part]):
                found.append(self._patiently(question, asked))
        return found

    def _patiently(self, question: Callable[[], Any], asked: Any) -> Any:
        until = clock() + ANSWER_S
        while True:
            try:
                return self.answer(asked, until)
            except ConnectionLoss:
                if clock() > until:
                    raise self.silent() from None
                time.sleep(0.05)
                asked = question()

    def answer(self, asked: Any, until: Optional[float] = None) -> Any:
        """The answer to what was asked; raises kazoo's `ConnectionLoss` where it may have been carried out or not."""
        until = clock() + ANSWER_S if until is None else until
        while True:
            try:
                return asked.get(timeout=0.2)
            except KazooTimeoutError:
                if self._lost.is_set() or clock() > until:
                    raise self.silent() from None
            except SessionExpiredError:
                raise Deposed(f"ZooKeeper ({self.place.servers}) ended the session") from None
            except (AuthFailedError, NoAuthError):
                raise UserError(
                    f"ZooKeeper denies access to {self.place.path}: give --state-credentials with the name and password "
                    "that it was made with"
                ) from None

    def open_to_others(self, path: str) -> bool:
        """Whether a node that we have closed, or would close, is not ours alone: somebody made it before, or without a password."""
        if not self._ours:
            return False
        acl, _ = self.ask(partial(self.client.get_acls_async, path))
        return set(acl) != set(self._ours)

    def close_to_others(self, paths: Sequence[str]) -> None:
        """Nobody else can reach them any more."""
        self.all([partial(self.client.set_acls_async, path, self._ours) for path in paths])

    def silent(self) -> Deposed:
        return Deposed(f"ZooKeeper ({self.place.servers}) does not answer")

    def _heard(self, state: str) -> Optional[bool]:
        """kazoo's states: CONNECTED, SUSPENDED (no server answers), LOST (the session is over)."""
        if state == "CONNECTED" and not self._lost.is_set():
            self._connected.set()
            return None
        self._connected.clear()
        # kazoo would go on with a new session: this is the end of this one
        if state == "LOST":
            self._finish()
            return True
        return None

    def _finish(self) -> None:
        self._lost.set()
        self._lease.ended()
        self._over()

    def _renew(self) -> None:
        """Ask again and again. `sync` goes through the leader of the ensemble: one that lost its peers can't answer it."""
        held = False
        while not self._lost.wait(HEARTBEAT_S):
            asked_at = clock()
            if self.connected:
                try:
                    self.client.sync_async("/").get(timeout=SESSION_S)
                    self._lease.renewed(asked_at, clock())
                except (KazooException, KazooTimeoutError):
                    logger.debug("no answer of ZooKeeper", exc_info=True)
            if held and not self.holds():
                self._over()
            held = self.holds()
