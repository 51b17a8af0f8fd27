"""What a crew wrote, as a struct of the spec; where that can't be, the crew's own word for the field and what is wrong."""

from __future__ import annotations

import itertools
import re
import shlex
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, fields
from types import FrameType
from typing import Any, Optional, TypeVar

import msgspec

from daqsched.errors import JobError, JobFileWarning
from daqsched.limits import brief, shown

#: The name of a job file's module while it is evaluated.
MODULE = "__jobs__"

#: What a field of the spec is called in a job file, where that differs.
WORDS = {
    "release": "version",
    "argv": "command",
    "cwd": "directory",
    "cpus": "resources.cpus",
    "mem": "resources.mem",
    "disk": "resources.disk",
    "ports": "resources.ports",
    "checks": "check",
    "forward": "logs",
}

Struct = TypeVar("Struct")


def asked_for(kind: type[Struct]) -> type[Struct]:
    """The same dataclass; ``hasattr(Job, "labels")`` is true of fields whose default is made anew for each, too."""
    for one in fields(kind):  # type: ignore[arg-type]  # typing has no name for a dataclass
        if one.default_factory is not MISSING:
            setattr(kind, one.name, one.default_factory())
    return kind


def convert(kind: type[Struct], values: Mapping[str, Any], inside: str = "") -> Struct:
    """Build a struct (or a dataclass) out of the values; raises `JobError` with the user's word for the field, which begins with
    ``inside``."""
    plain = {name: _plain(value) for name, value in values.items()}
    try:
        return msgspec.convert(plain, kind)
    except msgspec.ValidationError as error:
        sentence, of_a_name, path = str(error).partition(" - at `key` in `$")
        if not of_a_name:
            sentence, _, path = sentence.partition(" - at `$")
        word = path.rstrip("`").lstrip(".")
        head = re.split(r"[.\[]", word, maxsplit=1)[0]
        value: Any = values.get(head)
        for part in re.findall(r"\.(\w+)", word[len(head) :]):
            value = value.get(part) if isinstance(value, Mapping) else value
        if of_a_name and isinstance(value, Mapping):
            wrong = next((key for key in value if not isinstance(key, str)), None)
            raise JobError(f"a name must be text, not {kind_of(wrong)}", inside + WORDS.get(head, head)) from error
        if word == f"{head}[...]" and isinstance(value, Mapping):
            # msgspec does not say which entry it is; the others may be secrets
            for key, part in value.items():
                if _refused(kind, {**plain, head: {key: _plain(part)}}):
                    word, value = f"{head}[{key}]", part
                    break
        word = inside + WORDS.get(head, head) + word[len(head) :]
        # in an environment a text may be a secret
        told = "" if head == "env" and not isinstance(value, (int, float, type(None))) else f": {shown(value)}"
        raise JobError(f"{sentence[0].lower()}{brief(sentence[1:].replace('`', ''))}{told}", word) from error


def _refused(kind: type[Struct], plain: Mapping[str, Any]) -> bool:
    try:
        msgspec.convert(plain, kind)
    except msgspec.ValidationError:
        return True
    return False


def _plain(value: Any) -> Any:
    if hasattr(value, "__dataclass_fields__"):
        value = vars(value)
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return [_plain(part) for part in value]
    return value


#: A quoted part, an escaped character, or plain text, of a shell's command.
_PART = re.compile(r"""'[^']*'|"(?:[^"\\]|\\.)*"|\\.|[^'"\\]+""", re.DOTALL)
#: What a shell would obey in a word that is not quoted: redirections, pipes, several commands, variables, homes, patterns.
_SHELL = re.compile(r"[<>|;`*]|^&|&$|^#|^~|\$[\w{(@*?!$]")
#: What it would set for a command, before its first word.
_SETS = re.compile(r"[A-Za-z_]\w*=")
#: What it would put in the place of something also within "...".
_EXPANDED = re.compile(r"(?<!\\)(\$[\w{(@*?!$]|`)")
#: Who does so itself with the text that is quoted.
_SHELLS = re.compile(r"(.*/)?(a|ba|c|da|k|tc|z)?sh")


def words_of(command: Any, field: str) -> Sequence[Any]:
    """A command's words: a text is split as a shell would split it, a list is ready; empty is empty.

    No shell runs it: of what only a shell understands, where it is not quoted, there is a `JobFileWarning`.
    """
    if not isinstance(command, str):
        return texts_of(command, field)
    try:
        words = shlex.split(_PART.sub(_continued, command))
    except ValueError as error:
        raise JobError(f"{shown(command)} can't be split into words: {str(error).lower()}", field) from error
    for_shell = list(dict.fromkeys(_for_shell(command, words)))
    if for_shell:
        many, it = len(for_shell) > 1, "them" if len(for_shell) > 1 else "it"
        sentence = (
            f"{field}: {', '.join(map(shown, for_shell))} {'are' if many else 'is'} for a shell, and none runs the command: the "
            f"program gets {it} as written. Quote {it} by '...' where that is meant, else write "
            'argv=["/bin/sh", "-c", "..."]'
        )
        warnings.warn(f"{_place()}{sentence}", JobFileWarning, stacklevel=2)
    return words


def _for_shell(command: str, words: Sequence[str]) -> Iterator[str]:
    """The words of a command that only a shell understands."""
    bare = _PART.sub(lambda part: part[0] if part[0][0] not in "'\"\\" else "q" * (part[0] != "\\\n"), command)
    yield from itertools.takewhile(_SETS.match, bare.split())
    yield from filter(_SHELL.search, bare.split())
    if not (words and _SHELLS.fullmatch(words[0])):
        yield from (part[0] for part in _PART.finditer(command) if part[0][0] == '"' and _EXPANDED.search(part[0]))


def _place() -> str:
    """``jobs.py:3: `` of the job file that is being evaluated, the innermost line; empty: none is."""
    frame: Optional[FrameType] = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__") != MODULE:
        frame = frame.f_back
    return "" if frame is None else f"{frame.f_globals['__file__']}:{frame.f_lineno}: "


def _continued(part: re.Match[str]) -> str:
    """Without a backslash at the end of a line, which goes on in the next one."""
    text: str = part[0]
    if text[0] == '"':
        return re.sub(r"\\(.)", lambda one: "" if one[1] == "\n" else one[0], text, flags=re.DOTALL)
    return "" if text == "\\\n" else text


def texts_of(value: Any, field: str) -> Sequence[Any]:
    """One text, or a list of them, as a list; what is in it is looked at by `convert`."""
    if isinstance(value, str):
        return (value,) if value else ()
    if not isinstance(value, Sequence) or isinstance(value, (bytes, bytearray)):
        raise JobError(f"must be text or a list of texts, not {kind_of(value)}", field)
    return value


def kind_of(value: Any) -> str:
    """A wrong value as a sentence shows it: ``int 3``."""
    return f"{type(value).__name__} {shown(value)}"
