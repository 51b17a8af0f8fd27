"""A person at `daqsched console`: a real terminal (pty) with the command at its other end."""

from __future__ import annotations

import os
import pty
import subprocess
import threading

from farm import BIN, Farm
from waiting import until


class Person:
    """Attached from the start. ``text`` is all that the screen was told, without the returns before the ends of lines."""

    def __init__(self, farm: Farm, *words: str) -> None:
        self._screen, theirs = pty.openpty()
        command = [str(BIN / "daqsched"), "console", *words]
        self.process = subprocess.Popen(
            command,
            env={**farm.env, "TERM": "dumb"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self._text = b""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                self._text += os.read(self._screen, 65536)
            except OSError:  # the command has ended
                return

    @property
    def text(self) -> str:
        return self._text.decode("utf-8", "replace").replace("\r", "")

    def wait(self, text: str, limit_s: float = 30.0, count: int = 1) -> None:
        """Until it is there so often."""
        try:
            until(lambda: self.text.count(text) >= count or self.process.poll() is not None, repr(text), limit_s)
        finally:
            assert self.text.count(text) >= count, f"no {text!r} in {self.text!r}"

    def type(self, keys: str) -> None:
        os.write(self._screen, keys.encode())

    def leave(self) -> int:
        """By the key for that; the exit status."""
        self.type("\x1d")
        return self.process.wait(15)

    def close(self) -> None:
        """Whatever happened in the test; the next one's person must not find that this one still types."""
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._reader.join(15)  # else it might read of the next one who gets the number
        os.close(self._screen)
