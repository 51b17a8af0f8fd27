"""What an agent has to give, as it offers it."""

from __future__ import annotations

from typing import Mapping, Optional

import msgspec

#: What a machine has, by its agent's attributes: each name with its values as texts.
Attributes = Mapping[str, tuple[str, ...]]


class Portion(msgspec.Struct, frozen=True, gc=False):
    """A resource as its agent offers it: who takes of it has to ask for it in these words."""

    name: str
    amount: float = 0.0
    ports: tuple[tuple[int, int], ...] = ()
    #: The JSON of what else is said of it: for whom it is reserved, and by whom. Empty: it is anybody's.
    words: str = ""


class Offer(msgspec.Struct, frozen=True, gc=False):
    """What an agent has to give now. Nothing of Mesos' own types is left in it, and nothing that the garbage collector would
    have to look for: ten thousand come at once."""

    id: str
    agent_id: str
    #: The names that the machine goes by: its hostname and, where set, its attribute ``hostname``.
    names: tuple[str, ...]
    cpus: float
    mem: float
    disk: float
    #: Ranges of port numbers, both ends included.
    ports: tuple[tuple[int, int], ...] = ()
    attributes: Attributes = {}
    #: What all this is made of, where something of it is reserved; empty: all of it is anybody's.
    portions: tuple[Portion, ...] = ()
    #: Where the agent listens, HOST:PORT; empty: not told.
    place: str = ""
    #: When it will not be there, by the master's maintenance schedule: from and until, seconds since the epoch.
    away: Optional[tuple[float, float]] = None
