"""What Mesos says, as the engine's own values (mesos.proto).

A master passes on what agents and executors say, and may itself be none: what is not understood is a `ValueError`, and what
comes out has the types and the bounds that the engine can count and keep.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Generic, Mapping, Optional, TypeVar, Union

import msgspec

from daqsched.engine import events
from daqsched.engine.match import canonical
from daqsched.engine.resources import Offer
from daqsched.limits import MESSAGE, TEXT, brief
from daqsched.mesos.resources import Resource, portions_of, sum_of

#: Names and ids: Mesos has none that is longer than a file's name.
_Word = Annotated[str, msgspec.Meta(max_length=1000)]

#: A record's length has no more.
_DIGITS = 10


class _Id(msgspec.Struct, gc=False, frozen=True):
    value: _Word


class _Text(msgspec.Struct, gc=False):
    value: str


class _Number(msgspec.Struct, gc=False):
    value: float


class _Items(msgspec.Struct, gc=False):
    item: tuple[str, ...] = ()


class _Attribute(msgspec.Struct, gc=False):
    name: _Word
    text: Optional[_Text] = None
    scalar: Optional[_Number] = None
    set: Optional[_Items] = None


class _Nanoseconds(msgspec.Struct, gc=False):
    nanoseconds: float


class _Unavailability(msgspec.Struct, gc=False):
    start: _Nanoseconds
    duration: Optional[_Nanoseconds] = None

    @property
    def times(self) -> tuple[float, float]:
        """From and until, seconds since the epoch."""
        begin = self.start.nanoseconds / 1e9
        return begin, begin + self.duration.nanoseconds / 1e9 if self.duration is not None else float("inf")


class _Address(msgspec.Struct, gc=False, frozen=True):
    ip: str = ""
    port: int = 0


class _Url(msgspec.Struct, gc=False, frozen=True):
    address: _Address = _Address()


class OfferMessage(msgspec.Struct, gc=False):
    """What is looked at of an offer's JSON (mesos.proto, Offer). Ten thousand come at once: as values of a type they are read
    in a quarter of the time that dictionaries take, and are no business of the garbage collector's. Each is summed up as soon
    as it is read, and its forty values are let go: where all are kept until the last is read, they are far from the processor
    by then, and all of it takes half as long again."""

    id: _Id
    agent_id: _Id
    hostname: _Word
    resources: tuple[Resource, ...] = ()
    attributes: tuple[_Attribute, ...] = ()
    unavailability: Optional[_Unavailability] = None
    #: Where its agent listens.
    url: Optional[_Url] = None
    #: The engine's view of it. A field of ours: what a master says of that name is written over.
    summed_up: Offer = Offer("", "", (), 0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        self.summed_up = _sum(self)
        self.resources = self.attributes = ()


class StatusMessage(msgspec.Struct):
    """What is looked at of a status update (mesos.proto, TaskStatus)."""

    task_id: _Id
    state: _Word
    agent_id: _Id = _Id("")
    executor_id: _Id = _Id("")
    source: _Word = ""
    reason: _Word = ""
    message: str = ""
    #: In base64.
    data: bytes = b""
    uuid: _Word = ""


class _Subscribed(msgspec.Struct):
    framework_id: _Id
    heartbeat_interval_seconds: Optional[float] = None


class _Update(msgspec.Struct):
    status: StatusMessage


class _Error(msgspec.Struct):
    message: str = ""


class MessageMessage(msgspec.Struct):
    """What an executor says beside its updates (scheduler.proto, Event.Message)."""

    executor_id: _Id
    agent_id: _Id
    #: In base64, and read as what it stands for.
    data: bytes = b""


#: An offer as it is read: understood, or left as it came.
_Read = TypeVar("_Read", OfferMessage, msgspec.Raw)


class _Offers(msgspec.Struct, Generic[_Read], gc=False, frozen=True):
    offers: tuple[_Read, ...] = ()


class _Event(msgspec.Struct, Generic[_Read], gc=False):
    type: str = ""
    subscribed: msgspec.Raw = msgspec.Raw()
    offers: _Offers[_Read] = _Offers()
    update: msgspec.Raw = msgspec.Raw()
    message: msgspec.Raw = msgspec.Raw()
    error: msgspec.Raw = msgspec.Raw()


_event = msgspec.json.Decoder(_Event[OfferMessage]).decode
_event_of_raw_offers = msgspec.json.Decoder(_Event[msgspec.Raw]).decode
_offer = msgspec.json.Decoder(OfferMessage).decode
_subscribed = msgspec.json.Decoder(_Subscribed).decode
_update = msgspec.json.Decoder(_Update).decode
_message_of = msgspec.json.Decoder(MessageMessage).decode
_error = msgspec.json.Decoder(_Error).decode


class Records:
    """Cuts a subscription's bytes into records (RecordIO): a length in digits, a line's end, and so many bytes."""

    def __init__(self) -> None:
        self._waiting = bytearray()

    def __len__(self) -> int:
        """Bytes of a record that is not whole."""
        return len(self._waiting)

    def feed(self, piece: bytes) -> list[bytes]:
        """The records that are whole by now; raises ValueError where a length is none, as nothing that follows can be told
        apart then."""
        self._waiting += piece
        found = []
        begin = 0
        while begin < len(self._waiting):
            end = self._waiting.find(b"\n", begin, begin + _DIGITS + 1)
            digits = bytes(self._waiting[begin : end if end >= 0 else begin + _DIGITS + 1])
            if not digits.isdigit() or len(digits) > _DIGITS:
                raise ValueError(f"a record of the length {brief(digits.decode('latin-1'))!r}")
            if end < 0 or len(self._waiting) < end + 1 + int(digits):
                break
            begin = end + 1 + int(digits)
            found.append(bytes(self._waiting[end + 1 : begin]))
        del self._waiting[:begin]
        return found


def event_of(record: Union[bytes, str]) -> tuple[Mapping[str, Any], str]:
    """An event of the v1 scheduler API as `mesos.driver` wants it, without what we do not look at, and what of it was left out
    because it is not understood, if anything. Raises ValueError where that is all of it."""
    # an agent or an executor may have said what is no text
    text = record.decode("utf-8", "replace") if isinstance(record, bytes) else record
    try:
        head, why = _read(text)
        if head.type == "OFFERS":
            return {"type": head.type, "offers": {"offers": head.offers.offers}}, why
        if head.type == "UPDATE":
            return {"type": head.type, "update": {"status": _update(head.update).status}}, ""
        if head.type == "MESSAGE":
            return {"type": head.type, "message": _message_of(head.message)}, ""
        if head.type == "SUBSCRIBED":
            return {"type": head.type, "subscribed": msgspec.to_builtins(_subscribed(head.subscribed))}, ""
        if head.type == "ERROR":
            return {
                "type": head.type,
                "error": {"message": brief(_error(bytes(head.error) or b"{}").message, 1000)},
            }, ""
        return {"type": "HEARTBEAT"}, ""
    except (msgspec.MsgspecError, RecursionError) as error:  # a ValueError only where msgspec is new
        raise ValueError(f"not an event of Mesos: {brief(str(error))}") from error


def _read(text: str) -> tuple[_Event[OfferMessage], str]:
    """An event, and why one of its offers is not among them: an agent that nobody understands is no reason to have none."""
    try:
        # all at once: to look first what kind of event it is would read it twice
        return _event(text), ""
    except msgspec.MsgspecError:
        head = _event_of_raw_offers(text)
    found, why = [], ""
    for raw in head.offers.offers:
        try:
            found.append(_offer(raw))
        except msgspec.MsgspecError as error:
            why = f"an offer: {brief(str(error))}"
    return _Event(head.type, head.subscribed, _Offers(tuple(found)), head.update, head.message, head.error), why


def offer_of(offer: OfferMessage) -> Offer:
    """The engine's view of an offer."""
    return offer.summed_up


def _sum(offer: OfferMessage) -> Offer:
    cpus, mem, disk, ports = sum_of(offer.resources)
    names: tuple[str, ...] = (offer.hostname,)
    attributes: dict[str, tuple[str, ...]] = {}
    for attribute in offer.attributes:
        name = attribute.name
        values = _values(attribute)
        if name == "hostname" and attribute.text is not None and attribute.text.value != offer.hostname:
            names = tuple(dict.fromkeys((*names, _cut(attribute.text.value))))
        attributes[name] = attributes[name] + values if name in attributes else values
    portions = portions_of(offer.resources)
    away = offer.unavailability.times if offer.unavailability is not None else None
    at = offer.url.address if offer.url is not None else None
    place = f"{_cut(at.ip)}:{at.port}" if at is not None and at.ip else ""
    return Offer(offer.id.value, offer.agent_id.value, names, cpus, mem, disk, ports, attributes, portions, place, away)


def _values(attribute: _Attribute) -> tuple[str, ...]:
    """An attribute's values as `match.canonical` texts. Of ranges there are none: what lies in a range is not a thing that a
    machine has."""
    if attribute.text is not None:
        text = attribute.text.value
        return (canonical(text if len(text) <= _TEXT_MOST else _cut(text)),)
    if attribute.scalar is not None:
        return (canonical(str(attribute.scalar.value)),)
    if attribute.set is not None:
        return tuple(canonical(_cut(item)) for item in attribute.set.item)
    return ()


_TEXT_MOST = int(TEXT.most)


def _cut(value: str, most: int = _TEXT_MOST) -> str:
    """No job file asks for a longer one; it is kept in records."""
    return value if len(value) <= most else brief(value, most)


def update_of(status: StatusMessage) -> events.TaskReported:
    """The engine's view of a status update."""
    return events.TaskReported(
        task_id=status.task_id.value,
        agent_id=status.agent_id.value,
        state=status.state,
        message=_message(status),
        reason=status.reason,
        by_executor=status.source == "SOURCE_EXECUTOR",
        data=status.data,
        uuid=status.uuid,
        executor_id=status.executor_id.value,
    )


#: What the agent's memory isolator says first (MemorySubsystemProcess::oomWaited in Mesos' cgroups/subsystems/memory.cpp).
_OVER_MEMORY = re.compile(r"Memory limit exceeded: Requested: (\d+)MB Maximum Used: (\d+)MB")


#: How much of a message is kept: it is in the instance's record from then on. Executors' own are shorter.
_MESSAGE_MOST = 4 * int(MESSAGE.most)


def _message(status: StatusMessage) -> str:
    """One sentence. For a container over its memory the agent sends thirty lines of statistics behind it; of what runs on a machine
    that was lost and is back, the master says that the "Unreachable agent re-reregistered"."""
    message = _cut(status.message, _MESSAGE_MOST)
    if message == "Unreachable agent re-reregistered":
        return ""
    if status.reason != "REASON_CONTAINER_LIMITATION_MEMORY":
        return message
    found = _OVER_MEMORY.match(message)
    if found is None:
        return message.partition("\n")[0]
    return f"out of memory: used {found[2]} MiB of {found[1]} MiB (with its executor), so the agent ended it"
