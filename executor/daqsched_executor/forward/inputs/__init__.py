"""What comes into a forwarder besides the streams of jobs. Each input gives `source.Source`s, which are read as a job's are.

The log files of services: `files` finds them (`patterns`, `safe_paths`, `foreign_files`), `tailed_files` are those that are
open, each a `tailed_file` with an `identity`, written down in the `registry`; `rotation` knows where a file went, `salvage`
saves what is left of one that is gone, `compressed` unpacks, `zeros` are not lines. The journal: `journald`, as `export` has it.
The network: `sockets` has a `port` for each of `udp` and `tcp` (`framing`), which a `handover` keeps open for the next forwarder,
and `downtime` counts what came to none. What is received goes to a `spool_file`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from ...contract import Forwarding
from ..journal.position import Position
from ..streams.spool import Input


def inputs_of(
    config: Forwarding, folder: str, positions: Mapping[str, Position], warn: Callable[[str, str], None]
) -> list[Input]:
    """Those that the forwarder is configured with; ``folder`` is its own, ``positions`` how far each stream has been read.

    Each is imported where it is used: most machines have none.
    """
    inputs: list[Input] = []
    host = config.host or os.uname().nodename
    if config.files:
        from .files import LogFilesWatcher

        inputs.append(LogFilesWatcher(config.files, host, folder, positions, warn, config.disk * 1024 * 1024))
    if config.syslog.udp or config.syslog.tcp or config.json.udp:
        from .sockets import Receiver

        inputs.append(Receiver(config.syslog, config.json, config.spool, folder, host, warn))
    if config.journal.enabled:
        from .journald import JournalReader

        inputs.append(JournalReader(config.journal, config.spool, folder, host, warn))
    return inputs
