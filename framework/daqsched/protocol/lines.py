"""Stored lines."""

from __future__ import annotations

from typing import Literal, Optional

import msgspec

#: So many lines, groups of lines, and fingerprints an answer has at most.
MOST_LINES, MOST_GROUPS, MOST_FINGERPRINTS = 1000, 10_000, 500


class LinesWanted(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Which stored lines somebody means; what is empty means all. Of these he is told what he may read."""

    #: Words as in `daqsched.select`: one must fit.
    select: list[str] = []
    #: Hosts: names, ranges, ``*`` and ``?``; one must fit.
    hosts: list[str] = []
    streams: list[str] = []
    #: Exactly these: ``error``, ``critical``.
    levels: list[str] = []
    runs: list[str] = []
    #: In seconds since the epoch: from then on, and before then.
    since: Optional[float] = None
    until: Optional[float] = None
    #: As ``--grep``.
    grep: str = ""


class LinesRequest(LinesWanted, forbid_unknown_fields=True, kw_only=True):
    """POST /v1/lines -> `LinesAnswer`: the last ones."""

    most: int = 50


class StoredLine(msgspec.Struct, omit_defaults=True):
    """A line, as `docs/reference/documents.md` has it; what it does not say is empty."""

    #: In seconds since the epoch.
    time: float
    host: str
    job: str
    stream: str
    level: str
    message: str
    id: str
    offset: int = 0
    release: str = ""
    task_id: str = ""
    flags: tuple[str, ...] = ()
    #: Why Elasticsearch refused the line's full form.
    dead: str = ""
    dataset: str = ""
    run: str = ""
    start: int = 0
    fingerprint: str = ""
    #: When it was seen, where that is not `time`.
    created: float = 0.0
    #: While following: it was stored after newer lines of its stream.
    late: bool = False


class LinesAnswer(msgspec.Struct):
    """Lines, the oldest first."""

    lines: list[StoredLine]
    #: Why these are not all, a sentence each; empty: they are.
    lacks: list[str] = []
    #: Where there is none: whether there are others.
    says: str = ""


class CountLinesRequest(LinesWanted, forbid_unknown_fields=True, kw_only=True):
    """POST /v1/lines/count -> `CountLinesAnswer`: how many in groups, and by intervals of so many seconds (0: not)."""

    #: ``host``, ``job``, ``level``, ``stream``, ``run``, ``version``, ``start``, ``task``, ``dataset``, ``message``.
    by: list[str] = []
    every_s: float = 0.0
    #: By how much the time of the intervals is ahead of UTC: a day begins at midnight of that.
    offset_s: float = 0.0


class LineGroup(msgspec.Struct):
    """So many lines with these values (`-`: without one), and the begin of their interval in seconds since the epoch; 0: of all."""

    values: tuple[str, ...]
    count: int
    time: float = 0.0


class CountLinesAnswer(msgspec.Struct):
    """The groups, in no order."""

    groups: list[LineGroup]
    #: How many lines there are; what the groups lack of it was too much.
    total: int
    lacks: list[str] = []


class LinesContextRequest(LinesWanted, forbid_unknown_fields=True, kw_only=True):
    """POST /v1/lines/context -> `LinesContextAnswer`: those before and after a moment, or a line."""

    #: In seconds since the epoch; without it the id of a `line`, and whose are shown: of its stream, its host, or all.
    at: Optional[float] = None
    line: str = ""
    scope: Literal["stream", "host", "farm"] = "stream"
    most: int = 50


class LinesContextAnswer(msgspec.Struct):
    """Both the oldest first."""

    before: list[StoredLine]
    after: list[StoredLine]
    #: The one that was named.
    line: Optional[StoredLine] = None
    lacks: list[str] = []
    says: str = ""


class LineExamplesRequest(LinesWanted, forbid_unknown_fields=True, kw_only=True):
    """POST /v1/lines/examples -> `LineExamplesAnswer`: the newest message of each of these kinds."""

    fingerprints: list[str]


class LineExamplesAnswer(msgspec.Struct):
    """By fingerprint."""

    examples: dict[str, str]
    lacks: list[str] = []


class NewLinesRequest(LinesWanted, forbid_unknown_fields=True, kw_only=True):
    """POST /v1/lines/new -> `NewLinesAnswer`: kinds of messages from ``after`` on that were not there before."""

    after: float


class NewMessage(msgspec.Struct):
    """A message of a new kind: its first line, how often it came, on which hosts (some of them) and on how many."""

    first: StoredLine
    count: int
    hosts: tuple[str, ...]
    host_count: int


class NewLinesAnswer(msgspec.Struct):
    """The first seen first; how many lines there are since then, how many of them have no fingerprint, and how many are of too many
    kinds to be looked at."""

    messages: list[NewMessage]
    lines: int
    without: int = 0
    cut: int = 0
    lacks: list[str] = []


class FollowLinesRequest(LinesWanted, forbid_unknown_fields=True, kw_only=True):
    """POST /v1/lines/follow -> `FollowLinesAnswer`: the last ones, and with ``follow`` of that answer those that came since.
    Whoever does not ask for 30 s begins anew."""

    follow: str = ""
    most: int = 50


class FollowLinesAnswer(msgspec.Struct):
    """Each line comes once; there may be ``more`` at once. ``says``: what people should know."""

    follow: str
    lines: list[StoredLine]
    more: bool = False
    says: list[str] = []


class DeadLettersRequest(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """POST /v1/lines/dead -> `DeadLettersAnswer`: lines that Elasticsearch refused, the oldest first."""

    hosts: list[str] = []
    since: Optional[float] = None
    most: int = 1000


class DeadLetter(msgspec.Struct):
    """One of them: which index refused it and why; ``whole``: it can be sent again from there."""

    id: str
    time: str
    host: str
    job: str
    stream: str
    index: str
    reason: str
    message: str
    whole: bool


class DeadLettersAnswer(msgspec.Struct):
    """Those that who asks may read."""

    letters: list[DeadLetter]
    lacks: list[str] = []
