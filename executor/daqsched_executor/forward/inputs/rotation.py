"""Where a file went that rotation renamed, copied or packed, and which files came and went while nobody looked.

Rotation moves all names of a folder, one after the other. A listing that is made meanwhile may miss one: so where a
folder changes, it is looked at again.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from collections.abc import Callable, Container, Iterable, Iterator
from itertools import chain, islice

from .compressed import readable
from .foreign_files import Key, changed, key_of
from .identity import COMPRESSED, originals
from .safe_paths import opened
from .salvage import DiskBudget, unpacked
from .tailed_file import TailedFile

#: A file's or folder's time lags behind the clock by a few milliseconds.
LAG_S = 0.05

#: For so long at most, and this often, one look goes on in folders that change.
PATIENCE_S, AGAIN_S = 0.5, 0.03

#: So many names of a folder are looked at, and so many files that may be the one, those that were written to last.
MOST_NAMES, MOST_LIKELY = 200_000, 200

Warn = Callable[[str, str], None]


class Rotation:
    """Looks for files; ``taken`` has the keys of those that are tailed, and is the caller's."""

    def __init__(self, taken: Container[Key], warn: Warn, budget: DiskBudget) -> None:
        self._taken = taken
        self._budget = budget
        self._warn = warn
        self._until = 0.0
        #: Whether no names moved at the end of the last listing.
        self.quiet = True
        #: Whether the last file that was looked for is packed, and there is no space to unpack it.
        self.no_room = False
        #: Why the last file that was looked for is not there: a word of `position.LOST_BECAUSE`, and more to say.
        self.lost_because = ("vanished", "")
        #: What listings have taken of a core in this look.
        self.cost_s = 0.0

    def begin(self, now: float) -> None:
        """Begin a look: what is asked for from now on shares its time (``now`` is monotonic)."""
        self._until, self.cost_s = now + PATIENCE_S, 0.0

    def settled(self, folder: str) -> Iterator[None]:
        """Once, and again as long as names in the folder move."""
        while True:
            began = time.time()
            yield
            self.quiet = changed(folder) < began - LAG_S
            if self.quiet or time.monotonic() >= self._until:
                return
            time.sleep(AGAIN_S)

    def find(self, file: TailedFile, names: Iterable[str]) -> int:
        """A descriptor of a file that was tailed before, under whatever name; -1 where there is none.

        ``names``: where a file is that has its inode.
        """
        self.no_room, self.lost_because = False, ("vanished", "")
        for _ in self.settled(os.path.dirname(file.path)):
            handle = self._same(file, names)
            if handle < 0 and file.identity.size:
                handle = self._held(file, file.path) if file.well_known else -1
                handle = handle if handle >= 0 else self._copied(file)
                handle = handle if handle >= 0 else self.unpack(file)
            if handle >= 0:
                return handle
        return -1

    def copy_of(self, file: TailedFile) -> int:
        """A descriptor of the copy beside the file that begins as it did; -1 where there is none."""
        for _ in self.settled(os.path.dirname(file.path)):
            handle = self._copied(file)
            if handle >= 0:
                return handle
        return -1

    def unpack(self, file: TailedFile) -> int:
        """A descriptor of the salvage, out of what rotation packed; -1 where there is nothing."""
        for path, _ in _newest_first(_siblings(file.path, COMPRESSED)):
            if not path.endswith(readable()):
                self.lost_because = ("packed", f"it may be {path}")
                continue
            try:
                handle = unpacked(path, file.salvage, file.identity.begins, file.front.position.offset, self._budget)
            except FileNotFoundError:
                continue
            except Exception as error:  # noqa: BLE001 - each unpacker has errors of its own for what is not whole
                self.no_room |= isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
                self.lost_because = ("packed", f"{path}: {error}")
                self._warn(path, f"cannot decompress {path}, where lines of {file.instance} may be: {error}")
                continue
            if handle >= 0:
                return handle
        return -1

    def unseen(self, folder: str, names: Container[str], since: float) -> Iterator[tuple[str, str]]:
        """Files that were written to since then (wall clock) and are called as rotation calls one of these, with its name.

        A file that is being packed comes up, and what is made of it does not.
        """
        for _ in self.settled(folder):
            before = time.thread_time()
            written = list(_written(folder, since))
            self.cost_s += time.thread_time() - before
            for path, key in written:
                name = next((name for name in originals(os.path.basename(path)) if name in names), "")
                if name and key not in self._taken and not _being_packed(path):
                    yield path, name

    def _same(self, file: TailedFile, names: Iterable[str]) -> int:
        inode = file.identity.inode
        for path in chain((file.path,), names, _with_inode(file.path, inode)):
            handle = self._held(file, path, inode)
            if handle >= 0:
                return handle
        # a forwarder that was killed may not have noted that it had written it
        return self._held(file, file.salvage)

    def _copied(self, file: TailedFile) -> int:
        for path, _ in _newest_first(_siblings(file.path)):
            handle = self._held(file, path) if path != file.path else -1
            if handle >= 0:
                return handle
        return -1

    def _held(self, file: TailedFile, path: str, inode: int = 0) -> int:
        """A descriptor, if no other stream has the file, and it holds what was read of this one."""
        with contextlib.suppress(OSError):
            handle = opened(path)
            empty = inode and not file.identity.size and not file.front.position.offset
            key = key_of(handle)
            if key not in self._taken and inode in (0, key[1]) and (empty or file.same_as(handle)):
                return handle
            os.close(handle)
        return -1


def _being_packed(path: str) -> bool:
    return path.endswith(COMPRESSED) and os.path.exists(os.path.splitext(path)[0])


def _newest_first(found: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    return sorted(found, key=lambda item: -changed(item[0]))[:MOST_LIKELY]


def _with_inode(path: str, inode: int) -> Iterator[str]:
    # a generator: the folder is listed only where what stands before it does not lead to the file
    return (sibling for sibling, number in _siblings(path) if number == inode)


def _siblings(path: str, ends: tuple[str, ...] = ()) -> Iterator[tuple[str, int]]:
    """Files that rotation may have made of this one, with their inodes: in its folder, with names that begin as its does.

    ``ends``: packed ones with such names; none: those that are not packed.
    """
    stem = os.path.basename(path).partition(".")[0]
    with contextlib.suppress(OSError), os.scandir(os.path.dirname(path)) as entries:
        for entry in islice(entries, MOST_NAMES):
            right = entry.name.endswith(ends) if ends else not entry.name.endswith(COMPRESSED)
            if right and entry.name.startswith(stem) and entry.is_file(follow_symlinks=False):
                yield entry.path, entry.inode()


def _written(folder: str, since: float) -> Iterator[tuple[str, Key]]:
    """Files in a folder that rotation may have made, and that were written to since then."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in islice(entries, MOST_NAMES):
            if next(originals(entry.name), None) is None:
                continue
            with contextlib.suppress(OSError):
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(status.st_mode) and status.st_mtime >= since - LAG_S:
                    yield entry.path, (status.st_dev, status.st_ino)
