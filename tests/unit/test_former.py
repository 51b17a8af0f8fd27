"""Files of a daemon's own, from where daemons of the unit had them while their state was in ZooKeeper."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from daqsched.store.former import FORMER, carry_over

#: What a daemon, and a copier beside it, left in the former place.
FILES = {
    name: f"former {name}"
    for name in (
        "audit.ndjson", "audit.ndjson.1", "audit.ndjson.10", "audit.ndjson.copied", "audit.ndjson.copied.lock",
        "audit.ndjson.last", "chronicle.sqlite", "chronicle.sqlite-wal", "chronicle.sqlite-shm",
    )
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / FORMER).mkdir(parents=True)
    for name, text in FILES.items():
        (tmp_path / FORMER / name).write_text(text)
    return tmp_path


def there(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}


def test_whoever_dies_in_the_middle_the_next_one_carries_all_over(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At each move: in the end all is in one place, as it was."""
    replace, left = Path.replace, [0]

    def dies(self: Path, target: Path) -> Path:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", dies)
    for _ in range(len(FILES)):  # each comes one further
        left[0] = 1
        try:
            carry_over(folder)
        except KeyboardInterrupt:
            both = {**there(folder / FORMER), **there(folder)}
            assert both == FILES
    assert there(folder) == FILES and not there(folder / FORMER)
    carry_over(folder)
    assert there(folder) == FILES


@pytest.mark.parametrize("main, other", [("audit.ndjson", "chronicle.sqlite"), ("chronicle.sqlite", "audit.ndjson")])
def test_what_is_in_its_place_already_is_not_mixed_with_former_files(
    folder: Path, main: str, other: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody went back to an older version, and came again: two chains stay two, and he is told."""
    (folder / main).write_text("new")
    carry_over(folder)
    found = there(folder)
    assert found.pop(main) == "new"
    assert found == {name: text for name, text in FILES.items() if name.startswith(other)}
    assert there(folder / FORMER) == {name: text for name, text in FILES.items() if name.startswith(main)}
    assert f"{main} stays there, as there is a {folder / main}" in caplog.text


def test_what_cannot_be_moved_is_told_and_ends_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The other one is moved all the same."""
    replace = Path.replace

    def fails(self: Path, target: Path) -> Path:
        if self.name == "audit.ndjson.1":
            raise OSError(18, "Invalid cross-device link")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", fails)
    with caplog.at_level(logging.WARNING):
        carry_over(folder)
    assert "audit.ndjson stays there, and" in caplog.text
    assert (folder / "chronicle.sqlite").exists() and (folder / FORMER / "audit.ndjson").exists()


def test_where_there_is_nothing_nothing_is_made(tmp_path: Path) -> None:
    """A farm that begins with this version."""
    carry_over(tmp_path)
    assert not list(tmp_path.iterdir())
