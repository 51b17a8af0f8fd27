"""How fast passwords may be tried: slower after each that was wrong, for the account and for the address. Pure.

Of an account the wait stays short, or whoever knows a name could lock its owner out; an address that goes on trying waits
for minutes. Names that do not exist count like those that do. Times come in as arguments.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple

#: So many may be wrong before anybody waits.
FREE_ACCOUNT, FREE_ADDRESS = 3, 10

#: The longest wait, and when what was wrong is forgotten.
MOST_ACCOUNT_S, MOST_ADDRESS_S, FORGOTTEN_S = 10.0, 900.0, 3600.0

#: So many accounts and addresses are remembered, the latest.
MOST = 10_000


class _Wrong(NamedTuple):
    times: int
    at: float


class LoginPace:
    """For one thread."""

    def __init__(self) -> None:
        self._wrong: dict[Hashable, _Wrong] = {}

    def wait_s(self, account: str, address: str, now: float) -> float:
        """How long the next try of this account, or from this address, has to wait; 0: not at all."""
        return max(
            self._left(("account", account), FREE_ACCOUNT, MOST_ACCOUNT_S, now),
            self._left(("address", address), FREE_ADDRESS, MOST_ADDRESS_S, now),
        )

    def tried(self, account: str, address: str, now: float) -> None:
        """One begins; it counts as wrong until `right`, so that many at once are no way around."""
        for key in (("account", account), ("address", address)):
            before = self._wrong.pop(key, _Wrong(0, now))
            count = before.times if now - before.at < FORGOTTEN_S else 0
            while len(self._wrong) >= MOST:
                del self._wrong[next(iter(self._wrong))]
            self._wrong[key] = _Wrong(count + 1, now)

    def right(self, account: str, address: str) -> None:
        """The password was right."""
        self._wrong.pop(("account", account), None)
        # whoever knows one password does not thereby try those of others faster
        before = self._wrong.get(("address", address))
        if before is not None:
            self._wrong[("address", address)] = _Wrong(max(0, before.times - 1), before.at)

    def _left(self, key: Hashable, free: int, most_s: float, now: float) -> float:
        wrong = self._wrong.get(key)
        if wrong is None or wrong.times < free or now - wrong.at >= FORGOTTEN_S:
            return 0.0
        return max(0.0, wrong.at + min(most_s, 2.0 ** min(30, wrong.times - free + 1)) - now)
