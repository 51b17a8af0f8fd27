"""What a crew asks of programs that run, and how a stop goes, on real agents: actions, retry, hooks, the second signal."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from farm import Farm
from waiting import alive, until

JOBS = """
jobs = [
    Job("plain", "/bin/sleep 100000", hosts="hlt[01-02]",
        actions={"dump": ["/bin/sh", "-c", "echo begun; echo $DAQSCHED_JOB of $DAQSCHED_PID"],
                 "fail": "/bin/false", "hang": "/bin/sleep 100000"},
        action_timeout_s=ACTION_S),
    Job("dies", "/bin/false", hosts="hlt03", restart=Restart(delay_s=300, cap_s=300)),
    Job("hooked", argv=["/bin/sh", "-c", "trap 'echo told >> order; exit 0' TERM; while :; do sleep 0.05; done"],
        hosts="hlt03", directory="FOLDER", actions={"dump": "/bin/true"},
        stop=Stop(before="/bin/sh -c 'echo before $DAQSCHED_PID >> order'", after=["/bin/sh", "-c", "echo after >> order"])),
    Job("deaf", argv=["/bin/sh", "-c", "trap '' TERM; trap 'echo int > second; exit 0' INT; while :; do sleep 0.05; done"],
        hosts="hlt03", directory="FOLDER", stop=Stop(grace_s=0.5, second_signal="INT", second_grace_s=20)),
]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the programs write to."""
    return tmp_path_factory.mktemp("orders")


@pytest.fixture(scope="module")
def farm(cluster: Any, folder: Path) -> Iterator[Farm]:
    """The jobs, applied; one of them dies all the time."""
    made = Farm(folder / "farm", cluster.master_url)
    made.serve()
    made.apply(JOBS.replace("FOLDER", str(folder)).replace("ACTION_S", "1.5"), "--no-wait")
    until(lambda: list(made.states().values()).count("RUNNING") == 4, "four run")
    until(lambda: made.states()["dies@hlt03"] == "BACKOFF", "one backs off")
    yield made
    made.clear()


def test_an_action_runs_on_every_chosen_host_and_shows_how_it_went(farm: Farm) -> None:
    """Exit status 0 only if all succeeded; the program goes on as it was."""
    before = farm.rows("plain")
    done = farm.run("act", "plain", "dump")
    for name in ("plain@hlt01", "plain@hlt02"):
        assert f"ok    {name}  exit code 0 after" in done.stdout
        assert f"plain of {before[name]['pid']}" in done.stdout
    assert {name: row["pid"] for name, row in farm.rows("plain").items()} == {
        name: row["pid"] for name, row in before.items()
    }
    failed = farm.run("act", "plain@hlt01", "fail", "--json", check=False)
    assert failed.returncode == 4 and json.loads(failed.stdout)[0]["words"].startswith("exit code 1")


def test_an_action_that_hangs_ends_with_its_limit(farm: Farm) -> None:
    """And one that the job does not offer is refused, with what there is."""
    done = farm.run("act", "plain@hlt01", "hang", check=False)
    assert done.returncode == 4 and "did not end within 1.5 s and was killed" in done.stdout
    done = farm.run("act", "plain@hlt01", "nothing", check=False)
    assert (
        done.returncode == 2 and "no action 'nothing', nothing was asked for: plain has dump, fail, hang" in done.stderr
    )
    done = farm.run("act", "nowhere", "dump", check=False)
    assert done.returncode == 2 and "no job matches" in done.stderr


def test_a_back_off_ends_when_somebody_asks(farm: Farm) -> None:
    """It starts at once and the wait begins anew; the time that is left is shown."""
    row = farm.rows("dies")["dies@hlt03"]
    assert "exit code 1" in row["reason"] and "starts again in" in row["reason"]
    before = row["report"]["restarts"]
    farm.run("retry", "dies", "-m", "cable is back")
    until(lambda: farm.rows("dies")["dies@hlt03"]["report"]["restarts"] > before, "it was started again")
    assert "retry asked for by" in farm.log() and "cable is back" in farm.log()


def test_hooks_run_around_the_signal(farm: Farm, folder: Path) -> None:
    """Before it, with the program's pid; after it, when nothing is left."""
    pid = farm.pid("hooked@hlt03")
    farm.run("stop", "hooked")
    until(lambda: farm.states()["hooked@hlt03"] == "STOPPED", "it has stopped")
    assert (folder / "order").read_text().split("\n") == [f"before {pid}", "told", "after", ""]
    began = time.monotonic()
    done = farm.run("act", "hooked", "dump", check=False)
    assert done.returncode == 4 and done.stderr.startswith("hooked@hlt03 does not run\n") and not done.stdout
    assert time.monotonic() - began < 30, "it waited for an outcome that can't come"


def test_checks_that_are_not_there_can_not_rest(farm: Farm) -> None:
    """Hosts in short, and exit status 4."""
    done = farm.run("snooze", "plain", "--for", "30m", check=False)
    assert done.returncode == 4 and "plain@hlt[01-02] has no checks" in done.stderr


def test_the_second_signal_helps_where_the_first_does_not(farm: Farm, folder: Path) -> None:
    """Long before SIGKILL."""
    pid = farm.pid("deaf@hlt03")
    began = time.monotonic()
    farm.run("stop", "deaf")
    until(lambda: farm.states()["deaf@hlt03"] == "STOPPED", "it has stopped")
    assert not alive(pid) and time.monotonic() - began < 20
    assert (folder / "second").read_text() == "int\n"
