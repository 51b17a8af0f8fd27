"""What was in which state when: a line for each change of a state, for `daqsched status --at`.

A file of this daemon's own, beside the state or wherever `serve --chronicle` says. Losing it loses nothing but the answer to
that question, so it is written without waiting for the disk; it is pruned to `KEEP_S`. Another daemon's time is not in it:
`at` says when none of ours ran.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

import msgspec

from daqsched.engine.changes import GONE, MOST_WORDS, Changed
from daqsched.engine.engine import Engine
from daqsched.engine.instance import Key
from daqsched.errors import Refused
from daqsched.store import private
from daqsched.views.status import Row, row_of

logger = logging.getLogger(__name__)

#: What is older is forgotten, but for the last word of each instance.
KEEP_S = 35 * 86400.0

#: How often that is looked at, and how often the time of the last word is noted.
PRUNE_S, ALIVE_S = 3600.0, 60.0

#: After how long that is tried again where it failed.
AGAIN_S = 10.0

_TABLES = """
CREATE TABLE IF NOT EXISTS change (
    job TEXT NOT NULL, host TEXT NOT NULL, time REAL NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL,
    release TEXT NOT NULL, pid INTEGER NOT NULL, PRIMARY KEY (job, host, time)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_time ON change (time);
CREATE TABLE IF NOT EXISTS term (began REAL PRIMARY KEY, ended REAL NOT NULL);
CREATE TABLE IF NOT EXISTS place (name TEXT PRIMARY KEY);
"""


def remembers(path: Path, place: str = "") -> bool:
    """Whether jobs ran here, with the state at this place where daemons share it: the chronicle says so, or can't be read."""
    if not path.exists() or not path.stat().st_size:
        return False
    try:
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5.0)) as db:
            if place:
                if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'place'").fetchone():
                    return False  # it is from before
                if not db.execute("SELECT 1 FROM place WHERE name = ?", (place,)).fetchone():
                    return False
            return db.execute("SELECT 1 FROM change LIMIT 1").fetchone() is not None
    except sqlite3.Error:
        return True


def _row(
    engine: Engine, key: Key, at: float, change: Optional[Changed] = None
) -> tuple[str, str, float, str, str, str, int]:
    """The line of an instance: of this change, or as it is."""
    instance = engine.instances.get(key)
    row = row_of(engine, instance, at) if instance is not None else None
    state = change.after if change is not None else row.state if row is not None else GONE
    if row is None or state == GONE:
        return (*key, at, state, "", "", 0)
    reason = change.reason if change is not None and change.reason else row.reason if row.state == state else ""
    return (*key, at, state, reason[:MOST_WORDS], row.release, row.pid if row.state == state else 0)


class Chronicle:
    """One thread writes, any may ask. Trouble with the file is a warning, and never holds the daemon up."""

    def __init__(self, path: Path, engine: Engine, now: float, place: str = "") -> None:
        """``place``: where the state is, if that is not beside this file."""
        self._path = path
        self._began = self._alive = self._pruned = now
        #: When it last could not be written; 0: it can.
        self._missed = 0.0
        self._db: Optional[sqlite3.Connection] = None
        try:
            private.database(path)
            self._db = sqlite3.connect(str(path), isolation_level=None, timeout=1.0)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = OFF")
            self._db.executescript(_TABLES)
            self._db.execute("INSERT OR REPLACE INTO term VALUES (?, ?)", (now, now))
            if place:
                self._db.execute("INSERT OR IGNORE INTO place VALUES (?)", (place,))
            self._catch_up(engine, now)
        except (sqlite3.Error, OSError) as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        logger.warning("the chronicle can't be written, `status --at` will not know of this time: %s", error)
        if self._db is not None:
            self._db.close()
        self._db = None

    def _catch_up(self, engine: Engine, now: float) -> None:
        """What changed while nobody looked."""
        assert self._db is not None, "opened a moment ago"
        last = {(job, host): state for job, host, state in self._db.execute(_LAST, (now,))}
        rows = [_row(engine, key, now) for key in engine.instances]
        rows += [_row(engine, key, now) for key, state in last.items() if state != GONE and key not in engine.instances]
        self._write([row for row in rows if last.get(row[:2]) != row[3]])

    def note(self, engine: Engine, changes: Sequence[Changed], now: float) -> None:
        """These have changed."""
        if self._db is None:
            return
        try:
            if not self._missed:
                # two changes of one instance in one round: what it has come to, and what it was in between
                self._write([_row(engine, change.key, change.at, change) for change in changes])
            elif not 0 <= now - self._missed < AGAIN_S:
                self._catch_up(engine, now)
                self._missed = 0.0
                logger.info("the chronicle is written again")
            if now - self._alive >= ALIVE_S:
                self._alive = now
                self._db.execute("UPDATE term SET ended = ? WHERE began = ?", (now, self._began))
            if now - self._pruned >= PRUNE_S:
                self._pruned = now
                self._db.execute(_PRUNE, (now - KEEP_S,))
        except sqlite3.Error as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            if not self._missed:
                logger.warning("the chronicle can't be written, `status --at` misses what changes now: %s", error)
            self._missed = now

    def _write(self, rows: Sequence[tuple[str, str, float, str, str, str, int]]) -> None:
        assert self._db is not None, "looked at by who calls"
        if rows:
            self._db.execute("BEGIN")
            self._db.executemany("INSERT OR REPLACE INTO change VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
            self._db.execute("COMMIT")

    def at(self, time: float) -> tuple[list[Row], str]:
        """How it was then; and a sentence where that is not the whole truth. From any thread."""
        if not self._path.exists():
            return [], "there is no chronicle: see the daemon's log"
        try:
            with contextlib.closing(sqlite3.connect(str(self._path), timeout=5.0)) as db:
                found = db.execute(_THEN, (time,)).fetchall()
                rows = [
                    Row(job, host, state, reason, since, release, pid=pid)
                    for job, host, since, state, reason, release, pid in found
                    if state != GONE
                ]
                return msgspec.convert(msgspec.to_builtins(rows), list[Row]), self._doubt(db, time)
        except (sqlite3.Error, msgspec.MsgspecError) as error:
            raise Refused(f"{self._path} can't be read ({error}): move it away, and a new one is begun") from error

    def _doubt(self, db: sqlite3.Connection, time: float) -> str:
        (first,) = db.execute("SELECT min(time) FROM change").fetchone()
        if first is None or time < first:
            return "nothing is known of a time before this daemon's first day, or longer ago than it keeps"
        covered = db.execute(
            "SELECT 1 FROM term WHERE began <= ? AND (ended + ? >= ? OR began = ?)",
            (time, ALIVE_S, time, self._began),
        ).fetchone()
        return "" if covered else "this daemon did not run then: what is shown is what it last knew before"

    def close(self, now: float) -> None:
        """The last word."""
        if self._db is not None:
            with contextlib.suppress(sqlite3.Error):  # said before
                self._db.execute("UPDATE term SET ended = ? WHERE began = ?", (now, self._began))
            self._db.close()
            self._db = None


_THEN = """
SELECT c.job AS job, c.host AS host, c.time AS time, c.state AS state, c.reason AS reason, c.release AS release, c.pid AS pid
FROM change c JOIN (
    SELECT job, host, max(time) AS last FROM change WHERE time <= ? GROUP BY job, host) l
ON c.job = l.job AND c.host = l.host AND c.time = l.last
"""
_LAST = f"SELECT job, host, state FROM ({_THEN})"
_PRUNE = """
DELETE FROM change WHERE time < ? AND time < (
    SELECT max(time) FROM change AS other WHERE other.job = change.job AND other.host = change.host)
"""
