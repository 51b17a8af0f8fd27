"""Every parser that takes what others write, fed with anything for a moment; an hour of the same is in tests/faults."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from parsers import PARSERS, Parser, try_one


@pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: parser.name)
@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_whatever_is_written_is_read_or_refused(parser: Parser, data: st.DataObject) -> None:
    """Nothing else is raised, nothing gets out of bounds, nothing is lost."""
    try_one(parser, data.draw(parser.inputs))
