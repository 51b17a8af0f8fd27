"""What the documentation shows for a shell, a C compiler and Python, given to these."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from daqsched.serve.peers import read_identity
from pages import PAGES, ROOT, blocks, name, read
from tutorial import Typed, steps

TYPED = {
    f"{name(page)}:{block.line}": block
    for page in PAGES
    for block in blocks(read(page))
    if block.kind in ("sh", "console")
}


def test_a_shell_understands_every_block_that_is_typed() -> None:
    """Quotes, brackets, what is in them."""
    wrong = []
    for where, block in TYPED.items():
        text = block.text
        if block.kind == "console":
            typed = steps(f"```console\n{block.text}```\n")
            text = "\n".join(step.command for step in typed if isinstance(step, Typed))
        found = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, timeout=10)
        wrong += [f"{where}: {found.stderr}"] if found.returncode else []
    assert not wrong, "\n".join(wrong)


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler here: daqcluster's list of packages has one")
def test_a_compiler_understands_what_is_in_c(tmp_path: Path) -> None:
    """With the two functions of libsystemd, and those that are the reader's."""
    (tmp_path / "systemd").mkdir()
    (tmp_path / "systemd" / "sd-daemon.h").write_text(
        "#include <stdint.h>\nint sd_notify(int, const char *);\nint sd_watchdog_enabled(int, uint64_t *);\n"
        "void read_map(void);\nint read_event(uint64_t);\n"
    )
    programs = [block.text for page in PAGES for block in blocks(read(page)) if block.kind == "c"]
    assert programs
    for text in programs:
        command = ["cc", "-fsyntax-only", "-Wall", "-Werror", "-x", "c", "-I", str(tmp_path), "-"]
        found = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60)
        assert not found.returncode, found.stderr


def test_a_program_in_python_says_what_the_page_says(tmp_path: Path) -> None:
    """docs/reference/checks.md: it is ready, then well, at each event."""
    (program,) = [
        block.text
        for block in blocks(read(ROOT / "docs" / "reference" / "checks.md"))
        if (block.kind, block.what) == ("python", "program")
    ]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ours:
        ours.bind(str(tmp_path / "notify"))
        ours.settimeout(10)
        events = "events = iter([True, True, False])\n\n\ndef read_event():\n    return next(events)\n\n\n"
        environment = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify")}
        subprocess.run([sys.executable, "-c", events + program], env=environment, check=True, timeout=30)
        assert [ours.recv(100) for _ in range(3)] == [b"READY=1\nSTATUS=taking data", b"WATCHDOG=1", b"WATCHDOG=1"]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl here")
def test_the_certificate_of_the_daemons_is_one(tmp_path: Path) -> None:
    """docs/operate/ha.md: made as the page says, for its owner alone, and good for longer than a farm lasts."""
    page = read(ROOT / "docs" / "operate" / "ha.md")
    (made,) = [block.text for block in blocks(page) if block.kind == "sh" and "openssl req" in block.text]
    command = made.replace("/etc/daqsched", str(tmp_path))
    subprocess.run(["bash", "-c", command], check=True, capture_output=True, timeout=60)
    identity = read_identity(tmp_path / "peers.pem")
    assert identity.until > time.time() + 10 * 365 * 86400


def test_the_help_of_the_executor_is_in_the_documentation() -> None:
    """To the letter, as that of `daqsched` (tests/unit/test_docs.py)."""
    page = read(ROOT / "docs" / "reference" / "commands.md")
    for words in (["--help"], ["forward", "--help"]):
        command = [sys.executable, "-m", "daqsched_executor", *words]
        found = subprocess.run(
            command, env={**os.environ, "COLUMNS": "80"}, capture_output=True, text=True, check=True, timeout=30
        )
        assert f"```text\n{found.stdout}```" in page, found.stdout
