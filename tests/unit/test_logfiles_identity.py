"""Which file is which: by inode and beginning, and by the names that rotation gives."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daqsched_executor.forward.inputs.identity import BEGINNING, identified, originals


@pytest.mark.parametrize(
    ("name", "sibling", "expected"),
    [
        ("nsmd2.log", "nsmd2.log.1", True),
        ("nsmd2.log", "nsmd2.log.12", True),
        ("nsmd2.log", "nsmd2.log.1.gz", True),
        ("nsmd2.log", "nsmd2.log.2.xz", True),
        ("nsmd2.log", "nsmd2.log-20261123", True),
        ("nsmd2.log", "nsmd2.log-20261123.bz2", True),
        ("nsmd2.log", "nsmd2.log.1795406762", True),
        ("nsmd2.log", "nsmd2.log-2026-11-23T05:06:02", True),
        ("nsmd2.log", "nsmd2-20261123.log", True),
        ("nsmd2.log", "nsmd2-20261123.log.gz", True),
        ("syslog", "syslog.1", True),
        ("syslog", "syslog.2.gz", True),
        ("nsmd2.log", "nsmd2.log", False),
        ("nsmd2.log", "nsmd2.log.gz", False),
        ("nsmd2.log", "nsmd2.log.old", False),
        ("nsmd2.log", "nsmd2.logger.1", False),
        ("nsmd2.log", "nsmd2.log1", False),
        ("nsmd2.log", "nsmd2-hlt01.log", False),
        ("nsmd2.log", "nsmd2-8222-hlt01.log", False),
        ("syslog", "sys.1", False),
        (".hidden", ".1.hidden", False),
    ],
)
def test_the_names_that_rotation_gives_are_known(name: str, sibling: str, expected: bool) -> None:
    """Numbers and dates, packed or not; another service's file of a like name is none."""
    assert (name in originals(sibling)) is expected


@given(st.binary(max_size=3000), st.binary(max_size=3000))
def test_a_file_that_grows_stays_the_same(beginning: bytes, more: bytes) -> None:
    """Its fingerprint grows with it; a file that became shorter than the fingerprint, or begins otherwise, is another."""
    identity = identified(1, 2, beginning)
    grown = identity.grown((beginning + more)[:BEGINNING])
    assert identity.begins((beginning + more)[:BEGINNING]) and grown.begins((beginning + more)[:BEGINNING])
    assert grown.key == identity.key == (1, 2) and identity.size <= grown.size <= BEGINNING
    if grown.size:
        first = (beginning + more)[: grown.size]
        assert not grown.begins(first[:-1]) and not grown.begins(bytes([first[0] ^ 1]) + first[1:])


def test_the_fingerprint_is_written_down_seldom() -> None:
    """Each time that it can be twice as long, and at last: some ten times in a file's life."""
    identity, written = identified(1, 2, b""), 0
    for size in range(1, 2 * BEGINNING):
        grown = identity.grown((b"x" * size)[:BEGINNING])
        written += grown is not identity
        identity = grown
    assert identity.size == BEGINNING and written == 11
