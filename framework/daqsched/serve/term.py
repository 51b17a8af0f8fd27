"""What a `daqsched serve` that leads consists of, from its beginning to its end: engine, connection to Mesos, answers."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Optional

from daqsched.confirm import EndLimit
from daqsched.engine import events
from daqsched.engine.credential_steps import KEY_BYTES
from daqsched.errors import DaqschedError, Deposed, UserError
from daqsched.forwarder import with_forwarder
from daqsched.mesos.agents import Agents
from daqsched.mesos.connection import Mesos, explain
from daqsched.mesos.credentials import read_credentials
from daqsched.mesos.outgoing import Framework
from daqsched.serve.api import Api
from daqsched.serve.audit import Audit
from daqsched.serve.audit_copied import CopyWatch
from daqsched.serve.authentication import Authentication
from daqsched.serve.chronicle import Chronicle
from daqsched.serve.daemon import Daemon
from daqsched.serve.expiry import Expiry
from daqsched.serve.guards import Guards
from daqsched.serve.ingress import WebPort
from daqsched.serve.searches import SearchAccount
from daqsched.spec import Spec
from daqsched.store import Store, private
from daqsched_executor.contract.forwarding import Access

if TYPE_CHECKING:
    from daqsched.serve.provider import Provider

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class WebOptions:
    """Where those come in who come over the network."""

    address: tuple[str, int]
    certificate: Path
    key: Path
    #: What it is called besides its certificate's names.
    names: tuple[str, ...] = ()
    #: The file of passwords; None: nobody logs in.
    passwords: Optional[Path] = None
    #: The file of the identity provider by which people log in; None: they do not.
    oidc: Optional[Path] = None
    #: From where a proxy is trusted to say who asks, and the file of its secret; empty: from nowhere.
    proxy_from: tuple[str, ...] = ()
    proxy_secret: Optional[Path] = None
    #: What stands between the groups that it names.
    proxy_separator: str = ","

    def port(self) -> WebPort:
        """Raises `UserError` where the certificate, the passwords, the identity provider or the proxy's secret are none."""
        # nobody else needs cryptography
        from daqsched.remote import secret_of
        from daqsched.serve.trusted_proxy import TrustedProxy
        from daqsched.serve.web_certificate import WebCertificate

        if self.passwords is not None:
            from daqsched.passwords import read

            read(self.passwords)
        if self.oidc is not None:
            _provider(self.oidc)
        proxy = None
        if self.proxy_secret is not None:
            proxy = TrustedProxy(self.proxy_from, secret_of(self.proxy_secret), self.proxy_separator)
        return WebPort(self.address, WebCertificate(self.certificate, self.key, self.names), proxy)


@dataclass(frozen=True)
class Options:
    """What `daqsched serve` was told."""

    master: str
    framework: Framework
    socket: Path
    group: str
    elasticsearch: str
    index: str
    access: Access
    agent_credentials: Optional[Path] = None
    guards: Optional[Path] = None
    #: Where the past of the instances is written down, on this machine.
    chronicle: Path = Path("chronicle.sqlite")
    #: Where changes and refusals are written down, on this machine.
    audit: Path = Path("audit.ndjson")
    #: How many programs a request ends unasked, where the job file does not say.
    end_limit: EndLimit = EndLimit()
    #: The file that says who may do what; None: whoever may use the socket may all.
    rights: Optional[Path] = None
    #: The web port; None: there is none.
    web: Optional[WebOptions] = None
    #: Where lines are searched for those who ask, and as whom; None: nowhere.
    search: Optional[SearchAccount] = None


def most_of(options: Options) -> int:
    """How far the state's folder may be open: where the crew's socket is in it, its group has to get there."""
    return 0o750 if options.group and options.socket.parent == options.chronicle.parent else 0o700


def _provider(file: Path) -> Provider:
    """Raises `UserError`."""
    try:
        from daqsched.serve.provider import provider_of
    except ImportError as error:
        raise UserError(
            f"--oidc wants PyJWT ({error}): install the extra `oidc` of our package, from where this one is"
        ) from error
    return provider_of(file)


def _known_provider(web: Optional[WebOptions]) -> Optional[Provider]:
    """A takeover does not fail by a file that was right when the daemon began."""
    if web is None or web.oidc is None:
        return None
    try:
        return _provider(web.oidc)
    except UserError as error:
        logger.error("nobody logs in by the identity provider: %s", error)
        return None


class Term:
    """See the module. ``leader`` names us where there are standbys, and ``place`` the state that they share; the
    store stays its giver's to close."""

    def __init__(
        self,
        options: Options,
        store: Store,
        *,
        new_framework: bool = False,
        leader: str = "",
        place: str = "",
        audit: Optional[Audit] = None,
    ) -> None:
        def complete(spec: Spec) -> Spec:
            access = options.access
            return with_forwarder(spec, options.framework.executor, options.elasticsearch, options.index, access)

        def allowed() -> bool:
            try:
                store.ensure_ownership()
            except Deposed:
                return False
            return True

        self.daemon = Daemon(store, complete)
        self.daemon.engine.end_limit = options.end_limit
        self.daemon.engine.account = options.framework.user
        self.daemon.performer.ask_guard = Guards(options.guards, self.daemon.put).ask
        framework_id = "" if new_framework else self.daemon.engine.framework_id
        self._mesos = Mesos(options.master, options.framework, framework_id, self.daemon.put, allowed)
        secret = options.agent_credentials
        credentials = read_credentials(secret) if secret else None
        agents = partial(Agents, credentials, options.framework.role)
        self.api = Api(
            self.daemon, complete, options.elasticsearch, options.index, agents, leader, account=options.search
        )
        self._mesos.heard = self.api.terminals.heard
        self._socket = options.socket
        private.folder(options.chronicle.parent, most_of(options))
        chronicle = Chronicle(options.chronicle, time.time(), place)
        last = chronicle.states()
        if last is not None:
            self.daemon.engine.transitions.recall(last)
        self._chronicle: Optional[Chronicle] = chronicle
        self.daemon.subscribers.append(lambda changes: chronicle.note(self.daemon.engine, changes, time.time()))
        self.api.looks.chronicle, self.api.looks.audit = chronicle, audit
        self.api.looks.copied = CopyWatch(audit) if audit is not None else None
        engine = self.daemon.engine
        passwords = None
        if options.web is not None and options.web.passwords is not None:
            # nobody else needs argon2
            from daqsched.passwords import Passwords

            passwords = Passwords(options.web.passwords)
        #: Who comes in over the network.
        self.authentication = Authentication(
            engine.credentials, passwords=passwords, provider=_known_provider(options.web)
        )
        self.daemon.subscribers.append(lambda changes: self.authentication.renew(engine.credentials))
        if not engine.credentials.session_key:
            self.daemon.put(events.SessionKeyMade(secrets.token_bytes(KEY_BYTES)))

    def run(self) -> None:
        """Lead until `Daemon.stop`; raises `DaqschedError` where it can't go on, `Deposed` where it must not."""
        expiry = Expiry(self._socket)
        try:
            self._mesos.start()
            self.daemon.run(self._mesos)
        except DaqschedError:
            raise
        except (RuntimeError, OSError) as error:
            logger.debug("the connection to Mesos", exc_info=True)
            raise explain(error) from error
        finally:
            expiry.stop()

    def stay_read_only(self, why: str, over: Callable[[], bool]) -> None:
        """After `Deposed`: leave the master, and tell people how it last was, until ``over``."""
        # where what tells of the masters is silent, too, leaving takes its time, and people shall not wait for that
        leaving = threading.Thread(target=self._mesos.stop, name="leaving", daemon=True)
        leaving.start()
        self.daemon.stay_read_only(why, lambda: over() and not leaving.is_alive())

    def end(self) -> None:
        """Leave the master, whose tasks run on, and answer nobody any more."""
        self._mesos.stop()
        self.daemon.end()
        self.api.searches.close()
        if self.authentication.passwords is not None:
            self.authentication.passwords.close()
        if self._chronicle is not None:
            self._chronicle.close(time.time())
            self._chronicle = None
