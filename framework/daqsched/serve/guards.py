"""A rollout's guard asked: a URL, or a program that whoever runs the daemon put into a folder. Never a crew's own command.

Each question runs on a thread of its own, within `TIMEOUT_S`; no answer is a no, in words.
"""

from __future__ import annotations

import asyncio
import logging
import os
import stat
import threading
from pathlib import Path
from typing import Callable, Optional

from daqsched.bounded import Asking, BoundedAnswer, NoAnswer
from daqsched.engine import commands, events
from daqsched.engine.changes import shortened
from daqsched.serve.time_limits import run, within

logger = logging.getLogger(__name__)

#: How long a guard may take.
TIMEOUT_S = 20.0

#: How much it may answer, or how much of what it prints is looked at.
MOST_BYTES = 64 * 1024

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
        words = shortened(" ".join(words.split()), MOST_WORDS)
        logger.info("guard %s for batch %d: %s", command.guard, command.batch + 1, "yes" if yes else f"no: {words}")
        self._put(events.GuardAnswered(command.rollout, command.batch, yes, words))

    def _url(self, command: commands.AskGuard) -> tuple[bool, str]:
        told = {"revision": command.revision, "batch": command.batch + 1}

        async def ask() -> BoundedAnswer:
            asking = Asking()
            try:
                return await asking.get(command.guard, told, most=MOST_BYTES, longest_s=TIMEOUT_S)
            finally:
                await asking.close()

        try:
            # a name server may take longer than any time limit of ours
            answer = within(TIMEOUT_S + 1.0, lambda: asyncio.run(ask()))
        except NoAnswer as error:
            return False, f"it {error}"
        return answer.status == 200, answer.words or f"status {answer.status}"

    def _program(self, command: commands.AskGuard) -> tuple[bool, str]:
        if self._folder is None:
            return False, "the daemon has no folder of guards: daqsched serve --guards DIR"
        path = self._folder / command.guard
        try:
            found = path.stat()
        except FileNotFoundError:
            return False, f"there is no {path}"
        if found.st_uid not in (0, os.geteuid()) or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            return False, f"{path} is not used: others than its owner may write it, or it is not ours"
        argv = [str(path), str(command.revision), str(command.batch + 1)]
        try:
            done = run(argv, TIMEOUT_S, MOST_BYTES)
        except TimeoutError as error:
            return False, str(error)
        return done.code == 0, done.out or done.err or f"exit code {done.code}"
