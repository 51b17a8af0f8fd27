"""Every parser that takes what others write, fed with anything for a moment; an hour of the same is in tests/faults."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from examples import examples
from parsers import PARSERS, Parser, try_one
from parsers_files import FIELDS, OPTIONS, registrations


@pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: parser.name)
@settings(max_examples=examples(60), suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_whatever_is_written_is_read_or_refused(parser: Parser, data: st.DataObject) -> None:
    """Nothing else is raised, nothing gets out of bounds, nothing is lost."""
    try_one(parser, data.draw(parser.inputs))


#: What the system's calls refuse with a ValueError, an OSError, or take in an unexpected way, and numbers beyond those of C.
NASTY: tuple[Any, ...] = (
    *(
        "\0",
        "/var/log/\0.log",
        "/\ud800",
        "/a\udd00",
        "/\udcff",
        "a/" * 5000,
        "a" * 5000,
        "",
        ".",
        "..",
        "/",
        "/dev/zero",
        "*",
        "[",
        "(" * 500,
    ),
    *(-1, 0, 1 << 31, 1 << 63, 1 << 64, 1 << 200, -(1 << 70), 1e308, float("nan"), float("inf"), True, None),
    *([], [None], [[]], ["\0"], {}, {"\0": "\0"}, {"": []}, [-1, -1, -1, -1], [1 << 70] * 4, [1.5] * 4),
)


@pytest.mark.parametrize("name", [*FIELDS, *OPTIONS])
def test_nothing_in_any_field_of_a_registration_ends_a_forwarder(name: str) -> None:
    """What an hour of chance finds late: NUL in a path was found after forty minutes."""
    for value in NASTY:
        registrations((b"{}", name, value))
