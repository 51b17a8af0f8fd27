"""How far the copy of the audit file in Elasticsearch is: a small file beside it, which the copier writes and `serve` reads.

What is no whole file of ours is `Damaged`: it is set aside and all lines are sent again, which Elasticsearch stores once.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Optional

import msgspec

from daqsched.errors import DaqschedError, UserError
from daqsched.serve.audit_chain import marked
from daqsched.serve.audit_verify import those_of

#: The file has no more bytes; a line of the audit file that is looked at has no more.
MOST_PLACE, MOST_LINE = 1024, 1 << 20

#: No line has such a number.
MOST_SEQ = 1 << 62

_Count = Annotated[int, msgspec.Meta(ge=0, lt=MOST_SEQ)]
_Digest = Annotated[str, msgspec.Meta(pattern="^([0-9a-f]{64})?$")]


class Damaged(DaqschedError):
    """Why a place can't be believed."""


class CopiedUpTo(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Up to where all is stored: the inode of a file, and how many bytes of it; and the last line: its number, length, SHA-256."""

    inode: _Count = 0
    offset: _Count = 0
    seq: _Count = 0
    length: _Count = 0
    sha256: _Digest = ""

    def is_in(self, file: int) -> bool:
        """Whether that is the file: an inode may be another one's by now."""
        if os.fstat(file).st_ino != self.inode or not 0 < self.length <= min(MOST_LINE, self.offset):
            return False
        last = os.pread(file, self.length, self.offset - self.length)
        return hashlib.sha256(last).hexdigest() == self.sha256


def place_of(path: Path) -> Path:
    """Where that is of this audit file."""
    return path.with_name(f"{path.name}.copied")


def written(place: CopiedUpTo) -> bytes:
    """The contents of the file: a line, with a digest of all else in it."""
    body = msgspec.json.encode(place)
    return body[:-1] + b',"check":"%s"}\n' % hashlib.sha256(body).hexdigest().encode()


def read_place(path: Path) -> Optional[CopiedUpTo]:
    """Of this audit file; None: nobody ever copied it. Raises `Damaged`."""
    file = place_of(path)
    try:
        opened = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise Damaged(f"{file} can't be read: {error.strerror}") from error
    try:
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            raise Damaged(f"{file} is not a file")
        data = os.read(opened, MOST_PLACE + 1)
    except OSError as error:
        raise Damaged(f"{file} can't be read: {error.strerror}") from error
    finally:
        os.close(opened)
    body = data.rpartition(b',"check":"')[0] + b"}"
    try:
        place = msgspec.json.decode(body, type=CopiedUpTo)
    except (msgspec.MsgspecError, ValueError, RecursionError):  # what is no UTF-8 is a ValueError
        place = None
    if place is None or data != written(place):
        raise Damaged(f"{file} is damaged")
    return place


def keep(path: Path, place: CopiedUpTo) -> None:
    """On the disk when this returns, the whole or what was there before; raises OSError."""
    file = place_of(path)
    new = file.with_name(f"{file.name}.new")
    with contextlib.suppress(FileNotFoundError):
        new.unlink()  # of one that died
    opened = _made(new)
    with open(opened, "wb") as writing:
        writing.write(written(place))
        writing.flush()
        os.fsync(opened)
    new.replace(file)


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """One process copies an audit file at a time; raises `UserError` where another does, or this one may not."""
    name = place_of(path).with_name(f"{path.name}.copied.lock")
    try:
        opened = _opened(name)
    except OSError as error:
        raise UserError(
            f"{name} can't be made ({error.strerror}): copying is for root or the daemon's own account, on its machine"
        ) from error
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise UserError(f"another `daqsched audit copy` copies {path} at present: end that one first") from error
    finally:
        os.close(opened)


def _opened(name: Path) -> int:
    while True:
        with contextlib.suppress(FileNotFoundError):
            return os.open(name, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        with contextlib.suppress(FileExistsError):
            return _made(name)


def _made(name: Path) -> int:
    """A new file, of the daemon's account also where root asks."""
    opened = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    if os.geteuid() == 0:
        folder = os.stat(name.parent)
        os.fchown(opened, folder.st_uid, folder.st_gid)
    return opened


def opened_of(path: Path) -> list[int]:
    """The audit file and those that were set aside, open, the oldest first, of one moment: the daemon may set one aside
    meanwhile. Empty: there is none."""
    while True:
        files: list[int] = []
        try:
            for one in those_of(path):
                files.append(os.open(one, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK))
            there = [one.stat().st_ino for one in those_of(path)]
        except (FileNotFoundError, NotADirectoryError):
            there = [-1]
        except BaseException:
            close(files)
            raise
        if [os.fstat(file).st_ino for file in files] == there:
            return files
        close(files)


def close(files: list[int]) -> None:
    """Of `opened_of`."""
    for file in files:
        os.close(file)


class Waiting(NamedTuple):
    """Lines that are not copied yet: how many, and the time of the first of them, in seconds since the epoch."""

    lines: int = 0
    since: float = 0.0


def waiting(path: Path) -> Optional[Waiting]:
    """What is not copied yet of this audit file; None: nobody ever copied it. Raises `Damaged`, `UserError` or
    OSError.

    The last line is what the file beside the audit file says, which the daemon writes.
    """
    place = read_place(path)
    if place is None:
        return None
    files = opened_of(path)
    try:
        known = [at for at, file in enumerate(files) if place.is_in(file)]
        offset = place.offset if known else 0
        for file in files[known[0] if known else 0 :]:
            line, end, _ = os.pread(file, MOST_LINE, offset).partition(b"\n")
            offset = 0
            if end:
                fields, last = fields_of(line), marked(path)
                first = number_of(fields)
                return Waiting(
                    max(1, last.seq - first + 1) if last is not None and first else 1, _seconds(fields.get("time"))
                )
    finally:
        close(files)
    return Waiting()


def number_of(fields: Mapping[str, Any]) -> int:
    """The place of a line in the chain, by its fields; 0: it says none that can be."""
    found = fields.get("seq")
    return found if isinstance(found, int) and not isinstance(found, bool) and 0 < found < MOST_SEQ else 0


def fields_of(line: bytes) -> Mapping[str, Any]:
    """Those of a line; none, where it is none of ours."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _seconds(time: Any) -> float:
    try:
        return datetime.datetime.fromisoformat(str(time).replace("Z", "+00:00")).timestamp()
    except (ValueError, OverflowError):
        return 0.0
