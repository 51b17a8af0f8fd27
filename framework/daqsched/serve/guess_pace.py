"""How fast values that somebody is not told may be guessed: each answer that says what a file would change says of each value of
its environment variables whether it is the one in force.

A person has so many at once, and then one in a while, by whatever door and however many tokens. Who is told the values waits for
nothing, nor does what is asked without any.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Hashable
from typing import Callable

from starlette.requests import Request

from daqsched.limits import shown
from daqsched.redaction import says_values
from daqsched.serve.http import Caller, caller_of, whose
from daqsched.serve.refusals import RefusedWith
from daqsched.spec import Spec

logger = logging.getLogger(__name__)

#: So many at once, and then one in so many seconds: of all numbers of four digits the last is tried after a day.
AT_ONCE, EACH_S = 60, 10.0

#: The log tells of one person once in so many seconds; the audit file has each refusal.
TOLD_S = 3600.0


class GuessPace:
    """For one event loop; ``may_see`` says who is told values."""

    def __init__(self, may_see: Callable[[Caller], bool], clock: Callable[[], float] = time.monotonic) -> None:
        self._may_see, self.clock = may_see, clock
        #: When each has all that he has at once again; and whom the log told of, and when.
        self._whole: dict[Hashable, float] = {}
        self._told: dict[Hashable, float] = {}

    def guess(self, request: Request, spec: Spec) -> None:
        """Count one, where it is; raises `RefusedWith` where there were too many."""
        if self._may_see(caller_of(request)) or not says_values(spec):
            return
        who, now = whose(request), self.clock()
        self._whole = {one: at for one, at in self._whole.items() if at > now}
        whole = max(now, self._whole.get(who, now)) + EACH_S
        wait_s = whole - now - AT_ONCE * EACH_S
        if wait_s > 0:
            self._tell(who, now)
            seconds = math.ceil(wait_s)
            raise RefusedWith(
                "too-often",
                f"you have asked {AT_ONCE} times of late what files change that have values of environment variables, which are "
                f"hidden from you: ask again in {seconds} s, or have an admin ask, who is told them",
                {"retry-after": str(seconds)},
            )
        self._whole[who] = whole

    def did(self, request: Request, spec: Spec) -> None:
        """What was counted has been applied: that is no guess."""
        who = whose(request)
        if who in self._whole and says_values(spec):
            self._whole[who] -= EACH_S

    def _tell(self, who: Hashable, now: float) -> None:
        self._told = {one: at for one, at in self._told.items() if now - at < TOLD_S}
        if who not in self._told:
            self._told[who] = now
            logger.warning(
                "%s has asked %d times of late what files change whose values of environment variables are hidden from him, and "
                "waits now before each further time: is that a guess? The audit file has each refusal",
                shown(str(who)),
                AT_ONCE,
            )
