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

#: How many questions are under way at once.
AT_ONCE = 8

#: How long the start of the daemon waits for the group of its socket.
GROUP_S = 10.0


class _Known(NamedTuple):
    value: Any
    until: float
    #: Nobody told it in time.
    doubt: bool = False


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


class _Lookup(Generic[Asked, Answer]):
    """One kind of question about accounts: what was answered, and what is under way."""

    def __init__(
        self, what: str, look: Callable[[Asked], Answer], otherwise: Callable[[Asked], Answer], stale: bool
    ) -> None:
        """``otherwise`` is the answer where there is none; ``stale``: an answer of before will do until there is a new one."""
        self._what, self._look, self._otherwise, self._stale = what, look, otherwise, stale
        self.known: dict[Asked, _Known] = {}
        self._asked: dict[Asked, Future[Answer]] = {}

    async def find(self, uid: Asked) -> tuple[Answer, bool]:
        """The answer, and whether it came in time; if not, it serves who asks later."""
        if len(self.known) > MOST_KNOWN:
            self.known.clear()
        known = self.known.get(uid)
        if known is not None and time.monotonic() < known.until:
            return known.value, True
        asked = self._asked.get(uid)
        if asked is None and len(self._asked) < AT_ONCE:
            asked = self._ask(uid)
        if self._stale and known is not None and known.value != self._otherwise(uid):
            return known.value, True  # as it was; the answer is for the next one
        if asked is not None:
            try:
                return await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(asked)), PATIENCE_S), True
            except asyncio.TimeoutError:
                pass
        self.known[uid] = _Known(self._otherwise(uid), time.monotonic() + AGAIN_S, doubt=True)
        return self._otherwise(uid), False

    def _ask(self, uid: Asked) -> Future[Answer]:
        answer = self._asked[uid] = Future()

        def run() -> None:
            try:
                found = self._look(uid)
            except (KeyError, OSError, ValueError) as error:
                found = self._otherwise(uid)
                logger.info("the %s of %s is not known: %s", self._what, uid, error)
            self.known[uid] = _Known(found, time.monotonic() + BELIEVED_S)
            self._asked.pop(uid, None)
            answer.set_result(found)

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
        self._names = _Lookup[int, str]("name", look, _number, stale=True)
        self._groups = _Lookup[int, tuple[str, ...]]("group list", look_groups, lambda uid: (), stale=False)
        self._numbers = _Lookup[str, Optional[int]]("number", look_number, lambda name: None, stale=False)

    async def name(self, uid: int) -> str:
        """The account's name, ``uid 1234`` where it has none or none is told in time."""
        name, in_time = await self._names.find(uid)
        if not in_time:
            logger.warning("the name of uid %d was not found within %g s: its number is used instead", uid, PATIENCE_S)
        return name

    async def number(self, name: str) -> Optional[int]:
        """The uid of the account of that name, None: there is none; raises `Unreachable` where that is not told in time."""
        uid, _ = await self._numbers.find(name)
        known = self._numbers.known.get(name)
        if known is not None and known.doubt:
            raise Unreachable(f"whether there is an account {name!r} was not found within {PATIENCE_S:g} s: ask again")
        return uid

    async def groups(self, uid: int) -> tuple[str, ...]:
        """Those that the account is in; none where none are told in time, which is said, and asked again soon."""
        names, in_time = await self._groups.find(uid)
        if not in_time:
            logger.warning(
                "the groups of uid %d were not found within %g s: rights of groups are not given", uid, PATIENCE_S
            )
        return names


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
