"""What was in which state when: a line for each change of a state, for `daqsched status --at`.

A file of this daemon's own, beside the state or wherever `serve --chronicle` says. Losing it loses nothing but the answer to
that question, so it is written without waiting for the disk; it is pruned to `KEEP_S`. Another daemon's time is not in it:
`at` says when none of ours ran.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Optional

import msgspec

from daqsched.engine.changes import GONE, MOST_WORDS, TRANSITIONS, Changed, shortened
from daqsched.engine.engine import Engine
from daqsched.engine.instance import Key
from daqsched.engine.reasons import reason_of
from daqsched.engine.time_format import TimeFormat
from daqsched.errors import Refused
from daqsched.store import private
from daqsched.views.rows import Row
from daqsched.views.status import row_of

logger = logging.getLogger(__name__)

#: Job, host, time, state, reason, release, pid.
_Line = tuple[str, str, float, str, str, str, int]

#: What is older is forgotten, but for the last word of each instance.
KEEP_S = 35 * 86400.0

#: How often that is looked at, and how often the time of the last word is noted.
PRUNE_S, ALIVE_S = 3600.0, 60.0

#: After how long that is tried again where it failed.
AGAIN_S = 10.0

#: ``nth``: of several changes of an instance at one time, as one round may lead to, the last one has the highest.
_TABLES = """
CREATE TABLE IF NOT EXISTS change (
    job TEXT NOT NULL, host TEXT NOT NULL, time REAL NOT NULL, nth INTEGER NOT NULL, state TEXT NOT NULL,
    reason TEXT NOT NULL, release TEXT NOT NULL, pid INTEGER NOT NULL, PRIMARY KEY (job, host, time, nth)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_time ON change (time);
CREATE TABLE IF NOT EXISTS term (began REAL PRIMARY KEY, ended REAL NOT NULL);
CREATE TABLE IF NOT EXISTS place (name TEXT PRIMARY KEY);
"""

#: Of a file from before there was ``nth``.
_RENEW = f"""
BEGIN;
ALTER TABLE change RENAME TO former;
DROP INDEX IF EXISTS by_time;
{_TABLES}
INSERT INTO change SELECT job, host, time, 0, state, reason, release, pid FROM former;
DROP TABLE former;
COMMIT;
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


def _is_former(db: sqlite3.Connection) -> bool:
    columns = [name for _, name, *_ in db.execute("PRAGMA table_info(change)")]
    return bool(columns) and "nth" not in columns


def _row(engine: Engine, change: Changed) -> _Line:
    """The line of a change; what it does not say is as the instance has it now."""
    instance = engine.instances.get(change.key)
    if instance is None or change.after == GONE:
        return (*change.key, change.at, change.after, change.reason, "", 0)
    row = row_of(engine, instance, change.at)
    still = row.state == change.after
    reason = change.reason or (
        reason_of(engine, instance, row.state, TimeFormat(change.at, absolute=True)) if still else ""
    )
    return (*change.key, change.at, change.after, shortened(reason, MOST_WORDS), row.release, row.pid if still else 0)


class Chronicle:
    """One thread writes, any may ask. Trouble with the file is a warning, and never holds the daemon up."""

    def __init__(self, path: Path, now: float, place: str = "") -> None:
        """``place``: where the state is, if that is not beside this file."""
        self._path = path
        self._began = self._alive = self._pruned = now
        #: When it last could not be written; 0: it can.
        self._missed = 0.0
        #: What could not be written since.
        self._waiting: dict[Key, Changed] = {}
        self._db: Optional[sqlite3.Connection] = None
        try:
            private.database(path)
            self._db = sqlite3.connect(str(path), isolation_level=None, timeout=1.0)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = OFF")
            self._db.executescript(_RENEW if _is_former(self._db) else _TABLES)
            self._db.execute("INSERT OR REPLACE INTO term VALUES (?, ?)", (now, now))
            if place:
                self._db.execute("INSERT OR IGNORE INTO place VALUES (?)", (place,))
        except (sqlite3.Error, OSError) as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        logger.warning("the chronicle can't be written, `status --at` will not know of this time: %s", error)
        if self._db is not None:
            self._db.close()
        self._db = None

    def states(self) -> Optional[dict[Key, str]]:
        """What each instance was when it was last written of, for `Transitions.recall`; None: nobody can say."""
        if self._db is None:
            return None
        try:
            known = {state: state for state in TRANSITIONS}  # one text for each, however many have it
            return {
                (sys.intern(job), sys.intern(host)): known.get(state, GONE)
                for job, host, state in self._db.execute(_LAST, (self._began,))
            }
        except (sqlite3.Error, TypeError) as error:
            self._give_up(error)
            return None

    def note(self, engine: Engine, changes: Iterable[Changed], now: float) -> None:
        """These have changed. What can't be written now is written later: of each instance the last."""
        if self._db is None:
            return
        if self._missed:
            self._waiting.update((change.key, change) for change in changes)
            if 0 <= now - self._missed < AGAIN_S:
                return
            changes = tuple(self._waiting.values())
        try:
            self._write([_row(engine, change) for change in changes])
            changes = ()
            self._waiting.clear()
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
            self._waiting.update((change.key, change) for change in changes)
        else:
            if self._missed:
                self._missed = 0.0
                logger.info("the chronicle is written again")

    def _write(self, rows: Sequence[_Line]) -> None:
        assert self._db is not None, "looked at by the caller"
        if rows:
            self._db.execute("BEGIN")
            self._db.executemany(_WRITE, [(*row, *row[:3]) for row in rows])
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


_WRITE = """
INSERT INTO change SELECT ?, ?, ?, coalesce(max(nth) + 1, 0), ?, ?, ?, ?
FROM change WHERE job = ? AND host = ? AND time = ?
"""
# columns beside a max() are those of its row: https://www.sqlite.org/lang_select.html#bareagg
_THEN = """
SELECT job, host, time, state, reason, release, pid FROM (
    SELECT c.job, c.host, c.time, c.state, c.reason, c.release, c.pid, max(c.nth) FROM change c JOIN (
        SELECT job, host, max(time) AS last FROM change WHERE time <= ? GROUP BY job, host) l
    ON c.job = l.job AND c.host = l.host AND c.time = l.last GROUP BY c.job, c.host)
"""
_LAST = f"SELECT job, host, state FROM ({_THEN})"
_PRUNE = """
DELETE FROM change WHERE time < ? AND time < (
    SELECT max(time) FROM change AS other WHERE other.job = change.job AND other.host = change.host)
"""
