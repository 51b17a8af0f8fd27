"""A file in the place of another one: whole, for the same eyes, and never for somebody's who laid it there."""

from __future__ import annotations

import os
from contextlib import nullcontext
from pathlib import Path
from typing import Optional

import pytest

from daqsched import passwords
from daqsched.errors import UserError
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


def test_what_a_killed_writer_left_is_removed_by_a_later_one(tmp_path: Path) -> None:
    """Once nobody writes it any more; other files stay."""
    path = tmp_path / "key"
    long_ago, now = ".key.0123456789abcdef", ".key.fedcba9876543210"
    for name in (long_ago, now, ".key.old", ".keys.0123456789abcdef"):
        (tmp_path / name).write_text("secret")
        if name != now:
            os.utime(tmp_path / name, (1, 1))
    write_whole(path, b"new")
    assert set(os.listdir(tmp_path)) == {"key", now, ".key.old", ".keys.0123456789abcdef"}


#: Mode of the folder, its owner, the owner of what is there; whose it is afterwards, None: refused.
PLACES: list[tuple[int, int, int, Optional[int]]] = [
    (0o755, 0, STRANGER, STRANGER),
    (0o755, 0, 0, 0),
    *[(mode, 0, STRANGER, None) for mode in (0o777, 0o1777, 0o775, 0o757)],
    (0o755, STRANGER, STRANGER, None),
    (0o700, STRANGER, STRANGER, None),
    (0o1777, 0, 0, 0),
    (0o755, STRANGER, 0, 0),
]


def placed(folder: Path, mode: int, owner: int, whose: int, text: str) -> Path:
    place = folder / "place"
    place.mkdir()
    place.chmod(mode)
    os.chown(place, owner, owner)
    path = place / "key"
    path.write_text(text)
    path.chmod(0o600)
    os.chown(path, whose, whose)
    return path


@needs_root
@pytest.mark.parametrize(("mode", "owner", "before", "whose"), PLACES)
def test_what_root_renews_belongs_to_whom_it_belonged_to_or_is_refused(
    tmp_path: Path, mode: int, owner: int, before: int, whose: Optional[int]
) -> None:
    """In a folder where others may write, somebody may have laid it there to be given what comes; root's it would be of no use."""
    path = placed(tmp_path, mode, owner, before, "old")
    with nullcontext() if whose is not None else pytest.raises(UserError, match="do this as that account"):
        write_whole(path, b"new", for_owner=True)
    assert (path.stat().st_uid, path.read_text()) == ((before, "old") if whose is None else (whose, "new"))
    assert os.listdir(path.parent) == ["key"]
    write_whole(path, b"newer")
    assert (path.stat().st_uid, path.read_text()) == (0, "newer")


@needs_root
@pytest.mark.parametrize(("mode", "owner", "before", "whose"), PLACES)
def test_passwords_that_root_sets_are_read_by_whose_file_it_is_or_refused(
    tmp_path: Path, mode: int, owner: int, before: int, whose: Optional[int]
) -> None:
    """What somebody laid where they may write is not believed, and nobody's way in is taken away."""
    path = placed(tmp_path, mode, owner, before, "")
    with nullcontext() if whose is not None else pytest.raises(UserError, match="do this as that account"):
        passwords.write(path, "alice", "correct horse")
    assert path.stat().st_uid == (before if whose is None else whose)
    assert list(passwords.read(path, of_anybody=True)) == ([] if whose is None else ["alice"])


@needs_root
def test_a_file_of_passwords_that_a_group_reads_is_read_by_it_afterwards(tmp_path: Path) -> None:
    """640, root's, of the daemon's group."""
    path = placed(tmp_path, 0o755, 0, 0, "")
    os.chown(path, 0, STRANGER)
    path.chmod(0o640)
    passwords.write(path, "alice", "correct horse")
    found = path.stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (0, STRANGER, 0o640)
