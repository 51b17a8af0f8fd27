"""What `--grep` means, the same for Elasticsearch and for the files of sandboxes. Pure.

A line that somebody pastes is found as it stands: signs between words mean nothing, with these exceptions.

- ``"in this order"``: these words one after the other.
- ``begin*``, ``*end``: a word that begins or ends so.
- ``-without``, ``-"in this order"``: no line that has this. Only before a letter or a quotation mark: ``-110`` is a number. As
  a pasted line may hold such a word, too, a line that has all of the text, word for word, is found nevertheless where that
  is four words or more, and people are told how the sign was read (`hint`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from daqsched.errors import UserError

#: A text of so many words is not in a line by chance.
PASTED = 4

_TOKEN = re.compile(r'(?<!\S)(-?)"([^"]*)"|(\S+)')
#: A sign joins what is alike on both sides: ``x.log``, ``1.5``, but not ``hlt01.daq``.
_WORD = re.compile(r"\w+(?:(?:(?<=[^\W\d_])[.'’:](?=[^\W\d_])|(?<=\d)[.,;'’](?=\d))\w+)*")
_WITHOUT = re.compile(r"-(?=[^\W\d_])")
_PLAIN = re.compile(r"[\w.:,'’]+\Z")


class GrepTerm(NamedTuple):
    """Words that a line must have one after the other, or must not have."""

    text: str
    words: tuple[str, ...]
    without: bool = False
    #: Of a single word: there may be more before it, or behind it.
    any_before: bool = False
    any_after: bool = False


def terms(text: str) -> tuple[GrepTerm, ...]:
    """What a text asks for, all of which must hold. Raises `UserError` where it has no word."""
    found = tuple(_terms(text))
    if text.strip() and not found:
        raise UserError(f"--grep {text!r} has no word to look for: signs between words are not looked at")
    return found


def _terms(text: str) -> Iterator[GrepTerm]:
    for sign, phrase, token in _TOKEN.findall(text):
        if token:
            without = bool(_WITHOUT.match(token))
            yield from _token(token[without:], without)
        elif split(phrase):
            yield GrepTerm(phrase, split(phrase), bool(sign))


def _token(token: str, without: bool) -> Iterator[GrepTerm]:
    words = split(token)
    if not words:
        return
    before, after = bool(re.match(r"\*+\w", token)), bool(re.search(r"\w\*+\Z", token))
    if len(words) == 1 or without or not (before or after):
        yield GrepTerm(token, words, without, before and len(words) == 1, after and len(words) == 1)
        return
    # more than one word with a star: the words between, and the first or the last as far as it goes
    inner = words[1 if before else 0 : -1 if after else None]
    if before:
        yield GrepTerm(words[0], words[:1], any_before=True)
    if inner:
        yield GrepTerm(" ".join(inner), inner)
    if after:
        yield GrepTerm(words[-1], words[-1:], any_after=True)


def hint(text: str) -> str:
    """How a sign was read that may have been meant as it stands; empty: there is none."""
    found = [one for one in terms(text) if one.without]
    if not found:
        return ""
    words = ", ".join(one.text.rstrip("*") for one in found)
    written = ", ".join(f'"-{one.text}"' for one in found)
    return f"--grep: lines with {words} are left out, as the sign - before a word says; to look for it write {written}"


def clause(text: str) -> dict[str, Any]:
    """The same as a query of Elasticsearch's."""
    found = terms(text)
    if not found:
        return {"match_all": {}}
    inner = [one for one in found if not one.any_before]
    parts: list[dict[str, Any]] = []
    if inner:
        query = {"query": " ".join(map(_simple, inner)), "fields": ["message"], "default_operator": "and"}
        parts.append({"simple_query_string": query})
    for one in found:
        if one.any_before:
            value = {"value": f"*{one.words[0]}{'*' * one.any_after}", "case_insensitive": True}
            wildcard: dict[str, Any] = {"wildcard": {"message": value}}
            parts.append({"bool": {"must_not": wildcard}} if one.without else wildcard)
    whole = parts[0] if len(parts) == 1 else {"bool": {"filter": parts}}
    if not _pasted(text, found):
        return whole
    return {"bool": {"should": [whole, {"match_phrase": {"message": text}}], "minimum_should_match": 1}}


def _simple(term: GrepTerm) -> str:
    """A term in the language of simple_query_string, whose own signs stand for nothing in it but these."""
    sign = "-" if term.without else ""
    if term.any_after:
        return f"{sign}{term.words[0]}*"
    if _PLAIN.match(term.text):
        return sign + term.text
    text = re.sub(r'[\\"]', " ", term.text)
    return f'{sign}"{text}"'


def matcher(text: str) -> Callable[[str], bool]:
    """Whether a line has what a text asks for; capitals do not matter."""
    found = terms(text)
    whole = split(text) if _pasted(text, found) else ()

    def test(line: str) -> bool:
        words = split(line)
        return all(_holds(one, words) is not one.without for one in found) or bool(whole) and _at(whole, words)

    return test


def _pasted(text: str, found: tuple[GrepTerm, ...]) -> bool:
    return any(one.without for one in found) and len(split(text)) >= PASTED


def _holds(term: GrepTerm, line: tuple[str, ...]) -> bool:
    word = term.words[0]
    if term.any_before and term.any_after:
        return any(word in one for one in line)
    if term.any_before:
        return any(one.endswith(word) for one in line)
    if term.any_after:
        return any(one.startswith(word) for one in line)
    return _at(term.words, line)


def _at(words: tuple[str, ...], line: tuple[str, ...]) -> bool:
    return any(line[at : at + len(words)] == words for at in range(len(line) - len(words) + 1))


def split(text: str) -> tuple[str, ...]:
    """The words of a text, nearly as Elasticsearch's standard analyzer finds them."""
    return tuple(_WORD.findall(text.lower()))
