"""One message of the sd_notify protocol: lines of NAME=VALUE in a datagram (sd_notify(3)), as a `Notice`.

It comes from a program that may be wrong: what we do not know, or cannot read, is left out, and nothing raises.
"""

from __future__ import annotations

from daqsched_executor.life.events import Notice

#: A longer message is cut by the shell; libsystemd's own limit for what it reads.
DATAGRAM_BYTES = 4096
#: A status is one line of a report; the rest is cut.
STATUS_LENGTH = 200
#: More than this nobody means: a day. WATCHDOG_USEC and EXTEND_TIMEOUT_USEC are cut to it.
LONGEST_S = 86400.0

_WORDS = {"READY": "ready", "RELOADING": "reloading", "STOPPING": "stopping"}
_DURATIONS = {"WATCHDOG_USEC": "watchdog_s", "EXTEND_TIMEOUT_USEC": "extend_s"}


def parse(datagram: bytes) -> Notice:
    """What the message says; where a name comes twice, the last one counts."""
    found: dict[str, object] = {}
    for line in datagram[:DATAGRAM_BYTES].split(b"\n"):
        name, is_one, value = line.decode("utf-8", "replace").partition("=")
        if not is_one:
            continue
        if name in _WORDS and value == "1":
            found[_WORDS[name]] = True
        elif name == "WATCHDOG" and value in ("1", "trigger"):
            found["watchdog" if value == "1" else "trigger"] = True
        elif name == "STATUS":
            found["status"] = _readable(value)
        elif name in _DURATIONS and value.isascii() and value.isdigit():
            found[_DURATIONS[name]] = min(LONGEST_S, int(value[:20]) / 1e6)
    return Notice(**found)  # type: ignore[arg-type]  # each of its field's type


def storing(datagram: bytes) -> tuple[str, str] | None:
    """``("FDSTORE" or "FDSTOREREMOVE", FDNAME)`` where the message speaks of files that it leaves, or wants gone, else none.

    A name that is none (sd_pid_notify_with_fds(3)) becomes ``stored``, as systemd has it.
    """
    found = dict(line.partition(b"=")[::2] for line in datagram[:DATAGRAM_BYTES].split(b"\n"))
    name = found.get(b"FDNAME", b"").decode("utf-8", "replace")
    if not (0 < len(name) <= 255 and name.isascii() and name.isprintable() and ":" not in name):
        name = "stored"
    return next(((word, name) for word in ("FDSTORE", "FDSTOREREMOVE") if found.get(word.encode()) == b"1"), None)


def _readable(text: str) -> str:
    text = "".join(one if one.isprintable() else " " for one in text).strip()
    return text if len(text) <= STATUS_LENGTH else text[: STATUS_LENGTH - 1] + "…"
