"""The pages of the documentation, as their tests see them: blocks, what stands in backticks, and sentences that deny something.

Each block of a page is fenced and has a kind, and the kind says what a test does with it:

    console           typed on a farm, and what is printed is compared (`tests/tutorial.py` says how it is marked)
    console recorded  the same, with a farm whose answers are recorded (tests/contract/test_recorded.py)
    sh                typed somewhere else: bash must understand it; a command of ours in it must exist, with its options
    sh crew           the same, and each line is run on a farm; so are commands that are all of a table's cell
    sh elsewhere      typed in a checkout of somebody else's: bash must understand it
    python            a piece of a job file: evaluated after those that stand above it in the page
    python FILE       a file that the reader writes
    python program    a program: compiled; calls of ours in it must fit
    ini WHAT          a file of settings; WHAT says whose (`SETTINGS` in tests/unit/test_pages.py)
    yaml rights       a file of rights: read as the daemon reads it
    yaml oidc         a file of an identity provider: the same
    text said         what daqsched prints: found in the code
    c, promql, text   a program, questions to Prometheus, a picture

What no reader needs to see, such as what makes a page's farm, is a comment: ``<!-- console``, the lines, ``-->``; so is a file,
``<!-- python jobs.py``.

A sentence that denies something (`DENIALS`) names the test that fails once it is wrong, in a comment behind it or in its paragraph:
``It has no roles. <!-- test_denials.py::test_no_roles -->``. One that is not about daqsched says so: ``<!-- not ours -->``.
A comment of its own above a table is for all of its rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent

#: All that a reader of the documentation reads.
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md")))

#: The tour of docs/start/, in the order in which it is read: each page goes on with the farm of the one before.
TOUR = ("first-ten-minutes", "first-jobfile", "first-update", "something-breaks", "find-a-line")

#: Kind -> the second words that it may have; "": none, "*": any.
KINDS = {
    "console": ("", "recorded"),
    "sh": ("", "crew", "elsewhere"),
    "python": ("", "program", "*"),
    "ini": ("*",),
    "yaml": ("rights", "oidc"),
    "text": ("", "said"),
    "c": ("",),
    "promql": ("",),
}

#: The mark of a sentence that is not about daqsched.
NOT_OURS = "not ours"

#: What makes a sentence one that denies: daqsched, or a part of it, does not do, have or need something.
DENIALS = re.compile(
    r"\b(?:(?:do|does|can) not|don't|doesn't|can't|cannot|never|no longer|not yet|no [a-z]+ yet|(?:nobody|nothing) can"
    r"|(?:has|have|needs?|speaks?|starts?|makes?|takes?|knows?|gets?|opens?|reads?|sends?) (?:no|nothing|nobody)"
    r"|(?:is|are) no|(?:nothing|nobody)(?: [a-z]+){1,5} yet"
    # what is not done: "images are not pulled", "nothing is saved", "no copy is started"
    r"|(?:is|are) not [a-z]+(?:ed|wn|ld|ept)|nothing (?:is|can be)|no [a-z]+ (?:is|are))\b",
    re.IGNORECASE,
)
#: What follows one of these is a condition, and no claim: "where the master does not answer, …".
_CONDITION = re.compile(
    r"\b(?:where|that|which|who|whoever|what|whatever|whose|if|when|while|until|unless|because|before|as|whether|how|why|than)\b",
    re.IGNORECASE,
)
_FENCE = re.compile(
    r"^(?P<pad> *)```(?P<info>.*)\n(?P<text>(?:.*\n)*?)(?P=pad)```$|^<!-- (?P<hidden>console|python \S+)\n(?P<said>(?:.*\n)*?)-->$",
    re.M,
)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)


class Block(NamedTuple):
    """A block of a page."""

    kind: str
    #: The second word: a file's name, whose settings these are.
    what: str
    text: str
    #: Where its text begins.
    line: int


class Sentence(NamedTuple):
    """A sentence that denies something, and the marks behind it or in its paragraph."""

    text: str
    line: int
    marks: tuple[str, ...]


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: str) -> Iterator[Block]:
    """All of them, in order; those of lists without their indentation."""
    for found in _FENCE.finditer(page):
        line = page.count("\n", 0, found.start()) + 2
        if found["hidden"]:
            kind, _, what = found["hidden"].partition(" ")
            yield Block(kind, what, found["said"], line)
            continue
        kind, _, what = found["info"].strip().partition(" ")
        pad = len(found["pad"])
        yield Block(kind, what, "".join(row[pad:] for row in found["text"].splitlines(keepends=True)), line)


#: A cell of a table that is a command and nothing else, with nothing left out.
_CELL = re.compile(r"^\|.*?\| `(?P<second>daqsched [^`]*)` \|$|^\| `(?P<first>daqsched [^`]*)` \|", re.M)


def listed(page: str) -> Iterator[tuple[int, str]]:
    """Commands that a table lists, each with its line: those without a word in capitals, which would be the reader's own."""
    text = prose(page)
    for found in _CELL.finditer(text):
        command = found["first"] or found["second"]
        if len(command.split()) > 2 and not re.search(r"\b[A-Z]{2,}\b|…|\.\.\.", command):
            yield text.count("\n", 0, found.start()) + 1, command


def prose(page: str) -> str:
    """The page without its blocks; lines stay where they were."""
    return _FENCE.sub(lambda found: "\n" * found.group().count("\n"), page)


def indented(page: str) -> list[int]:
    """Lines that begin a block which is not fenced."""
    lines = prose(page).splitlines()
    return [
        number
        for number, (before, line) in enumerate(zip(["", *lines], lines), 1)
        if line.startswith("    ") and line.strip() and not before.strip()
    ]


def backticked(page: str) -> Iterator[tuple[int, str]]:
    """What stands in backticks, and its line; what is folded there is one line."""
    text = prose(page)
    for found in re.finditer(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", text, re.DOTALL):
        if "\n\n" not in found[2]:
            yield text.count("\n", 0, found.start()) + 1, re.sub(r"\s*\n\s*", " ", found[2].strip())


def denials(page: str) -> Iterator[Sentence]:
    """The sentences that deny something."""
    above: tuple[str, ...] = ()
    for line, paragraph in _paragraphs(prose(page)):
        if paragraph.startswith("<!--"):
            above = tuple(mark.strip("<!-> \n") for mark in _COMMENT.findall(paragraph))
            continue
        if not paragraph.startswith("|"):
            above = ()
        if paragraph.startswith("#"):
            continue
        shown = above + tuple(re.findall(r"`(?:tests/\w+/)?(test_\w+\.py(?:::\w+)*)`", paragraph))
        for sentence in _sentences(paragraph):
            marks = tuple(mark.strip("<!-> \n") for mark in _COMMENT.findall(sentence))
            text = _COMMENT.sub("", sentence).strip()
            # of a row the first cell says when
            if any(_denies(cell) for cell in (text.split(" | ")[1:] if text.startswith("|") else [text])):
                yield Sentence(text, line, (*marks, *shown))


def _denies(text: str) -> bool:
    text = re.sub(r"`+[^`]*`+", "`…`", text)
    for clause in re.split(r"[,;:()]\s*", text):
        found = DENIALS.search(clause)
        if found and not _CONDITION.search(clause, 0, found.start()):
            return True
    return False


def _paragraphs(text: str) -> Iterator[tuple[int, str]]:
    """Each with its line: paragraphs, points of lists, rows of tables."""
    first = 1
    lines: list[str] = []
    for number, line in enumerate([*text.splitlines(), ""], 1):
        if lines and (not line.strip() or re.match(r"\s*(?:[-*] |\d+\. |\||#)", line)):
            yield first, " ".join(lines)
            lines = []
        if line.strip():
            first = first if lines else number
            lines.append(line.strip())


def _sentences(paragraph: str) -> Iterator[str]:
    """A row of a table is one sentence. Comments belong to what stands before them."""
    if paragraph.startswith("|"):
        yield paragraph
        return
    # a full stop within backticks or a comment ends nothing
    hidden = re.sub(r"`+[^`]*`+|<!--.*?-->", lambda found: re.sub(r"[.?:;,()]", "\0", found.group()), paragraph)
    begin = 0
    for found in re.finditer(r"[.!?][*)\"]*(?:\s+<!--.*?-->)*(?:\s+|$)", hidden):
        yield paragraph[begin : found.end()]
        begin = found.end()
    if paragraph[begin:].strip():
        yield paragraph[begin:]
