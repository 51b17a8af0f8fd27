"""Who a number is: names of accounts, which a directory service may be slow to tell, or never tell.

Each question has a thread of its own and the caller's patience an end: without an answer the number is the name, and the
answer serves the next one who asks.
"""

from __future__ import annotations

import asyncio
import grp
import logging
import os
import pwd
import threading
import time
from collections.abc import Hashable
from concurrent.futures import Future
from contextlib import suppress
from functools import cache
from typing import Any, Callable, Generic, NamedTuple, Optional, TypeVar

from daqsched.errors import DaqschedError, Unreachable
from daqsched.serve.time_limits import within

logger = logging.getLogger(__name__)

Asked = TypeVar("Asked", bound=Hashable)
Answer = TypeVar("Answer")

#: So many answers are kept.
MOST_KNOWN = 10_000

#: How long a request waits for a name.
PATIENCE_S = 1.0

#: How long a name is believed, and for how long a number stands in for one that did not come in time.
BELIEVED_S, AGAIN_S = 60.0, 10.0

#: What is that old is asked for anew while it is still believed, as long as somebody wants to know: who is in a group no more is
#: so soon.
FRESH_S = 2.0

#: How many questions are under way at once.
AT_ONCE = 8

#: How long the start of the daemon waits for the group of its socket.
GROUP_S = 10.0


class _Known(NamedTuple):
    value: Any
    until: float
    #: Nobody told it in time, or at all.
    doubt: bool = False
    #: Until when nobody asks anew.
    fresh: float = 0.0


class KnownAccount(NamedTuple):
    """Who a number is."""

    name: str
    groups: tuple[str, ...]
    #: Its name or groups were not told: it may have others.
    doubt: bool


def groups_of(uid: int) -> tuple[str, ...]:
    """The names of all groups that an account is in; raises KeyError where there is no such account, and OSError."""
    found = pwd.getpwuid(uid)
    names = []
    for number in os.getgrouplist(found.pw_name, found.pw_gid):
        try:
            names.append(grp.getgrgid(number).gr_name)
        except KeyError:
            continue
    return tuple(names)


@cache
def insiders() -> frozenset[str]:
    """The names of the accounts that may all: root, and the daemon's own, as far as this machine knows it."""
    with suppress(KeyError):
        return frozenset(["root", pwd.getpwuid(os.geteuid()).pw_name])
    return frozenset(["root"])


class _Lookup(Generic[Asked, Answer]):
    """One kind of question about accounts: what was answered, and what is under way."""

    def __init__(
        self,
        what: str,
        look: Callable[[Asked], Answer],
        otherwise: Callable[[Asked], Answer],
        without: str,
        stale: bool = False,
    ) -> None:
        """``otherwise`` is the answer where there is none, ``without`` what that means, for the daemon's log.

        ``stale``: an earlier answer will do until there is a new one.
        """
        self._what, self._look, self._otherwise, self._without, self._stale = what, look, otherwise, without, stale
        self.known: dict[Asked, _Known] = {}
        self._asked: dict[Asked, Future[_Known]] = {}

    async def find(self, uid: Asked) -> tuple[Answer, bool]:
        """The answer, and whether there is doubt about it; one that comes late serves who asks later."""
        if len(self.known) > MOST_KNOWN:
            self.known.clear()
        known = self.known.get(uid)
        if known is not None and time.monotonic() < known.until:
            if (
                time.monotonic() > known.fresh
                and not known.doubt
                and uid not in self._asked
                and len(self._asked) < AT_ONCE
            ):
                self._ask(uid)
            return known.value, known.doubt
        asked = self._asked.get(uid)
        if asked is None and len(self._asked) < AT_ONCE:
            asked = self._ask(uid)
        if self._stale and known is not None and known.value != self._otherwise(uid):
            return known.value, False  # as it was; the answer is for the next one
        if asked is not None:
            try:
                found = await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(asked)), PATIENCE_S)
                return found.value, found.doubt
            except asyncio.TimeoutError:
                pass
        logger.warning("the %s of %s was not found within %g s: %s", self._what, uid, PATIENCE_S, self._without)
        self.known[uid] = _Known(self._otherwise(uid), time.monotonic() + AGAIN_S, doubt=True)
        return self._otherwise(uid), True

    def _ask(self, uid: Asked) -> Future[_Known]:
        answer = self._asked[uid] = Future()

        def run() -> None:
            try:
                found, doubt = self._look(uid), False
            except (KeyError, OSError, ValueError) as error:
                # a directory that is down, too, is heard of as "no such account"
                found, doubt = self._otherwise(uid), True
                logger.info("the %s of %s is not known: %s", self._what, uid, error)
            now = time.monotonic()
            known = _Known(found, now + (AGAIN_S if doubt else BELIEVED_S), doubt, now + FRESH_S)
            before = self.known.get(uid)
            if not doubt or before is None or before.doubt or now >= before.until:
                self.known[uid] = (
                    known  # what was told before is believed for its time, whatever becomes of the directory
                )
            self._asked.pop(uid, None)
            answer.set_result(known)

        threading.Thread(target=run, name=f"{self._what} of {uid}", daemon=True).start()
        return answer


class Accounts:
    """Names and groups by uid, for one event loop; ``look`` and ``look_groups`` ask the machine."""

    def __init__(
        self,
        look: Callable[[int], str] = lambda uid: pwd.getpwuid(uid).pw_name,
        look_groups: Callable[[int], tuple[str, ...]] = groups_of,
        look_number: Callable[[str], Optional[int]] = lambda name: pwd.getpwnam(name).pw_uid,
    ) -> None:
        self._names = _Lookup[int, str]("name", look, _number, "its number is used instead", stale=True)
        self._groups = _Lookup[int, tuple[str, ...]](
            "group list", look_groups, lambda uid: (), "rights of groups are not given"
        )
        self._numbers = _Lookup[str, Optional[int]](
            "number", lambda name: _none(look_number, name), lambda name: None, "nobody is taken for that account"
        )

    async def name(self, uid: int) -> str:
        """The account's name, ``uid 1234`` where it has none or none is told in time."""
        name, _ = await self._names.find(uid)
        return name

    async def number(self, name: str) -> Optional[int]:
        """The uid of the account of that name, None: there is none; raises `Unreachable` where that is not told in time."""
        uid, doubt = await self._numbers.find(name)
        if doubt:
            raise Unreachable(f"whether there is an account {name!r} was not found within {PATIENCE_S:g} s: ask again")
        return uid

    async def account(self, uid: int) -> KnownAccount:
        """Name and groups; of what is not told in time, which is said and asked again soon, number and none."""
        (name, no_name), (groups, no_groups) = await self._names.find(uid), await self._groups.find(uid)
        return KnownAccount(name, groups, no_name or no_groups)


def group_id(name: str, look: Callable[[str], int] = lambda name: grp.getgrnam(name).gr_gid) -> int:
    """The number of a group; raises `DaqschedError` where there is none of that name, or nobody tells in time."""
    try:
        return within(GROUP_S, lambda: look(name))
    except KeyError as error:
        raise DaqschedError(f"there is no group {name!r} on this machine") from error
    except TimeoutError as error:
        raise DaqschedError(
            f"the group {name!r} was not found within {GROUP_S:g} s: is the directory service up?"
        ) from error
    except OSError as error:
        raise DaqschedError(f"the group {name!r} can't be looked up: {error.strerror or error}") from error


def _number(uid: int) -> str:
    return f"uid {uid}"


def _none(look: Callable[[str], Optional[int]], name: str) -> Optional[int]:
    """None where there is no such account."""
    try:
        return look(name)
    except KeyError:
        return None
