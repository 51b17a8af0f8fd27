"""Numbers of things, as people say them. Pure."""

from __future__ import annotations


def plural(number: int, noun: str, one: str = "", more: str = "") -> str:
    """``1 line``, ``2,000 lines``; with what they do: ``1 line is``, ``2 lines are``."""
    verb = one if number == 1 else more
    return f"{number:,} {noun}{'' if number == 1 else 's'}{' ' if verb else ''}{verb}"
