"""Every parser that takes what others write, fed with anything for a moment; an hour of the same is in tests/faults."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from parsers import PARSERS, Parser, try_one
from parsers_files import registrations


@pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: parser.name)
@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_whatever_is_written_is_read_or_refused(parser: Parser, data: st.DataObject) -> None:
    """Nothing else is raised, nothing gets out of bounds, nothing is lost."""
    try_one(parser, data.draw(parser.inputs))


@pytest.mark.parametrize(
    "path", ["\0", "/var/log/\0.log", "/\ud800", "/a\udd00", "/\udcff", "/" + "a/" * 5000, "/" + "a" * 5000, ""]
)
def test_a_path_that_no_file_can_have_is_refused(path: str) -> None:
    """The hour found the first of these; the system's calls raise ValueError for some, OSError for others."""
    registrations((b"{}", "path", path))
