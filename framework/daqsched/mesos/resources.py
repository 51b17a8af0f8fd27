"""Resources as agents offer them (mesos.proto, Resource): what of them we may use, what it comes to, and a task's share of it.

An agent's operator may have reserved some for a role, when it was started or later. A framework of that role is offered both
kinds, and the master gives of each what is asked for in the words of the offer, and nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Optional

import msgspec

from daqsched.engine.resources import Portion
from daqsched.ports import Ranges, holds, ranges

#: Of a name; Mesos has none that is longer than a file's name.
_Word = Annotated[str, msgspec.Meta(max_length=1000)]

#: The role of what is anybody's.
ANYBODY = "*"

#: Mesos' own precision for scalars.
_DECIMALS = 3


class _Number(msgspec.Struct, gc=False):
    value: float


class _Range(msgspec.Struct, gc=False):
    begin: int
    end: int


class _Ranges(msgspec.Struct, gc=False):
    range: tuple[_Range, ...] = ()


class Resource(msgspec.Struct, gc=False):
    """What is looked at of one: its amount, and for whom it is reserved, in the words of either of Mesos' two formats."""

    name: _Word
    scalar: Optional[_Number] = None
    ranges: Optional[_Ranges] = None
    role: _Word = ANYBODY
    reservation: Optional[dict[str, Any]] = None
    reservations: tuple[dict[str, Any], ...] = ()
    #: A volume that is somebody's, or a disk that is given as a whole.
    disk: Optional[dict[str, Any]] = None
    #: It may be taken back at any time.
    revocable: Optional[dict[str, Any]] = None

    @property
    def plain(self) -> bool:
        """Whether a share of it may be taken."""
        return not self.disk and self.revocable is None

    @property
    def reserved_for(self) -> str:
        """The role that it is reserved for, or `ANYBODY`."""
        if self.reservations:
            return str(self.reservations[-1].get("role", ANYBODY))
        return self.role or ANYBODY

    @property
    def words(self) -> str:
        """`Portion.words`."""
        role = self.role if self.role != ANYBODY else ""
        said = {"role": role, "reservation": self.reservation, "reservations": self.reservations}
        told = {name: value for name, value in said.items() if value}
        return json.dumps(told) if told else ""


def usable(resources: Iterable[Resource], role: str) -> Iterator[Resource]:
    """Those that a framework of this role is offered: what is anybody's, and what is reserved for the role or one above it."""
    mine = {ANYBODY, role, *_above(role)}
    return (one for one in resources if one.reserved_for in mine)


def _above(role: str) -> Iterator[str]:
    """``daq/hlt`` is below ``daq``."""
    while "/" in role:
        role = role.rpartition("/")[0]
        yield role


def sum_of(resources: Iterable[Resource]) -> tuple[float, float, float, Ranges]:
    """Cores, MiB of memory and of disk, and ports: scalars of one name are added up, ports put together."""
    cpus = mem = disk = 0.0
    ports: Ranges = ()
    for resource in resources:
        if resource.disk or resource.revocable is not None:  # not `plain`: a property would be a call for each
            continue
        name, scalar = resource.name, resource.scalar
        if scalar is not None:
            if name == "cpus":
                cpus += scalar.value
            elif name == "mem":
                mem += scalar.value
            elif name == "disk":
                disk += scalar.value
        elif name == "ports" and resource.ranges is not None:
            found = ranges([(part.begin, part.end) for part in resource.ranges.range])
            ports = tuple(sorted([*ports, *found])) if ports or len(found) > 1 else found
    return cpus, mem, disk, ports


def _ports_of(resource: Resource) -> Ranges:
    return ranges([(part.begin, part.end) for part in resource.ranges.range]) if resource.ranges is not None else ()


def portions_of(resources: Sequence[Resource]) -> tuple[Portion, ...]:
    """What is reserved first, so that others have what is anybody's; nothing where all is."""
    for one in resources:
        if one.role not in ("", ANYBODY) or one.reservations:
            break
    else:
        return ()  # the rule, and there are thousands of offers: no generator for each
    portions = [
        Portion(one.name, one.scalar.value if one.scalar is not None else 0.0, _ports_of(one), one.words)
        for one in resources
        if one.plain
    ]
    return tuple(sorted(portions, key=lambda portion: not portion.words))


class RemainingResources:
    """Of an offer: the tasks of one launch take their shares of it."""

    def __init__(self, role: str, portions: Iterable[Portion] = ()) -> None:
        self._role = role
        self._portions = tuple(portions)
        self._left = [portion.amount for portion in self._portions]

    def scalars(self, **amounts: float) -> list[Mapping[str, Any]]:
        """So much of each, as the master wants it named."""
        return [
            self._named(name, words, type="SCALAR", scalar={"value": value})
            for name, amount in amounts.items()
            for words, value in self._shares(name, amount)
        ]

    def ports(self, numbers: Collection[int]) -> list[Mapping[str, Any]]:
        """These, each out of the part that has it."""
        by_words: dict[str, list[int]] = {}
        for number in sorted(numbers):
            words = next((one.words for one in self._portions if holds(one.ports, number)), "")
            by_words.setdefault(words, []).append(number)
        return [
            self._named("ports", words, type="RANGES", ranges={"range": [{"begin": one, "end": one} for one in found]})
            for words, found in by_words.items()
        ]

    def _shares(self, name: str, amount: float) -> Iterator[tuple[str, float]]:
        """In whose words how much; what nobody has is asked for as anybody's, and refused with the master's own sentence."""
        for at, portion in enumerate(self._portions):
            share = min(amount, self._left[at]) if portion.name == name else 0.0
            if round(share, _DECIMALS) > 0:
                self._left[at] = round(self._left[at] - share, _DECIMALS)
                amount = round(amount - share, _DECIMALS)
                yield portion.words, share
        if amount:
            yield "", amount

    def _named(self, name: str, words: str, **value: Any) -> Mapping[str, Any]:
        reserved = json.loads(words) if words else {}
        return {"name": name, **value, **reserved, "allocation_info": {"role": self._role}}
