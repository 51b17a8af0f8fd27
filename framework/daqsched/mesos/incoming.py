"""What Mesos says, as the engine's own values (mesos.proto)."""

from __future__ import annotations

import re
from base64 import b64decode
from typing import Any, Mapping

from daqsched import events
from daqsched.match import canonical


def offer_of(offer: Mapping[str, Any]) -> events.Offer:
    """The engine's view of an offer (mesos.proto, Offer); scalars of one name are added up, ports put together.

    A master of ten thousand agents sends as many at once: this takes about half the time that parsing their JSON does.
    """
    cpus = mem = disk = 0.0
    ports: tuple[tuple[int, int], ...] = ()
    for resource in offer.get("resources", ()):
        name = resource["name"]
        if name == "cpus":
            cpus += resource["scalar"]["value"]
        elif name == "mem":
            mem += resource["scalar"]["value"]
        elif name == "disk":
            disk += resource["scalar"]["value"]
        elif name == "ports":
            found = [(part["begin"], part["end"]) for part in resource["ranges"].get("range", ())]
            ports = tuple(sorted([*ports, *found]))
    hostname = offer["hostname"]
    names: tuple[str, ...] = (hostname,)
    attributes: dict[str, tuple[str, ...]] = {}
    for attribute in offer.get("attributes", ()):
        name = attribute["name"]
        if attribute["type"] == "TEXT":
            text = attribute["text"]["value"]
            values: tuple[str, ...] = (canonical(text),)
            if name == "hostname" and text not in names:
                names = (*names, text)
        else:
            values = _values(attribute)
        attributes[name] = attributes[name] + values if name in attributes else values
    return events.Offer(offer["id"]["value"], offer["agent_id"]["value"], names, cpus, mem, disk, ports, attributes)


def _values(attribute: Mapping[str, Any]) -> tuple[str, ...]:
    """An attribute's values, where it is no text, as `match.canonical` texts. Of ranges there are none: what lies in a
    range is not a thing that a machine has."""
    kind = attribute["type"]
    if kind == "SCALAR":
        return (canonical(str(attribute["scalar"]["value"])),)
    if kind == "SET":
        return tuple(canonical(item) for item in attribute["set"].get("item", ()))
    return ()


def report_of(status: Mapping[str, Any]) -> events.TaskReported:
    """The engine's view of a status update (mesos.proto, TaskStatus)."""
    return events.TaskReported(
        task_id=status["task_id"]["value"],
        agent_id=status.get("agent_id", {}).get("value", ""),
        state=status["state"],
        message=_message(status),
        reason=status.get("reason", ""),
        by_executor=status.get("source") == "SOURCE_EXECUTOR",
        data=b64decode(status["data"]) if "data" in status else b"",
        uuid=status.get("uuid", ""),
    )


#: What the agent's memory isolator says first (MemorySubsystemProcess::oomWaited in Mesos' cgroups/subsystems/memory.cpp).
_OVER_MEMORY = re.compile(r"Memory limit exceeded: Requested: (\d+)MB Maximum Used: (\d+)MB")


def _message(status: Mapping[str, Any]) -> str:
    """One sentence. For a container over its memory the agent sends thirty lines of statistics behind it."""
    message: str = status.get("message", "")
    if status.get("reason") != "REASON_CONTAINER_LIMITATION_MEMORY":
        return message
    found = _OVER_MEMORY.match(message)
    if found is None:
        return message.partition("\n")[0]
    return f"out of memory: used {found[2]} MiB of {found[1]} MiB (with its executor), so the agent ended it"
