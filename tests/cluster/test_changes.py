"""Changes of a running farm on real agents: plans, rollouts, rollbacks, hosts set aside, as the crew does them."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from farm import Farm
from waiting import alive, until

#: A readout on three hosts and what comes after it; ``gate`` is the program's last argument.
JOBS = """
from daqsched import Rollout, variable
version = variable("version", "r1")
jobs = [
    Job("readout", "/bin/sh -c 'test {version} != bad || exit 3; exec sleep 100000'", hosts="hlt[01-03]", version=version),
    Job("monitor", "/bin/sleep 100000", hosts="hlt[01-03]", after=["readout"]),
]
"""


@pytest.fixture
def farm(cluster: Any, tmp_path: Path) -> Iterator[Farm]:
    """A daemon of its own on the shared cluster, with a folder of guards; every job is stopped afterwards."""
    made = Farm(tmp_path / "farm", cluster.master_url)
    (made.folder / "guards").mkdir()
    made.serve("--guards", str(made.folder / "guards"))
    yield made
    made.clear()


def pids(farm: Farm, job: str = "readout") -> dict[str, int]:
    return {name: row.get("pid", 0) for name, row in farm.rows(job).items()}


def releases(farm: Farm) -> list[str]:
    """What runs on hlt01, hlt02 and hlt03; - where nothing does."""
    rows = farm.rows("readout")
    run = {row["host"]: row for row in rows.values()}
    return [run[host]["release"] if run[host]["state"] == "RUNNING" else "-" for host in ("hlt01", "hlt02", "hlt03")]


def rollout(farm: Farm) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(farm.run("rollout", "--json").stdout)["rollout"]
    return found


def test_a_plan_says_what_would_not_start_and_how_long_it_takes(farm: Farm) -> None:
    """On the machines as they are; its digest guards an apply; the exit status tells whether anything changes."""
    farm.apply(JOBS)
    assert farm.run("plan", str(farm.jobs(JOBS))).stdout == "Nothing changes.\n"
    farm.run("restart", "*", "--batches", "all", "--yes")
    until(lambda: rollout(farm)["state"] == "done", "all was started anew")
    more = '+ [Job("huge", "/x", hosts="hlt02", resources=Resources(mem=1e6)), Job("far", "/x", hosts="hlt77")]'
    done = farm.run("plan", str(farm.jobs(f"{JOBS}\njobs = jobs {more}")), "--set", "version=r2", check=False)
    assert done.returncode == 6
    assert "version r1 -> r2" in done.stdout and "3 to restart, 2 to start." in done.stdout
    assert "would not start now: huge on hlt02: not enough memory: needs 1000032 MiB," in done.stdout
    assert "would not start now: far on hlt77: hlt77 is not registered with the master: is its agent up?" in done.stdout
    assert "A program is down for about " in done.stdout
    base = json.loads(farm.run("plan", "--json", str(farm.jobs(JOBS))).stdout)["base"]
    farm.apply(JOBS, "--set", "version=r2", "-m", "a colleague's")
    done = farm.apply(JOBS, "--set", "version=r3", "--if-unchanged", base, check=False)
    assert done.returncode == 5 and "since revision 2 by" in done.stderr and "a colleague's" in done.stderr
    assert releases(farm) == ["r2", "r2", "r2"]


def test_a_rollout_pauses_at_a_bad_release_and_goes_back(farm: Farm) -> None:
    """One host was tried; the others never noticed."""
    farm.apply(JOBS)
    before = pids(farm)
    done = farm.apply(JOBS, "--set", "version=bad", "--batches", "1", "--ready", "0.5", check=False)
    assert (
        done.returncode == 4
        and "is paused in batch 1 of 3 (1 of 3 instances changed), 1 failure, the last of readout@hlt01" in done.stderr
    )
    assert {name: pid for name, pid in pids(farm).items() if "hlt01" not in name} == {
        name: pid for name, pid in before.items() if "hlt01" not in name
    }
    shown = farm.run("rollout").stdout
    assert "failed: readout@hlt01  exit code 3" in shown and "`daqsched rollout resume`" in shown
    farm.run("rollout", "rollback")
    until(lambda: releases(farm) == ["r1", "r1", "r1"], "all is back")
    assert {name: pid for name, pid in pids(farm).items() if "hlt01" not in name}.items() <= before.items()
    assert "rollback of revision 2 to 1" in farm.run("history").stdout


def test_a_failed_rollout_goes_back_by_itself(farm: Farm) -> None:
    """Where the job file says so; a batch has to have been ready for a time, in which this one dies."""
    farm.apply(JOBS)
    before = pids(farm)
    late = JOBS.replace(
        "exec sleep 100000", "test {version} = r1 || sleep 1; test {version} = r1 || exit 4; exec sleep 100000"
    )
    text = f'{late}\nrollout = Rollout(batches=1, ready_s=20, on_failure="rollback")'
    done = farm.apply(text, "--set", "version=r2", check=False)
    assert (
        done.returncode == 4
        and "went back in batch 1 of 3 (1 of 3 instances changed), 1 failure, the last of readout@hlt01" in done.stderr
    )
    until(lambda: releases(farm) == ["r1", "r1", "r1"], "it is back")
    assert {name: pid for name, pid in pids(farm).items() if "hlt01" not in name}.items() <= before.items()


def test_a_rollback_does_not_go_to_a_revision_that_never_ran(farm: Farm) -> None:
    """r2 was aborted before its first batch; r3 fails on the first host, which goes back to r1. Nobody else notices anything."""
    guard = farm.folder / "guards" / "no-run"
    guard.write_text("#!/bin/sh\nexit 1\n")
    guard.chmod(0o755)
    farm.apply(JOBS)
    before = {**pids(farm), **pids(farm, "monitor")}
    guarded = f'{JOBS}\nrollout = Rollout(batches=1, ready_s=0, guard="no-run")'
    farm.apply(guarded, "--set", "version=r2", "--no-wait", "-m", "tonight")
    farm.run("rollout", "abort")
    text = f'{JOBS}\nrollout = Rollout(batches=1, ready_s=20, on_failure="rollback")'
    done = farm.apply(text, "--set", "version=bad", check=False)
    assert (
        done.returncode == 4
        and "went back in batch 1 of 3 (1 of 3 instances changed), 1 failure, the last of readout@hlt01" in done.stderr
    )
    until(lambda: releases(farm) == ["r1", "r1", "r1"], "it is back")
    until(lambda: rollout(farm)["state"] == "done", "the way back is over")
    after = {**pids(farm), **pids(farm, "monitor")}
    assert {name for name in before if after[name] != before[name]} <= {"readout@hlt01", "monitor@hlt01"}
    said = farm.run("history").stdout
    assert "rollback of revision 3 to 2" in said and "aborted" in said


def test_who_waits_for_an_apply_is_told_that_another_one_took_its_place(farm: Farm) -> None:
    """With a status of its own, and whose it was; one that is about other jobs takes nobody's place."""
    text = JOBS.replace(
        'hosts="hlt[01-03]", version=version)', 'hosts="hlt[01-03]", version=version, needs=["/no/such"])'
    )
    with open(farm.folder / "apply.log", "wb") as log:
        waits = farm.popen(log, "apply", str(farm.jobs(text)), "--timeout", "100")
    until(lambda: {row["state"] for row in farm.rows("readout").values()} == {"STARTING"}, "it waits for a path")
    farm.run("apply", str(farm.jobs('jobs = [Job("other", "/bin/sleep 100000", hosts="hlt01")]')), "--only", "other")
    assert waits.poll() is None
    farm.apply(JOBS, "-m", "without the path")
    assert waits.wait(30) == 8
    said = (farm.folder / "apply.log").read_text()
    assert (
        "revision 1 is not in force any more: revision 3 by " in said
        and ": without the path; `daqsched history`" in said
    )
    history = farm.run("history").stdout
    assert "(only other)" in history and "without the path" in history


def test_what_is_not_ready_in_time_holds_a_rollout_up(farm: Farm) -> None:
    """Each counts; where that is not too much yet, the next batch begins without it."""
    farm.apply(JOBS)
    text = JOBS.replace("jobs = [", "from daqsched import FileCheck\njobs = [").replace(
        "version=version)", 'version=version, needs=["/nowhere/{version}"] if version != "r1" else [])'
    )
    text = f"{text}\nrollout = Rollout(batches=1, ready_s=0, timeout_s=3, failures=2)"
    done = farm.apply(text, "--set", "version=r2", "--no-look", check=False)
    assert (
        done.returncode == 4
        and "is paused in batch 2 of 3 (2 of 3 instances changed), 2 failures, the last of readout@hlt02" in done.stderr
    )
    assert "not ready after 3.0 s" in done.stderr and releases(farm) == ["-", "-", "r1"]


def test_a_daemon_killed_in_a_rollout_goes_on_with_it(farm: Farm) -> None:
    """kill -9 in the first batch: the batches stay as they were, each program is changed once."""
    farm.apply(JOBS)
    farm.apply(JOBS, "--set", "version=r2", "--batches", "1", "--ready", "2", "--no-wait")
    until(lambda: releases(farm)[0] == "r2", "the first host has changed")
    first = farm.pid("readout@hlt01")
    farm.kill()
    farm.serve("--guards", str(farm.folder / "guards"))
    assert rollout(farm)["state"] == "running" and rollout(farm)["batches"] == 3
    until(lambda: rollout(farm)["state"] == "done", "the rollout is done")
    assert releases(farm) == ["r2", "r2", "r2"] and farm.pid("readout@hlt01") == first


def test_a_guard_says_when_a_batch_may_begin(farm: Farm) -> None:
    """A program of the operators' own: while it says no, its words are the reason."""
    farm.apply(JOBS)
    guard, verdict = farm.folder / "guards" / "run-stopped", farm.folder / "stopped"
    guard.write_text(f"#!/bin/sh\ntest -e {verdict} && exit 0\necho run 1234 is under way\nexit 1\n")
    guard.chmod(0o755)
    text = f'{JOBS}\nrollout = Rollout(batches=[1, "100%"], ready_s=0, guard="run-stopped")'
    farm.apply(text, "--set", "version=r2", "--no-wait")
    waits = "batch 1 of 2 waits for run-stopped: run 1234 is under way"
    until(lambda: waits in farm.run("rollout").stdout, "the guard's no is shown")
    assert releases(farm) == ["r1", "r1", "r1"]
    verdict.touch()
    until(lambda: releases(farm) == ["r2", "r2", "r2"], "the guard has said yes", 60.0)


def test_what_ends_much_has_to_be_meant(farm: Farm) -> None:
    """By a number or a share, of the job file or of the daemon; nothing ends where nobody said so."""
    farm.apply(JOBS)
    run = pids(farm, "*")
    assert len(run) == 6
    for words in (("stop", "*"), ("restart", "*", "--batches", "all"), ("aside", "hlt[01-03]", "--for", "1h")):
        done = farm.run(*words, check=False)
        assert done.returncode == 5 and "this ends 6 of 6 running programs at once" in done.stderr
        assert "3 of monitor on hlt[01-03]" in done.stderr and "give --stops 6, or --yes" in done.stderr
    done = farm.apply("jobs = []", "--allow-empty", "--stops", "5", check=False)
    assert done.returncode == 5 and "more than the 5 agreed to" in done.stderr
    assert pids(farm, "*") == run
    # the job file in force says how many
    careful = f"from daqsched import Confirm\n{JOBS}\nconfirm = Confirm(programs=1)"
    farm.apply(careful)
    assert pids(farm, "*") == run
    done = farm.run("stop", "@hlt01", check=False)
    assert done.returncode == 5 and "this ends 2 of 6" in done.stderr
    farm.apply(careful.replace("programs=1", "programs=100, share='50%'"))
    done = farm.run("stop", "*", check=False)
    assert done.returncode == 5 and "this ends 6 of 6" in done.stderr
    assert pids(farm, "*") == run
    farm.apply(JOBS)
    farm.run("stop", "*", "--stops", "6")
    until(lambda: set(farm.states().values()) == {"STOPPED"}, "all are stopped")
    farm.run("start", "*")


def test_a_host_put_aside_stops_in_order_and_comes_back(farm: Farm) -> None:
    """The monitor before the readout; an apply meanwhile is for the others; the lease ends by itself."""
    farm.apply(JOBS)
    before = pids(farm)
    farm.run("aside", "hlt02", "--for", "5s", "-m", "new firmware")
    until(lambda: farm.states()["readout@hlt02"] == "ASIDE", "it is aside")
    assert not alive(before["readout@hlt02"])
    ended = [line for line in farm.log().splitlines() if "@hlt02: stopped: " in line]
    assert ["monitor@hlt02" in line for line in ended] == [True, False]
    until(lambda: farm.states()["monitor@hlt02"] == "RUNNING", "the time is over")
    assert {name: pid for name, pid in pids(farm).items() if "hlt02" not in name}.items() <= before.items()


def test_a_part_of_the_farm_is_changed_and_the_rest_left_behind(farm: Farm) -> None:
    """Until an apply of everything."""
    farm.apply(JOBS)
    before = pids(farm)
    farm.apply(JOBS, "--set", "version=r2", "--only", "*@hlt03")
    assert releases(farm) == ["r1", "r1", "r2"]
    planned = farm.run("plan", str(farm.jobs(JOBS)), "--set", "version=r2", check=False)
    assert planned.returncode == 6 and "restart 2  hlt[01-02]" in planned.stdout
    assert {name: pid for name, pid in pids(farm).items() if "hlt03" not in name}.items() <= before.items()
    farm.apply(JOBS, "--set", "version=r2")
    assert releases(farm) == ["r2", "r2", "r2"]


def test_revisions_are_listed_compared_and_applied_again(farm: Farm) -> None:
    """With who, when and why."""
    farm.apply(JOBS, "-m", "first")
    farm.apply(JOBS, "--set", "version=r2", "-m", "second")
    listed = json.loads(farm.run("history", "--json").stdout)
    assert [(one["number"], one["message"]) for one in listed] == [(2, "second"), (1, "first")]
    different = farm.run("diff", "1", "2", check=False)
    assert different.returncode == 6 and "version r1 -> r2" in different.stdout
    assert farm.run("diff", "2").stdout == "Nothing changes.\n"
    assert json.loads(farm.run("show", "1", "readout", "--json").stdout)["release"] == "r1"
    farm.run("rollback", "1")
    assert releases(farm) == ["r1", "r1", "r1"]
    nothing = farm.run("rollback", "77", check=False)
    assert nothing.returncode == 2 and "there is no revision 77" in nothing.stderr


def test_a_rolling_restart_takes_one_host_at_a_time(farm: Farm) -> None:
    """While one is away the others are there; a second rollout has to wait."""
    farm.apply(JOBS)
    before = pids(farm)
    farm.run("restart", "readout", "--ready", "4", "-m", "leaks")
    refused = farm.run("restart", "monitor", check=False)
    assert refused.returncode == 5 and "is under way" in refused.stderr
    until(lambda: rollout(farm)["state"] == "done", "all were started anew")
    assert not set(before.values()) & set(pids(farm).values())
    for pid in pids(farm).values():
        assert alive(pid)


def test_a_rollout_waits_where_it_is_told_to(farm: Farm) -> None:
    """Pause after a batch, resume, abort: what was not reached stays as it is."""
    farm.apply(JOBS)
    paused = farm.apply(
        JOBS, "--set", "version=r2", "--batches", "1", "--ready", "8", "--pause-after", "1", check=False
    )
    assert (
        paused.returncode == 4
        and "is paused in batch 1 of 3 (1 of 3 instances changed), after batch 1, as asked for" in paused.stderr
    )
    farm.run("rollout", "resume")
    farm.run("rollout", "abort", "-m", "beam is back")
    until(lambda: "-" not in releases(farm), "all run")
    assert releases(farm)[2] == "r1" and rollout(farm)["why"].endswith(": beam is back")
    os.kill(farm.pid("readout@hlt03"), signal.SIGKILL)
    until(lambda: farm.rows("readout@hlt03")["readout@hlt03"]["restarts"] == 1, "it is back")
    assert releases(farm)[2] == "r1"


def test_why_tells_what_is_wrong_and_where_else(farm: Farm) -> None:
    """A death with its last line on all hosts, after the change that brought it; a host that is not there."""
    text = """
jobs = [
    Job("readout", argv=["/bin/sh", "-c", "echo cannot open /dev/pcie40_{host}; exit 3"], hosts="hlt[01-03]", version="r2",
        restart=Restart(delay_s=60)),
    Job("evb", "/bin/sleep 100000", hosts="hlt01", after=["far"]),
    Job("far", "/bin/sleep 100000", hosts="hlt77"),
]"""
    farm.apply(text, "--no-wait")
    until(lambda: "times, on 3 hosts (hlt[01-03])" in farm.run("why", check=False).stdout, "all have died")
    done = farm.run("why", check=False)
    assert done.returncode == 4 and "  | cannot open /dev/pcie40_hlt01" in done.stdout
    assert "after revision 1 (version r2)" in done.stdout
    assert "evb@hlt01  WAITING  waits for far (0 of 1 running)" in done.stdout
    assert "far@hlt77 is WAITING: no offer from hlt77" in done.stdout
    assert "no offer from hlt77" in farm.run("why", "far", check=False).stdout
    assert farm.run("why", "nosuch", check=False).returncode == 2
    (one,) = json.loads(farm.run("incidents", "--json").stdout)["incidents"]
    assert (one["count"] >= 3, one["how"], one["revision"]) == (True, "exit code 3", 1)
    assert "cannot open /dev/pcie40_" in farm.run("incidents").stdout


def test_a_job_is_run_by_hand_on_a_host_put_aside(farm: Farm) -> None:
    """Its output comes to the terminal, its end is told, and the host stays aside; an apply does not disturb it."""
    farm.apply(JOBS)
    refused = farm.run("borrow", "hlt02", "readout", check=False)
    assert refused.returncode == 5 and "hlt02 is not set aside" in refused.stderr
    farm.run("aside", "hlt02", "--for", "1h")
    until(lambda: farm.states()["readout@hlt02"] == "ASIDE", "it is aside")
    done = farm.run(
        "borrow",
        "--",
        "hlt02",
        "readout",
        "/bin/sh",
        "-c",
        "echo by hand on {host}; echo oops >&2; exit 7",
        check=False,
    )
    assert done.returncode == 4 and done.stdout == "by hand on hlt02\n" and "oops" in done.stderr
    assert "readout@hlt02: exit code 7 after" in done.stderr
    good = farm.run("borrow", "--", "hlt02", "readout", "/bin/echo", "well")
    assert good.stdout == "well\n" and farm.states()["readout@hlt02"] == "ASIDE"
    farm.run("return", "hlt02")
    until(lambda: releases(farm) == ["r1", "r1", "r1"], "it is back")


def test_status_tells_how_it_was(farm: Farm) -> None:
    """Also over the daemon's death."""
    farm.apply(JOBS)
    then = time.time()
    farm.run("stop", "monitor@hlt02", "-m", "cabling")
    until(lambda: farm.states()["monitor@hlt02"] == "STOPPED", "it is stopped")
    farm.kill()
    farm.serve()
    known = json.loads(farm.run("status", "--json", "--at", datetime.fromtimestamp(then).isoformat()).stdout)
    assert {row["state"] for row in known["rows"]} == {"RUNNING"} and len(known["rows"]) == 6
    assert (known["revision"], known.get("doubt", "")) == (1, "")
    long_ago = farm.run("status", "--at", "2020-01-01").stdout
    assert "nothing was applied" in long_ago and "Nothing is known of a time before this daemon's first day" in long_ago
