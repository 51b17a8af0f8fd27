"""An account that exchanges what it owns for links to what is closed to it, as fast as it can."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: Swaps two names for ever (renameat2(2), RENAME_EXCHANGE = 2), and says that it has begun.
EXCHANGE = """
import ctypes, sys
libc, (one, other) = ctypes.CDLL(None), [name.encode() for name in sys.argv[1:]]
print("begun", flush=True)
while libc.renameat2(-100, one, -100, other, 2) == 0:
    pass
"""


@contextmanager
def exchanging(one: Path, other: Path) -> Iterator[None]:
    """Meanwhile each of the two is now this, now that."""
    process = subprocess.Popen([sys.executable, "-S", "-c", EXCHANGE, str(one), str(other)], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None and process.stdout.readline() == b"begun\n"
        yield
        assert process.poll() is None, "it goes on"
    finally:
        process.kill()
        process.communicate()


def lay_out(folder: Path) -> None:
    """``mine``, a folder of nobody's with something in it, beside a link to root's secret; and files that are the like."""
    closed = folder / "closed"
    for place, word in ((folder / "mine", "public"), (closed / "secret", "secret")):
        place.mkdir(parents=True)
        (place / "word").write_text(word)
    (folder / "file").write_text("public")
    (closed / "file").write_text("secret")
    closed.chmod(0o700)
    (folder / "link").symlink_to(closed / "secret")
    (folder / "file-link").symlink_to(closed / "file")
    for path in (folder, folder / "mine", folder / "file"):
        os.chown(path, 65534, 65534)
        path.chmod(0o755)
