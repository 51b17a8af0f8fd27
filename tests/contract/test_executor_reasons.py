"""Why a program could not be started: each cause, made for real, has its own sentence, which all that is told of it carries."""

from __future__ import annotations

import base64
import errno
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Callable

import pytest

from daqsched.engine.incidents import Incidents
from daqsched_executor.contract import NOT_STARTED, Findings, Probe, Restart, Survey
from daqsched_executor.machine.no_exec import why_not
from daqsched_executor.machine.no_exec_look import foretold
from fake_agent import ExecutorUnderTest, FakeAgent, Start, report_of

#: What a cause needs: argv, and the job's fields.
_Made = tuple[list[str], dict[str, Any]]

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def _file(content: bytes, mode: int = 0o755) -> Callable[[Path, ExitStack], _Made]:
    def make(folder: Path, stack: ExitStack) -> _Made:
        program = folder / "daq"
        program.write_bytes(content)
        program.chmod(mode)
        return [str(program)], {}

    return make


def _plain(*argv: str, **fields: Any) -> Callable[[Path, ExitStack], _Made]:
    return lambda folder, stack: (list(argv), fields)


def _unlooked(make: Callable[[Path, ExitStack], _Made]) -> Callable[[Path, ExitStack], _Made]:
    """The same with ``libraries=False``: exec itself is the first to see it."""

    def without(folder: Path, stack: ExitStack) -> _Made:
        argv, fields = make(folder, stack)
        return argv, {**fields, "libraries": False}

    return without


def _foreign(folder: Path, stack: ExitStack) -> _Made:
    """A binary of this machine whose header says that it is for another one."""
    own = bytearray(Path("/bin/true").read_bytes())
    own[18:20] = (243 if own[18] != 243 else 62).to_bytes(2, "little")
    return _file(bytes(own))(folder, stack)


@contextmanager
def _mounted(folder: Path) -> Iterator[None]:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "noexec", "none", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def _noexec(folder: Path, stack: ExitStack) -> _Made:
    place = folder / "release"
    place.mkdir()
    stack.enter_context(_mounted(place))
    shutil.copy("/bin/true", place / "daq")
    return [str(place / "daq")], {}


def _noexec_interpreter(folder: Path, stack: ExitStack) -> _Made:
    """The script may be executed, and what its first line names may not."""
    (interpreter,), _ = _noexec(folder, stack)
    return _file(f"#!{interpreter}\n".encode())(folder, stack)


def _busy(folder: Path, stack: ExitStack) -> _Made:
    """Somebody still writes it."""
    program = folder / "daq"
    shutil.copy("/bin/true", program)
    writer = os.open(program, os.O_RDWR)
    stack.callback(os.close, writer)
    return [str(program)], {}


def _too_many(folder: Path, stack: ExitStack) -> _Made:
    """The account has more processes than its limit (a fork bomb of its own): exec says EAGAIN (execve(2))."""
    user = pwd.getpwnam("games")
    for _ in range(3):
        other = stack.enter_context(subprocess.Popen(["sleep", "100"], user=user.pw_uid))
        stack.callback(other.kill)
    return ["/bin/true"], {"user": "games", "limits": {"nproc": 1}}


#: cause -> what makes it, and the sentence. `waited`: a path, which is waited for; else the start has failed.
FAILED: dict[str, tuple[Callable[[Path, ExitStack], _Made], str]] = {
    "unknown user": (_plain("/bin/true", user="nosuch"), "user 'nosuch' is unknown on this machine"),
    "unknown limit": (_plain("/bin/true", limits={"nofiles": 1}), "limit 'nofiles' is unknown on this machine"),
    "refused limit": (_plain("/bin/true", limits={"nofile": 1 << 40}), "limit nofile = 1099511627776 is refused"),
    "CRLF": (_file(b"#!/bin/sh\r\nexit 0\r\n"), "has Windows line endings (CRLF): its #! line asks for /bin/sh\\r"),
    "CRLF, exec": (_unlooked(_file(b"#!/bin/sh\r\nexit 0\r\n")), "has Windows line endings (CRLF)"),
    "CRLF, env": (_file(b"#!/usr/bin/env\r\n"), "its #! line asks for /usr/bin/env\\r"),
    "no #! line": (_file(b"echo hello\n"), "is not a program: neither a binary of this machine nor a script"),
    "empty #! line": (_file(b"#!\n"), "has a #! line that names no interpreter"),
    "empty file": (_file(b""), "is empty: was it published whole?"),
    "no interpreter, exec": (
        _unlooked(_file(b"#!/nowhere/python\n")),
        "/nowhere/python is missing, which the first line of",
    ),
    "other machine": (_foreign, "is a binary for another machine ("),
    "other machine, exec": (_unlooked(_foreign), "is a binary for another machine ("),
    "cut binary": (_file(Path("/bin/true").read_bytes()[:40]), "is not a program"),
    "argument too long": (_plain("/bin/echo", "x" * (1 << 18)), "the job's arguments and environment are too large"),
    "variable too long": (
        _plain("/bin/echo", env={"BIG": "x" * (1 << 18)}),
        "the job's arguments and environment are too large",
    ),
    "noexec, interpreter, exec": (_unlooked(_noexec_interpreter), "may not be executed by this user (a mount with noexec?)"),
    "being written": (_busy, "is being written to"),
    "fork bomb": (_too_many, "this user has more processes than the limit nproc allows"),
}  # fmt: skip

WAITED: dict[str, tuple[Callable[[Path, ExitStack], _Made], str]] = {
    "missing": (_plain("/nowhere/daq"), "/nowhere is missing: is the version published?"),
    "not in PATH": (_plain("no-such-program"), "no-such-program is not in the job's PATH"),
    "missing folder": (_plain("/bin/true", cwd="/nowhere"), "/nowhere is missing"),
    "folder": (_plain("/usr"), "/usr is not a file, so it cannot be started"),
    "no permission": (_file(b"#!/bin/sh\n", 0o644), "is not executable for"),
    "no interpreter": (_file(b"#!/nowhere/python\n"), "/nowhere/python is missing, which the first line of"),
    "noexec": (_noexec, "is on a mount with noexec: nothing there may be executed"),
    "noexec, interpreter": (_noexec_interpreter, "is on a mount with noexec: nothing there may be executed"),
}


def _made(cause: Callable[[Path, ExitStack], _Made], folder: Path, stack: ExitStack) -> _Made:
    folder.mkdir(exist_ok=True)
    return cause(folder, stack)


@AS_ROOT
@pytest.mark.parametrize("cause", FAILED)
def test_a_start_that_fails_is_told_with_its_reason_and_never_as_exit_code_127(
    agent: FakeAgent, start: Start, tmp_path: Path, cause: str
) -> None:
    """In the sentence (`status`), in the last end (`why`), as an incident, and in executor.log (which is forwarded)."""
    make, words = FAILED[cause]
    with ExitStack() as stack:
        argv, fields = _made(make, tmp_path / "made", stack)
        executor = start(*argv, restart=Restart("never"), **fields)
        failed = agent.wait_update("TASK_FAILED")
    end = report_of(failed).last_exit
    assert end is not None and end.why == NOT_STARTED
    incident = Incidents().add("daq", "hlt01", end, 1.0)
    for told in (failed["message"], end.words(), incident.line, executor.log()):
        assert words in told, told
    assert incident.how == NOT_STARTED and "127" not in failed["message"] + end.words()


#: What exec alone knows: what the program is given, and what is so at that moment.
EXEC_ALONE = {"argument too long", "variable too long", "being written", "fork bomb"}


@AS_ROOT
@pytest.mark.parametrize("cause", sorted({*FAILED, *WAITED}.difference(EXEC_ALONE)))
def test_a_survey_says_what_a_start_would_say(agent: FakeAgent, tmp_path: Path, cause: str) -> None:
    """Of each cause that can be seen without an exec."""
    make, words = {**FAILED, **WAITED}[cause]
    with ExitStack() as stack:
        (program, *_), fields = _made(make, tmp_path / "made", stack)
        executor = ExecutorUnderTest(agent, tmp_path / "survey")
        stack.callback(executor.end)
        executor.launch(Survey("preflight-1@hlt01.7", "hlt01", (Probe("it", program, **fields),)))
        status = agent.wait_update("TASK_FINISHED")
        assert executor.leave() == 0
    (found,) = Findings.from_json(base64.b64decode(status["data"])).found.values()
    assert words in found


@pytest.mark.parametrize(
    ("kind", "well"),
    [
        ("enabled\ninterpreter /usr/bin/java\nflags: \nextension .jar\n", True),
        ("enabled\ninterpreter /usr/bin/x\nflags: \noffset 1\nmagic 6368\n", True),
        ("enabled\ninterpreter /usr/bin/x\nflags: \noffset 1\nmagic 4348\nmask dfdf\n", True),
        ("enabled\ninterpreter /usr/bin/x\nflags: \noffset 0\nmagic 6368\n", False),
        ("enabled\ninterpreter /usr/bin/x\nflags: \nextension .exe\n", False),
        ("enabled\ninterpreter /usr/bin/x\nflags: \n", True),
        ("disabled\ninterpreter /usr/bin/java\nflags: \nextension .jar\n", False),
    ],
)
def test_a_survey_knows_what_else_the_kernel_runs(tmp_path: Path, kind: str, well: bool) -> None:
    """By the interpreters that are registered with it; of one that is not understood nothing is said."""
    program, others = tmp_path / "daq.jar", tmp_path / "binfmt_misc"
    program.write_text("echo hello\n")
    others.mkdir()
    (others / "status").write_text("enabled\n")
    (others / "register").write_text("")
    assert "is not a program" in foretold(str(program), str(others))
    (others / "it").write_text(kind)
    assert (foretold(str(program), str(others)) == "") == well
    (others / "status").write_text("disabled\n")
    assert foretold(str(program), str(others))
    assert foretold("/bin/true", str(others)) == foretold(str(tmp_path / "gone"), str(others)) == ""


@AS_ROOT
@pytest.mark.parametrize("cause", WAITED)
def test_a_start_that_waits_says_what_for(agent: FakeAgent, start: Start, tmp_path: Path, cause: str) -> None:
    """It is no death: a release that is published later starts by itself."""
    make, words = WAITED[cause]
    with ExitStack() as stack:
        argv, fields = _made(make, tmp_path / "made", stack)
        executor = start(*argv, restart=Restart("never"), **fields)
        told = agent.wait_update("TASK_STARTING", contains=words)
    assert report_of(told).activity == "probing" and words in executor.log()


def test_what_goes_to_the_background_is_an_incident_of_that_name(agent: FakeAgent, start: Start) -> None:
    """However well its first process ended; one that ends and leaves nothing is none."""
    start("/bin/sh", "-c", "sleep 1000 & exit 0", restart=Restart("never"))
    end = report_of(agent.wait_update("TASK_FINISHED")).last_exit
    assert end is not None and end.in_background and "must stay in the foreground" in end.words()
    assert Incidents().add("daq", "hlt01", end, 1.0).how == "went to the background"


@pytest.mark.parametrize("number", sorted(errno.errorcode))
def test_each_errno_of_exec_is_a_sentence_with_the_path(number: int, tmp_path: Path) -> None:
    """Whatever the kernel says."""
    said = why_not(str(tmp_path / "daq"), OSError(number, os.strerror(number)))
    assert said.startswith(str(tmp_path / "daq")) and "[Errno" not in said and len(said) > len(str(tmp_path)) + 15
