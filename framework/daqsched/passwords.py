"""The file of passwords: a line for each name, with what argon2id makes of its password (RFC 9106). For its owner's eyes alone.

Read again when it changes. Whether a password is right takes as long for a name that is not there.
"""

from __future__ import annotations

import logging
import os
import re
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Optional

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from daqsched.errors import UserError
from daqsched.whole_file import keeps_owner, write_whole

logger = logging.getLogger(__name__)

#: 64 MiB and three rounds: about 0.1 s. Two at once, so that guessing takes neither all memory nor all processors.
_HASHER = PasswordHasher(time_cost=3, memory_cost=64 * 1024, parallelism=1)
AT_ONCE = 2

#: The longest password, and file.
MOST_LETTERS, MOST_BYTES = 1000, 1 << 20

#: The least of a password that is set here.
LEAST_LETTERS = 10

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,63}\Z")


def read(path: Path, of_anybody: bool = False) -> dict[str, str]:
    """Name -> what is kept of its password; raises `UserError` where the file is not to be believed: it is another account's
    (but ``of_anybody``), or others may read or change it."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise UserError(f"{path} is not a file, so no passwords are read from it")
            if found.st_mode & (stat.S_IRWXO | stat.S_IWGRP):
                raise UserError(f"{path} can be read or changed by others than its owner: chmod 600 {path}")
            if found.st_uid not in (0, os.geteuid()) and not of_anybody:
                raise UserError(f"{path} belongs to uid {found.st_uid}, and not to root or uid {os.geteuid()}")
            text = file.read(MOST_BYTES + 1).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"the passwords in {path} can't be read: {getattr(error, 'strerror', None) or error}"
        ) from error
    if len(text) > MOST_BYTES:
        raise UserError(f"{path} has more than {MOST_BYTES >> 10} KiB")
    kept: dict[str, str] = {}
    for at, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, colon, rest = line.strip().partition(":")
        if not colon or not NAME.match(name) or not rest.startswith("$argon2id$") or name in kept:
            raise UserError(
                f"{path}:{at}: a line is NAME:$argon2id$..., once for each name: `daqsched password NAME` writes it"
            )
        kept[name] = rest
    return kept


def write(path: Path, name: str, password: Optional[str]) -> None:
    """Set a name's password, or remove it; the file is new in one step."""
    if not NAME.match(name):
        raise UserError("a name has letters, digits, _, ., @ and -, at most 64")
    if password is not None and not LEAST_LETTERS <= len(password) <= MOST_LETTERS:
        raise UserError(f"a password has {LEAST_LETTERS} to {MOST_LETTERS} letters")
    kept, mode = {}, 0o600
    if path.exists():
        # root writes for a daemon of another account, or of a group
        found, believed = path.stat(), keeps_owner(path)
        if not believed and found.st_uid not in (0, os.geteuid()):
            raise UserError(
                f"{path} belongs to uid {found.st_uid}: do this as that account, or as root in a folder where root alone may write"
            )
        kept = read(path, of_anybody=believed)
        mode |= found.st_mode & stat.S_IRGRP if believed else 0
    if password is None and kept.pop(name, None) is None:
        raise UserError(f"{path} has no password of {name}")
    if password is not None:
        kept[name] = _HASHER.hash(password)
    try:
        write_whole(path, "".join(f"{one}:{line}\n" for one, line in kept.items()).encode(), mode, for_owner=True)
    except OSError as error:
        raise UserError(f"{path} can't be written: {error.strerror}") from error


class Passwords:
    """Those of a file as it is now. `check` takes its time, so it is asked on `thread`."""

    def __init__(self, path: Path) -> None:
        """One that can't be read lets nobody in until it can: a takeover does not fail by it. `read` tells before."""
        self.path = path
        self._lock = threading.Lock()
        self._seen: Optional[tuple[int, ...]] = None
        self._kept: dict[str, str] = {}
        self._look()
        self._nobody = _HASHER.hash("nobody")
        self.thread = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="passwords")

    #: Why the file is not in force as it is; empty: it is. One that can't be read lets nobody in.
    trouble = ""

    def kept(self, name: str) -> Optional[str]:
        """What is kept of a name's password now; None: it has none."""
        with self._lock:
            self._look()
            return self._kept.get(name)

    def check(self, name: str, password: str) -> Optional[str]:
        """What is kept of it, where it is right; None: it is wrong, or there is no such name."""
        kept = self.kept(name)
        try:
            _HASHER.verify(kept or self._nobody, password[: MOST_LETTERS + 1])
        except (Argon2Error, InvalidHashError, UnicodeEncodeError):
            return None
        return kept

    def _look(self) -> None:
        try:
            found = self.path.stat()
            seen: Optional[tuple[int, ...]] = (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        except OSError:
            seen = None
        if seen == self._seen and seen is not None:
            return
        self._seen, self.trouble = seen, ""
        try:
            self._kept = read(self.path)
        except UserError as error:
            self._kept, self.trouble = {}, str(error)
            logger.error("nobody logs in: %s", error)

    def close(self) -> None:
        """Check no more."""
        self.thread.shutdown(wait=False)
