"""Batches delivered to Elasticsearch whatever it takes, the templates before them, the dead letters behind them."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ..documents.batch import BODY, REPLY_FILTER, Batch, Documents, Verdict, judge, pause_s
from .connection import Body, Connection, HTTPException, Reply, Warn
from .dead_letter import Letter, RefusedLines, letter
from .index_templates import LATER, IndexTemplates, words

#: A request is not made smaller than this because the server has no time for larger ones.
LEAST = 50

#: How often a sender that waits looks whether another one was answered.
SLICE_S = 0.5


class Answers:
    """How often Elasticsearch answered any of a forwarder's senders: shared by them."""

    def __init__(self) -> None:
        self.count = 0


class Outcome(NamedTuple):
    """What became of a batch; ``complete`` is false where the forwarder was told to give up."""

    number: int
    complete: bool
    stored: int = 0
    duplicates: int = 0
    dead: int = 0
    retries: int = 0
    #: What is still to be stored as dead letters, `Elastic.store_dead_letters`; counted in ``dead``.
    refused: Sequence[RefusedLines] = ()


class Elastic:
    """Stores batches, one at a time; each sender thread has its own."""

    def __init__(
        self,
        connection: Connection,
        prefix: str,
        warn: Warn,
        note: Warn,
        give_up: threading.Event,
        keep_here: Callable[[RefusedLines], None],
        answers: Answers | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """``note`` takes what is not a trouble; ``keep_here`` takes what Elasticsearch takes in no form; it may raise OSError."""
        self._answers = answers or Answers()
        self._connection = connection
        self._prefix = prefix
        self._warn = warn
        self._give_up = give_up
        self._keep_here = keep_here
        self._chance = chance
        #: So many documents a request has at most: fewer where the server has no time, more where it has.
        self._most = 1 << 20
        self._fitting = IndexTemplates(self._ask, prefix, warn, note)
        #: The last request found the server too busy for it; or nobody who answers.
        self._busy = self._silent = False
        #: `Answers.count` when it failed last.
        self._heard = 0

    def install_templates(self) -> bool:
        """See that new indices get our field types, before the first line makes one (`index_templates`).

        Where they may not be written that is a warning or a note, and `IndexTemplates` decides what may be sent. False where the
        forwarder was told to give up.
        """
        attempt = 0
        while not self._fitting.install():
            attempt += 1
            if self._pause(attempt):
                return False
        return True

    def deliver(self, batch: Batch) -> Outcome:
        """Store every line of the batch that Elasticsearch does not refuse for ever, however long that takes."""
        documents, aside = batch.documents.parted()
        work = [documents] if documents else []
        refused = [RefusedLines(batch.target, row, reason) for row, reason in aside]
        stored = duplicates = retries = attempt = 0
        while work:
            documents = work[-1]
            if len(documents) > self._most:
                work[-1:] = _split(documents, self._most)
                continue
            reply = self._bulk(batch.target, documents)
            if reply is not None and reply.status == 413:
                if len(documents) > 1:
                    work[-1:] = _split(documents, (len(documents) + 1) // 2)
                else:
                    work.pop()
                    refused.append(RefusedLines(batch.target, documents.body(), words(reply), large=True))
                continue
            verdict = self._verdict(reply, len(documents))
            busy = self._busy or (verdict is not None and bool(verdict.later))
            if verdict is not None:
                work.pop()
                stored += verdict.stored
                duplicates += verdict.duplicates
                rows = documents.at(at for at, _ in verdict.refused)
                refused += [RefusedLines(batch.target, row, why) for row, (_, why) in zip(rows, verdict.refused)]
                left = sorted([*verdict.later, *verdict.denied])
                if not left:
                    attempt = 0
                    self._most = min(1 << 20, self._most * 2)
                    continue
                again = Documents(documents.at(left))
                work.append(again)
                self._warn("items", f"{self._connection.node} does not take {len(again)} lines: {verdict.reason}")
            if busy:
                self._most = max(LEAST, min(self._most, len(documents)) // 2)
            attempt += 1
            retries += 1
            if self._pause(attempt):
                return Outcome(batch.number, False)
        return Outcome(batch.number, True, stored, duplicates, len(refused), retries, refused)

    def store_dead_letters(self, refused: Sequence[RefusedLines]) -> bool:
        """Store each as a dead letter, here where not even that is possible; False if told to give up before all are kept."""
        if not all(self._keep(one) for one in refused if one.large):
            return False
        work = _parts([(one, letter(one, self._prefix)) for one in refused])
        attempt = 0
        while work:
            part = work[-1]
            reply = self._bulk(part[0][1].target, Documents(dead.document for _, dead in part))
            if reply is not None and reply.status == 413:
                work.pop()
                if len(part) > 1:
                    work += [part[len(part) // 2 :], part[: len(part) // 2]]
                elif not part[0][0].large:
                    # its beginning is stored, the whole is kept here
                    one = part[0][0]._replace(large=True)
                    if not self._keep(one):
                        return False
                    work.append([(one, letter(one, self._prefix))])
                continue
            verdict = self._verdict(reply, len(part))
            if verdict is not None:
                work.pop()
                blocked = "cluster_block_exception" in verdict.reason
                never = [at for at, _ in verdict.refused] + ([] if blocked else list(verdict.denied))
                if not all(self._keep(part[at][0]) for at in never if not part[at][0].large):
                    return False
                again = [part[at] for at in sorted([*verdict.later, *(verdict.denied if blocked else ())])]
                if not again:
                    attempt = 0
                    continue
                work.append(again)
                self._warn("letters", f"{len(again)} dead letters wait for {part[0][1].target}: {verdict.reason}")
            attempt += 1
            if self._pause(attempt):
                return False
        return True

    def _pause(self, attempt: int) -> bool:
        """Wait before the next attempt; true where the forwarder was told to give up.

        Where nobody was answered since the attempt before, the first who is ends the wait of all: what one has would come
        half a minute later than all lines around it. A request that fails while others are answered waits as long as it must.
        """
        before = self._answers.count
        together = self._silent and before == self._heard
        self._heard = before
        left = pause_s(attempt, self._chance())
        while left > 0 and not (together and self._answers.count != before):
            slice_s = min(left, SLICE_S) if together else left
            if self._give_up.wait(slice_s):
                return True
            left -= slice_s
        return False

    def _keep(self, refused: RefusedLines) -> bool:
        attempt = 0
        while True:
            try:
                self._keep_here(refused)
                return True
            except OSError as error:
                self._warn("deadletter", f"cannot write a dead letter: {error}")
            attempt += 1
            if self._pause(attempt):
                return False

    def _bulk(self, index: str, documents: Documents) -> Reply | None:
        if not self._fitting.ready(index):
            return None
        return self._ask("POST", f"/{index}/_bulk?{REPLY_FILTER}", documents.parts(), "application/x-ndjson")

    def _verdict(self, reply: Reply | None, count: int) -> Verdict | None:
        """What a reply says of each document; None where it says nothing, and then there was a warning."""
        if reply is None or reply.status in LATER:
            return None
        if reply.status != 200:
            self._warn("request", f"{self._connection.node} takes no lines: {words(reply)}; they wait on disk")
            return None
        try:
            return judge(reply.body, count)
        except ValueError as error:
            self._warn("reply", f"{self._connection.node} answers a bulk request strangely: {error}")
            return None

    def _ask(self, method: str, path: str, body: Body | None = None, kind: str = "application/json") -> Reply | None:
        node = self._connection.node
        self._busy = self._silent = False
        try:
            reply = self._connection.request(method, path, body, kind)
            self._answers.count += 1
            if reply.status in LATER:
                self._busy = True
                self._warn("busy", f"{node} is too busy: {words(reply)}; lines wait on disk")
            return reply
        except (OSError, HTTPException) as error:
            self._busy = isinstance(error, TimeoutError)
            self._silent = not self._busy
            self._warn("unreachable", f"{node} does not answer: {error or type(error).__name__}; lines wait on disk")
            return None


def _split(documents: Documents, most: int) -> list[Documents]:
    """Parts of at most so many, the first one last."""
    each = list(documents)
    return [Documents(each[at : at + most]) for at in range(0, len(each), most)][::-1]


def _parts(letters: Sequence[tuple[RefusedLines, Letter]]) -> list[list[tuple[RefusedLines, Letter]]]:
    """Those of one index together, up to a body's size."""
    parts: list[list[tuple[RefusedLines, Letter]]] = []
    room, index = 0, ""
    for one in sorted(letters, key=lambda one: one[1].target):
        size = len(one[1].document)
        if size > room or one[1].target != index:
            parts.append([])
            room, index = BODY, one[1].target
        parts[-1].append(one)
        room -= size
    return parts
