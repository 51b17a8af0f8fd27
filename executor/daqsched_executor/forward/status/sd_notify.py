"""Signs of life, and words, to whoever started the forwarder: its executor, or systemd. The protocol is sd_notify(3)'s."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Mapping, Sequence

from ...contract.foreign import printable

#: New words are sent this often at most: each of them is a status update that goes through the master.
WORDS_EVERY_S = 30.0


def notify(address: str, message: str, files: Sequence[int] = ()) -> None:
    """One message to ``NOTIFY_SOCKET``, with copies of the files; raises OSError where nobody listens or has time."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as made:
        made.connect(_address(address))
        socket.send_fds(made, [message.encode()], list(files))


def _address(name: str) -> str:
    return "\0" + name[1:] if name.startswith("@") else name


class Notifier:
    """Says READY=1 at once, then WATCHDOG=1 as often as the environment asks for it, and STATUS= when there are other words."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._address = _address(environ.get("NOTIFY_SOCKET", ""))
        asked = environ.get("WATCHDOG_USEC", "")
        #: A third of the watchdog's time: two may be late.
        self._every_s = int(asked) / 3e6 if asked.isdigit() and int(asked) else float("inf")
        self._next_beat = self._next_words = float("-inf")
        self._said: str | None = None
        if self._address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.setblocking(False)

    def send(self, now: float, words: str) -> None:
        """It is well, and this is what there is to say (``now`` is monotonic). It does not matter whether anybody listens."""
        if not self._address:
            return
        rows = ["READY=1"] if self._said is None else []
        if now >= self._next_beat:
            rows.append("WATCHDOG=1")
            self._next_beat = now + self._every_s
        if words != (self._said or "") and now >= self._next_words:
            # a name of a file may hold newlines, which would be messages of their own, and bytes that are not text
            rows.append(f"STATUS={printable(words)}")
            self._next_words = now + WORDS_EVERY_S
            self._said = words
        if rows:
            self._said = self._said or ""
            with contextlib.suppress(OSError):
                self._socket.sendto("\n".join(rows).encode(), self._address)

    def close(self) -> None:
        """Nothing more is said, and what was said is so no more."""
        if self._address:
            if self._said:
                with contextlib.suppress(OSError):
                    self._socket.sendto(b"STATUS=", self._address)
            self._socket.close()
