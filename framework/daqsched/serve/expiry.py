"""The daemon's hourly `daqsched logs expire`, where somebody chose how long lines are kept.

A process of its own: the client of Elasticsearch takes 38 MB, and the daemon has no other use for it.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from pathlib import Path

from daqsched.serve.time_limits import run

logger = logging.getLogger(__name__)

#: After the daemon's start, and from then on.
FIRST_S, EVERY_S = 60.0, 3600.0

#: Longer than this no Elasticsearch takes to delete indices.
TIMEOUT_S = 300.0

#: How much of what the command says is looked at.
MOST_BYTES = 64 * 1024

#: What the command ends with where nobody said how long lines are kept, or where there is no Elasticsearch.
_NOTHING_CHOSEN = 2


class Expiry:
    """Runs until `stop`; what it deletes and what goes wrong is in the daemon's log."""

    def __init__(self, socket: Path) -> None:
        self._argv = [sys.executable, "-m", "daqsched.cli", "--socket", str(socket), "logs", "expire"]
        # where we are in a folder of our own (release/folder.py), that is on nobody's path but ours
        self._environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="expiry", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """No more of it; one that is under way ends by itself."""
        self._over.set()

    def _run(self) -> None:
        wait_s = FIRST_S
        while not self._over.wait(wait_s):
            wait_s = EVERY_S
            try:
                done = run(self._argv, TIMEOUT_S, MOST_BYTES, self._environ)
            except (OSError, TimeoutError) as error:
                logger.warning("old lines could not be deleted: %s", error)
                continue
            words = " | ".join(done.words.split("\n")).strip(" |")
            if done.code not in (0, _NOTHING_CHOSEN):
                logger.warning("old lines could not be deleted: %s", words)
            elif "delete the index" in words:
                logger.info("old lines: %s", words)
