"""`daqsched console` on real Mesos and Elasticsearch, by people at real terminals: what survives what, and who is told of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from daqcluster import Cluster
from farm import BIN, Farm
from person import Person
from waiting import alive, parent_of, until

#: Its terminal has echo, as any.
SHELL = "echo ready; while printf 'ioc> '; read -r line; do echo heard $line; done; echo end of file"
JOBS = f"""
quick = Restart(delay_s=0.1)
jobs = [
    Job("ioc", argv=["/bin/sh", "-c", {SHELL!r}], hosts="hlt[01-02]", console=True, restart=quick),
    Job("quiet", "/bin/sleep 100000", hosts="hlt01"),
]
"""

At = Callable[..., Person]


@pytest.fixture(scope="module")
def farm(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """A daemon with the jobs above."""
    made = Farm(tmp_path_factory.mktemp("farm"), cluster.master_url, cluster.elasticsearch_url, index="console")
    made.serve()
    made.apply(JOBS)
    yield made
    made.clear()


@pytest.fixture
def at(farm: Farm) -> Iterator[At]:
    """Attach somebody, who is gone after the test."""
    people: list[Person] = []

    def one(*words: str) -> Person:
        people.append(Person(farm, *words))
        return people[-1]

    yield one
    for person in people:
        person.close()


def audit_lines(farm: Farm) -> list[str]:
    return (Path(farm.env["DAQSCHED_STATE"]) / "audit.ndjson").read_text().splitlines()


def audit(farm: Farm) -> list[dict[str, Any]]:
    return [one for one in map(json.loads, audit_lines(farm)) if one["operation"].startswith("console")]


def test_people_at_a_terminal(farm: Farm, at: At) -> None:
    """One types and is named, others look on; what is printed is in Elasticsearch, who typed is in the audit file."""
    first = at("ioc@hlt01", "-m", "no beam")
    first.wait("you type")
    second = at("ioc@hlt01")
    second.wait(f"(pid {first.process.pid}) types")
    first.type("dbl\r")
    for person in (first, second):
        person.wait("heard dbl\nioc> ")
    second.type("x")
    second.wait("types: --take takes it over")
    third = at("ioc@hlt01", "--read-only")
    third.wait(f"(pid {first.process.pid}) types")
    taking = at("ioc@hlt01", "--take")
    taking.wait("you type")
    first.wait(f"(pid {taking.process.pid}) types")
    taking.type("dbpr rate\r")
    for person in (first, second, third, taking):
        person.wait("heard dbpr rate\nioc> ")
    assert [person.leave() for person in (first, second, third, taking)] == [0] * 4
    assert alive(farm.pid("ioc@hlt01"))

    def lines() -> set[str]:
        found = farm.run("logs", "ioc@hlt01", "--json", check=False).stdout.splitlines()
        return {json.loads(line)["message"] for line in found}

    until(lambda: lines() >= {"ready", "heard dbl", "ioc> dbl", "heard dbpr rate"}, "all lines are stored", 60.0)
    assert (
        f"console: {os.environ.get('USER', 'root')} types"
        in farm.run("logs", "ioc@hlt01", "--stream", "executor").stdout
    )

    rows = until(
        lambda: audit(farm) if len([one for one in audit(farm) if one["operation"] == "console end"]) == 4 else [],
        "ends",
    )
    who = {one.process.pid: one for one in (first, second, third, taking)}
    told = [(one["operation"], who[one["pid"]]) for one in rows]
    assert told.count(("console", first)) == 1 and sorted(str(one) for one, _ in told).count("console type") == 2
    assert ("console type", first) in told and ("console type", taking) in told and ("console type", second) not in told
    ends = {one["pid"]: one for one in rows if one["operation"] == "console end"}
    assert (ends[first.process.pid]["typed"], ends[first.process.pid]["how"]) == (4, "left")
    assert next(one for one in rows if one["pid"] == first.process.pid)["message"] == "no beam"


def test_keys_that_end_programs_are_kept_from_them(farm: Farm, at: At) -> None:
    """Unless they are asked for: the end of file ends the shell."""
    person = at("ioc@hlt01")
    person.wait("you type")
    pid = farm.pid("ioc@hlt01")
    person.type("one\x03\x04\x1a\x1c\r")
    person.wait("heard one\n")
    for key in ("^C", "^D", "^Z", "^\\"):
        person.wait(f"{key} is kept from the program")
    assert farm.pid("ioc@hlt01") == pid and person.leave() == 0
    person = at("ioc@hlt01", "--all-keys", "--detach-key", "^a")
    person.wait("you type")
    person.type("\x04")
    person.wait("end of file")
    person.wait("start 2 runs")
    person.type("\x01")
    assert person.process.wait(15) == 0


def test_it_survives_restarts_of_the_program_the_agent_and_the_daemon(farm: Farm, cluster: Cluster, at: At) -> None:
    """Whoever is attached stays, reads on where he was, sees nothing twice, and types on."""
    person = at("ioc@hlt02")
    person.wait("you type")
    os.kill(farm.pid("ioc@hlt02"), signal.SIGKILL)
    person.wait("start 2 runs")
    person.type("two\r")
    person.wait("heard two\n")
    farm.kill()
    person.wait("trying again")
    farm.serve()
    person.wait("attached again")
    person.wait("you type", count=2)
    person.type("three\r")
    person.wait("heard three\n")
    log = Path(f"/proc/{parent_of(farm.pid('ioc@hlt02'))}/cwd/executor.log")
    times = log.read_text().count("subscribed at the agent")
    cluster.kill("hlt02")
    cluster.start("hlt02")
    until(
        lambda: log.read_text().count("subscribed at the agent") > times, "its executor has found the agent again", 60.0
    )
    person.type("four\r")
    person.wait("heard four\n")
    assert [person.text.count(f"heard {word}\n") for word in ("two", "three", "four")] == [1, 1, 1]
    assert person.leave() == 0


def test_kill_9_of_the_executor_ends_the_program_and_not_who_is_attached(farm: Farm, at: At) -> None:
    """The next task's terminal is a new one, and what is typed goes there."""
    person = at("ioc@hlt02")
    person.wait("you type")
    pid = farm.pid("ioc@hlt02")
    os.kill(parent_of(pid), signal.SIGKILL)
    until(lambda: not alive(pid), "the program is gone")
    person.wait("launched anew: start 1 runs", 60.0)
    person.wait("ready", 60.0, count=2)
    person.type("anew\r")
    person.wait("heard anew\n")
    assert person.leave() == 0


def test_what_a_program_prints_acts_on_no_terminal_unless_asked_for(farm: Farm, at: At) -> None:
    """Neither its answer to a question of the terminal's nor a title reaches the screen."""
    person, raw = at("ioc@hlt01"), at("ioc@hlt01", "--read-only", "--raw")
    person.wait("you type")
    raw.wait("types")
    person.type("$(printf '\\033[6n\\033]0;title\\007')\r")
    farm.run("stop", "ioc@hlt01")
    person.wait("nothing runs")
    farm.apply(JOBS.replace("echo ready", "printf '\\\\033[6n\\\\033]0;title\\\\007 ready'"))
    farm.run("start", "ioc@hlt01")
    person.wait("␛[6n␛]0;title␇ ready")
    raw.wait("\x1b[6n\x1b]0;title\x07 ready")
    assert "\x1b" not in person.text
    farm.apply(JOBS)


def test_without_a_terminal_here_it_is_a_pipe_to_there(farm: Farm) -> None:
    """For scripts: what comes is typed, a second later it leaves."""
    done = farm.run("console", "ioc@hlt02", "--read-only", "--for", "0.5")
    assert "attached to ioc@hlt02" in done.stderr and "ioc> " in done.stdout
    for orders in ("first", "second"):  # one right after the other
        typed = subprocess.run(
            [str(BIN / "daqsched"), "console", "ioc@hlt02"],
            env=farm.env,
            input=f"{orders}\n",
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert typed.returncode == 0 and f"heard {orders}" in typed.stdout, typed.stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["quiet@hlt01"], "quiet@hlt01 has no terminal: the job file says which do, Job(console=True)"),
        (["ioc"], "ioc is not one job on one host: ioc@hlt01, ioc@hlt02"),
        (["no@hlt01"], "there is none such"),
        (["ioc@hlt01", "--detach-key", "q"], "is not a control key"),
    ],
)
def test_what_can_not_be_is_said(farm: Farm, words: list[str], sentence: str) -> None:
    """As a mistake."""
    done = farm.run("console", *words, check=False)
    assert done.returncode == 2 and sentence in done.stderr


def test_a_reader_that_does_not_read_holds_nobody_up(farm: Farm, at: At) -> None:
    """A command that is stopped, at a program that prints without end: that goes on, others read, and it is told what it missed."""
    flood = "i=0; while :; do i=$((i+1)); echo $i $PATH$PATH$PATH; done"
    farm.apply(
        JOBS + f"jobs.append(Job('flood', argv=['/bin/sh', '-c', {flood!r}], hosts='hlt01', console=True, logs=False))"
    )
    stopped, other = at("flood@hlt01", "--read-only"), at("flood@hlt01", "--read-only")
    stopped.wait("nobody types")
    other.wait("nobody types")
    os.kill(stopped.process.pid, signal.SIGSTOP)
    out = farm.pid("flood@hlt01")
    file = Path(f"/proc/{parent_of(out)}/cwd/stdout")
    grown = file.stat().st_size + (4 << 20)
    until(lambda: file.stat().st_size > grown, "4 MiB more were printed", 60.0)
    before = len(other.text)
    until(lambda: len(other.text) > before, "the other one reads on")
    os.kill(stopped.process.pid, signal.SIGCONT)
    stopped.wait("bytes were printed too fast for this connection; they are in the logs")
    farm.apply(JOBS)


def state_of(farm: Farm, name: str) -> tuple[str, str]:
    row = farm.rows(name)[name]
    return row["state"], row["reason"]


def test_what_is_held_is_not_started_until_somebody_starts_it(farm: Farm, cluster: Cluster, at: At) -> None:
    """Also over a daemon and an agent that are started anew; whoever is at its terminal is told, and types to the next one."""
    done = farm.run("hold", "ioc@hlt01", "-m", "looking")
    assert done.stdout.startswith("1 held; `daqsched start ioc@hlt01` lets them run again.")
    pid, person = farm.pid("ioc@hlt01"), at("ioc@hlt01", "--take")  # the last test's may count as attached for a while
    person.wait("you type")
    farm.kill()
    farm.serve()
    cluster.kill("hlt01")
    cluster.start("hlt01")
    until(lambda: state_of(farm, "ioc@hlt01")[1].startswith("held by"), "it is known to be held")
    assert alive(pid)
    os.kill(pid, signal.SIGKILL)
    until(lambda: state_of(farm, "ioc@hlt01")[0] == "STOPPED", "it is not started again", 60.0)
    assert "looking; killed by SIGKILL" in state_of(farm, "ioc@hlt01")[1]
    person.wait("nothing runs", 60.0)
    refused = farm.run("restart", "ioc@hlt01", check=False)
    assert refused.returncode == 5 and "nothing was restarted: ioc@hlt01 is held by root" in refused.stderr
    before = person.text.count("start 1 runs")  # it may be told sooner than the command ends
    farm.run("start", "ioc@hlt01")
    person.wait("start 1 runs", 60.0, count=1 + before)
    person.type("back\r")
    person.wait("heard back\n")
    assert {one["operation"] for one in map(json.loads, audit_lines(farm))} >= {"hold", "start"}


def test_a_hold_that_is_lifted_leaves_the_program_alone(farm: Farm) -> None:
    """And it is started again as before."""
    farm.run("hold", "ioc@hlt02")
    pid = farm.pid("ioc@hlt02")
    assert "is left alone" in farm.run("restart", "ioc@hlt02", check=False).stderr
    farm.run("start", "ioc@hlt02")
    until(lambda: not farm.rows("ioc@hlt02")["ioc@hlt02"]["report"].get("held"), "its executor knows")
    assert farm.pid("ioc@hlt02") == pid
    os.kill(pid, signal.SIGKILL)
    until(lambda: farm.rows("ioc@hlt02")["ioc@hlt02"]["pid"] not in (0, pid), "it runs again")


def test_a_job_may_wait_for_its_first_start_by_hand(farm: Farm) -> None:
    """An apply does not wait for it; what it dies of later is a death as any."""
    jobs = JOBS + "jobs.append(Job('manual', '/bin/sleep 100000', hosts='hlt[01-02]', start='manual', restart=quick))"
    assert "2 STOPPED" in farm.apply(jobs).stdout
    assert state_of(farm, "manual@hlt01") == (
        "STOPPED",
        "waits for its first start by hand: `daqsched start manual@hlt01`",
    )
    farm.run("start", "manual@hlt01")
    pid = farm.pid("manual@hlt01")
    os.kill(pid, signal.SIGKILL)
    until(lambda: farm.rows("manual@hlt01")["manual@hlt01"]["pid"] not in (0, pid), "it runs again")
    assert state_of(farm, "manual@hlt02")[0] == "STOPPED"
    farm.apply(JOBS)
