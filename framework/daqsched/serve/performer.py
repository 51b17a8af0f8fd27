"""What the engine commands, carried out: first all of a round is saved in one transaction, then each of the others is performed.

A save that fails is the loop's to repeat. What else fails comes back as an event, or is asked again.
"""

from __future__ import annotations

import logging
from http.client import HTTPException
from typing import Callable, Optional, Protocol, Sequence

from daqsched.engine import commands, events
from daqsched.engine.engine import Engine
from daqsched.store import Store

logger = logging.getLogger(__name__)


class Edge(Protocol):
    """What is needed of the connection to Mesos."""

    def perform(self, command: commands.Command) -> None:
        """Carry it out or raise."""


class Performer:
    """Of one daemon; ``put`` takes the events that come back."""

    def __init__(self, store: Store, engine: Engine, put: Callable[[events.Event], None]) -> None:
        self._store, self._engine, self._put = store, engine, put
        #: Called for a rollout's guard; the answer is put as an event.
        self.ask_guard: Callable[[commands.AskGuard], None] = lambda command: None

    def save(self, todo: Sequence[commands.Command]) -> None:
        """What of these is to be kept; raises `Unsaved` where that is not possible now."""
        framework_id: Optional[str] = None
        revisions = []
        documents: dict[str, Optional[bytes]] = {}
        keys: dict[tuple[str, str], None] = {}
        for command in todo:
            if isinstance(command, commands.SaveRecords):
                keys.update(dict.fromkeys(command.keys))
            elif isinstance(command, commands.SaveRevision):
                revisions.append(command.revision)
            elif isinstance(command, commands.SaveDocument):
                documents[command.name] = self._engine.document(command.name)
            elif isinstance(command, commands.SaveFrameworkId):
                framework_id = command.framework_id
        if framework_id is not None or revisions or keys or documents:
            records = [(key, self._engine.record(key)) for key in keys]
            self._store.save(framework_id, revisions, records, documents)

    def perform(self, command: commands.Command, edge: Edge) -> None:
        """One that is not a save; raises `Deposed` where the state may be another's."""
        if isinstance(command, commands.Note):
            logger.info("%s", command.sentence)
        elif isinstance(command, commands.AskGuard):
            self.ask_guard(command)
        elif not isinstance(command, commands.SAVES):
            self._store.ensure_ownership()
            try:
                edge.perform(command)
            except RuntimeError as error:
                # it was not sent, or the master said no
                logger.warning("%s: %s", type(command).__name__, error)
                if isinstance(command, commands.Launch):
                    self._put(events.LaunchRefused(command.task_ids, str(error)))
            except (ValueError, TypeError, OverflowError) as error:
                # what it says can't be put into words: nothing left us, and nobody else has to wait for it
                logger.error("%s can't be sent: %s", type(command).__name__, error)
            except (OSError, HTTPException) as error:
                # it may have arrived: the engine asks after a launch or a kill that nobody speaks of
                logger.warning("%s may not have reached the master: %s", type(command).__name__, error)
