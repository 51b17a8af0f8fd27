"""The one place where the forwarder starts threads: one that ends by an error ends the process.

If it died alone, the forwarder would go on without its work, send its signs of life, and seem well.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

#: The exit status after an error of ours (sysexits' EX_SOFTWARE): a restart sends again what had no reply.
BUG = 70


def start(name: str, work: Callable[[], None], warn: Callable[[str, str], None]) -> threading.Thread:
    """A thread that does ``work``. Any error in it is a warning with its name, and then the process ends with `BUG`."""

    def whole() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - see the module
            warn(
                "bug",
                f"the thread {name} ended by {type(error).__name__}: {error}; the forwarder ends and starts again",
            )
            os._exit(BUG)

    thread = threading.Thread(target=whole, name=name, daemon=True)
    thread.start()
    return thread
