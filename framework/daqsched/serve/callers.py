"""Who asks, by where a request came in: as the kernel knows it, as it shows over the network, as a standby says."""

from __future__ import annotations

import time
from typing import Any, Optional
from weakref import WeakValueDictionary

from daqsched.protocol import API, StandbyCopied
from daqsched.rights.grants import Grants
from daqsched.rights.principal import NOBODY, Principal
from daqsched.serve import peer_token
from daqsched.serve.accounts import Accounts
from daqsched.serve.authentication import WRONG, Authentication
from daqsched.serve.connections import PEER, SOCKET, WEB, Whose
from daqsched.serve.http import Caller, LatestWord, account_of, is_owner
from daqsched.serve.peers import Identity
from daqsched.serve.refusals import RefusedWith, Unauthenticated
from daqsched.serve.rights_in_force import RightsInForce
from daqsched.serve.trusted_proxy import TrustedProxy
from daqsched.serve.web_rules import PresentedCredentials, login_presented, presented_in

#: Where somebody logs in by an identity provider, and where somebody may come who shows nothing.
OIDC = frozenset([f"{API}/oidc", f"{API}/oidc-login"])
OPEN = OIDC | {f"{API}/login"}

#: How long is believed what a daemon that does not lead says of itself each 30 s.
COPIES_S = 100.0


class Callers:
    """For one daemon; ``judge`` is of the tokens of peers that have shown our ``identity``. What can't be somebody's raises
    `RefusedWith` or `Unauthenticated`."""

    def __init__(
        self,
        accounts: Accounts,
        judge: peer_token.TokenJudge,
        identity: Optional[Identity] = None,
        rights: Optional[RightsInForce] = None,
        proxy: Optional[TrustedProxy] = None,
    ) -> None:
        self.accounts, self.rights = accounts, rights
        self._judge, self._identity, self._proxy = judge, identity, proxy
        #: Those who asked a standby something that is under way, by the nonce of that.
        self._latest: WeakValueDictionary[str, LatestWord] = WeakValueDictionary()
        #: What those that do not lead say of the copies of their audit files, by their names.
        self._copies: dict[str, StandbyCopied] = {}

    def standby_copies(self) -> list[StandbyCopied]:
        """What they have said lately; of one that leads by now, or is gone, nothing."""
        now = time.time()
        self._copies = {name: one for name, one in self._copies.items() if abs(now - one.told) < COPIES_S}
        return [self._copies[name] for name in sorted(self._copies)]

    async def of_account(self, whose: Whose) -> Caller:
        """Who came through the socket; of the groups nobody asks where there are no rights."""
        who = await account_of(self.accounts, whose.uid, is_owner(whose.uid))
        return Caller(who.name, whose.uid, whose.gid, whose.pid, SOCKET, "", who, self._grants(who))

    def nobody(self, whose: Whose) -> Caller:
        """Who asks over the network for what is everybody's."""
        return Caller("", -1, -1, -1, WEB, whose.address, NOBODY, self._grants(NOBODY))

    def presented(self, path: str, headers: Any, address: str) -> PresentedCredentials:
        """What a request over the network shows, or a trusted proxy says, of whoever sends it."""
        if path in OIDC:
            return login_presented(headers)
        presented = presented_in(headers)
        if self._proxy is None or presented.bearer:
            return presented
        proxied = self._proxy.proxied(address, headers)
        if proxied is None:
            return presented
        if proxied.wrong:
            raise Unauthenticated(WRONG, proxied.wrong)
        return PresentedCredentials(user=proxied.user, groups=proxied.groups, left_out=proxied.left_out)

    async def over_the_network(
        self,
        path: str,
        presented: PresentedCredentials,
        address: str,
        authentication: Optional[Authentication],
        through: str = "",
    ) -> Caller:
        """Who that is; without ``authentication``, of one that does not lead: what its leader is to judge."""
        if authentication is None:
            return Caller("", -1, -1, -1, WEB, address, NOBODY, self._grants(NOBODY), address, presented)
        assert self.rights is not None, "who comes over the network comes where there are rights"
        if path in OPEN and not presented.bearer:
            return Caller("", -1, -1, -1, WEB, f"{address}{through}", NOBODY, self._grants(NOBODY), address, presented)
        who, by = await authentication.arrival(presented, self.rights.rights, self.accounts)
        return Caller(
            who.name, -1, -1, -1, WEB, f"{address} ({by}){through}", who, self._grants(who), address, presented
        )

    async def through_a_peer(
        self, scope: Any, body: bytes, whose: Whose, authentication: Optional[Authentication]
    ) -> Optional[Caller]:
        """Who asked a standby, as that one says; None: it says something itself. Raises `Untrusted`, too."""
        assert self._identity is not None, "peers come where there is one"
        target = scope["raw_path"].decode("latin-1")
        if scope["query_string"]:
            target += f"?{scope['query_string'].decode('latin-1')}"
        heard = peer_token.read(self._identity.key, scope["headers"])
        self._judge.hear(heard, scope["method"], target, body, time.time())
        via = f"{heard.via} at {whose.address}"
        if heard.copied is not None:
            found = heard.copied
            said = StandbyCopied(found.lines, found.since, found.trouble, heard.via, time.time())
            self._copies[heard.via] = said
            return None
        if not heard.address:
            who = Principal(heard.name, frozenset(heard.known_as), is_owner(heard.uid), doubt=heard.doubt)
            if heard.renews:
                waiting = self._latest.get(heard.renews)
                if waiting is not None:
                    waiting.who = who
                return None
            latest = self._latest[heard.nonce] = LatestWord(who)
            return Caller(heard.name, heard.uid, heard.gid, heard.pid, PEER, via, who, self._grants(who), latest=latest)
        if self.rights is None:
            raise RefusedWith("refused", "the daemon that leads has no --rights: nobody asks it over the network")
        presented = PresentedCredentials(
            heard.bearer, heard.session, heard.user, heard.groups, heard.left_out, heard.begun, heard.host
        )
        return await self.over_the_network(scope["path"], presented, heard.address, authentication, f", through {via}")

    def _grants(self, who: Principal) -> Optional[Grants]:
        return self.rights.grants(who) if self.rights is not None else None
