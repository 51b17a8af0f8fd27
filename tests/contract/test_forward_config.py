"""`daqsched-executor forward` as somebody starts it: from a YAML file, from its environment, with mistakes in them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daqsched_executor.contract import FORWARDING_VARIABLE, Forwarding
from daqsched_executor.forward.yamlfile import parse
from fake_elastic import FakeElastic
from forwarding import EXECUTOR, ForwarderProcess, Printer
from waiting import until

EXAMPLE = EXECUTOR / "systemd" / "forward.yaml"


@pytest.fixture
def elastic() -> Iterator[FakeElastic]:
    """An empty server."""
    made = FakeElastic()
    yield made
    made.close()


def command(*options: str) -> list[str]:
    """The forwarder's command line."""
    return [sys.executable, "-m", "daqsched_executor", "forward", *options]


def environment(**more: str) -> dict[str, str]:
    """Ours without what an agent or a framework would tell."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DAQSCHED", "MESOS"))}
    return {**kept, "PYTHONPATH": str(EXECUTOR), **more}


def run(*options: str, **more: str) -> subprocess.CompletedProcess[str]:
    """The command to its end."""
    return subprocess.run(command(*options), capture_output=True, text=True, env=environment(**more), timeout=20)


def test_the_example_of_all_fields_is_without_mistake() -> None:
    """Whoever copies it begins with something that works."""
    told = parse(EXAMPLE.read_text(encoding="utf-8"))
    assert {one.name for one in told.files} == {"cvmfs", "nsmd2"} and told.syslog.udp == 514 and told.journal.enabled


def test_check_says_what_the_file_means_and_does_nothing(tmp_path: Path) -> None:
    """Not even a folder is made."""
    file, spool = tmp_path / "forward.yaml", tmp_path / "spool"
    file.write_text(f"elasticsearch: http://es1:9200\nspool: {spool}\n")
    done = run("--config", str(file), "--check")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        f"No mistake: lines go to http://es1:9200, indices daqsched-logs-*, spool {spool}; files of 0 services.\n"
    )
    assert not spool.exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "elasticsearch: http://es1:9200\nspol: /x\n",
            ["{file}:2: spol: unknown field 'spol': did you mean 'spool'?"],
        ),
        (
            "elasticsearch: es1\nspool: here\n",
            [
                "{file}:1: elasticsearch: 'es1' is not an address of Elasticsearch: write for example http://es1:9200",
                "{file}:2: spool: 'here' must be an absolute path",
            ],
        ),
        ("spool: /x\n", ["no address of Elasticsearch is given"]),
        (
            "elasticsearch: http://es1\nspool: /x\nuser_file: /does/not/exist\n",
            ["/does/not/exist: No such file or directory"],
        ),
    ],
)
def test_a_mistake_in_the_file_is_said_and_nothing_starts(tmp_path: Path, text: str, said: list[str]) -> None:
    """Exit status 2, which the systemd unit does not try again; one line for each mistake."""
    file = tmp_path / "forward.yaml"
    file.write_text(text)
    done = run("--config", str(file))
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.splitlines() == [f"daqsched-executor forward: {one.format(file=file)}" for one in said]


def test_a_file_that_is_not_there_is_a_sentence() -> None:
    """As every other mistake."""
    done = run("--config", "/does/not/exist.yaml")
    assert (done.returncode, done.stderr) == (
        2,
        "daqsched-executor forward: /does/not/exist.yaml: No such file or directory\n",
    )


def forwards(elastic: FakeElastic, spool: Path, *options: str, **more: str) -> None:
    """A line of a stream in that spool arrives, then the forwarder ends well."""
    printer = Printer(spool)
    printer.print("one line\n")
    process = subprocess.Popen(command(*options), env=environment(**more), stdout=subprocess.DEVNULL)
    try:
        until(lambda: elastic.messages() == ["one line"], "the line is stored")
    finally:
        process.terminate()
        assert process.wait(timeout=20) == 0
    (index,) = {index for index, _ in elastic.documents}
    assert index.startswith("hall-")


def test_a_yaml_file_is_all_that_a_machine_without_mesos_needs(elastic: FakeElastic, tmp_path: Path) -> None:
    """No agent, no environment."""
    file = tmp_path / "forward.yaml"
    file.write_text(f"elasticsearch: {elastic.url}\nspool: {tmp_path / 'spool'}\nindex: hall\n")
    forwards(elastic, tmp_path / "spool", "--config", str(file))


def test_the_framework_s_word_stands_in_the_environment(elastic: FakeElastic, tmp_path: Path) -> None:
    """An option overrules it."""
    told = Forwarding(elasticsearch="http://127.0.0.1:1", index="hall", spool=str(tmp_path / "spool"))
    forwards(elastic, tmp_path / "spool", "--elasticsearch", elastic.url, **{FORWARDING_VARIABLE: told.to_json()})


def status(spool: Path) -> tuple[int, dict[str, Any]]:
    """`--status --json`: the exit status and what it says."""
    done = run("--status", "--json", "--spool", str(spool))
    assert done.stderr == ""
    return done.returncode, json.loads(done.stdout)


def test_status_says_since_when_elasticsearch_does_not_answer(elastic: FakeElastic, tmp_path: Path) -> None:
    """And that all is well when it does; the same in the file for Prometheus."""
    spool = tmp_path / "spool"
    none = run("--status", "--spool", str(spool))
    assert none.returncode == 2 and f"no forwarder has worked on {spool} yet" in none.stderr
    printer = Printer(spool)
    forwarder = ForwarderProcess(spool, elastic.url, "logs")
    try:
        printer.print("one\n")
        until(
            lambda: (spool / "forward/status.json").exists() and status(spool)[1]["stored"] == 1, "the line is counted"
        )
        code, state = status(spool)
        assert (code, state["running"], state["troubles"]) == (0, True, [])
        elastic.refuse_request = lambda path, body: 503
        printer.print("two\nthree\n")
        until(lambda: bool(status(spool)[1]["troubles"]), "the trouble is told")
        code, state = status(spool)
        assert code == 1 and state["trouble_since"] > 0 and state["under_way"] == 2
        told = run("--status", "--spool", str(spool)).stdout
        assert "Of 3 lines that were read: 1 stored, 2 under way." in told and "is too busy: 503" in told
        elastic.refuse_request = lambda path, body: None
        until(lambda: status(spool)[0] == 0, "all is well again")
        metrics = (spool / "forward/metrics.prom").read_text()
        assert f'daqsched_forward_lines_stored_total{{spool="{spool}"}} 3\n' in metrics
        assert f'daqsched_forward_trouble_since_seconds{{spool="{spool}"}} 0\n' in metrics
    finally:
        assert forwarder.stop() == 0
    code, state = status(spool)
    assert (code, state["running"]) == (1, False)
    assert "No forwarder works on" in run("--status", "--spool", str(spool)).stdout


def test_a_yaml_reader_is_imported_only_for_a_yaml_file() -> None:
    """Of thousands of forwarders few have one."""
    code = "import sys, daqsched_executor.forward.command; print(sorted({'yaml', 'ssl'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, timeout=20)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
