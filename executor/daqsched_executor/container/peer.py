"""Who listens where the container engine should: connected to before any request is sent."""

from __future__ import annotations

import errno
import os
import socket
import struct

from daqsched_executor.container.spec import Waits

#: An engine answers the first request within this.
CONNECT_S = 5.0

#: Why a socket of the engine can't be connected to, by errno.
SENTENCES = {
    errno.ENOENT: "there is no container engine on this machine: {address} is missing (is docker installed, started?)",
    errno.ECONNREFUSED: "the container engine does not run: nobody listens on {address}",
    errno.EACCES: "the container engine may not be used by {who}: {address} is for others (the group docker?)",
}


def reach(address: str) -> int:
    """Connect once by ourselves: the kernel says more clearly than the package what is wrong. The pid of who listens, 0 where
    that is not known here; raises `Waits`.

    What answers is believed: it says which process is the container's, and we may be root. So it has to be root's, or our own.
    """
    if not address.startswith("unix://"):
        return 0
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(CONNECT_S)
        try:
            probe.connect(address[len("unix://") :])
            pid, uid, _ = struct.unpack("3i", probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        except OSError as error:
            template = SENTENCES.get(error.errno or 0, "the container engine at {address} cannot be reached: {error}")
            who = "root" if os.geteuid() == 0 else f"uid {os.geteuid()}"
            raise Waits(template.format(address=address, who=who, error=error)) from error
    if uid not in (0, os.geteuid()):
        raise Waits(f"{address} is served by uid {uid}, not by root: that is not an engine of this machine")
    return int(pid)
