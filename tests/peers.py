"""A key and certificate for the daemons of a farm, as docs/operate/ha.md makes one."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from daqsched.serve.peers import HOW, Identity, read_identity


def certificate(path: Path) -> Path:
    """The very command that people are told."""
    before = os.umask(0o077)
    try:
        command = HOW.format(path=path).partition(")")[0].partition("; ")[2]
        subprocess.run(command.split(), check=True, capture_output=True)
    finally:
        os.umask(before)
    return path


def identity(path: Path) -> Identity:
    return read_identity(certificate(path))
