"""The states of an instance as people see them."""

from __future__ import annotations

from typing import Literal, get_args

#: What a row of `daqsched status` may say, in the order in which a crew wants to see them.
Shown = Literal[
    "FAILED",
    "UNREACHABLE",
    "UNKNOWN",
    "UNHEALTHY",
    "BACKOFF",
    "WAITING",
    "STARTING",
    "STOPPING",
    "ASIDE",
    "STOPPED",
    "FINISHED",
    "RUNNING",
]

#: From worst to best, for sorting.
ORDER: tuple[Shown, ...] = get_args(Shown)
