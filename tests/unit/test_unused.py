"""What a job file makes and nothing uses is a mistake of it, with name and line; what is used in any way is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from daqsched.errors import JobFileError
from daqsched.jobfile.load import load

HEAD = "import daqsched\nfrom daqsched import *\n"
A = 'Job("a", "/bin/a", hosts="h1")'
B = 'Job("b", "/bin/b", hosts="h1")'

WOULD_NOT_RUN = "would not run, being not in jobs: add to jobs, or take out of the file"

#: What a file says from its third line on, and what is said of it.
WRONG: dict[str, tuple[int, str]] = {
    f"jobs = [{A}]\nrollouts = Rollout(batches=[1])": (
        4,
        "rollouts is a Rollout(...) that nothing uses: a job file says rollout = Rollout(...)",
    ),
    f"jobs = [{A}]\nrollout = Rollout()\nslow = Rollout(batches=[1])": (
        5,
        "slow is a Rollout(...) that nothing uses: a job file says rollout = Rollout(...)",
    ),
    f"logs = Logging(keep=3)\njobs = [{A}]": (
        3,
        "logs is a Logging(...) that nothing uses: a job file says logging = Logging(...)",
    ),
    f"jobs = [{A}]\nconfirm_over = Confirm()": (
        4,
        "confirm_over is a Confirm(...) that nothing uses: a job file says confirm = Confirm(...)",
    ),
    f"jobs = [{A}]\nmore = [{B}]": (4, f"job 'b' of more {WOULD_NOT_RUN}"),
    f"jobs = [{A}]\nmore = []\nmore.append({B})": (4, f"job 'b' of more {WOULD_NOT_RUN}"),
    f"jobs = [{A}]\nmore = []\nmore += [{B}]": (5, f"job 'b' of more {WOULD_NOT_RUN}"),
    f"jobs = [{A}]\nmore = {{}}\nmore['x'] = {B}": (4, f"job 'b' of more {WOULD_NOT_RUN}"),
    f"jobs = [{A}]\nmore = {{'x': [{B}]}}": (4, f"job 'b' of more {WOULD_NOT_RUN}"),
    f"jobs = [{A}]\nb = {B}": (4, f"job 'b' of b {WOULD_NOT_RUN}"),
    f"jobs = [{A}]\nfor n in range(5):\n    job = Job(f'x{{n}}', '/x', hosts='h')": (
        5,
        f"job 'x4' of job {WOULD_NOT_RUN}",
    ),
    f"jobs = [{A}]\nmore = [Job(f'x{{n}}', '/x', hosts='h') for n in range(5)]": (
        4,
        f"jobs 'x0', 'x1', 'x2' and 2 more of more {WOULD_NOT_RUN}",
    ),
    f"def rack():\n    return [{B}]\njobs = [{A}]\nr1 = rack()": (6, f"job 'b' of r1 {WOULD_NOT_RUN}"),
    f"jobs = [{A}]\njobs = [{B}]": (3, "jobs is assigned anew in line 4: what it is here is used by nothing"),
    f"rollout = Rollout()\nrollout = Rollout(batches=[2])\njobs = [{A}]": (
        3,
        "rollout is assigned anew in line 4: what it is here is used by nothing",
    ),
    f"jobs = [{A}]\n{B}": (4, f"this Job(...) {WOULD_NOT_RUN}"),
    f"jobs = [{A}]\nfor n in range(3):\n    daqsched.Job(f'x{{n}}', '/x', hosts='h')": (
        5,
        f"this Job(...) {WOULD_NOT_RUN}",
    ),
    f"jobs = [{A}]\nRollout(batches=[1])": (
        4,
        "nothing uses this Rollout(...): a job file says rollout = Rollout(...)",
    ),
}

#: Files that say nothing in vain.
RIGHT = [
    f"first = [{A}]\nsecond = [{B}]\njobs = first + second",
    f"first = [{A}]\njobs = [*first, {B}]",
    f"first = [{A}]\njobs = list(first)",
    f"both = jobs = [{A}]",
    f"a = {A}\njobs = [a]\nlast = a",
    "jobs = []\nfor name in 'ab':\n    job = Job(name, '/x', hosts='h')\n    jobs.append(job)",
    f"racks = {{}}\nracks['r1'] = [{A}]\njobs = sum(racks.values(), [])",
    f"jobs = [{A}]\njobs = jobs + [{B}]",
    f"jobs = [{A}]\njobs += [{B}]",
    f"jobs = [{A}, {B}]\njobs = [job for job in jobs if job.name != 'b']",
    f"test = False\nextra = [{B}]\njobs = [{A}]\nif test:\n    jobs += extra",
    f"rollout = Rollout()\nif variable('fast', False):\n    rollout = Rollout(batches=[])\njobs = [{A}]",
    f"if variable('fast', False):\n    jobs = [{A}]\nelse:\n    jobs = [{B}]",
    f"try:\n    rollout = Rollout(batches=[1])\nexcept Exception:\n    rollout = Rollout()\njobs = [{A}]",
    f"slow = Rollout(batches=[1])\nrollout = slow\njobs = [{A}]",
    f"rollout = slow = Rollout(batches=[1])\njobs = [{A}]",
    f"from dataclasses import replace\nbase = {A}\njobs = [replace(base, name=name) for name in 'xy']",
    f"from dataclasses import replace\ndef make(name):\n    base = {A}\n    return replace(base, name=name)\njobs = [make('x')]",
    f"__all__ = ['jobs', 'slow']\nslow = Rollout(batches=[1])\njobs = [{A}]",
    f"from neighbour import more, calm\njobs = [{A}]",
    f"from neighbour import *\njobs = [{A}]",
    f"import neighbour\njobs = [{A}]",
    "from neighbour import more\njobs = [*more]",
    f"more = [{B}]\njobs = [{A}]\njobs.extend(globals()['more'])",
    f"more = []\nnames = ['x']\njobs = [{A}]",
    f"class Farm:\n    jobs = [{B}]\njobs = [{A}]",
    f"def unused():\n    more = [{B}]\njobs = [{A}]",
    f"from dataclasses import replace\nmine = {A}\nfound = dict(vars())\njobs = [replace(found['mine'], labels={{'team': 'x'}})]",
    f"from registry import register, every\nmine = register({A})\njobs = every()",
    "jobs = []",
]


@pytest.mark.parametrize("text", WRONG)
def test_what_nothing_uses_is_a_mistake(tmp_path: Path, text: str) -> None:
    """By its name, at its line; of a loop once."""
    path = tmp_path / "jobs.py"
    path.write_text(f"{HEAD}{text}\n")
    with pytest.raises(JobFileError) as error:
        load(path)
    assert [(one.line, one.sentence) for one in error.value.mistakes] == [WRONG[text]]


#: A site's file that hands out finished copies of what it was given.
REGISTRY = """\
from dataclasses import replace
given = []
def register(job):
    given.append(job)
    return job
def every():
    return [replace(job, labels={"team": "x"}) for job in given]
"""


@pytest.mark.parametrize("text", RIGHT)
def test_what_is_used_is_none(tmp_path: Path, text: str) -> None:
    """Lists that jobs is built of, what a condition chooses, what comes from another file or goes to one, patterns for others."""
    (tmp_path / "registry.py").write_text(REGISTRY)
    (tmp_path / "neighbour.py").write_text(f"{HEAD}more = [{B}]\ncalm = Rollout()\nmine = [{A}]\n")
    path = tmp_path / "jobs.py"
    path.write_text(f"{HEAD}{text}\n")
    load(path)
