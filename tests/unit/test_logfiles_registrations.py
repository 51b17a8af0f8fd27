"""Where we are in the journal, as it is written down; the table of `parsers` spoils that and registrations in every way."""

from __future__ import annotations

from daqsched_executor.forward.inputs.journald import _valid


def test_a_cursor_is_what_journalctl_takes() -> None:
    """And an option of its own is none."""
    assert _valid("s=0639;i=5a;b=8b;m=ff;t=5c;x=57c6")
    for text in ("", "x", "s=1;", "s=;i=1", "s=1 --follow", "s=1\n", "S=1", 5, None, ["s=1"]):
        assert _valid(text) == ""
