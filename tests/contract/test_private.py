"""The folder of the state is for one account, and becomes so without harm to others."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from daqsched.errors import DaqschedError
from daqsched.store import private


def test_a_folder_for_all_accounts_stays_as_it_is(tmp_path: Path) -> None:
    """Whoever writes --state /tmp would else close that to everybody."""
    tmp_path.chmod(0o1777)
    with pytest.raises(DaqschedError, match="is for all accounts, as /tmp is.*give a folder of its own"):
        private.folder(tmp_path)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o1777


@pytest.mark.parametrize(
    ("mode", "most", "then"), [(0o777, 0o700, 0o700), (0o755, 0o750, 0o750), (0o700, 0o750, 0o700)]
)
def test_a_folder_of_ours_is_closed(tmp_path: Path, mode: int, most: int, then: int) -> None:
    """As far as it has to be."""
    tmp_path.chmod(mode)
    private.folder(tmp_path, most)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == then
