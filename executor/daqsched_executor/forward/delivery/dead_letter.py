"""Lines that Elasticsearch refuses in their full form: what is kept of them, and where.

All of a line goes into an index of our own, ``PREFIX-deadletter-YYYY.MM``, whose mapping takes anything: the document that
was refused as text (``event.original``), so that ``daqsched deadletter replay`` can send it again, and the fields by which
people look for lines. The month is that of the index that refused it, so of when the line was seen: a second attempt meets
the first one, and what time a sender wrote into its line is no matter. Values in, values out.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

#: ``event.dataset`` of such a document.
DEADLETTER_DATASET = "daqsched.deadletter"

#: So much of the text of a line that is too large even alone is kept in the index.
SHORT = 4096

#: What people look for lines by, and what says whose a line is.
_KEPT = ("@timestamp", "message", "host", "service", "log", "orchestrator")

#: How the name of an index of lines ends, whatever its period; see `record.index_of`.
_MONTH = re.compile(r"-(\d{4}\.\d\d)(?:\.\d\d(?:\.\d\d(?:\d\d)?)?)?\Z")


class RefusedLines(NamedTuple):
    """A document that will never be taken as it is."""

    #: The index that refused it.
    target: str
    #: Its two rows.
    document: bytes
    #: In Elasticsearch's words.
    reason: str
    #: It was too large for a request of its own: only its beginning is kept in the index, the whole on the machine.
    large: bool = False


class Letter(NamedTuple):
    """What is stored of it."""

    target: str
    #: Two rows.
    document: bytes


def letter(refused: RefusedLines, prefix: str) -> Letter:
    """The dead form. It keeps the id."""
    action, source = refused.document.split(b"\n", 2)[:2]
    full = json.loads(source)
    reason = refused.reason
    small = {name: full[name] for name in _KEPT if name in full}
    small["daqsched"] = {**full.get("daqsched", {}), "deadletter": {"index": refused.target}}
    small["event"] = {"dataset": DEADLETTER_DATASET}
    if refused.large:
        small["message"] = full["message"][:SHORT]
        small["log"] = {**full.get("log", {}), "flags": ["truncated"]}
        reason += "; the whole line is in forward/deadletter.ndjson on its machine"
    else:
        small["event"]["original"] = source.decode()
    small["error"] = {"message": reason}
    return Letter(
        f"{prefix}-deadletter-{_month(refused.target, full)}", action + b"\n" + json.dumps(small).encode() + b"\n"
    )


def _month(target: str, full: dict[str, Any]) -> str:
    """``2026.11``: that of the index, or of the line where the index's name says none."""
    found = _MONTH.search(target)
    return found.group(1) if found is not None else str(full["@timestamp"])[:7].replace("-", ".")
