"""Finds the log files of services (`contract.LogFiles`) and keeps each as a stream through rotation.

A file's stream is registered in ``forward/files/ID.json`` before its first line is read, with the file's identity. A file
that is renamed or deleted stays the same stream, read to its end by the descriptor that is held. After a restart it is
looked for by inode, under its name, what the patterns match, and in its folder. A file that was emptied ends its stream, and
what is in it now is a new one; what had not been read is looked for in the copy that logrotate's copytruncate leaves.
"""

from __future__ import annotations

import base64
import contextlib
import glob
import json
import os
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Callable, Optional

from ...contract import ContractError, LogFiles, Stream
from ..forms import form_of
from ..lines import LONGEST
from ..position import Position
from ..source import Source
from .following import File
from .identity import BEGINNING, COMPRESSED, Identity, identified, rotated
from .rest import PACKED, kept, unpacked

#: The patterns are expanded so often; more seldom where that would take more than this share of a core, but this often.
SCAN_EVERY_S, SCAN_SHARE, SCAN_AT_LEAST_S = 1.0, 0.001, 30.0

#: So often it is noted that files were looked for: what was written since is new to whoever comes next.
SIGN_EVERY_S = 10.0

#: So many files are followed at once, each with a descriptor; so many matches are looked at.
MOST_FILES, MOST_MATCHES = 1000, 20_000

#: The folder of the registrations below the forwarder's own, and the file there that lists the patterns seen before.
FILES_DIR, PATTERNS = "files", "patterns"

Complain = Callable[[str, str], None]
Key = tuple[int, int]


class LogFilesWatcher:
    """All files of services that this forwarder was told of; used by the reading thread alone."""

    def __init__(
        self,
        told: Sequence[LogFiles],
        host: str,
        folder: str,
        positions: Mapping[str, Position],
        complain: Complain,
    ) -> None:
        """``folder`` is the forwarder's own; ``positions`` how far each stream has been read, as the journal says."""
        self._host = host
        self._folder = os.path.join(folder, FILES_DIR)
        self._positions = positions
        self._complain = complain
        self._told = [one for one in told if self._usable(one)]
        self._files: dict[Key, File] = {}
        #: Emptied ones, whose key belongs to what is in the file now.
        self._others: list[File] = []
        #: Files that were there when their pattern was first used: these are read from their end.
        self._old: set[Key] = set()
        self._next = self._next_sign = 0.0
        #: When files were last looked for (wall clock), by whatever forwarder; 0: never.
        self._alive = 0.0
        self._resumed = False

    lost = 0

    def close(self) -> None:
        """See `spool.Input`: the files stay where they are, and the next forwarder goes on in them."""

    def discover(self, now: float) -> list[Source]:
        """The files that are followed from now on (``now`` is monotonic)."""
        if not self._resumed:
            os.makedirs(self._folder, mode=0o700, exist_ok=True)
        emptied = [file for file in self._files.values() if file.emptied and not file.ours]
        if now < self._next and not emptied:
            return []
        before, clock = time.thread_time(), time.time()
        for file in emptied:
            self._let_go(file)
        found = dict(self._matches())
        paths = dict(found.values())
        fresh: list[Source] = []
        if not self._resumed:
            fresh += self._resume(found)
            self._begin_patterns(found)
        gone, self._resumed = not self._resumed, True
        for key, file in self._files.items():
            match = found.pop(key, None)
            if match is None and not file.away:
                file.away_since, gone = now, True
            file.away = match is None
            file.path = match[0] if match else file.path
        for file in [file for file in self._files.values() if file.hangs_on_us]:
            self._keep(file)
        if gone:
            fresh += self._missed(paths)
        fresh += self._follow(found)
        self._old &= found.keys()
        self._alive = clock
        if now >= self._next_sign:
            self._next_sign = now + SIGN_EVERY_S
            os.utime(os.path.join(self._folder, PATTERNS))
        cost_s = time.thread_time() - before
        self._next = now + min(max(SCAN_EVERY_S, cost_s / SCAN_SHARE), SCAN_AT_LEAST_S)
        return fresh

    def _usable(self, one: LogFiles) -> bool:
        try:
            form_of(self._stream(one, "", "", 0), 0)
        except (ValueError, LookupError) as error:
            self._complain(f"files {one.name}", f"cannot follow the files of {one.name}: {error}")
            return False
        return True

    def _matches(self) -> Iterator[tuple[Key, tuple[str, LogFiles]]]:
        """Each file that a pattern names, once; the first pattern counts."""
        seen: set[Key] = set()
        for one in self._told:
            for pattern in one.paths:
                paths = glob.iglob(pattern, recursive=True) if glob.has_magic(pattern) else (pattern,)
                for path in islice(paths, MOST_MATCHES):
                    if path.endswith(COMPRESSED):
                        continue
                    try:
                        status = os.stat(path)
                    except FileNotFoundError:
                        continue
                    except OSError as error:
                        self._complain(path, f"cannot look at {path}: {error}")
                        continue
                    key = (status.st_dev, status.st_ino)
                    if stat.S_ISREG(status.st_mode) and key not in seen:
                        seen.add(key)
                        yield key, (path, one)

    def _follow(self, found: Mapping[Key, tuple[str, LogFiles]]) -> Iterator[File]:
        """Register what was not known."""
        room = MOST_FILES - len(self._files)
        if len(found) > room:
            self._complain(
                "most files",
                f"{len(found) + len(self._files)} log files match: the {MOST_FILES} that were written to last are followed; "
                "name fewer",
            )
            found = dict(sorted(found.items(), key=lambda item: -_changed(item[1][0]))[: max(0, room)])
        for key, (path, one) in found.items():
            try:
                file = self._register(key, path, one)
            except OSError as error:
                self._complain(path, f"cannot read {path} of {one.name}: {error}; it is tried again")
                continue
            if file is not None:
                self._files[key] = file
                yield file

    def _register(self, key: Key, path: str, one: LogFiles) -> Optional[File]:
        handle = _open(path)
        try:
            wide = one.charset.lower().replace("_", "-").startswith(("utf-16", "utf16"))
            if _key(handle) != key or (wide and os.fstat(handle).st_size < 2):
                os.close(handle)
                return None  # looked at again: its name has moved on, or its byte order is not there yet
            start = _last_line(handle) if key in self._old and not one.from_start else _first_byte(handle)
        except BaseException:
            os.close(handle)
            raise
        return self._opened(handle, path, one, _new_id(), start)

    def _opened(self, handle: int, path: str, one: LogFiles, stream_id: str, start: int) -> File:
        """The stream of an open file, registered; the descriptor is closed where that can't be."""
        try:
            beginning = os.pread(handle, BEGINNING, 0)
            stream = self._stream(one, path, stream_id, start, beginning, identified(*_key(handle), beginning))
            file = File(stream, self._registration(stream.id), Position(0, start), handle, self._forget)
            file.write(sync=True)
        except BaseException:
            os.close(handle)
            raise
        return file

    def _stream(
        self,
        one: LogFiles,
        path: str,
        stream_id: str,
        start: int,
        beginning: bytes = b"",
        identity: Identity = identified(0, 0, b""),  # noqa: B008 - a constant
    ) -> Stream:
        from ..forms.records import charset_of

        return Stream(
            id=stream_id,
            name=os.path.basename(path),
            path=path,
            start=start,
            task_id="",
            job=one.name,
            host=self._host,
            labels=dict(one.labels),
            created=time.time(),
            format="records",
            dataset="daqsched.file",
            options={
                "time": one.time,
                "level": one.level,
                "multiline": one.multiline,
                "charset": charset_of(one.charset, beginning).name,
                "identity": list(identity),
            },
        )

    def _begin_patterns(self, found: Mapping[Key, tuple[str, LogFiles]]) -> None:
        """Remember which files were there before a pattern was first used, and which patterns have been."""
        path = os.path.join(self._folder, PATTERNS)
        known: set[tuple[str, str]] = set()
        with contextlib.suppress(OSError, ValueError), open(path) as file:
            self._alive = os.fstat(file.fileno()).st_mtime
            known = {(name, pattern) for name, pattern in json.load(file)}
        told = {(one.name, pattern) for one in self._told for pattern in one.paths}
        for key, (_, one) in found.items():
            if not any((one.name, pattern) in known for pattern in one.paths):
                self._old.add(key)
        fresh = path + ".new"
        with open(fresh, "w") as file:
            json.dump(sorted(told), file)
            file.flush()
            os.fsync(file.fileno())
        os.utime(fresh, (self._alive, self._alive))  # until what was missed is registered, too
        os.rename(fresh, path)

    def _missed(self, paths: dict[str, LogFiles]) -> Iterator[File]:
        """Files that came and were rotated away while nobody looked: written since, with names made of one that we know."""
        if not self._alive:
            return
        by_name = {one.name: one for one in self._told}
        away = {file.path: by_name[file.stream.job] for file in self._files.values() if file.stream.job in by_name}
        for path, one in {**away, **paths}.items():
            for ends in ((), PACKED):
                for sibling, _ in list(_siblings(path, ends)):
                    try:
                        file = self._one_missed(sibling, path, one)
                    except Exception as error:  # noqa: BLE001 - each unpacker has errors of its own for what is not whole
                        self._complain(sibling, f"cannot read {sibling}, which nobody has looked at yet: {error}")
                        continue
                    if file is not None:
                        file.away, file.away_since = True, time.monotonic()
                        self._files[file.identity.key] = file
                        yield file

    def _one_missed(self, sibling: str, path: str, one: LogFiles) -> Optional[File]:
        status = os.stat(sibling)
        # The kernel's clock for files lags behind by some milliseconds.
        old = status.st_mtime < self._alive - 0.05 or (status.st_dev, status.st_ino) in self._files
        if old or not rotated(os.path.basename(path), os.path.basename(sibling)):
            return None
        stream_id = _new_id()
        rest = self._registration(stream_id)[: -len(".json")] + ".rest"
        handle = unpacked(sibling, rest, lambda first: True, 0) if sibling.endswith(PACKED) else _open(sibling)
        beginning = os.pread(handle, BEGINNING, 0)
        if any(
            file.identity.size and file.identity.begins(beginning) for file in [*self._files.values(), *self._others]
        ):
            # A copy, or what was packed of a file that we have.
            os.close(handle)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(rest)
            return None
        file = self._opened(handle, path, one, stream_id, _first_byte(handle))
        file.ours = sibling.endswith(PACKED)
        return file

    def _resume(self, found: Mapping[Key, tuple[str, LogFiles]]) -> Iterator[File]:
        """Take the files up again that an earlier forwarder followed."""
        for name in os.listdir(self._folder):
            if not name.endswith(".json"):
                continue
            registration = os.path.join(self._folder, name)
            try:
                with open(registration, "rb") as text:
                    stream = Stream.from_json(text.read())
                position = self._positions.get(stream.id, Position(0, stream.start))
                file = File(stream, registration, position, -1, self._forget)
            except (OSError, ContractError, ValueError, LookupError, KeyError, TypeError) as error:
                self._complain(registration, f"cannot use the registration {registration}: {error}")
                continue
            handle = self._find(file, found)
            if handle < 0 and not file.identity.size:
                # It was empty when it was last looked at, and can only be known by its age.
                self._alive = min(self._alive, stream.created)
                os.unlink(registration)
                continue
            if handle < 0:
                self._complain(
                    registration,
                    f"{file.instance}: the file of which {position.offset} bytes were read is not there any more; "
                    "what else it held while no forwarder ran is lost",
                )
                os.unlink(registration)
                continue
            file.file = handle
            file.ours = os.path.exists(file.rest) and os.path.samestat(os.stat(file.rest), os.fstat(handle))
            key = _key(handle)
            file.identity = file.identity._replace(device=key[0], inode=key[1])
            self._files[key] = file
            yield file

    def _find(self, file: File, found: Mapping[Key, tuple[str, LogFiles]]) -> int:
        """A descriptor of the file, under whatever name; -1 where there is none."""
        paths = [file.path]
        # After a reboot a device may have another number: the inode and the beginning tell.
        paths += [path for (_, inode), (path, _) in found.items() if inode == file.identity.inode]
        paths += [path for path, inode in _siblings(file.path) if inode == file.identity.inode]
        paths.append(file.rest)
        for path in paths:
            with contextlib.suppress(OSError):
                handle = _open(path)
                if os.fstat(handle).st_ino == file.identity.inode and self._holds(file, handle):
                    return handle
                os.close(handle)
        if not file.identity.size:
            return -1
        copy = self._copy_of(file)
        return copy if copy >= 0 else self._unpack(file)

    def _unpack(self, file: File) -> int:
        """A descriptor of the rest, out of what rotation packed; -1 where there is nothing."""
        for path, _ in sorted(_siblings(file.path, PACKED), key=lambda item: -_changed(item[0])):
            try:
                handle = unpacked(path, file.rest, file.identity.begins, file.front.position.offset)
            except Exception as error:  # noqa: BLE001 - each unpacker has errors of its own for what is not whole
                self._complain(path, f"cannot unpack {path}, where lines of {file.instance} may be: {error}")
                continue
            if handle >= 0:
                return handle
        return -1

    def _keep(self, file: File) -> None:
        """Copy what is left of a deleted file."""
        try:
            handle = kept(file.file, file.rest, file.front.position.offset)
        except OSError as error:
            self._complain(
                file.rest,
                f"{file.instance} was deleted before all of it was stored, and its rest can't be kept in the spool "
                f"({error}): it is lost if this forwarder ends before Elasticsearch has it",
            )
            return
        if handle >= 0:
            del self._files[file.identity.key]
            file.go_on_in(handle, ours=True)
            self._files[file.identity.key] = file

    def _holds(self, file: File, handle: int) -> bool:
        """Whether an open file is not used by another stream and holds what was read of this one."""
        return _key(handle) not in self._files and (
            file.same_as(handle) or (not file.identity.size and not file.front.position.offset)
        )

    def _let_go(self, file: File) -> None:
        """A file that was emptied: go on in the copy that may have been made of it before."""
        del self._files[file.identity.key]
        copy = self._copy_of(file)
        ours = copy < 0
        if ours:
            copy = self._unpack(file)
        if copy >= 0:
            self._files[_key(copy)] = file
        else:
            self._others.append(file)
            self._complain(
                file.registration,
                f"{file.instance}: somebody emptied it, of which {file.front.position.offset} bytes were read; what was not read "
                "by then is lost, and it is read from its beginning",
            )
        file.go_on_in(copy, ours and copy >= 0)

    def _copy_of(self, file: File) -> int:
        """A descriptor of the copy beside the file that begins as it did; -1 where there is none."""
        for path, _ in sorted(_siblings(file.path), key=lambda item: -_changed(item[0])):
            with contextlib.suppress(OSError):
                handle = _open(path)
                if self._holds(file, handle) and path != file.path:
                    return handle
                os.close(handle)
        return -1

    def _registration(self, stream_id: str) -> str:
        return os.path.join(self._folder, f"{stream_id}.json")

    def _forget(self, file: File) -> None:
        if file in self._others:
            self._others.remove(file)
        elif self._files.get(file.identity.key) is file:
            del self._files[file.identity.key]


def _open(path: str) -> int:
    # Not to hang where somebody has put a FIFO.
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)


def _key(handle: int) -> Key:
    status = os.fstat(handle)
    return status.st_dev, status.st_ino


def _changed(path: str) -> float:
    try:
        return os.stat(path).st_mtime
    except OSError:
        return 0.0


def _siblings(path: str, ends: tuple[str, ...] = ()) -> Iterator[tuple[str, int]]:
    """Files that rotation may have made of this one, with their inodes: in its folder, with names that begin as its does.

    ``ends``: packed ones with such names; none: those that are not packed.
    """
    stem = os.path.basename(path).partition(".")[0]
    try:
        with os.scandir(os.path.dirname(path)) as entries:
            for entry in entries:
                right = entry.name.endswith(ends) if ends else not entry.name.endswith(COMPRESSED)
                if right and entry.name.startswith(stem) and entry.is_file():
                    yield entry.path, entry.inode()
    except OSError:
        return


def _last_line(handle: int) -> int:
    """Where the last line begins that has no newline yet, or the file's end."""
    size = os.fstat(handle).st_size
    first = max(0, size - LONGEST)
    at = os.pread(handle, size - first, first).rfind(b"\n")
    return first + at + 1 if at >= 0 else size


def _first_byte(handle: int) -> int:
    """0, or behind the zeros that a program leaves which goes on at its old place after its file was emptied."""
    with contextlib.suppress(OSError):
        first = os.lseek(handle, 0, os.SEEK_DATA)
        if first:
            block = os.pread(handle, 64 * 1024, first)
            return first + len(block) - len(block.lstrip(b"\0"))
    return 0


def _new_id() -> str:
    return base64.urlsafe_b64encode(os.urandom(8)).rstrip(b"=").decode()
