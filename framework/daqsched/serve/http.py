"""How a request comes in and an answer goes out: the caller, JSON both ways, errors as sentences.

Who is at the other end is not asked but looked up: the kernel tells the uid of the process that connected (unix(7),
SO_PEERCRED), and that name goes into the revision and the log. Who comes over TCP is a standby, which gives its word for whom
it asks (`callers`).
"""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
from dataclasses import dataclass, field, replace
from typing import Any, Awaitable, Callable, Optional

import msgspec
from msgspec.structs import replace as replace_struct
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match, Route

from daqsched.errors import DaqschedError, Refused
from daqsched.limits import brief
from daqsched.operations import ANYBODY, ENGINE, OPERATIONS
from daqsched.protocol import API
from daqsched.rights.grants import FARM, Grants, Target
from daqsched.rights.login_pace import network_of
from daqsched.rights.principal import NOBODY, Principal
from daqsched.rights.verbs import VERBS, Role
from daqsched.serve.accounts import Accounts
from daqsched.serve.audit import DONE, FAILED, REFUSED
from daqsched.serve.audit_note import note, path_of
from daqsched.serve.idempotency import Repeats
from daqsched.serve.refusals import refused, refused_by
from daqsched.serve.web_rules import PresentedCredentials

logger = logging.getLogger(__name__)

#: How often whoever waits is looked at for the right to what is waited for.
RIGHTS_S = 1.0

#: The longest sentence of a refusal.
MOST_WORDS = 1500


class LatestWord:
    """Who asks through a standby, as that one said last: of other groups the leader hears while a request waits. Any thread may
    look."""

    def __init__(self, who: Principal) -> None:
        self.who = who


@dataclass(frozen=True)
class Caller:
    """Who asks."""

    #: The account's name, or ``uid 1234`` where the directory does not tell it.
    name: str
    uid: int
    gid: int
    pid: int
    #: Where it came in: ``socket``; ``peer`` for who asked a standby, as that one's kernel knows it; ``web``.
    door: str
    #: The standby's host and pid, and the address that it came from; for the web the address, and by what; empty for the socket.
    via: str = ""
    #: Who that is, to the rules.
    who: Principal = NOBODY
    #: What the farm's rights give this caller; None: the farm has none, and all is given to whoever gets in.
    grants: Optional[Grants] = field(default=None, compare=False)
    #: Of who came over the network to a daemon that does not lead: where from, and what the leader is to judge.
    address: str = ""
    presented: PresentedCredentials = PresentedCredentials()
    #: Of who asked a standby through its socket.
    latest: Optional[LatestWord] = field(default=None, compare=False)


def caller_of(request: Request) -> Caller:
    found: Caller = request.scope["caller"]
    return found


def is_owner(uid: int) -> bool:
    """Whether this account could read and change the state itself: root, and the account of the daemon."""
    return uid in (0, os.geteuid())


async def account_of(accounts: Accounts, uid: int, owner: bool) -> Principal:
    """Who an account of this machine is."""
    name, groups, doubt = await accounts.account(uid)
    known = frozenset([f"unix:{name}", *(f"unix-group:{one}" for one in groups)])
    return Principal(name, known, owner, doubt=doubt)


def sees_all(caller: Caller) -> bool:
    """Whether the caller may see secrets: who could read the state itself, and who is an admin by the farm's rights."""
    return caller.grants.everywhere("environment") if caller.grants is not None else is_owner(caller.uid)


def grants_of(request: Request) -> Optional[Grants]:
    """See `Caller.grants`."""
    return caller_of(request).grants


async def grants_now(request: Request) -> Optional[Grants]:
    """The same as they are now, for what has waited: from now on they are the request's. Raises where nobody is behind it any more,
    as the token was revoked or the session has ended."""
    in_force, authentication = request.scope.get("rights"), request.scope.get("authentication")
    caller = caller_of(request)
    if in_force is None:
        return caller.grants
    who = caller.who
    if caller.door == "socket":
        who = await account_of(request.scope["accounts"], caller.uid, who.owner)
    elif caller.latest is not None:
        who = caller.latest.who
    elif authentication is not None and caller.presented != PresentedCredentials():
        who = (await authentication.arrival(caller.presented, in_force.rights, request.scope["accounts"])).who
    caller = replace(caller, who=who, grants=in_force.grants(who))
    request.scope["caller"] = caller
    return caller.grants


def latest_grants(request: Request) -> Callable[[], Optional[Grants]]:
    """What `grants_now` has found, as rights are, and as a standby says who asks, when it is called: by any thread."""
    in_force, caller = request.scope.get("rights"), caller_of(request)
    if in_force is None:
        return lambda: caller.grants
    return lambda: in_force.grants(caller.latest.who if caller.latest is not None else caller.who)


async def still_permitted(request: Request, verb: str) -> None:
    """Raise where the caller may not ask for this of anything any more."""
    grants = await grants_now(request)
    why = grants.somewhere(verb) if grants is not None else ""
    if why:
        raise Refused(why, verb)


def permit(request: Request, verb: str, target: Target = FARM) -> None:
    """Raise `Refused` where the caller may not."""
    grants = grants_of(request)
    why = grants.why_not(verb, target) if grants is not None else ""
    if why:
        raise Refused(why, verb)


def permit_of_all(request: Request, verb: str) -> None:
    """The same of everything that there is: the answer is not sorted by whose it is."""
    grants = grants_of(request)
    why = grants.why_not_of_all(verb) if grants is not None else ""
    if why:
        raise Refused(why, verb)


def reads_log(request: Request) -> bool:
    """Whether the caller may read the daemon's log, and so what it tells of its own mistakes."""
    grants = grants_of(request)
    return grants is None or not grants.why_not_of_all("log")


def ensure_insider(caller: Caller, sees: bool, what: str) -> None:
    """Raise where nobody has said who may what, and the caller could not read the state itself (``sees``); ``what`` is not for
    others, and why."""
    if caller.grants is None and not sees:
        raise Refused(
            f"{what}: without `serve --rights` only root and the account of this daqsched serve (uid {os.geteuid()}) are given it"
        )


def permit_some(request: Request, verb: str) -> None:
    """The same where the caller may it of nothing at all: before it is said whether what was asked for is there."""
    grants = grants_of(request)
    why = grants.somewhere(verb) if grants is not None else ""
    if why:
        raise Refused(why, verb)


def share_of(caller: Caller) -> str:
    """Whose share of our time and room it takes: a person's, from wherever, by whatever door and token; or a network's, of who has
    not shown who he is."""
    if caller.grants is not None and caller.who != NOBODY:
        return ", ".join(caller.grants.person)
    if caller.uid >= 0:
        return f"uid {caller.uid}"
    return f"the network {network_of(caller.via.partition(',')[0].partition(' ')[0])}"


def whose(request: Request) -> str:
    """The caller whose share it takes."""
    return share_of(caller_of(request))


def user_of(request: Request) -> str:
    return caller_of(request).name


def route(method: str, path: str, handler: Callable[[Request], Awaitable[Any]]) -> Route:
    """That of an operation of the table: it takes the right that stands there."""
    operation = OPERATIONS[method, path]
    answer = answering(handler, operation.needs)

    async def once(request: Request) -> Response:
        if "idempotency-key" not in request.headers:
            return await answer(request)
        repeats: Repeats = request.app.state.repeats
        return await repeats.once(request, lambda: answer(request))

    return Route(f"{API}{path}", once if operation.verbs else answer, methods=[method])


def answering(route: Callable[[Request], Awaitable[Any]], needs: str) -> Callable[[Request], Awaitable[Response]]:
    """A route that answers who may: ``needs`` is a verb that has to be the caller's for some of the farm (of what exactly the
    route looks at), `ENGINE`, or `ANYBODY`."""
    assert needs in (ENGINE, ANYBODY) or needs in VERBS, needs

    async def answer(request: Request) -> Response:
        try:
            grants = grants_of(request)
            # who may see nothing is not told what there is, by the refusals of what does not
            verb = "see" if needs == ENGINE else needs
            why = ""
            if grants is not None and verb in VERBS:
                # what admins alone may is of the farm as a whole
                why = grants.why_not(verb) if VERBS[verb].role is Role.admin else grants.somewhere(verb)
            if why:
                raise Refused(why, verb)
            found = await route(request)
            await note(request, DONE, found=found)
            return found if isinstance(found, Response) else answered(request, *encoded(found))
        except DaqschedError as error:
            await note(request, REFUSED, str(error), verb=error.verb if isinstance(error, Refused) else "")
            sentence = brief(str(error), MOST_WORDS)
            logger.info("%s %s of %s refused: %s", request.method, path_of(request), user_of(request), sentence)
            return refused_by(error, sentence)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it
        except Exception as error:
            await note(request, FAILED, f"{type(error).__name__}: {error}")
            return bug(f"{request.method} {path_of(request)} of {user_of(request)}")

    return answer


def bug(what: str) -> Response:
    """What is answered for an exception that is being handled: of it not a word, that is in the log, under the same number."""
    number = secrets.token_hex(4)
    logger.exception("%s failed: bug %s", what, number)
    return refused("bug", f"a bug in daqsched: the daemon's log has it as bug {number}")


async def no_such_thing(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 404
    await note(request, REFUSED, f"{status}: there is no such thing")
    asked = brief(f"{request.method} {path_of(request)}")
    sentence = f"there is no {asked} here; docs/reference/api.md lists what is"
    if status != 405:
        return refused("not-found", sentence)
    there = [one for one in request.app.routes if one.matches(request.scope)[0] is not Match.NONE]
    return refused(
        "wrong-method", sentence, {"allow": ", ".join(sorted({way for one in there for way in one.methods}))}
    )


def encoded(found: msgspec.Struct) -> tuple[bytes, str]:
    """An answer as JSON, and its tag: that of all but the moment at which it was made."""
    body = msgspec.json.encode(found)
    same = msgspec.json.encode(replace_struct(found, now=0.0)) if hasattr(found, "now") else body
    return body, f'W/"{hashlib.blake2b(same, digest_size=12).hexdigest()}"'


def answered(request: Request, body: bytes, tag: str) -> Response:
    """The same over HTTP; to a question of who has it already, that nothing has changed."""
    if request.method == "POST":
        return Response(body, media_type="application/json")
    had = [one.strip() for value in request.headers.getlist("if-none-match") for one in value.split(",")]
    if "*" in had or tag in had or tag[2:] in had:
        return Response(status_code=304, headers={"etag": tag})
    return Response(body, headers={"etag": tag}, media_type="application/json")
