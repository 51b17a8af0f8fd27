"""Commands of a release: what was run, how long it took, and its last lines where it failed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Optional

from daqcluster.progress import reminded

#: Nothing that a release runs may take longer.
LIMIT_S = 900.0

#: Who waits longer than this is told for what.
REMIND_S = 15.0

#: What a failed command said is shown up to here.
SHOWN = 3000


class ReleaseError(Exception):
    """Why there is no release: one sentence, and what a command said."""


def say(sentence: str) -> None:
    """A line of progress."""
    sys.stdout.write(f"[release] {sentence}\n")
    sys.stdout.flush()


@contextmanager
def step(sentence: str, remind_s: float = REMIND_S) -> Iterator[None]:
    """Say what was done, and how long it took; what takes longer is named meanwhile."""
    began = time.monotonic()
    with reminded(lambda passed: say(f"under way, {passed:.0f} s: {sentence}"), remind_s):
        yield
    say(f"{sentence} ({time.monotonic() - began:.1f} s)")


def run(
    argv: Sequence[str | Path],
    environ: Optional[Mapping[str, str]] = None,
    folder: Optional[Path] = None,
    limit_s: float = LIMIT_S,
) -> str:
    """What the command prints; raises `ReleaseError`. ``environ`` is added to ours."""
    words = [str(word) for word in argv]
    try:
        done = subprocess.run(
            words,
            cwd=folder,
            env={**os.environ, **(environ or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=limit_s,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ReleaseError(f"{words[0]}: {error}") from error
    if done.returncode != 0:
        raise ReleaseError(f"{' '.join(words)}\nexit status {done.returncode}\n{(done.stdout + done.stderr)[-SHOWN:]}")
    return done.stdout
