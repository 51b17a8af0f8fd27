"""How daemons that share a farm agree who of them leads: what all kinds of coordination promise, as `base.Store` says it of stores.

A daemon that begins makes a session; whoever leads does so within one. A session that may be lost is never taken up again: its
daemon makes a new one and stands again, so that all that it believed under the old one it believed as another. Who leads takes
the store of its session (`Session.store`), and from then on nobody who led before can save.

Nothing of this is asked for ever. What asks the service says so below: it returns within some seconds (`ANSWER_S` of an
implementation), and raises `Deposed` where the session ends before there is an answer, or `UserError` where the service denies
access. Everything else answers at once, out of what is known here.
"""

from __future__ import annotations

from typing import Callable, Optional, Protocol

import msgspec

from daqsched.store.base import Store


class Card(msgspec.Struct, frozen=True):
    """Who stands, and how a standby reaches it if it leads."""

    #: Host and pid, for people.
    name: str
    #: ``HOST:PORT`` of its HTTPS; empty where it can't be asked.
    address: str
    #: What our token that says who asks must name, so that it is for this process alone.
    token: str
    #: Why it can't be asked.
    why: str = ""


class Election(Protocol):
    """Who of several leads, as one candidate sees it: whoever has stood longest. One thread uses it; `wake` comes from any."""

    def stand(self, card: Card) -> None:
        """Be a candidate, once, for as long as the session lasts. Asks the service; raises `Deposed` also where it is not known
        whether that was heard."""

    def leader(self) -> Optional[Card]:
        """Who is first, as far as was heard; None: nobody. Changes after this call end the next `wait`. Asks the service;
        raises `Deposed` also where somebody took our candidacy away. A card that can't be read is one whose ``why`` says so."""

    def elected(self) -> bool:
        """Whether we are the first, and certain of it: the session holds. Asks the service."""

    def wait(self, timeout_s: float) -> None:
        """Until the candidates change after the last `leader`, or somebody calls `wake`, and no longer than this."""

    def wake(self) -> None:
        """End `wait`, also the next one where nobody waits; from any thread, and from a signal's handler."""


class Session(Protocol):
    """One daemon's session with the service. One thread starts and stops it, and asks; all the others may look."""

    def start(self) -> None:
        """Begin to connect, and keep trying until `stop`; returns at once, whether or not anybody answers."""

    def stop(self) -> None:
        """Give it up, and raise nothing: `lost` for ever. Where the service hears it, others need not wait for its end."""

    @property
    def connected(self) -> bool:
        """Whether the service answers now."""

    def wait_connected(self, timeout_s: float) -> bool:
        """Wait for that, and no longer than this; whether it is so."""

    @property
    def lost(self) -> bool:
        """Whether it has ended, or may have; once it is, it stays so."""

    def holds(self) -> bool:
        """Whether it is alive for certain: nobody else can lead now. Not yet true when it has just begun, and false before
        anybody else can begin, by a clock of this machine that nobody sets."""

    def ensure_ownership(self) -> None:
        """Raise `Deposed`, with who is silent, unless `holds`."""

    def when_over(self, call: Callable[[], None]) -> None:
        """Call this, in the place of what was given before, when `holds` ends or the session is lost; at once where it is lost
        already. From a thread of the session's own: it must return at once and raise nothing, and may come more than once."""

    def has_framework(self) -> bool:
        """Whether some leader has saved a framework's id: then there is a farm. Asks the service."""

    def election(self) -> Election:
        """To stand for election in this session; once."""

    def store(self, owner: str) -> Store:
        """The state, which is ``owner``'s from now on: whoever had it before can't save any more. For who is `elected`, on the
        thread that then uses it. Asks the service, as much as there is to read; raises `DaqschedError` also where what is there
        can't be read. `Store.ensure_ownership` is that of this session; its `close` leaves the session open."""


class Coordination(Protocol):
    """The service, and the place in it that belongs to one farm. It is a value: nothing is asked before a session starts."""

    @property
    def place(self) -> str:
        """What ``--state`` says, for people; no secret is in it."""

    @property
    def name(self) -> str:
        """What people call it, with its servers: to be followed by ``does not answer``."""

    @property
    def unprotected(self) -> str:
        """Why others may read and change the state, in a sentence; empty: they can't."""

    def local_address(self) -> str:
        """This machine's address as the service sees it; sends nothing. Raises `DaqschedError` where its servers are unknown."""

    def session(self) -> Session:
        """A new one, not yet started."""
