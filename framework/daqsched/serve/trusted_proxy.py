"""A proxy that is trusted to say who asks: that is how Kerberos and OIDC come in. Pure, but for reading the secret.

It is believed from its own addresses only, and only with its secret: either alone could be somebody else's. What it says it says
once: two headers of a name may be one of the proxy's and one that a caller had it pass on.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Sequence
from typing import NamedTuple, Optional, Union

from daqsched.errors import UserError
from daqsched.rights.principal import MOST_GROUPS, can_be_name, possible_groups
from daqsched.serve.web_rules import Headers, values

#: What the proxy sets in each request.
SECRET, USER, GROUPS = b"x-daqsched-proxy-secret", b"x-daqsched-proxy-user", b"x-daqsched-proxy-groups"

#: The least of a secret.
LEAST_SECRET = 32

Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]


class Proxied(NamedTuple):
    """Whom a proxy names; or why it is not believed, where it has shown that it is the proxy."""

    user: str
    groups: tuple[str, ...]
    wrong: str = ""
    #: So many more groups that can't be names.
    left_out: int = 0


class TrustedProxy:
    """See the module."""

    def __init__(self, networks: Sequence[str], secret: str, separator: str = ",") -> None:
        """``separator`` stands between groups: in names like CN=shift,OU=daq are commas.

        Raises `UserError` where it would be believed too easily."""
        if not networks:
            raise UserError("a proxy is trusted from certain addresses only: --proxy-from ADDRESS or NETWORK/BITS")
        if len(secret) < LEAST_SECRET:
            raise UserError(f"the secret of a proxy has at least {LEAST_SECRET} letters: openssl rand -hex 32")
        try:
            self._networks: list[Network] = [ipaddress.ip_network(one) for one in networks]
        except ValueError as error:
            raise UserError(f"--proxy-from: {error}") from error
        if any(one.num_addresses > 1 << 16 for one in self._networks):
            raise UserError("--proxy-from: a network of more than 65,536 addresses is nobody's in particular")
        self._secret, self._separator = secret.encode(), separator

    def proxied(self, address: str, headers: Headers) -> Optional[Proxied]:
        """Whom it names; None: the request is not the proxy's, or names nobody, and nothing of this kind in it counts."""
        secrets = values(headers, SECRET)
        if not secrets or not self._is_there(address):
            return None
        if not any(hmac.compare_digest(one.encode("latin-1"), self._secret) for one in secrets):
            return None
        users, groups = values(headers, USER), values(headers, GROUPS)
        if len(secrets) > 1 or len(users) > 1 or len(groups) > 1:
            return Proxied("", (), "the proxy's headers are there twice: it has to replace what callers send")
        if not users or not users[0]:
            return None
        named = tuple(filter(None, (one.strip() for one in groups[0].split(self._separator)))) if groups else ()
        if not can_be_name(users[0]):
            return Proxied("", (), "the proxy names somebody in a way that can't be a name")
        if len(named) > MOST_GROUPS:
            return Proxied("", (), f"the proxy names {len(named):,} groups, and at most {MOST_GROUPS:,} are taken")
        found, left_out = possible_groups(named)
        return Proxied(users[0], found, left_out=left_out)

    def _is_there(self, address: str) -> bool:
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        mapped = getattr(found, "ipv4_mapped", None)
        return any((mapped or found) in one for one in self._networks)
