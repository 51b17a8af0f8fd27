"""Who asks, as it was found out where the request came in."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, Optional

import msgspec

from daqsched.rights.verbs import Role

#: What identities begin with: who says that the name behind it is true. Equal names behind two of them are two people.
PREFIXES = ("unix", "unix-group", "password", "token", "proxy", "proxy-group", "oidc", "oidc-group")

#: Groups of which only a proxy or an identity provider knows who is in them.
KEPT_ELSEWHERE = frozenset(["proxy-group", "oidc-group"])


#: The longest name that somebody else than the machine says.
MOST_NAME = 200

#: The most groups that it says somebody is in: Active Directory has nobody in more than 1,015.
MOST_GROUPS = 2000


class Principal(msgspec.Struct, frozen=True):
    """Somebody: the name for people, and all that rules may call them."""

    name: str
    #: Each with its prefix: ``unix:alice``, ``unix-group:daq-shift``, ``token:wall-1``.
    known_as: frozenset[str] = frozenset()
    #: May all, whatever a file says: root, and the account of the daemon, which could change the state itself.
    owner: bool = False
    #: What a token gives at most; None: what its person has.
    most: Optional[Role] = None
    #: Who this is was not told in full: no rule gives to names that are not known, and each that denies may be for them.
    doubt: bool = False
    #: Kinds of groups (``oidc-group``) of which nobody here knows whether this is in them, as nobody asked, or was told by no name:
    #: each rule that denies to one may be for this.
    unasked: frozenset[str] = frozenset()
    #: Kinds of which some were left out that have no possible name: each rule that denies to a group so called may be for this.
    left_out: frozenset[str] = frozenset()
    #: `Token.mark` of the token by which this came; empty: by none.
    token_mark: str = ""

    @property
    def identities(self) -> list[str]:
        """By what somebody is known again: not by groups, which may change meanwhile, and not by the name of a token alone, which
        another one may be given when that has ended."""
        kinds = {one: one.partition(":")[0] for one in self.known_as}
        mark = f"#{self.token_mark}" if self.token_mark else ""
        return sorted(
            f"{one}{mark}" if kind == "token" else one for one, kind in kinds.items() if not kind.endswith("-group")
        )


#: Who has shown nothing.
NOBODY = Principal("nobody")


def name_of(itself: str, insiders: Collection[str]) -> str:
    """What somebody is called for people whom a password, a proxy or an identity provider names: of ``password:alice`` it is
    ``alice``. All of it where the name would be taken for one of the ``insiders`` (accounts that may all) or for an identity."""
    name = itself.partition(":")[2]
    return itself if name in insiders or name.partition(":")[0] in PREFIXES else name


def can_be_name(name: str) -> bool:
    """Whether rules can call somebody or a group so whom a proxy or an identity provider names."""
    return 0 < len(name) <= MOST_NAME and name.isascii() and name.isprintable()


def possible_groups(named: Iterable[Any]) -> tuple[tuple[str, ...], int]:
    """Of the groups that one of these names of somebody those that can be names, each once, and how many can't."""
    every = list(named)
    found = [one for one in every if isinstance(one, str) and can_be_name(one)]
    return tuple(sorted(set(found))), len(every) - len(found)
