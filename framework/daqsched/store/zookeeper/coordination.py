"""Coordination by ZooKeeper: what `store.coordination` promises, put together of `session`, `election` and `store`."""

from __future__ import annotations

import socket
from functools import partial

from daqsched.errors import DaqschedError
from daqsched.store.zookeeper.election import ZooKeeperElection
from daqsched.store.zookeeper.place import ZooKeeperPlace
from daqsched.store.zookeeper.session import SESSION_S, ZooKeeperSession
from daqsched.store.zookeeper.store import FRAMEWORK, ZooKeeperStore


class ZooKeeperCoordination:
    """A `Coordination` (see there) at one place."""

    def __init__(self, place: ZooKeeperPlace, session_s: float = SESSION_S) -> None:
        self.place, self.name = str(place), f"ZooKeeper ({place.servers})"
        self.unprotected = (
            ""
            if place.credentials
            else "no --state-credentials: whoever reaches ZooKeeper may read and change the state"
        )
        self._place, self._session_s = place, session_s

    def local_address(self) -> str:
        server, _, port = self._place.servers.split(",")[0].rpartition(":")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect((server, int(port)))  # a datagram socket sends nothing by that
                return str(probe.getsockname()[0])
            except OSError as error:
                raise DaqschedError(
                    f"{server} is not known here ({error.strerror or error}): is --state right?"
                ) from error

    def session(self) -> ZooKeeperMember:
        return ZooKeeperMember(self._place, self._session_s)


class ZooKeeperMember(ZooKeeperSession):
    """A `Session` (see there): that of a daemon which stands for election, and may own the state."""

    def has_framework(self) -> bool:
        node = f"{self.place.path}/values/{FRAMEWORK}"
        return self.ask(partial(self.client.exists_async, node)) is not None

    def election(self) -> ZooKeeperElection:
        return ZooKeeperElection(self)

    def store(self, owner: str) -> ZooKeeperStore:
        return ZooKeeperStore(self, owner)
