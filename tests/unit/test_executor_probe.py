"""Paths that can't be read, in words; names that are looked up."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from daqsched_executor.contract import Payload
from daqsched_executor.life.words import tries_again
from daqsched_executor.machine.child import environment_of
from daqsched_executor.machine.probe import (
    SENTENCES,
    Unreadable,
    check_all,
    check_path,
    check_program,
    resolve,
    sentence,
)


@pytest.mark.parametrize("number", sorted(SENTENCES))
def test_each_known_error_names_the_path(number: int) -> None:
    """A sentence without the path helps nobody."""
    assert "/usr/x" in sentence("/usr/x", OSError(number, os.strerror(number)))


def test_a_dead_cvmfs_is_told_from_a_missing_version() -> None:
    """ENOTCONN asks for a remount, ENOENT whether the version is published."""
    assert "remount" in sentence("/cvmfs/x", OSError(errno.ENOTCONN, ""))
    assert "published" in sentence("/usr/x", OSError(errno.ENOENT, ""))


def test_the_part_that_is_missing_is_named(tmp_path: Path) -> None:
    """Of a version that is not there its folder, once for all that is in it; of a repository that is not, the mount."""
    missing = OSError(errno.ENOENT, "")
    path = f"{tmp_path}/release-09/bin/readout"
    assert sentence(path, missing) == f"{tmp_path}/release-09 is missing: is the version published?"
    (tmp_path / "release-09" / "bin").mkdir(parents=True)
    assert sentence(path, missing) == f"{path} is missing: is the version published?"
    mount = sentence("/cvmfs/nowhere.example.org/release-09/bin/readout", missing)
    assert mount in [
        f"{part} is missing: is it mounted on this machine?" for part in ("/cvmfs", "/cvmfs/nowhere.example.org")
    ]


def test_an_error_that_is_not_in_the_list_is_told_as_the_kernel_words_it() -> None:
    """Nothing is swallowed."""
    assert sentence("/x", OSError(errno.EMFILE, "Too many open files")) == "/x cannot be read: Too many open files"


def test_files_and_folders_that_can_be_read_are_fine(tmp_path: Path) -> None:
    """A file is opened, a folder listed."""
    (tmp_path / "file").write_text("")
    check_path(str(tmp_path))
    check_path(str(tmp_path / "file"))


def test_a_pipe_among_the_needs_does_not_hang(tmp_path: Path) -> None:
    """Opening one without a writer would wait for ever."""
    os.mkfifo(tmp_path / "pipe")
    check_path(str(tmp_path / "pipe"))


def test_a_folder_is_no_program(tmp_path: Path) -> None:
    """It is executable by its mode, and yet."""
    with pytest.raises(Unreadable, match="is not a file, so it cannot be started"):
        check_program(str(tmp_path))


def test_each_path_is_announced_before_it_is_looked_at(tmp_path: Path) -> None:
    """Where the child hangs, the last announcement is the path."""
    reached: list[str] = []
    with pytest.raises(Unreadable, match="missing is missing"):
        check_all("/bin/true", (str(tmp_path), str(tmp_path / "missing"), "/never"), reached.append)
    assert reached == ["/bin/true", str(tmp_path), str(tmp_path / "missing")]


def test_names_are_looked_up_in_the_jobs_path_only(tmp_path: Path) -> None:
    """A path is taken from the working directory, a bare name from PATH, and nothing from anywhere else."""
    (tmp_path / "readout").symlink_to("/bin/true")
    assert resolve("/a/b", {}, "/cwd") == "/a/b"
    assert resolve("bin/readout", {}, "/cwd") == "/cwd/bin/readout"
    assert resolve("readout", {"PATH": f"/nowhere:{tmp_path}"}, "/cwd") == str(tmp_path / "readout")
    with pytest.raises(Unreadable, match=r"readout is not in the job's PATH \(/nowhere\)"):
        resolve("readout", {"PATH": "/nowhere"}, str(tmp_path))


def test_the_environment_has_nothing_of_the_executors() -> None:
    """What an agent or a shell had set does not reach a program by accident."""
    job = Payload("t", "j", "h", ("/bin/true",), env={"A": "1"})
    own = {"MESOS_DIRECTORY": "/work/slaves/S/frameworks/F", "SECRET": "x", "LD_PRELOAD": "y"}
    assert environment_of(job, {"HOME": "/home/daq"}, own) == {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/home/daq",
        "LANG": "C.UTF-8",
        "A": "1",
        "DAQSCHED_JOB": "j",
        "DAQSCHED_HOST": "h",
        "DAQSCHED_INSTANCE": "j@h",
        "DAQSCHED_TASK_ID": "t",
        "DAQSCHED_SPOOL": "/work/daqsched",
    }


def test_a_question_is_not_followed_by_a_semicolon() -> None:
    """The problem and what happens next are read as one text."""
    assert tries_again("/x is stale: remount it", 10) == "/x is stale: remount it; trying again every 10 s"
    assert (
        tries_again("/x is missing: is it published?", 10) == "/x is missing: is it published? Trying again every 10 s"
    )
