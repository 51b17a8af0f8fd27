"""A line as a document."""

from __future__ import annotations

import json
from typing import Any

import pytest

from daqsched_executor.contract import Stream, document_id
from daqsched_executor.contract.template import FIELDS, template
from daqsched_executor.forward.delivery.dead_letter import SHORT, RefusedLines, letter
from daqsched_executor.forward.documents.batch import BODY
from daqsched_executor.forward.documents.lines import LONGEST
from daqsched_executor.forward.documents.record import flag_fragment, hexadecimals, index_of, level_fragment, quote
from daqsched_executor.forward.forms import Text
from daqsched_executor.forward.journal.position import Position

STREAM = Stream("abcdefghijk", "stdout", "/sandbox/stdout", 0, "a%d@h.1", "a%d", "h", "r%s", {"run": "100%"})


def documents(chunk: bytes, at: int = 0, micros: int = 1_000_000_000_999_999, **more: Any) -> list[tuple[str, Any]]:
    """Ids and documents of a chunk, read back from JSON."""
    made = Text(STREAM, 0).encode(chunk, Position(0, at), micros, more.get("final", False), BODY)
    rows = [json.loads(row) for row in made.documents.body().splitlines()]
    return [(action["create"]["_id"], source) for action, source in zip(rows[::2], rows[1::2])]


def test_ids_are_the_contracts_and_times_rise_by_a_microsecond_each() -> None:
    """Also over a second's end, and with per cent signs in names."""
    (first, one), (second, two) = documents(b"one\ntwo\n", at=0xABC)
    assert first == document_id(STREAM.id, 0xABC)
    assert second == document_id(STREAM.id, 0xABC + 4)
    assert (one["@timestamp"], two["@timestamp"]) == ("2001-09-09T01:46:40.999999Z", "2001-09-09T01:46:41.000000Z")
    assert one["service"] == {"name": "a%d", "version": "r%s", "node": {"name": "a%d@h"}}
    assert one["labels"] == {"run": "100%"}


def test_every_field_of_a_document_has_a_type_in_the_template() -> None:
    """What is not in the template can't be searched."""

    def names(value: Any, path: str) -> set[str]:
        if isinstance(value, dict) and path != "labels":
            return {name for key, inner in value.items() for name in names(inner, f"{path}.{key}".lstrip("."))}
        return {path}

    (_, document), (_, partial) = documents(b"[INFO] x\n")[0], documents(b"rest", final=True)[0]
    small = json.loads(letter(RefusedLines("logs-1", _row(b"[INFO] x\n"), "why"), "logs").document.splitlines()[1])
    assert names(document, "") | names(partial, "") | names(small, "") <= set(FIELDS)
    properties = template("logs")["template"]["mappings"]["properties"]
    assert properties["service"]["properties"]["node"]["properties"]["name"]["type"] == "keyword"


def test_a_dead_letter_keeps_id_time_text_whence_and_the_whole_document() -> None:
    """It is the same line under the same id, in the month in which it was seen, and can be made whole again."""
    row = _row(b'say "hi" \xc3\xa4\n')
    dead = letter(RefusedLines("logs-2001.09.09", row, "no"), "logs")
    action, source = map(json.loads, dead.document.splitlines())
    assert dead.target == "logs-deadletter-2001.09"
    assert action == {"create": {"_id": document_id(STREAM.id, 0)}}
    full = json.loads(row.splitlines()[1])
    assert json.loads(source["event"].pop("original")) == full
    assert source.pop("daqsched") == {**full["daqsched"], "deadletter": {"index": "logs-2001.09.09"}}
    assert source == {
        **{name: full[name] for name in ("@timestamp", "message", "host", "service", "log", "orchestrator")},
        "error": {"message": "no"},
        "event": {"dataset": "daqsched.deadletter"},
    }


@pytest.mark.parametrize("ending", ["2026.11", "2026.11.27", "2026.11.27.05", "2026.11.27.0506"])
def test_the_index_of_a_dead_letter_follows_from_when_the_line_was_seen(ending: str) -> None:
    """Whatever time a sender wrote: a month that it invents makes no index."""
    row = b'{"create":{"_id":"x"}}\n{"@timestamp":"1975-03-01T00:00:00Z","message":"clock unset"}\n'
    assert letter(RefusedLines(f"my-logs-2.0-{ending}", row, "no"), "logs").target == "logs-deadletter-2026.11"
    assert letter(RefusedLines("an-alias", row, "no"), "logs").target == "logs-deadletter-1975.03"


def test_of_a_line_that_is_too_large_the_beginning_is_stored() -> None:
    """With a flag, and where the rest is."""
    dead = letter(RefusedLines("logs-1", _row(b"x" * 10_000 + b"\n"), "413", large=True), "logs")
    source = json.loads(dead.document.splitlines()[1])
    assert source["message"] == "x" * SHORT and source["log"]["flags"] == ["truncated"]
    assert "forward/deadletter.ndjson" in source["error"]["message"] and "original" not in source["event"]


def _row(chunk: bytes) -> bytes:
    return Text(STREAM, 0).encode(chunk, Position(0, 0), 1_000_000_000_999_999, False, BODY).documents.body()


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ("[INFO] started", "info"),
        ("2026-11-22 20:43:11.123 hlt01 daq.readout ERROR: link lost", "error"),
        ("ERROR", "error"),
        ("<W> WARN low buffer", "warning"),
        ("WARNING: low buffer", "warning"),
        ("error: cannot open", "error"),
        ("Warning: deprecated", "warning"),
        ("[debug] x", "debug"),
        ('{"level":"fatal","msg":"x"}', "critical"),
        ("ts=1 level=warn msg=x", "warning"),
        ("[FATAL] basf2 gives up", "critical"),
        ("CRIT:x", "critical"),
        ("no error in this line", None),
        ("an Error in prose", None),
        ("INFORMATION desk", None),
        ("TERROR", None),
        ("MY_ERROR_CODE", None),
        ("ERRORS", None),
        ("CNFO", None),
        ("", None),
        ("x" * 200 + " ERROR", None),
    ],
)
def test_a_level_is_recognised_where_it_cannot_be_prose(line: str, level: str | None) -> None:
    """Capitals anywhere near the beginning, small letters only as a field."""
    assert level_fragment(line.encode()) == (f',"level":"{level}"'.encode() if level else b"")


@pytest.mark.parametrize("text", ["plain", 'quote " backslash \\ ', "nul \0 escape \x1b tab \t", "ä€𝄞\ufffd", "\u2028"])
def test_any_text_is_quoted_as_json(text: str) -> None:
    """What is read back is what was printed, on one row."""
    assert json.loads(quote(text)) == text
    assert b"\n" not in quote(text)


def test_the_index_follows_from_the_lines_time() -> None:
    """UTC days; the last microsecond of a day belongs to it."""
    midnight = 1_795_392_000_000_000
    assert index_of("logs", midnight) == "logs-2026.11.23"
    assert index_of("logs", midnight - 1) == "logs-2026.11.22"


def test_documents_are_made_up_to_the_room_that_is_left() -> None:
    """The rest waits for the next body; only an empty body takes a line that is too large for it."""
    form = Text(STREAM, 0)
    chunk = b"".join(b"%03d\n" % at for at in range(100))
    whole = form.encode(chunk, Position(0, 0), 0, False, BODY)
    assert (len(whole.documents), whole.end, whole.size) == (100, 400, len(whole.documents.body()))
    half = form.encode(chunk, Position(0, 0), 0, False, whole.size // 2)
    assert len(half.documents) == 50 and half.end == 200
    nothing = form.encode(chunk, Position(0, 0), 0, False, 10)
    assert (list(nothing.documents), *nothing[1:]) == ([], 0, 0, False)
    assert len(form.encode(chunk, Position(0, 0), 0, False, 10, oversize=True).documents) == 1


def test_a_cut_lines_pieces_carry_the_flag_until_its_newline() -> None:
    """The rest of a long line is marked, the line after it is not."""
    form = Text(STREAM, 0)
    text = b"x" * (LONGEST + 10) + b"\nnext\n"
    first = form.encode(text[: LONGEST + 1], Position(0, 0), 0, False, BODY)
    assert first.cut and first.end == LONGEST and flag_fragment("truncated") in first.documents.body()
    rest = form.encode(text[first.end :], Position(0, first.end, first.cut), 0, False, BODY)
    assert [flag_fragment("truncated") in document for document in rest.documents] == [True, False]
    assert not rest.cut
    nothing = form.encode(text[first.end :], Position(0, first.end, first.cut), 0, False, 1)
    assert nothing.cut and nothing.end == first.end


def test_a_generation_has_ids_of_its_own() -> None:
    """Offset 0 after the file was emptied is another line than offset 0 before."""
    made = Text(STREAM, 2).encode(b"x\n", Position(2, 0), 0, False, BODY)
    assert json.loads(made.documents.body().splitlines()[0])["create"]["_id"] == f"{STREAM.id}.2-0000000000"


@pytest.mark.parametrize("numbers", [[0], [7, 4095, 4096], [2**32 - 1], [2**32 - 1, 2**32], [2**32, 2**40 - 1]])
def test_offsets_have_ten_digits_however_they_are_written(numbers: list[int]) -> None:
    """Also where a stream's file grows beyond what a word of four bytes holds."""
    zeros, digits = hexadecimals(numbers)
    assert [zeros + one for one in digits] == [b"%010x" % number for number in numbers]
