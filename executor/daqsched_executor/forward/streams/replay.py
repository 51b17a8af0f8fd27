"""What was planned before a restart and has no reply: the same documents, for the same index."""

from __future__ import annotations

from collections.abc import Iterator

from ..documents.batch import Documents
from ..journal.journal import Journal
from ..journal.position import Plan, Range
from .batch_builder import reread
from .losses import Losses, Warn
from .spool import Spool


class Replay:
    """Of one spool's journal, as it was found; for the beginning."""

    def __init__(self, journal: Journal, spool: Spool, losses: Losses, warn: Warn) -> None:
        self._journal, self._spool, self._losses, self._warn = journal, spool, losses, warn

    def batches(self) -> Iterator[tuple[int, Documents]]:
        """The number of each, with its documents."""
        for number, plan in list(self._journal.outstanding.items()):
            documents, aside = Documents(), []
            for entry in plan.ranges:
                try:
                    documents += self._reread(entry)
                except Exception as error:  # noqa: BLE001 - what one stream holds must not keep the others from being read
                    aside.append(entry)
                    self._warn(f"again {entry.stream}", self._unreadable_words(entry, error))
            if aside and not self._set_apart(number, plan, aside):
                continue
            documents += self._losses.documents(plan.drops, plan.losses)
            if documents:
                yield number, documents
            else:
                self._losses.record(self._journal.done, number)

    def _set_apart(self, number: int, plan: Plan, aside: list[Range]) -> bool:
        """Not lost: it stays in the journal, and the next start tries again. Whether something of the batch is left to be
        sent now."""
        for stream in {entry.stream for entry in aside} & self._spool.sources.keys():
            self._spool.sources[stream].under_way += 1
        if len(aside) == len(plan.ranges) and not plan.drops and not plan.losses:
            return False
        try:
            self._journal.part(number, aside)
        except OSError as error:
            self._warn("journal", f"cannot write {self._journal.path}: {error}; a batch waits for the next start")
            return False
        return True

    def _unreadable_words(self, entry: Range, error: Exception) -> str:
        source = self._spool.sources.get(entry.stream)
        of = source.instance if source is not None else f"the stream {entry.stream}"
        return (
            f"cannot read {entry.lines} lines of {of} again, which may not have been stored ({type(error).__name__}: {error}): "
            "the next start tries again, all others are forwarded"
        )

    def _reread(self, entry: Range) -> Documents:
        """The documents of a range as they were planned; fewer, with a warning, where its bytes are gone."""
        source = self._spool.sources.get(entry.stream)
        if source is None and self._spool.knows(entry.stream):
            raise OSError(f"the registration of {entry.stream} cannot be used")
        documents, end = reread(source, entry) if source is not None else (Documents(), entry.start)
        if end < entry.end:
            self._warn(
                entry.stream,
                f"bytes {end} to {entry.end} of the stream {entry.stream} are gone; "
                "whether they were stored before the last forwarder ended is not known",
            )
            self._losses.lose(
                entry.stream, entry.generation, end, entry.end - end, "sent", lines=entry.lines - len(documents)
            )
        return documents
