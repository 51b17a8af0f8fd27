"""How a death is explained: last lines, out of memory, and a clean beginning for the next run. Real programs."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from daqsched_executor.contract import Restart
from fake_agent import FakeAgent, Start, report_of
from waiting import until

MEMORY = Path("/sys/fs/cgroup/memory")


def python(text: str) -> list[str]:
    """argv of a small program."""
    return [sys.executable, "-c", text]


def test_the_last_lines_of_the_dead_run_are_reported(agent: FakeAgent, start: Start) -> None:
    """Of both streams, the one that was written to last at the end; nothing of the run before; few."""
    text = """
import os, sys
for n in range(100000):
    os.write(1, b"event %d\\n" % n)
os.write(2, b"Traceback\\nfatal: \\xff\\x00 gone")
raise SystemExit(3)
"""
    start(*python(text), restart=Restart("never"))
    last = report_of(agent.wait_update("TASK_FAILED")).last_exit
    assert last is not None and last.code == 3 and last.peak > 5
    assert last.lines == ("event 99997", "event 99998", "event 99999", "Traceback", "fatal: \\xff\\x00 gone")


def test_a_run_without_a_line_has_none_of_the_run_before(agent: FakeAgent, start: Start) -> None:
    """Lines belong to their run."""
    text = "test -e second && exit 4; touch second; echo from the first; exit 3"
    start("/bin/sh", "-c", text, restart=Restart(budget=1))
    last = report_of(agent.wait_update("TASK_FAILED")).last_exit
    assert last is not None and (last.code, last.lines) == (4, ())


def test_a_line_that_death_cut_is_not_glued_to_the_next_runs_first(agent: FakeAgent, start: Start) -> None:
    """A newline stands between them, and none where the line was whole."""
    executor = start("/bin/sh", "-c", "echo whole >&2; printf cut; exit 3", restart=Restart(budget=1))
    agent.wait_update("TASK_FAILED")
    assert (executor.sandbox / "stdout").read_bytes() == b"cut\ncut"
    assert (executor.sandbox / "stderr").read_bytes() == b"whole\nwhole\n"


@pytest.mark.skipif(not os.access(MEMORY / "tasks", os.W_OK), reason="needs root and cgroup v1")
def test_out_of_memory_is_told_with_the_limit(agent: FakeAgent, start: Start, tmp_path: Path) -> None:
    """The kernel kills the program in a memory cgroup of the container's own: a real one, of 64 MiB."""
    name = f"daqsched-test-{os.getpid()}"
    group = MEMORY / name
    group.mkdir()
    (group / "memory.limit_in_bytes").write_text(str(64 << 20))
    try:
        # the executor reads its cgroup when it starts: it is started by one that is in there already
        old = next(
            line.split(":")[2] for line in Path("/proc/self/cgroup").read_text().split("\n") if ":memory:" in line
        )
        (group / "cgroup.procs").write_text(str(os.getpid()))
        try:
            environ = {"MESOS_DIRECTORY": f"{tmp_path}/runs/{name}"}
            text = "x = b'x' * (200 << 20); print('never')"
            executor = start(*python(text), restart=Restart("never"), environ=environ)
        finally:
            (MEMORY / old.lstrip("/") / "cgroup.procs").write_text(str(os.getpid()))
        failed = agent.wait_update("TASK_FAILED")
        last = report_of(failed).last_exit
        assert last is not None and last.out_of_memory and last.limit == 64 and 60 < last.peak < 66
        assert failed["message"].startswith("killed by SIGKILL after ")
        assert failed["message"].endswith(" MiB of 64 MiB)")
        executor.leave()
    finally:
        until(lambda: not (group / "cgroup.procs").read_text().strip(), "end of all in the cgroup")
        group.rmdir()


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")
def test_a_missing_library_is_waited_for_and_looked_for_again_after_a_death_of_it(
    agent: FakeAgent, start: Start, tmp_path: Path
) -> None:
    """The start says which one and where; when it is there the program runs; when it goes, the next start says so."""
    library, program = tmp_path / "libdaq.so.3", tmp_path / "readout"
    (tmp_path / "daq.c").write_text("int daq(void) { return 7; }\n")
    (tmp_path / "main.c").write_text(
        "#include <unistd.h>\nint daq(void);\nint main(void) { return sleep(daq() * 9); }\n"
    )
    command = ["gcc", "-shared", "-fPIC", "-Wl,-soname,libdaq.so.3", "-o", str(library), str(tmp_path / "daq.c")]
    subprocess.run(command, check=True)
    subprocess.run(["gcc", "-o", str(program), str(tmp_path / "main.c"), str(library)], check=True)
    library.rename(tmp_path / "away")
    executor = start(str(program), env={"LD_LIBRARY_PATH": str(tmp_path)})
    words = f"libdaq.so.3 is not found for {program} (LD_LIBRARY_PATH is {tmp_path}); trying again every 10 s"
    agent.wait_update("TASK_STARTING", contains=words)
    (tmp_path / "away").rename(library)
    pid = executor.running().pid
    until(lambda: "libdaq" in Path(f"/proc/{pid}/maps").read_text(), "loaded library")
    library.unlink()
    os.kill(pid, signal.SIGKILL)
    agent.wait_update("TASK_STARTING", count=2, contains=words)


def test_a_job_may_do_without_the_look_at_its_libraries(agent: FakeAgent, start: Start, tmp_path: Path) -> None:
    """``libraries = False``: then exec itself says what is wrong."""
    script = tmp_path / "script"
    script.write_text("#!/nowhere/python\n")
    script.chmod(0o755)
    start(str(script), libraries=False)
    agent.wait_update(
        "TASK_STARTING", contains=f"/nowhere/python is missing, which the first line of {script} asks for"
    )
