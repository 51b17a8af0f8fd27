"""What must hold of a check beside its types: the rules of its type (`contract.CHECK_TYPES`), and those of any check."""

from __future__ import annotations

import re

from daqsched.jobfile.convert import WORDS
from daqsched.spec import CheckSpec
from daqsched_executor.contract import CHECK_TYPES, STDERR, STDOUT, UNHEALTHY_WORDS
from daqsched_executor.contract.checks import Rule, amount, positive


def mistake(check: CheckSpec) -> tuple[str, str]:
    """The first thing that is wrong: the job file's word for the field, and a sentence; two empty texts: nothing is."""
    if check.kind not in CHECK_TYPES:
        return "kind", f"{check.kind!r} is not a kind of check: one of {', '.join(CHECK_TYPES)}"
    theirs = {field: rule for field, rule in CHECK_TYPES[check.kind].fields.items() if rule is not None}
    for field, rule in {**_OF_ANY_TYPE, **theirs}.items():
        sentence = rule(getattr(check, field))
        if sentence:
            return WORDS.get(field, field), sentence
    return "", ""


def _unhealthy(word: str) -> str:
    return "" if word in UNHEALTHY_WORDS else f"{word!r} is not one of {', '.join(UNHEALTHY_WORDS)}"


def _stream(word: str) -> str:
    return "" if word in ("", STDOUT, STDERR) else f"{word!r} is not one of {STDOUT}, {STDERR}; empty: both"


def _pattern(text: str) -> str:
    try:
        re.compile(text.encode())
    except (re.error, OverflowError) as error:
        return f"{text!r} is not a regular expression: {error}"
    return ""


def _at_least_once(number: int) -> str:
    return "" if number >= 1 else f"must be at least 1, not {number}"


def _any_value(value: object) -> str:
    return ""


#: The rule of each field where a check's type has none of its own for it, in the order in which mistakes are said.
_OF_ANY_TYPE: dict[str, Rule] = {
    "unhealthy": _unhealthy,
    "argv": _any_value,
    "port": _any_value,
    "address": _any_value,
    "path": _any_value,
    "stream": _stream,
    "pattern": _pattern,
    "silence_s": amount,
    "grace_s": amount,
    "interval_s": positive,
    "timeout_s": positive,
    "failures": _at_least_once,
}
