"""The verbs that only look at a job file: validate, show, schema."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from daqsched.cli import main
from daqsched.cli.files import schema_text
from daqsched.errors import UserError
from daqsched.spec import JobSpec, Spec, decode, encode, refuse_unknown
from daqsched_executor.contract import Container, Payload

ROOT = Path(__file__).resolve().parent.parent.parent

TEXT = """\
from daqsched import HttpCheck, Job, Resources
jobs = [
    Job("readout", "/bin/readout --host {host} --port {port:http}", hosts="hlt[01-10]", owner="daq",
        resources=Resources(ports=["http"]), check=HttpCheck("/health", "http", interval_s=2)),
    Job("nsmd2", ["/bin/nsmd2"][0], attributes={"rack": "r1"}),
]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A job file of two jobs."""
    path = tmp_path / "jobs.py"
    path.write_text(TEXT)
    return path


def run(*words: object) -> Result:
    """The command, in this process: it talks to nobody."""
    return CliRunner().invoke(main, [str(word) for word in words])


def test_validate_sums_a_right_file_up(file: Path) -> None:
    """Offline: no daemon is there."""
    done = run("validate", file)
    assert done.exit_code == 0
    assert done.output.startswith(
        "No mistake: 2 jobs, 10 instances on 10 hosts, 1 more on whichever machines have their attributes ("
    )
    told = json.loads(run("validate", file, "--json").output)
    assert (
        told["valid"]
        and told["names"] == ["readout", "nsmd2"]
        and (told["instances"], told["by_attributes"]) == (10, 1)
    )


def test_validate_tells_all_mistakes_of_a_wrong_one(file: Path) -> None:
    """Exit status 2, also as JSON."""
    file.write_text(TEXT.replace("/health", "health").replace('"rack": "r1"', ""))
    done = run("validate", file)
    assert done.exit_code == 2
    assert [line.rpartition("jobs.py:")[2] for line in done.output.splitlines()] == [
        "4: job 'readout': check[http].path: 'health' must begin with '/'",
        "5: job 'nsmd2': hosts: names no host: give hosts=[...] or attributes={...}",
    ]
    done = run("validate", file, "--json")
    told = json.loads(done.output)
    assert done.exit_code == 2 and not told["valid"]
    assert [(one["file"], one["line"]) for one in told["mistakes"]] == [(str(file), 4), (str(file), 5)]


def test_show_gives_the_spec_as_it_would_be_sent(file: Path) -> None:
    """What is printed can be read back, and is what the file means."""
    spec = decode(run("show", file, "--json").output)
    assert [job.name for job in spec.jobs] == ["readout", "nsmd2"]
    told = json.loads(run("show", file, "readout", "--json").output)
    assert told["checks"] == [
        {"kind": "http", "name": "http", "path": "/health", "port": "{port:http}", "interval_s": 2}
    ]


def test_show_gives_people_what_is_set(file: Path) -> None:
    """In the job file's words."""
    done = run("show", file, "readout")
    assert [" ".join(line.split()) for line in done.output.splitlines()] == [
        "readout",
        "command /bin/readout --host {host} --port {port:http}",
        "hosts hlt[01-10]",
        "resources.ports.http 0",
        "owner daq",
        "check[http] http port={port:http} path=/health interval_s=2",
    ]


def test_show_gives_what_an_executor_would_be_told(file: Path) -> None:
    """Placeholders filled in, for one host."""
    told = Payload.from_json(run("show", file, "readout@hlt03").output)
    assert told.argv == ("/bin/readout", "--host", "hlt03", "--port", "0") and told.instance == "readout@hlt03"
    assert Payload.from_json(run("show", file, "nsmd2@anywhere").output).host == "anywhere"


def test_show_says_what_is_not_there(file: Path) -> None:
    """Exit status 2."""
    done = run("show", file, "raedout")
    assert done.exit_code == 2 and "the file has no job 'raedout': did you mean 'readout'?" in done.output
    done = run("show", file, "readout@hlt11")
    assert done.exit_code == 2 and "readout does not run on hlt11 but on hlt[01-10]" in done.output


def test_the_schema_in_the_documentation_is_the_present_one() -> None:
    """`daqsched schema > docs/reference/spec.schema.json` makes it so."""
    assert run("schema").output == schema_text() == (ROOT / "docs/reference/spec.schema.json").read_text()


def test_the_schema_names_every_field_of_a_spec() -> None:
    """And refuses others, as the daemon does."""
    known = msgspec.json.decode(schema_text())["$defs"]
    assert set(known["Spec"]["properties"]) == set(Spec.__struct_fields__)
    assert {"ports", "attributes", "after", "checks", "actions"} <= set(known["JobSpec"]["properties"])
    assert all(known[kind]["additionalProperties"] is False for kind in known)


@pytest.mark.parametrize("part", ["restart", "stop", "container"])
def test_an_unknown_field_deep_in_a_job_is_refused(part: str) -> None:
    """msgspec alone would let it pass: a word of a newer version would be forgotten without a sign."""
    with pytest.raises(UserError, match=f"job 'a': {part} has no field 'nonsense'; it has "):
        refuse_unknown({"jobs": [{"name": "a", part: {"nonsense": 1}}]})
    refuse_unknown(json.loads(encode(Spec(jobs=(JobSpec(name="a", argv=("x",), container=Container("i")),)))))


def test_ctrl_c_in_a_file_that_never_ends_is_an_interruption(tmp_path: Path) -> None:
    """With the exit status of one: 1 would be a bug of ours."""
    file = tmp_path / "jobs.py"
    file.write_text("raise KeyboardInterrupt  # as Ctrl-C while it loops\n", encoding="utf-8")
    done = run("validate", file)
    assert done.exit_code == 130 and done.output == "Interrupted; the farm goes on.\n"


@pytest.mark.parametrize(
    ("words", "least"),
    [
        (["apply", "f", "--timeout", "-3"], 0),
        (["apply", "f", "--settle", "nan"], 0),
        (["logs", "-n", "-3"], 0),
        (["history", "-n", "-1"], 1),
    ],
)
def test_a_number_below_nothing_is_refused_before_anything_is_done(words: list[str], least: int) -> None:
    """An apply in particular: it went on, and said what was so after -3 s."""
    done = run("--socket", "/nonexistent", *words)
    assert done.exit_code == 2 and f"must be {least} or more, not {words[-1]}" in done.output
