"""A rollout's guard asked: a URL, or a program that whoever runs the daemon put into a folder. Never a crew's own command.

Each question runs on a thread of its own, within `TIMEOUT_S`; no answer is a no, in words.
"""

from __future__ import annotations

import logging
import os
import stat
import subprocess
import threading
from pathlib import Path
from typing import Callable, Optional

import httpx

from daqsched.engine import commands, events

logger = logging.getLogger(__name__)

#: How long a guard may take.
TIMEOUT_S = 20.0

#: How much of what it says is kept.
MOST_WORDS = 300


class Guards:
    """Answers `commands.AskGuard` by ``put``; ``folder`` holds the programs, None: there are none."""

    def __init__(self, folder: Optional[Path], put: Callable[[events.Event], None]) -> None:
        self._folder, self._put = folder, put

    def ask(self, command: commands.AskGuard) -> None:
        """Returns at once; the answer comes as an event."""
        threading.Thread(target=self._ask, args=(command,), name="guard", daemon=True).start()

    def _ask(self, command: commands.AskGuard) -> None:
        try:
            yes, words = self._url(command) if "://" in command.guard else self._program(command)
        except Exception as error:  # whatever it is, the answer is no
            yes, words = False, f"can't be asked: {error or type(error).__name__}"
        words = " ".join(words.split())[:MOST_WORDS]
        logger.info("guard %s for batch %d: %s", command.guard, command.batch + 1, "yes" if yes else f"no: {words}")
        self._put(events.GuardAnswered(command.rollout, command.batch, yes, words))

    def _url(self, command: commands.AskGuard) -> tuple[bool, str]:
        told = {"revision": command.revision, "batch": command.batch + 1}
        response = httpx.get(command.guard, params=told, timeout=TIMEOUT_S, trust_env=False)
        return response.status_code == 200, response.text or f"status {response.status_code}"

    def _program(self, command: commands.AskGuard) -> tuple[bool, str]:
        if self._folder is None:
            return False, "the daemon has no folder of guards: daqsched serve --guards DIR"
        path = self._folder / command.guard
        found = path.stat()
        if found.st_uid not in (0, os.geteuid()) or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            return False, f"{path} is not used: others than its owner may write it, or it is not ours"
        argv = [str(path), str(command.revision), str(command.batch + 1)]
        try:
            done = subprocess.run(
                argv,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return False, f"no answer within {TIMEOUT_S:g} s"
        except FileNotFoundError:
            return False, f"there is no {path}"
        return done.returncode == 0, done.stdout or done.stderr or f"exit code {done.returncode}"
