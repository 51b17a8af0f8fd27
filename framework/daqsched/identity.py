"""Whether two requests are of one person: by what rules call them, and not by the name that is shown."""

from __future__ import annotations

from collections.abc import Collection


def is_one(user: str, known_as: Collection[str], other: str, other_known_as: Collection[str]) -> bool:
    """Whether ``other`` asked for it. What the daemon kept before it kept identities (``known_as`` is empty) is of whoever is
    shown by its name: two people may be, and one person by two."""
    return not set(known_as).isdisjoint(other_known_as) if known_as else user == other
