"""What may take for ever, with an end: a call of the system, and a program."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Callable, NamedTuple, Optional, TypeVar

Answer = TypeVar("Answer")


def within(limit_s: float, call: Callable[[], Answer]) -> Answer:
    """What the call returns or raises; raises `TimeoutError` where that takes longer. Its thread may stay behind."""
    found: list[Answer] = []
    failed: list[Exception] = []

    def run() -> None:
        try:
            found.append(call())
        except Exception as error:  # whoever asked gets it
            failed.append(error)

    thread = threading.Thread(target=run, name="patience", daemon=True)
    thread.start()
    thread.join(limit_s)
    if failed:
        raise failed[0]
    if not found:
        raise TimeoutError(f"no answer within {limit_s:g} s")
    return found[0]


class ProgramEnd(NamedTuple):
    """How a program ended, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def words(self) -> str:
        return f"{self.out}\n{self.err}".strip()


def run(argv: Sequence[str], limit_s: float, most: int, environ: Optional[Mapping[str, str]] = None) -> ProgramEnd:
    """Run a program to its end. Of what it prints no more than the first ``most`` bytes are kept, of each of the two.

    Raises `TimeoutError` where it takes longer, after it and its process group were ended; `OSError` where it can't be started.
    """
    until = time.monotonic() + limit_s
    with (
        subprocess.Popen(
            argv,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        ) as process,
        selectors.DefaultSelector() as ready,
    ):
        assert process.stdout is not None and process.stderr is not None
        kept = {process.stdout: bytearray(), process.stderr: bytearray()}
        for pipe in kept:
            ready.register(pipe, selectors.EVENT_READ)
        try:
            # what it began may hold the pipes for longer than it lives
            while ready.get_map() and (process.poll() is None or ready.select(0)):
                if time.monotonic() > until:
                    raise TimeoutError(f"no answer within {limit_s:g} s")
                for key, _ in ready.select(0.1):
                    piece = os.read(key.fd, 1 << 16)
                    if not piece:
                        ready.unregister(key.fileobj)
                    held = kept[key.fileobj]  # type: ignore[index]  # what was registered
                    held += piece[: most - len(held)]
            process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired as error:
            raise TimeoutError(f"no answer within {limit_s:g} s") from error
        finally:
            if process.returncode is None:
                _end(process)
        out, err = (text.decode("utf-8", "replace") for text in kept.values())
        return ProgramEnd(process.returncode, out, err)


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
