"""The state in one SQLite file, for one daemon: whoever comes second is refused."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterable, Iterator, Mapping, Optional, Sequence

import msgspec

from daqsched.engine.commands import Revision
from daqsched.errors import DaqschedError, Unsaved
from daqsched.spec import decode, encode
from daqsched.store import private
from daqsched.store.base import SCHEMA, WAY_OUT, Contents, Key, read_revision, record_bytes, record_of, revision_of
from daqsched.task import Record

# `PRAGMA user_version` of the file is `base.SCHEMA`
_TABLES = """
CREATE TABLE document (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE revision (
    number INTEGER PRIMARY KEY, digest TEXT NOT NULL, user TEXT NOT NULL, time REAL NOT NULL, message TEXT NOT NULL,
    spec BLOB NOT NULL);
CREATE TABLE instance (
    job TEXT NOT NULL, host TEXT NOT NULL, record BLOB NOT NULL, PRIMARY KEY (job, host)) WITHOUT ROWID;
"""


#: Its name in the state's folder.
FILE = "state.sqlite"

#: A file's device and number; None: there is none.
Identity = Optional[tuple[int, int]]


def _identity(path: Path) -> Identity:
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


class SqliteStore:
    """A `Store` (see there) in ``folder``, which is made if it is missing, readable by its owner alone."""

    def __init__(self, folder: Path, most: int = 0o700) -> None:
        private.folder(folder, most)
        self.path = folder / FILE
        private.database(self.path)
        self._db = sqlite3.connect(str(self.path), isolation_level=None, timeout=5.0)
        #: The files that are open, as their folder had them then.
        self._files: dict[Path, Identity] = {}
        try:
            # one daemon per file: the lock is held for as long as it is open
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._prepare()
            self._files = {one: _identity(one) for one in (self.path, folder / f"{self.path.name}-wal") if one.exists()}
        except BaseException as error:
            self._db.close()
            if isinstance(error, sqlite3.OperationalError) and "full" in str(error):
                raise DaqschedError(f"{self.path} can't be written ({error}): make room and start again") from error
            if isinstance(error, sqlite3.OperationalError):
                raise DaqschedError(
                    f"{self.path} can't be used ({error}): is another `daqsched serve` running with this --state?"
                ) from error
            if isinstance(error, sqlite3.DatabaseError):
                raise self._damaged(error) from error
            raise

    def _damaged(self, error: object) -> DaqschedError:
        return DaqschedError(f"{self.path} is damaged ({error}): move it away, then {WAY_OUT}")

    def _prepare(self) -> None:
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version > SCHEMA:
            raise DaqschedError(f"{self.path} was written by a newer daqsched (format {version}): install that one")
        (whole,) = self._db.execute("PRAGMA quick_check(1)").fetchone()
        if whole != "ok":
            raise self._damaged(whole)
        there = {name for (name,) in self._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if version == 0 and there:
            raise DaqschedError(f"{self.path} is a database of another program: give another --state")
        self._db.execute("BEGIN EXCLUSIVE")
        if version == 0:
            for statement in _TABLES.split(";"):
                self._db.execute(statement)
        elif version == 1:
            self._db.execute(_TABLES.split(";")[0])
            there.add("document")
        if version and not {"document", "setting", "revision", "instance"} <= there:
            raise self._damaged("a table is missing")
        self._db.execute(f"PRAGMA user_version = {SCHEMA}")
        self._db.execute("COMMIT")

    def _rows(self, question: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        try:
            return self._db.execute(question, values).fetchall()
        except sqlite3.DatabaseError as error:
            raise self._damaged(error) from error

    def framework_id(self) -> str:
        found = self._rows("SELECT value FROM setting WHERE name = 'framework_id'")
        return str(found[0][0]) if found else ""

    def revision(self, number: Optional[int] = None) -> Optional[Revision]:
        where, values = ("WHERE number = ?", (number,)) if number is not None else ("ORDER BY number DESC LIMIT 1", ())
        found = self._rows(f"SELECT number, digest, user, time, message, spec FROM revision {where}", values)
        return read_revision(found[0][:5], found[0][5]) if found else None

    def history(self, most: int = 100) -> list[Revision]:
        rows = self._rows(
            "SELECT number, digest, user, time, message FROM revision ORDER BY number DESC LIMIT ?", (most,)
        )
        return [read_revision(row) for row in rows]

    def document(self, name: str) -> Optional[bytes]:
        found = self._rows("SELECT value FROM document WHERE name = ?", (name,))
        return found[0][0] if found else None

    def documents(self) -> Iterator[tuple[str, bytes]]:
        yield from self._rows("SELECT name, value FROM document ORDER BY name")

    def records(self) -> Iterator[tuple[Key, Record]]:
        for job, host, record in self._rows("SELECT job, host, record FROM instance"):
            yield (job, host), record_of(record)

    def save(
        self,
        framework_id: Optional[str] = None,
        revisions: Iterable[Revision] = (),
        records: Iterable[tuple[Key, Optional[Record]]] = (),
        documents: Mapping[str, Optional[bytes]] = {},
    ) -> None:
        with self._transaction() as db:
            if framework_id is not None:
                db.execute("INSERT OR REPLACE INTO setting VALUES ('framework_id', ?)", (framework_id,))
            for revision in revisions:
                self._add(revision)
            for name, value in documents.items():
                if value is None:
                    db.execute("DELETE FROM document WHERE name = ?", (name,))
                else:
                    db.execute("INSERT OR REPLACE INTO document VALUES (?, ?)", (name, value))
            for (job, host), record in records:
                blob = record_bytes(record)
                if blob is None:
                    db.execute("DELETE FROM instance WHERE job = ? AND host = ?", (job, host))
                else:
                    db.execute("INSERT OR REPLACE INTO instance VALUES (?, ?, ?)", (job, host, blob))

    def replace(self, contents: Contents) -> None:
        with self._transaction() as db:
            for table in ("setting", "revision", "instance", "document"):
                db.execute(f"DELETE FROM {table}")
            db.execute("INSERT INTO setting VALUES ('framework_id', ?)", (contents.framework_id,))
            for head, spec in contents.revisions:
                self._add(revision_of(head, decode(spec)))
            db.executemany("INSERT INTO instance VALUES (?, ?, ?)", contents.records)
            db.executemany("INSERT INTO document VALUES (?, ?)", contents.documents.items())

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """All of it or nothing; raises `Unsaved` where the disk does not take it, or nobody would find it there again."""
        db = self._db
        for path, opened in self._files.items():
            if _identity(path) != opened:
                raise Unsaved(
                    f"{path} was removed or replaced while it is in use: put it back, or save what it held (`daqsched backup "
                    "FILE`), end this daemon, and `daqsched restore FILE`"
                )
        try:
            db.execute("BEGIN")
            yield db
            db.execute("COMMIT")
        except BaseException as error:
            if db.in_transaction:  # SQLite itself takes some back (sqlite.org/lang_transaction.html)
                db.execute("ROLLBACK")
            if isinstance(error, sqlite3.OperationalError):
                raise Unsaved(f"{self.path} can't be written: {error}") from error
            if type(error) is sqlite3.DatabaseError:
                raise self._damaged(error) from error
            raise

    def _add(self, revision: Revision) -> None:
        row = (*msgspec.structs.astuple(revision)[:5], encode(revision.spec))
        self._db.execute("INSERT INTO revision VALUES (?, ?, ?, ?, ?, ?)", row)

    def ensure_ownership(self) -> None:
        """The file is locked: nobody else can own it."""

    def close(self) -> None:
        self._db.close()
