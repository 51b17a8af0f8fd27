"""Job files: what they say becomes a spec, what is wrong in them becomes file, line and one sentence."""

from __future__ import annotations

import dataclasses
import inspect
import re
from pathlib import Path
from typing import Callable

import pytest

from daqsched import Job, Resources, fill, spec
from daqsched.errors import JobError, JobFileError, JobFileWarning
from daqsched.jobfile.load import load
from daqsched.jobfile.source import KINDS, needed

GOOD = """\
from daqsched import Job, Logging, Resources, Restart, hosts

version = "release-08"


def daq(name, **more):
    return Job(name, "/cvmfs/daq.example.org/{version}/bin/" + name + " --host {host}", version=version, **more)


jobs = [
    daq("readout", hosts="hlt[01-03]", restart=Restart(cap_s=30.0)),
    daq(
        "builder",
        hosts=["eb01", "eb[03-04]"],
        resources=Resources(cpus=2),
        env={"RUN": "1"},
    ),
]
logging = Logging(index="test")
"""


#: Writes the good file with replacements.
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write the good file with replacements; returns its path."""

    def _write(*changes: tuple[str, str]) -> Path:
        text = GOOD
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / "jobs.py"
        path.write_text(text, encoding="utf-8")
        return path

    return _write


def test_a_good_file_becomes_a_spec_that_survives_its_own_json(write: Write) -> None:
    """What travels is what was meant."""
    found = load(write())
    assert [job.name for job in found.jobs] == ["readout", "builder"]
    assert found.jobs[0].restart.cap_s == 30.0 and found.jobs[1].cpus == 2.0 and found.logging.index == "test"
    assert spec.decode(spec.encode(found)) == found
    payload = fill.payload(found.jobs[0], "hlt02", "id")
    assert payload.argv == ("/cvmfs/daq.example.org/release-08/bin/readout", "--host", "hlt02")


MISTAKES = [
    (("hosts=[", "hots=["), 14, "unknown field 'hots': did you mean 'hosts'?"),
    (("cpus=2", 'cpus="two"'), 15, "resources.cpus: expected float, got str: 'two'"),
    (("cpus=2", "cpus=0"), 15, "resources.cpus: must be more than 0, not 0"),
    (('env={"RUN": "1"}', 'env={"RUN": 1}'), 16, "env[RUN]: expected str, got int: 1"),
    (('env={"RUN": "1"}', 'env={"KEY": "secret", "RUN": 1}'), 16, "env[RUN]: expected str, got int: 1"),
    (('"eb[03-04]"', '"eb[04-03]"'), 14, "'eb[04-03]': the range [04-03] runs backwards"),
    (('"eb[03-04]"', '"eb[03-04"'), 14, "the brackets do not match"),
    (
        ("Restart(cap_s=30.0)", 'Restart("sometimes")'),
        11,
        "'sometimes' is not a restart policy: one of always, on-failure, never",
    ),
    (("Restart(cap_s=30.0)", "Restart(cap=30.0)"), 11, "unknown field 'cap': did you mean 'cap_s'?"),
    (("Restart(cap_s=30.0)", "Restart(nonsense=1)"), 11, "unknown field 'nonsense'; a Restart has policy, delay_s"),
    (("Restart(cap_s=30.0)", 'Restart(delay_s=float("nan"))'), 11, "restart.delay_s: must be 0 or more, not nan"),
    (("cpus=2", 'mem=float("inf")'), 15, "resources.mem: must be more than 0, not inf"),
    (
        ("restart=Restart(cap_s=30.0)", 'stop=__import__("daqsched").Stop("FOO")'),
        11,
        "stop.signal: 'FOO' is not a signal: one of ABRT",
    ),
    (('"builder",', '"daqsched-forward",'), 7, "is the name of the job that forwards the lines"),
    (('"builder",', '"readout",'), 12, "two jobs are named 'readout', the first in line 11"),
    (('"builder",', '"event builder",'), 7, "'event builder' is not a valid job name"),
    (("--host {host}", "--host {hst}"), 7, "no placeholder '{hst}'; there are {host}"),
    (("--host {host}", "--host 'x"), 7, "can't be split into words: no closing quotation"),
    (('version = "release-08"', "version = 8"), 7, "version: expected str, got int: 8"),
    (("jobs = [", "jobs = [1 / 0,"), 10, "ZeroDivisionError: division by zero"),
    (("jobs = [", "jobs = [("), 21, "syntax error: "),
    (("jobs = [", "jobs = [3,"), 10, "jobs holds int 3, which is not a Job(...)"),
    (("import Job, ", "import Jobs, "), 1, "ImportError: cannot import name 'Jobs'"),
    (('Logging(index="test")', "3"), 19, "logging must be Logging(...)"),
    (("jobs = [", "import sys; sys.exit(3)\njobs = ["), 10, "SystemExit: 3"),
]


@pytest.mark.parametrize(("change", "line", "sentence"), MISTAKES, ids=[m[0][1][:24] for m in MISTAKES])
def test_a_mistake_is_told_with_file_line_and_one_sentence(
    write: Write, change: tuple[str, str], line: int, sentence: str
) -> None:
    """A shifter sees where to look and what to write."""
    path = write(change)
    with pytest.raises(JobFileError) as caught:
        load(path)
    text = str(caught.value).splitlines()[0]
    assert sentence in text
    if not sentence.startswith("syntax"):  # where a bracket is missed differs between Pythons
        assert text.startswith(f"{path}:{line}: "), text
    else:
        assert text.startswith(f"{path}:")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("x = 1\n", "assigns no jobs"), ("jobs = 3\n", "jobs must be a list"), ("a\0b", "holds NUL characters")],
)
def test_a_file_without_jobs_is_told_so(tmp_path: Path, text: str, sentence: str) -> None:
    """Nothing is sent in place of what was forgotten."""
    path = tmp_path / "jobs.py"
    path.write_text(text)
    with pytest.raises(JobFileError, match=sentence):
        load(path)


def test_a_file_that_is_not_there_is_told_so(tmp_path: Path) -> None:
    """The commonest mistake of all."""
    with pytest.raises(JobFileError, match=r"can't be read: Is a directory \(is a variable empty\?\)"):
        load(Path(""))
    with pytest.raises(JobFileError, match="can't be read: No such file"):
        load(tmp_path / "nothing.py")


def test_a_job_file_may_import_its_neighbour(tmp_path: Path) -> None:
    """Farms are split over files."""
    (tmp_path / "neighbour_of_jobs.py").write_text('FARM = "hlt[01-02]"\n')
    path = tmp_path / "jobs.py"
    path.write_text(
        "from daqsched import Job\nfrom neighbour_of_jobs import FARM\njobs = [Job('a', '/bin/a', hosts=FARM)]\n"
    )
    assert load(path).jobs[0].hosts == ("hlt[01-02]",)


def test_the_library_logging_is_no_mistake(write: Write) -> None:
    """A file that imports the standard library's module of that name means no setting."""
    assert load(write(('logging = Logging(index="test")', "import logging"))).logging == spec.LoggingSpec()


MANY = """\
from daqsched import HttpCheck, Job, OutputCheck, Resources, Stop, TcpCheck


def daq(name, **more):
    return Job(name, "/bin/" + name, hosts="h[1-2]", version=3, **more)


jobs = [
    *[daq(f"worker{n}") for n in range(5)],
    Job(
        "readout",
        "/bin/readout",
        hosts="h1",
        check=[
            HttpCheck("/health", port=80),
            TcpCheck(
                81,
                failures=0,
            ),
        ],
    ),
    Job("builder", "/bin/builder", hosts="h1", actions={
        "dump": "dump",
        "reset": "reset {hst}",
    }),
    Job("storage", "/bin/storage", hosts="h1", stop=Stop("TERM",
        before="it's",
    )),
]
"""


def told(tmp_path: Path, text: str) -> list[tuple[int, str]]:
    """Line and sentence of each mistake in the file."""
    path = tmp_path / "jobs.py"
    path.write_text(text)
    with pytest.raises(JobFileError) as caught:
        load(path)
    assert str(caught.value).splitlines()[0].startswith(f"{path}:{caught.value.line}: ")
    return [(one.line, one.sentence) for one in caught.value.mistakes]


def test_all_mistakes_are_told_at_once_each_at_its_own_line(tmp_path: Path) -> None:
    """However deep it stands; what the jobs of a loop share is told once."""
    assert told(tmp_path, MANY) == [
        (5, "jobs 'worker0', 'worker1', 'worker2' and 2 more: version: expected str, got int: 3"),
        (18, "job 'readout': check[tcp].failures: must be at least 1, not 0"),
        (
            24,
            "job 'builder': actions[reset]: '{hst}': no placeholder '{hst}'; there are {host}, {job}, {version}, {instance}",
        ),
        (27, "job 'storage': stop.before: \"it's\" can't be split into words: no closing quotation"),
    ]


def test_an_unknown_field_is_told_with_all_others(tmp_path: Path) -> None:
    """Python would end there; what was meant by it is not told of once more."""
    text = MANY.replace("port=80", "prot=80").replace("failures=0", "failure=0")
    assert told(tmp_path, text) == [
        (5, "jobs 'worker0', 'worker1', 'worker2' and 2 more: version: expected str, got int: 3"),
        (15, "unknown field 'prot': did you mean 'port'?"),
        (18, "unknown field 'failure': did you mean 'failures'?"),
        (18, "job 'readout': check[tcp].failures: must be at least 1, not 0"),
        (
            24,
            "job 'builder': actions[reset]: '{hst}': no placeholder '{hst}'; there are {host}, {job}, {version}, {instance}",
        ),
        (27, "job 'storage': stop.before: \"it's\" can't be split into words: no closing quotation"),
    ]


UNKNOWN = """\
import daqsched
from daqsched import Job, Logging, Restart as Again


def daq(name, *, rate=1, **more):
    return Job(name, f"/bin/{name} {rate}", restart=Again(cap=3), **more)


def rack(name, number, **more):
    return daq(name, hosts=f"r{number}", **more)


jobs = [
    daq("a", hots="h1"),
    daq("b", hosts="h1", rate=2, usr="daq"),
    rack("c", 7, owner="me", critcal=False),
    daqsched.Job("d", "/bin/d", hosts="h1", nonsense=1),
    Job("e", "/bin/e", hosts=""),
]
logging = Logging(indx="x", keep=-1)
"""


def test_unknown_fields_are_found_behind_functions_and_other_names(tmp_path: Path) -> None:
    """What a function of the file passes on, what is called otherwise here, and what else is wrong in the same file."""
    found = told(tmp_path, UNKNOWN)
    assert [line for line, _ in found] == [6, 14, 15, 16, 17, 18, 20, 20]
    assert [sentence.partition(";")[0] for _, sentence in found] == [
        "unknown field 'cap': did you mean 'cap_s'?",
        "unknown field 'hots': did you mean 'hosts'?",
        "unknown field 'usr': did you mean 'user'?",
        "unknown field 'critcal': did you mean 'critical'?",
        "unknown field 'nonsense'",
        "job 'e': hosts: names no host: give hosts=[...] or attributes={...}",
        "unknown field 'indx': did you mean 'index'?",
        "logging.keep: must be 0 or more MiB, not -1",
    ]


def left_out() -> list[tuple[str, str]]:
    """Each field that a word of ours needs, with a call that has all others."""
    stand_ins = {"name": "'a'", "port": "1", "silence_s": "9", "paths": "['/x']", "image": "'i'"}
    found = []
    for kind in KINDS.values():
        for field in needed(kind):
            others = ", ".join(f"{one}={stand_ins.get(one, repr('/x'))}" for one in needed(kind) if one != field)
            found.append((field, f"{kind.__name__}({others})"))
    return found


@pytest.mark.parametrize(("field", "call"), left_out(), ids=lambda text: text)
def test_a_field_that_is_missing_is_told_with_all_others(field: str, call: str, tmp_path: Path) -> None:
    """In our words, with the line, and the rest of the file is looked at; what stands in its place is no other mistake."""
    text = f"from daqsched import *\nx = [\n    {call},\n]\njobs = [Job('b', '/bin/b', hosts='h1', env=3, xyz=1)]\nprint(x)"
    kind = call.partition("(")[0]
    found = [one for one in told(tmp_path, text) if one[0] < 5]
    if kind == "Job":  # it is a job that runs nothing
        text = text.replace("Job(", "Job(command='/bin/a', hosts='h2'", 1)
        found = [one for one in told(tmp_path, text) if "is missing" in one[1]]
    assert found == [(3, f"{field!r} is missing: a {kind} needs {' and '.join(needed(KINDS[kind]))}")]
    assert [line for line, _ in told(tmp_path, text)].count(5) == 2, "the others"


def test_a_field_that_is_missing_in_what_a_function_hands_on_is_told_in_our_words(tmp_path: Path) -> None:
    """Which only its call knows; the evaluation ends there."""
    text = """from daqsched import *
def check(**more):
    return HttpCheck(path="/x", **more)
jobs = [Job("a", "/x", hosts="h1", check=check())]
"""
    assert told(tmp_path, text) == [(3, "'port' is missing: a HttpCheck needs path and port")]
    text = text.replace('path="/x", ', "")
    assert told(tmp_path, text) == [(3, "'path' is missing: a HttpCheck needs path and port")]
    tried = "from daqsched import *\ntry:\n    Job()\nexcept TypeError:\n    pass\njobs = [Job('a', '/x', hosts='h')]"
    (tmp_path / "tried.py").write_text(tried)
    assert load(tmp_path / "tried.py").jobs[0].name == "a", "it waits for Python's own error"


@pytest.mark.parametrize("line", ['frm = "hlt"', 'fram = "hlt"', 'farms = "hlt"', 'Farm = "hlt"'])
def test_a_slip_of_the_pen_for_the_part_is_a_mistake(line: str, tmp_path: Path) -> None:
    """The file would be the part without a name, and its apply end what that has."""
    job = 'jobs = [Job("a", "/x", hosts="h1")]'
    name = line.partition(" ")[0]
    assert told(tmp_path, f"from daqsched import Job\n{line}\n{job}") == [
        (2, f"{name} is used by nothing: did you mean farm = 'hlt'?")
    ]
    (tmp_path / "jobs.py").write_text(f"from daqsched import Job\n{line}\nprint({name})\n{job}")
    assert load(tmp_path / "jobs.py").part == "", "it is used"


#: What a newer version of daqsched has, and this one not: a right file has a way without it.
GUARDED = {
    "asked for": """
extra = {"newer": 1} if hasattr(Job, "newer") else {}
made = Job("a", "/x", hosts="h1", **extra)
""",
    "in one branch": """
if hasattr(Job, "newer"):
    made = Job("a", "/x", hosts="h1", newer=1)
else:
    made = Job("a", "/x", hosts="h1")
""",
    "in a word": """
made = Job("a", "/x", hosts="h1", newer=1) if "newer" in Job.__annotations__ else Job("a", "/x", hosts="h1")
""",
    "by version": """
def new():
    return {"restart": Restart(cap_s=3, newer=1)} if daqsched.__version__ > "9999" else {}
made = Job("a", "/x", hosts="h1", **new())
""",
    "tried": """
try:
    made = Job("a", "/x", hosts="h1", xyz=1)
except TypeError:
    made = Job("a", "/x", hosts="h1")
""",
    "tried, nearly known": """
try:
    made = Job("a", "/x", hosts="h1", owners="h2")
except Exception:
    made = Job("a", "/x", hosts="h1")
""",
    "tried before": """
try:
    Job("probe", "/x", hosts="h1", newer=1)
except (TypeError, ValueError):
    more = {}
else:
    more = {"newer": 1}
made = Job("a", "/x", hosts="h1", **more)
""",
    "tried before, and known": """
try:
    Job("probe", "/x", hosts="h1", console=True)
    more = {"console": True}
except TypeError:
    more = {}
made = Job("a", "/x", hosts="h1", **more)
""",
    "in a function": """
def new():
    return Job("a", "/x", hosts="h1", newer=1)
try:
    made = new()
except:
    made = Job("a", "/x", hosts="h1")
""",
    "passed on": """
def daq(name, **more):
    return Job(name, "/x", hosts="h1", **more)
try:
    made = daq("a", newer=1)
except TypeError:
    made = daq("a")
""",
    "a function that tries": """
def daq(name, **more):
    try:
        return Job(name, "/x", hosts="h1", **more)
    except TypeError:
        return Job(name, "/x", hosts="h1")
made = daq("a", newer=1)
""",
    "a function that nobody calls": """
def new():
    return Job("a", "/x", hosts="h1", newer=1)
made = Job("a", "/x", hosts="h1")
""",
    "suppressed": """
import contextlib
made = Job("a", "/x", hosts="h1")
with contextlib.suppress(TypeError):
    made = Job("a", "/x", hosts="h1", newer=1)
""",
    "another value": """
try:
    made = Job("a", "/x", hosts="h1", start="newer")
except Exception:
    made = Job("a", "/x", hosts="h1")
""",
    "another word": """
try:
    from daqsched import Newer
except ImportError:
    Newer = None
made = Job("a", "/x", hosts="h1")
if Newer is not None:
    newer = Newer(jobs=1)
""",
}


@pytest.mark.parametrize("which", GUARDED)
def test_a_file_that_older_and_newer_versions_read_is_right_for_both(tmp_path: Path, which: str) -> None:
    """However it sees to what this one does not have."""
    path = tmp_path / "jobs.py"
    path.write_text(f"import daqsched\nfrom daqsched import Job, Restart\n{GUARDED[which]}jobs = [made]\n")
    (found,) = load(path).jobs
    assert found.name == "a" and found.hosts == ("h1",)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('if hasattr(Job, "console"):\n    made = Job("a", "/x", hosts="h1", newer=1)', "unknown field 'newer'"),
        (
            'try:\n    made = Job("a", "/x", hosts="h1", newer=1)\nexcept ImportError:\n    pass',
            "unknown field 'newer'",
        ),
        ('try:\n    made = Job("a", "/x", hosts="h1", newer=1)\nexcept TypeError:\n    raise', "unknown field 'newer'"),
        ('try:\n    made = Job("a", "/x", hosts="h1", start="newer")\nexcept TypeError:\n    pass', "start"),
    ],
)
def test_what_a_file_does_not_see_to_is_a_mistake(tmp_path: Path, text: str, says: str) -> None:
    """A branch that is taken, a handler that is for something else, or that raises again."""
    ((line, sentence),) = told(tmp_path, f"from daqsched import Job\n{text}\njobs = [made]\n")
    assert line == 3 and says in sentence


def test_every_field_can_be_asked_for() -> None:
    """``hasattr(Job, "labels")``, also where its default is made anew for each; what must be given is in all versions."""
    for kind in (one for one in KINDS.values() if dataclasses.is_dataclass(one)):
        for one in inspect.signature(kind).parameters.values():
            assert one.default is one.empty or hasattr(kind, one.name), f"{kind.__name__}.{one.name}"
    assert Job("a", "/x", hosts="h1").labels is not Job("b", "/x", hosts="h1").labels


#: A site's own words, called as ours: what they take is theirs.
SITE = """\
import daqsched
def Job(name, *words, rack=0, **more):
    return daqsched.Job(name, *words, attributes={"rack": str(rack)}, **more)
"""

THEIRS = [
    "from daqsched import *\nfrom oursite import Job\njobs = [Job('a', '/x', hosts='h1', rack=3)]",
    "try:\n    from oursite import Job\nexcept ImportError:\n    from daqsched import Job\njobs = [Job('a', '/x', rack=3)]",
    "from daqsched import *\nfrom oursite import *\njobs = [Job('a', '/x', rack=3)]",
    "from daqsched import Job\ndef each(Job, names):\n    return [Job(name, rack=3) for name in names]\n"
    "def make(name, rack=0):\n    import daqsched\n    return daqsched.Job(name, '/x', hosts='h1')\njobs = each(make, ['a'])",
    "from daqsched import Job\ndef many(make):\n    def made(*names, count=1, **more):\n"
    "        return [make(f'{name}{n}', **more) for name in names for n in range(count)]\n    return made\n"
    "def daq(name, **more):\n    return Job(name, '/x', hosts='h1', **more)\ndaq = many(daq)\njobs = daq('a', count=3)",
    "from daqsched import Job\ndef daq(name, **more):\n    return Job(name, '/x', hosts='h1', **more)\ndef farm():\n"
    "    def daq(name, rack):\n        return Job(name, '/x', hosts=f'h{rack}')\n    return [daq('a', rack=1)]\n"
    "jobs = [*farm(), daq('b')]",
]


@pytest.mark.parametrize("text", THEIRS)
def test_fields_of_what_is_not_certainly_ours_are_no_mistakes(tmp_path: Path, text: str) -> None:
    """Imported from a site's file, a parameter, made by a function, hidden by another of the name."""
    (tmp_path / "oursite.py").write_text(SITE)
    path = tmp_path / "jobs.py"
    path.write_text(f"{text}\n")
    assert load(path).jobs


def test_an_error_of_python_ends_the_evaluation_and_is_told_with_those_before_it(tmp_path: Path) -> None:
    """What comes after it is not known; unknown fields are, being seen in the text."""
    text = MANY.replace("    Job(\n", "    1 / 0,\n    Job(\n").replace("port=80", "prot=80")
    assert [line for line, _ in told(tmp_path, text)] == [5, 10, 16]


APART = """\
from daqsched import Job, Resources

jobs = [
    Job("a", "/x", hosts="h1", after="b", resources=Resources(ports={"p": 80})),
    Job("b", "/x", hosts="h1", after=["a", "c"]),
    Job(
        "d",
        "/x",
        hosts="h[1-3]",
        resources=Resources(
            ports={"q": 80},
        ),
    ),
    Job("d", "/x", hosts="h9"),
]
logging = Logging(index=3)
"""


def test_what_is_wrong_between_jobs_is_told_at_the_job_s_line(tmp_path: Path) -> None:
    """An unknown name, a circle, a port twice, a name twice; and the logging beside them."""
    assert told(tmp_path, APART.replace("import Job,", "import Job, Logging,")) == [
        (4, "job 'a': after: a cycle: a -> b -> a: none of them would ever start"),
        (5, "job 'b': after: there is no job 'c': one of a, d; one of another part of the farm can't be waited for"),
        (11, "job 'd': resources.ports: 'q': port 80 of h1 is taken by job 'a'"),
        (14, "two jobs are named 'd', the first in line 6"),
        (16, "logging.index: expected str, got int: 3"),
    ]


def test_what_is_wrong_between_jobs_is_told_beside_what_is_wrong_in_one(tmp_path: Path) -> None:
    """A job that is wrong is there all the same: who comes after it is not wrong for that."""
    text = """\
from daqsched import Job, Logging, Rollout
jobs = [
    Job("a", "/x", hosts=""),
    Job("b", "/x", hosts="h1", after=["a", "c"]),
    Job("b", "/y", hosts="h1"),
]
rollout = Rollout(batches=["x"])
logging = 3
"""
    assert [line for line, _ in told(tmp_path, text)] == [3, 4, 5, 7, 8]


def test_of_very_many_mistakes_the_first_are_printed(tmp_path: Path) -> None:
    """A screen's worth, and how many more."""
    path = tmp_path / "jobs.py"
    path.write_text("from daqsched import Job\njobs = [Job(f'a b{n}', 'x', hosts='h') for n in range(30)]\n")
    with pytest.raises(JobFileError) as caught:
        load(path)
    assert len(str(caught.value).splitlines()) == 21 and str(caught.value).endswith("... and 10 more mistakes")


def test_outside_of_a_job_file_a_mistake_is_raised_where_it_is_made() -> None:
    """For whoever makes jobs in a program."""
    with pytest.raises(JobError, match="must be more than 0"):
        Job("a", "/x", hosts="h", resources=Resources(cpus=0))


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("/bin/echo one \\\n    two", ("/bin/echo", "one", "two")),
        ("/bin/a b\\\nc", ("/bin/a", "bc")),
        ('/bin/a "b \\\nc"', ("/bin/a", "b c")),
        ("/bin/a 'b \\\nc'", ("/bin/a", "b \\\nc")),
        ("/bin/a \\\\\n b", ("/bin/a", "\\", "b")),
        ('/bin/a "x \\" y" z\\ z', ("/bin/a", 'x " y', "z z")),
        (
            "/bin/a '>' \"|\" \\# a#b 'a>b' \\; http://h?a=1&b=2 '$HOME' 5$ x=$ a&b",
            ("/bin/a", ">", "|", "#", "a#b", "a>b", ";", "http://h?a=1&b=2", "$HOME", "5$", "x=$", "a&b"),
        ),
    ],
)
def test_a_command_is_split_as_a_shell_would_split_it(command: str, words: tuple[str, ...]) -> None:
    """A backslash at the end of a line goes on in the next one; what is quoted is the program's."""
    assert Job("j", command, hosts="h").spec.argv == words


@pytest.mark.parametrize(
    "word",
    [
        *(">", ">>", "<", "2>", "2>&1", ">/tmp/out", "2>/dev/null", "&>x", "|", "||", "&&", "# why", "a>b", "x|tee"),
        *(";", "x;", "x;y", "&", "x&", "$HOME", "$HOME/x", "--to=$DIR", "$(date)", "`date`", "$$", "$1", '"$HOME/x"'),
        *("~", "~/x", "~daq/x", "*.root", "/data/*", "run-*.log"),
    ],
)
def test_of_what_only_a_shell_understands_there_is_a_warning(word: str, tmp_path: Path) -> None:
    """It becomes an argument of the program, and somebody is told, with file and line."""
    file = tmp_path / "jobs.py"
    file.write_text(f"from daqsched import Job\n\njobs = [Job('j', '/bin/a b {word} c', hosts='h')]")
    with pytest.warns(JobFileWarning, match=r"jobs.py:3: command: .* is for a shell") as told:
        assert load(file).jobs[0].argv == ("/bin/a", "b", *word.replace('"', "").split(), "c")
    assert len(told) == 1


def test_all_that_is_a_shell_s_in_a_command_is_told_at_once() -> None:
    """Each once; what is set before a command, too. What only looks alike is none of a shell's."""
    with pytest.warns(JobFileWarning) as told:
        Job("j", "HOME=/x LEVEL=3 /bin/a --to=x > /tmp/x; echo $HOME ~/y 'a*' x=~ a~b \\* | cat $HOME", hosts="h")
    (one,) = told
    assert str(one.message).startswith(
        "command: 'HOME=/x', 'LEVEL=3', '>', '/tmp/x;', '$HOME', '~/y', '|' are for a shell, and none runs the command: the "
        "program gets them as written. Quote them by '...'"
    )


@pytest.mark.parametrize(
    ("word", "field"),
    [
        ("actions={'a': 'x; y'}", "actions[a]"),
        ("check=CommandCheck('x | y')", "check[command].command"),
        ("stop=Stop(before='x $HOME')", "stop.before"),
    ],
)
def test_every_command_is_looked_at_for_what_is_a_shells(word: str, field: str, tmp_path: Path) -> None:
    """Checks, hooks and actions run without a shell, too."""
    file = tmp_path / "jobs.py"
    file.write_text(f"from daqsched import *\n\njobs = [Job('j', '/bin/a', hosts='h', {word})]")
    with pytest.warns(JobFileWarning, match=rf"jobs.py:3: {re.escape(field)}: .* is for a shell"):
        load(file)


def test_what_a_shell_is_given_is_its_own(recwarn: pytest.WarningsRecorder) -> None:
    """It expands what is quoted for it."""
    words = Job("j", """/bin/sh -c "cd $HOME; exec run > out" """, hosts="h").spec.argv
    assert words == ("/bin/sh", "-c", "cd $HOME; exec run > out") and not recwarn.list


BIG = 131_072


@pytest.mark.parametrize(
    ("job", "field", "sentence"),
    [
        (f"argv=['/bin/a', 'x' * {BIG}]", "command", "has 131,072 bytes, at most 131,071 are allowed"),
        (f"argv=['/bin/a', 'ä' * {BIG // 2}]", "command", "has 131,072 bytes, at most"),
        (f"env={{'BIG': 'x' * {BIG}}}", "env[BIG]", "has 131,072 bytes, at most"),
        (f"env={{'BIG': 'x' * {BIG - 4}}}", "env[BIG]", "has 131,072 bytes with its name, at most"),
        (f"env={{'BÄG': 'ä' * {BIG // 2 - 2}}}", "env[BÄG]", "has 131,073 bytes with its name, at most"),
        (f"check=CommandCheck(['a', 'x' * {BIG}])", "check[command].command", "has 131,072 bytes, at most"),
        (f"actions={{'go': ['a', 'x' * {BIG}]}}", "actions[go]", "has 131,072 bytes, at most"),
        (f"stop=Stop(before=['a', 'x' * {BIG}])", "stop.before", "has 131,072 bytes, at most"),
        (f"stop=Stop(after=['a', 'x' * {BIG}])", "stop.after", "has 131,072 bytes, at most"),
    ],
    ids=lambda text: text[:40],
)
def test_a_text_that_no_program_can_be_given_is_a_mistake(tmp_path: Path, job: str, field: str, sentence: str) -> None:
    """MAX_ARG_STRLEN of execve(2): 128 KiB with the byte that ends it, for an argument or a variable with its name."""
    words = job if job.startswith("argv") else f"argv=['/bin/a'], {job}"
    text = f"from daqsched import *\n\njobs = [\n    Job('j', hosts='hlt01',\n        {words}),\n]\n"
    ((line, said),) = told(tmp_path, text)
    assert line == 5 and said.startswith(f"job 'j': {field}: {sentence}"), said


def test_a_variable_is_measured_with_its_name_and_what_is_filled_in(tmp_path: Path) -> None:
    """On the host with the longest name; to the byte."""
    host = "hlt01.daq.example.org"
    text = "from daqsched import *\n\nbig = 'x' * SIZE + '{host}'\n"
    text += "jobs = [Job('j', '/bin/a', hosts=['h', HOST], env={'BIG': big})]\n"
    text = text.replace("HOST", repr(host))
    fits = BIG - 1 - len(f"BIG={host}")
    (tmp_path / "jobs.py").write_text(text.replace("SIZE", str(fits)))
    assert load(tmp_path / "jobs.py").jobs
    assert told(tmp_path, text.replace("SIZE", str(fits + 1))) == [
        (
            4,
            "job 'j': env[BIG]: has 131,072 bytes with its name, once it is filled in: at most 131,071 bytes are allowed",
        )
    ]


def test_names_of_variables_are_those_that_execve_takes() -> None:
    """Java programs are configured by dots and dashes."""
    env = {"bootstrap.memory_lock": "true", "X-TRACE": "1"}
    assert Job("j", "/bin/a", env=env, hosts="h").spec.env == env
    for name in ("", "A=B", "A B", "A\n", "A\0"):
        with pytest.raises(JobError):
            Job("j", "/bin/a", env={name: "x"}, hosts="h")


def test_a_file_is_read_as_python_reads_it(tmp_path: Path) -> None:
    """With a byte order mark, as Windows' editors write it, or a line that names its encoding."""
    text = 'from daqsched import Job\njobs = [Job("j", "/bin/a", hosts="h", owner="Zo\u00eb")]\n'
    for data in (text.encode("utf-8-sig"), b"# -*- coding: latin-1 -*-\n" + text.encode("latin-1")):
        (tmp_path / "jobs.py").write_bytes(data)
        assert load(tmp_path / "jobs.py").jobs[0].owner == "Zo\u00eb"


def test_a_value_that_is_no_text_is_a_mistake_with_its_line(tmp_path: Path) -> None:
    """As os.listdir gives it for a name that is no UTF-8; JSON can't carry it."""
    (tmp_path / "jobs.py").write_text(
        'from daqsched import Job\n\njobs = [Job("j", "/bin/a", hosts="h", env={"T": "\\udce9"})]'
    )
    with pytest.raises(JobFileError, match=r"jobs.py:3: job 'j': env\[T\]: .* is not text"):
        load(tmp_path / "jobs.py")
