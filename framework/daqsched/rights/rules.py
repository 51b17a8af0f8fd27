"""The file that says who may do what, as it is written: read whole, or not at all.

Each mistake has the line and the field that it is in. Meaning is given to it by `grants`. Pure: the text comes in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Optional, Union

import msgspec
import yaml

from daqsched.errors import DaqschedError, UserError
from daqsched.limits import brief, shown
from daqsched.rights.principal import PREFIXES
from daqsched.rights.verbs import VERBS, Role
from daqsched.select import selection

#: The longest file, in characters; the most rules, people and groups; how deep values may be in others.
MOST_TEXT, MOST_RULES, MOST_NAMES, MOST_DEPTH = 1 << 20, 1000, 10_000, 20

#: Groups that need no entry: everybody who has shown who he is.
KNOWN = "known"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}\Z")
#: What YAML makes of an escape, and nobody can print or compare.
_HALF = re.compile(r"[\ud800-\udfff]")
_PATH = re.compile(r"^(.*?)(?: - at `(?:key in )?\$(.*)`)?\Z", re.DOTALL)
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")

Words = Union[str, tuple[str, ...]]


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
    #: Whose lines may be read, in the words of a selection; none: no lines.
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


def words_of(value: Words) -> tuple[str, ...]:
    """One word, or several."""
    return (value,) if isinstance(value, str) else value


def read(text: str, source: str) -> Rights:
    """The rights that a file's text says; raises `RightsError`."""
    if len(text) > MOST_TEXT:
        raise RightsError([f"{source}: it has {len(text):,} characters, and at most {MOST_TEXT:,} are read"])
    node = _compose(text, source)
    raw, places = _plain(node, source)
    mistakes: list[str] = []

    def wrong(path: tuple[Union[str, int], ...], sentence: str) -> None:
        line = next(places[path[:size]] for size in range(len(path), -1, -1) if path[:size] in places)
        field = "".join(f"[{one + 1}]" if isinstance(one, int) else f".{one}" for one in path).lstrip(".")
        mistakes.append(f"{source}:{line}: {field}: {sentence}" if field else f"{source}:{line}: {sentence}")

    if not isinstance(raw, dict):
        raise RightsError([f"{source}:1: it is not a mapping: begin with 'version: 1'"])
    rules = raw.get("rules", [])
    good: list[Rule] = []
    for at, one in enumerate(rules if isinstance(rules, list) else []):
        rule = _converted(one, Rule, ("rules", at), wrong)
        if rule is not None:
            good.append(rule)
    rest = {**raw, "rules": []} if isinstance(rules, list) else raw
    found: Optional[Rights] = _converted(rest, Rights, (), wrong)
    if found is None or mistakes:
        raise RightsError(mistakes)
    found = msgspec.structs.replace(found, rules=tuple(good), source=source)
    for path, sentence in _mistakes(found):
        wrong(path, sentence)
    if mistakes:
        raise RightsError(mistakes)
    return found


def _compose(text: str, source: str) -> Any:
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
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
    except RecursionError as error:
        raise RightsError([f"{source}: values are in values more than {MOST_DEPTH} deep"]) from error


def _plain(node: Any, source: str) -> tuple[Any, dict[tuple[Union[str, int], ...], int]]:
    """The values of a YAML tree, and the line of each by its path."""
    places: dict[tuple[Union[str, int], ...], int] = {(): 1}
    # numbers and words alone: what else YAML makes of a word (dates, yes and no) is a word here
    whole = re.compile(r"-?[0-9]{1,18}\Z")

    def text(node: Any, line: int) -> None:
        if _HALF.search(node.value):
            raise RightsError([f"{source}:{line}: {shown(node.value)} is half of a character (\\ud800 to \\udfff)"])

    def value(node: Any, path: tuple[Union[str, int], ...]) -> Any:
        places[path] = node.start_mark.line + 1
        if len(path) > MOST_DEPTH:
            raise RightsError([f"{source}:{places[path]}: values are in values more than {MOST_DEPTH} deep"])
        if isinstance(node, yaml.MappingNode):
            found: dict[str, Any] = {}
            for name, one in node.value:
                line = name.start_mark.line + 1
                if not isinstance(name, yaml.ScalarNode):
                    raise RightsError([f"{source}:{line}: a key is a word"])
                text(name, line)
                if name.value in found:
                    raise RightsError([f"{source}:{line}: {shown(name.value)} is there twice"])
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


def _converted(raw: Any, kind: Any, path: tuple[Union[str, int], ...], wrong: Any) -> Any:
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


def _mistakes(found: Rights) -> Iterator[tuple[tuple[Union[str, int], ...], str]]:
    """What can't be meant, with its place."""
    if found.version != 1:
        yield ("version",), f"it is {found.version}, and this daqsched reads version 1"
    for kind, names in (("people", found.people), ("groups", found.groups)):
        if len(names) > MOST_NAMES:
            yield (kind,), f"there are {len(names)}, and at most {MOST_NAMES:,} are read"
        for name, members in names.items():
            if name == KNOWN or not _NAME.match(name):
                yield (kind, name), f"{shown(name)} is not a valid name for one of the {kind}"
            for at, member in enumerate(members):
                why = _not_somebody(found, member, identities_only=kind == "people")
                if why:
                    yield (kind, name, at), why
    for name in sorted(found.people.keys() & found.groups.keys()):
        yield ("groups", name), f"{shown(name)} is one of the people, too: whoever is meant by it could not be told"
    yield from _twice(found)
    if len(found.rules) > MOST_RULES:
        yield ("rules",), f"there are {len(found.rules)}, and at most {MOST_RULES:,} are read"
    for at, rule in enumerate(found.rules):
        for field, why in _of_rule(found, rule):
            yield ("rules", at, field), why
    yield from ((("public", "jobs"), why) for why in _not_selections(found.public.jobs))


def _twice(found: Rights) -> Iterator[tuple[tuple[Union[str, int], ...], str]]:
    """An identity is one person's."""
    whose: dict[str, str] = {}
    for name, identities in found.people.items():
        for at, one in enumerate(identities):
            before = whose.setdefault(one, name)
            if before != name:
                yield ("people", name, at), f"{shown(one)} is {shown(before)} already"


def _not_somebody(found: Rights, word: str, identities_only: bool = False) -> str:
    prefix, colon, name = word.partition(":")
    if colon:
        if prefix not in PREFIXES:
            return f"{shown(prefix)} is not a prefix of identities: one of {', '.join(PREFIXES)}"
        return "" if name else f"{shown(word)} has no name behind the colon"
    if identities_only:
        return f"{shown(word)} has no prefix: write unix:{word} for the account of that name"
    if word in found.people or word in found.groups or word == KNOWN:
        return ""
    return f"there is no person or group {shown(word)}: enter it, or write unix:{word} for the account of that name"


def _not_selections(value: Words) -> Iterator[str]:
    for word in words_of(value):
        try:
            selection([word])
        except DaqschedError as error:
            yield str(error)


def _of_rule(found: Rights, rule: Rule) -> Iterator[tuple[str, str]]:
    if not words_of(rule.to):
        yield "to", "it is empty: nobody is meant"
    for word in words_of(rule.to):
        why = _not_somebody(found, word)
        if why:
            yield "to", why
    if (rule.role is None) == (not words_of(rule.deny)):
        yield "role", "a rule has either 'role', which gives, or 'deny'"
    if rule.role is not None and rule.role not in Role.__members__:
        yield "role", f"{shown(rule.role)} is not a role: one of {', '.join(Role.__members__)}"
    for verb in words_of(rule.deny):
        if verb not in VERBS and verb != "*":
            yield "deny", f"{shown(verb)} can't be asked for: one of {', '.join(VERBS)}, or '*'"
    if words_of(rule.deny) and (words_of(rule.logs) or words_of(rule.accounts) or rule.at_once is not None):
        yield "deny", "what denies gives nothing: logs, accounts and at_once are in other rules"
    if rule.at_once is not None and rule.at_once < 0:
        yield "at_once", "it is a number of programs, 0 or more"
    if not words_of(rule.on):
        yield "on", "it is empty: nothing is meant; '*' is everything"
    for field in ("on", "logs"):
        yield from ((field, why) for why in _not_selections(getattr(rule, field)))
