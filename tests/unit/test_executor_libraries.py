"""Shared libraries, asked of the real loader about small programs that gcc builds here."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from daqsched_executor.machine.libraries import check_libraries
from daqsched_executor.machine.probe import Unreadable

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")


def built(folder: Path, *options: str) -> Path:
    """``folder/bin/readout``, which needs libdaq.so.3 and says so if it is ever run; the library is in ``folder/lib``."""
    (folder / "bin").mkdir()
    (folder / "lib").mkdir()
    (folder / "daq.c").write_text("int daq(void) { return 7; }\n")
    (folder / "readout.c").write_text(
        '#include <stdio.h>\nint daq(void);\nint main(void) { fclose(fopen("ran", "w")); return daq(); }\n'
    )
    library, program = folder / "lib" / "libdaq.so.3", folder / "bin" / "readout"
    subprocess.run(
        ["gcc", "-shared", "-fPIC", "-Wl,-soname,libdaq.so.3", "-o", str(library), str(folder / "daq.c")], check=True
    )
    subprocess.run(["gcc", "-o", str(program), str(folder / "readout.c"), str(library), *options], check=True)
    return program


def problem(program: Path, **environment: str) -> str:
    """What a look says; empty: nothing is missing."""
    try:
        check_libraries(str(program), environment, lambda path: None)
    except Unreadable as error:
        return str(error)
    return ""


def test_a_library_that_is_not_found_is_named_with_where_it_was_looked_for(tmp_path: Path) -> None:
    """Library, program, search path; with the right one all is well, and the program was never run."""
    program = built(tmp_path)
    assert problem(program) == f"libdaq.so.3 is not found for {program} (LD_LIBRARY_PATH is not set)"
    assert problem(program, LD_LIBRARY_PATH="/nowhere").endswith("(LD_LIBRARY_PATH is /nowhere)")
    assert problem(program, LD_LIBRARY_PATH=str(tmp_path / "lib")) == ""
    assert not Path("ran").exists()


def test_a_path_within_the_program_counts(tmp_path: Path) -> None:
    """$ORIGIN is that of the program, not of whoever asks."""
    assert problem(built(tmp_path, "-Wl,-rpath,$ORIGIN/../lib")) == ""


def test_static_programs_have_nothing_to_find(tmp_path: Path) -> None:
    """No loader, no question."""
    (tmp_path / "s.c").write_text("int main(void) { return 0; }\n")
    subprocess.run(["gcc", "-static", "-o", str(tmp_path / "s"), str(tmp_path / "s.c")], check=True)
    assert problem(tmp_path / "s") == ""


def test_a_loader_that_is_missing_is_named(tmp_path: Path) -> None:
    """A binary of another machine."""
    program = built(tmp_path, "-Wl,--dynamic-linker,/lib/ld-daq.so.1")
    assert problem(program).startswith(f"/lib/ld-daq.so.1 is missing, which {program} is to be loaded by")


@pytest.mark.parametrize(
    ("first", "words"),
    [
        ("#!/nowhere/python", "/nowhere/python is missing, which the first line of "),
        ("#!/usr/bin/env no-such-python", "no-such-python is not in the job's PATH (/bin)"),
        ("#!/bin/sh -e", ""),
        ("#!/usr/bin/env sh", ""),
        ("no program at all", ""),
    ],
)
def test_a_script_is_as_good_as_its_interpreter(tmp_path: Path, first: str, words: str) -> None:
    """The one in the first line, or the one that env looks up in the job's PATH."""
    script = tmp_path / "script"
    script.write_text(f"{first}\n")
    assert problem(script, PATH="/bin").startswith(words) and (problem(script, PATH="/bin") == "") is (not words)


def test_a_script_whose_interpreter_lacks_a_library(tmp_path: Path) -> None:
    """The interpreter is a program like any other."""
    program = built(tmp_path)
    script = tmp_path / "script"
    script.write_text(f"#!{program}\n")
    assert problem(script).startswith(f"libdaq.so.3 is not found for {program}")


def test_whom_we_wait_for_is_announced(tmp_path: Path) -> None:
    """Where it hangs, the last announcement is what people hear of."""
    reached: list[str] = []
    program = built(tmp_path)
    with pytest.raises(Unreadable):
        check_libraries(str(program), dict(os.environ), reached.append)
    assert reached[-1] == f"the loader of {program}"
