"""What survives the daemon: one SQLite file with the framework's id, the revisions and the instances.

One thread uses a store. What `save` was given in one call is durable, all of it, when it returns.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Iterable, Iterator, Mapping, Optional

import msgspec

from daqsched.commands import Revision
from daqsched.errors import DaqschedError
from daqsched.spec import EMPTY, decode, encode
from daqsched.task import Record

Key = tuple[str, str]

#: `PRAGMA user_version` of the file; a file of a later daqsched is refused, not guessed at.
SCHEMA = 2

_TABLES = """
CREATE TABLE document (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE revision (
    number INTEGER PRIMARY KEY, digest TEXT NOT NULL, user TEXT NOT NULL, time REAL NOT NULL, message TEXT NOT NULL,
    spec BLOB NOT NULL);
CREATE TABLE instance (
    job TEXT NOT NULL, host TEXT NOT NULL, record BLOB NOT NULL, PRIMARY KEY (job, host)) WITHOUT ROWID;
"""


class Store:
    """See the module. ``folder`` is made if it is missing, readable by its owner alone."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path = folder / "state.sqlite"
        # made by us, so that it is our own eyes' only also in a folder that others may look into; -wal and -shm follow
        os.close(os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        self._db = sqlite3.connect(str(self.path), isolation_level=None, timeout=5.0)
        try:
            # one daemon per file: the lock is held for as long as it is open
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._prepare()
        except BaseException as error:
            self._db.close()
            if isinstance(error, sqlite3.OperationalError):
                raise DaqschedError(
                    f"{self.path} can't be used ({error}): is another `daqsched serve` running with this --state?"
                ) from error
            if isinstance(error, sqlite3.DatabaseError):
                raise DaqschedError(
                    f"{self.path} is damaged ({error}): restore it from a backup or move it away"
                ) from error
            raise

    def _prepare(self) -> None:
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version > SCHEMA:
            raise DaqschedError(f"{self.path} was written by a newer daqsched (format {version}): install that one")
        self._db.execute("BEGIN EXCLUSIVE")
        if version == 0:
            for statement in _TABLES.split(";"):
                self._db.execute(statement)
        elif version == 1:
            self._db.execute(_TABLES.split(";")[0])
        self._db.execute(f"PRAGMA user_version = {SCHEMA}")
        self._db.execute("COMMIT")

    def framework_id(self) -> str:
        """What the master called us; empty: nothing yet."""
        found = self._db.execute("SELECT value FROM setting WHERE name = 'framework_id'").fetchone()
        return found[0] if found else ""

    def revision(self, number: Optional[int] = None) -> Optional[Revision]:
        """The revision of that number, the last one without a number; None where there is none."""
        where, values = ("WHERE number = ?", (number,)) if number is not None else ("ORDER BY number DESC LIMIT 1", ())
        found = self._db.execute(
            f"SELECT number, digest, user, time, message, spec FROM revision {where}", values
        ).fetchone()
        if found is None:
            return None
        number, digest, user, time, message, spec = found
        return Revision(number, digest, user, time, message, decode(spec))

    def history(self, most: int = 100) -> list[Revision]:
        """The last revisions, the newest first, without what they ask for."""
        rows = self._db.execute(
            "SELECT number, digest, user, time, message FROM revision ORDER BY number DESC LIMIT ?", (most,)
        )
        return [Revision(number, digest, user, time, message, EMPTY) for number, digest, user, time, message in rows]

    def document(self, name: str) -> Optional[bytes]:
        """What was saved under this name; None: nothing."""
        found = self._db.execute("SELECT value FROM document WHERE name = ?", (name,)).fetchone()
        return found[0] if found else None

    def records(self) -> Iterator[tuple[Key, Record]]:
        """All instances that there is something to remember of."""
        for job, host, record in self._db.execute("SELECT job, host, record FROM instance"):
            yield (job, host), msgspec.msgpack.decode(record, type=Record)

    def save(
        self,
        framework_id: Optional[str] = None,
        revisions: Iterable[Revision] = (),
        records: Iterable[tuple[Key, Optional[Record]]] = (),
        documents: Mapping[str, Optional[bytes]] = {},
    ) -> None:
        """Make all of this durable at once; a record or a document that is None is forgotten."""
        db = self._db
        db.execute("BEGIN")
        try:
            if framework_id is not None:
                db.execute("INSERT OR REPLACE INTO setting VALUES ('framework_id', ?)", (framework_id,))
            for revision in revisions:
                db.execute(
                    "INSERT INTO revision VALUES (?, ?, ?, ?, ?, ?)",
                    (*msgspec.structs.astuple(revision)[:5], encode(revision.spec)),
                )
            for name, value in documents.items():
                if value is None:
                    db.execute("DELETE FROM document WHERE name = ?", (name,))
                else:
                    db.execute("INSERT OR REPLACE INTO document VALUES (?, ?)", (name, value))
            for (job, host), record in records:
                if record is None or record == _NOTHING:
                    db.execute("DELETE FROM instance WHERE job = ? AND host = ?", (job, host))
                else:
                    blob = msgspec.msgpack.encode(record)
                    db.execute("INSERT OR REPLACE INTO instance VALUES (?, ?, ?)", (job, host, blob))
        except BaseException:
            db.execute("ROLLBACK")
            raise
        db.execute("COMMIT")

    def close(self) -> None:
        """Give the file free."""
        self._db.close()


#: An instance of which there is nothing to remember needs no row.
_NOTHING = Record()
