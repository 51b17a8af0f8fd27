"""The machine's spool as a place that executors of several accounts and the forwarder share."""

from __future__ import annotations

import os

#: As /tmp has it: none can remove another's.
SPOOL_MODE = 0o1777


def shared_folder(path: str) -> None:
    """Make the folder, unless it is there."""
    try:
        os.mkdir(path)
    except FileExistsError:
        return
    os.chmod(path, SPOOL_MODE)  # mkdir's mode goes through the umask
