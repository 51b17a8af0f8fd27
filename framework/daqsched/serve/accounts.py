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
from concurrent.futures import Future
from typing import Callable, NamedTuple

from daqsched.errors import DaqschedError
from daqsched.serve.time_limits import within

logger = logging.getLogger(__name__)

#: How long a request waits for a name.
PATIENCE_S = 1.0

#: How long a name is believed, and for how long a number stands in for one that did not come in time.
BELIEVED_S, AGAIN_S = 60.0, 10.0

#: How many questions are under way at once.
AT_ONCE = 8

#: How long the start of the daemon waits for the group of its socket.
GROUP_S = 10.0


class _Known(NamedTuple):
    name: str
    until: float


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


class _Groups(NamedTuple):
    names: tuple[str, ...]
    until: float


class Accounts:
    """Names and groups by uid, for one event loop; ``look`` and ``look_groups`` ask the machine."""

    def __init__(
        self,
        look: Callable[[int], str] = lambda uid: pwd.getpwuid(uid).pw_name,
        look_groups: Callable[[int], tuple[str, ...]] = groups_of,
    ) -> None:
        self._look, self._look_groups = look, look_groups
        self._groups: dict[int, _Groups] = {}
        self._groups_asked: dict[int, Future[tuple[str, ...]]] = {}
        self._known: dict[int, _Known] = {}
        self._asked: dict[int, Future[str]] = {}

    async def name(self, uid: int) -> str:
        """The account's name, ``uid 1234`` where it has none or none is told in time."""
        known = self._known.get(uid)
        if known is not None and time.monotonic() < known.until:
            return known.name
        asked = self._asked.get(uid)
        if asked is None and len(self._asked) < AT_ONCE:
            asked = self._ask(uid)
        if known is not None and known.name != _number(uid):
            return known.name  # as it was; the answer is for the next one
        if asked is not None:
            try:
                return await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(asked)), PATIENCE_S)
            except asyncio.TimeoutError:
                pass
        logger.warning("the name of uid %d was not found within %g s: its number is used instead", uid, PATIENCE_S)
        self._known[uid] = _Known(_number(uid), time.monotonic() + AGAIN_S)
        return _number(uid)

    async def groups(self, uid: int) -> tuple[str, ...]:
        """Those that the account is in; none where none are told in time, which is said, and asked again soon."""
        known = self._groups.get(uid)
        if known is not None and time.monotonic() < known.until:
            return known.names
        asked = self._groups_asked.get(uid)
        if asked is None and len(self._groups_asked) < AT_ONCE:
            asked = self._ask_groups(uid)
        if asked is not None:
            try:
                return await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(asked)), PATIENCE_S)
            except asyncio.TimeoutError:
                pass
        logger.warning(
            "the groups of uid %d were not found within %g s: rights of groups are not given", uid, PATIENCE_S
        )
        self._groups[uid] = _Groups((), time.monotonic() + AGAIN_S)
        return ()

    def _ask_groups(self, uid: int) -> Future[tuple[str, ...]]:
        answer = self._groups_asked[uid] = Future()

        def run() -> None:
            names: tuple[str, ...] = ()
            try:
                names = self._look_groups(uid)
            except (KeyError, OSError, ValueError) as error:
                logger.info("the groups of uid %d are not known: %s", uid, error)
            self._groups[uid] = _Groups(names, time.monotonic() + BELIEVED_S)
            self._groups_asked.pop(uid, None)
            answer.set_result(names)

        threading.Thread(target=run, name=f"groups of {uid}", daemon=True).start()
        return answer

    def _ask(self, uid: int) -> Future[str]:
        answer = self._asked[uid] = Future()

        def run() -> None:
            try:
                name = self._look(uid)
            except (KeyError, OSError, ValueError):
                name = _number(uid)
            self._known[uid] = _Known(name, time.monotonic() + BELIEVED_S)
            self._asked.pop(uid, None)
            answer.set_result(name)

        threading.Thread(target=run, name=f"who is {uid}", daemon=True).start()
        return answer


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
