"""What is registered of a stream is read with types and bounds: anything else is one sentence and never another error."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as some

from daqsched_executor.contract import ContractError, Stream, starts_of

RIGHT = Stream(
    id="AAAAAAAAAA-", name="stdout", path="/x", start=7, task_id="t", job="j", host="h", labels={"a": "b"}, inode=5
)

#: Whatever JSON can hold.
JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(max_size=20),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def test_what_is_written_is_read() -> None:
    """With a field that a newer version added, too."""
    assert Stream.from_json(RIGHT.to_json()) == RIGHT
    assert Stream.from_json(json.dumps({**asdict(RIGHT), "newer": [1]})) == RIGHT


@given(some.sampled_from(sorted(asdict(RIGHT))), JSON)
def test_a_field_of_any_kind_is_read_or_refused(name: str, value: object) -> None:
    """What is read has the types that its readers rely on."""
    try:
        stream = Stream.from_json(json.dumps({**asdict(RIGHT), name: value}))
    except ContractError:
        return
    for field, right in asdict(RIGHT).items():
        kind = (int, float) if isinstance(right, float) else type(right)
        assert isinstance(getattr(stream, field), kind)
    assert len(stream.id) == 11 and "/" not in stream.id
    assert 0 <= stream.start < 1 << 62


@given(some.binary(max_size=200) | some.text(max_size=200).map(str.encode))
def test_bytes_of_any_kind_are_refused(data: bytes) -> None:
    """Torn, empty, nested without end, not UTF-8."""
    with pytest.raises(ContractError):
        Stream.from_json(data)


@pytest.mark.parametrize("data", [b"[" * 100_000, b'{"version":' + b"1" * 10_000 + b"}", b'{"version":1e999}', b"\xff"])
def test_hostile_texts_are_refused(data: bytes) -> None:
    """Those that parsers stumble over."""
    with pytest.raises(ContractError):
        Stream.from_json(data)


@pytest.mark.parametrize(
    "stream_id", ["", "A", "AAAAAAAAAAAA", "../../../etc", "AAAAAAAAAA\n", "AAAAAAAAAA/", "ÄAAAAAAAAA-"]
)
def test_an_id_that_is_none_is_refused(stream_id: str) -> None:
    """It becomes the name of a file, and the first part of documents' ids."""
    with pytest.raises(ContractError):
        Stream.from_json(replace(RIGHT, id=stream_id).to_json())


@given(some.binary(max_size=300))
def test_starts_of_any_bytes_are_numbers(data: bytes) -> None:
    """A torn or forged row is left out."""
    for offset, number in starts_of(data):
        assert 0 <= offset < 10**18 and 0 <= number < 10**18


def test_a_number_without_end_is_no_start() -> None:
    """Python refuses to convert so many digits."""
    assert starts_of(b"1" * 5000 + b" 2\n5 6\n") == [(5, 6)]
