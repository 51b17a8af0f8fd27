"""Which of several `daqsched serve` leads: the one that has stood longest.

Each puts a node below PATH/candidates that goes with its session (ephemeral), with a number that ZooKeeper gives
(sequential) and a card that says how to reach it. The lowest number leads. Who leads may act only while its session is
alive for certain (`ZooKeeperSession.holds`); the next one is first only after ZooKeeper has ended that session.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import Any, Optional

import msgspec
from kazoo.exceptions import ConnectionLoss, NoNodeError

from daqsched.errors import Deposed
from daqsched.store.coordination import Card
from daqsched.store.zookeeper.session import ZooKeeperSession
from daqsched.wakeup import WakeUp

logger = logging.getLogger(__name__)

_NODE = "candidate-"


class ZooKeeperElection:
    """An `Election` (see there) in a session: one candidate's view."""

    def __init__(self, session: ZooKeeperSession) -> None:
        self._session = session
        self._folder = f"{session.place.path}/candidates"
        self._changed = WakeUp()
        self._mine = ""
        self._cards: dict[str, Card] = {}

    def stand(self, card: Card) -> None:
        self._session.ask(partial(self._session.client.ensure_path_async, self._folder))
        self._close_to_others()
        # not `ask`: a second node of ours would stand in our own way; a broken connection here costs the session, no more
        create = self._session.client.create_async(
            f"{self._folder}/{_NODE}", msgspec.json.encode(card), ephemeral=True, sequence=True
        )
        try:
            self._mine = self._session.answer(create).rpartition("/")[2]
        except ConnectionLoss:
            raise self._session.silent() from None

    def leader(self) -> Optional[Card]:
        self._changed.clear()
        names = sorted(self._candidates(), key=lambda name: name[len(_NODE) :])
        if self._mine and self._mine not in names:
            raise Deposed(f"somebody removed {self._folder}/{self._mine}, by which this one stood for election")
        self._cards = {name: card for name, card in self._cards.items() if name in names}
        for name in names:
            card = self._card(name)
            if card is not None:
                return card
        return None

    def elected(self) -> bool:
        return min(self._candidates(), default=None) == self._mine and self._session.holds()

    def wait(self, timeout_s: float) -> None:
        self._changed.wait(timeout_s)

    def wake(self, *event: Any) -> None:
        """Also for kazoo, whose threads say what has happened."""
        self._changed.call()

    def _close_to_others(self) -> None:
        """Who stands before us without our password may be anybody."""
        folders = [
            folder for folder in (self._session.place.path, self._folder) if self._session.open_to_others(folder)
        ]
        if not folders:
            return
        self._session.close_to_others(folders)
        logger.warning(
            "%s was open to whoever reaches ZooKeeper, and is closed now: is all as it should be (daqsched status, history)?",
            self._session.place,
        )
        for name in self._candidates():
            node = f"{self._folder}/{name}"
            try:
                if self._session.open_to_others(node):
                    self._session.ask(partial(self._session.client.delete_async, node))
            except NoNodeError:
                pass  # it left meanwhile

    def _candidates(self) -> list[str]:
        try:
            found = self._session.ask(partial(self._session.client.get_children_async, self._folder, self.wake))
        except NoNodeError:
            return []
        return [name for name in found if name.startswith(_NODE)]

    def _card(self, name: str) -> Optional[Card]:
        if name not in self._cards:
            try:
                data, _ = self._session.ask(partial(self._session.client.get_async, f"{self._folder}/{name}"))
                self._cards[name] = msgspec.json.decode(data, type=Card)
            except NoNodeError:
                return None  # it left meanwhile
            except msgspec.MsgspecError as error:
                # who may write there can do that, and must not end us by it
                logger.warning("%s/%s is not a candidate: %s", self._folder, name, error)
                self._cards[name] = Card(name, "", "", "stands for election and is not one of ours")
        return self._cards[name]
