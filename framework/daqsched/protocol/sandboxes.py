"""Files of tasks, on the machines."""

from __future__ import annotations

from typing import Optional

import msgspec


class SandboxesRequest(msgspec.Struct, forbid_unknown_fields=True):
    """POST /v1/sandboxes -> `SandboxesAnswer`; words as in `daqsched.select`."""

    select: list[str] = []
    #: Also those of tasks that have ended, as far as the agents still have them.
    finished: bool = True


class Sandbox(msgspec.Struct):
    """What a task has printed so far."""

    job: str
    host: str
    task_id: str
    agent_id: str
    #: Whether it is its instance's present task.
    running: bool
    #: By stream (`contract.SANDBOX_FILES`): bytes, and when it was last written. None where its agent can't be asked.
    files: dict[str, tuple[int, float]]


class SandboxesAnswer(msgspec.Struct):
    """What there is, and a sentence for each agent that could not be asked."""

    sandboxes: list[Sandbox]
    silent: list[str] = []


class Piece(msgspec.Struct, forbid_unknown_fields=True):
    """A part of one file of a sandbox."""

    agent_id: str
    task_id: str
    stream: str
    offset: int
    #: At most 64 KiB are given.
    length: int = 65536


class ReadRequest(msgspec.Struct, forbid_unknown_fields=True):
    """POST /v1/sandboxes/read -> `ReadAnswer`."""

    pieces: list[Piece]


class ReadAnswer(msgspec.Struct):
    """The bytes of each piece (in base64), null where its agent could not be asked; and a sentence for each such agent."""

    data: list[Optional[bytes]]
    silent: list[str] = []
