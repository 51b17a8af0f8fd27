"""The state opened by a command, while no daemon uses it: to be saved away, or replaced."""

from __future__ import annotations

import os
import socket
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, Optional

from daqsched.errors import DaqschedError, Refused, Unreachable, UserError
from daqsched.settings import is_place
from daqsched.store import Store
from daqsched.store.sqlite import SqliteStore

#: How long ZooKeeper may take to answer.
CONNECT_S = 15.0


@contextmanager
def opened(state: str, credentials: Optional[Path], what: str, new: bool) -> Iterator[Store]:
    """The store of ``--state``, for ``what`` (``daqsched restore``); ``new``: it may be one that does not exist yet. Raises
    a `DaqschedError` where a daemon uses it."""
    if is_place(state):
        with _in_zookeeper(state, credentials, what) as store:
            yield store
        return
    folder = Path(state)
    if not new and not (folder / "state.sqlite").exists():
        raise UserError(f"there is no state in {folder}: give --state")
    try:
        sqlite = SqliteStore(folder)
    except DaqschedError as error:
        raise UserError(str(error)) from error  # `serve` would have another status for it
    try:
        yield sqlite
    finally:
        sqlite.close()


@contextmanager
def _in_zookeeper(state: str, credentials: Optional[Path], what: str) -> Iterator[Store]:
    # kazoo is read by those who need it
    from daqsched.store.election import Card, Election
    from daqsched.store.zookeeper import ZooKeeperStore
    from daqsched.store.zookeeper_session import ZooKeeperSession, place_of

    place = place_of(state, credentials)
    keeper = ZooKeeperSession(place)
    keeper.start()
    try:
        if not keeper.connected.wait(CONNECT_S):
            raise Unreachable(f"ZooKeeper ({place.servers}) does not answer")
        # as a candidate: a daemon that starts meanwhile waits until we are done
        name = f"{what} on {socket.getfqdn()} (pid {os.getpid()})"
        election = Election(keeper)
        election.stand(Card(name, "", ""))
        first = election.leader()
        if first is None or first.name != name:
            who = first.name if first is not None else "somebody"
            raise Refused(f"{place} is used by {who}: stop every daqsched serve on it first")
        yield ZooKeeperStore(keeper, name)
    finally:
        keeper.stop()
