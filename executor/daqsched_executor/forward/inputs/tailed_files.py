"""The log files that are tailed, each one's stream registered before its first line is read; and what becomes of those
that were deleted or emptied, or are found again after a restart."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Callable, Optional
from zlib import crc32

from ...contract import ContractError, LogFiles, Stream
from ...machine.spool import new_id
from ..journal.position import Position
from .foreign_files import Key
from .identity import BEGINNING
from .registry import Registry
from .rotation import Rotation
from .safe_paths import opened
from .salvage import DiskBudget, copied
from .tailed_file import TailedFile

#: No registration of ours is longer.
MOST_REGISTRATION = 1024 * 1024

#: What could not be unpacked for lack of space is tried again this often.
SOUGHT_EVERY_S = 10.0

Warn = Callable[[str, str], None]


class TailedFiles:
    """All of them; changed by one thread."""

    def __init__(self, registry: Registry, positions: Mapping[str, Position], warn: Warn, budget: DiskBudget) -> None:
        """``positions``: how far each stream has been read, as the journal says."""
        self._registry = registry
        self._positions = positions
        self._warn = warn
        self.files: dict[Key, TailedFile] = {}
        #: Emptied ones without a copy, whose key belongs to what is in the file now, and those that were not found again.
        self.gone: list[TailedFile] = []
        self.rotation = Rotation(self.files, warn, budget)
        self._budget = budget
        #: When what could not be unpacked is looked for again: that may be much work.
        self._next_sought = 0.0
        #: Not yet handed out.
        self.fresh: list[TailedFile] = []
        #: All that was written to before then (wall clock) is known; 0: nothing is, and all is new to us.
        self.complete = 0.0

    def register(self, handle: int, path: str, one: LogFiles, stream_id: str, start: int, real: str = "") -> TailedFile:
        """The stream of an open file, closed where it can't be registered; ``real``: where it is, without links."""
        try:
            stream = self._registry.stream(one, path, stream_id, start, handle, real)
            file = TailedFile(stream, self._registry.path(stream_id), Position(0, start), handle, self._forget)
            file.write(sync=True)
        except BaseException:
            os.close(handle)
            raise
        self.files[file.identity.key] = file
        self.fresh.append(file)
        return file

    def lose(self, path: str, one: LogFiles, size: int, more: str) -> None:
        """A file that nobody has read and nobody can: a stream of which nothing is left but to report that."""
        stream_id = new_id()
        stream = self._registry.stream(one, path, stream_id)
        file = TailedFile(stream, self._registry.path(stream_id), Position(0, 0), -1, self._forget)
        file.write(sync=True)
        file.size = size
        file.lost.append(("packed", more))
        self.gone.append(file)
        self.fresh.append(file)

    def known(self) -> list[TailedFile]:
        """All whose beginning is known."""
        return [*self.files.values(), *self.gone]

    def alike(self, beginning: bytes) -> list[TailedFile]:
        """Those that may begin so."""
        sums: dict[int, int] = {}
        alike = []
        for file in self.known():
            size = file.identity.size
            if size not in sums:
                sums[size] = crc32(beginning[:size])
            if not size or (size <= len(beginning) and file.identity.crc == sums[size]):
                alike.append(file)
        return [file for file in alike if file.begins(beginning)]

    def replaced(self, handle: int, path: str) -> bool:
        """Whether an open file has taken the place of one with that name, and goes on where that was; it is read by it then."""
        for key, file in self.files.items():
            if file.away and file.path == path and file.goes_on_in(handle):
                del self.files[key]
                file.go_on_in(handle)
                file.away = False
                self.files[file.identity.key] = file
                return True
        return False

    def is_copy(self, handle: int, of: Optional[Sequence[str]] = None) -> bool:
        """Whether an open file may be a copy of one that is tailed, with one of these names if any are given.

        Also an empty one: whoever copies has made it, and has not written to it yet.
        """
        if of is not None and not of:
            return False
        beginning = os.pread(handle, BEGINNING, 0)
        alike = self.alike(beginning) if beginning else self.known()
        return any(not beginning or file.alike(handle) for file in alike if of is None or file.path in of)

    # ------------------------------------------------------------------ what was there

    def resume(self, found: Iterable[tuple[str, int]]) -> None:
        """Take up the files again that an earlier forwarder tailed; ``found``: paths and inodes of those that are there."""
        inodes: dict[int, list[str]] = {}
        for path, inode in found:  # after a reboot a device may have another number
            inodes.setdefault(inode, []).append(path)
        for registration in self._registry.registrations():
            try:
                with os.fdopen(opened(registration), "rb") as text:
                    stream = Stream.from_json(text.read(MOST_REGISTRATION))
                position = self._positions.get(stream.id, Position(0, stream.start))
                file = TailedFile(stream, registration, position, -1, self._forget)
            except (OSError, ContractError, ValueError, LookupError, TypeError, RecursionError) as error:
                self._warn(registration, f"cannot use the registration {registration}: {error}")
                continue
            handle = self.rotation.find(file, inodes.get(file.identity.inode, ()))
            if handle >= 0:
                file.begin_in(handle)
                self.files[file.identity.key] = file
                self.fresh.append(file)
                continue
            self.gone.append(file)
            if self.rotation.no_room:
                file.sought = True
                self.fresh.append(file)
                continue
            if file.identity.size and not file.was_whole:  # an empty one is known by its age: what came into it is new
                file.lost.append(self.rotation.lost_because)
            self.fresh.append(file)  # until that is reported

    def tidy(self) -> None:
        """Copy what is left of deleted files, and look again for what could not be unpacked for lack of space."""
        for file in [file for file in self.files.values() if file.deleted]:
            if file.waiting or file.under_way:
                self._keep(file)
            else:
                file.note_whole()
        now = time.monotonic()
        for file in [file for file in self.gone if file.sought and now >= self._next_sought]:
            self._next_sought = now + SOUGHT_EVERY_S
            handle = self.rotation.find(file, ())
            if handle >= 0:
                self.gone.remove(file)
                file.begin_in(handle)
                self.files[file.identity.key] = file
            elif not self.rotation.no_room:
                file.lost.append(self.rotation.lost_because)
            file.sought = handle < 0 and self.rotation.no_room

    def _keep(self, file: TailedFile) -> None:
        """Copy what is left of a deleted file."""
        try:
            handle = copied(file.file, file.salvage, file.front.position.offset, self._budget)
        except OSError as error:
            self._warn(
                file.salvage,
                f"{file.instance} was deleted before all of it was stored, and its rest can't be kept in the spool "
                f"({error}): it is lost if this forwarder ends before Elasticsearch has it",
            )
            return
        if handle >= 0:
            del self.files[file.identity.key]
            file.go_on_in(handle, ours=True)
            self.files[file.identity.key] = file

    def let_go(self, file: TailedFile) -> None:
        """A file that was emptied: go on in the copy that may have been made of it before."""
        del self.files[file.identity.key]
        read = file.front.position.offset
        copy = self.rotation.copy_of(file)
        ours = copy < 0
        if ours:
            copy = self.rotation.unpack(file)
        if copy < 0 and file.waiting:
            file.lost.append(("emptied", ""))
        file.go_on_in(copy, ours and copy >= 0)
        if copy >= 0:
            self.files[file.identity.key] = file
            return
        self.gone.append(file)
        self._warn(
            file.registration,
            f"{file.instance}: somebody emptied it, of which {read} bytes were read; what was not read "
            "by then is lost, and it is read from its beginning",
        )

    def _forget(self, file: TailedFile) -> None:
        """It is about to be taken away: what is packed of it must not be new to whoever comes next."""
        self._registry.sign(self.complete)
        if file in self.gone:
            self.gone.remove(file)
        elif self.files.get(file.identity.key) is file:
            del self.files[file.identity.key]
