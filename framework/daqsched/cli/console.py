"""`daqsched console`: at the terminal of a program on the farm, from the crew's own."""

from __future__ import annotations

import queue
import threading
import time
from contextlib import suppress
from typing import Any, Optional

import click

from daqsched.cli.completion import names
from daqsched.cli.options import at_least, message_option
from daqsched.cli.root import connect, main
from daqsched.errors import DaqschedError, NotRunning, Refused, Unreachable, UserError
from daqsched.foreign import Printing
from daqsched.limits import some
from daqsched.settings import Where
from daqsched.terminal.out import say, show

#: How long one read waits at the daemon, and how long until the next one where that is away.
WAIT_S, AGAIN_S = 8.0, 1.0
#: So much is typed in one request, and so much waits for it at most.
KEYS_BYTES, PASTE_BYTES = 4096, 1 << 20
#: Without a terminal of ours: how long after the end of what was to be typed.
REST_S = 1.0


@main.command()
@click.argument("select", metavar="JOB@HOST", shell_complete=names("selection"))
@click.option("--read-only", is_flag=True, help="Only look; what is typed here goes nowhere.")
@click.option("--take", is_flag=True, help="Type, though somebody else does: what he types goes nowhere from then on.")
@click.option(
    "--all-keys",
    is_flag=True,
    help="Send also ^C, ^D, ^Z and ^\\, which end a program or put it aside; else they are kept from it.",
)
@click.option(
    "--raw", is_flag=True, help="Show escape sequences as they come: what draws needs it, see the documentation."
)
@click.option("--detach-key", default="^]", show_default=True, help="The key that leaves.")
@click.option(
    "--for",
    "length",
    type=float,
    callback=at_least(0),
    metavar="SECONDS",
    help="Leave after so long.  [default: never]",
)
@message_option
@click.pass_obj
def console(
    path: Where,
    select: str,
    read_only: bool,
    take: bool,
    all_keys: bool,
    raw: bool,
    detach_key: str,
    length: Optional[float],
    message: str,
) -> None:
    """Attach to the terminal of JOB@HOST, a job with console=True: read what it prints, type what it reads.

    Many may be attached, one of them types. ^] leaves; the program goes on. Without a terminal here, what comes from stdin is
    typed, and a second after its end this leaves.
    """
    from daqsched.terminal.keyboard import KEPT, Keyboard, key_of

    if read_only and take:
        raise UserError("--read-only and --take can't be combined: who only looks does not type")
    leave = key_of(detach_key)
    client = connect(path)
    rows = [(row.job, row.host) for row in client.status([select]).rows]
    if len(rows) != 1:
        names = some([f"{job}@{host}" for job, host in rows])
        raise UserError(f"{select} is not one job on one host: {names or 'there is none such'}")
    with Keyboard(raw) as keyboard:
        session = Attachment(path, rows[0], not read_only, take, message, raw, keyboard)
        session.begin(detach_key)
        try:
            until = float("inf") if length is None else time.monotonic() + length
            while not session.over and not keyboard.ending and time.monotonic() < until:
                keys = keyboard.read(min(3600.0, until - time.monotonic()))
                if keyboard.is_terminal and leave in keys:
                    session.type(_kept(session, keys[: keys.index(leave)], {} if all_keys else KEPT))
                    break
                session.type(_kept(session, keys, {} if all_keys or not keyboard.is_terminal else KEPT))
                if keyboard.ended and length is None:
                    session.typed(REST_S)
                    break
        finally:
            problem = session.end()
    if problem is not None:
        raise problem


def _kept(session: Attachment, keys: bytes, kept: dict[int, str]) -> bytes:
    """The keys without those that are not for the program."""
    for key in sorted(set(keys) & set(kept)):
        session.tell(f"{kept[key]} is kept from the program; --all-keys sends it")
    return bytes(key for key in keys if key not in kept)


class Attachment:
    """What is read and typed; each has a thread, so that the key that leaves is always heard."""

    def __init__(
        self, path: Where, key: tuple[str, str], write: bool, take: bool, message: str, raw: bool, keyboard: Any
    ) -> None:
        self._path, self._key, self._write, self._take, self._message = path, key, write, take, message
        self._name = f"{key[0]}@{key[1]}"
        self._keyboard = keyboard
        self._printing = Printing(raw, terminal=True)
        self._told_why_not = False
        #: Whether the cursor is within a line.
        self._within = False
        self._reads, self._types = connect(path), connect(path)
        self._id, self._writes, self._writer = "", False, "somebody else"
        #: The last id that we had.
        self._before = ""
        #: Why something was not typed, for whoever ends with a status.
        self._untyped: Optional[DaqschedError] = None
        self._typed: queue.Queue[bytes] = queue.Queue()
        self._waiting = 0
        self._printed = threading.Lock()
        self._shown: tuple[Any, ...] = ()
        #: The task whose start was told last.
        self._told_of = ""
        #: Nothing more is shown; and why it ended by itself.
        self.over, self._problem = False, None

    _problem: Optional[DaqschedError]

    def begin(self, detach_key: str) -> None:
        """Attach; raises what the daemon says."""
        self._attach()
        self.tell(f"attached to {self._name}; {detach_key} leaves")
        for work in (self._read, self._send):
            threading.Thread(target=work, daemon=True).start()

    def _attach(self) -> None:
        from daqsched.daemon_connection import is_of_another_version

        wrote = bool(self._before) and self._writes
        try:
            found = self._reads.attach(*self._key, self._write, self._take, self._message, self._before, wrote)
        except UserError as error:
            if not self._before or not is_of_another_version(error):
                raise
            # of the version before: it takes whoever asks to type for who types, so only he does who did
            found = self._reads.attach(*self._key, wrote, False, self._message)
            if self._write and not found.writes:
                self.tell("this daemon is older than this command: to type, leave and attach anew")
        # after a restart of the daemon nobody else is thrown out again
        self._id, self._before, self._writes, self._take = found.id, found.id, found.writes, False
        if self._writes:
            self._size_counts()

    def end(self) -> Optional[DaqschedError]:
        """Detach, if the daemon is there; why it ended by itself, if it did."""
        with self._printed:
            self.over = True
            with suppress(OSError):  # the terminal has hung up
                say(*[""] * self._within, f"[daqsched: left {self._name}]", err=True)
        try:
            client = connect(self._path)
            client.detach(self._id)
        except DaqschedError:  # it finds out by itself
            pass
        return self._problem or (None if self._keyboard.is_terminal else self._untyped)

    def tell(self, sentence: str) -> None:
        """Something of ours, on a line of its own."""
        with self._printed:
            if not self.over:
                say(*[""] * self._within, f"[daqsched: {sentence}]", err=True)
                self._within = False

    # ------------------------------------------------------------------------------------ what is read

    def _read(self) -> None:
        from daqsched.protocol import ConsoleRead

        asked = ConsoleRead()
        away = False
        while not self.over:
            try:
                if not self._id:
                    self._attach()
                found = self._reads.console(self._id, asked)
            except Unreachable as error:
                if not away:
                    self.tell(f"{error}; trying again")
                away, self._id, self._shown = True, "", ()
                time.sleep(AGAIN_S)
                continue
            except DaqschedError as error:
                self._problem, self.over = error, True
                self._keyboard.wake()
                return
            if away:
                self.tell("attached again")
            away = False
            if found.skipped:
                self.tell(f"{found.skipped} bytes were printed too fast for this connection; they are in the logs")
            if found.data:
                with self._printed:
                    if not self.over:
                        text = self._printing.take(found.data)
                        show(text)
                        self._within = bool(text) and not text.endswith("\n")
            self._tell_news(found)
            asked = ConsoleRead(found.task_id, found.offset, found.seen, WAIT_S)

    def _tell_news(self, found: Any) -> None:
        """What is so now and was not at the last answer."""
        if found.writes and not self._writes:
            self._size_counts()
        if found.writer != self._writer:
            self._told_why_not = False
        self._writes, self._writer = found.writes, found.writer
        free = "nobody types: the next key that you press does" if self._write else "nobody types"
        who = "you type" if found.writes else f"{found.writer} types" if found.writer else free
        runs = found.silent or (f"start {found.start} runs" if found.runs else "nothing runs" if found.start else "")
        before, self._shown = self._shown, (who, runs)
        news = [now for now, was in zip(self._shown, before or ("", "")) if now and now != was]
        if found.runs and not found.silent and found.task_id:
            # the first start of the next task is told in the same words as that of the last one
            if self._told_of not in ("", found.task_id):
                news = [one for one in news if one != runs] + [f"launched anew: {runs}"]
            self._told_of = found.task_id
        if news:
            self.tell("; ".join(news))

    # ------------------------------------------------------------------------------------ what is typed

    def _size_counts(self) -> None:
        """The window's, from now on."""
        if self._keyboard.is_terminal:
            self._keyboard.resized = True
            self._keyboard.wake()

    def _not_typed(self, sentence: str, kind: type[DaqschedError] = NotRunning) -> None:
        self.tell(sentence)
        self._untyped = self._untyped or kind(sentence)

    def type(self, keys: bytes) -> None:
        """Soon, and in order; or say why not."""
        if self._keyboard.resized and self._writes:
            self._keyboard.resized = False
            self._typed.put(b"")
        if keys and not self._writes and (self._writer or not self._write):
            if not self._told_why_not and not self._write:
                self.tell("not typed: you only look")
            elif not self._told_why_not:
                self._not_typed(f"not typed: {self._writer} types: --take takes it over", Refused)
            self._told_why_not = True
            return
        if keys and self._waiting > PASTE_BYTES:
            self._not_typed(f"not typed: {self._waiting} bytes wait to be")
            return
        self._waiting += len(keys)
        for at in range(0, len(keys), KEYS_BYTES):
            self._typed.put(keys[at : at + KEYS_BYTES])

    def typed(self, rest_s: float) -> None:
        """Wait until all is typed, and for what it leads to."""
        self._typed.join()
        end = time.monotonic() + rest_s
        while time.monotonic() < end and not self.over and not self._keyboard.ending:
            self._keyboard.read(end - time.monotonic())

    def _send(self) -> None:
        from daqsched.protocol import ConsoleKeys

        while True:
            keys = self._typed.get()
            taken = 1
            while len(keys) < KEYS_BYTES // 2 and not self._typed.empty():
                keys, taken = keys + self._typed.get(), taken + 1
            self._waiting -= len(keys)
            rows, columns = self._keyboard.size() if self._keyboard.is_terminal else (0, 0)
            try:
                done = self._types.keys(self._id, ConsoleKeys(keys, rows, columns))
                if keys and not done.confirmed:
                    self._not_typed(f"{len(keys)} bytes may not have been typed: its host does not confirm them")
                elif done.refused:
                    self._not_typed(f"{done.refused} bytes were not typed: nothing runs, or it reads nothing")
            except DaqschedError as error:
                self._not_typed(f"not typed: {error}", type(error))
            for _ in range(taken):
                self._typed.task_done()
