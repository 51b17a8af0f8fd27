"""What a pattern names, found in bounded time: no link is gone into, no folder twice, and no folder holds the reader up."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from glob import has_magic
from typing import NamedTuple

from ...contract.globs import compiled
from .safe_paths import PLANTED, PathRefused, kind_of, may_be_planted, reached

#: So many names are looked at for one pattern, so deep below its first ``**``, and for so long.
MOST_NAMES, MOST_DEEP, LOOK_S = 200_000, 32, 1.0

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Named(NamedTuple):
    """A regular file that a pattern names."""

    path: str
    #: Where it is: the same, but for links.
    real: str
    status: os.stat_result


class Look:
    """One look for the files of one pattern."""

    def __init__(self, pattern: str, links: bool) -> None:
        """``links``: whether symbolic links are followed. One that the pattern itself names, and that is root's or ours, is."""
        self._pattern, self._links = pattern, links
        self._until = time.monotonic() + LOOK_S
        self._names = MOST_NAMES
        self._seen: set[tuple[int, int, int]] = set()
        #: The folder that stands before all stars.
        self._first = ""
        #: Why it was not looked at all there is; empty: it was.
        self.cut = ""
        #: What has such a name and is put aside, the first of them with the reason.
        self.aside, self.first_aside = 0, ""
        #: The first thing that could not be looked at.
        self.failed = ""

    def files(self) -> Iterator[Named]:
        """Each file, some perhaps twice."""
        parts = self._pattern.split("/")
        fixed = next((at for at, part in enumerate(parts) if has_magic(part)), len(parts))
        if fixed == len(parts):
            yield from self._file(self._pattern, True)  # whoever wrote the pattern has named the link
            return
        self._first = "/".join(parts[:fixed]) or "/"
        yield from self._below(self._first, parts[fixed:], 0)

    def _below(self, folder: str, parts: list[str], deep: int) -> Iterator[Named]:
        """What matches in a folder and below it."""
        first, rest = parts[0], parts[1:]
        if not has_magic(first):
            path = os.path.join(folder, first)
            yield from self._below(path, rest, deep) if rest else self._file(path, self._links)
            return
        if first == "**" and rest:
            yield from self._below(folder, rest, deep)
        deeper = []
        for named in self._listed(folder, first, len(parts)):
            if stat.S_ISDIR(named.status.st_mode):
                deeper.append(named.path)
            elif rest and first == "**":
                continue
            elif stat.S_ISLNK(named.status.st_mode) and self._links:
                if rest:
                    deeper.append(named.path)
                else:
                    yield from self._file(named.path, True)
            elif not rest and stat.S_ISREG(named.status.st_mode):
                yield named
            elif not rest:
                self._set_apart(f"{named.path}: it is {kind_of(named.status)}, not a file")
        if first == "**" and deep >= MOST_DEEP and deeper:
            self.cut = f"{folder} lies {MOST_DEEP} folders deep"
        elif first == "**" or rest:
            for path in deeper:
                yield from self._below(path, parts if first == "**" else rest, deep + (first == "**"))

    def _listed(self, folder: str, pattern: str, part: int) -> list[Named]:
        """What is in a folder that fits, whatever it is; nothing where it was listed for this part of the pattern before."""
        fits = compiled("*" if pattern == "**" else pattern).match
        hidden = pattern.startswith(".")
        found: list[Named] = []
        handle = -1
        try:
            # the last part of what stands before all stars is as any other before it; behind them links are not gone into
            place = reached(folder, self._links, last=self._links or folder == self._first)
            try:
                key = (place.status.st_dev, place.status.st_ino, part)
                if not stat.S_ISDIR(place.status.st_mode) or key in self._seen:
                    return []
                self._seen.add(key)
                handle = os.open(f"/proc/self/fd/{place.handle}", _FOLDER)
            finally:
                os.close(place.handle)
            with os.scandir(handle) as entries:
                for entry in entries:
                    if self._names <= 0 or (not self._names % 256 and time.monotonic() > self._until):
                        self.cut = f"{folder} holds more than can be looked at in {LOOK_S:g} s"
                        break
                    self._names -= 1
                    if fits(entry.name) and (hidden or not entry.name.startswith(".")):
                        with suppress(FileNotFoundError):
                            path, real = os.path.join(folder, entry.name), os.path.join(place.real, entry.name)
                            status = entry.stat(follow_symlinks=False)
                            if may_be_planted(status, place.status):
                                self._set_apart(f"{path}: {PLANTED}")
                            else:
                                found.append(Named(path, real, status))
        except (FileNotFoundError, NotADirectoryError):
            pass
        except PathRefused as error:
            self._set_apart(f"{folder}: {error.strerror}")
        except OSError as error:
            self.failed = self.failed or f"cannot look at {folder}: {error}"
        finally:
            if handle >= 0:
                os.close(handle)
        return found

    def _file(self, path: str, last: bool) -> Iterator[Named]:
        try:
            place = reached(path, self._links, last)
        except FileNotFoundError:
            return
        except PathRefused as error:
            self._set_apart(f"{path}: {error.strerror}")
            return
        except OSError as error:
            self.failed = self.failed or f"cannot look at {path}: {error}"
            return
        os.close(place.handle)
        if stat.S_ISREG(place.status.st_mode):
            yield Named(path, place.real, place.status)
        elif not stat.S_ISDIR(place.status.st_mode):
            self._set_apart(f"{path}: it is {kind_of(place.status)}, not a file")

    def _set_apart(self, what: str) -> None:
        self.first_aside = self.first_aside or what
        self.aside += 1
