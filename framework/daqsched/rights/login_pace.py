"""How fast passwords may be tried: slower after each that was wrong, for the account and for the address. Pure.

Of an account the wait stays short, or whoever knows a name could lock its owner out; an address that goes on trying waits
for minutes, with all of its network where that is one caller's (`network_of`). Names that do not exist count like those that
do. Times come in as arguments.
"""

from __future__ import annotations

import ipaddress
from typing import NamedTuple, Optional

#: So many may be wrong before anybody waits.
FREE_ACCOUNT, FREE_ADDRESS = 3, 10

#: The longest wait, and when what was wrong is forgotten.
MOST_ACCOUNT_S, MOST_ADDRESS_S, FORGOTTEN_S = 10.0, 900.0, 3600.0

#: So many accounts are remembered, and so many networks, the latest of each: who tries many names makes nobody's address forgotten.
MOST = 10_000

#: Whoever has an IPv6 address has all of its network of so many bits.
IPV6_BITS = 64


class _Wrong(NamedTuple):
    times: int
    at: float


def network_of(address: str) -> str:
    """What counts as one caller: an IPv4 address, or the network of an IPv6 one; what is no address as it is.

    >>> network_of("2001:db8::1:2:3:4"), network_of("::ffff:10.0.0.1"), network_of("fe80::1%eth0"), network_of("10.0.0.1")
    ('2001:db8::/64', '10.0.0.1', 'fe80::/64', '10.0.0.1')
    """
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if found.version == 4:
        return str(found)
    mapped = getattr(found, "ipv4_mapped", None)
    return str(mapped) if mapped is not None else str(ipaddress.ip_network((int(found), IPV6_BITS), strict=False))


class LoginPace:
    """For one thread."""

    def __init__(self) -> None:
        self._accounts: dict[str, _Wrong] = {}
        self._networks: dict[str, _Wrong] = {}

    def wait_s(self, account: str, address: str, now: float) -> float:
        """How long the next try of this account, or from this address, has to wait; 0: not at all."""
        return max(
            _left(self._accounts.get(account), FREE_ACCOUNT, MOST_ACCOUNT_S, now),
            _left(self._networks.get(network_of(address)), FREE_ADDRESS, MOST_ADDRESS_S, now),
        )

    def tried(self, account: str, address: str, now: float) -> None:
        """One begins; it counts as wrong until `right`, so that many at once are no way around."""
        for known, key in ((self._accounts, account), (self._networks, network_of(address))):
            before = known.pop(key, _Wrong(0, now))
            count = before.times if now - before.at < FORGOTTEN_S else 0
            while len(known) >= MOST:
                del known[next(iter(known))]
            known[key] = _Wrong(count + 1, now)

    def right(self, account: str, address: str) -> None:
        """The password was right."""
        self._accounts.pop(account, None)
        # whoever knows one password does not thereby try those of others faster
        before = self._networks.get(network_of(address))
        if before is not None:
            self._networks[network_of(address)] = _Wrong(max(0, before.times - 1), before.at)


def _left(wrong: Optional[_Wrong], free: int, most_s: float, now: float) -> float:
    if wrong is None or wrong.times < free or now - wrong.at >= FORGOTTEN_S:
        return 0.0
    return max(0.0, wrong.at + min(most_s, 2.0 ** min(30, wrong.times - free + 1)) - now)
