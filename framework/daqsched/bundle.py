"""What `daqsched debug` hands on: texts in one archive, without secrets, within limits; what it lacks is in it, too."""

from __future__ import annotations

import io
import os
import re
import tarfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from daqsched.errors import UserError
from daqsched.redaction import scrubber
from daqsched_executor.contract.foreign import printable

#: The most of one text, and of all together.
MOST_TEXT, MOST_ALL = 4 << 20, 32 << 20

#: The longest line of a log.
_MOST_LINE = 10_000


class Bundle:
    """Texts by name; each is scrubbed as it comes, and only then cut: half a secret would not be found."""

    def __init__(self, name: str) -> None:
        #: The folder in the archive.
        self._name = name
        self._texts: dict[str, bytes] = {}
        self._left = MOST_ALL
        #: What is not in it, or not whole: a sentence each.
        self.lacks: list[str] = []
        #: Takes secrets out of a text.
        self.scrub: Callable[[str], str] = scrubber(())

    def add(self, name: str, text: str) -> None:
        """One more; a later one of the same name takes its place."""
        data = self.scrub(text).encode("utf-8", "backslashreplace")
        most = min(MOST_TEXT, self._left)
        if len(data) > most:
            self.lacks.append(f"{name}: its first {most:,} bytes, of {len(data):,}")
            data = data[:most]
        self._texts[_file(name)] = data
        self._left -= len(data)

    def add_lines(self, name: str, lines: Iterable[str]) -> None:
        """A log: each line by itself, so that none acts on the terminal of who reads it."""
        text = "".join(f"{printable(self.scrub(line)[:_MOST_LINE], tabs=True)}\n" for line in lines)
        # of a log the end matters
        if len(text) > MOST_TEXT // 2:
            self.lacks.append(f"{name}: its last {MOST_TEXT // 2:,} characters, of {len(text):,}")
            text = text[-MOST_TEXT // 2 :]
        self.add(name, text)

    def write(self, file: Path, now: float) -> int:
        """Make it a file that only we can read; its size. Raises `UserError` where it is there, or can't be written."""
        about = [f"{name}  {len(data):,} bytes" for name, data in self._texts.items()]
        lacks = [f"not in it: {sentence}" for sentence in self.lacks] or ["nothing is missing"]
        self._texts["CONTENTS.txt"] = "".join(f"{printable(self.scrub(line))}\n" for line in [*about, *lacks]).encode()
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(file, flags, 0o600)
        except OSError as error:
            raise UserError(f"{file} can't be written ({error.strerror}): give another FILE") from error
        try:
            with open(descriptor, "wb") as out:
                os.fchmod(out.fileno(), 0o600)
                with tarfile.open(fileobj=out, mode="w:gz") as archive:
                    for name, data in self._texts.items():
                        self._put(archive, name, data, now)
                out.flush()
                return os.fstat(out.fileno()).st_size
        except BaseException as error:
            file.unlink()
            if not isinstance(error, OSError):
                raise
            raise UserError(f"{file} can't be written ({error.strerror}): give another FILE, or make room") from error

    def _put(self, archive: tarfile.TarFile, name: str, data: bytes, now: float) -> None:
        entry = tarfile.TarInfo(f"{self._name}/{name}")
        entry.size, entry.mode, entry.mtime = len(data), 0o600, int(now)
        archive.addfile(entry, io.BytesIO(data))


def name_at(now: float) -> str:
    """``daqsched-debug-20261127-212942``, in UTC."""
    return time.strftime("daqsched-debug-%Y%m%d-%H%M%S", time.gmtime(now))


def _file(name: str) -> str:
    """The name of a host or a job is somebody else's: nothing in it leads out of the archive's folder."""
    parts = (re.sub(r"[^A-Za-z0-9_.@-]", "_", part).lstrip(".")[:100] or "_" for part in name.split("/"))
    return "/".join(parts)
