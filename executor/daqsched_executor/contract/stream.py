"""The streams on disk: where a machine keeps them, how one is registered, which id a line of it has."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Optional

from daqsched_executor.contract.wire import VERSION, ContractError, build, dump, load

#: Where a machine keeps its streams: this folder below the agent's work_dir, so that a hard link to a sandbox
#: file is possible (same file system) and three agents on one machine do not meet. `spool_of` finds it. It belongs to the
#: account of executors and forwarder, and is closed to all others (`machine.spool`).
SPOOL_NAME = "daqsched"

#: Environment variable that overrides the folder.
SPOOL_VARIABLE = "DAQSCHED_SPOOL"

#: In the environment of all that a program begins: a random word of its executor's, by which the next executor knows
#: what is left of it, whatever account that has by then (`machine.claim`).
KEY_VARIABLE = "DAQSCHED_KEY"

#: What a forwarder is told, as `Forwarding.to_json` writes it: in its environment, where it is a job.
FORWARDING_VARIABLE = "DAQSCHED_FORWARDING"

#: Below the spool: one registration per stream, and one hard link to its file.
STREAMS_DIR = "streams"
LINKS_DIR = "links"

#: Below the spool: one file per instance, locked (flock) by the executor that may run it. See `Payload.lock`.
LOCKS_DIR = "locks"

#: The stream of the executor's own words about a job (started, exited, backs off); the others are what the
#: job prints. Streams are named by these words in documents, in `daqsched logs` and in the sandbox.
STDOUT, STDERR, EXECUTOR = "stdout", "stderr", "executor"

#: Their names in the sandbox; the first two are what Mesos' agent made for our own output and what its web UI looks for.
SANDBOX_FILES = {STDOUT: "stdout", STDERR: "stderr", EXECUTOR: "executor.log"}


@dataclass(frozen=True)
class Stream:
    """One file of lines and whose it is: the registration ``streams/<id>.json`` in the machine's spool.

    The executor writes it (a rename makes it appear whole) before the program starts, links ``links/<id>`` to
    the file, and holds a shared `flock` on the registration for as long as it lives. The forwarder reads the link,
    not the path, so a sandbox that Mesos collects takes no line with it. A stream has ended when the lock is
    free and all bytes are stored; then the forwarder removes registration and link.
    """

    #: 11 characters of base64url, 64 random bits: the first part of every line's document id.
    id: str
    #: `STDOUT`, `STDERR` or `EXECUTOR`.
    name: str
    #: Where the file was at the start; for people. The link is what is read.
    path: str
    #: The byte that the first line of this stream begins at.
    start: int
    task_id: str
    job: str
    host: str
    release: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    #: When it was registered.
    created: float = 0.0
    #: How its bytes become documents: a name that the forwarder's `forms.form_of` knows, and what that form is told.
    format: str = "text"
    options: Mapping[str, Any] = field(default_factory=dict)
    #: ``event.dataset`` of its lines; a job's has ``daqsched.task``. Others have no task: `task_id` is empty.
    dataset: str = "daqsched.task"
    #: The file's inode number: no other file is read, or given back to the disk, for this stream. 0: registered by an
    #: older executor.
    inode: int = 0
    version: int = VERSION

    def to_json(self) -> bytes:
        """The registration's text."""
        return dump(self)

    @classmethod
    def from_json(cls, data: bytes | str) -> Stream:
        """Read what `to_json` wrote; raises `ContractError` on anything else."""
        what = "a stream's registration"
        raw = load(data, what)
        for name, value in raw.items():
            wanted = _KINDS.get(name)
            if wanted is not None and (not isinstance(value, wanted) or isinstance(value, bool)):
                raise ContractError(f"{what}: {name} is {type(value).__name__}")
        stream = build(cls, raw, what)
        if not _ID.fullmatch(stream.id):
            raise ContractError(f"{what}: its id is not 11 characters of base64url")
        if not (0 <= stream.start <= FURTHEST and 0 <= stream.inode < 1 << 64 and 0 <= stream.created < 1 << 40):
            raise ContractError(f"{what}: a number is out of range")
        if not can_be_path(stream.path):
            raise ContractError(f"{what}: no file can have its path")
        if not all(isinstance(value, str) for value in stream.labels.values()):
            raise ContractError(f"{what}: a label is not text")
        return stream


#: No byte of a file lies behind this one.
FURTHEST = (1 << 62) - 1

_ID = re.compile(r"[A-Za-z0-9_-]{11}")


def farm_of(stream: Stream) -> str:
    """The id of the Mesos framework whose task it is, which the path of its sandbox has; empty: none is known."""
    return stream.path.partition("/frameworks/")[2].partition("/")[0]


def can_be_path(text: str) -> bool:
    """Whether the system's calls take it, as the name of something or of nothing; they raise ValueError for others."""
    try:
        text.encode("utf-8", "surrogateescape")  # as `os.fsencode` does
    except UnicodeEncodeError:
        return False
    return "\0" not in text


#: What each field of a registration is. Others are of a newer version and left out.
_KINDS: Mapping[str, Any] = {
    **dict.fromkeys(("id", "name", "path", "task_id", "job", "host", "release", "format", "dataset"), str),
    **dict.fromkeys(("labels", "options"), dict),
    **dict.fromkeys(("start", "inode", "version"), int),
    "created": (int, float),
}

#: More digits than any offset and any number of starts has.
_DIGITS = 18


def starts_path(registration: str) -> str:
    """Where the starts of a stream's program stand, beside its registration; the file is there from the second start on.

    A row, ``OFFSET NUMBER``, says that the bytes from there on are of that start, counted from 1; the rows before the first
    one are of the first start. Whoever removes the registration removes it, too.
    """
    return registration[: -len(".json")] + ".starts"


def start_row(offset: int, number: int) -> bytes:
    """See `starts_path`."""
    return b"%d %d\n" % (offset, number)


def starts_of(text: bytes) -> list[tuple[int, int]]:
    """The rows of a file of starts as (offset, number), in the order of both; what is no row (a torn end) is left out."""
    found: list[tuple[int, int]] = []
    for row in text.split(b"\n")[:-1]:
        offset, _, number = row.partition(b" ")
        if offset.isdigit() and number.isdigit() and max(len(offset), len(number)) <= _DIGITS:
            found.append((int(offset), int(number)))
    return found


class LabelRow(NamedTuple):
    """What a stream's lines carry from that byte on, in the place of `Stream.labels`; None: they are not forwarded any more."""

    offset: int
    labels: Optional[Mapping[str, str]]


#: So many rows of labels are kept, and never so much that a reader would not take it.
MOST_ROWS, _ROWS_BYTES = 16, 512 * 1024


def labels_path(registration: str) -> str:
    """Where it stands, beside its registration, which labels a stream's lines carry from which byte on; the file is there once
    they have changed. Whoever removes the registration removes it, too. An older forwarder goes by the registration."""
    return registration[: -len(".json")] + ".labels"


def labels_text(rows: Sequence[LabelRow]) -> bytes:
    """See `labels_path`; the oldest rows go where there are too many. What lies before the first has the registration's."""
    for first in range(max(0, len(rows) - MOST_ROWS), len(rows)):
        text = json.dumps({"rows": [list(row) for row in rows[first:]], "version": VERSION}, separators=(",", ":"))
        if len(text) <= _ROWS_BYTES or first == len(rows) - 1:
            return text.encode()
    return b""


def labels_of(text: bytes) -> list[LabelRow]:
    """What `labels_text` wrote, in the order of the bytes; raises `ContractError` on anything else."""
    raw = load(text, "labels of a stream").get("rows")
    found: list[LabelRow] = []
    for row in raw if isinstance(raw, list) else [None]:
        offset, labels = row if isinstance(row, list) and len(row) == 2 else (None, None)
        right = labels is None or (isinstance(labels, dict) and all(isinstance(one, str) for one in labels.values()))
        if type(offset) is not int or not 0 <= offset <= FURTHEST or not right:
            raise ContractError("labels of a stream are not by their bytes")
        found.append(LabelRow(offset, labels))
    return sorted(found, key=lambda row: row.offset)


def document_id(stream_id: str, offset: int) -> str:
    """The id of the line that begins at byte ``offset``: the same line has the same id however often it is sent."""
    return f"{stream_id}-{offset:010x}"


def spool_of(environ: Mapping[str, str]) -> str | None:
    """The machine's spool as an executor's or forwarder's environment tells it, or None outside a Mesos sandbox.

    Mesos sets MESOS_DIRECTORY to ``WORK_DIR/slaves/ID/frameworks/ID/executors/ID/runs/ID`` (agent's paths.hpp).
    """
    named = environ.get(SPOOL_VARIABLE)
    if named:
        return named
    work_dir, found, _ = environ.get("MESOS_DIRECTORY", "").partition("/slaves/")
    return f"{work_dir}/{SPOOL_NAME}" if found else None
