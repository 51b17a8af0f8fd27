"""A job field by field in a job file's words: what is set in it, and what differs between two of them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from msgspec import structs

from daqsched.jobfile.convert import WORDS
from daqsched.redaction import marks
from daqsched.spec import CheckSpec, JobSpec, plain

_NONE = "none"
#: Fields whose texts are a command, for people as a shell would take it.
_COMMANDS = frozenset(["command", "stop.before", "stop.after"])


def differences(old: JobSpec, new: JobSpec, key: bytes = b"") -> tuple[str, ...]:
    """Each field that differs, hosts apart, as ``field old -> new``: ``restart.cap_s 60 -> 30``; of the
    environment that it differs, see `redaction`."""
    were, are = (dict(described(structs.replace(job, env=marks(key, job)))) for job in (old, new))
    return tuple(
        f"{word} {were.get(word, _NONE)} -> {are.get(word, _NONE)}"
        for word in {**were, **are}
        if word != "hosts" and were.get(word) != are.get(word)
    )


def described(job: JobSpec) -> Iterator[tuple[str, str]]:
    """Field by field, defaults too: ``("restart.cap_s", "60")``; of checks and containers what is set, in one line each."""
    for name in job.__struct_fields__:
        value = getattr(job, name)
        if name == "checks":
            yield from ((f"check[{check.name}]", _settings(check)) for check in value)
        elif name == "forwarding":
            yield from _leaves("logging", value)
        elif name == "container":
            yield name, _NONE if value is None else _settings(value)
        elif name != "name":
            yield from _leaves(WORDS.get(name, name), value)


def changed(job: JobSpec) -> Iterator[tuple[str, str]]:
    """As `described`, without what is as it is by default."""
    bare = dict(described(JobSpec(name=job.name, argv=())))
    return ((word, text) for word, text in described(job) if bare.get(word) != text)


def _leaves(word: str, value: Any) -> Iterator[tuple[str, str]]:
    if is_dataclass(value):
        value = {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, tuple) and value and is_dataclass(value[0]):
        for part in value:
            yield from _leaves(f"{word}[{part.name}]", part)
        return
    if not isinstance(value, Mapping):
        yield word, _text(value, word in _COMMANDS)
        return
    for name, part in sorted(value.items()) if word in ("env", "labels") else value.items():
        if word == "actions":
            yield f"{word}[{name}]", _text(part, True)
        else:
            yield from _leaves(f"{word}.{name}", part)


def _settings(value: Any) -> str:
    """``tcp port={port:http} interval_s=5``: what makes it what it is, then what is not as by default."""
    told = plain(value)
    head = told.pop("kind", None) or told.pop("image", "")
    told.pop("name", None) if isinstance(value, CheckSpec) else None
    parts = [f"{name}={_text(getattr(value, name), name == 'argv')}" for name in told]
    return " ".join([head, *parts])


def _text(value: Any, command: bool = False) -> str:
    if isinstance(value, tuple):
        texts = [_text(part) for part in value]
        return " ".join(_quoted(text) if command else text for text in texts) or _NONE
    if isinstance(value, float):
        return f"{value:.10g}"
    return str(value) if value != "" else _NONE


def _quoted(word: str) -> str:
    """As a shell would take it, placeholders left readable."""
    return word if re.fullmatch(r"[\w{}/:.,=@%+-]+", word) else shlex.quote(word)
