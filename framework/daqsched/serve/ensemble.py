"""`daqsched serve` as one of several on one state in ZooKeeper: it stands for election, leads or stands by, and steps down.

A session with ZooKeeper is one candidacy. Who is first leads a term (`term`), which begins by taking the state for its own
and reading it, and ends when that is in doubt: before the lease on the session has run out nobody else can begin, after it
nothing leaves this process (`Store.ensure_ownership`). Then there is a new session, and a new candidacy.
"""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import threading
import time
from functools import partial
from pathlib import Path
from typing import Callable, Optional

from daqsched import __version__, times
from daqsched.errors import DaqschedError, Deposed
from daqsched.limits import whole
from daqsched.ports import LAST
from daqsched.serve.audit import Audit
from daqsched.serve.peers import Identity, read_identity
from daqsched.serve.serving import Serving
from daqsched.serve.standby import CLOSED, Standby
from daqsched.serve.start import refuse_lost
from daqsched.serve.term import Options, Term
from daqsched.store.election import Card, Election
from daqsched.store.zookeeper import ZooKeeperStore
from daqsched.store.zookeeper_session import ZooKeeperPlace, ZooKeeperSession

logger = logging.getLogger(__name__)

#: So long before the peers' certificate ends the log says so at each start.
SOON_S = 30 * 86400.0

#: The node that names the framework.
FRAMEWORK = "values/framework"

#: How often a standby looks at the election although it heard of no change, and a pause before the next candidacy.
LOOK_S, PAUSE_S = 2.0, 0.2


def run(
    options: Options, place: ZooKeeperPlace, new_framework: bool, peers: str = "", certificate: Optional[Path] = None
) -> None:
    """Serve until SIGTERM or SIGINT; raises `DaqschedError` where it can't begin or go on."""
    identity = read_identity(certificate) if certificate else None
    serve = _Serve(options, place, new_framework, peers, identity)
    signal.signal(signal.SIGTERM, lambda signum, frame: serve.stop())
    logger.info("daqsched %s serves on %s, state in %s, master %s", __version__, options.socket, place, options.master)
    if not place.credentials:
        logger.warning("no --state-credentials: whoever reaches ZooKeeper may read and change the state")
    if identity is not None and identity.until - time.time() < SOON_S:
        logger.warning(
            "the certificate in %s ends on %s: make a new one",
            certificate,
            times.utc_day(identity.until),
        )
    if identity is None:
        logger.warning("no --peers-certificate: this daemon neither asks another that leads nor is asked by one")
    try:
        serve.run()
    except KeyboardInterrupt:
        logger.info("interrupted")
    finally:
        serve.close()
    logger.info("ended; the jobs run on")


class _Removed(Exception):
    """The state is not there any more, in a sentence."""


class _Serve:
    def __init__(
        self, options: Options, place: ZooKeeperPlace, new_framework: bool, peers: str, identity: Optional[Identity]
    ) -> None:
        self._options, self._place, self._new_framework = options, place, new_framework
        self._over = threading.Event()
        self._name = f"{socket.getfqdn()} (pid {os.getpid()})"
        self._spare = Standby(identity, self._name)
        self._audit = Audit(options.audit)
        self._serving = Serving(
            options.socket,
            options.group,
            self._spare,
            _address(peers, place),
            identity,
            ended=self._spare.close,
            audit=self._audit,
        )
        self._card = Card(self._name, self._serving.address, self._serving.token, "" if identity else CLOSED)
        self._wake: Callable[[], None] = lambda: None
        #: Whether a framework is known here, by this candidate or another: who then finds none finds a state that was removed.
        self._known = False
        #: Who was said last to lead.
        self._named = ""
        #: The term that ended, until ZooKeeper answers: people may still ask how it last was.
        self._last: Optional[Term] = None

    def stop(self) -> None:
        """From a signal's handler."""
        self._over.set()
        self._wake()

    def close(self) -> None:
        if self._last is not None:
            self._last.end()
        self._serving.close()

    def run(self) -> None:
        while not self._over.is_set():
            keeper = ZooKeeperSession(self._place)
            keeper.start()
            try:
                if self._connect(keeper) and self._elect(keeper):
                    self._lead(keeper)
            except Deposed as error:
                logger.warning("%s: standing for election again", error)
                self._over.wait(PAUSE_S)
            except _Removed as error:
                if self._spare.hopeless != str(error):
                    logger.error("%s", error)
                self._spare.leader, self._spare.why = None, str(error)
                self._spare.hopeless = str(error)
                self._over.wait(LOOK_S)
            finally:
                keeper.stop()

    def _connect(self, keeper: ZooKeeperSession) -> bool:
        """Wait for ZooKeeper; False: it is to end."""
        if self._last is not None:
            term = self._last
            why = (
                f"ZooKeeper ({self._place.servers}) does not answer, so nothing can be saved: jobs run on, nothing is "
                "started, stopped or restarted until it is back; then it goes on by itself"
            )
            term.hold(why, lambda: keeper.connected.is_set() or self._over.is_set())
            self._serving.app, self._last = self._spare, None
            term.end()
        elif not keeper.connected.wait(1.0):
            self._spare.why = f"ZooKeeper ({self._place.servers}) does not answer"
            logger.warning("%s; trying on", self._spare.why)
            while not keeper.connected.wait(0.2) and not self._over.is_set():
                pass
        return not self._over.is_set()

    def _elect(self, keeper: ZooKeeperSession) -> bool:
        """Stand until we lead; False: it is to end."""
        election = Election(keeper)
        keeper.over = self._wake = election.wake
        election.stand(self._card)
        while not self._over.is_set():
            leader = self._spare.leader = election.leader()
            if leader == self._card and election.elected():
                return True
            if leader is not None and leader != self._card and leader.name != self._named:
                self._named = leader.name
                logger.info("%s leads; this one is a standby", self._named)
            if keeper.lost:
                keeper.ensure_ownership()
            if not self._known:
                self._known = (
                    keeper.ask(partial(keeper.client.exists_async, f"{self._place.path}/{FRAMEWORK}")) is not None
                )
            # the lease begins a moment after the session
            election.wait(LOOK_S if keeper.holds() else 0.1)
        return False

    def _lead(self, keeper: ZooKeeperSession) -> None:
        store = ZooKeeperStore(keeper, f"{self._name} {secrets.token_hex(4)}")
        if not self._new_framework:
            if self._known and not store.framework_id():
                raise _Removed(
                    f"somebody has removed the state below {self._place}: jobs run on, nothing is started or stopped. Stop every "
                    "`daqsched serve` on it and restore a backup (`daqsched restore FILE`), or give up what runs: `daqsched "
                    "serve --new-framework` begins a new farm, which does not know of it"
                )
            refuse_lost(store, self._options.chronicle, str(self._place))
        term = Term(
            self._options,
            store,
            new_framework=self._new_framework,
            leader=self._name,
            place=str(self._place),
            audit=self._audit,
        )
        self._new_framework = False
        keeper.over = term.daemon.nudge
        self._wake = term.daemon.stop
        if self._over.is_set():
            term.daemon.stop()
        self._serving.app, self._spare.hopeless, self._named = term.api.app, "", ""
        logger.info("leads")
        try:
            term.run()
        except Deposed as error:
            self._known = self._known or bool(term.daemon.engine.framework_id)
            logger.warning("no longer leads, nothing more is started or stopped from here: %s", error)
            self._last = term
        except BaseException:
            term.end()
            raise
        else:
            term.end()
        finally:
            self._wake = lambda: None


def _address(peers: str, place: ZooKeeperPlace) -> tuple[str, int]:
    """Where standbys reach us: what was given, or the address with which we reach ZooKeeper and any port."""
    if peers:
        host, _, port = peers.rpartition(":")
        number = whole(port)
        if not host or number is None or number > LAST:
            raise DaqschedError(f"--peers {peers!r} is not HOST:PORT")
        return host.strip("[]"), number
    server, _, port = place.servers.split(",")[0].rpartition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((server, int(port)))  # a datagram socket sends nothing by that
            return probe.getsockname()[0], 0
        except OSError as error:
            raise DaqschedError(f"{server} is not known here ({error.strerror or error}): is --state right?") from error
