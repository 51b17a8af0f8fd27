"""What `daqsched status` says of the copy of the audit file in Elasticsearch: how many lines wait for it, and since when."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Callable, Optional, TypeVar

from msgspec.structs import replace

from daqsched import times
from daqsched.errors import DaqschedError
from daqsched.protocol import AuditCopied, StandbyCopied
from daqsched.serve.audit import Audit
from daqsched.serve.audit_place import waiting

#: A line that waits for longer is told: the copier looks each second, and each minute where Elasticsearch is away.
PATIENCE_S = 120.0

#: The files are looked at this often at most, and waited for so long: their disk may hang.
LOOK_S, LIMIT_S = 5.0, 1.0


#: What whoever does not see all is told of any trouble with it.
_BEHIND = "the audit file is not copied to Elasticsearch as it should be: who sees all of the farm is told more"

Copied = TypeVar("Copied", bound=AuditCopied)


class CopyWatch:
    """Looks beside the loop, in the thread that writes the audit file; `told` is for the loop alone."""

    def __init__(self, audit: Audit, now: Callable[[], float] = time.time) -> None:
        self._audit, self._now = audit, now
        self._looked = 0.0
        self._known: Optional[AuditCopied] = None
        self._looking: Optional[Future[Optional[AuditCopied]]] = None

    async def told(self) -> Optional[AuditCopied]:
        """As it is now, or was 5 s ago; where the disk does not answer in time, what was known last. None: nobody copies it."""
        looking = self._looking
        if looking is None:
            if self._looked and 0 <= self._now() - self._looked < LOOK_S:
                return self._known
            looking = self._looking = self._audit.thread.submit(look, self._audit.path, self._now())
        try:
            self._known = await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(looking)), LIMIT_S)
            self._looked = self._now()
        except asyncio.TimeoutError:
            return self._known
        finally:
            if self._looking is looking and looking.done():
                self._looking = None
        return self._known


def look(path: Path, now: float) -> Optional[AuditCopied]:
    """Of an audit file; None: nobody ever copied it."""
    try:
        found = waiting(path)
    except (DaqschedError, OSError) as error:
        return AuditCopied(
            trouble=f"how far the copy of the audit file is can't be told: {error}; `daqsched audit copy` sets that right when "
            "it is started again"
        )
    if found is None:
        return None
    late = found.lines and now - found.since > PATIENCE_S
    return AuditCopied(found.lines, found.since, _sentence(found.lines, found.since) if late else "")


def uncounted(
    copied: Optional[AuditCopied], copies: Sequence[StandbyCopied]
) -> tuple[Optional[AuditCopied], list[StandbyCopied]]:
    """The same for whoever does not see all: by the number of lines he would see how much others do."""

    def told(one: Copied) -> Copied:
        return replace(one, lines=0, since=0.0, trouble=_BEHIND if one.trouble else "")

    return told(copied) if copied is not None else None, [told(one) for one in copies]


def _sentence(lines: int, since: float) -> str:
    count = f"{lines:,} lines of the audit file wait" if lines != 1 else "1 line of the audit file waits"
    first = f"{', the first' if lines != 1 else ''} since {times.clock(since)}" if since else ""
    return f"{count} to be copied to Elasticsearch{first}: see `journalctl -u daqsched-audit-copy`, or start `daqsched audit copy`"
