"""The state opened by a command, while no daemon uses it: to be saved away, or replaced."""

from __future__ import annotations

import os
import socket
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, Optional

from daqsched import backends
from daqsched.errors import DaqschedError, Refused, Unreachable, UserError
from daqsched.store import Store
from daqsched.store.coordination import Card, Coordination

#: How long a service that coordinates may take to answer.
CONNECT_S = 15.0


@contextmanager
def opened(state: str, credentials: Optional[Path], what: str, new: bool) -> Iterator[Store]:
    """The store of ``--state``, for ``what`` (``daqsched restore``); ``new``: it may be one that does not exist yet. Raises
    a `DaqschedError` where a daemon uses it."""
    coordination = backends.coordination(state, credentials)
    if coordination is not None:
        with shared(coordination, what) as store:
            yield store
        return
    try:
        store = backends.folder_store(Path(state), new=new)
    except DaqschedError as error:
        raise UserError(str(error)) from error  # `serve` would have another status for it
    try:
        yield store
    finally:
        store.close()


@contextmanager
def shared(coordination: Coordination, what: str) -> Iterator[Store]:
    """The same of a state that daemons share."""
    session = coordination.session()
    session.start()
    try:
        if not session.wait_connected(CONNECT_S):
            raise Unreachable(f"{coordination.name} does not answer")
        # as a candidate: a daemon that starts meanwhile waits until we are done
        name = f"{what} on {socket.getfqdn()} (pid {os.getpid()})"
        election = session.election()
        election.stand(Card(name, "", ""))
        first = election.leader()
        if first is None or first.name != name:
            who = first.name if first is not None else "somebody"
            raise Refused(f"{coordination.place} is used by {who}: stop every daqsched serve on it first")
        yield session.store(name)
    finally:
        session.stop()
