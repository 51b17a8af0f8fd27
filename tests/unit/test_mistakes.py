"""The tables of mistakes that the documentation shows: each file with such a mistake is told as the page has it, to the letter."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from daqsched.errors import JobFileError
from daqsched.jobfile.load import load
from daqsched_executor.forward.yamlfile import read

ROOT = Path(__file__).resolve().parent.parent.parent


def rows(page: str, said: str) -> dict[str, str]:
    """What is written -> what is said, of all tables of the page whose second column begins so."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    found = re.findall(rf"^\| (.+?) \| (`+)({re.escape(said)}.*?)\2 \|$", text, re.M)
    return {written: sentence for written, _, sentence in found}


JOB = 'Job("readout", "/bin/sleep 1", hosts="h1"{})'
ONE = "from daqsched import *\njobs = [\n    {},\n]\n"
JOB_FILES = rows("start/jobfile.md", "jobs.py:")

#: A job in line 2, and what comes after it.
PLAIN = f"from daqsched import *\njobs = [{JOB.format('')}]\n"


def with_jobs(*jobs: str) -> str:
    """A file with these, from its line 3 on."""
    return ONE.format(",\n    ".join(jobs))


#: Rows whose file is another one than a job in line 3 with what the row shows in it.
FILES = {
    "`restarts=3`": with_jobs(JOB.format(",\n        restarts=3")),
    "no `hosts`": with_jobs('Job("readout", "/bin/sleep 1")'),
    "two jobs of one name": with_jobs(JOB.format(""), JOB.format("")),
    "`{version}` without `version=`": with_jobs('Job("readout", "/cvmfs/x/{version}/readout", hosts="h1")'),
    "`{port:http}` without that port": with_jobs('Job("readout", "/bin/sleep {port:http}", hosts="h1")'),
    '`after="raedout"`': with_jobs('Job("builder", "/bin/sleep 1", hosts="h1", after="raedout")', JOB.format("")),
    "two jobs after each other": with_jobs(
        'Job("a", "/bin/a", hosts="h1", after="b")', 'Job("b", "/bin/b", hosts="h1", after="a")'
    ),
    "port 80 twice on one host": with_jobs(
        'Job("a", "/bin/a", hosts="h1", resources=Resources(ports={"http": 80}))',
        'Job("b", "/bin/b", hosts="h1", resources=Resources(ports={"http": 80}))',
    ),
    '`"/bin/sleep " + 1`': with_jobs('Job("readout", "/bin/sleep " + 1, hosts="h1")'),
    "brackets that do not match": "from daqsched import *\njobs = (]\n",
    "`job = []`": "job = []\n",
    "`rollouts = Rollout(batches=[1])`": f"{PLAIN}rollouts = Rollout(batches=[1])\n",
    "jobs in a list that is not `jobs`": f'{PLAIN}more = [Job("monitor", "/bin/sleep 1", hosts="h1")]\n',
    "`jobs` assigned twice": f'{PLAIN}jobs = [Job("monitor", "/bin/sleep 1", hosts="h1")]\n',
    '`logging = "http://es1:9200"`': f'{PLAIN}logging = "http://es1:9200"\n',
    "`syslog=Syslog(udp=70000)`": f"{PLAIN}logging = Logging(\n    syslog=Syslog(udp=70000),\n)\n",
    '`LogFiles("nsmd2", "log/*.log")`': (
        f'{PLAIN}logging = Logging(\n    files=[\n        LogFiles("nsmd2", "log/*.log"),\n    ],\n)\n'
    ),
    '`elasticsearch="http://daq:x@es1"`': f'{PLAIN}logging = Logging(elasticsearch="http://daq:x@es1")\n',
}


def file_of(written: str) -> str:
    """The job file that a row is about."""
    if written in FILES:
        return FILES[written]
    piece = written.strip("`")
    if piece.startswith('"'):
        return with_jobs(f'Job("readout", {piece}, hosts="h1")')
    if piece.startswith("hosts="):
        return with_jobs(f'Job("readout", "/bin/sleep 1", {piece})')
    return with_jobs(JOB.format(f", {piece}"))


def test_there_are_rows() -> None:
    """Else the tests below would be content with nothing; and every file is one of a row."""
    assert len(JOB_FILES) > 25 and set(FILES) <= set(JOB_FILES)
    assert len(rows("operate/standalone.md", "forward.yaml:")) == 3


@pytest.mark.parametrize("written", JOB_FILES)
def test_a_mistake_in_a_job_file_is_told_as_the_page_shows(
    written: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """File, line and sentence."""
    monkeypatch.chdir(tmp_path)
    Path("jobs.py").write_text(file_of(written), encoding="utf-8")
    with pytest.raises(JobFileError) as error:
        load("jobs.py")
    assert str(error.value) == JOB_FILES[written]


#: Row -> the lines above it: the sentence has the number of the row's own.
ABOVE = {1: "", 3: "elasticsearch: http://es1:9200\nspool: /var/spool/daqsched\n"}
ABOVE[4] = ABOVE[3] + "index: lines\n"
FORWARD_FILES = rows("operate/standalone.md", "forward.yaml:")


@pytest.mark.parametrize("written", FORWARD_FILES)
def test_a_mistake_in_a_forwarders_file_is_told_as_the_page_shows(
    written: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line for each mistake."""
    monkeypatch.chdir(tmp_path)
    line = int(FORWARD_FILES[written].split(":")[1])
    Path("forward.yaml").write_text(ABOVE[line] + written.strip("`") + "\n", encoding="utf-8")
    with pytest.raises(ValueError) as error:
        read("forward.yaml")
    assert FORWARD_FILES[written] in str(error.value).splitlines()
