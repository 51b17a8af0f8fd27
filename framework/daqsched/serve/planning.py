"""What takes its time and changes nothing (plans, selections, looking through a spec): beside the loops, one at a time, with an
end.

The thread that owns the engine gives a snapshot, the thread that answers everybody goes on answering, and this one
thread thinks. It can't be ended from outside; it looks at the time wherever it goes through instances.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Callable, Optional, TypeVar

from daqsched.errors import UserError
from daqsched.limits import PLANNING

Answer = TypeVar("Answer")
Each = TypeVar("Each")

#: How many instances are gone through between two looks at the time.
STRIDE = 256


class Deadline:
    """When whoever thinks has to be done; raises `UserError` afterwards."""

    def __init__(self, seconds: float = PLANNING.most, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds, self._clock, self._until = seconds, clock, clock() + seconds
        self._steps = 0

    def look(self) -> None:
        """Go on, or give up."""
        if self._clock() > self._until:
            raise UserError(
                f"it took more than {self._seconds:g} s to work out, and was given up: ask for a part (--only), or for less"
            )

    def within(self, chosen: Callable[[str, str], bool]) -> Callable[[str, str], bool]:
        """The same choice, for as long as there is time."""

        def test(job: str, host: str) -> bool:
            self._step()
            return chosen(job, host)

        return test

    def each(self, values: Iterable[Each]) -> Iterator[Each]:
        """The same values, for as long as there is time."""
        for value in values:
            self._step()
            yield value

    def _step(self) -> None:
        self._steps += 1
        if self._steps % STRIDE == 0:
            self.look()


class Planning:
    """The thread, for one event loop."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="planning")

    async def do(self, work: Callable[[Deadline], Answer], deadline: Optional[Deadline] = None) -> Answer:
        """What the work comes to; its time counts from now, or from where its deadline began: also while others' work is
        done first."""
        until = deadline or Deadline()

        def timely() -> Answer:
            until.look()
            return work(until)

        return await asyncio.get_running_loop().run_in_executor(self._pool, timely)
