"""A program's terminal."""

from __future__ import annotations

import msgspec


class ConsoleRequest(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """POST /v1/console -> `ConsoleAttached`: attach to the terminal of a program."""

    job: str
    host: str
    #: Whether what I type shall go to the program; one person at a time may.
    write: bool = False
    #: Take that over from who has it.
    take: bool = False
    message: str = ""
    #: The id of an attachment of mine that I have lost touch with: this one is in its place, and has what it had. Where it is not
    #: known any more, as after a restart, nobody is taken for who types but who did.
    again: str = ""
    wrote: bool = False


class ConsoleAttached(msgspec.Struct):
    """Somebody is attached, for as long as he reads."""

    id: str
    #: Whether what he types goes to the program.
    writes: bool


class ConsoleRead(msgspec.Struct, forbid_unknown_fields=True):
    """POST /v1/consoles/ID/read -> `ConsoleOutput`: what was printed since."""

    #: Of the last answer; empty: from the last lines on.
    task_id: str = ""
    offset: int = 0
    #: Of the last answer: whoever has seen it waits for another.
    seen: int = 0
    wait_s: float = 0.0


class ConsoleOutput(msgspec.Struct):
    """What a terminal shows from a place on."""

    #: The task that it is of; another one than before: the program was launched anew, and what is told begins with it.
    task_id: str
    #: Where to read on.
    offset: int
    data: bytes
    #: How many bytes before ``data`` are kept no more.
    skipped: int
    #: Which start of the program by its executor this is, and whether it runs.
    start: int
    runs: bool
    #: Why nothing is heard of it; empty: it is.
    silent: str
    #: Who types, whether that is me, and how many are attached.
    writer: str
    writes: bool
    attached: int
    seen: int


class ConsoleKeys(msgspec.Struct, forbid_unknown_fields=True):
    """POST /v1/consoles/ID/keys -> `ConsoleTyped`: type this, or tell of a window. Where nobody types, whoever asked for it when he
    attached does from the first key on."""

    keys: bytes = b""
    rows: int = 0
    columns: int = 0


class ConsoleTyped(msgspec.Struct):
    """What became of it. It is sent once: what is not confirmed may have arrived."""

    confirmed: bool
    #: How many of the bytes the program's terminal did not take, from the end.
    refused: int = 0


class ConsoleLeave(msgspec.Struct, forbid_unknown_fields=True):
    """POST /v1/consoles/ID/leave -> `ConsoleTyped`: be attached no more."""
