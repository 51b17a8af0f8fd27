"""A file's text as values, and the line of each: YAML of mappings, lists, words and whole numbers. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Union

import yaml

from daqsched.errors import UserError
from daqsched.limits import brief, shown

#: How deep values may be in others.
MOST_DEPTH = 20

#: What YAML makes of an escape, and nobody can print or compare.
_HALF = re.compile(r"[\ud800-\udfff]")

#: Where a value is: names, and places in lists.
Path = tuple[Union[str, int], ...]


class RightsError(UserError):
    """Mistakes in a file, each as ``FILE:LINE: FIELD: sentence``."""

    MOST = 20

    def __init__(self, mistakes: Sequence[str]) -> None:
        super().__init__("\n".join(mistakes))
        self._mistakes = mistakes

    @property
    def lines(self) -> Sequence[str]:
        more = len(self._mistakes) - self.MOST
        return [*self._mistakes[: self.MOST], *([f"... and {more} more mistakes"] if more > 0 else [])]


def values_of(text: str, source: str) -> tuple[Any, dict[Path, int]]:
    """The values of a text, and the line of each by its path: that of its name, in a mapping. Raises `RightsError`."""
    return _plain(_compose(text, source), source)


def _compose(text: str, source: str) -> Any:
    try:
        deep = 0
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            deep += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if deep > MOST_DEPTH:  # here, since a parser's time grows with the square of the depth
                line = event.start_mark.line + 1
                raise RightsError([f"{source}:{line}: values are in values more than {MOST_DEPTH} deep"])
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
                line = event.start_mark.line + 1
                raise RightsError([f"{source}:{line}: anchors and aliases (& and *) are not used here: quote the word"])
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark is not None else 1
        raise RightsError(
            [f"{source}:{line}: it can't be read as YAML: {brief(str(error.problem or error))}"]
        ) from error
    except yaml.YAMLError as error:
        raise RightsError([f"{source}: it can't be read as YAML: {brief(str(error))}"]) from error


def _plain(node: Any, source: str) -> tuple[Any, dict[Path, int]]:
    """The values of a YAML tree, and the line of each by its path."""
    places: dict[Path, int] = {(): 1}
    # numbers and words alone: what else YAML makes of a word (dates, yes and no) is a word here
    whole = re.compile(r"-?[0-9]{1,18}\Z")

    def text(node: Any, line: int) -> None:
        if _HALF.search(node.value):
            raise RightsError([f"{source}:{line}: {shown(node.value)} is half of a character (\\ud800 to \\udfff)"])

    def value(node: Any, path: Path) -> Any:
        places.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            found: dict[str, Any] = {}
            for name, one in node.value:
                line = name.start_mark.line + 1
                if not isinstance(name, yaml.ScalarNode):
                    raise RightsError([f"{source}:{line}: a key is a word"])
                text(name, line)
                if name.value in found:
                    raise RightsError([f"{source}:{line}: {shown(name.value)} is there twice"])
                places[(*path, name.value)] = line
                found[name.value] = value(one, (*path, name.value))
            return found
        if isinstance(node, yaml.SequenceNode):
            return [value(one, (*path, at)) for at, one in enumerate(node.value)]
        text(node, places[path])
        if node.style is None and whole.match(node.value):
            return int(node.value)
        if node.style is None and node.value in ("", "~", "null"):
            return None
        return node.value

    return (value(node, ()) if node is not None else {}), places
