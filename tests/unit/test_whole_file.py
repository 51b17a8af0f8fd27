"""A file in the place of another one: whole, for the same eyes, and never for somebody's who laid it there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from daqsched.whole_file import write_whole
from strangers import STRANGER, needs_root


@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_it_is_new_in_one_step_with_its_mode(tmp_path: Path, mode: int) -> None:
    """Who reads the old one reads on in it; a link is replaced, not followed."""
    path, elsewhere = tmp_path / "file", tmp_path / "elsewhere"
    elsewhere.write_text("old")
    path.symlink_to(elsewhere)
    with elsewhere.open() as reader:
        write_whole(path, b"new", mode)
        assert reader.read() == "old"
    assert (path.read_text(), elsewhere.read_text(), path.is_symlink()) == ("new", "old", False)
    assert path.stat().st_mode & 0o777 == mode and sorted(os.listdir(tmp_path)) == ["elsewhere", "file"]


def test_where_it_fails_the_old_one_stays_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a full disk."""
    path = tmp_path / "file"
    path.write_text("old")

    def full(fd: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(path, b"new")
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["file"]


@needs_root
@pytest.mark.parametrize(
    ("for_owner", "folder", "owner", "whose"),
    [
        (True, 0o755, 0, STRANGER),
        (True, 0o777, 0, 0),
        (True, 0o1777, 0, 0),
        (True, 0o775, 0, 0),
        (True, 0o755, STRANGER, 0),
        (False, 0o755, 0, 0),
    ],
)
def test_what_root_renews_belongs_to_whom_it_belonged_to_where_nobody_else_writes(
    tmp_path: Path, for_owner: bool, folder: int, owner: int, whose: int
) -> None:
    """In a folder where others may write, somebody may have laid it there to be given what comes."""
    place = tmp_path / "place"
    place.mkdir()
    place.chmod(folder)
    os.chown(place, owner, owner)
    path = place / "key"
    path.write_text("old")
    os.chown(path, STRANGER, STRANGER)
    write_whole(path, b"new", for_owner=for_owner)
    assert (path.stat().st_uid, path.read_text()) == (whose, "new")
