"""What waits in the daemon's queue beside events, and how whoever waits for it is told."""

from __future__ import annotations

import time
from concurrent.futures import Future
from typing import Any, Callable, Optional, Sequence, Union

from daqsched.engine import commands, events
from daqsched.engine.engine import Engine
from daqsched.engine.repeats import Terms
from daqsched.engine.verdict import Accepted, Verdict
from daqsched.errors import DaqschedError
from daqsched.rights.grants import Grants

#: What is typed is sent within this, or never: whoever typed it has given up by then.
LATE_S = 1.0


def _awaited() -> Future[Any]:
    """An answer that can't be cancelled: whoever waits for it may go at any moment, and to answer what is cancelled raises, which
    would end the daemon's loop."""
    made: Future[Any] = Future()
    made.set_running_or_notify_cancel()
    return made


class PendingQuestion:
    """To the engine as it is between two rounds."""

    def __init__(self, ask: Callable[[Engine, float], Any]) -> None:
        self._ask = ask
        self.answer = _awaited()

    def reply(self, engine: Engine, now: float) -> None:
        """Answer it; what fails is told to whoever asked, and the loop goes on."""
        try:
            self.answer.set_result(self._ask(engine, now))
        except Exception as error:  # whatever it is
            self.answer.set_exception(error)


class PendingRequest:
    """An event that somebody asked for, and waits for what comes of it."""

    def __init__(
        self,
        event: events.Event,
        grants: Optional[Callable[[], Optional[Grants]]],
        terms: Terms,
        before: Optional[Callable[[Engine, float], None]] = None,
        after: Optional[Callable[[Engine, float], None]] = None,
    ) -> None:
        self.event, self.grants, self.terms = event, grants, terms
        self._before, self._after = before, after
        self.done: Future[Accepted] = _awaited()

    def is_stopped(self, engine: Engine, now: float) -> bool:
        """Whether what is asked before it fails: whoever waits is told so, and the event is nobody's."""
        return not self._look(self._before, engine, now)

    def look(self, engine: Engine, now: float) -> None:
        """Ask what is asked after it, whatever the verdict is."""
        self._look(self._after, engine, now)

    def _look(self, ask: Optional[Callable[[Engine, float], None]], engine: Engine, now: float) -> bool:
        try:
            if ask is not None:
                ask(engine, now)
        except Exception as error:  # whatever it is, as with a question
            self.done.set_exception(error)
            return False
        return True


class PendingKeys:
    """Something for a terminal, and until when it may be sent."""

    def __init__(self, command: commands.Type) -> None:
        self.command, self.until = command, time.monotonic() + LATE_S


class EndOfLoop:
    """Ends the loop."""


class Nudge:
    """Nothing but a round."""


Item = Union[events.Event, PendingQuestion, PendingRequest, PendingKeys, EndOfLoop, Nudge]


def answer(requests: Sequence[tuple[PendingRequest, Verdict]]) -> None:
    """The engine's verdicts, to those that wait for them."""
    for request, verdict in requests:
        if request.done.done():
            continue
        if isinstance(verdict, DaqschedError):
            request.done.set_exception(verdict)
        else:
            request.done.set_result(verdict)


def refuse(item: Item, why: DaqschedError) -> None:
    """Tell whoever waits for it, if anybody does."""
    waiting = (
        item.answer if isinstance(item, PendingQuestion) else item.done if isinstance(item, PendingRequest) else None
    )
    if waiting is not None and not waiting.done():
        waiting.set_exception(why)
