"""A thread that ends by an error ends the process: if it died alone, the forwarder would go on without its work and seem well."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator

#: The exit status after an error of ours (sysexits' EX_SOFTWARE): a restart sends again what had no reply.
BUG = 70


@contextlib.contextmanager
def ending(complain: Callable[[str, str], None]) -> Iterator[None]:
    """A thread's whole life: any error in it is said, and then the process ends with `BUG`."""
    try:
        yield
    except BaseException as error:  # noqa: BLE001 - see the module
        complain("bug", f"{type(error).__name__}: {error}")
        os._exit(BUG)
