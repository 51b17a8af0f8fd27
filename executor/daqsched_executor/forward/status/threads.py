"""The one place where the forwarder starts threads: one that ends by an error ends the process.

If it died alone, the forwarder would go on without its work, send its signs of life, and seem well.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable

from ...contract.foreign import trace
from ...out import say
from .last_end import record

#: The exit status after an error of ours (sysexits' EX_SOFTWARE): a restart sends again what had no reply.
BUG = 70

#: Held by the first thread that fails, until the process is gone: its error is the reason.
_failing = threading.Lock()


def start(name: str, work: Callable[[], None], folder: str) -> threading.Thread:
    """A thread that does ``work``. Any error in it is printed and written into ``folder``, the forwarder's own (`last_end`);
    then the process ends with `BUG`."""

    def whole() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - see the module
            _failing.acquire()
            try:
                record(folder, name, error)
                ended = (
                    f"the thread {name} ended by {type(error).__name__}: {error}; the forwarder ends and starts again"
                )
                say(*trace(error), f"daqsched-executor forward: {ended}", file=sys.stderr)
            finally:
                os._exit(BUG)

    thread = threading.Thread(target=whole, name=name, daemon=True)
    thread.start()
    return thread
