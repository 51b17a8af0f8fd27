"""Requests that are begun and never ended, by the thousand, from a process of their own."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from children import child

#: Opens so many connections to a Unix socket or a port, begins a request on each, says so, and keeps them.
SLOW = """
import resource, socket, sys, time
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
where, count, text = sys.argv[1], int(sys.argv[2]), sys.argv[3].encode().decode("unicode_escape").encode()
keep = []
for number in range(count):
    one = socket.socket(socket.AF_UNIX if "/" in where else socket.AF_INET)
    one.connect(where if "/" in where else ("127.0.0.1", int(where)))
    try:
        one.sendall(text)
    except OSError:
        pass  # it was ended already
    keep.append(one)
print("open", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def unfinished(where: str, count: int, text: str) -> Iterator[None]:
    """While so many connections with an unfinished request are open, from another process."""
    with child([sys.executable, "-c", SLOW, where, str(count), text], stdin=-1, stdout=-1) as slow:
        assert slow.stdin is not None and slow.stdout is not None
        assert slow.stdout.readline() == b"open\n"
        yield
        slow.stdin.close()
