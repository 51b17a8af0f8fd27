"""What comes into a forwarder beside the streams of jobs. Each input gives `source.Source`s, which are read as a job's are."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from ...contract import Forwarding
from ..position import Position
from ..spool import Input


def inputs_of(
    config: Forwarding, folder: str, positions: Mapping[str, Position], complain: Callable[[str, str], None]
) -> list[Input]:
    """Those that the forwarder is told of; ``folder`` is its own, ``positions`` how far each stream has been read.

    Each is imported where it is used: most machines have none.
    """
    inputs: list[Input] = []
    host = config.host or os.uname().nodename
    if config.files:
        from .files import LogFilesWatcher

        inputs.append(LogFilesWatcher(config.files, host, folder, positions, complain, config.disk * 1024 * 1024))
    if config.syslog.udp or config.syslog.tcp or config.json.udp:
        from .sockets import Receiver

        inputs.append(Receiver(config.syslog, config.json, config.spool, folder, host, complain))
    if config.journal.enabled:
        from .journald import JournalReader

        inputs.append(JournalReader(config.journal, config.spool, folder, host, complain))
    return inputs
