"""What Mesos says, as the engine's own values (mesos.proto)."""

from __future__ import annotations

import re
from base64 import b64decode
from typing import Any, Mapping, Optional

import msgspec

from daqsched.engine import events
from daqsched.engine.match import canonical


class _Value(msgspec.Struct, gc=False):
    value: Any


class _Range(msgspec.Struct, gc=False):
    begin: int
    end: int


class _Ranges(msgspec.Struct, gc=False):
    range: tuple[_Range, ...] = ()


class _Items(msgspec.Struct, gc=False):
    item: tuple[str, ...] = ()


class _Resource(msgspec.Struct, gc=False):
    name: str
    scalar: Optional[_Value] = None
    ranges: Optional[_Ranges] = None


class _Attribute(msgspec.Struct, gc=False):
    name: str
    type: str
    text: Optional[_Value] = None
    scalar: Optional[_Value] = None
    set: Optional[_Items] = None


class OfferMessage(msgspec.Struct, gc=False):
    """What is looked at of an offer's JSON (mesos.proto, Offer). Ten thousand come at once: as values of a type they are read
    in a quarter of the time that dictionaries take, and are no business of the garbage collector's."""

    id: _Value
    agent_id: _Value
    hostname: str
    resources: tuple[_Resource, ...] = ()
    attributes: tuple[_Attribute, ...] = ()


class _Offers(msgspec.Struct, gc=False):
    offers: tuple[OfferMessage, ...] = ()


class _Event(msgspec.Struct, gc=False):
    type: str = ""
    offers: msgspec.Raw = msgspec.Raw()


_event = msgspec.json.Decoder(_Event).decode
_offers = msgspec.json.Decoder(_Offers).decode


def event_of(text: str) -> Any:
    """An event of the v1 scheduler API as plain values, but for its offers, which are `OfferMessage`. Raises ValueError."""
    try:
        head = _event(text)
        if head.type == "OFFERS" and bytes(head.offers):
            return {"type": "OFFERS", "offers": {"offers": _offers(head.offers).offers}}
        return msgspec.json.decode(text)
    except msgspec.MsgspecError as error:  # a ValueError only where msgspec is new
        raise ValueError(f"not an event of Mesos: {error}") from error


def offer_of(offer: OfferMessage) -> events.Offer:
    """The engine's view of an offer; scalars of one name are added up, ports put together."""
    cpus = mem = disk = 0.0
    ports: tuple[tuple[int, int], ...] = ()
    for resource in offer.resources:
        name, scalar = resource.name, resource.scalar
        if name == "ports" and resource.ranges is not None:
            found = [(part.begin, part.end) for part in resource.ranges.range]
            ports = tuple(sorted([*ports, *found])) if ports or len(found) > 1 else tuple(found)
        elif scalar is None:
            continue
        elif name == "cpus":
            cpus += scalar.value
        elif name == "mem":
            mem += scalar.value
        elif name == "disk":
            disk += scalar.value
    names: tuple[str, ...] = (offer.hostname,)
    attributes: dict[str, tuple[str, ...]] = {}
    for attribute in offer.attributes:
        name = attribute.name
        values = _values(attribute)
        if name == "hostname" and attribute.text is not None and attribute.text.value not in names:
            names = (*names, attribute.text.value)
        attributes[name] = attributes[name] + values if name in attributes else values
    return events.Offer(offer.id.value, offer.agent_id.value, names, cpus, mem, disk, ports, attributes)


def _values(attribute: _Attribute) -> tuple[str, ...]:
    """An attribute's values as `match.canonical` texts. Of ranges there are none: what lies in a range is not a thing that a
    machine has."""
    if attribute.text is not None:
        return (canonical(attribute.text.value),)
    if attribute.scalar is not None:
        return (canonical(str(attribute.scalar.value)),)
    if attribute.set is not None:
        return tuple(canonical(item) for item in attribute.set.item)
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
        executor_id=status.get("executor_id", {}).get("value", ""),
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
