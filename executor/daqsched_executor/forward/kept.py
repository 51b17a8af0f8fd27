"""The file of lines that Elasticsearch took in no form: on the machine alone, up to a bound; what is beyond it is counted."""

from __future__ import annotations

import json
import os
import threading
from contextlib import suppress

from .connection import Complain
from .deadletter import Refused

#: The file grows no further; ``daqsched deadletter replay --file`` and its removal make room.
MOST_BYTES = 64 * 1024 * 1024


class Kept:
    """Dead letters as rows of a file; called by any thread."""

    def __init__(self, path: str, complain: Complain, most: int = MOST_BYTES) -> None:
        self.path = path
        self._complain = complain
        self._most = most
        self._lock = threading.Lock()
        #: How many the file holds, as far as we know, and for how many there was no room.
        self.letters = self.lost = 0
        with suppress(FileNotFoundError), open(path, "rb") as file:
            self.letters = sum(1 for _ in file)
        with suppress(FileNotFoundError, ValueError), open(path + ".lost") as told:
            self.lost = int(told.read())

    def keep(self, refused: Refused) -> None:
        """Append a JSON object with the index, the id, the document and the reason; on the disk when it returns.

        Where there is no room it is counted and said. Raises OSError.
        """
        action, source = refused.document.split(b"\n", 2)[:2]
        row = {
            "index": refused.target,
            "id": json.loads(action)["create"]["_id"],
            "reason": refused.reason,
            "document": json.loads(source),
        }
        text = json.dumps(row).encode() + b"\n"
        with self._lock, open(self.path, "ab") as file:
            if file.tell() == 0:
                self.letters = 0  # somebody took the file away
            if file.tell() + len(text) > self._most:
                self.lost += 1
                with open(self.path + ".lost", "w") as told:
                    told.write(f"{self.lost}\n")
                self._complain(
                    "deadletter",
                    f"{self.path} is full: {self.lost} lines that Elasticsearch refuses are lost; replay it and remove it",
                )
                return
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            self.letters += 1
