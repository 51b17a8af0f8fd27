"""`daqsched serve`: one thread owns the engine, everything else puts events into its queue.

A round of the loop takes all that waits in the queue, lets the engine handle each, makes all that it wants saved
durable in one transaction, and only then performs the rest (`performer`).

Where the disk is full, the loop waits with what it has in mind until that is saved, and still tells people how things are.

Where the state may be another's (`store.Store.ensure_ownership`), the loop ends with `Deposed` before anything leaves the machine.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import secrets
import time
from collections.abc import Awaitable
from concurrent.futures import Future
from typing import Any, Callable, NoReturn, Optional, Sequence, TypeVar

from daqsched.engine import commands, events
from daqsched.engine.changes import Changed
from daqsched.engine.engine import Engine
from daqsched.engine.instance import Key
from daqsched.engine.repeats import ANYHOW, Terms
from daqsched.engine.verdict import Accepted, Step, Verdict
from daqsched.errors import DaqschedError, Deposed, Refused, Unreachable, Unsaved, Unsure
from daqsched.limits import brief
from daqsched.rights.grants import Grants
from daqsched.serve.performer import Edge, Performer
from daqsched.serve.queue_items import (
    EndOfLoop,
    Item,
    Nudge,
    PendingKeys,
    PendingQuestion,
    PendingRequest,
    answer,
    refuse,
)
from daqsched.spec import Spec
from daqsched.store import Contents, Store
from daqsched.store.backup import contents_of
from daqsched.store.base import WAY_OUT
from daqsched.task import launch_mark

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")

#: How those who answer on a loop of their own put a question to the engine, see `Daemon.ask`.
Ask = Callable[[Callable[[Engine, float], Any]], Awaitable[Any]]

#: How many things one round takes in, so that no round is without end.
ROUND = 10_000


#: How often a save is tried again, in seconds.
AGAIN_S = 1.0

#: What Mesos says to a scheduler in whose name another has subscribed (master.cpp, `failoverFramework`).
_TAKEN_OVER = "failed over"


class Daemon:
    """The loop. `put`, `ask`, `request` and `stop` may be called from any thread, `run` by the one that owns the engine."""

    def __init__(self, store: Store, complete: Callable[[Spec], Spec], clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock
        self._queue: queue.SimpleQueue[Item] = queue.SimpleQueue()
        #: Taken from the queue while nothing could be saved: comes first afterwards.
        self._later: list[Item] = []
        #: Why nothing can be changed, while the state is lost or can't be saved.
        self.read_only = ""
        self._over = False
        self.engine = Engine(lambda: launch_mark(clock(), secrets.token_hex(4)), complete)
        try:
            self.engine.restore(store.framework_id(), store.revision, store.records(), store.document)
        except Deposed:
            raise
        except Exception as error:  # whatever is in it: the jobs run on, and somebody has to look
            logger.debug("the state", exc_info=True)
            what = str(error) if isinstance(error, DaqschedError) else f"{type(error).__name__}: {error}"
            sentence = what if WAY_OUT in what else f"the state can't be used: {what}: {WAY_OUT}"
            raise DaqschedError(brief(sentence, 1000)) from error
        for trouble in self.engine.troubles:
            logger.warning("%s", trouble)
        #: Called on the loop's thread after a round that changed something.
        self.changed: Callable[[], None] = lambda: None
        #: Called on the loop's thread with what a round has changed of what people see, once that is saved; also with nothing,
        #: where other things were saved, or only touched. Whoever wants changes is entered here; one that fails is a line in the
        #: log.
        self.subscribers: list[Callable[[Sequence[Changed]], None]] = []
        #: All that the last round touched, also where its state is the same: for subscribers that look at the engine itself.
        self.touched: set[Key] = set()
        self._failing: set[int] = set()
        self.performer = Performer(store, self.engine, self.put)

    def put(self, event: events.Event) -> None:
        """Let the engine know."""
        self._queue.put(event)

    def ask(self, question: Callable[[Engine, float], Answer]) -> Future[Answer]:
        """Have a question answered between two rounds; it must only read."""
        item = PendingQuestion(question)
        self._enqueue(item)
        return item.answer

    def request(
        self,
        event: events.Event,
        grants: Optional[Callable[[], Optional[Grants]]],
        terms: Terms = ANYHOW,
        before: Optional[Callable[[Engine, float], None]] = None,
        after: Optional[Callable[[Engine, float], None]] = None,
    ) -> Future[Accepted]:
        """Let the engine know, and be told its verdict when all that follows is durable: what it accepted, or, raised by the
        future, why it refused. ``grants``, asked when its turn comes: what whoever asks may, ``terms``: on which, see
        `Engine.handle`. In the same visit of the engine ``before`` looks at it, and what it raises is the answer; ``after``
        looks at what came of it, also of a refusal. Both must only read."""
        item = PendingRequest(event, grants, terms, before, after)
        self._enqueue(item)
        return item.done

    def type(self, command: commands.Type) -> None:
        """Send it at once, or not at all."""
        self._enqueue(PendingKeys(command))

    def _enqueue(self, item: Item) -> None:
        self._queue.put(item)
        if self._over:
            self.end()

    def history(self, most: int) -> list[commands.Revision]:
        """The last revisions, the newest first, without their specs; for a question's own thread, see `ask`."""
        return self._store.history(most)

    def revision(self, number: int) -> Optional[commands.Revision]:
        """One of them, whole; for a question's own thread, see `ask`."""
        return self._store.revision(number)

    def contents(self) -> Contents:
        """All that is saved; for a question's own thread, see `ask`."""
        return contents_of(self._store)

    def stop(self) -> None:
        """End `run` after what is already in the queue."""
        self._queue.put(EndOfLoop())

    def nudge(self) -> None:
        """Have a look at once at whether the state is still ours."""
        self._queue.put(Nudge())

    def run(self, edge: Edge) -> None:
        """Work until `stop`; raises `DaqschedError` where going on makes no sense, `Deposed` where it must not."""
        while self._round(edge):
            pass

    def stay_read_only(self, why: str, over: Callable[[], bool]) -> None:
        """After `Deposed`: tell people how it last was, and refuse everything else, until ``over``."""
        self.read_only = why
        self.changed()
        while not over():
            try:
                item = self._queue.get(timeout=0.2)
            except queue.Empty:
                continue
            if isinstance(item, PendingQuestion):
                item.reply(self.engine, self._clock())
            elif isinstance(item, events.Disconnected):
                self.engine.handle(item, self._clock())
            else:
                refuse(item, Unreachable(why))

    def end(self) -> None:
        """No more answers: whoever still asks, or asks from now on, is told so."""
        self._over = True
        while True:
            try:
                refuse(self._queue.get_nowait(), Unreachable("this daqsched serve is ending: ask again"))
            except queue.Empty:
                return

    def _round(self, edge: Edge) -> bool:
        items = self._take()
        try:
            return self._work(items, edge)
        except DaqschedError as error:  # the loop ends: nobody of this round waits for ever
            for item in items:
                if not isinstance(item, PendingQuestion):
                    refuse(
                        item,
                        Unsure(f"{error}: look whether it was still taken in, `daqsched status`, and ask again"),
                    )
                elif not item.answer.done():
                    self._queue.put(item)  # `stay_read_only` or `end` has an answer
            raise

    def _work(self, items: Sequence[Item], edge: Edge) -> bool:
        self._store.ensure_ownership()
        rejected = next((item for item in items if isinstance(item, events.Rejected)), None)
        if rejected is not None:
            self._give_up(rejected, items)
        todo: list[commands.Command] = []
        changes: list[Changed] = []
        requests: list[tuple[PendingRequest, Verdict]] = []
        questions: list[PendingQuestion] = []
        typed: list[PendingKeys] = []
        going = True
        before, self.touched = self.engine.version, set()
        for item in items:
            if isinstance(item, PendingQuestion):
                questions.append(item)
            elif isinstance(item, PendingKeys):
                typed.append(item)
            elif isinstance(item, EndOfLoop):
                going = False
            elif isinstance(item, PendingRequest):
                if item.is_stopped(self.engine, self._clock()):
                    continue
                step = self._handle(item.event, item.grants() if item.grants is not None else None, item.terms)
                item.look(self.engine, self._clock())
                requests.append((item, step.verdict))
                todo += step.commands
                changes += step.changes
            elif isinstance(item, Nudge):
                pass
            else:
                step = self._handle(item)
                todo += step.commands
                changes += step.changes
        if self.engine.next_tick(self._clock()) <= self._clock():
            step = self._handle(events.Ticked())
            todo += step.commands
            changes += step.changes
        try:
            self.performer.save(todo)
        except Unsaved as error:
            # a refusal changed nothing: there is nothing to wait for
            refused = [one for one in requests if isinstance(one[1], DaqschedError)]
            answer(refused)
            self._wait_for_room(error, todo, [*(one for one, _ in requests), *questions])
        if changes or self.touched or any(isinstance(command, commands.SAVES) for command in todo):
            self._publish(changes)
        answer(requests)
        for command in todo:
            self.performer.perform(command, edge)
        for one in typed:
            if time.monotonic() < one.until:
                self.performer.perform(one.command, edge)
        for question in questions:
            if not question.answer.done():
                question.reply(self.engine, self._clock())
        if self.engine.version != before:
            self.changed()
        return going

    def _handle(self, event: events.Event, grants: Optional[Grants] = None, terms: Terms = ANYHOW) -> Step:
        step = self.engine.handle(event, self._clock(), grants, terms)
        self.touched.update(self.engine.touched, self.engine.dirty)
        return step

    def _give_up(self, rejected: events.Rejected, items: Sequence[Item]) -> NoReturn:
        """The loop ends with this round, of which nothing is taken in: whoever asked in it is told so."""
        if _TAKEN_OVER in rejected.why:
            raise Deposed("another daqsched serve has taken over")
        error = DaqschedError(
            f"the master has removed this framework: {rejected.why}. Its tasks are gone; "
            "`daqsched serve --new-framework` registers anew and starts everything again"
        )
        for item in items:
            if isinstance(item, PendingQuestion):
                item.reply(self.engine, self._clock())
            else:
                refuse(item, Refused(f"not taken in: {error}"))
        raise error

    def _take(self) -> list[Item]:
        """All that waits, after waiting for the first until the engine's next tick."""
        wait = min(60.0, max(0.0, self.engine.next_tick(self._clock()) - self._clock()))
        items, self._later = self._later, []
        if items:
            return items
        try:
            items.append(self._queue.get(timeout=wait))
            while len(items) < ROUND:
                items.append(self._queue.get_nowait())
        except queue.Empty:
            pass
        return items

    def _publish(self, changes: Sequence[Changed]) -> None:
        for at, subscriber in enumerate(self.subscribers):
            try:
                subscriber(changes)
                self._failing.discard(at)
            except Exception as error:  # nobody who only looks on holds the farm up
                if at not in self._failing:
                    logger.error("a subscriber to changes fails: %s: %s", type(error).__name__, error, exc_info=True)
                self._failing.add(at)

    def _wait_for_room(self, error: Unsaved, todo: list[commands.Command], waiting: Sequence[Item]) -> None:
        """Nothing of ``todo`` has left us, and nothing does before it is saved; ``waiting`` are those who want an answer."""
        self.read_only = (
            f"{error}: jobs run on, nothing is started, stopped or restarted until it can be; then it goes on by itself"
        )
        logger.error("%s", self.read_only)
        for item in waiting:
            if isinstance(item, PendingQuestion):
                item.reply(self.engine, self._clock())
            else:
                refuse(item, Unsure(f"{self.read_only}. Look then whether this was taken in, and ask again"))
        self.changed()
        while True:
            with contextlib.suppress(queue.Empty):
                item = self._queue.get(timeout=AGAIN_S)
                if isinstance(item, PendingQuestion):
                    item.reply(self.engine, self._clock())
                elif isinstance(item, PendingRequest):
                    refuse(item, Unreachable(self.read_only))
                elif isinstance(item, PendingKeys):
                    continue
                elif isinstance(item, EndOfLoop):
                    raise DaqschedError(f"ended while {error}; the jobs run on")
                else:
                    self._later.append(item)
                    if not self._queue.empty():
                        continue
            try:
                self.performer.save(todo)
                break
            except Unsaved:
                continue
        self.read_only = ""
        logger.info("all is saved again: going on")
        self.changed()
