"""Whether a sentence that a page shows is one that the code prints.

What the code prints are its string constants; an f-string is a sentence with holes. A shown sentence is explained where such
strings, one after the other, cover all of its words, but for what stands in holes.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from trees import nodes

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ("framework/daqsched", "executor/daqsched_executor", "vagrant/daqcluster")

#: Stands for a hole in a sentence of the code.
_HOLE = "\0"
#: A word of a sentence, and none of a value: names in quotes, addresses, paths, numbers and what is in capitals are values.
_WORD = re.compile(r"(?<![^\s(\[|])[A-Za-z][a-z']*[a-z](?=[)\],;:.?!]*(?:\s|$))")
#: Something is left out; within a path, quotes or brackets it is a value that is.
_CUT = re.compile(r"(?<![/'\"(\[])(?:…|\.\.\.)(?![/'\")\]])")
#: What the pages' examples are called.
_EXAMPLES = {
    "alice",
    "builder",
    "cabling",
    "daq",
    "evb",
    "flaky",
    "min",
    "monitor",
    "rcd",
    "readout",
    "storage",
    "text",
}
#: Words of a value that stands at the end of a sentence of the code, at most.
_VALUE_WORDS = 2


class _Sentence(NamedTuple):
    #: As a regular expression, of which most are never looked for.
    pattern: str
    #: One of its own words: where that is not shown, the pattern is not looked for.
    word: str
    #: Only the beginning or the end of what is printed.
    part: bool


def _texts(module: Sequence[ast.AST]) -> Iterator[str]:
    """All string constants but docstrings; those that are added are one."""
    inside: set[ast.AST] = set()
    for node in module:
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            inside.add(node.body[0])
            inside.update(ast.walk(node.body[0]))
        if node in inside:
            continue
        if isinstance(node, (ast.JoinedStr, ast.BinOp)):
            text = _text(node)
            if text.strip(_HOLE):
                yield text
            if isinstance(node, ast.JoinedStr):
                inside.update(one for one in ast.walk(node) if isinstance(one, ast.Constant) and one in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield re.sub(r"\{\w*\}|%[srd]", _HOLE, node.value)


def _text(node: ast.AST) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(one) for one in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _text(node.left) + _text(node.right)
    return _HOLE


@cache
def _printed() -> tuple[_Sentence, ...]:
    texts = {
        re.sub(r"\s+", " ", text)
        for source in SOURCES
        for file in (ROOT / source).rglob("*.py")
        for text in _texts(nodes(file))
    }
    parts = {part for text in texts for part in _parts(text)} - texts
    return tuple(one for text in (*texts, *parts) for one in _sentence(text, text in parts))


def _parts(text: str) -> Iterator[str]:
    """Beginnings and ends of it, as far as a comma, a colon and their like divide it."""
    for found in re.finditer(r"[:;,.]? [(]?", text):
        if found.group() != " ":
            yield text[: found.start()]
            yield text[found.end() :]


def _sentence(text: str, part: bool) -> Iterator[_Sentence]:
    words = _WORD.findall(text.replace(_HOLE, " "))
    # a word alone may stand anywhere; a little one between holes explains nothing beside it ("{host} of {farm}")
    if len(words) > 1 or (words and _HOLE in text):
        value = rf"(?:\S+ ?){{0,{_VALUE_WORDS if len(max(words, key=len)) > 2 else 0}}}"
        bare = text.strip(_HOLE)
        # what begins or ends with a mark may follow, or be followed by, any word
        before = r"(?<![A-Za-z])" if bare[:1].isalpha() else ""
        after = r"(?![A-Za-z])" if bare[-1:].isalpha() else ""
        if text.lstrip().startswith(_HOLE):
            before = r"\S*" if bare[:1].isalpha() else f"{value}? ?"
        if text.rstrip().endswith(_HOLE):
            after = r"\S*" if bare[-1:].isalpha() else f" ?{value}"
        # a page that shows a sentence in backticks has none within
        body = re.escape(text.strip(_HOLE + " ")).replace(_HOLE, ".{0,200}?").replace("`", "`?")
        yield _Sentence(f"{before}{body}{after}", max(words, key=len), part)


#: More of them than Python keeps by itself.
_compiled = cache(re.compile)


def words(shown: str) -> list[str]:
    """The words of a sentence, without those that are values."""
    return [found.group() for found in _WORD.finditer(shown) if found.group() not in _EXAMPLES]


def unexplained(shown: str) -> list[str]:
    """The words of a sentence that nothing in the code prints. Where it has a `…`, sentences may be there in part."""
    shown = re.sub(r"\s+", " ", shown)
    cut = _CUT.search(shown) is not None
    covered = bytearray(len(shown))
    for sentence in _printed():
        if (cut or not sentence.part) and sentence.word in shown:
            for found in _compiled(sentence.pattern).finditer(shown):
                covered[found.start() : found.end()] = b"\1" * (found.end() - found.start())
    left = (found for found in _WORD.finditer(shown) if not any(covered[found.start() : found.end()]))
    return [found.group() for found in left if found.group() not in _EXAMPLES]
