"""The systemd journal of the machine: what journalctl prints goes to the spool, each entry once.

An entry has a cursor, and journalctl goes on from any, or from what follows it where it is gone. How far we are stands in the
last entry in the spool, or, where all of that was stored and is gone, by a file that is written before. All that is there,
of earlier boots too, is read first, and then what comes (``--follow``), until it has been quiet for long.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Optional

from ...contract import LINKS_DIR, STREAMS_DIR, ContractError, Journal, Stream
from ..forms.journald import FIELDS
from ..forms.received import unescaped
from ..status.threads import start
from ..streams.source import Source
from .export import Entries, Entry, Garbage, same, spooled
from .spool_file import SpoolFile

#: So often what came is synced, and where we are is noted.
SYNC_S, NOTE_S = 0.2, 2.0

#: How long to wait before a journalctl that ended is started again: the first time, and at most.
AGAIN_S, AGAIN_MOST_S = 1.0, 30.0

#: A journalctl that reads what is there and prints nothing for so long hangs; one with ``--follow`` is ended after so much silence,
#: and what is there is read again: so one that hangs, or has lost its files, does no more harm than that.
STALLED_S, QUIET_S = 120.0, 600.0

#: How long one that was killed may take to be gone.
END_S = 5.0

#: So much is read of it at a time.
PIECE = 256 * 1024

#: How much of a spool's end is searched for the last entry.
_TAIL = 1024 * 1024

_CURSOR = re.compile(r"[a-z]=[0-9a-f]{1,64}(;[a-z]=[0-9a-f]{1,64}){0,15}\Z")

Warn = Callable[[str, str], None]


class JournalReader:
    """Reads the journal on a thread of its own. See `spool.Input`."""

    lost = 0

    def __init__(
        self, journal: Journal, spool: str, folder: str, host: str, warn: Warn, stalled_s: float = STALLED_S
    ) -> None:
        self._stalled_s = stalled_s
        self._journal, self._warn = journal, warn
        self._note = os.path.join(folder, "journald.cursor")
        self._file = SpoolFile(spool, "journald", host, "journal")
        self._cursor = _last_in_spool(spool) or _noted(self._note)
        self._noted = ""
        self._over = threading.Event()
        self._write_note()
        self._thread = start("journald", self._work, folder)

    def discover(self, now: float) -> Sequence[Source]:
        """See `spool.Input`: the streams are registered in the spool, where they are found as all others."""
        return ()

    def close(self) -> None:
        """No more entries."""
        self._over.set()
        self._thread.join(5.0)

    def _work(self) -> None:
        wait_s = AGAIN_S
        while not self._over.is_set():
            before = self._cursor
            well = False
            try:
                well = self._life(follow=False) and self._life(follow=True)
            except (OSError, Garbage) as error:  # any other is of ours, and ends the process (`threads`)
                self._warn("journald", f"cannot read the journal: {error}; it is tried again")
            wait_s = AGAIN_S if well or self._cursor != before else min(AGAIN_MOST_S, wait_s * 2)
            self._over.wait(wait_s)
        self._file.close()

    def _life(self, follow: bool) -> bool:
        """One life of journalctl; whether it ended as it should."""
        program = shutil.which("journalctl")
        if program is None:
            self._warn("journald", "there is no journalctl on this machine: its journal is not forwarded")
            return False
        argv = [program, "--output=export", f"--output-fields={','.join(FIELDS)}", "--no-pager", "--quiet"]
        if follow:
            # since systemd 250 this means the present boot alone, but where all journals are merged
            argv += ["--follow", "--no-tail", *(["--merge"] if self._journal.directory else [])]
        # not --after-cursor: before systemd 256 that passes over an entry also where the cursor's own is gone
        argv += [f"--cursor={self._cursor}"] if self._cursor else []
        argv += [f"--unit={unit}" for unit in self._journal.units]
        if self._journal.directory:
            argv.append(f"--directory={self._journal.directory}")
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            words = self._take(child, follow)
        finally:
            self._end(child)
            self._sync()
            self._write_note()
        if words is None:
            return True
        status = child.returncode
        if status == 0 and not follow:
            return True
        self._warn("journald", f"journalctl ended with status {status}: {words}; it is started again")
        return False

    def _take(self, child: subprocess.Popen[bytes], follow: bool) -> Optional[str]:
        """Entries as they come, until journalctl ends; its last words, None: it was us who had enough."""
        assert child.stdout is not None and child.stderr is not None
        out, err = child.stdout.fileno(), child.stderr.fileno()
        pipes = select.poll()  # not select(2): descriptors may be many
        pipes.register(out, select.POLLIN)
        pipes.register(err, select.POLLIN)
        entries, words, first = Entries(), b"", self._cursor
        next_sync = next_note = 0.0
        heard = time.monotonic()
        while True:
            ready = [number for number, _ in pipes.poll(SYNC_S * 1000)]
            if self._over.is_set():
                return None
            if err in ready:
                said = os.read(err, 4096)
                words = (words + said)[-4096:]
                if not said:
                    pipes.unregister(err)
            now = time.monotonic()
            if out in ready:
                data = os.read(out, PIECE)
                heard = now
                if not data:
                    break
                first = self._append(entries.feed(data), first)
            elif now - heard > (QUIET_S if follow else self._stalled_s):
                if follow:
                    return None
                raise OSError(f"journalctl has printed nothing for {self._stalled_s:g} s")
            if now >= next_sync:
                next_sync = now + SYNC_S
                self._sync()
            if now >= next_note:
                next_note = now + NOTE_S
                self._write_note()
        self._reap(child)
        lines = words.decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    def _end(self, child: subprocess.Popen[bytes]) -> None:
        """It is gone when this returns: a second one beside it would read twice what it reads."""
        child.kill()
        self._reap(child)
        while child.poll() is None and not self._over.is_set():
            self._warn("journald", f"journalctl (process {child.pid}) can't be killed: it waits for a disk")
            self._reap(child)
        for pipe in (child.stdout, child.stderr):
            assert pipe is not None
            pipe.close()

    def _reap(self, child: subprocess.Popen[bytes]) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(END_S)

    def _append(self, entries: Iterator[Entry], first: str) -> str:
        """Entries into the spool, but for the one that was there before (``first``: its cursor); what is so of the next ones."""
        rows, cursor = [], ""
        micros = time.time_ns() // 1000
        try:
            for entry in entries:
                if not same(entry.cursor, first):
                    rows.append(spooled(entry, micros))
                cursor, first = entry.cursor, ""
        finally:  # what comes before garbage is good
            self._keep(b"".join(rows), cursor)
        return first

    def _keep(self, rows: bytes, cursor: str) -> None:
        while rows:
            try:
                self._file.append(rows)
                break
            except OSError as error:
                # the journal keeps them: nothing is lost while we wait
                self._warn("journald", f"the journal's entries have no room in the spool: {error.strerror}")
                if self._over.wait(1.0):
                    return
        self._cursor = cursor or self._cursor

    def _sync(self) -> None:
        try:
            self._file.sync()
        except OSError as error:
            self._warn("journald", f"the journal's entries cannot be written to the disk: {error.strerror}")

    def _write_note(self) -> None:
        """Where we are, for the time when nothing of it is in the spool any more."""
        if not self._cursor or self._cursor == self._noted:
            return
        fresh = self._note + ".new"
        try:
            with open(fresh, "w", encoding="utf-8") as file:
                file.write(self._cursor + "\n")
                file.flush()
                os.fsync(file.fileno())
            os.rename(fresh, self._note)
            self._noted = self._cursor
        except OSError as error:
            self._warn("journald", f"cannot write {self._note}: {error.strerror}")


def _cursor_of(entry: bytes) -> str:
    try:
        return _valid(json.loads(entry)["__CURSOR"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""


def _noted(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return _valid(file.readline(1000).strip())
    except FileNotFoundError:
        return ""


def _valid(cursor: object) -> str:
    """A cursor; empty for what is none: journalctl would refuse that for ever."""
    return cursor if isinstance(cursor, str) and _CURSOR.match(cursor) else ""


def _last_in_spool(spool: str) -> str:
    """The cursor of the last entry that a forwarder before us has written; empty where nothing of it is there."""
    newest: tuple[float, str] = (0.0, "")
    folder = os.path.join(spool, STREAMS_DIR)
    for name in os.listdir(folder):
        if not name.endswith(".json"):
            continue
        try:
            with open(os.path.join(folder, name), "rb") as file:
                stream = Stream.from_json(file.read())
        except (OSError, ContractError):
            continue
        if stream.format == "journald" and stream.created > newest[0]:
            cursor = _last_in_file(os.path.join(spool, LINKS_DIR, stream.id))
            if cursor:
                newest = (stream.created, cursor)
    return newest[1]


def _last_in_file(path: str) -> str:
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL))
            rows = file.read().split(b"\n")[:-1]
    except OSError:
        return ""
    for one in reversed(rows):
        cursor = _cursor_of(unescaped(one.split(b" ", 2)[-1]))
        if cursor:
            return cursor
    return ""
