"""What journalctl prints, taken apart however it comes in; what is not that, and what is far too long, is bounded."""

from __future__ import annotations

import json
import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daqsched_executor.contract import Stream
from daqsched_executor.forward.documents.batch import BODY
from daqsched_executor.forward.documents.lines import LONGEST
from daqsched_executor.forward.forms import form_of
from daqsched_executor.forward.forms.journald import FIELDS
from daqsched_executor.forward.inputs.export import (
    FIELD_MOST,
    MESSAGE_MOST,
    ROW_MOST,
    Entries,
    Entry,
    Garbage,
    same,
    spooled,
)
from daqsched_executor.forward.journal.position import Position

CURSOR = b"s=00;i=1;b=22;m=3e8;t=66139f40a1034;x=57c6"


def printed(**fields: bytes) -> bytes:
    """An entry as journalctl prints it."""
    rows = [b"__CURSOR=" + CURSOR]
    for name, value in fields.items():
        binary = any(byte < 32 and byte != 9 for byte in value)
        rows.append(name.encode() + (b"\n" + struct.pack("<Q", len(value)) + value if binary else b"=" + value))
    return b"\n".join(rows) + b"\n\n"


def fed(data: bytes, *, piece: int = 1 << 30) -> list[Entry]:
    """The entries of bytes that come in pieces."""
    entries = Entries()
    return [entry for at in range(0, len(data), piece) for entry in entries.feed(data[at : at + piece])]


def document(entry: Entry) -> dict[str, object]:
    """What Elasticsearch is sent of an entry, as the spool has it."""
    chunk = spooled(entry, 1_795_410_362_000_000)
    assert len(chunk) <= LONGEST and chunk.count(b"\n") == 1
    stream = Stream("AAAAAAAAAAA", "journald", "", 0, "", "journal", "hlt01", format="journald", dataset="d")
    made = form_of(stream, 0).encode(chunk, Position(0, 0), 1, False, BODY)
    assert made.end == len(chunk)
    found: dict[str, object] = json.loads(made.documents.body().splitlines()[-1])
    return found


@given(
    st.lists(
        st.dictionaries(st.sampled_from([*FIELDS, "BLOB", "COREDUMP"]), st.binary(max_size=60), max_size=5), max_size=4
    ),
    st.integers(1, 50),
)
def test_entries_come_whole_in_pieces_of_any_size(wanted: list[dict[str, bytes]], piece: int) -> None:
    """Binary or text, whatever the pieces are; what no document is made of is left out."""
    found = fed(b"".join(printed(**fields) for fields in wanted), piece=piece)
    assert [{name: value for name, value in entry.fields.items() if name != "__CURSOR"} for entry in found] == [
        {name: value for name, value in fields.items() if name in FIELDS} for fields in wanted
    ]
    assert all(entry.cursor == CURSOR.decode() and not entry.cut for entry in found)


@given(st.lists(st.one_of(st.binary(max_size=300), st.just(printed(MESSAGE=b"x"))), max_size=6))
def test_whatever_is_printed_ends_in_entries_or_garbage(pieces: list[bytes]) -> None:
    """No other error, and little is held."""
    entries = Entries()
    with suppress(Garbage):
        for piece in pieces:
            list(entries.feed(piece))
            assert len(entries._rest) <= ROW_MOST + 9


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("size", [MESSAGE_MOST, MESSAGE_MOST + 1, 4_000_000])
def test_a_field_of_any_size_is_passed_over(binary: bool, size: int) -> None:
    """A dump in an entry costs nothing; its neighbours are whole."""
    blob = b"\0" * size if binary else b"t" * size
    data = printed(MESSAGE=b"before") + printed(MESSAGE=b"big", BLOB=blob, PRIORITY=b"3") + printed(MESSAGE=b"after")
    entries, held, found = Entries(), 0, []
    for at in range(0, len(data), 65536):
        found += list(entries.feed(data[at : at + 65536]))
        held = max(held, len(entries._rest))
    assert [entry.fields["MESSAGE"] for entry in found] == [b"before", b"big", b"after"]
    assert found[1].fields["PRIORITY"] == b"3" and held <= ROW_MOST + 9


@pytest.mark.parametrize(
    ("message", "kept"),
    [
        (b"stack of thread\n" * 1500, 24_000),
        (b"x" * 200_000, 200_000),
        (b"x" * 4_000_000, 250_000),
        (b"\n" * 262_144, 60_000),
        (b"\x01" * 262_144, 30_000),
        ("ü".encode() * 200_000, 120_000),
        (b"\xff" * 262_144, 80_000),
    ],
)
def test_a_message_is_kept_as_far_as_a_row_holds_it_and_says_so(message: bytes, kept: int) -> None:
    """At least so many characters; `truncated` stands in the document where it was cut, and only there."""
    (entry,) = fed(printed(MESSAGE=message), piece=10_000)
    found = document(entry)
    text, whole = found["message"], message.decode("utf-8", "replace")
    assert isinstance(text, str) and len(text) >= kept and whole.startswith(text)
    log = found["log"]
    assert isinstance(log, dict) and log.get("flags") == (["truncated"] if len(text) < len(whole) else None)


def test_other_fields_are_cut_without_a_word() -> None:
    """Nobody looks for an identifier of a megabyte."""
    (entry,) = fed(printed(MESSAGE=b"m", SYSLOG_IDENTIFIER=b"i" * 1_000_000))
    assert len(entry.fields["SYSLOG_IDENTIFIER"]) == FIELD_MOST and not entry.cut


@pytest.mark.parametrize(
    "data",
    [
        b"hello world\n12345678",
        b"=x\n",
        b"<html>\n12345678",
        b"MESSAGE=without cursor\n\n",
        b"BLOB\n" + struct.pack("<Q", 1 << 62),
        b"x" * (ROW_MOST + 1),
    ],
)
def test_what_is_no_journal_is_refused(data: bytes) -> None:
    """It is told, not waited for."""
    with pytest.raises(Garbage):
        fed(data)


def test_an_entry_is_the_same_in_another_file() -> None:
    """The number of a file, and the entry's there, are no part of it."""
    assert same("s=1;i=2;b=3;m=4;t=5;x=6", "s=9;i=8;b=3;m=4;t=5;x=6")
    assert not same("s=1;i=2;b=3;m=4;t=5;x=6", "s=1;i=2;b=3;m=4;t=5;x=7")
    assert not same("", "") and not same("s=1;i=2", "s=1;i=3")
