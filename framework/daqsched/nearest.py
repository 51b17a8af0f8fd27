"""Which name was meant by one that is not there: told where a word of a selection is refused."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from itertools import islice

#: How much two words have to be alike, from 0 to 1.
NEAR = 0.6
#: So many names are compared, of those that are about as long and have the same numbers.
MOST_NEAR = 20_000
#: So much of a word.
MOST_LETTERS = 100

_NUMBER = re.compile("[0-9]{1,20}")


def nearest(word: str, names: Iterable[str]) -> str:
    """The one of these names that is written most like the word; empty: none is. A name with other numbers in it is not: the
    host beside one that is not there is not the one that was meant."""
    word = word[:MOST_LETTERS]
    numbers, room = _numbers(word), max(1, len(word) // 3)
    alike = (name for name in names if abs(len(name) - len(word)) <= room and _numbers(name) == numbers)
    found, best = "", NEAR
    matcher = difflib.SequenceMatcher(None, b=word)
    for name in islice(alike, MOST_NEAR):
        matcher.set_seq1(name)
        if matcher.quick_ratio() >= best:
            ratio = matcher.ratio()
            if ratio > best or (ratio == best and (not found or name < found)):
                found, best = name, ratio
    return found


def _numbers(name: str) -> list[int]:
    return [int(number) for number in _NUMBER.findall(name)]
