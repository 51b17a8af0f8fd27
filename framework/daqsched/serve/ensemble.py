"""`daqsched serve` as one of several on one state: it stands for election, leads or stands by, and steps down.

A session with what coordinates them (`store.coordination`) is one candidacy. Who is first leads a term (`term`), which begins by
taking the state for its own and reading it, and ends when that is in doubt: before the lease on the session has run out nobody
else can begin, after it nothing leaves this process (`Store.ensure_ownership`). Then there is a new session, and a new candidacy.
"""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import time
from pathlib import Path
from typing import Callable, Optional

from daqsched import __version__, times
from daqsched.errors import DaqschedError, Deposed
from daqsched.limits import whole
from daqsched.ports import LAST
from daqsched.serve.audit import Audit
from daqsched.serve.audit_copied import CopyWatch
from daqsched.serve.peers import Identity, read_identity
from daqsched.serve.rights_in_force import RightsInForce
from daqsched.serve.serving import Serving
from daqsched.serve.standby import CLOSED, Standby
from daqsched.serve.start import refuse_lost
from daqsched.serve.term import Options, Term
from daqsched.store.coordination import Card, Coordination, Session
from daqsched.wakeup import WakeUp

logger = logging.getLogger(__name__)

#: So long before the peers' certificate ends the log says so at each start.
SOON_S = 30 * 86400.0

#: How often a standby looks at the election although it heard of no change, and a pause before the next candidacy.
LOOK_S, PAUSE_S = 2.0, 0.2


def run(
    options: Options,
    coordination: Coordination,
    new_framework: bool,
    peers: str = "",
    certificate: Optional[Path] = None,
) -> None:
    """Serve until SIGTERM or SIGINT; raises `DaqschedError` where it can't begin or go on."""
    identity = read_identity(certificate) if certificate else None
    candidate = Candidate(options, coordination, new_framework, peers, identity)
    signal.signal(signal.SIGTERM, lambda signum, frame: candidate.stop())
    where = coordination.place
    logger.info("daqsched %s serves on %s, state in %s, master %s", __version__, options.socket, where, options.master)
    if coordination.unprotected:
        logger.warning("%s", coordination.unprotected)
    if identity is not None and identity.until - time.time() < SOON_S:
        logger.warning(
            "the certificate in %s ends on %s: make a new one",
            certificate,
            times.utc_day(identity.until),
        )
    if identity is None:
        logger.warning("no --peers-certificate: this daemon neither asks another that leads nor is asked by one")
    try:
        candidate.run()
    except KeyboardInterrupt:
        logger.info("interrupted")
    finally:
        candidate.close()
    logger.info("ended; the jobs run on")


class _Removed(Exception):
    """The state is not there any more, in a sentence."""


class Candidate:
    """One of several daemons. `run` is the main thread's; `stop` comes from any, and from a signal's handler."""

    def __init__(
        self,
        options: Options,
        coordination: Coordination,
        new_framework: bool = False,
        peers: str = "",
        identity: Optional[Identity] = None,
        name: str = "",
    ) -> None:
        """Answers at once, and raises `DaqschedError` where it can't; ``name`` is what others call it, if not host and pid."""
        self._options, self._coordination, self._new_framework = options, coordination, new_framework
        self._over, self._woken = False, WakeUp()
        self._name = name or f"{socket.getfqdn()} (pid {os.getpid()})"
        self._audit = Audit(options.audit)
        self._standby = Standby(identity, self._name, CopyWatch(self._audit))
        self._serving = Serving(
            options.socket,
            options.group,
            self._standby,
            _address(peers, coordination),
            identity,
            ended=self._standby.close,
            beside=self._standby.tell_of_copy,
            audit=self._audit,
            rights=RightsInForce(options.rights) if options.rights is not None else None,
            web=options.web.port() if options.web is not None else None,
        )
        self._card = Card(self._name, self._serving.address, self._serving.token, "" if identity else CLOSED)
        self._wake: Callable[[], None] = lambda: None
        #: Whether a framework is known here, by this candidate or another: who then finds none finds a state that was removed.
        self._known = False
        #: Who was said last to lead.
        self._named = ""
        #: The term that ended, until somebody coordinates again: people may still ask how it last was.
        self._last: Optional[Term] = None

    def stop(self) -> None:
        """End `run`."""
        self._over = True
        self._woken.call()
        self._wake()

    def close(self) -> None:
        """After `run`: answer nobody any more."""
        if self._last is not None:
            self._last.end()
        self._serving.close()

    def run(self) -> None:
        """Stand, lead, step down and stand again, until `stop`; raises `DaqschedError` where it can't begin or go on."""
        while not self._over:
            session = self._coordination.session()
            session.start()
            try:
                if self._connect(session) and self._elect(session):
                    self._lead(session)
            except Deposed as error:
                logger.warning("%s: standing for election again", error)
                self._woken.wait(PAUSE_S)
            except _Removed as error:
                if self._standby.hopeless != str(error):
                    logger.error("%s", error)
                self._standby.leader, self._standby.why = None, str(error)
                self._standby.hopeless = str(error)
                self._woken.wait(LOOK_S)
            finally:
                session.stop()

    def _connect(self, session: Session) -> bool:
        """Wait for an answer of who coordinates; False: it is to end."""
        silent = f"{self._coordination.name} does not answer"
        if self._last is not None:
            term = self._last
            why = (
                f"{silent}, so nothing can be saved: jobs run on, nothing is started, stopped or restarted until it is back; "
                "then it goes on by itself"
            )
            term.stay_read_only(why, lambda: session.connected or self._over)
            self._serving.answer_by(self._standby)
            self._last = None
            term.end()
        elif not session.wait_connected(1.0):
            self._standby.why = silent
            logger.warning("%s; trying on", silent)
            while not session.wait_connected(0.2) and not self._over:
                pass
        return not self._over

    def _elect(self, session: Session) -> bool:
        """Stand until we lead; False: it is to end."""
        election = session.election()
        self._wake = election.wake
        session.when_over(election.wake)
        election.stand(self._card)
        while not self._over:
            leader = self._standby.leader = election.leader()
            if leader == self._card and election.elected():
                return True
            if leader is not None and leader != self._card and leader.name != self._named:
                self._named = leader.name
                logger.info("%s leads; this one is a standby", self._named)
            if session.lost:
                session.ensure_ownership()
            self._known = self._known or session.has_framework()
            # the lease begins a moment after the session
            election.wait(LOOK_S if session.holds() else 0.1)
        return False

    def _lead(self, session: Session) -> None:
        place = self._coordination.place
        store = session.store(f"{self._name} {secrets.token_hex(4)}")
        if not self._new_framework:
            if self._known and not store.framework_id():
                raise _Removed(
                    f"somebody has removed the state below {place}: jobs run on, nothing is started or stopped. Stop every "
                    "`daqsched serve` on it and restore a backup (`daqsched restore FILE`), or give up what runs: `daqsched "
                    "serve --new-framework` begins a new farm, which does not know of it"
                )
            refuse_lost(store, self._options.chronicle, place)
        term = Term(
            self._options,
            store,
            new_framework=self._new_framework,
            leader=self._name,
            place=place,
            audit=self._audit,
        )
        self._new_framework = False
        session.when_over(term.daemon.nudge)
        self._wake = term.daemon.stop
        if self._over:
            term.daemon.stop()
        self._serving.answer_by(term.api.app, term.authentication)
        self._standby.hopeless, self._named = "", ""
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


def _address(peers: str, coordination: Coordination) -> tuple[str, int]:
    """Where standbys reach us: what was given, or the address with which we reach who coordinates, and any port."""
    if peers:
        host, _, port = peers.rpartition(":")
        number = whole(port)
        if not host or number is None or number > LAST:
            raise DaqschedError(f"--peers {peers!r} is not HOST:PORT")
        return host.strip("[]"), number
    return coordination.local_address(), 0
