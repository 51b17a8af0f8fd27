"""The farm's rights as they are now: read again when their file changes, and kept as they were where it can't be used."""

from __future__ import annotations

import logging
import os
import stat
import threading
import time
from pathlib import Path
from typing import Optional

from daqsched.errors import DaqschedError
from daqsched.rights.grants import Grants
from daqsched.rights.principal import Principal
from daqsched.rights.rules import MOST_TEXT, Rights, RightsError, read
from daqsched.times import clock

logger = logging.getLogger(__name__)

#: How often the file is looked at; a right that is taken away ends within this.
LOOK_S = 1.0

#: Of so many people what they may is kept ready.
MOST_KEPT = 1000


def read_file(path: Path) -> Rights:
    """What a file of rights says; raises `DaqschedError` where it can't be read, or be trusted, or is not right."""
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
    try:
        file = os.open(path, flags)
    except OSError as error:
        raise DaqschedError(f"the rights in {path} can't be read: {error.strerror}") from error
    with open(file, "rb") as opened:
        found = os.fstat(opened.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise DaqschedError(f"{path} is not a file, so no rights are read from it")
        if found.st_uid not in (0, os.geteuid()) or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise DaqschedError(
                f"{path} may be written by others than root and uid {os.geteuid()}: chown it, and chmod go-w"
            )
        try:
            text = opened.read(4 * MOST_TEXT + 1).decode()
        except UnicodeDecodeError as error:
            raise RightsError([f"{path}: it is not UTF-8 text: {error.reason}"]) from error
        except OSError as error:
            raise DaqschedError(f"the rights in {path} can't be read: {error.strerror}") from error
    return read(text, str(path))


class RightsInForce:
    """See the module. Any thread may ask."""

    def __init__(self, path: Path, look_s: float = LOOK_S) -> None:
        """Raises as `read_file`: nobody begins with rights that nobody understands."""
        self.path, self._look_s = path, look_s
        self._seen = _stamp(path)
        self.rights = read_file(path)
        #: Why the file is not in force as it is now; empty: it is.
        self.trouble = ""
        #: Grows when other rights are in force.
        self.version = 1
        self._grants: dict[Principal, Grants] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()
        threading.Thread(target=self._watch, name="rights", daemon=True).start()

    def grants(self, who: Principal) -> Grants:
        """What somebody may now."""
        with self._lock:
            found = self._grants.get(who)
            if found is None:
                if len(self._grants) >= MOST_KEPT:
                    self._grants.clear()
                found = self._grants[who] = Grants(self.rights, who)
            return found

    def close(self) -> None:
        """Look at the file no more."""
        self._ended.set()

    def _watch(self) -> None:
        while not self._ended.wait(self._look_s):
            self.look()

    def look(self) -> None:
        """Read the file where it is another one."""
        seen = _stamp(self.path)
        if seen == self._seen:
            return
        try:
            rights = read_file(self.path)
        except DaqschedError as error:
            self.trouble = (
                f"the rights are those in force before {clock(time.time())}, as their file can't be used: {error}"
            )
            logger.error("%s", self.trouble)
        else:
            with self._lock:
                self.rights, self._grants, self.version = rights, {}, self.version + 1
            self.trouble = ""
            logger.info("the rights in %s are in force: %d rules", self.path, len(rights.rules))
        self._seen = seen


def _stamp(path: Path) -> Optional[tuple[int, ...]]:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
