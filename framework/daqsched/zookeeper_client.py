"""kazoo's client as daqsched uses it, for the state and for finding the masters: quiet, and with an end to what it takes in."""

from __future__ import annotations

import logging
from typing import Any

from kazoo.client import KazooClient
from kazoo.protocol.connection import ConnectionDropped

# it tells of each attempt to connect, which whoever connects says once, in our words
_theirs = logging.getLogger("kazoo")
_theirs.propagate = False
_theirs.addHandler(logging.NullHandler())

#: The largest answer. ZooKeeper itself takes 1 MiB unless told otherwise; the names of a folder's nodes may be more.
ANSWER_BYTES = 64 << 20


def bound(client: KazooClient) -> KazooClient:
    """The same; it drops a server that announces an answer of more than `ANSWER_BYTES`, and would else wait for two gigabytes."""
    connection = client._connection
    read = connection._read

    def bounded(length: int, timeout: Any) -> Any:
        if not 0 <= length <= ANSWER_BYTES:
            raise ConnectionDropped(f"an answer of {length} bytes")
        return read(length, timeout)

    connection._read = bounded
    return client
