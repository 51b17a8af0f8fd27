"""What was dropped or lost of the streams: counted once in the journal, warned of, and reported in a document of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from ..documents.batch import Documents
from ..documents.record import drop_document, loss_document
from ..journal.journal import Journal
from ..journal.position import LOST_BECAUSE, Drop, Loss
from .source import Source
from .spool import Spool

Warn = Callable[[str, str], None]


class Losses:
    """Of one spool; ``because`` is why lines are dropped."""

    def __init__(self, journal: Journal, spool: Spool, warn: Warn, because: str) -> None:
        self._journal, self._spool, self._warn, self._because = journal, spool, warn, because

    def documents(self, drops: Sequence[Drop], losses: Sequence[Loss]) -> Documents:
        """What reports these."""
        sources = self._spool.sources
        made = [
            drop_document(sources[drop.stream].stream, drop, self._because) for drop in drops if drop.stream in sources
        ]
        made += [loss_document(sources[loss.stream].stream, loss) for loss in losses if loss.stream in sources]
        return Documents(made)

    def unreported(self, stream: str) -> bool:
        """Whether a document is still to report something of the stream; none can, once it has ended."""
        drops, losses = self._journal.drops, self._journal.losses
        return any(drop.stream == stream for drop in drops) or any(loss.stream == stream for loss in losses)

    def lose(
        self,
        stream: str,
        generation: int,
        start: int,
        size: int,
        why: str,
        more: str = "",
        lines: int = 0,
        over: bool = True,
    ) -> None:
        """At least so many bytes from there on are lost, and the lines of it that were read; ``over``: also all
        of the stream's backlog."""
        loss = Loss(stream, generation, start, size, time.time_ns() // 1000, why, more, lines)
        self.record(self._journal.lose, loss, over and not lines, stream in self._spool.sources)

    def report_lost(self, source: Source) -> None:
        """Nothing of the stream can be read any more: what is known to have been there is lost."""
        stream = source.stream.id
        for why, more in source.lost:
            start, seen = source.oldest.position.offset, [mark.offset for mark in self._journal.marks.get(stream, ())]
            size = max([source.waiting, *(offset - start for offset in seen[-1:])])
            what = f"at least {size:,} bytes of it are lost" if size else "what else it held, if anything, is lost"
            self._warn(
                f"lost {source.registration}",
                f"{source.instance}, of which {start} bytes were read: {what}: {LOST_BECAUSE[why]}{more and f' ({more})'}",
            )
            if size:
                self.lose(stream, source.generation, start, size, why, more)
        source.lost.clear()
        source.let_go()

    def record(self, write: Callable[..., None], *arguments: object) -> None:
        """Write to the journal what may be lost at the price of sending something twice to an index that dedupes."""
        try:
            write(*arguments)
        except OSError as error:
            self._warn("journal", f"cannot write {self._journal.path}: {error}")
