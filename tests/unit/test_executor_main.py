"""The command ``daqsched-executor``: what it answers, and what it does not import."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from daqsched_executor import __version__
from daqsched_executor.__main__ import main


def modules_of(code: str) -> set[str]:
    """What a fresh interpreter has imported after ``code``."""
    script = f"import json, sys\n{code}\nprint(json.dumps([n for n, m in sys.modules.items() if type(m) is type(sys)]))"
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", script], env=environ, check=True, capture_output=True, text=True)
    return set(json.loads(done.stdout))


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    """Both end with status 0 and say what there is."""
    assert main(["--version"]) == 0 and main(["--help"]) == 0
    out = capsys.readouterr().out
    assert __version__ in out and "daqsched-executor run" in out and "daqsched-executor forward" in out


@pytest.mark.parametrize("argv", [[], ["runn"]])
def test_a_command_that_is_not_there_ends_with_status_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """With one line that says so, and the usage."""
    assert main(argv) == 2
    assert "usage: daqsched-executor run" in capsys.readouterr().err


def test_run_outside_of_mesos_says_what_it_lacks(tmp_path: Path) -> None:
    """Nothing is created, nothing started: status 2 and one line."""
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "daqsched_executor", "run"]
    done = subprocess.run(command, env=environ, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and list(tmp_path.iterdir()) == []
    assert "it lacks MESOS_AGENT_ENDPOINT, MESOS_FRAMEWORK_ID, MESOS_EXECUTOR_ID" in done.stderr


def test_run_imports_only_what_it_needs() -> None:
    """Each of these would cost every executor of a farm its share of a megabyte."""
    main = "import daqsched_executor.__main__; from daqsched_executor.lean import keep_out; keep_out()"
    loaded = modules_of(f"{main}; import daqsched_executor.run.main, daqsched_executor.out")
    unwanted = {
        "ssl",
        "_ssl",
        "asyncio",
        "elasticsearch",
        "click",
        "kazoo",
        "multiprocessing",
        "email.parser",
        "uuid",
        "inspect",
        "ctypes._endian",
        "struct",
        "base64",
        "httptools",
    }
    unwanted |= {"docker", "requests", "urllib3", "daqsched_executor.contract.forwarding"}
    assert not loaded & unwanted
    assert not [
        name for name in loaded if name.startswith(("daqsched_executor.forward", "daqsched_executor.container"))
    ]
    for_some_jobs = (
        "life.checks life.health life.check_words life.notify run.checks run.probes run.port_probe run.output_probe"
        " run.notify run.side_commands"
    )
    assert not loaded & {f"daqsched_executor.{name}" for name in for_some_jobs.split()}


def test_what_is_kept_out_is_there_when_it_is_used() -> None:
    """A deferred module loads itself at the first use of it."""
    code = "from daqsched_executor.lean import keep_out; keep_out(); import traceback; traceback.format_exc()"
    assert "linecache" in modules_of(code)


def test_words_are_looked_for_without_the_library_too() -> None:
    """It may lie where a file system is away; what it is made of differs from Python to Python, and finders import some of it."""
    script = """
import sys
sys.path[:] = %r
from daqsched_executor.lean import keep_out
keep_out()
import daqsched_executor.run.main
from daqsched_executor.preloaded import preload
from daqsched_executor.standins import loaded
preload(f"daqsched_executor.{package}" for package in ("run", "life", "machine"))
assert "collections" not in [name for name, one in sys.modules.items() if type(one) is type(sys)]
sys.path.clear(), sys.path_importer_cache.clear()
print(loaded("re").compile("a+b").search("xaab")[0])
"""
    argv = [sys.executable, "-I", "-S", "-c", script % sys.path]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "aab\n"), done.stderr


def test_a_connection_that_is_made_after_all_is_a_real_one() -> None:
    """pymesos imports the class by name; only what makes one of it loads the module."""
    code = "from daqsched_executor.lean import keep_out; keep_out(); from http.client import HTTPConnection"
    assert "http.client" not in modules_of(code)
    made = "connection = HTTPConnection('127.0.0.1', 1); assert connection.port == 1"
    assert {"http.client", "email.parser"} <= modules_of(f"{code}; {made}")


def test_a_forwarder_imports_tls_only_where_it_speaks_it() -> None:
    """1.4 MB on each machine whose Elasticsearch is asked by plain HTTP; who imports it later gets it."""
    assert "_ssl" not in modules_of("import daqsched_executor.forward.loop")
    assert "_ssl" in modules_of("import daqsched_executor.forward.loop, ssl")
