"""Where the unit's daemon once had files of its own when it shared its state: in its account's home, the folder of a state."""

from __future__ import annotations

import logging
from pathlib import Path

logger = logging.getLogger(__name__)

#: Below that folder.
FORMER = Path(".local", "state", "daqsched")

#: Each goes last of those that begin like it: who died in between goes on.
MAIN = ("audit.ndjson", "chronicle.sqlite")


def carry_over(folder: Path) -> None:
    """Move them into ``folder``, so that the audit file's chain goes on there, where its copier and `audit verify` look. Where one
    is there already, as of a farm whose state was in that folder before, or can't be moved, it stays, and that is told."""
    before = folder / FORMER
    for main in MAIN:
        try:
            if not (before / main).exists():
                continue
            if (folder / main).exists():
                logger.warning("%s stays there, as there is a %s: keep it elsewhere", before / main, folder / main)
                continue
            for path in sorted(before.glob(f"{main}?*")):
                path.replace(folder / path.name)
            (before / main).replace(folder / main)
        except OSError as error:
            logger.warning("%s stays there, and %s begins anew: %s", before / main, folder / main, error)
        else:
            logger.info("%s and what belongs to it are in %s now", before / main, folder)
