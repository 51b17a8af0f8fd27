"""What the engine answers to whoever asked for something: accepted, with what it comes to, or refused, with the reason.

Each reason stands once, in the handler that refuses: it raises `errors.Refused` where the state speaks against it, and
`errors.UserError` where it can't be asked for in this way, in both cases before it has changed anything.
"""

from __future__ import annotations

from typing import NamedTuple, Optional, Union

import msgspec

from daqsched.engine.changes import Changed
from daqsched.engine.commands import Command
from daqsched.engine.instance import Key
from daqsched.errors import DaqschedError


class Accepted(msgspec.Struct, frozen=True):
    """It was taken in, and what of it is to be saved is among the commands."""

    #: The revision in force from now on, the one before where an apply changes nothing; 0: there is none.
    revision: int = 0
    #: Of an apply: that revision's digest.
    digest: str = ""
    #: The rollout that began with it, or that it concerns; 0: none.
    rollout: int = 0
    #: The instances that it concerns.
    keys: tuple[Key, ...] = ()
    #: Instances that were named and that it does not concern, each with the reason: (job, host, reason).
    rejected: tuple[tuple[str, str, str], ...] = ()
    #: Of `keys` those of which it is not so yet: that start when somebody says otherwise, or start or end when their host is back;
    #: each with for what: (job, host, reason).
    waiting: tuple[tuple[str, str, str], ...] = ()
    #: How many of these somebody else has stopped: that may be said, see `events.Released`.
    others: int = 0
    #: Of a start: how many of those meant ran already, or were being started, and are not among the keys.
    running: int = 0
    #: Jobs, or ``job@hosts`` where it is some of one's, that depend on what was stopped, and are not stopped themselves.
    dependents: tuple[str, ...] = ()
    #: The command that is run by hand, placeholders filled in.
    argv: tuple[str, ...] = ()
    #: The number that a note has in the logbook.
    note: int = 0
    #: That of a proposal.
    proposal: int = 0
    #: Which agent has a host's name from now on, and which had it.
    agent: str = ""
    agent_before: str = ""
    #: Of an apply: tasks that end and do not come back, programs that are ended to be started anew (at once, or when their
    #: batch begins), instances that are new. Of what its file says: forwarders are not counted. Of a stop: programs that it ends.
    stops: int = 0
    restarts: int = 0
    starts: int = 0


Verdict = Union[Accepted, DaqschedError]


class Step(NamedTuple):
    """What `Engine.handle` returns."""

    #: What is to be done, saves first.
    commands: list[Command]
    verdict: Verdict
    #: What it changed of what people see.
    changes: tuple[Changed, ...]

    @property
    def refused(self) -> Optional[DaqschedError]:
        """Why it was not taken in; None: it was."""
        return self.verdict if isinstance(self.verdict, DaqschedError) else None
