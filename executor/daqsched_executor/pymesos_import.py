"""pymesos, imported at a known price and without its side effects.

- ssl is kept out while http.client is imported (it copes without): nothing here speaks TLS, and OpenSSL would cost
  each executor 6 MB of address space, 1.2 MB of them its own.
- pymesos installs a handler for SIGINT when it is imported; ours come later and replace it.
- pymesos logs to stderr, which is the job's: `mesos.Link` takes that handler away.
"""

from __future__ import annotations

import sys
from typing import Any

_had_ssl = "ssl" in sys.modules
if not _had_ssl:
    sys.modules["ssl"] = None  # type: ignore[assignment]
try:
    from pymesos import Executor, MesosExecutorDriver, logger  # type: ignore[import-untyped]
    from pymesos.process import Connection  # type: ignore[import-untyped]
    from pymesos.utils import parse_duration as _parse_duration  # type: ignore[import-untyped]
finally:
    if not _had_ssl:
        del sys.modules["ssl"]


def parse_duration(text: str) -> Any:
    """Mesos' way to write durations, ``15mins``."""
    return _parse_duration(text)


__all__ = ["Connection", "Executor", "MesosExecutorDriver", "logger", "parse_duration"]
