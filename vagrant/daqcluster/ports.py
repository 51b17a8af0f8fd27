"""Ports for servers that must find them free again after a death."""

from __future__ import annotations

import random
import socket

from daqcluster.errors import ClusterError

#: Below what the kernel gives to outgoing connections (32768 and up): one of these could take the port of a member that
#: is down for a moment. Below what agents offer to tasks (31000 to 32000).
_FIRST, _LAST = 20000, 30999

_given: set[int] = set()


def free_port() -> int:
    """A port that nobody listens on now, and that this process has not given before."""
    for port in random.sample(range(_FIRST, _LAST + 1), _LAST + 1 - _FIRST):
        if port not in _given:
            with socket.socket() as sock:
                try:
                    sock.bind(("127.0.0.1", port))
                except OSError:
                    continue
            _given.add(port)
            return port
    raise ClusterError(f"no port between {_FIRST} and {_LAST} is free")
