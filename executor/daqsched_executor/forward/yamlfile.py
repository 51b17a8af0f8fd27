"""`Forwarding` out of a YAML file: each mistake as one sentence with file, line and field.

Only machines without Mesos have such a file, so the package pyyaml is imported here and nowhere else.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, get_args, get_origin, get_type_hints

try:
    import yaml
except ImportError as missing:
    raise ValueError(
        "a YAML file is read with the package pyyaml: pip install 'daqsched-executor[forward]'"
    ) from missing

from ..contract import Forwarding, LogFiles
from ..contract.forwarding_rules import mistakes

#: What may stand there, in people's words.
_KINDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}

#: How deep values may be in others.
_MOST_DEPTH = 20


class Wrong(ValueError):
    """Mistakes in a file: its lines, and a sentence for each."""

    def __init__(self, *found: tuple[int, str]) -> None:
        super().__init__("; ".join(sentence for _, sentence in found))
        self.found = found


def read(path: str) -> Forwarding:
    """What the file says, looked at; raises OSError, or ValueError with a line ``FILE:LINE: FIELD: sentence`` for each mistake."""
    with open(path, encoding="utf-8") as file:
        try:
            return parse(file.read())
        except UnicodeDecodeError as error:
            raise ValueError(f"{path} is not UTF-8 text: {error.reason}") from error
        except Wrong as error:
            raise ValueError("\n".join(f"{path}:{line}: {sentence}" for line, sentence in error.found)) from error


def parse(text: str) -> Forwarding:
    """What the text says; raises `Wrong`."""
    try:
        deep = 0
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            deep += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if deep > _MOST_DEPTH:  # here, since a parser's time grows with the square of the depth
                raise Wrong((event.start_mark.line + 1, f"values are in values more than {_MOST_DEPTH} deep"))
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise Wrong((mark.line + 1 if mark else 1, f"not YAML: {error.problem or error.context}")) from error
    except yaml.YAMLError as error:
        raise Wrong((1, f"not YAML: {' '.join(str(error).split())}")) from error
    if node is None:
        raise Wrong((1, "the file says nothing"))
    lines = {"": 1}
    config: Forwarding = _object(Forwarding, node, "", lines)
    found = list(mistakes(config))
    parts = [(f"files[{one.name}]", one.hosts) for one in config.files]
    parts += [(name, getattr(config, name).hosts) for name in ("syslog", "json", "journal")]
    found += [
        (f"{inside}.hosts", "this file is of one machine; hosts belong in a job file") for inside, at in parts if at
    ]
    if found:
        raise Wrong(*sorted((_line(lines, field), f"{field}: {sentence}") for field, sentence in found))
    return config


def _line(lines: Mapping[str, int], field: str) -> int:
    """That of the field, or of what it would stand in."""
    while field not in lines:
        field = field.rpartition(".")[0]
    return lines[field]


def _object(kind: Any, node: Any, field: str, lines: dict[str, int]) -> Any:
    """A dataclass out of a mapping; notes where its fields stand."""
    if not isinstance(node, yaml.MappingNode):
        raise _wrong(node, field or "the file", f"must be fields with values, as `{fields(kind)[0].name}: ...`")
    hints = get_type_hints(kind)
    values: dict[str, Any] = {}
    nodes: dict[str, Any] = {}
    for key, value in node.value:
        name, inside = str(key.value), f"{field}.{key.value}" if field else str(key.value)
        if name not in hints:
            close = difflib.get_close_matches(name, list(hints), 1)
            rest = f": did you mean {close[0]!r}?" if close else f"; there are {', '.join(hints)}"
            raise _wrong(key, inside, f"unknown field {name!r}{rest}")
        if name in nodes:
            raise _wrong(
                key, inside, f"stands here for the second time, first in line {nodes[name].start_mark.line + 1}"
            )
        nodes[name] = key
        values[name] = _value(hints[name], value, inside, lines)
    for one in fields(kind):
        if one.name not in values and one.default is MISSING and one.default_factory is MISSING:
            raise _wrong(node, f"{field}.{one.name}", "is missing")
    made = kind(**values)
    # what is in a list is called by its name, as the rules call it
    field = f"files[{made.name}]" if kind is LogFiles else field
    lines[field or ""] = node.start_mark.line + 1
    lines.update({f"{field}.{name}" if field else name: key.start_mark.line + 1 for name, key in nodes.items()})
    return made


def _value(kind: Any, node: Any, field: str, lines: dict[str, int]) -> Any:
    if is_dataclass(kind):
        return _object(kind, node, field, lines)
    if get_origin(kind) is tuple:
        inner = get_args(kind)[0]
        each = node.value if isinstance(node, yaml.SequenceNode) else [node]
        return tuple(
            _value(inner, one, f"{field}[{at}]" if len(each) > 1 else field, lines) for at, one in enumerate(each)
        )
    if get_origin(kind) is not None:  # a mapping of texts
        if not isinstance(node, yaml.MappingNode):
            raise _wrong(node, field, "must be words with texts, as `place: hall`")
        return {str(key.value): _value(str, value, f"{field}.{key.value}", lines) for key, value in node.value}
    found = yaml.SafeLoader("").construct_object(node, deep=True) if isinstance(node, yaml.ScalarNode) else None
    if kind is float and isinstance(found, int) and not isinstance(found, bool):
        return float(found)
    if type(found) is not kind:
        written = repr(node.value) if isinstance(node, yaml.ScalarNode) else "a list or fields"
        quotes = ": write it in quotes" if kind is str and found is not None else ""
        raise _wrong(node, field, f"must be {_KINDS[kind]}, not {written}{quotes}" if written != "''" else "is empty")
    return found


def _wrong(node: Any, field: str, sentence: str) -> Wrong:
    return Wrong((node.start_mark.line + 1, f"{field}: {sentence}"))
