"""For tests of the forwarder: a program that prints into registered streams, and the real forwarder as a process."""

from __future__ import annotations

import fcntl
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Callable

from daqsched_executor.contract import LINKS_DIR, STREAMS_DIR, Stream

EXECUTOR = Path(__file__).parent.parent / "executor"


def until(what: str, happened: Callable[[], object], within_s: float = 30.0) -> None:
    """Wait for a condition; an AssertionError names it if it does not come true."""
    end = time.monotonic() + within_s
    while not happened():
        assert time.monotonic() < end, f"not within {within_s} s: {what}"
        time.sleep(0.02)


class Printer:
    """A stream as an executor keeps it: registration under a shared lock, file in a sandbox, link in the spool."""

    def __init__(
        self,
        spool: Path,
        job: str = "readout",
        host: str = "hlt01",
        name: str = "stdout",
        start: int = 0,
        labels: Mapping[str, str] | None = None,
        release: str = "",
    ) -> None:
        self.id = secrets.token_urlsafe(8)
        self.sandbox = spool.parent / f"sandbox-{self.id}"
        self.path = self.sandbox / name
        self.registration = spool / STREAMS_DIR / f"{self.id}.json"
        self.link = spool / LINKS_DIR / self.id
        for folder in (self.sandbox, self.registration.parent, self.link.parent):
            folder.mkdir(parents=True, exist_ok=True)
        self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.link(self.path, self.link)
        self.stream = Stream(
            id=self.id,
            name=name,
            path=str(self.path),
            start=start,
            task_id=f"{job}@{host}.{self.id}",
            job=job,
            host=host,
            release=release,
            labels=labels or {},
            created=time.time(),
        )
        fresh = self.registration.with_suffix(".new")
        fresh.write_bytes(self.stream.to_json())
        self._lock = os.open(fresh, os.O_RDONLY)
        fcntl.flock(self._lock, fcntl.LOCK_SH)
        os.rename(fresh, self.registration)

    def print(self, text: str | bytes) -> None:
        """Write these bytes at the file's end."""
        data = text.encode() if isinstance(text, str) else text
        while data:
            data = data[os.write(self._file, data) :]

    def die(self) -> None:
        """The executor and its program are gone, however."""
        os.close(self._lock)
        os.close(self._file)

    def gone(self) -> bool:
        """Whether the forwarder has taken registration and link away."""
        return not self.registration.exists() and not self.link.exists()


class ForwarderProcess:
    """`daqsched-executor forward`, as a machine runs it."""

    def __init__(self, spool: Path, url: str, prefix: str, *options: str, python: str = sys.executable) -> None:
        self.spool = spool
        with (spool.parent / "forward.stderr").open("ab") as errors:
            self.process = subprocess.Popen(
                [python, "-m", "daqsched_executor.forward"]
                + ["--spool", str(spool), "--elasticsearch", url, "--index", prefix, *options],
                env={**os.environ, "PYTHONPATH": str(EXECUTOR)},
                stdout=subprocess.DEVNULL,
                stderr=errors,
            )

    @property
    def errors(self) -> str:
        """All that forwarders of this spool's folder wrote to stderr."""
        return (self.spool.parent / "forward.stderr").read_text()

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        self.process.terminate()
        return self.process.wait(timeout=20)
