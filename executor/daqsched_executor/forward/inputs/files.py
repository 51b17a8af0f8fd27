"""Finds the log files of services (`contract.LogFiles`) and keeps each as a stream through rotation.

A file's stream is registered in ``forward/files/ID.json`` before its first line is read, with the file's identity. A file
that is renamed or deleted stays the same stream, read to its end by the descriptor that is held. After a restart it is
looked for by inode, under its name, what the patterns match, and in its folder. A file that was emptied ends its stream, and
what is in it now is a new one; what had not been read is looked for in the copy that logrotate's copytruncate leaves.

A file that came and was rotated away between two looks, or while no forwarder ran, is known by its name and by its time: it
was written to after the time up to which all files are known. So a stream is forgotten only when that time has passed
its last byte, else its packed file would be read again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Callable, NamedTuple

from ...contract import LogFiles
from ...machine.spool import new_id
from ..forms import form_of
from ..journal.position import Position
from ..streams.source import Source
from .compressed import TooMuch, readable
from .foreign_files import Key, first_byte, key_at, key_of, last_line
from .identity import COMPRESSED, originals
from .patterns import Look
from .registry import Registry
from .safe_paths import opened
from .salvage import DiskBudget, unpacked
from .tailed_files import TailedFiles

#: The patterns are expanded so often; more seldom where that would take more than this share of a core, but this often.
SCAN_EVERY_S, SCAN_SHARE, SCAN_AT_LEAST_S = 1.0, 0.001, 30.0

#: So often it is noted that files were looked for: what was written since is new to whoever comes next.
SIGN_EVERY_S = 10.0

#: What came and can't be read, or not be registered, is tried again for so long. No stream ends meanwhile.
TRIED_S = 3600.0

#: So often: to unpack something may be much work.
AGAIN_S = 10.0

#: So many files are tailed at once, each with a descriptor; so many matches are looked at.
MOST_FILES, MOST_MATCHES = 1000, 20_000

Warn = Callable[[str, str], None]


class Match(NamedTuple):
    """A file that a pattern names."""

    path: str
    #: The same without links: it is rotated there.
    real: str
    one: LogFiles
    size: int
    changed: float


class Failing(NamedTuple):
    """A file that could not be read so far: since when, and when it is tried again (monotonic)."""

    since: float
    again: float


class LogFilesWatcher:
    """All files of services that this forwarder was told of; used by the reading thread alone."""

    def __init__(
        self,
        told: Sequence[LogFiles],
        host: str,
        folder: str,
        positions: Mapping[str, Position],
        warn: Warn,
        disk: float,
    ) -> None:
        """``folder`` is the forwarder's own; ``positions`` how far each stream has been read, as the journal says.

        ``disk``: how many bytes the salvage of files that are gone may take.
        """
        self._registry = Registry(folder, host)
        self._budget = DiskBudget(self._registry.folder, disk)
        self._tailed = TailedFiles(self._registry, positions, warn, self._budget)
        self._files = self._tailed.files
        self._rotation = self._tailed.rotation
        self._warn = warn
        self._told = [one for one in told if self._usable(one)]
        #: Files that were there when their pattern was first used: these are read from their end.
        self._old: set[Key] = set()
        self._next = self._next_sign = 0.0
        #: The folders of all files, and when (nanoseconds) names moved in them.
        self._folders: dict[str, int] = {}
        self._begun = self._noted = False
        #: Files that came and were rotated away and could not be read yet, and those of them that are lost.
        self._failing: dict[str, Failing] = {}
        self._given_up: set[tuple[Key, int]] = set()
        #: Whether the last look did not come to an end.
        self._cut = False

    lost = 0

    def close(self) -> None:
        """See `spool.Input`: the files stay where they are, and the next forwarder goes on in them."""

    def discover(self, now: float) -> list[Source]:
        """The files that are tailed from now on (``now`` is monotonic)."""
        if now >= self._next or any(file.emptied and not file.ours for file in self._files.values()):
            self._rotation.begin(now)
            self._look(now)
        fresh: list[Source] = [*self._tailed.fresh]
        self._tailed.fresh.clear()
        return fresh

    def _look(self, now: float) -> None:
        clock, before = time.time(), time.thread_time()
        if not self._begun:
            self._registry.prepare()
            self._tailed.complete = self._registry.complete_until()
        found = dict(self._matches())
        if not self._begun:
            self._tailed.resume((path, key[1]) for key, (_, path, *_) in found.items())
            self._begun = True
            known = self._registry.known(self._told)
            self._old.update(key for key, match in found.items() if match.one not in known)
        if not self._noted:
            self._note_patterns()
        for key, file in list(self._files.items()):
            if key in found and found[key].size != file.size:
                file.look(now)
            if file.emptied and not file.ours:
                self._tailed.let_go(file)
        names = self._moved(found)
        # What is done once for a file does not count: it must not put off the next look.
        cost_s = time.thread_time() - before
        for key, file in self._files.items():
            match = found.pop(key, None)
            if match is None and self._cut and not file.away and key_at(file.path) == key:
                continue  # it is there
            if match is None and not file.away:
                file.away_since = now
            file.away = match is None
            file.path = match.real if match else file.path
        self._tailed.tidy()
        whole = self._follow(found)
        self._old &= found.keys()
        whole = self._catch_up(names) and whole
        self._tailed.complete = clock if whole else max(self._tailed.complete, clock - TRIED_S)
        for file in self._tailed.known():
            file.settled = now - file.changed > clock - self._tailed.complete + 1.0
        if now >= self._next_sign:
            self._next_sign = now + SIGN_EVERY_S
            self._registry.sign(self._tailed.complete)
        self._next = now + min(max(SCAN_EVERY_S, (cost_s + self._rotation.cost_s) / SCAN_SHARE), SCAN_AT_LEAST_S)

    def _usable(self, one: LogFiles) -> bool:
        try:
            form_of(self._registry.stream(one, ""), 0)
        except (ValueError, LookupError) as error:
            self._warn(f"files {one.name}", f"cannot follow the files of {one.name}: {error}")
            return False
        return True

    # ------------------------------------------------------------------ what is there

    def _matches(self) -> Iterator[tuple[Key, Match]]:
        """Each file that a pattern names, once; the first pattern counts."""
        seen: set[Key] = set()
        self._cut = False
        for one in self._told:
            for pattern in one.paths:
                look = Look(pattern, one.follow_links)
                for path, real, status in islice(look.files(), MOST_MATCHES):
                    key = (status.st_dev, status.st_ino)
                    if key not in seen and not path.endswith(COMPRESSED):
                        seen.add(key)
                        yield key, Match(path, real, one, status.st_size, status.st_mtime)
                self._tell(one, look)

    def _tell(self, one: LogFiles, look: Look) -> None:
        """What is put aside, and what was not looked at: one sentence each for a service."""
        if look.aside:
            more = f" (and {look.aside - 1:,} more)" if look.aside > 1 else ""
            self._warn(f"aside {one.name}", f"{one.name}: {look.first_aside}{more}; it is not followed")
        if look.failed:
            self._warn(f"look {one.name}", look.failed)
        if look.cut:
            self._cut = True
            self._warn(
                f"cut {one.name}", f"{one.name}: {look.cut}: some of its files may not be found; name them closer"
            )

    def _note_patterns(self) -> None:
        """From now on what is there was new once: whoever comes next reads it from its beginning."""
        try:
            self._registry.use(self._told, self._tailed.complete)
            self._noted = True
        except OSError as error:
            self._warn("patterns", f"cannot note which log files have been looked for: {error}; it is tried again")

    def _follow(self, found: Mapping[Key, Match]) -> bool:
        """Register what was not known; whether all could be opened."""
        whole = True
        places = MOST_FILES - len(self._files)
        if len(found) > places:
            self._warn(
                "most files",
                f"{len(found) + len(self._files)} log files match: the {MOST_FILES} that were written to last are followed; "
                "name fewer",
            )
            found = dict(sorted(found.items(), key=lambda item: -item[1].changed)[: max(0, places)])
        for key, match in found.items():
            try:
                self._open(key, match)
            except OSError as error:
                self._warn(match.path, f"cannot read {match.path} of {match.one.name}: {error}; it is tried again")
                whole = False
        return whole

    def _open(self, key: Key, match: Match) -> None:
        handle, one = opened(match.real), match.one
        try:
            wide = one.charset.lower().replace("_", "-").startswith(("utf-16", "utf16"))
            old = key in self._old and not one.from_start
            folder, name = os.path.split(match.real)
            if (
                key_of(handle) != key  # its name has moved on
                or (wide and os.fstat(handle).st_size < 2)  # its byte order is not there yet
                or (
                    not old
                    and self._tailed.is_copy(handle, [os.path.join(folder, original) for original in originals(name)])
                )
            ):
                os.close(handle)
                return
            if self._tailed.replaced(handle, match.real):
                return
            start = last_line(handle, 2 if wide else 1) if old else first_byte(handle)
        except BaseException:
            os.close(handle)
            raise
        self._tailed.register(handle, match.path, one, new_id(), start, match.real)
        self._old.discard(key)  # what is in it after it was emptied is new

    # ------------------------------------------------------------------ what came and went

    def _moved(self, found: Mapping[Key, Match]) -> dict[str, dict[str, LogFiles]]:
        """The names of all files, in each folder where names moved since the last call."""
        by_name = {one.name: one for one in self._told}
        ones = {file.path: by_name[file.stream.job] for file in self._tailed.known() if file.stream.job in by_name}
        ones.update((match.real, match.one) for match in found.values())
        before, self._folders = self._folders, {}
        names: dict[str, dict[str, LogFiles]] = {}
        for path, one in ones.items():
            folder, name = os.path.split(path)
            names.setdefault(folder, {})[name] = one
        for folder in names:
            try:
                self._folders[folder] = os.stat(folder).st_mtime_ns
            except OSError:
                self._folders[folder] = 0
        return {folder: named for folder, named in names.items() if self._folders[folder] != before.get(folder)}

    def _catch_up(self, names: Mapping[str, Mapping[str, LogFiles]]) -> bool:
        """Register what came and was rotated away while nobody looked; whether that is all."""
        whole, now = True, time.monotonic()
        for folder, named in names.items() if self._tailed.complete else ():
            for path, name in self._rotation.unseen(folder, named, self._tailed.complete):
                failing = self._failing.get(path)
                if failing and now < failing.again:
                    whole = False
                    continue
                try:
                    self._passed(path, os.path.join(folder, name), named[name])
                    self._failing.pop(path, None)
                except FileNotFoundError:
                    continue  # its name has moved on: the folder is listed again
                except Exception as error:  # noqa: BLE001 - each unpacker has errors of its own for what is not whole
                    since = failing.since if failing else now
                    self._failing[path] = Failing(since, now + AGAIN_S)
                    if isinstance(error, TooMuch) or now - since > TRIED_S:
                        self._lose(path, named[name], str(error))
                        continue
                    self._warn(
                        folder, f"cannot read {path}, which nobody has looked at yet: {error}; it is tried again"
                    )
                    whole = False
            if not whole or not self._rotation.quiet:
                self._folders[folder], whole = -1, False
        return whole

    def _passed(self, path: str, before: str, one: LogFiles) -> None:
        """A file that rotation called so, and that nobody has seen under the name that it had before."""
        if len(self._files) >= MOST_FILES:
            raise OSError(f"{MOST_FILES} files are followed already")
        stream_id = new_id()
        ours = path.endswith(readable())
        if path.endswith(COMPRESSED) and not ours:
            self._unreadable(path, one)
            return
        if ours:
            handle = unpacked(
                path,
                self._registry.salvage(stream_id),
                lambda first: bool(first) and not self._tailed.alike(first),
                0,
                self._budget,
            )
            if handle < 0:
                return  # it is of a file that we have
        else:
            handle = opened(path)
            if key_of(handle) in self._files or not os.fstat(handle).st_size or self._tailed.is_copy(handle):
                os.close(handle)
                return
        file = self._tailed.register(handle, before, one, stream_id, first_byte(handle))
        file.ours, file.away, file.away_since = ours, True, time.monotonic()

    def _unreadable(self, path: str, one: LogFiles) -> None:
        """A packed file that nothing here unpacks: lost, unless it is of a file that we have, whose time it has kept."""
        written = os.lstat(path).st_mtime_ns
        units = [unit for unit in (1, 1000, 1_000_000_000) if not written % unit]  # as exactly as its packer keeps it
        if not any(file.written // unit == written // unit for file in self._tailed.known() for unit in units):
            end = os.path.splitext(path)[1]
            self._lose(path, one, f"nothing on this machine decompresses {end}")

    def _lose(self, path: str, one: LogFiles, why: str) -> None:
        status = os.lstat(path)
        key = (status.st_dev, status.st_ino), status.st_mtime_ns
        if key not in self._given_up:
            self._given_up.add(key)
            self._tailed.lose(path, one, status.st_size, why)
            self._next_sign = 0.0  # whoever comes next is not to count it again
