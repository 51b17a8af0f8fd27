"""What README.md and docs/ show is so: blocks, command lines, job files, sentences that are printed, and what is denied.

How a page is marked, and what is done with it: `tests/pages.py`. What is typed on a farm: tests/cluster/test_pages.py and
test_tutorials.py.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import click
import pytest

from command_lines import COMMANDS, mistake, ours
from daqcluster import Cluster
from daqcluster.engine import Engine
from daqsched.jobfile.load import load
from daqsched.rights.identity_provider import read as read_provider
from daqsched.rights.rules import read as read_rights
from daqsched_executor.forward.status.report import METRICS, PREFIX
from daqsched_executor.machine.policy import parse
from messages import unexplained, words
from pages import DENIALS, KINDS, NOT_OURS, PAGES, ROOT, Block, backticked, blocks, denials, indented, name, read
from tutorial import Typed, steps
from verbs import verbs

each_page = pytest.mark.parametrize("page", PAGES, ids=name)

#: What is typed, and not said: a first word.
_TYPED = re.compile(
    r"(?:\S*/)?(daqsched|daqsched-executor|daqcluster|make|curl|pip|python3?|pytest|head|systemctl|useradd|sysctl|apt-get|dnf)\b"
    r"|\.venv|from |import |[A-Z]\w+\(|--|\w+ = \w+ \+"
    # these two are compared to the letter: tests/unit/test_mistakes.py
    r"|jobs\.py:|forward\.yaml:"
)


@each_page
def test_every_block_is_fenced_and_says_what_it_is(page: Path) -> None:
    """A block that no test knows what to do with is one that may be wrong: `tests/pages.py` has the kinds."""
    assert not indented(read(page)), (
        f"{name(page)}: lines {indented(read(page))} begin a block: fence it, and give it a kind"
    )
    for block in blocks(read(page)):
        known = KINDS.get(block.kind, ())
        assert block.what in known or (block.what and "*" in known), (
            f"{name(page)}:{block.line}: {block.kind} {block.what!r} is no kind of block; tests/pages.py has them"
        )


def shell_of(block: Block, page: str) -> str:
    """What of a block is typed."""
    if block.kind == "sh" and block.what != "elsewhere":
        return block.text
    if block.kind == "console":
        return "\n".join(step.command for step in steps(f"```console\n{block.text}```") if isinstance(step, Typed))
    return ""


@each_page
def test_every_command_line_is_one_of_ours(page: Path) -> None:
    """Command, options, words of an option: as the parser of the command has them. In a sentence something may be left out."""
    wrong = [
        f"{name(page)}:{block.line}: {' '.join(line)}: {why}"
        for block in blocks(read(page))
        for line in ours(shell_of(block, read(page)))
        if (why := mistake(line, whole=True))
    ]
    wrong += [
        f"{name(page)}:{number}: {text}: {why}"
        for number, text in backticked(read(page))
        for line in ours(text)
        if (why := mistake(line, whole=False))
    ]
    assert not wrong, "\n".join(wrong)


@each_page
def test_what_is_said_to_be_printed_is_in_the_code(page: Path) -> None:
    """A sentence in backticks, or a block `text said`. Where it is a changed one, the page has to change; where the page leaves
    something out, it says `…`. It is no sentence of ours: then no backticks, or `_TYPED` here."""
    shown = [
        (number, text) for number, text in backticked(read(page)) if len(words(text)) > 2 and not _TYPED.match(text)
    ]
    for block in blocks(read(page)):
        if (block.kind, block.what) == ("text", "said"):
            shown += enumerate(block.text.splitlines(), block.line)
    wrong = [
        f"{name(page)}:{line}: {text!r}: nothing prints {left}" for line, text in shown if (left := unexplained(text))
    ]
    assert not wrong, "\n".join(wrong)


def test_every_symptom_is_in_words_that_are_printed() -> None:
    """The index of symptoms is found by them: a row without such words is found by nobody."""
    page = ROOT / "docs" / "operate" / "symptoms.md"
    rows = [row.split(" | ")[0].strip("| ") for row in read(page).splitlines() if row.startswith("| `")]
    assert len(rows) > 40
    for row in rows:
        shown = [text for _, text in backticked(row)]
        assert len(shown) == 1 and row.startswith("`") and len(words(shown[0])) > 1 and not unexplained(shown[0]), row


@each_page
def test_every_piece_of_a_job_file_is_a_job_file(page: Path, tmp_path: Path) -> None:
    """Each is evaluated after those that stand above it, as a reader would put them together."""
    above = "from daqsched import *\n"
    for number, block in enumerate(blocks(read(page))):
        if block.kind != "python" or block.what:
            continue
        path = tmp_path / f"piece{number}.py"
        text = above + _assigned(block.text)
        path.write_text(text + ("" if re.search(r"^jobs \+?= ", text, re.M) else _ONE_JOB))
        assert load(path).jobs, f"{name(page)}:{block.line}"
        above += _helping(block.text)


def _helping(piece: str) -> str:
    """What the pieces below it need: names, and not what a file says once."""
    said_once = {"jobs", "logging", "rollout", "confirm"}
    return _pieces(
        piece,
        lambda node: (
            not isinstance(node, ast.Expr)
            and not (isinstance(node, ast.Assign) and {getattr(one, "id", "") for one in node.targets} & said_once)
        ),
    )


def _pieces(piece: str, wanted: Callable[[ast.stmt], bool]) -> str:
    found = [ast.get_source_segment(piece, node) for node in ast.parse(piece).body if wanted(node)]
    return "".join(f"{text}\n" for text in found)


#: A job, for a piece that is about something else.
_ONE_JOB = 'jobs = [Job("one", "/bin/true", hosts="h1")]\n'


def _assigned(piece: str) -> str:
    """With what is only written down assigned: jobs, or files of services."""
    written = [
        ast.get_source_segment(piece, node.value) for node in ast.parse(piece).body if isinstance(node, ast.Expr)
    ]
    listed = ", ".join(one for one in written if one is not None)
    if not listed:
        return piece
    piece = _pieces(piece, lambda node: not isinstance(node, ast.Expr))
    whole = (
        f'logging = Logging(elasticsearch="http://es1:9200", files=[{listed}])'
        if "LogFiles" in listed
        else f"jobs = [{listed}]"
    )
    return f"{piece}\n{whole}\n"


@each_page
def test_every_program_compiles_and_calls_what_is_there(page: Path) -> None:
    """Of daqcluster's classes, what is called."""
    known = {
        *dir(Cluster),
        *dir(Engine),
        *vars(Cluster),
        *inspect.signature(Cluster).parameters,
        *inspect.signature(Engine).parameters,
    }
    for block in blocks(read(page)):
        if (block.kind, block.what) != ("python", "program"):
            continue
        tree = ast.parse(block.text)
        for node in ast.walk(tree):
            if "daqcluster" in page.name and isinstance(node, ast.Attribute):
                assert node.attr in known, f"{name(page)}:{block.line + node.lineno - 1}: nothing has {node.attr}"
            if "daqcluster" in page.name and isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "up":
                options = {word.arg for word in node.keywords}
                assert options <= set(inspect.signature(Cluster.up).parameters), f"{name(page)}: up takes no {options}"


def _unit_settings(text: str) -> None:
    """Variables are those of an option; SERVE_OPTIONS are options of `serve`."""
    for row in text.splitlines():
        variable, _, value = row.partition("=")
        known = [one.envvar for one in verbs(COMMANDS["daqsched"])["serve"].params if getattr(one, "envvar", None)]
        assert variable in ("SERVE_OPTIONS", *known), row
        if variable == "SERVE_OPTIONS":
            assert not mistake(["daqsched", "serve", *value.split()], whole=False)


def _copy_settings(text: str) -> None:
    """The same of `audit copy`, with COPY_OPTIONS."""
    group = verbs(COMMANDS["daqsched"])["audit"]
    assert isinstance(group, click.Group)
    known = [one.envvar for one in group.commands["copy"].params if getattr(one, "envvar", None)]
    assert {row.partition("=")[0] for row in text.splitlines()} <= {"COPY_OPTIONS", *known}


def _zookeeper(text: str) -> None:
    """ZooKeeper's own words, as the local cluster gives them."""
    for row in text.splitlines():
        assert re.fullmatch(r"(tickTime|minSessionTimeout)=\d+", row.partition("least:")[2].strip() or row), row


#: Whose settings they are: what looks at them.
SETTINGS: dict[str, Callable[[str], object]] = {
    "policy": lambda text: parse(text, "policy"),
    "serve.env": _unit_settings,
    "audit-copy.env": _copy_settings,
    "zoo.cfg": _zookeeper,
    "rights": lambda text: read_rights(text, "FILE"),
    "oidc": lambda text: read_provider(text, "FILE"),
}


@each_page
def test_every_file_of_settings_is_understood(page: Path) -> None:
    """By what reads it."""
    for block in blocks(read(page)):
        if block.kind in ("ini", "yaml"):
            SETTINGS[block.what](block.text)


@each_page
def test_every_metric_is_one(page: Path) -> None:
    """In what a page asks of Prometheus."""
    known = {PREFIX + metric for metric, _, _ in METRICS.values()}
    for block in blocks(read(page)):
        if block.kind == "promql":
            assert set(re.findall(r"\bdaqsched_\w+", block.text)) <= known


#: Files that are somebody else's.
_THEIRS = {"zoo.cfg"}
_FILES = [
    f"/{file.relative_to(ROOT)}"
    for folder in (
        "framework",
        "executor",
        "vagrant",
        "tests",
        "docs",
        "bench",
        "jobs",
        "scripts",
        "release",
        "compat",
        "typings",
    )
    for file in (ROOT / folder).rglob("*.*")
] + [f"/{file.name}" for file in ROOT.glob("*.*")]


@each_page
def test_every_file_that_a_page_names_is_there(page: Path) -> None:
    """Our modules, pages, units; by as much of the path as the page gives."""
    wrong = [
        f"{name(page)}:{line}: {named}"
        for line, text in backticked(read(page))
        for named in re.findall(r"(?<![\w./*$-])\w[\w./-]*\.(?:py|cpp|hpp|service|yaml|sh|cfg|toml|md|html)\b", text)
        if named not in _THEIRS and not any(file.endswith(f"/{named}") for file in _FILES)
    ]
    assert not wrong, "\n".join(wrong)


#: Names in the pages for developers that are others'.
_OTHERS = {"DataWatch", "psutil", "pythonpath", "reconcileTasks"}


@cache
def _names() -> set[str]:
    """All names of the code, and more words of it."""
    files = [ROOT / file[1:] for file in _FILES if file.endswith((".py", ".pyi", ".cpp", ".hpp"))]
    known = {word for file in files for word in re.findall(r"\w+", file.read_text(encoding="utf-8"))}
    return known | {part for file in files for part in (file.stem, *file.relative_to(ROOT).parts)} | _OTHERS


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.parent.name == "design" or page.stem == "architecture"], ids=name
)
def test_every_name_of_the_code_in_a_page_for_developers_is_there(page: Path) -> None:
    """Classes, functions, modules, folders; by the last part of a dotted name."""
    known = _names()
    wrong = [
        f"{name(page)}:{line}: {text}"
        for line, text in backticked(read(page))
        if re.fullmatch(r"[A-Za-z_][\w.]*(\(.*\))?", text) and text.split("(")[0].split(".")[-1] not in known
    ]
    assert not wrong, "\n".join(wrong)


_UNITS = {"": 1, "s": 1, "ms": 0.001, "KiB": 1 << 10, "MiB": 1 << 20, "KB": 1000, "MB": 1_000_000}


@each_page
def test_every_number_whose_place_in_the_code_a_page_names_is_the_one_there(page: Path) -> None:
    """A row of a table: what, its value, `module.NAME`."""
    for value, module, constant in re.findall(r"\| ([^|]+) \| `(daqsched[\w.]*)\.([A-Z_]+)` \|", read(page)):
        found = re.fullmatch(r"([\d.,/]+) ?(\w*)", value)
        assert found, f"{name(page)}: {value!r} of {module}.{constant} is no number with a unit"
        above, _, below = found[1].replace(",", "").partition("/")
        shown = float(above) / float(below or 1) * _UNITS[found[2]]
        real = getattr(importlib.import_module(module), constant)
        assert shown == pytest.approx(real), f"{name(page)}: {constant} is {real}, not {value}"


#: Clicks from the first page to any other.
MOST_CLICKS = 3


def test_every_page_is_found_within_three_clicks() -> None:
    """From README.md, by links."""
    found, edge = {ROOT / "README.md"}, {ROOT / "README.md"}
    for _ in range(MOST_CLICKS):
        links = {
            (page.parent / link).resolve()
            for page in edge
            for link in re.findall(r"\]\(([^)#\s]+\.md)", read(page))
            if "://" not in link
        }
        edge = {link for link in links if link in PAGES} - found
        found |= edge
    assert found == set(PAGES), sorted(map(name, set(PAGES) - found))


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "CONTRIBUTING.md"], ids=name)
def test_what_a_page_denies_is_shown_by_a_test(page: Path) -> None:
    """ "It does not …", "it has no …" go stale in silence when somebody builds it.

    Name behind the sentence, in a comment, the test that fails then: one that is refused, or that looks for what is not there.
    Where there is none, write one (tests/unit/test_denials.py), or leave the sentence out.
    """
    wrong = [
        f"{name(page)}:{one.line}: {one.text!r} denies something ({DENIALS.findall(one.text)}); which test shows it?"
        for one in denials(read(page))
        if not one.marks
    ]
    wrong += [
        f"{name(page)}:{one.line}: <!-- {mark} --> is no mark"
        for one in denials(read(page))
        for mark in one.marks
        if mark != NOT_OURS and not re.fullmatch(r"test_\w+\.py(::\w+)*", mark)
    ]
    assert not wrong, "\n".join([*wrong, "write <!-- test_FILE.py::TEST --> behind it (tests/pages.py)"])
