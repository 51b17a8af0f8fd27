"""Who comes in over the network: what a request shows (`web_rules.PresentedCredentials`) becomes a principal, or is refused.

What proves it is in the state (`rights.tokens`), so only the daemon that leads can judge; it has here what is saved of it, and
takes over what changes before anybody is told that it changed.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Callable, NamedTuple, Optional

import msgspec

from daqsched.errors import Unreachable, UserError
from daqsched.limits import shown as shown_text
from daqsched.rights.identity_provider import basis, known_groups
from daqsched.rights.login_pace import LoginPace
from daqsched.rights.principal import MOST_NAME, Principal, name_of
from daqsched.rights.rules import Rights
from daqsched.rights.sessions import OIDC, LoginSession
from daqsched.rights.sessions import ended as ended_session
from daqsched.rights.sessions import read as read_session
from daqsched.rights.tokens import Credentials, Token, by_digest, digest_of_token
from daqsched.rights.verbs import Role
from daqsched.serve.accounts import Accounts, insiders
from daqsched.serve.refusals import Unauthenticated
from daqsched.serve.rights_api import somebody
from daqsched.serve.web_rules import PresentedCredentials

if TYPE_CHECKING:
    from daqsched.passwords import Passwords
    from daqsched.serve.provider import Provider

logger = logging.getLogger(__name__)

#: How long the groups of a token's person are believed, and how long is waited for them.
BELIEVED_S, PATIENCE_S = 60.0, 2.0

#: What who asks is told of a token or session that does not count: not which of them it was, or whether there was one.
WRONG = (
    "this token or session does not count: ask who runs the farm for another, or log in again (`daqsched login NAME`)"
)

#: What who shows nothing is told.
NOTHING_SHOWN = "who are you? Show a token (--token-file FILE or DAQSCHED_TOKEN_FILE), or log in: `daqsched login NAME`"


class Arrival(NamedTuple):
    """Who came in, and by what."""

    who: Principal
    by: str


class _Believed(NamedTuple):
    rights: Rights
    person: Principal
    until: float


class Authentication:
    """See the module; `renew` is called by the thread that owns the engine, all else by the loop that answers."""

    def __init__(
        self,
        credentials: Credentials,
        clock: Callable[[], float] = time.time,
        passwords: Optional[Passwords] = None,
        provider: Optional[Provider] = None,
    ) -> None:
        self.now = clock
        #: None: nobody logs in by one.
        self.provider = provider
        #: None: nobody logs in.
        self.passwords, self.pace = passwords, LoginPace()
        self._credentials, self._tokens = credentials, by_digest(credentials)
        self._known: dict[str, _Believed] = {}
        #: Whose groups were left out for their names, of which the log tells once.
        self._told: set[str] = set()

    @property
    def credentials(self) -> Credentials:
        return self._credentials

    def renew(self, credentials: Credentials) -> None:
        """What is saved from now on."""
        if credentials is not self._credentials:
            self._tokens = by_digest(credentials)
            self._credentials = credentials

    async def arrival(self, presented: PresentedCredentials, rights: Rights, accounts: Accounts) -> Arrival:
        """Raises `Unauthenticated`."""
        if presented.bearer:
            return await self._by_token(presented.bearer, rights, accounts)
        if presented.user:
            known = [f"proxy:{presented.user}", *(f"proxy-group:{one}" for one in presented.groups)]
            self._tell(presented.user, presented.left_out, "the proxy")
            who = Principal(
                name_of(known[0], insiders()), frozenset(known), left_out=_left_out(presented.left_out, "proxy-group")
            )
            return Arrival(who, f"proxy{_counted(presented.left_out)}")
        if presented.session:
            session = self.session(presented)
            kept = self._kept(session, rights) if session is not None else None
            ended = ended_session(session, self._credentials, kept, self.now()) if session is not None else ""
            if session is None or ended:
                name = session.itself if session is not None else ""
                raise Unauthenticated(WRONG, ended or "the session is unknown", name)
            self._tell(session.name, session.left_out, "the identity provider")
            kind = f"{session.way}-group"
            unasked = _left_out(session.nameless, kind)
            left_out, name = _left_out(session.left_out, kind), name_of(session.itself, insiders())
            who = Principal(name, session.known_as, unasked=unasked, left_out=left_out)
            return Arrival(who, f"{session.way}{_counted(session.left_out)}")
        raise Unauthenticated(NOTHING_SHOWN)

    def token(self, presented: PresentedCredentials) -> Optional[Token]:
        """The one that is shown, whether it counts or not."""
        return self._tokens.get(digest_of_token(presented.bearer)) if presented.bearer else None

    def session(self, presented: PresentedCredentials) -> Optional[LoginSession]:
        """The one that we have signed, whether it counts or not."""
        return read_session(self._credentials.session_key, presented.session) if presented.session else None

    def _kept(self, session: LoginSession, rights: Rights) -> Optional[str]:
        """What it stands on now."""
        if session.way == OIDC:
            known = known_groups(rights) if session.cut else None
            return basis(self.provider.settings, known, session.left_out) if self.provider is not None else None
        return self.passwords.kept(session.name) if self.passwords is not None else None

    def _tell(self, name: str, left_out: int, by: str) -> None:
        if left_out and by not in self._told:
            self._told.add(by)
            logger.warning(
                "%s names groups that can't be names here (of up to %d letters of ASCII): they are left out, of %s %d; each rule "
                "that denies something to a group so called counts for whoever was in one. This is said once; the audit file "
                "counts them for each request",
                by,
                MOST_NAME,
                shown_text(name),
                left_out,
            )

    async def _by_token(self, text: str, rights: Rights, accounts: Accounts) -> Arrival:
        token = self._tokens.get(digest_of_token(text))
        if token is None:
            raise Unauthenticated(WRONG, "the token is unknown")
        ended = token.ended(self.now())
        if ended:
            raise Unauthenticated(WRONG, ended, f"token:{token.name}")
        itself = f"token:{token.name}"
        if not token.whose:
            alone = Principal(itself, frozenset([itself]), most=Role[token.role], token_mark=token.mark)
            return Arrival(alone, f"token {token.name}")
        person = await self._person(token, rights, accounts)
        known, most = person.known_as | {itself}, Role[token.role]
        whose = msgspec.structs.replace(person, known_as=known, owner=False, most=most, token_mark=token.mark)
        return Arrival(whose, f"token {token.name}")

    async def _person(self, token: Token, rights: Rights, accounts: Accounts) -> Principal:
        """Whose token it is; never more than the rules give, also where the person could change the state itself."""
        now = time.monotonic()
        found = self._known.get(token.whose)
        if found is not None and found.rights is rights and now < found.until:
            return found.person
        try:
            person = await asyncio.wait_for(somebody(token.whose, rights, accounts), PATIENCE_S)
        except (UserError, Unreachable, asyncio.TimeoutError) as error:
            why = str(error) or "the directory of accounts does not answer"
            raise Unauthenticated(WRONG, f"the token {token.name} is for {token.whose}: {why}") from error
        if len(self._known) > 1000:
            self._known.clear()
        if not person.doubt:
            self._known[token.whose] = _Believed(rights, person, now + BELIEVED_S)
        return person


def _left_out(number: int, kind: str) -> frozenset[str]:
    return frozenset([kind]) if number else frozenset()


def _counted(number: int) -> str:
    """For the audit file."""
    return f", {number} group{'s' * (number > 1)} left out" if number else ""
