"""How much there may be of anything that comes from outside: one table, for `validate` and for the daemon.

`refusal` walks a value field by field: a job, a request, a record out of the store. A field that nobody thought of has the
limits of its type, so none is without. The tables below say which fields have others; docs/reference/limits.md shows them.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any, Callable, NamedTuple, Optional

import msgspec
from msgspec import structs

from daqsched_executor.contract.foreign import printable


class Limit(NamedTuple):
    """The most that there may be of something, and why not more."""

    most: float
    unit: str
    why: str

    def __str__(self) -> str:
        return f"{self.most:,.0f} {self.unit}".rstrip()


# texts
TEXT = Limit(4096, "characters", "a path has at most that many (PATH_MAX)")
NAME = Limit(100, "characters", "names are parts of task ids, file names and columns")
MESSAGE = Limit(1000, "characters", "a message is a sentence, and goes to every executor that it concerns")
VERSION = Limit(200, "characters", "it is filled in wherever {version} stands")
HOST_NAME = Limit(253, "characters", "RFC 1123")
PATTERN = Limit(1000, "characters", "a regular expression is searched in every line")
ARGUMENT = Limit(131_071, "bytes", "execve(2) takes no longer one (MAX_ARG_STRLEN)")
# lists
ITEMS = Limit(1000, "entries", "what is not listed below")
WORDS = Limit(10_000, "words", "a command's arguments")
CHECKS = Limit(100, "checks", "each has a timer of its own in the executor")
PORTS = Limit(100, "ports", "an offer has some hundreds")
JOBS = Limit(10_000, "jobs", "four hundred times as many as a large farm has")
PIECES = Limit(2000, "pieces", "whoever follows a whole farm has Elasticsearch")
SELECTION = Limit(1000, "words", "each is compared with every instance")
WILDCARDS = Limit(50, "words with * or ?", "each is compared with every job and every host")
# what texts stand for
HOSTS = Limit(100_000, "hosts", "a pattern that stands for more is a typing mistake, not a farm")
INSTANCES = Limit(500_000, "instances", "twice as many as were measured")
FIXED_PORTS = Limit(2_000_000, "fixed ports on hosts", "each is compared with every other job's")
COMMAND = Limit(1 << 20, "bytes", "execve(2) takes 2 MiB of arguments and environment on a stack of 8 MiB")
JOB = Limit(2 << 20, "bytes", "a job travels to its host in one message")
# numbers
NUMBER = Limit(2.0**53, "", "beyond it a number of JSON is not exact")
COUNT = Limit(1_000_000, "", "nobody counts further")
DURATION = Limit(315_360_000, "seconds", "ten years")
MOMENT = Limit(253_402_300_799, "seconds since the epoch", "the end of the year 9999")
CORES = Limit(100_000, "cores", "no machine has more")
MEBIBYTES = Limit(1_000_000_000, "MiB", "no machine has more")
# requests
BODY = Limit(1 << 20, "bytes", "a request that carries no job file")
LOGIN_BODY = Limit(16 << 10, "bytes", "a name and a password: whoever sends them has shown nothing yet")
SPEC_BODY = Limit(16 << 20, "bytes", "a request that carries one: ten thousand jobs are some megabytes")
VALUES = Limit(
    1_000_000, "commas", "so many entries it may have; half a million hosts, each by its name, are within it"
)
QUERY = Limit(64 << 10, "bytes", "what stands in a request's address")
# times
PLANNING = Limit(20, "seconds", "a plan that takes longer is given up; whoever asked waits no longer than 30 s")

#: How the documentation calls them, in its order.
TABLE: dict[str, Limit] = {
    "a text": TEXT,
    "a name": NAME,
    "a message": MESSAGE,
    "a version": VERSION,
    "a host's name": HOST_NAME,
    "a regular expression": PATTERN,
    "an argument, or an environment variable with its name": ARGUMENT,
    "a list, or a mapping": ITEMS,
    "a command": WORDS,
    "the checks of a job": CHECKS,
    "the ports of a job": PORTS,
    "the jobs of a file": JOBS,
    "the pieces of sandboxes in a request": PIECES,
    "a selection": SELECTION,
    "of these": WILDCARDS,
    "the hosts of a job": HOSTS,
    "the instances of a file": INSTANCES,
    "the fixed ports of a file, each counted once for each host": FIXED_PORTS,
    "a command's words and its environment, placeholders filled in": COMMAND,
    "a whole job, as JSON": JOB,
    "a number": NUMBER,
    "a count": COUNT,
    "a duration": DURATION,
    "a time": MOMENT,
    "cores": CORES,
    "memory, disk": MEBIBYTES,
    "a request": BODY,
    "a request to log in or out": LOGIN_BODY,
    "a request with a job file": SPEC_BODY,
    "in it": VALUES,
    "a request's query": QUERY,
    "planning": PLANNING,
}

#: The fields whose texts, entries or numbers have other limits than `TEXT`, `ITEMS` and `NUMBER`. A field is known by its name,
#: wherever it is; what is in a list or a mapping has those of the field that holds it.
TEXTS = {
    "argv": ARGUMENT,
    "actions": ARGUMENT,
    "before": ARGUMENT,
    "after": ARGUMENT,
    "replaces": ARGUMENT,
    "env": ARGUMENT,
    "message": MESSAGE,
    "release": VERSION,
    "pattern": PATTERN,
    "level": PATTERN,
    "multiline": PATTERN,
    "grep": MESSAGE,
    **dict.fromkeys(("job", "user", "id", "name", "kind", "if_unchanged", "host"), HOST_NAME),
}
ENTRIES = {
    "argv": WORDS,
    "actions": WORDS,
    "before": WORDS,
    "after": WORDS,
    "replaces": WORDS,
    "checks": CHECKS,
    "ports": PORTS,
    "jobs": JOBS,
    "takes": JOBS,
    "hosts": HOSTS,
    "pieces": PIECES,
    "select": SELECTION,
    "only": SELECTION,
    "take": SELECTION,
}
NUMBERS = {
    "cpus": CORES,
    **dict.fromkeys(("mem", "disk", "keep", "buffer"), MEBIBYTES),
    **dict.fromkeys(("factor", "budget", "give_up", "failures", "batches", "pause_after"), COUNT),
    **dict.fromkeys(("until", "at", "time", "began"), MOMENT),
}
#: Texts of one line, in which nothing is that a terminal would obey.
LINES = frozenset(["message", "release", "owner", "user", "name", "job", "host", "id"])

#: Deeper than this nothing of ours goes.
DEEPEST = 32

#: A whole number that is exact in JSON has at most so many digits.
_DIGITS = 15


def unprintable(text: str) -> str:
    """Why a text can't be shown in one line as it is, as the end of a sentence; empty: it can. By the rule of all that is
    printed, `daqsched_executor.contract.foreign`."""
    return "" if printable(text) == text else "must be one line, without control characters"


def shown(value: Any, most: int = 100) -> str:
    """A wrong value as a sentence shows it: its beginning, where it is long."""
    if isinstance(value, (str, bytes)) and len(value) > most:
        return f"{value[:most]!r}... ({len(value):,} characters)"
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 256:
        return f"a number of {value.bit_length():,} bits"
    if isinstance(value, (list, tuple, dict, set, frozenset)) and len(value) > most:
        return f"{type(value).__name__} of {len(value):,} entries"
    text = repr(value)
    return text if len(text) <= most * 2 else f"{text[:most]}..."


def brief(text: str, most: int = 300) -> str:
    """Somebody else's sentence that quotes what we were given: on one line, without its middle where it is long."""
    short = text if len(text) <= most else f"{text[: most * 2 // 3]} ... {text[-most // 3 :]}"
    return printable(short)


def refusal(
    value: Any, texts: bool = True, limit: Optional[Callable[[str], Limit]] = None
) -> Optional[tuple[str, str]]:
    """Where in the value something is beyond its limit, as ``jobs[readout].stop.grace_s``, and a sentence about it; None:
    nothing is. Without ``texts`` only numbers are looked at; ``limit`` gives that of a number by its field's name."""
    return next(_refusals(value, "", "", 0, _Look(texts, limit or limit_of)), None)


def unbounded(field: str) -> Limit:
    """For who has better sentences for some numbers, and looks at the rest later."""
    return _NONE


_NONE = Limit(float("inf"), "", "")


class _Look(NamedTuple):
    texts: bool
    limit: Callable[[str], Limit]


def _refusals(value: Any, path: str, field: str, depth: int, look: _Look) -> Iterator[tuple[str, str]]:
    if depth > DEEPEST:
        yield path, "is nested too deep"
    elif value is None or isinstance(value, (bool, bytes)):
        return
    elif isinstance(value, str):
        sentence = _text(value, field) if look.texts else ""
        if sentence:
            yield path, sentence
    elif isinstance(value, (int, float)):
        sentence = number(value, look.limit(field))
        if sentence:
            yield path, sentence
    elif isinstance(value, (list, tuple, set, frozenset)):
        yield from _list(value, path, field, depth, look)
    elif isinstance(value, Mapping):
        yield from _mapping(value, path, field, depth, look)
    else:
        kind: type = type(value)
        for name, default in _fields(kind):
            part = getattr(value, name)
            if part is default or part is None or (not look.texts and type(part) is str):
                continue
            if type(part) is float or type(part) is int:  # the many, in a daemon that reads a large farm's records
                sentence = number(part, look.limit(name))
                if sentence:
                    yield f"{path}.{name}" if path else name, sentence
            else:
                yield from _refusals(part, f"{path}.{name}" if path else name, name, depth + 1, look)


def _text(text: str, field: str) -> str:
    # a value of the environment may be a secret, and sentences go into logs
    said = "the value" if field == "env" else shown(text)
    limit = TEXTS.get(field, TEXT)
    if len(text) > limit.most or (limit.unit == "bytes" and not text.isascii() and _bytes(text) > limit.most):
        length = _bytes(text) if limit.unit == "bytes" else len(text)
        return f"has {length:,} {limit.unit}, at most {limit.most:,.0f} are allowed"
    if "\0" in text:
        return f"{said} holds a NUL character"
    if text.isascii():
        return _of_line(text) if field in LINES and not text.isprintable() else ""
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        return f"{said} is not text: it is not valid Unicode (a name of bytes that are not UTF-8?)"
    return _of_line(text) if field in LINES else ""


def _of_line(text: str) -> str:
    why = unprintable(text)
    return f"{shown(text)} {why}" if why else ""


def number(value: float, limit: Limit = NUMBER) -> str:
    """Why this is no number to reckon with; empty: it is."""
    if abs(value) <= limit.most or limit is _NONE:
        return ""
    if value != value:
        return "must be a number, not NaN"
    said = f"{value:g}" if isinstance(value, float) else shown(value)
    return f"must be at most {limit}, not {said}" if value > 0 else f"must be at least -{limit}, not {said}"


def whole(text: str) -> Optional[int]:
    """The number that some ASCII digits are; None where they are anything else, or more than any number here has.

    Not `str.isdigit`, which other scripts and exponents pass too; and `int` refuses some thousand digits.
    """
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _DIGITS else None


def limit_of(field: str) -> Limit:
    """Of a number in the field of this name."""
    return NUMBERS.get(field, DURATION if field.endswith("_s") else NUMBER)


def _list(values: Any, path: str, field: str, depth: int, look: _Look) -> Iterator[tuple[str, str]]:
    if look.texts:
        yield from _too_many(len(values), path, field)
    for at, part in enumerate(values):
        if type(part) is str:  # the many
            sentence = _text(part, field) if look.texts else ""
            if sentence:
                yield path, sentence
            continue
        name = getattr(part, "name", None)
        named = isinstance(name, str) and 0 < len(name) <= NAME.most and name.isascii() and name.isprintable()
        yield from _refusals(part, f"{path}[{name if named else at}]", field, depth + 1, look)


def _mapping(values: Mapping[Any, Any], path: str, field: str, depth: int, look: _Look) -> Iterator[tuple[str, str]]:
    if look.texts:
        yield from _too_many(len(values), path, field)
    for name, part in values.items():
        sentence = _text(name, "name") if look.texts and isinstance(name, str) else ""
        if sentence:
            yield path, f"the name {sentence}"
        elif isinstance(name, str) and isinstance(part, str) and field in TEXTS:
            alone = _bytes(part)
            whole = _bytes(name) + 1 + alone
            if alone <= ARGUMENT.most < whole:
                yield f"{path}[{name}]", f"has {whole:,} bytes with its name, at most {ARGUMENT.most:,.0f} are allowed"
        yield from _refusals(part, f"{path}[{name}]", field, depth + 1, look)


def _too_many(count: int, path: str, field: str) -> Iterator[tuple[str, str]]:
    limit = ENTRIES.get(field, ITEMS)
    if count > limit.most:
        yield path, f"has {count:,} entries, at most {limit.most:,.0f} are allowed"


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


@cache
def _fields(kind: type) -> tuple[tuple[str, Any], ...]:
    """The fields of a struct or dataclass, with the defaults that all values share."""
    if issubclass(kind, msgspec.Struct):
        return tuple((one.name, one.default) for one in structs.fields(kind))
    if is_dataclass(kind):
        return tuple((one.name, one.default if one.default is not MISSING else MISSING) for one in fields(kind))
    raise AssertionError(f"nothing of ours has a {kind}")


#: How many names a sentence tells.
MOST_NAMES = 10


def some(names: Sequence[str], between: str = ", ", letters: int = 100) -> str:
    """The names, or the first of them, each with at most so many letters."""
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return between.join(name[:letters] for name in names[:MOST_NAMES]) + more


#: Of more words than these a sentence names the nearest alone.
MOST_WORDS = 20


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """The end of a sentence about a word that is not there: the one that was meant, or all that there are."""
    there = sorted(words)
    close = difflib.get_close_matches(word[:100], there, 1)
    if close:
        return f": did you mean {close[0]!r}?"
    return f": one of {', '.join(there)}" if 0 < len(there) <= MOST_WORDS else ""
