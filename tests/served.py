"""The daemon's loop, its socket and the CLI's client, all real; in Mesos' place an edge that notes what it is told."""

from __future__ import annotations

import secrets
import threading
from pathlib import Path
from typing import Callable, Optional

from daqsched.client import Client
from daqsched.engine import commands, events
from daqsched.engine.credential_steps import KEY_BYTES
from daqsched.errors import DaqschedError, Deposed
from daqsched.mesos.agents import Agents
from daqsched.rollout import Rollout
from daqsched.serve.api import Api
from daqsched.serve.daemon import Daemon
from daqsched.serve.searches import SearchAccount
from daqsched.serve.serving import Serving
from daqsched.store.sqlite import SqliteStore


class Edge:
    """Notes every command; a knob makes it fail as a lost connection does."""

    def __init__(self) -> None:
        self.told: list[commands.Command] = []
        self.failure: Optional[Exception] = None
        #: What else is done with each.
        self.then: Callable[[commands.Command], None] = lambda command: None

    def perform(self, command: commands.Command) -> None:
        if self.failure is not None:
            raise self.failure
        self.told.append(command)
        self.then(command)

    def launched(self) -> list[str]:
        return [t.payload.task_id for c in self.told if isinstance(c, commands.Launch) for t in c.tasks]


class Serve:
    """A daemon with its loop and socket on threads of this process."""

    def __init__(
        self,
        folder: Path,
        agents: Callable[[], Agents] = Agents,
        account: Optional[SearchAccount] = None,
        index: str = "logs",
    ) -> None:
        self.path = folder / "sock"
        self.edge = Edge()
        self.began = threading.Event()
        self.failed: Optional[Exception] = None
        self._folder = folder
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self.began.wait(10)
        self.api = Api(self.daemon, lambda spec: spec, "http://es:9200", index, agents=agents, account=account)
        self.serving = Serving(self.path, "", self.api.app)
        self.client = Client(self.path)

    def _run(self) -> None:
        # SQLite wants one thread from its opening to its end, as the daemon's main thread does
        store = self.store = SqliteStore(self._folder / "state")
        self.daemon = Daemon(store, lambda spec: spec)
        self.daemon.put(events.SessionKeyMade(secrets.token_bytes(KEY_BYTES)))  # as of a term
        self.began.set()
        try:
            self.daemon.run(self.edge)
        except DaqschedError as error:
            self.failed = error
        finally:
            store.close()

    def close(self) -> None:
        self.client.close()
        self.serving.close()
        self.daemon.stop()
        self._thread.join(10)
        assert not self._thread.is_alive()

    def lose(self, why: str) -> None:
        """As if another had taken the state over."""

        def ensure() -> None:
            raise Deposed(why)

        self.store.ensure_ownership = ensure  # type: ignore[method-assign]  # of this store alone

    def rollout(self, number: int = 0) -> Rollout:
        """The one that is under way or was last, or the one of this number."""
        found = self.client.rollout(number).rollout
        assert found is not None
        return found

    def settle(self) -> None:
        """Until all that was put before has been handled."""
        self.daemon.ask(lambda engine, now: None).result(10)
