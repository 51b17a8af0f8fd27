"""`daqsched logs` without Elasticsearch: the files that jobs print to, read where they lie, through the daemon.

What this can't know: when a line was printed, unless the line says so itself, as the executor's do. So the last lines are
those of each job, host and stream; what has a time is sorted by it, other lines stay with those before them; while
following, a line's time is that of its arrival.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Optional, Protocol

from daqsched.errors import Unreachable
from daqsched.logs.file_tails import PIECE, Backwards, Forwards, Found, matcher, own_time, places
from daqsched.logs.lines import Line
from daqsched.protocol import Piece, Sandbox
from daqsched.select import selection
from daqsched_executor.contract import SANDBOX_FILES
from daqsched_executor.contract.levels import level_of

if TYPE_CHECKING:
    from daqsched.client import Client
    from daqsched.logs.query import Wanted

#: How often `follow` looks; with many sandboxes more seldom: so many tasks a second are looked at.
POLL_S, LOOKS_PER_S = 0.4, 250

#: How long the file of a task that has ended is read on: its last lines may be on their way.
LINGER_S = 3.0

#: How long `follow` waits for a daemon that has answered before.
PATIENCE_S = 60.0

#: How many pieces one request asks for: none shall take long.
BATCH = 400

Warn = Callable[[str], None]


@dataclass(frozen=True)
class SandboxFile:
    """One stream of one task."""

    sandbox: Sandbox
    stream: str

    @property
    def key(self) -> tuple[str, str]:
        return self.sandbox.task_id, self.stream

    @property
    def name(self) -> str:
        """As people are told of it."""
        return f"{self.sandbox.job}@{self.sandbox.host} {self.stream}"

    def piece(self, offset: int, length: int = PIECE) -> Piece:
        return Piece(self.sandbox.agent_id, self.sandbox.task_id, self.stream, offset, length)

    def line(self, found: Found, when: float) -> Line:
        offset, text = found
        one = self.sandbox
        return Line(
            time=when,
            host=one.host,
            job=one.job,
            stream=self.stream,
            level=level_of(text),
            message=text.decode("utf-8", "replace"),
            id=f"{one.task_id}.{self.stream}-{offset:010x}",
            offset=offset,
            task_id=one.task_id,
        )


class Reading(Protocol):
    """What somebody reads of one file, piece by piece: `file_tails.Backwards`, `time_bisect.TimeBisect`, `time_bisect.Ahead`."""

    def wants(self) -> Optional[tuple[int, int]]:
        """Offset and length of the next piece; None: it has all."""

    def feed(self, data: bytes) -> None:
        """What was read there."""

    def stop(self) -> None:
        """Nothing can be read there."""


class SandboxReader:
    """Reads what ``wanted`` names; ``warn`` gets a sentence for what can't be read, once for each trouble."""

    def __init__(self, client: Client, wanted: Wanted, warn: Warn) -> None:
        self._client, self.wanted, self.warn = client, wanted, warn
        self._words = list(wanted.words) or [""]
        if wanted.hosts:
            bare = [word for word in self._words if "@" not in word]
            self._words = [word for word in self._words if "@" in word]
            self._words += [f"{word}@{host}" for word in bare for host in wanted.hosts]
        self._words = [word for word in self._words if word]
        self._on_host = selection([f"@{host}" for host in wanted.hosts])
        self._holds = matcher(wanted.text)
        self._files: dict[tuple[str, str], tuple[SandboxFile, Forwards]] = {}
        self._ended: dict[tuple[str, str], float] = {}
        self._growing = False
        #: Tasks that ran when `tail` looked, and could not be read: they are followed from where they will be.
        self._unread: set[str] = set()
        self._silent: frozenset[str] = frozenset()

    def tail(self, most: int) -> list[Line]:
        """The last ``most`` lines of each job, host and stream, also of tasks that have ended, as they can be sorted."""
        histories: dict[tuple[str, str, str], list[SandboxFile]] = {}
        sandboxes = self.sandboxes(finished=True)
        self._unread = {one.task_id for one in sandboxes if one.running and not one.files}
        for place in self.places(sandboxes):
            one = place.sandbox
            histories.setdefault((one.job, one.host, place.stream), []).append(place)
            if one.running:
                self._files[place.key] = place, Forwards(one.files[place.stream][0])
        for history in histories.values():
            history.sort(key=lambda place: (place.sandbox.running, place.sandbox.files[place.stream][1]))
        found: dict[tuple[str, str, str], list[tuple[float, Line]]] = {key: [] for key in histories}
        while histories:
            newest = {key: history.pop() for key, history in histories.items()}
            for key, lines in self._read_back({key: (place, most - len(found[key])) for key, place in newest.items()}):
                found[key][:0] = lines
            histories = {key: history for key, history in histories.items() if history and len(found[key]) < most}
        ordered = sorted(
            (when, key[1], key[0], key[2], at, line)
            for key, lines in found.items()
            for at, (when, line) in enumerate(lines)
        )
        shown = [line for *_, line in ordered]
        if (self.wanted.since or self.wanted.until) and any(not line.time for line in shown):
            self.warn("lines without a time of their own are shown, as nobody knows when they were printed")
        return shown

    def follow(self) -> Iterator[Line]:
        """Lines as they are printed, for ever; a line's time is that of its arrival, where it has none of its own."""
        heard = time.monotonic()
        while True:
            asked = time.monotonic()
            more = False
            try:
                yield from self._news(time.time())
                more = bool(self._growing)
                heard = asked
            except Unreachable as error:
                if asked - heard > PATIENCE_S:
                    raise
                self._say([str(error)])
            if not more:
                rest = max(POLL_S, len({task_id for task_id, _ in self._files}) / LOOKS_PER_S) - (
                    time.monotonic() - asked
                )
                time.sleep(max(0.02, rest))

    # ---------------------------------------------------------------------------------------- the last lines

    def sandboxes(self, finished: bool) -> list[Sandbox]:
        answer = self._client.sandboxes(self._words, finished)
        self._say(answer.silent)
        return [one for one in answer.sandboxes if self._on_host(one.job, one.host)]

    def places(self, sandboxes: Iterable[Sandbox]) -> Iterator[SandboxFile]:
        for one in sandboxes:
            for stream in SANDBOX_FILES:
                if stream in one.files and (not self.wanted.streams or stream in self.wanted.streams):
                    yield SandboxFile(one, stream)

    def _read_back(
        self, wanted: dict[tuple[str, str, str], tuple[SandboxFile, int]]
    ) -> Iterator[tuple[tuple[str, str, str], list[tuple[float, Line]]]]:
        """Of each file its last lines with the time to sort them by, all files at once, piece by piece."""
        tails = {key: self._backwards(place, most) for key, (place, most) in wanted.items()}
        self.read_all([(wanted[key][0], tail) for key, tail in tails.items()])
        for key, tail in tails.items():
            place = wanted[key][0]
            if tail.given_up:
                self.warn(f"{place.name}: only the last {tail.looked >> 20} MiB of the file were looked through")
            if place.key in self._files and tail.end >= 0:
                self._files[place.key] = place, Forwards(tail.end)
            times = [own_time(line) for _, line in tail.lines]
            sorted_by = places(times, place.sandbox.files[place.stream][1])
            yield key, [(by, place.line(one, at)) for one, at, by in zip(tail.lines, times, sorted_by)]

    def _backwards(self, place: SandboxFile, most: int) -> Backwards:
        size, written = place.sandbox.files[place.stream]
        since, until = self.wanted.since, self.wanted.until

        def fits(line: bytes) -> bool:
            when = own_time(line)
            if since is not None and when and when < since:
                tail.stop()
                return False
            return (until is None or not when or when < until) and self.fits(line)

        old = since is not None and written + 1.0 < since
        tail = Backwards(size, 0 if old else most, fits, final=not place.sandbox.running)
        return tail

    def fits(self, line: bytes) -> bool:
        if self.wanted.levels and level_of(line) not in self.wanted.levels:
            return False
        return not self.wanted.text or self._holds(line.decode("utf-8", "replace"))

    # ---------------------------------------------------------------------------------------- as they grow

    def _news(self, now: float) -> list[Line]:
        sandboxes = self.sandboxes(finished=False)
        running = {one.task_id for one in sandboxes}
        sizes = {place.key: place.sandbox.files[place.stream][0] for place in self.places(sandboxes)}
        for place in self.places(sandboxes):
            if place.key not in self._files:
                begin = sizes[place.key] if place.sandbox.task_id in self._unread else 0
                self._files[place.key] = place, Forwards(begin)
        self._unread -= {task_id for task_id, _ in sizes}
        for task_id, stream in self._files:
            if task_id not in running:
                self._ended.setdefault((task_id, stream), now)
        wanted = {}
        for key, (place, file) in self._files.items():
            if sizes.get(key, file.offset) < file.offset:
                file.restart()
            if key in self._ended or sizes.get(key, 0) > file.offset:
                wanted[key] = place.piece(file.offset)
        found = []
        self._growing = False
        for key, data in zip(wanted, self._read(wanted.values())):
            place, file = self._files[key]
            lines = file.feed(data or b"")
            self._growing |= len(data or b"") == PIECE
            if not data and now - self._ended.get(key, now) > LINGER_S:
                lines += file.close()
                del self._files[key], self._ended[key]
            lines = [one for one in lines if self.fits(one[1])]
            times = [own_time(line) or now for _, line in lines]
            found += [(at, place.line(one, at)) for one, at in zip(lines, times)]
        found.sort(key=lambda one: one[0])
        return [line for _, line in found]

    def read_all(self, readings: Sequence[tuple[SandboxFile, Reading]]) -> None:
        """Give every reading what it wants of its file, all files at once, piece by piece, until none wants more."""
        while True:
            asking = [(place.piece(*asked), one) for place, one in readings for asked in [one.wants()] if asked]
            if not asking:
                return
            for (_, one), data in zip(asking, self._read([piece for piece, _ in asking])):
                if data is None:
                    one.stop()
                else:
                    one.feed(data)

    def _read(self, pieces: Iterable[Piece]) -> Iterator[Optional[bytes]]:
        todo = list(pieces)
        for at in range(0, len(todo), BATCH):
            answer = self._client.read(todo[at : at + BATCH])
            self._say([*self._silent, *answer.silent])
            yield from answer.data

    def _say(self, silent: Iterable[str]) -> None:
        """Each sentence once, and again when it was not so in between."""
        for sentence in silent:
            if sentence not in self._silent:
                self.warn(sentence)
        self._silent = frozenset(silent)
