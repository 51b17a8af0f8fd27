"""The executor as a folder, as a release makes it for cvmfs: it runs where it lies, and needs nothing of it once it runs."""

from __future__ import annotations

import importlib.util
import marshal
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from daqsched_executor import __version__
from daqsched_executor.contract import Check, Container, Payload, Stop
from fake_agent import ExecutorUnderTest, FakeAgent, order, outcome, processes_of, report_of
from release import folder, one_file
from release.source import Source
from waiting import alive, until

ROOT = Path(__file__).resolve().parent.parent.parent
VERSION = f"{sys.version_info[0]}.{sys.version_info[1]}"

#: Isolated as the first line of the command says, which names the system's own Python.
PYTHON = (sys.executable, "-ISB")


#: What the runner of a container imports, a process of its own.
FOR_CONTAINERS = ("docker", "requests", "urllib3", "idna", "certifi", "charset_normalizer")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """One, of this checkout and of what is installed here. It is not compiled anew in there: links lead out of it."""
    made = tmp_path / "cvmfs" / f"daqsched-executor-{__version__}"
    lib = made / "lib"
    unwanted = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "executor" / "daqsched_executor", lib / "daqsched_executor", ignore=unwanted)
    folder.start(ROOT, "daqsched-executor", made / "bin" / "daqsched-executor")
    folder.compile_all(Path(sys.executable), Source(ROOT, 0, __version__), made, VERSION)
    folder.even_modes(made)
    theirs = lib / folder.place_of(VERSION)
    theirs.mkdir()
    for name in ("pymesos", "addict", "http_parser", "httptools", "six", "orjson", *FOR_CONTAINERS):
        spec = importlib.util.find_spec(name)
        assert spec is not None and spec.origin is not None
        whole = Path(spec.origin).parent if spec.submodule_search_locations else Path(spec.origin)
        (theirs / whole.name).symlink_to(whole)
    folder.one_file(Path(sys.executable), Source(ROOT, 0, __version__), made, VERSION)
    return made


def files_of(place: Path) -> dict[str, int]:
    """All that is in it, and when it was written."""
    return {str(path): path.lstat().st_mtime_ns for path in place.rglob("*")}


def test_it_starts_by_its_own_place_and_writes_nothing_there(place: Path) -> None:
    """Also by a link, which may lead elsewhere tomorrow; nothing of the environment says where modules are."""
    before = files_of(place)
    link = place.parent / "current"
    link.symlink_to(place.name)
    poison = place.parent / "poison"
    poison.mkdir()
    (poison / "daqsched_executor.py").write_text("raise RuntimeError('not from here')")
    for command in (["--version"], ["forward", "--help"]):
        done = subprocess.run(
            [*PYTHON, str(link / "bin" / "daqsched-executor"), *command],
            cwd=poison,
            env={"PYTHONPATH": str(poison), "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (done.returncode, done.stderr) == (0, "")
    assert files_of(place) == before
    assert (place / "bin" / "daqsched-executor").read_text().startswith("#!/usr/bin/python3 -ISB\n")


def lacks(place: Path) -> str:
    """What a start outside of Mesos says; it is the last thing before a start does something."""
    argv = [*PYTHON, str(place / "bin" / "daqsched-executor"), "run"]
    done = subprocess.run(argv, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and done.stdout == ""
    return done.stderr


LACKS = "daqsched-executor run: is started by a Mesos agent and takes no options; it lacks MESOS_AGENT_ENDPOINT"


def test_that_file_is_the_same_whatever_names_its_maker_knows() -> None:
    """As those of folders in its paths: a release is built twice, in two places, and compared."""
    source = b"def solitary_one(solitary_two):\n    return {'solitary_three', solitary_two.solitary_four}\n"

    def made() -> bytes:
        code = one_file.code_of(source, "solitary.py")
        return one_file.written(("first", code, {"later": (marshal.dumps(code), ""), "now": (code, "")}, ()))

    alone = made()
    known = [sys.intern(name) for name in re.findall("solitary_[a-z]+", source.decode())]
    assert made() == alone and len(known) == 5


def test_all_code_of_a_start_is_in_one_file(place: Path) -> None:
    """No module is read out of a file of its own."""
    for path in (place / "lib").iterdir():
        if path.name != folder.place_of(VERSION):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for path in (place / "lib" / folder.place_of(VERSION)).iterdir():
        if path.name != "daqsched-executor.code":
            path.unlink()
    assert lacks(place).startswith(LACKS)


@pytest.mark.parametrize("how", ["away", "empty", "cut short", "of another Python", "without an end"])
def test_without_that_file_modules_are_found_as_ever(place: Path, how: str) -> None:
    """A start is slower then, and no more."""
    file = place / "lib" / folder.place_of(VERSION) / "daqsched-executor.code"
    whole = file.read_bytes()
    file.unlink()
    damaged = {
        "empty": b"",
        "cut short": whole[: len(whole) // 2],
        "of another Python": b"\x00\x01\r\n" + whole[4:],
        "without an end": whole[:-1],
    }
    if how in damaged:
        file.write_bytes(damaged[how])
    assert lacks(place).startswith(LACKS)


def test_another_python_is_told_which_ones_will_do(place: Path) -> None:
    """With exit status 2 and no traceback."""
    (place / "lib" / folder.place_of(VERSION)).rename(place / "lib" / "cp37-x86_64")
    argv = [*PYTHON, str(place / "bin" / "daqsched-executor"), "run"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr == (
        f"daqsched-executor: {place} is made for cp37-x86_64, and this is {folder.place_of(VERSION)}"
        f" ({sys.executable}): start it with another Python\n"
    )


def test_it_needs_nothing_of_the_folder_once_it_runs(agent: FakeAgent, place: Path, tmp_path: Path) -> None:
    """A check, an action, a restart, hooks, a stop and the warden, as ever, when a newer version has taken its place."""
    executor = ExecutorUnderTest(agent, tmp_path / "sandbox", [*PYTHON, str(place / "bin" / "daqsched-executor")])
    try:
        agent.wait_subscribed()
        shutil.rmtree(place)
        stop = Stop(before=("/bin/echo", "before"), grace_s=20.0)
        checks = (Check("command", "command", argv=("/bin/true",), interval_s=0.5),)
        job = Payload(
            "readout@hlt01.1", "readout", "hlt01", ("/bin/sleep", "1000"), stop=stop, checks=checks,
            actions={"ls": ("/bin/ls", "/")},
        )  # fmt: skip
        executor.launch(job)
        first = executor.running().pid
        order(agent, "act", "ls")
        done = outcome(agent)
        assert done.ok and done.lines
        order(agent, "restart", id="o2")
        until(lambda: not alive(first), "end of the first program")
        agent.wait(lambda: report_of(agent.updates[-1]).restarts == 1 and report_of(agent.updates[-1]).pid, "restart")
        agent.kill("readout@hlt01.1")
        assert agent.wait_update("TASK_KILLED")["message"].startswith("stopped: ")
        assert executor.leave() == 0
    finally:
        executor.end()
        left = processes_of(executor)
        for pid in left:
            os.kill(pid, 9)
    log = executor.log()
    assert left == [] and log.count("before: before") == 2
    assert "a bug" not in log and "can't be read" not in log and "is read later" not in log


def test_the_runner_of_a_container_is_found_in_the_folder(agent: FakeAgent, place: Path, tmp_path: Path) -> None:
    """It is a Python of its own; here it gets as far as the engine that is not there."""
    system = "/usr/bin/python3"  # the tests' own would find it without the folder
    asked = [system, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    if not os.path.exists(system) or subprocess.check_output(asked, text=True, timeout=60).strip() != VERSION:
        pytest.skip(f"{system} is not Python {VERSION}")
    command = [system, "-ISB", str(place / "bin" / "daqsched-executor")]
    executor = ExecutorUnderTest(agent, tmp_path / "sandbox", command, PYTHONPATH="")
    try:
        container = Container("image:1", engine=f"unix://{tmp_path}/no.sock")
        executor.launch(Payload("readout@hlt01.1", "readout", "hlt01", ("/bin/true",), container=container))
        agent.wait_update("TASK_STARTING", contains="no.sock")
        agent.kill("readout@hlt01.1")
        agent.wait_update("TASK_KILLED")
        assert executor.leave() == 0
    finally:
        executor.end()
