"""The file of lines that Elasticsearch took in no form: on the machine alone, up to a bound; what is beyond it is counted."""

from __future__ import annotations

import errno
import json
import os
import threading
from contextlib import suppress

from .connection import Warn
from .dead_letter import RefusedLines

#: The file grows no further; ``daqsched deadletter replay --file`` and its removal make room.
MOST_BYTES = 64 * 1024 * 1024


class DeadLetterFile:
    """Dead letters as rows of a file; called by any thread."""

    def __init__(self, path: str, warn: Warn, most: int = MOST_BYTES) -> None:
        self.path = path
        self._warn = warn
        self._most = most
        self._lock = threading.Lock()
        #: How many the file held when we wrote to it last, and for how many there was no room.
        self._letters = self.lost = 0
        with suppress(FileNotFoundError), open(path, "rb") as file:
            self._letters = sum(piece.count(b"\n") for piece in iter(lambda: file.read(1 << 20), b""))
        with suppress(FileNotFoundError), open(path + ".lost", "rb") as told:
            count = told.read(32).strip()
            self.lost = int(count) if count.isdigit() and len(count) < 19 else 0

    @property
    def letters(self) -> int:
        """How many the file holds; 0 as soon as somebody, who has replayed it, took it away. It waits for no write of another
        thread."""
        try:
            return self._letters if os.stat(self.path).st_size > 0 else 0
        except FileNotFoundError:
            return 0
        except OSError:  # it is not gone because we may not look
            return self._letters

    def keep(self, refused: RefusedLines) -> None:
        """Append a JSON object with the index, the id, the document and the reason; on the disk when it returns.

        Where there is no room it is counted, with a warning. Raises OSError.
        """
        action, source = refused.document.split(b"\n", 2)[:2]
        row = {
            "index": refused.target,
            "id": json.loads(action)["create"]["_id"],
            "reason": refused.reason,
            "document": json.loads(source),
        }
        text = json.dumps(row).encode() + b"\n"
        with self._lock, open(self.path, "ab", buffering=0) as file:
            end = file.tell()
            if end == 0:
                self._letters = 0  # somebody took the file away
            if end + len(text) > self._most:
                self.lost += 1
                with suppress(OSError), open(self.path + ".lost", "w") as told:
                    told.write(f"{self.lost}\n")
                self._warn(
                    "deadletter",
                    f"{self.path} is full: {self.lost} lines that Elasticsearch refuses are lost; replay it and remove it",
                )
                return
            try:
                if file.write(text) < len(text):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(file.fileno())
            except OSError:
                file.truncate(end)  # half a row would spoil the next one
                raise
            self._letters += 1
