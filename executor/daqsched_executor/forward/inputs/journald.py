"""The systemd journal of the machine: what ``journalctl --follow`` prints goes to the spool, each entry once.

An entry has a cursor, and journalctl goes on behind any. Where we are is told by the last entry in the spool, or, where all
of that was stored and is gone, by a file that is written before.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Sequence

from ...contract import LINKS_DIR, STREAMS_DIR, ContractError, Journal, Stream
from ..forms.received import row, unescaped
from ..source import Source
from .spooling import SpoolFile

#: So often what came is synced, and where we are is noted.
SYNC_S, NOTE_S = 0.2, 2.0

#: How long to wait before a journalctl that ended is started again: the first time, and at most.
AGAIN_S, AGAIN_MOST_S = 1.0, 60.0

#: A longer entry is cut.
LONGEST = 192 * 1024

#: How much of a spool's end is searched for the last entry.
_TAIL = 1024 * 1024

Complain = Callable[[str, str], None]


class JournalReader:
    """Follows the journal on a thread of its own. See `spool.Input`."""

    lost = 0

    def __init__(self, journal: Journal, spool: str, folder: str, host: str, complain: Complain) -> None:
        self._journal, self._complain = journal, complain
        self._note = os.path.join(folder, "journald.cursor")
        self._file = SpoolFile(spool, "journald", host, "journal")
        self._cursor = _last_in_spool(spool) or _noted(self._note)
        self._noted = ""
        self._over = threading.Event()
        self._child: subprocess.Popen[bytes] | None = None
        self._write_note()
        self._thread = threading.Thread(target=self._run, name="journald", daemon=True)
        self._thread.start()

    def discover(self, now: float) -> Sequence[Source]:
        """See `spool.Input`: the streams are registered in the spool, where they are found as all others."""
        return ()

    def close(self) -> None:
        """No more entries."""
        self._over.set()
        self._thread.join(5.0)

    def _run(self) -> None:
        wait_s = AGAIN_S
        while not self._over.is_set():
            began = time.monotonic()
            try:
                self._follow()
            except OSError as error:
                self._complain("journald", f"cannot read the journal: {error}")
            wait_s = AGAIN_S if time.monotonic() - began > AGAIN_MOST_S else min(AGAIN_MOST_S, wait_s * 2)
            self._over.wait(wait_s)
        self._file.close()

    def _follow(self) -> None:
        """One life of journalctl."""
        program = shutil.which("journalctl")
        if program is None:
            self._complain("journald", "there is no journalctl on this machine: its journal is not forwarded")
            return
        argv = [program, "--output=json", "--all", "--follow", "--no-tail", "--no-pager", "--quiet"]
        argv += [f"--after-cursor={self._cursor}"] if self._cursor else []
        argv += [f"--unit={unit}" for unit in self._journal.units]
        if self._journal.directory:
            argv.append(f"--directory={self._journal.directory}")
        with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
            try:
                self._take(child)
            finally:
                child.kill()
                words = child.stderr.read(2000).decode("utf-8", "replace").strip() if child.stderr else ""
        self._settle()
        if not self._over.is_set():
            self._complain("journald", f"journalctl ended with status {child.returncode}: {words.splitlines()[-1:]}")

    def _take(self, child: subprocess.Popen[bytes]) -> None:
        """Entries as they come, until journalctl ends or we are told to."""
        assert child.stdout is not None
        pipe = child.stdout.fileno()
        rest = b""
        next_sync = next_note = 0.0
        while not self._over.is_set():
            ready, _, _ = select.select([pipe], [], [], SYNC_S)
            if ready:
                data = os.read(pipe, 1024 * 1024)
                if not data:
                    return
                whole, newline, rest = (rest + data).rpartition(b"\n")
                if newline:
                    self._append(whole.split(b"\n"))
            now = time.monotonic()
            if now >= next_sync:
                next_sync = now + SYNC_S
                self._file.sync()
            if now >= next_note:
                next_note = now + NOTE_S
                self._write_note()

    def _append(self, entries: list[bytes]) -> None:
        micros = time.time_ns() // 1000
        rows = b"".join(row(micros, b"-", _bounded(entry)) for entry in entries if entry)
        while True:
            try:
                self._file.append(rows)
                break
            except OSError as error:
                # the journal keeps them: nothing is lost while we wait
                self._complain("journald", f"the journal's entries have no room in the spool: {error.strerror}")
                if self._over.wait(1.0):
                    return
        self._cursor = _cursor_of(entries[-1]) or self._cursor

    def _settle(self) -> None:
        try:
            self._file.sync()
        except OSError as error:
            self._complain("received", f"what was received cannot be written to the disk: {error.strerror}")
        self._write_note()

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
            self._complain("journald", f"cannot write {self._note}: {error.strerror}")


def _bounded(entry: bytes) -> bytes:
    """An entry that is not too long: of one that is, the longest fields are cut."""
    if len(entry) <= LONGEST:
        return entry
    try:
        fields = json.loads(entry)
        short = {name: value[:4096] if isinstance(value, (str, list)) else value for name, value in fields.items()}
        return json.dumps(short, separators=(",", ":")).encode()[:LONGEST]
    except (ValueError, AttributeError):
        return entry[:LONGEST]


def _cursor_of(entry: bytes) -> str:
    try:
        cursor = json.loads(entry)["__CURSOR"]
        return cursor if isinstance(cursor, str) else ""
    except (ValueError, KeyError, TypeError):
        return ""


def _noted(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.readline().strip()
    except FileNotFoundError:
        return ""


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
