"""rich, as we use it: no text is markup, and none gets in that is not escaped. No other module makes a `Text` or a `Console`."""

from __future__ import annotations

from typing import Any, Optional, Union

from rich.console import Console, OverflowMethod
from rich.text import Text

from daqsched_executor.contract.foreign import printable


class Words(Text):
    """Styled text that may be added to."""

    def append(self, text: Union[Text, str], style: Any = None) -> Words:
        """Add to the last line; a string is escaped."""
        super().append(printable(text) if isinstance(text, str) else text, style)
        return self


def text(*lines: str, style: str = "", overflow: Optional[OverflowMethod] = None) -> Words:
    """These lines of a cell or a paragraph, each escaped."""
    return Words("\n".join(map(printable, lines)), style, overflow=overflow)


class Canvas(Console):
    """A console to which a string is a string: ``[/red]`` in a version is shown, and ends nothing."""

    def __init__(self, stderr: bool = False, width: Optional[int] = None) -> None:
        super().__init__(stderr=stderr, markup=False, emoji=False, highlight=False, soft_wrap=False, width=width)

    def render_str(self, text: str, **options: Any) -> Text:
        """Each string in a table or by itself comes by here before it is measured or drawn."""
        options.update(emoji=False, markup=False, highlight=False, highlighter=None)
        return super().render_str(printable(text), **options)
