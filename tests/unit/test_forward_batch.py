"""What replies mean, and how long to wait."""

from __future__ import annotations

import json

import pytest

from daqsched_executor.forward.documents.batch import MOST_PARTS, Documents, judge, pause_s


def reply(*statuses: int) -> bytes:
    """A bulk reply as the filter leaves it."""
    items = [
        {"create": {"status": status, **({} if status < 300 else {"error": {"type": "t", "reason": f"r{at}"}})}}
        for at, status in enumerate(statuses)
    ]
    return json.dumps({"errors": max(statuses) > 299, "items": items}, separators=(",", ":")).encode()


def test_a_reply_without_errors_is_not_read_further() -> None:
    """The common case costs nothing per line."""
    assert judge(b'{"errors":false,"items":[not even read', 7).stored == 7


@pytest.mark.parametrize(
    ("status", "field"),
    [
        (201, "stored"),
        (409, "duplicates"),
        (408, "later"),
        (429, "later"),
        (500, "later"),
        (503, "later"),
        (400, "refused"),
        (413, "refused"),
        (422, "refused"),
        (401, "denied"),
        (403, "denied"),
        (404, "denied"),
    ],
)
def test_each_status_of_a_document_has_one_meaning(status: int, field: str) -> None:
    """Poison is set aside, a busy server is asked again, and a wrong configuration makes no line poison."""
    verdict = judge(reply(200, status), 2)
    filled = {name for name in ("duplicates", "later", "refused", "denied") if getattr(verdict, name)}
    assert filled == ({field} - {"stored"})
    assert verdict.stored == 1 + (field == "stored")


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("index_closed_exception", "closed"),
        ("validation_exception", "this action would add [2] shards, but this cluster has [1000]/[1000] maximum open"),
        ("cluster_block_exception", "index [x] blocked by: [FORBIDDEN/8/index write (api)]"),
        ("illegal_argument_exception", "no write index is defined for alias [x]"),
    ],
)
def test_what_is_wrong_with_an_index_makes_no_line_poison(kind: str, reason: str) -> None:
    """Elasticsearch answers 400 for it, too: somebody must mend the index, and the lines wait."""
    items = [{"create": {"status": 400, "error": {"type": kind, "reason": reason}}}]
    verdict = judge(json.dumps({"errors": True, "items": items}).encode(), 1)
    assert list(verdict.denied) == [0] and not verdict.refused


def test_positions_and_reasons_are_kept() -> None:
    """Who reads the verdict knows which documents it is about."""
    verdict = judge(reply(201, 400, 429, 409, 403), 5)
    assert (verdict.stored, verdict.duplicates) == (1, 1)
    assert list(verdict.refused) == [(1, "t: r1 (400)")]
    assert (list(verdict.later), list(verdict.denied)) == ([2], [4])
    assert verdict.reason == "t: r2 (429)"


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b'{"errors":true}', b'{"errors":true,"items":[{}]}'])
def test_an_answer_that_is_no_bulk_reply_stores_nothing(body: bytes) -> None:
    """A proxy's page with status 200 must not count as success."""
    with pytest.raises(ValueError):
        judge(body, 2)


def test_documents_in_few_pieces_are_still_documents() -> None:
    """They are counted, measured, taken apart, and left out from the end on."""
    each = [b'{"create":{"_id":"%d"}}\n{"message":"%b"}\n' % (at, b"x" * at) for at in range(6)]
    documents = Documents([each[0] + each[1] + each[2], each[3]], 4)
    documents += Documents(each[4:])
    assert (len(documents), documents.size) == (6, len(b"".join(each)))
    assert list(documents) == each and documents.body() == b"".join(each)
    assert len(documents.parts()) == 4 and b"".join(documents.parts()) == documents.body()
    many = Documents(each * MOST_PARTS)
    assert many.parts() == [many.body()]
    documents.shorten(documents.size, 0)
    assert len(documents) == 6
    documents.shorten(len(each[0] + each[1] + each[2]) - 1, 0)
    assert list(documents) == each[:2] and documents.size == len(documents.body())
    documents.shorten(0, 1)
    assert list(documents) == each[:1]
    documents.shorten(0, 0)
    assert not documents and not list(documents) and not documents.size


def test_waiting_doubles_up_to_a_cap_and_is_spread() -> None:
    """From 0.2 s to 30 s, each between half and all of it."""
    assert [pause_s(attempt, 0.0) for attempt in (1, 2, 3)] == [0.2, 0.4, 0.8]
    assert pause_s(50, 0.0) == 30.0
    assert pause_s(50, 1.0) == 15.0
