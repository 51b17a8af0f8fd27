"""Files and folders that can't be used, at each place of each command that takes one: a sentence, and never a bug's exit status.

Which status means what: docs/operate/farm.md.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from daqsched.cli import main
from daqsched.store.sqlite import SqliteStore
from verbs import verbs

#: What is to be said besides, so that the command comes as far as the path; of ``{folder}``.
BESIDES = {
    "backup": ["{folder}/out", "--offline", "--state", "{folder}/state"],
    "restore": ["{folder}/saved", "--state", "{folder}/state"],
    "debug": ["{folder}/out"],
    "cert": ["{folder}/tls", "ctl1"],
    "password": ["alice"],
    "apply": ["{folder}/jobs.py"],
    "plan": ["{folder}/jobs.py"],
    "propose": ["{folder}/jobs.py"],
    "preflight": ["{folder}/jobs.py"],
    "show": ["{folder}/jobs.py"],
    "validate": ["{folder}/jobs.py"],
    "rights check": ["{folder}/rights.yaml"],
    "rights elasticsearch": ["{folder}/rights.yaml"],
    "audit verify": ["{folder}/audit.ndjson"],
    "audit copy": ["{folder}/audit.ndjson", "--elasticsearch", "http://127.0.0.1:9", "--once"],
    "logs": ["--since", "1m"],
    "logs expire": ["--keep", "7d"],
}
#: Runs until it is told to end; status 1 is its own.
NOT_RUN = {"serve"}


def places(command: click.Command, words: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """Command and parameter, wherever one is a path."""
    for parameter in command.params:
        path = isinstance(parameter.type, click.Path) or parameter.name in ("state", "user_file", "api_key_file")
        if path and " ".join(words) not in NOT_RUN:
            option = isinstance(parameter, click.Option)
            yield " ".join(words), parameter.opts[0] if option else ""
    for name, one in verbs(command).items():
        yield from places(one, (*words, name))


PLACES = list(places(main))


@pytest.mark.parametrize(("command", "option"), PLACES, ids=lambda text: text or "-")
@pytest.mark.parametrize("wrong", ["{folder}/none/x", "{folder}/jobs.py/x", "{folder}", "{folder}/loop"])
def test_a_path_that_can_not_be_used_is_the_callers_mistake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, option: str, wrong: str
) -> None:
    """It is missing, leads through a file, is a folder, or a link to itself: status 2, or 3 where a server is asked first."""
    for variable in ("DAQSCHED_ELASTICSEARCH", "DAQSCHED_STATE", "DAQSCHED_SOCKET"):
        monkeypatch.delenv(variable, raising=False)
    (tmp_path / "jobs.py").write_text("from daqsched import Job\njobs = [Job('a', '/bin/true', hosts='h1')]\n")
    (tmp_path / "loop").symlink_to("loop")
    SqliteStore(tmp_path / "state").close()
    runner = CliRunner()
    saved = [*BESIDES["backup"][1:], str(tmp_path / "saved")]
    assert runner.invoke(main, ["backup", *(word.format(folder=tmp_path) for word in saved)]).exit_code == 0
    besides = [word.format(folder=tmp_path) for word in BESIDES.get(command, [])]
    place = wrong.format(folder=tmp_path)
    if not option:
        besides[0] = place
    elif option in besides:
        besides[besides.index(option) + 1] = place
    else:
        besides += [option, place]
    words = [*command.split(), *besides] if command else [*besides, "status"]
    if command.split()[:1] in (["logs"], ["deadletter"]):
        words += ["--elasticsearch", "http://127.0.0.1:1"]
    if option == "--state-credentials":  # only ZooKeeper wants any
        words[words.index("--state") + 1] = "zk://127.0.0.1:1/daqsched"
    found = runner.invoke(main, words)
    # a new place for a state, a backup or certificates may be any
    assert found.exit_code in (0, 2, 3) and type(found.exception) in (type(None), SystemExit), (words, found.output)
    assert found.exit_code or (command, option) in (("backup", ""), ("cert", ""), ("restore", "--state"))
    assert "Traceback" not in found.output
    assert "No such option" not in found.output and "Missing" not in found.output, found.output


@pytest.mark.parametrize(
    "option", ["--state", "--socket", "--credentials", "--agent-credentials", "--peers-certificate", "--rights"]
)
def test_a_daemon_that_can_not_begin_says_why(tmp_path: Path, option: str) -> None:
    """In one sentence, with the status that its unit knows."""
    (tmp_path / "plain").write_text("")
    command = [sys.executable, "-m", "daqsched.cli", "--socket", str(tmp_path / "sock"), "serve"]
    words = [*command, "--master", "127.0.0.1:1", "--state", str(tmp_path / "state")]
    if option == "--peers-certificate":
        words[-1] = "zk://127.0.0.1:1/daqsched"
    place = str(tmp_path / "plain" / "x")
    words = [*words, option, place] if option not in words else words
    if option in words:
        words[words.index(option) + 1] = place
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode in (1, 2) and "Traceback" not in done.stderr, done.stderr
    assert "Error: " in done.stderr and place in done.stderr


def test_all_places_are_looked_at() -> None:
    """Else the test above would be content with nothing."""
    assert {("backup", ""), ("restore", "--state"), ("deadletter replay", "--file"), ("", "--socket")} <= set(PLACES)
