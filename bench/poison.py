"""Lines that the index refuses, among others."""

from __future__ import annotations

from pathlib import Path

import shippers
from shippers import Place, Run

from daqsched_executor.contract.template import template

#: The one level in a hundred is refused; what is no level is none.
POISONED = ("INF0",) * 99 + ("ERROR",)


def poisoned(place: Place, folder: Path) -> tuple[Run, int]:
    """Store the lines in an index whose ``log.level`` somebody has made an object; how many dead letters can be found."""
    other = template(place.prefix)
    other["priority"] = 999
    other["template"]["mappings"]["properties"]["log"]["properties"]["level"] = {
        "properties": {"name": {"type": "long"}}
    }
    place.server.ask("PUT", f"/_index_template/{place.prefix}-other", other)
    run = shippers.forwarder(place, folder)
    return run, place.server.found(place.prefix, {"term": {"event.dataset": "daqsched.deadletter"}})
