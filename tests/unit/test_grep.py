"""`--grep`, `daqsched.logs.grep`: a pasted line is found as it stands, by Elasticsearch's query and in a sandbox alike."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daqsched.errors import UserError
from daqsched.logs.grep import clause, hint, matcher, split, terms

LINES = [
    "cvmfs: catalog 14 failed (error -110): mirror down",
    "C:\\Temp\\x.log missing",
    "ERROR!!! stop",
    "readRate=5 in RichReadout",
    'said "no link" -v to hlt02.daq, 1,5 times',
    "[ERROR] segfault in module trk at 0xdeadbeef | core ~1 dumped",
    "usage: readout -v -q --config=/etc/x.conf",
]


@pytest.mark.parametrize("line", LINES)
def test_a_line_that_is_pasted_as_it_stands_is_found(line: str) -> None:
    """Whatever signs it holds."""
    assert matcher(line)(line)
    assert [other for other in LINES if matcher(line)(other)] == [line]


@given(st.text(alphabet=st.sampled_from(list('abZ09 -|~*"\\()+:.,_\t')), min_size=1))
def test_any_text_of_four_words_is_found_as_it_stands(line: str) -> None:
    """Signs may narrow nothing down so far that the line itself is left out."""
    if len(split(line)) >= 4:
        assert matcher(line)(line), terms(line)
        assert clause(line)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("error -110", ["cvmfs: catalog 14 failed (error -110): mirror down"]),
        ("*eadout", ["readRate=5 in RichReadout", "usage: readout -v -q --config=/etc/x.conf"]),
        ("readr*", ["readRate=5 in RichReadout"]),
        ("stip~1", []),
        ("nothing|stop", []),
        ("error -segfault", ["cvmfs: catalog 14 failed (error -110): mirror down", "ERROR!!! stop"]),
        ('"error 110"', ["cvmfs: catalog 14 failed (error -110): mirror down"]),
        ('error -"module trk"', ["cvmfs: catalog 14 failed (error -110): mirror down", "ERROR!!! stop"]),
        ('"-v"', [LINES[4], LINES[6]]),
    ],
)
def test_signs_that_mean_something(text: str, found: list[str]) -> None:
    """And those that are text."""
    assert [line for line in LINES if matcher(text)(line)] == found


def test_a_sign_that_leaves_lines_out_is_told() -> None:
    """With the way to look for it."""
    assert hint("error -timeout") == (
        '--grep: lines with timeout are left out, as the sign - before a word says; to look for it write "-timeout"'
    )
    assert hint("error -110") == hint("a-b") == hint("") == ""


def test_a_text_without_a_word_is_a_mistake() -> None:
    """It would find nothing, or everything."""
    with pytest.raises(UserError, match="no word to look for"):
        clause("*** --- ***")
