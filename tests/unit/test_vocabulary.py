"""The field's words, and one meaning for each."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import pytest

from pages import PAGES
from trees import nodes

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGES = [ROOT / "framework" / "daqsched", ROOT / "executor" / "daqsched_executor"]

WORD = "a word of job files, and what it becomes there where it is carried out"
SIDES = "an event of the scheduler's core and one of the executor's; neither knows the other"
APART = "one in the framework, one in the executor, which is installed without it: each is the field's word there"

#: Names of classes that several modules have, and why that is no two meanings of one word where somebody reads.
SEVERAL = {
    "Check": WORD,
    "Container": WORD,
    "Rollout": WORD,
    "Stop": WORD,
    "Journal": "the system's journal, a word of job files, and the forwarder's own journal of what it plans",
    "Disconnected": SIDES,
    "Refused": f"{SIDES}; and what a command ends with where the daemon refuses",
    "Registered": SIDES,
    "Ticked": SIDES,
    "Change": "of an instance's state, and of a job in a plan: each is imported by the view that shows it alone",
    "Connection": APART,
    "Elastic": APART,
    "Entry": "of the audit file, of the kernel's table of processes, of journald's: each within its module",
    "Identity": APART,
    "Kind": "of a choice, and of a name: the values of a field, each within its module",
    "Look": "a command of the executor's core, and one look at patterns of files",
    "Outcome": "of a proposal, and of a line that was sent: the values of a field, each within its module",
    "Plan": APART,
    "Records": APART,
    "Source": APART,
    "State": "of a preflight, of a rollout, and of the executor's core: the values of a field, each within its module",
    "Target": APART,
    "Step": "the engine's answer to one event, and one step of `logs setup`",
}


def classes(root: Path) -> dict[str, list[str]]:
    """Where each public class is defined, and each set of words that is a type."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted(root.rglob("*.py")):
        for node in nodes(path):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(str(path.relative_to(root.parent)))
            elif isinstance(node, ast.Assign) and ast.unparse(node.value).startswith("Literal["):
                found[ast.unparse(node.targets[0])].append(str(path.relative_to(root.parent)))
    return found


def test_a_class_has_a_name_of_its_own() -> None:
    """Who reads a name in a sentence or a stack trace knows which one it is; exceptions have a reason."""
    found: dict[str, list[str]] = defaultdict(list)
    for root in PACKAGES:
        for name, places in classes(root).items():
            found[name] += places
    again = {name: places for name, places in found.items() if len(places) > 1 and name not in SEVERAL}
    assert not again, "give one of them the field's word, or say in SEVERAL why both need it"
    assert len(found) > 300


def test_the_glossary_is_in_order_and_has_no_word_that_nobody_uses() -> None:
    """Who looks for a word finds it, and what it has is said somewhere."""
    glossary = ROOT / "docs" / "reference" / "glossary.md"
    rows = re.findall(r"^\| ([^|]+?) \| [^|]+ \|$", glossary.read_text(encoding="utf-8"), re.M)[1:]
    words = [word.removesuffix("s") for row in rows for word in row.lower().split(", ")]
    assert [row.lower() for row in rows] == sorted(row.lower() for row in rows) and len(rows) > 40
    texts = [path.read_text(encoding="utf-8").lower() for path in (*PAGES, *MODULES) if path != glossary]
    assert not [word for word in words if not any(word in text for text in texts)]


#: What a native speaker who knows schedulers would stumble over, and what he would say.
PHRASES = {
    r"(?:\b(?:it|this|that|which)|[}>'\"`]) (?:is|are) no (?!longer|more|such)\w": "is not a ...",
    r"(?<!here )\bis no (?:name|length|time|port|job|volume|policy|signal|level|number|index|document|text)\b": "is not a ...",
    r"\bis none of (?!its|his|their|our)": "is not one of",
    r"\bno name for\b": "is not a valid name for",
    r"\blength of time\b": "a duration",
    r"\blets? (?:us|me|him|her|them|you) not\b": "denies access to",
    r"\bdo(?:es)? not belong into\b|\bbelongs? into\b": "must not be in, belongs in",
    r"(?i)\bno (?:job|line|host|instance)s? fits?\b": "no job matches",
    r"\bfor want of\b": "because ... was reached",
    r"\bothers come after\b": "its dependents",
    r"\bin vain\b": "gave up after",
    r"(?i)\b(?:a|the|each|another|this|no|and) spare\b|\bspares\b(?! what)": "a standby",
    r"\bdoes not know us\b": "rejects our credentials",
    r"\bhas no time(?: for (?:it|larger|searches))?:": "is too busy",
    r"\bleads no longer\b": "no longer leads",
    r"\bsends us elsewhere\b": "redirects",
    r"\b(?:unwelcome|homeless|vouche?[sd]?)\b": "must stop, unplaced, ensures ownership or confirms",
    r"\bfits? (?:the selection|any of them|no job|--)|\bsandboxes fit\b": "matches",
    r"\bsince (?:about )?\d[\d.]* (?:ms|s|min|h|d)\b": "for 31 s; since is of a moment",
    r"\b(?:runs|waits) (?:here |there )?since\b|\bcan't be \w+ since\b": "has been running since, has not been ... since",
    r"\bspeaks? (?:for|against) (?:it|them|that|the others)\b": "the evidence for it, forbids it",
    r"\bprogram is away\b": "is down; away is who does not answer",
    r"\bshall\b": "is to, must",
    r"\bof before\b": "an older ..., an earlier ...",
    r"\bthat there (?:is|are) not\b": "does not exist, is illegal",
    r"\b(?:to|for|of|by|from|than) who\b(?! (?:is|are)\b)": "whoever, the one who, those who",
    r"\b(?:be|is|are|was|were) had\b": "is available, obtained",
    r"(?i)\bleft dead\b|\bleave \w+ dead\b": "not started again",
    r"\bonly told\b": "only reported",
    r"\b(?:is|are|be|been) (?!.{0,9}(?:than|any))\w+ed no more\b|\b(?:types?|starts? it|looks) no more\b": "no longer",
    r"\bill\b": "unhealthy",
    r"(?i)\bsmall letters\b": "lower-case letters",
    r"\bpacked (?:log )?(?:file|answer)|\b(?:was|is) (?:un)?packed\b|\bto unpack it\b": "compressed, decompressed",
    r"\bby halves\b": "by bisection",
    r"\bgoes without --": "can't be combined",
    r"\bleave [\w()={}\\\"'.]+ away\b": "leave out",
    r"\bparted by\b": "separated by",
    r"\bline ends\b": "line endings",
    r"\ba? ?full path\b": "an absolute path",
    r"\bis there (?:already|a second time)\b": "exists already, is given twice",
    r"\bthe grace is\b": "the grace period is",
    r"\banswers? what\b": "gives an answer that",
    r"\b(?:as|not|no longer|nothing is|what is|other than) wanted\b|\bwanted (?:any more|there|jobs?)\b": "desired",
    r"\bHELD\b": "READ-ONLY, of the daemon; what somebody holds is held",
    r"(?<!\[)\bSINCE\b(?! \[|, )": "AGE, over what is a duration",
    r"(?i)\b(?:what|all that) must survive\b|\bmake what .{1,60} the state\b": "where the state is kept, restore the state from",
    r"(?i)\bbe in control no more\b|\bcounts? no more\b": "release control, revoke",
    r"(?i)\bof one \w+ alone\b|\brefused alone\b": "only this user's, only refused requests",
    r"(?i)\bbe the framework\b": "run the scheduler",
    r"\bhas become this\b": "take over from",
    r"\band that is meant\b": "allow ...",
    r"\bfiles? (?:that (?:is|are|was|were) )?set aside\b|\bof (?:it|those) that were set aside\b": "rotated files",
    r"\blead to anything\b|\bis over for (?!good)": "have an effect, ended ... ago",
}


def strings(module: Sequence[ast.AST]) -> Iterator[tuple[int, str]]:
    """Each text of a module's nodes that a user may read; what is filled in stands there as ``{}``."""
    bodies = (
        node for node in module if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
    )
    # a command's docstring is what --help prints
    skipped: set[ast.AST] = {
        node.body[0].value
        for node in bodies
        if isinstance(node.body[0], ast.Expr)
        and "command(" not in "".join(map(ast.unparse, getattr(node, "decorator_list", ())))
    }
    for node in module:
        if isinstance(node, ast.JoinedStr):
            skipped |= {part for part in node.values if isinstance(part, ast.Constant)}
            yield (
                node.lineno,
                "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values),
            )
    for node in module:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in skipped:
            yield node.lineno, node.value


def stumbled(text: str) -> list[str]:
    """What in a text is not said so, with what is said."""
    text = " ".join(text.split())  # a phrase may go on in the next line
    return [f"{found.group()!r}: {better}" for phrase, better in PHRASES.items() for found in re.finditer(phrase, text)]


MODULES = sorted(path for root in (*PACKAGES, ROOT / "vagrant" / "daqcluster") for path in root.rglob("*.py"))


def test_sentences_are_said_as_the_field_says_them() -> None:
    """Of all that is printed, logged or shown."""
    found = [
        f"{path.relative_to(ROOT)}:{line}: {text!r}: {one}"
        for path in MODULES
        for line, text in strings(nodes(path))
        for one in stumbled(text)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_pages_are_written_as_the_field_writes(page: Path) -> None:
    """Names of tests, in comments, are not read."""
    text = re.sub(r"<!--.*?-->|`test_\w+\.py::\w+`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert not stumbled(text)


#: Words that were left for the field's, in names and docstrings, which no user reads: who looks for one finds all.
LEFT = {
    next(phrase for phrase, better in PHRASES.items() if better == "a standby").partition("|\\b")[0]: "a standby",
    r"\b(?:vouch\w*|homeless|unwelcome)\b": "confirms, unplaced, must stop",
    r"\bcomplain\w*\b": "warns",
    r"\bin vain\b": "for nothing, gave up after",
    r"\b(?:a|the|each|no) beats?\b": "a heartbeat; sd_notify",
    r"\b(?:a|the) door\b": "http, a port, a socket",
    r"(?i)\b(?:as|not|no longer) wanted\b|\bwanted any more\b": "desired",
    r"\bkeepers?\b": "ZooKeeper, a relay",
    r"(?i)\bpurses?\b": "the remaining resources of an offer",
    r"``agreed``": "``stops``, as the API calls it",
    r"(?i)(?<!past )\btenses?\b": "the format of a time, relative or absolute",
    r"(?i)\bgives? (?:it|the \w+) free\b": "closes, releases",
    r"(?i)\bbears? with (?:it|an? \w+|the \w+)\b": "waits for",
}

#: What is read of each tree: its modules' names, and those of classes and functions, with their docstrings.
TREES = ("tests", "framework", "executor/daqsched_executor", "vagrant/daqcluster", "release")


def left(words: str) -> list[str]:
    """What of a name or docstring is not said any more, with what is said."""
    return [f"{found.group()!r}: {better}" for phrase, better in LEFT.items() for found in re.finditer(phrase, words)]


#: Words of the core's for which the field has others, in all that is there: each name, text and comment. With what they may be in.
CORE = {
    r"\b(?:un)?wanted\b|_wanted|wanted_|\bunwant\b|\bwant\(": (
        "desired: what the revision in force asks for; needed, due, required, asked for",
        {"views/rows.py"},  # the API's older name of a field
    ),
    r"(?i)\bdrain\w*": ("aside: the lease by which a host is emptied", set()),
}


@pytest.mark.parametrize("phrase", CORE)
def test_the_core_has_one_word_for_what_is_desired(phrase: str) -> None:
    """Two words for one thing are two things to whoever reads."""
    root = ROOT / "framework" / "daqsched"
    better, but = CORE[phrase]
    modules = [*root.glob("engine/*.py"), *root.glob("views/*.py"), root / "merge.py", root / "task.py"]
    found = [
        f"{path.relative_to(root)}:{number}: {line.strip()}: {better}"
        for path in modules
        if str(path.relative_to(root)) not in but
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(phrase, line)
    ]
    assert not found, "\n".join(found)
    assert len(modules) > 30


def test_names_and_docstrings_have_the_field_s_words_too() -> None:
    """Those of tests as well."""
    found = []
    for path in (path for one in TREES for path in (ROOT / one).rglob("*.py")):
        found += [f"{path.relative_to(ROOT)}: {one}" for one in left(path.stem.replace("_", " "))]
        for node in nodes(path):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                words = f"{getattr(node, 'name', '').replace('_', ' ')}. {ast.get_docstring(node) or ''}"
                found += [f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}: {one}" for one in left(words)]
    assert not found, "\n".join(found)


#: Words of which no module is named: each meant several things, or is not the field's. With what is said in their place.
NO_MODULE = {
    r"kept|keep": "saved, stored, preloaded: what becomes of it",
    r"told|untold|said": "accepted, confirmed, known: whose it is",
    r"left|rest|late": "remaining, salvage, backlog",
    r"spared?|spares": "standby; detached",
    r"asked|wanted|unwanted": "operator commands, requested, desired",
    r"moments?_\w+|moments|paces": "clock shifts, measured durations",
    r"keepers?|doors?|hands?|nearby|seek|besides?|reach|printed|beats?": "see the glossary",
    r"follow(?:ed|ings?)|unwelcome|homeless|vouch\w*|happens?|complain\w*": "tailed files, follow sessions, see the glossary",
    r"preflights|surveys|rolling|rollouts": "preflight, survey, rollout: one form of a word",
    r"operations?_\w+": "operator: what a person does to the farm; an operation is a row of the API's table",
}


def misnamed(stem: str) -> list[str]:
    """What of a module's name is not said so, with what is said."""
    return [
        f"{stem}: {better}" for words, better in NO_MODULE.items() if re.search(rf"(?:^|_)(?:{words})(?:_|$)", stem)
    ]


def test_no_module_is_named_by_a_word_of_several_meanings() -> None:
    """Also folders."""
    names = [path.parent.name if path.stem == "__init__" else path.stem for path in MODULES]
    assert not [one for name in names for one in misnamed(name)]
    assert len(names) > 500


@pytest.mark.parametrize(
    "stem",
    "kept kept_choices kept_logins preflights operations_api rules_told followings spared asked beside late rest".split(),
)
def test_a_module_that_is_misnamed_is_found(stem: str) -> None:
    """Else the test above would be content with nothing; those that were there once, and others of their kind."""
    assert misnamed(stem)


@cache
def trees_of(folder: Path) -> dict[Path, ast.Module]:
    """Of its modules."""
    return {one: ast.parse(one.read_text(encoding="utf-8")) for one in folder.glob("*.py")}


@pytest.mark.parametrize("path", sorted((PACKAGES[0] / "serve").glob("*_api.py")), ids=lambda path: path.stem)
def test_each_part_of_the_api_has_one_class_of_routes(path: Path) -> None:
    """Named by its module's subject and ``Routes``; nothing else of ``serve`` ends so."""
    trees = trees_of(path.parent)
    there = {
        one: [node.name for node in tree.body if isinstance(node, ast.ClassDef) and node.name.endswith("Routes")]
        for one, tree in trees.items()
    }
    (name,) = there[path]
    subject = path.stem.removesuffix("_api").capitalize()
    assert name.removesuffix("Routes").rstrip("s") == subject.rstrip("s")
    assert all(one.stem.endswith("_api") for one, names in there.items() if names)
    if path.stem != "api":
        routes = ast.unparse(next(node for node in trees[path].body if getattr(node, "name", "") == name))
        assert "def routes(" in routes


@pytest.mark.parametrize(
    "words",
    [
        "test the spare leads",
        "test a task that nobody vouches for",
        "It is complained about.",
        "test a beat comes late",
        "Those that are not wanted any more.",
        "test the keeper ends",
        "Give the connection free.",
        "It bears with a daemon.",
    ],
)
def test_what_is_not_said_any_more_is_found(words: str) -> None:
    """Else the test above would be content with nothing."""
    assert left(words)


@pytest.mark.parametrize(
    "text",
    [
        "raise UserError(f'{name!r} is no name for a port')",
        "say('no job fits ' + words)",
        "log('this one is a spare')",
        "x = ['ZooKeeper lets us not into /x']",
        "def f():\n    'Doc.'\n    return f'{a} is none of {b}'",
        "@main.command()\ndef f():\n    'Here no job fits.'",
        "@main.command()\ndef f():\n    '''Of two\n    that is\n    no Python.'''",
        "raise UserError('nothing fits the selection')",
        "raise UserError(f'none that fits --only')",
        "say('the master has not confirmed it since 31 s')",
        "say(f'another copy runs here since {when}')",
        "say(f'{path} can\\'t be written since {when}')",
        "say('told to who asks')",
        "say('is not wanted any more')",
        "say('All 3 are as wanted.')",
        "text(f'HELD: {why}')",
        "columns = ('JOB', 'STATE', 'SINCE')",
        "raise IllegalMove(f'{move} is a move that there is not; before: {story}')",
        "log('the certificate of before stays in use')",
        "option(help='What must survive: a folder')",
        "@main.command()\ndef f():\n    'Make what `backup` wrote into FILE the state.'",
        "@main.command()\ndef f():\n    'Have the token NAME count no more, from now on.'",
        "option(help='Of one user alone.')",
        "option(help='What was refused alone.')",
        "option(help='A file without jobs stops everything, and that is meant.')",
        "@main.command()\ndef f():\n    'Without: audit.ndjson, and those of it that were set aside.'",
    ],
)
def test_what_stumbles_is_found(text: str) -> None:
    """Wherever it stands: else the tests above would be content with nothing."""
    assert [one for _, said in strings(list(ast.walk(ast.parse(text)))) for one in stumbled(said)]


def test_what_is_said_well_is_left_alone() -> None:
    """Also where a docstring, which no user reads, says it."""
    good = "def f():\n    'A spare has no job fits.'\n    return 'there is no job x; it is no longer desired; is not one of a, b'"
    assert not [one for _, said in strings(list(ast.walk(ast.parse(good)))) for one in stumbled(said)]
