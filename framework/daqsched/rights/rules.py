"""The file that says who may do what, as it is written: read whole, or not at all.

Each mistake has the line and the field that it is in. Meaning is given to it by `grants`. Pure: the text comes in.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, Callable, Optional, Union

import msgspec

from daqsched.errors import DaqschedError
from daqsched.limits import brief, did_you_mean, shown
from daqsched.rights.marked_values import Path, values_of
from daqsched.rights.marked_values import RightsError as RightsError
from daqsched.rights.principal import PREFIXES
from daqsched.rights.verbs import VERBS, Role
from daqsched.select import selection

#: The longest file, in characters; the most rules, people and groups.
MOST_TEXT, MOST_RULES, MOST_NAMES = 1 << 20, 1000, 10_000

#: Groups that need no entry: everybody who has shown who he is.
KNOWN = "known"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}\Z")
_PATH = re.compile(r"^(.*?)(?: - at `(?:key in )?\$(.*)`)?\Z", re.DOTALL)
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")

Words = Union[str, tuple[str, ...]]

#: Is told of a mistake: where, and a sentence.
Wrong = Callable[[Path, str], None]


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """To whom what is given, or denied, of which part of the farm. All conditions of a rule count at once."""

    #: A person, a group, ``known``, or an identity with its prefix; one or several.
    to: Words
    role: Optional[str] = None
    #: Verbs that these do not get from any rule; ``*``: none at all.
    deny: Words = ()
    #: Words as on the command line.
    on: Words = ("*",)
    #: Only jobs of this owner, of this part of the farm; empty: of any.
    owner: Words = ()
    part: Words = ()
    #: Whose lines may be read, in the words of a selection, with ``service:`` before it of what is no job; none: no lines.
    logs: Words = ()
    #: So many programs may be ended by one request that this rule is needed for.
    at_once: Optional[int] = None
    #: Accounts that jobs may be given.
    accounts: Words = ()


class Public(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What who has not said who he is may see."""

    jobs: Words = ()


class Rights(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A whole file."""

    version: int
    people: dict[str, tuple[str, ...]] = {}
    groups: dict[str, tuple[str, ...]] = {}
    rules: tuple[Rule, ...] = ()
    public: Public = Public()
    #: The name of the file, for sentences.
    source: str = ""

    def line(self, number: int) -> str:
        """How sentences call a rule."""
        return f"rule {number + 1} of {self.source or 'the rights'}"


#: How a word of ``logs`` begins that is of no job, but of what else writes lines on a machine.
SERVICE = "service:"


def line_words(words: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The words of ``logs`` that are of jobs, and those that are of services, without what these begin with."""
    services = tuple(one[len(SERVICE) :] for one in words if one.startswith(SERVICE))
    return tuple(one for one in words if not one.startswith(SERVICE)), services


def words_of(value: Words) -> tuple[str, ...]:
    """One word, or several."""
    return (value,) if isinstance(value, str) else value


def read(text: str, source: str) -> Rights:
    """The rights that a file's text says; raises `RightsError`."""
    if len(text) > MOST_TEXT:
        raise RightsError([f"{source}: it has {len(text):,} characters, and at most {MOST_TEXT:,} are read"])
    raw, places = values_of(text, source)
    mistakes: list[tuple[int, str]] = []

    def wrong(path: Path, sentence: str) -> None:
        line = next(places[path[:size]] for size in range(len(path), -1, -1) if path[:size] in places)
        field = "".join(f"[{one + 1}]" if isinstance(one, int) else f".{one}" for one in path).lstrip(".")
        mistakes.append((line, f"{source}:{line}: {field}: {sentence}" if field else f"{source}:{line}: {sentence}"))

    if not isinstance(raw, dict):
        raise RightsError([f"{source}:1: it is not a mapping: begin with 'version: 1'"])
    found, broken = _found(raw, wrong)
    for path, sentence in _mistakes(found, broken):
        wrong(path, sentence)
    if mistakes:
        # in the order of the file, as it is gone through
        raise RightsError([sentence for _, sentence in sorted(mistakes, key=lambda one: one[0])])
    return msgspec.structs.replace(found, source=source)


def _found(raw: dict[str, Any], wrong: Wrong) -> tuple[Rights, frozenset[Path]]:
    """What of a file is as it should be, and where there is something that is not: of that no more is said."""
    broken: set[Path] = set()

    def told(path: Path, sentence: str) -> None:
        broken.update((path, path[:2]) if path[:1] == ("rules",) else (path,))
        wrong(path, sentence)

    values = _fields(raw, Rights, (), told, ("rules", "people", "groups", "public"))
    for kind in ("people", "groups"):
        whole = _mapping(raw, kind, told)
        members = {name: _converted(one, tuple[str, ...], (kind, name), told) for name, one in whole.items()}
        values[kind] = {name: one or () for name, one in members.items()}
    values["public"] = Public(**_fields(raw.get("public", {}), Public, ("public",), told))
    rules = raw.get("rules", [])
    if not isinstance(rules, list):
        _converted(rules, tuple[Any, ...], ("rules",), told)
        rules = []
    each = [_fields(one, Rule, ("rules", at), told) for at, one in enumerate(rules)]
    values["rules"] = tuple(Rule(**{"to": KNOWN, **one}) for one in each)
    return Rights(**{"version": 1, **values}), frozenset(broken)


def _mapping(raw: dict[str, Any], kind: str, told: Wrong) -> dict[str, Any]:
    found = raw.get(kind, {})
    if isinstance(found, dict):
        return found
    _converted(found, dict[str, Any], (kind,), told)
    return {}


def _fields(
    raw: Any, kind: type[msgspec.Struct], path: Path, told: Wrong, others: Sequence[str] = ()
) -> dict[str, Any]:
    """Each field by itself, so that one mistake hides no other; not those that somebody else looks at."""
    fields = {field.name: field for field in msgspec.structs.fields(kind) if field.name != "source"}
    if not isinstance(raw, dict):
        _converted(raw, dict[str, Any], path, told)
        return {}
    found = {}
    for name, value in raw.items():
        if name not in fields:
            told((*path, name), f"there is no such field{did_you_mean(name, fields)}")
        elif name not in others:
            converted = _converted(value, fields[name].type, (*path, name), told)
            if converted is not None or value is None:
                found[name] = converted
    for name, field in fields.items():
        if field.required and name not in raw:
            told(path, f"'{name}' is missing")
    return found


def _converted(raw: Any, kind: Any, path: Path, wrong: Wrong) -> Any:
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        match = _PATH.match(str(error))
        assert match is not None, "it matches anything"
        steps: list[Union[str, int]] = []
        for name, number in _STEP.findall(match[2] or ""):
            steps.append(int(number) if number.isdigit() else name or number)
        wrong((*path, *steps), brief(_words_for(match[1])))
        return None


def _words_for(sentence: str) -> str:
    """msgspec's sentence in the words of who writes the file."""
    sentence = sentence.replace("Object contains unknown field", "there is no such field:")
    sentence = re.sub(r"Object missing required field `(\w+)`", r"'\1' is missing", sentence)
    match = re.match(r"Expected `([^`]*)`, got `(\w+)`", sentence)
    if match:
        names = {"object": "a mapping", "array": "a list", "str": "a word", "int": "a number", "null": "nothing"}
        expected = " or ".join(names.get(one.strip(), one.strip()) for one in match[1].split("|"))
        return f"it is {names.get(match[2], match[2])} and should be {expected}"
    return sentence


def _mistakes(found: Rights, broken: Collection[Path]) -> Iterator[tuple[Path, str]]:
    """What can't be meant, with its place."""
    names_known = ("people",) not in broken and ("groups",) not in broken
    if found.version != 1:
        yield ("version",), f"it is {found.version}, and this daqsched reads version 1"
    for kind, names in (("people", found.people), ("groups", found.groups)):
        if len(names) > MOST_NAMES:
            yield (kind,), f"there are {len(names)}, and at most {MOST_NAMES:,} are read"
        for name, members in names.items():
            if name == KNOWN or not _NAME.match(name):
                yield (kind, name), f"{shown(name)} is not a valid name for one of the {kind}"
            for at, member in enumerate(members):
                why = _not_somebody(found, member, names_known, identities_only=kind == "people")
                if why:
                    yield (kind, name, at), why
    for name in sorted(found.people.keys() & found.groups.keys()):
        yield ("groups", name), f"{shown(name)} is one of the people, too: whoever is meant by it could not be told"
    yield from _twice(found)
    if len(found.rules) > MOST_RULES:
        yield ("rules",), f"there are {len(found.rules)}, and at most {MOST_RULES:,} are read"
    for at, rule in enumerate(found.rules):
        for field, why in _of_rule(found, rule, names_known, ("rules", at) in broken):
            yield ("rules", at, field), why
    yield from ((("public", "jobs"), why) for why in _not_selections(found.public.jobs))


def _twice(found: Rights) -> Iterator[tuple[Path, str]]:
    """An identity is one person's."""
    whose: dict[str, str] = {}
    for name, identities in found.people.items():
        for at, one in enumerate(identities):
            before = whose.setdefault(one, name)
            if before != name:
                yield ("people", name, at), f"{shown(one)} is {shown(before)} already"


def _not_somebody(found: Rights, word: str, names_known: bool, identities_only: bool = False) -> str:
    prefix, colon, name = word.partition(":")
    if colon:
        if prefix not in PREFIXES:
            return f"{shown(prefix)} is not a prefix of identities{_nearest(prefix, PREFIXES)}"
        return "" if name else f"{shown(word)} has no name behind the colon"
    if identities_only:
        return f"{shown(word)} has no prefix: write unix:{word} for the account of that name"
    known = (*found.people, *found.groups, KNOWN)
    if word in known or not names_known:
        return ""
    near = difflib.get_close_matches(word[:100], known, 1)
    meant = f"did you mean {near[0]!r}? Else " if near else ""
    return (
        f"there is no person or group {shown(word)}: {meant}enter it, or write unix:{word} for the account of that name"
    )


def _nearest(word: str, words: Iterable[str]) -> str:
    """All that there are, and which of them may have been meant."""
    near = difflib.get_close_matches(word[:100], list(words), 1)
    return f": one of {', '.join(words)}{f' (did you mean {near[0]!r}?)' if near else ''}"


def _not_selections(value: Words) -> Iterator[str]:
    for word in words_of(value):
        try:
            selection([word])
        except DaqschedError as error:
            yield str(error)


def _of_rule(found: Rights, rule: Rule, names_known: bool, broken: bool) -> Iterator[tuple[str, str]]:
    if not words_of(rule.to):
        yield "to", "it is empty: nobody is meant"
    for word in words_of(rule.to):
        why = _not_somebody(found, word, names_known)
        if why:
            yield "to", why
    if (rule.role is None) == (not words_of(rule.deny)) and not broken:
        yield "role", "a rule has either 'role', which gives, or 'deny'"
    if rule.role is not None and rule.role not in Role.__members__:
        yield "role", f"{shown(rule.role)} is not a role{_nearest(rule.role, Role.__members__)}"
    for verb in words_of(rule.deny):
        if verb not in VERBS and verb != "*":
            yield "deny", f"{shown(verb)} can't be asked for{_nearest(verb, (*VERBS, '*'))}"
    if words_of(rule.deny) and (words_of(rule.logs) or words_of(rule.accounts) or rule.at_once is not None):
        yield "deny", "what denies gives nothing: logs, accounts and at_once are in other rules"
    if rule.at_once is not None and rule.at_once < 0:
        yield "at_once", "it is a number of programs, 0 or more"
    if not words_of(rule.on):
        yield "on", "it is empty: nothing is meant; '*' is everything"
    yield from (("on", why) for why in _not_selections(rule.on))
    for words in line_words(words_of(rule.logs)):
        yield from (("logs", why) for why in _not_selections(words))
