"""A forwarder's counts for people, and for Prometheus: values in, texts out. docs/reference/forwarder.md is its table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from ...contract import duration, zone
from ..journal.position import LOST_BECAUSE

PREFIX = "daqsched_forward_"

#: Field of ``status.json`` -> name of the metric, its type, and what it says.
METRICS = {
    "read": ("lines_read_total", "counter", "Lines read since the spool was made."),
    "stored": ("lines_stored_total", "counter", "Lines that Elasticsearch stored."),
    "duplicates": ("lines_duplicate_total", "counter", "Lines that were stored already when they were sent again."),
    "dead": ("lines_dead_total", "counter", "Lines that Elasticsearch refused in their full form."),
    "dead_here": ("lines_dead_here", "gauge", "Dead letters that are kept on this machine alone."),
    "dead_lost": ("lines_dead_lost_total", "counter", "Dead letters for which there was no room on this machine."),
    "dropped": (
        "lines_dropped_total",
        "counter",
        "Lines dropped because the disk limit was reached, or lost after they had been read.",
    ),
    "lost": (
        "lines_lost_total",
        "counter",
        "Of these, lines whose file was gone before it was known that they are stored.",
    ),
    "losses": ("losses_total", "counter", "How often something was lost that can't be read any more."),
    "lost_bytes": ("bytes_lost_total", "counter", "How many bytes those were, at least."),
    "under_way": ("lines_under_way", "gauge", "Lines that were sent and have no reply yet."),
    "retries": ("requests_retried_total", "counter", "Requests made again since the process began."),
    "not_received": (
        "messages_not_received_total",
        "counter",
        "Messages sent to us that the kernel or a full disk dropped since the process began.",
    ),
    "waiting_bytes": ("waiting_bytes", "gauge", "Bytes not read yet."),
    "waiting_since": ("waiting_since_seconds", "gauge", "When the oldest line that waits was seen, 0: nothing waits."),
    "trouble_since": ("trouble_since_seconds", "gauge", "Since when Elasticsearch takes no lines, 0: it does."),
    "time": ("status_time_seconds", "gauge", "When these numbers last changed."),
}


#: Fields that say when.
_MOMENTS = ("waiting_since", "trouble_since", "time")

#: Moments beyond the year 5138 are none.
_LATEST = 1e11

#: So many troubles of so many characters are shown at most.
_TROUBLES, _SENTENCE = 100, 2000


def checked(raw: Any) -> dict[str, Any]:
    """What stands in ``status.json`` as the others here take it, whatever that file is now.

    Numbers that are none count as 0. Raises ValueError where no forwarder can have written it.
    """
    if not isinstance(raw, dict) or type(raw.get("pid")) is not int or not 0 < raw["pid"] < 1 << 31:
        raise ValueError("it is not an object with the number of a process")
    state = dict(raw)
    for field in METRICS:
        value = raw.get(field)
        state[field] = _usable(value, _LATEST if field in _MOMENTS else 2.0**63)
    troubles = raw.get("troubles")
    state["troubles"] = [
        {**one, "sentence": one["sentence"][:_SENTENCE]}
        for one in (troubles if isinstance(troubles, list) else [])[:_TROUBLES]
        if isinstance(one, dict)
        and _usable(one.get("since"), _LATEST) == one.get("since")
        and isinstance(one.get("sentence"), str)
    ]
    if "last_end" in raw:
        state["last_end"] = ended(raw["last_end"])
    return state


def ended(raw: object) -> dict[str, Any] | None:
    """Why a forwarder ended (see `last_end`): ``pid``, ``time``, ``sentence``; None where no forwarder can have written that."""
    if not isinstance(raw, dict):
        return None
    pid, when, words = raw.get("pid"), raw.get("time"), raw.get("sentence")
    if type(pid) is not int or not 0 < pid < 1 << 31 or not isinstance(words, str):
        return None
    return {"pid": pid, "time": when, "sentence": words[:_SENTENCE]} if _usable(when, _LATEST) == when else None


def _usable(value: object, below: float) -> float:
    """The number that it is, if it is one and neither negative nor too large; else 0."""
    return value if type(value) in (int, float) and isinstance(value, (int, float)) and 0 <= value < below else 0


def metrics(state: Mapping[str, Any], spool: str) -> str:
    """The text format of Prometheus, for node_exporter's textfile collector."""
    label = spool.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    rows = []
    for field, (name, kind, words) in METRICS.items():
        rows.append(f"# HELP {PREFIX}{name} {words}")
        rows.append(f"# TYPE {PREFIX}{name} {kind}")
        rows.append(f'{PREFIX}{name}{{spool="{label}"}} {state.get(field) or 0:.15g}')
    return "\n".join(rows) + "\n"


def in_words(state: Mapping[str, Any], spool: str, running: bool, now: float) -> Iterator[str]:
    """What somebody who is woken up needs to know, a sentence each."""
    number = {field: state.get(field) or 0 for field in METRICS}
    if running:
        yield f"Process {state.get('pid')} forwards {spool}; its numbers last changed {_ago(number['time'], now)}."
    else:
        yield (
            f"No forwarder works on {spool}: process {state.get('pid')} wrote these numbers {_ago(number['time'], now)}. "
            "Lines wait in their files until one does."
        )
    if state.get("last_end"):
        yield f"{end_in_words(state['last_end'])}."
    parts = [
        f"{number['stored']:,} stored",
        f"{number['duplicates']:,} were stored already",
        f"{number['dead']:,} refused (daqsched deadletter list)",
        f"{number['dropped'] - number['lost']:,} dropped because the disk limit was reached",
        f"{number['lost']:,} lost after they were read",
        f"{number['under_way']:,} under way",
    ]
    told = [part for part in parts if not part.startswith("0 ")] or ["nothing became of them yet"]
    yield f"Of {number['read']:,} lines that were read: {', '.join(told)}."
    missing = number["read"] - sum(number[field] for field in ("stored", "duplicates", "dead", "dropped", "under_way"))
    if missing:
        yield f"The sum is wrong by {missing:,} lines: that is a bug, please report it."
    if number["dead_here"] or number["dead_lost"]:
        lost = f"; for {number['dead_lost']:,} more there was no room" if number["dead_lost"] else ""
        yield (
            f"{number['dead_here']:,} of the refused are in {spool}/forward/deadletter.ndjson{lost} "
            "(daqsched deadletter replay --file)."
        )
    for why, (times, _, size) in (state.get("lost_because") or {}).items():
        yield (
            f"Lost {'once' if times == 1 else f'{times:,} times'}, at least {_size(size)}: {LOST_BECAUSE.get(why, why)} "
            "(daqsched logs --grep lost --level warning)."
        )
    if number["waiting_bytes"]:
        since = f", the oldest since {_when(number['waiting_since'], now)}" if number["waiting_since"] else ""
        yield f"{_size(number['waiting_bytes'])} wait to be read{since}."
    else:
        yield "Nothing waits."
    for trouble in state.get("troubles") or ():
        yield f"Trouble since {_when(trouble['since'], now)}: {trouble['sentence']}."


def well(state: Mapping[str, Any], running: bool) -> bool:
    """Whether a script may go on: a forwarder works, there is no trouble, and the last one did not end by an error just now."""
    return running and not state.get("troubles") and not state.get("last_end")


def _ago(moment: float, now: float) -> str:
    return f"{duration(max(0.0, now - moment))} ago"


def _when(moment: float, now: float) -> str:
    return f"{clock(moment)} ({duration(max(0.0, now - moment))})"


def end_in_words(end: Mapping[str, Any]) -> str:
    """What a `last_end` is in words."""
    return f"Process {end['pid']} ended at {clock(end['time'])} because {end['sentence']}"


def clock(moment: float) -> str:
    """``2026-11-23 14:03:07 UTC`` or ``2026-11-23 15:03:07+01:00``: local time, as the commands of the crew show it."""
    here = datetime.fromtimestamp(moment).astimezone()
    offset = here.utcoffset()
    assert offset is not None, "it has a zone"
    return f"{here:%Y-%m-%d %H:%M:%S}{zone(offset.total_seconds())}"


def _size(count: float) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if count < 1024:
            return f"{count:,.1f} {unit}" if unit != "bytes" else f"{count:,.0f} {unit}"
        count /= 1024
    return f"{count:,.1f} GiB"
