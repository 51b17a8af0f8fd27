"""Commands and daemon of two versions: what both know works as ever, and what one of them lacks is said in a sentence.

The other side is the one before this interface had codes, keys and pages, as the checkout has it; it runs in a process of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Optional

import pytest

from children import child
from daqsched import client as client_module
from daqsched.errors import UserError
from served import Serve

ROOT = Path(__file__).resolve().parent.parent.parent
#: The last commit with that interface.
BEFORE = "b49022e"

#: A daemon without Mesos, until its input ends.
DAEMON = """
import pathlib, sys
from served import Serve
serve = Serve(pathlib.Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.read()
serve.close()
"""

#: Each of the command lines of its input in a process of its own that has all imported: exit status, and what was said.
COMMANDS_OF = """
import importlib, json, os, pkgutil, runpy, sys, tempfile
import daqsched.cli
for module in pkgutil.walk_packages(daqsched.cli.__path__, "daqsched.cli."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
for line in sys.stdin:
    with tempfile.TemporaryFile() as said:
        pid = os.fork()
        if not pid:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(said.fileno(), 1)
            os.dup2(said.fileno(), 2)
            sys.argv = ["daqsched", *json.loads(line)]
            runpy.run_module("daqsched.cli", run_name="__main__", alter_sys=True)
            raise SystemExit(0)
        _, status = os.waitpid(pid, 0)
        said.seek(0)
        print(json.dumps([os.WEXITSTATUS(status) if os.WIFEXITED(status) else -1, said.read().decode()]), flush=True)
"""

#: Words, and what they end with: what people do every day, each way in which they are refused, and what is not there.
COMMANDS: list[tuple[list[str], int]] = [
    (["apply", "jobs.py", "-m", "first", "--no-wait"], 0),
    (["plan", "jobs.py"], 0),
    (["history"], 0),
    (["show", "1"], 0),
    (["why"], 4),
    (["note", "beam is back"], 0),
    (["stop", "readout", "-m", "cabling"], 0),
    (["start", "readout"], 0),
    (["retry", "readout"], 4),
    (["aside", "hlt01", "--for", "1h", "-m", "disk"], 0),
    (["return", "hlt01"], 0),
    (["rollout"], 0),
    (["rights"], 0),
    (["stop", "no-such"], 2),
    (["show", "99"], 2),
    (["rollout", "abort"], 5),
    (["token", "list"], 0),
]


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source of then."""
    asked = ["git", "-C", str(ROOT), "archive", BEFORE, "framework", "executor", "tests", "release"]
    try:
        found = subprocess.run(asked, capture_output=True, timeout=60)
    except FileNotFoundError:
        pytest.skip("there is no git here")
    if found.returncode:
        pytest.skip(f"this checkout has no {BEFORE}: {found.stderr.decode(errors='replace').strip()}")
    folder = tmp_path_factory.mktemp("before")
    with tarfile.open(fileobj=BytesIO(found.stdout)) as tar:
        tar.extractall(folder)  # noqa: S202  # our own
    return folder


def environment(source: Optional[Path]) -> dict[str, str]:
    root = source or ROOT
    return {**os.environ, "PYTHONPATH": os.pathsep.join(str(root / one) for one in ("framework", "executor", "tests"))}


@contextmanager
def daemon(folder: Path, source: Optional[Path]) -> Iterator[Path]:
    """Its socket."""
    with child(
        [sys.executable, "-c", DAEMON, str(folder)],
        env=environment(source),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            assert process.stdout.readline() == b"ready\n"
            yield folder / "sock"
        finally:
            process.stdin.close()
            process.wait(30)


def run(folder: Path, socket: Path, source: Optional[Path], lines: list[list[str]]) -> list[tuple[int, str]]:
    """Exit status of each, and what it said."""
    (folder / "jobs.py").write_text(
        "from daqsched import Job\njobs = [Job('readout', '/bin/true', hosts='hlt01'), Job('other', '/bin/true', hosts='hlt02')]\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", COMMANDS_OF],
        input="".join(json.dumps(["--socket", str(socket), *words]) + "\n" for words in lines),
        env=environment(source),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert not done.returncode, done.stderr
    return [tuple(json.loads(line)) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("older", ["commands", "daemon"])
def test_commands_and_daemon_of_two_versions_understand_each_other(tmp_path: Path, before: Path, older: str) -> None:
    """Each command ends as it does with its own version, and no traceback comes of any."""
    (tmp_path / "one").mkdir()
    sides = (before, None) if older == "commands" else (None, before)
    with daemon(tmp_path / "one", sides[1]) as mixed:
        ends = run(tmp_path, mixed, sides[0], [words for words, _ in COMMANDS])
    assert len(ends) == len(COMMANDS)
    for (words, status), (ended, said) in zip(COMMANDS, ends):
        assert ended == status, (words, ended, said)
        assert "Traceback" not in said and "a bug" not in said, (words, said)


def test_what_an_older_daemon_lacks_is_said(tmp_path: Path, before: Path) -> None:
    """Of a path that it does not have, and of a field that it does not know."""
    with daemon(tmp_path, before) as socket:
        made = client_module.Client(socket)
        with pytest.raises(UserError, match="has no GET /v1/openapi.json: bring both up to date"):
            made._daemon.get("/openapi.json", object)
        with pytest.raises(UserError, match="not understood: .*are daqsched and its daemon of the same version"):
            made._daemon.post("/note", {"message": "x", "of-tomorrow": 1}, object)
        made.close()


def test_what_an_older_command_sends_and_this_daemon_knows_no_more_is_said(tmp_path: Path) -> None:
    """As a sentence of which it shows the words, and the status that it knows."""
    serve = Serve(tmp_path)
    with pytest.raises(UserError, match="not understood: .*are daqsched and its daemon of the same version"):
        serve.client._daemon.post("/note", {"message": "x", "of-yesterday": 1}, object)
    serve.close()
