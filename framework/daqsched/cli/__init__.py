"""The command `daqsched`: parse, call, print, exit code. The only place that prints and the only one that exits.

A verb stands in the module that its subject has; `root` is what they share. Each imports what it needs when it is called,
so that `daqsched status` does not wait for what only the daemon needs.
"""

from daqsched.cli import (
    backup,
    borrow,
    changes,
    daemon,
    deadletter,
    farm,
    files,
    logs,
    logsetup,
    orders,
    preflight,
    why,
)
from daqsched.cli.root import main

__all__ = [
    "backup",
    "borrow",
    "changes",
    "daemon",
    "deadletter",
    "farm",
    "files",
    "logs",
    "logsetup",
    "main",
    "orders",
    "preflight",
    "why",
]
