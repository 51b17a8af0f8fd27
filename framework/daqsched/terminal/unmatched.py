"""Words of a selection that mean nothing, on standard error: what the others mean is shown all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Sequence, Union

from daqsched.limits import some
from daqsched.terminal.out import say

if TYPE_CHECKING:
    from daqsched.protocol import StatusAnswer, StoriesAnswer, WhyAnswer


def say_unmatched(answer: Union[StatusAnswer, WhyAnswer, StoriesAnswer]) -> None:
    """Name them, where there are some."""
    if answer.unmatched:
        say(no_match(answer.unmatched, answer.hint), err=True)


def no_match(words: Sequence[str], hint: str) -> str:
    """The sentence about them; ``hint`` is its end."""
    return f"no job or host matches {some(words, ' ')}: `daqsched status` lists them{hint}"
