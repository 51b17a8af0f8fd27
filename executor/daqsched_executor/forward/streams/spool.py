"""The machine's registered streams as files: which there are, what is new in them, and which have ended.

No descriptor is kept and nothing is watched by inotify: one `stat` per stream and look costs about a microsecond,
works on every file system, and thousands of leftover streams need no file limit.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

from ...contract import LINKS_DIR, STREAMS_DIR, ContractError, Stream
from ...contract.stream import farm_of
from ...machine.spool import FOREIGN, FORWARD_DIR, SEEN, folder, read_ours, spool_folder
from ..journal.position import Position
from .source import Source

SUFFIX = ".json"

#: What other accounts may read of it: counts, no lines.
PUBLIC = ("status.json", "metrics.prom", "last_end.json")

#: How long a stream must have been quiet, with its lock free, before it counts as ended.
QUIET_S = 1.0

#: How long a stream without executor is kept: Mesos needs a moment to kill what a killed executor leaves behind.
ORPHAN_S = 5.0

#: Whether a quiet stream has ended is looked at this seldom in the end.
PROBE_EVERY_S = 10.0

#: A link without registration is older than any executor's start takes.
STRAY_S = 3600.0

#: The folder is listed when its time changed, and this often anyway.
LIST_EVERY_S = 10.0

Warn = Callable[[str, str], None]


def of_farm(streams: Iterable[Stream], task_id: str) -> Callable[[Stream], bool]:
    """A test for those that the forwarder with this task has to wait for: of its own farm, or of which nobody knows whose they are.
    Where it has none of its own these are all."""
    farms = {farm_of(one) for one in streams if one.task_id == task_id} - {""}
    return lambda stream: not farms or farm_of(stream) in ("", *farms)


def nothing_left(spool: str, task_id: str) -> bool:
    """Whether nothing of the farm of this task is registered in the spool but what is the task's own: whoever forwards takes away
    what is stored."""
    path, streams = os.path.join(spool, STREAMS_DIR), []
    for name in os.listdir(path):
        # what can't be read ended this moment, or is none of ours; who forwards tells of it
        with contextlib.suppress(OSError, ContractError):
            streams.append(Stream.from_json(read_ours(os.path.join(path, name))))
    mine = of_farm(streams, task_id)
    return all(one.task_id == task_id or not mine(one) for one in streams)


class Input(Protocol):
    """Something besides the spool that streams come from."""

    @property
    def lost(self) -> int:
        """Messages that others sent and that were lost before they were in a stream, since this process began."""

    def discover(self, now: float) -> Sequence[Source]:
        """Streams that were not known before; called at each look (``now`` is monotonic)."""

    def close(self) -> None:
        """Take what is there, and no more."""


class Spool:
    """All streams below a machine's spool, and those of the inputs."""

    def __init__(self, path: str, positions: dict[str, Position], warn: Warn, inputs: Sequence[Input] = ()) -> None:
        self.streams_dir = os.path.join(path, STREAMS_DIR)
        self.links_dir = os.path.join(path, LINKS_DIR)
        self.sources: dict[str, Source] = {}
        self._positions = positions
        self._warn = warn
        self._inputs = inputs
        self._listed = 0.0
        self._folder_ns = -1
        self._foreign(path)
        self._sweep()

    def knows(self, stream_id: str) -> bool:
        """Whether there is a registration or a link of that stream, readable or not."""
        return stream_id in self.sources or any(
            os.path.lexists(path)
            for path in (os.path.join(self.streams_dir, stream_id + SUFFIX), os.path.join(self.links_dir, stream_id))
        )

    def discover(self, now: float) -> list[Source]:
        """Streams that were not known before (``now`` is monotonic)."""
        found = self._registered(now)
        for one in self._inputs:
            try:
                found += one.discover(now)
            except OSError as error:
                self._warn("inputs", f"cannot look for what comes in: {error}")
        self.sources.update((source.stream.id, source) for source in found)
        return found

    @property
    def lost(self) -> int:
        """See `Input.lost`."""
        return sum(one.lost for one in self._inputs)

    def close(self) -> None:
        """Nothing more comes in."""
        for one in self._inputs:
            one.close()

    def _registered(self, now: float) -> list[Source]:
        folder_ns = os.stat(self.streams_dir).st_mtime_ns
        # A folder's time moves in steps of some milliseconds: one that changed just now may change again unseen.
        settled = abs(time.time_ns() - folder_ns) > 100_000_000
        if folder_ns == self._folder_ns and now - self._listed < LIST_EVERY_S:
            return []
        found = []
        unusable: list[str] = []
        for name in os.listdir(self.streams_dir):
            if name.endswith(SUFFIX) and name[: -len(SUFFIX)] not in self.sources:
                source = self._open(name, unusable)
                if source is not None:
                    found.append(source)
        if unusable:
            # one sentence, however many there are
            others = f" (and {len(unusable) - 1} more)" if unusable[1:] else ""
            self._warn("registrations", f"cannot use the registration {unusable[0]}{others}")
        self._listed = now
        self._folder_ns = folder_ns if settled else -1
        return found

    def look(self, now: float) -> Iterator[tuple[Source, os.stat_result]]:
        """The streams whose files have another size than at the last look, with what the file system says of them
        (``now`` is monotonic)."""
        for source in self.sources.values():
            try:
                status = source.look(now)
            except OSError as error:
                self._warn(source.registration, f"cannot look at {source.instance}: {error}")
                continue
            if status is not None:
                yield source, status

    def ended(self, now: float) -> Iterator[Source]:
        """Streams that nobody writes to any more and whose lines are all stored.

        One whose last line has no newline is marked `Source.final` first and comes up once that is stored, too.
        """
        for source in list(self.sources.values()):
            quiet_s = now - source.changed
            # The longer a stream has been quiet, the less its end is news.
            every_s = min(max(QUIET_S, quiet_s / 10), PROBE_EVERY_S) if not source.free_since else QUIET_S
            if (
                quiet_s < QUIET_S
                or now - source.probed < every_s
                or source.under_way
                or source.readable
                or source.backlog
            ):
                continue
            source.probed = now
            try:
                if not source.abandoned():
                    source.free_since = 0.0
                    continue
            except FileNotFoundError:
                pass  # a registration that somebody took away has no executor either
            except OSError as error:
                self._warn(source.registration, f"cannot look at {source.registration}: {error}")
                continue
            if not source.free_since:
                source.free_since = now
            elif source.waiting:
                source.final = True
            elif source.foreign or quiet_s >= ORPHAN_S:
                yield source

    def remove(self, source: Source) -> bool:
        """Take an ended stream away; False, with a warning, where we may not: another account's files."""
        try:
            source.remove()
        except OSError as error:
            self._warn("remove", f"cannot take away the ended stream {source.registration}: {error}")
            return False
        del self.sources[source.stream.id]
        return True

    def _sweep(self) -> None:
        """Take away the links of executors that died before they registered them: their programs never started."""
        for name in os.listdir(self.links_dir):
            path = os.path.join(self.links_dir, name)
            try:
                registered = os.path.lexists(os.path.join(self.streams_dir, name + SUFFIX))
                if not registered and time.time() - os.lstat(path).st_ctime > STRAY_S:
                    os.unlink(path)
            except OSError as error:
                self._warn("sweep", f"cannot take away a stray link: {error}")
        # an older forwarder does not know what lies beside a registration
        names = set(os.listdir(self.streams_dir))
        for name in names:
            stem = name.partition(".")[0]
            if not name.startswith(".") and not name.endswith(SUFFIX) and stem + SUFFIX not in names:
                with contextlib.suppress(OSError):
                    if time.time() - os.lstat(os.path.join(self.streams_dir, name)).st_ctime > STRAY_S:
                        os.unlink(os.path.join(self.streams_dir, name))

    def _open(self, name: str, unusable: list[str]) -> Source | None:
        """The stream of a registration; of one that can't be used, ``unusable`` gets the reason."""
        path = os.path.join(self.streams_dir, name)
        try:
            stream = Stream.from_json(read_ours(path))
            if stream.id + SUFFIX != name:
                raise ContractError(f"it is the registration of {stream.id}")
            position = self._positions.get(stream.id, Position(0, stream.start))
            source = Source(stream, os.path.join(self.links_dir, stream.id), path, position)
            source.form(
                Position(0, 0), "", 0
            )  # options that its form can't use are found here, and not when lines wait
        except FileNotFoundError:
            return None
        except (OSError, ContractError, ValueError, LookupError, TypeError) as error:
            unusable.append(f"{path}: {error.strerror if isinstance(error, OSError) else error}")
            return None
        return source

    def _foreign(self, path: str) -> None:
        for name in os.listdir(path):
            if FOREIGN in name:
                self._warn(
                    f"foreign {name}",
                    f"{os.path.join(path, name)} was put there by another account and is not used; look at it, and remove it",
                )


def prepare(spool: str) -> str:
    """Make the spool's folders where they are not there; the forwarder's own among them is the result.

    Raises OSError, with a sentence, where other accounts could write to them.
    """
    os.makedirs(os.path.dirname(os.path.abspath(spool)), exist_ok=True)
    top = spool_folder(spool)
    try:
        for name in (STREAMS_DIR, LINKS_DIR):
            os.close(folder(name, within=top))
        own = folder(FORWARD_DIR, SEEN, within=top)
        try:
            for name in os.listdir(own):  # an older version left them open
                if name not in PUBLIC and os.stat(name, dir_fd=own, follow_symlinks=False).st_mode & 0o077:
                    os.chmod(name, 0o600, dir_fd=own)
        finally:
            os.close(own)
    finally:
        os.close(top)
    return os.path.join(spool, FORWARD_DIR)
