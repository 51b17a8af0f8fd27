"""Many lines at once are what each of them is alone."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from daqsched_executor.contract import Stream, document_id
from daqsched_executor.contract.fingerprint import fingerprint
from daqsched_executor.forward.documents.columns import LONGEST_REMEMBERED, REMEMBERED, Memory, levels_and_fingerprints
from daqsched_executor.forward.documents.record import level_fragment
from daqsched_executor.forward.forms import Text
from daqsched_executor.forward.journal.position import Position

STREAM = Stream("abcdefghijk", "stdout", "/sandbox/stdout", 0, "a@h.1", "a", "h")

#: Pieces that mean something to one column or another, among any bytes.
PIECES = st.one_of(
    st.binary(max_size=6),
    st.sampled_from(
        [
            b"\n", b"\r\n", b"\\n", b'"', b"\\", b"\x7f", b"\0", b"\xe2\x82", "ä€𝄞\u2028".encode(), b"[INFO] ", b"error:", b"42",
            b"Mon Nov 23 ", b"Wed Dec  1 ", b"[23/Feb/2026] ", b"WARNING ", b"Mr", b" 0xfe", b"x" * 90, b"word " * 120,
        ]
    ),
)  # fmt: skip


def said(line: bytes, offset: int, micros: int) -> list[Any]:
    """What stands in a line's rows, made the plainest way."""
    line = line[:-1] if line.endswith(b"\r") else line
    message = line.decode("utf-8", "replace")
    log: dict[str, object] = {"offset": offset}
    level = level_fragment(message.encode())
    if level:
        log["level"] = json.loads(b"{" + level[1:] + b"}")["level"]
    return [document_id(STREAM.id, offset), message, micros, log, fingerprint(message.encode())]


def read(document: bytes) -> list[Any]:
    """The same out of a document."""
    action, source = map(json.loads, document.splitlines())
    micros = int(source["@timestamp"][-7:-1]) + 1_000_000 * int(source["@timestamp"][-10:-8])
    return [action["create"]["_id"], source["message"], micros, source["log"], source["daqsched"]["fingerprint"]]


@given(st.lists(PIECES, max_size=30).map(b"".join), st.integers(0, 1 << 41), st.integers(0, 59_999_970))
@example(b"a\nb\n", 0xFF, 999)
@example(b"a\nb\n", 0xFFFFFFFFFF, 999_999)
def test_a_chunks_documents_are_those_of_its_lines(chunk: bytes, offset: int, micros: int) -> None:
    """Whatever the bytes are: quotation marks, half characters, names of days, a carriage return, nothing."""
    made = Text(STREAM, 0).encode(chunk, Position(0, offset), micros, False, 1 << 20)
    expected = []
    at = offset
    for number, line in enumerate(chunk.split(b"\n")[:-1]):
        expected.append(said(line, at, micros + number))
        at += len(line) + 1
    assert [read(document) for document in made.documents] == expected
    assert (made.end, made.size, made.cut) == (at, len(made.documents.body()), False)


@given(st.lists(PIECES, max_size=30).map(b"".join), st.integers(0, 3000), st.booleans())
def test_a_small_room_gives_the_first_of_the_same_documents(chunk: bytes, room: int, oversize: bool) -> None:
    """As many as fit and not one less, so that a batch in doubt is made again from its range, however it was cut."""
    form, at = Text(STREAM, 0), Position(0, 0)
    whole = list(form.encode(chunk, at, 0, False, 1 << 20).documents)
    made = form.encode(chunk, at, 0, False, room, oversize)
    assert list(made.documents) == whole[: len(made.documents)]
    assert made.size == len(made.documents.body())
    following = whole[len(made.documents) :][:1]
    assert made.size <= room or (oversize and len(made.documents) == 1)
    assert not following or made.size + len(following[0]) > room
    assert made.documents or not whole or not oversize


def test_what_is_remembered_has_a_bound() -> None:
    """It is begun anew when it is full, and what is long is not kept."""
    asked: list[bytes] = []

    def ask(key: bytes) -> int:
        asked.append(key)
        return len(key)

    memory = Memory(ask)
    for number in range(3 * REMEMBERED):
        key = b"%d" % number
        assert memory[key] == memory[key] == len(key)
    assert len(asked) == 3 * REMEMBERED and len(memory) <= REMEMBERED
    long = b"xyz" * LONGEST_REMEMBERED
    levels, (found,) = levels_and_fingerprints(long, [long])
    assert found == fingerprint(long).encode() and list(levels) == [b""]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2026-11-23 05:06:02.123 [ERROR] hslb0 lost 12 words", "2026-12-01 15:16:02.000 [ERROR] hslb3 lost   4 words"),
        ("Mon Nov 23 05:06:02 2026 problem in crate 4", "Tue Dec  1 15:06:02 2026 problem in crate 17"),
        ("[Wed Feb  3 05:06:02 2027] Mr Ring", "[Thu Apr 30 05:06:02 2026] Mr Ring"),
        ("2026-Nov-23 05:06:02 opened", "2027-May-01 05:06:02 opened"),
        ("Nov 23 05:06:02 hlt01 kernel: oops", "Jan  1 05:06:02 hlt11 kernel: oops"),
        ("buffer at 0x7ffe01 freed", "buffer at 0xDEADBEEF00 freed"),
        ("run 6f1e0b5c-7b57-4ab1-8a61-11a0 ends", "run aaaaaaaa-0000-0000-aaaa-aaaa ends"),
        ("temperature -4.5 K", "temperature 1.2e-05 K"),
        ("17", ""),
    ],
)
def test_messages_that_differ_in_numbers_ids_and_time_are_alike(one: str, other: str) -> None:
    """What a machine fills in does not make a message new."""
    assert fingerprint(one.encode()) == fingerprint(other.encode())


def test_messages_that_say_something_else_are_not_alike() -> None:
    """Words count, of any script; so do names of days that are no time, and all of a long message."""
    messages = ["link up", "link down", "Link up", "接続しました", "切断しました", "stop on Monday", "stop on Sunday"]
    messages += ["May", "Monitor", "itor", "x" * 4000 + " lost", "x" * 4000 + " kept"]
    assert len({fingerprint(message.encode()) for message in messages}) == len(messages)


def test_a_fingerprint_is_the_same_tomorrow() -> None:
    """What is stored today is compared for years."""
    assert fingerprint(b"Mon Nov 23 05:06:02 2026 [ERROR] hslb0 lost 12 words") == "2a127d7d"
    assert fingerprint(b"") == "00000000"
