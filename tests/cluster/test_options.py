"""Every option of a job file on real agents: one farm, one apply of many small jobs, and what the kernel says of each.

The table in docs/reference/jobfile.md names these tests; tests/unit/test_reference.py sees that it names one for each option.
"""

from __future__ import annotations

import getpass
import json
import os
import pwd
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daqsched_executor.contract import Stream
from farm import Farm
from forwarding import Index
from opened import opened
from waiting import alive, until

#: An account that is not the executor's own, where the tests may choose one.
ACCOUNT = "nobody" if os.geteuid() == 0 else getpass.getuser()

JOBS = """
from pathlib import Path
from daqsched import Container, Heartbeat, OutputCheck

here = Path({folder!r})
sleep = "/bin/sleep 100000"

def sh(name, script, **more):
    return Job(name, argv=["/bin/sh", "-c", script, *more.pop("words", [])], hosts="hlt01", **more)

def dies(name, script="exit 1", **restart):
    return sh(name, script, restart=Restart(**restart))

jobs = [
    Job("everywhere", sleep, hosts=["hlt01", "hlt[02-03]"]),
    Job("words", "/bin/sh -c 'sleep 100000' 'one word' {{job}} {{host}} {{version}} {{instance}} {{{{}}}}",
        hosts="hlt01", version="r1"),
    Job("listed", argv=["/bin/sh", "-c", "sleep 100000", "one word"], hosts="hlt01"),
    Job("placed", sleep, attributes={{"hostname": "hlt02"}}),
    Job("nowhere", sleep, attributes={{"no-such-attribute": "x"}}),
    Job("settled", sleep, hosts="hlt01", env={{"RUN": "1201", "WHERE": "{{host}}"}}, directory="/usr", user={account!r},
        limits={{"nofile": 512, "core": 0}}, owner="daq", critical=False, labels={{"crate": "3"}}),
    Job("granted", sleep, hosts="hlt01", resources=Resources(cpus=0.25, mem=48, disk=16)),
    *[Job(name, "/bin/sh -c 'sleep 100000' {{port:http}} {{port:ctl}}", hosts="hlt01",
          env={{"HTTP": "{{port:http}}"}}, resources=Resources(ports={{"http": 0, "ctl": fixed}}))
      for name, fixed in (("one", 31007), ("two", 31008))],
    Job("quiet", sleep, hosts="hlt01", logs=False),
    Job("raised", sleep, hosts="hlt01", setuid=True),
    Job("direct", sleep, hosts="hlt01", output="file"),
    Job("needy", sleep, hosts="hlt01", needs=[str(here / "{{host}}" / "{{version}}")], version="r1"),
    Job("first", sleep, hosts="hlt01", needs=[str(here / "first")]),
    Job("second", sleep, hosts="hlt01", after="first"),
    dies("always", "exit 0", policy="always", delay_s=1000),
    dies("finishes", "exit 0", policy="on-failure"),
    dies("fails", "exit 1", policy="on-failure", delay_s=1000),
    dies("never", policy="never"),
    dies("succeeds", "exit 3", policy="on-failure", success_codes=(0, 3)),
    dies("grows", delay_s=0.2, factor=1000, cap_s=100000),
    dies("capped", delay_s=1000, cap_s=0.1),
    dies("lives", "sleep 0.3; exit 1", delay_s=1000, reset_s=0.2),
    dies("spent", delay_s=0, budget=2, window_s=600),
    dies("forgiven", "sleep 0.4; exit 1", delay_s=0, budget=2, window_s=0.5),
    dies("given-up", delay_s=0, budget=1, give_up=1),
    sh("interrupted", f"trap 'echo INT > {{here}}/interrupted; exit' INT; touch {{here}}/ready1; while :; do sleep 0.02; done",
       stop=Stop("INT")),
    sh("warned",
       f"trap '' TERM; trap 'echo USR1 > {{here}}/warned; exit' USR1; touch {{here}}/ready3; while :; do sleep 0.02; done",
       stop=Stop(grace_s=0.2, second_signal="USR1")),
    sh("deaf", f"trap '' TERM USR1; touch {{here}}/ready4; while :; do sleep 0.02; done",
       stop=Stop(grace_s=0.1, second_signal="USR1", second_grace_s=0.2)),
    sh("hooked", "sleep 100000", env={{"WHERE": "{{host}}"}},
       stop=Stop(before=["/bin/sh", "-c", f"echo $WHERE > {{here}}/before"], after=f"/usr/bin/touch {{here}}/after-{{{{host}}}}")),
    sh("held-up", "sleep 100000", stop=Stop(before="/bin/sleep 100", hook_timeout_s=0.3)),
    sh("acts", "sleep 100000", action_timeout_s=0.3,
       actions={{"ask": "/bin/echo asked on {{host}}", "hang": ["/bin/sleep", "100"]}}),
    Job("linked", str(here / "program") + " 100000", hosts="hlt01"),
    Job("unlinked", str(here / "program") + " 100000", hosts="hlt01", libraries=False, restart=Restart("never")),
    *[Job(name, sleep, hosts="hlt03", lock=lock) for name, lock in (("alone", True), ("beside", False))],
    sh("stubborn", f"trap '' TERM; touch {{here}}/ready2; while :; do sleep 0.02; done", stop=Stop(grace_s=0.3)),
]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the jobs write and wait for. Another account can reach it."""
    made = tmp_path_factory.mktemp("options")
    made.chmod(0o755)
    return made


@pytest.fixture(scope="module")
def farm(cluster: Any, folder: Path) -> Iterator[Farm]:
    """A daemon, and the jobs applied: some of them are never running."""
    program = Path("/bin/sleep").read_bytes()
    assert b"libc.so.6\0" in program
    (folder / "program").write_bytes(program.replace(b"libc.so.6\0", b"libx.so.6\0"))
    (folder / "program").chmod(0o755)
    made = Farm(folder / "farm", cluster.master_url)
    made.serve()
    made.run("apply", "--no-wait", str(made.jobs(JOBS.format(folder=str(folder), account=ACCOUNT))))
    yield made
    made.clear()


def proc(farm: Farm, instance: str, file: str) -> str:
    """What the kernel says of the instance's program."""
    return Path(f"/proc/{farm.pid(instance)}/{file}").read_text()


def words(farm: Farm, instance: str) -> list[str]:
    """The program's arguments."""
    return proc(farm, instance, "cmdline").split("\0")[:-1]


def environ(farm: Farm, instance: str) -> dict[str, str]:
    """The program's environment at its start."""
    return dict(entry.split("=", 1) for entry in proc(farm, instance, "environ").split("\0") if entry)


def row(farm: Farm, instance: str, state: str, contains: str = "", restarts: int = 0) -> dict[str, Any]:
    """The instance's row of `status --json`, once it has the state, the words and so many restarts."""

    def as_desired() -> Any:
        found = farm.rows(instance).get(instance, {})
        right = (
            found.get("state") == state and contains in found.get("reason", "") and found.get("restarts", 0) >= restarts
        )
        return right and found

    return until(as_desired, f"{instance} is {state} {contains!r}: {farm.rows(instance)}")


def test_name_and_hosts(farm: Farm) -> None:
    """Once on each of its hosts, under its name."""
    assert {name for name in farm.rows() if name.startswith("everywhere@")} == {
        f"everywhere@hlt0{n}" for n in (1, 2, 3)
    }
    assert len({farm.pid(f"everywhere@hlt0{n}") for n in (1, 2, 3)}) == 3


def test_command_and_version(farm: Farm) -> None:
    """Words as a shell would split them, without one; placeholders filled in."""
    told = words(farm, "words@hlt01")
    assert told == ["/bin/sh", "-c", "sleep 100000", "one word", "words", "hlt01", "r1", "words@hlt01", "{}"]
    assert row(farm, "words@hlt01", "RUNNING")["release"] == "r1"


def test_argv(farm: Farm) -> None:
    """As it is."""
    assert words(farm, "listed@hlt01") == ["/bin/sh", "-c", "sleep 100000", "one word"]


def test_attributes(farm: Farm) -> None:
    """Only where the agent has them; one that is missing matches nowhere."""
    assert alive(farm.pid("placed@hlt02"))
    found = {
        name for name, known in farm.rows().items() if name.startswith(("placed@", "nowhere@")) and known.get("pid")
    }
    assert found == {"placed@hlt02"}


def test_env(farm: Farm) -> None:
    """The job's own, who it is, and nothing of the agent's or the daemon's."""
    told = environ(farm, "settled@hlt01")
    assert told["RUN"] == "1201" and told["WHERE"] == "hlt01"
    assert told["DAQSCHED_JOB"] == "settled" and told["DAQSCHED_INSTANCE"] == "settled@hlt01"
    assert not [name for name in told if name.startswith(("MESOS_", "DAQSCHED_STATE"))]


def test_directory(farm: Farm) -> None:
    """The one that is named; the sandbox where none is."""
    assert os.readlink(f"/proc/{farm.pid('settled@hlt01')}/cwd") == "/usr"
    assert "/executors/" in os.readlink(f"/proc/{farm.pid('listed@hlt01')}/cwd")


def test_user(farm: Farm) -> None:
    """All four ids are the account's."""
    (uids,) = [
        line.split()[1:] for line in proc(farm, "settled@hlt01", "status").splitlines() if line.startswith("Uid:")
    ]
    assert uids == [str(pwd.getpwnam(ACCOUNT).pw_uid)] * 4


def test_limits(farm: Farm) -> None:
    """Soft and hard."""
    told = {line[:26].strip(): line[26:].split()[:2] for line in proc(farm, "settled@hlt01", "limits").splitlines()}
    assert told["Max open files"] == ["512", "512"] and told["Max core file size"] == ["0", "0"]


def test_owner_and_critical(farm: Farm) -> None:
    """Kept with the job, also by the daemon; nothing of it is told to the program's side."""
    spec = json.loads(farm.run("show", str(farm.folder / "jobs.py"), "settled", "--json").stdout)
    assert spec["owner"] == "daq" and spec["critical"] is False
    before = farm.pid("settled@hlt01")
    text = (farm.folder / "jobs.py").read_text()
    (farm.folder / "jobs.py").write_text(text.replace('owner="daq", critical=False', 'owner="crew", critical=True'))
    done = farm.run("apply", "--no-wait", str(farm.folder / "jobs.py"))
    assert "owner daq -> crew" in done.stdout and "1 changed without a restart" in done.stdout
    assert farm.pid("settled@hlt01") == before


def streams(farm: Farm, instance: str) -> list[Stream]:
    """What the forwarder of the machine would read of the instance."""
    spool = Path(os.readlink(f"/proc/{farm.pid('listed@hlt01')}/cwd").partition("/slaves/")[0]) / "daqsched" / "streams"
    found = [Stream.from_json(file.read_bytes()) for file in spool.glob("*.json")]
    return [stream for stream in found if f"{stream.job}@{stream.host}" == instance]


def log(farm: Farm, instance: str) -> str:
    """What its executor wrote, where no program runs that could be asked for its sandbox."""
    return "".join(Path(stream.path).read_text() for stream in streams(farm, instance) if stream.name == "executor")


def test_labels(farm: Farm) -> None:
    """On the streams that every line comes from."""
    assert alive(farm.pid("settled@hlt01"))
    assert [stream.labels for stream in streams(farm, "settled@hlt01") if stream.name == "stdout"] == [{"crate": "3"}]


def test_logs(farm: Farm) -> None:
    """Without, nothing is registered for the forwarder; the lines are in the sandbox all the same."""
    sandbox = Path(os.readlink(f"/proc/{farm.pid('quiet@hlt01')}/cwd"))
    assert not streams(farm, "quiet@hlt01") and len(streams(farm, "listed@hlt01")) == 3
    assert (sandbox / "stdout").exists()


def test_resources(farm: Farm, cluster: Any) -> None:
    """The master has granted so much."""
    assert alive(farm.pid("granted@hlt01"))
    with opened(f"http://{cluster.master_url}/state") as answer:
        state = json.load(answer)
    (task,) = [
        task
        for framework in state["frameworks"]
        for task in framework["tasks"]
        if task["name"] == "granted@hlt01" and task["state"] == "TASK_RUNNING"
    ]
    assert (task["resources"]["cpus"], task["resources"]["mem"], task["resources"]["disk"]) == (0.25, 48, 16)


def test_ports(farm: Farm) -> None:
    """The fixed number, and any that nobody else on the host has; the same in arguments and environment."""
    one, two = words(farm, "one@hlt01")[-2:], words(farm, "two@hlt01")[-2:]
    assert one[1] == "31007" and two[1] == "31008"
    assert len({*one, *two}) == 4 and all(31000 <= int(port) <= 32000 for port in (*one, *two))
    assert environ(farm, "one@hlt01")["HTTP"] == one[0]


def test_needs(farm: Farm, folder: Path) -> None:
    """A path that is missing is a reason to wait, and no failure; it starts by itself when the path is there."""
    row(farm, "needy@hlt01", "STARTING", f"{folder}/hlt01")
    (folder / "hlt01" / "r1").mkdir(parents=True)
    assert row(farm, "needy@hlt01", "RUNNING").get("restarts", 0) == 0


def test_after(farm: Farm, folder: Path) -> None:
    """Not before the other one is running."""
    row(farm, "first@hlt01", "STARTING", "first")
    row(farm, "second@hlt01", "WAITING", "first")
    (folder / "first").touch()
    row(farm, "second@hlt01", "RUNNING")


def test_restart_policy_and_success_codes(farm: Farm) -> None:
    """What counts as success, and what follows from it."""
    row(farm, "always@hlt01", "BACKOFF", "exit code 0", restarts=1)
    row(farm, "finishes@hlt01", "FINISHED", "exit code 0")
    row(farm, "fails@hlt01", "BACKOFF", "exit code 1", restarts=1)
    row(farm, "never@hlt01", "FAILED", "exit code 1")
    row(farm, "succeeds@hlt01", "FINISHED", "exit code 3")


def test_restart_delay_and_factor(farm: Farm) -> None:
    """At once, after 0.2 s, and after a thousand times as long: said when the wait begins."""
    row(farm, "grows@hlt01", "BACKOFF", "min", restarts=2)
    assert "starts again in 3 min 20 s" in log(farm, "grows@hlt01")


def test_restart_cap(farm: Farm) -> None:
    """No wait is longer: else it would still wait for its second restart."""
    until(lambda: farm.rows("capped@hlt01")["capped@hlt01"].get("restarts", 0) >= 4, "it was restarted again and again")


def test_a_job_that_dies_again_and_again_leaves_the_masters_answers_short(farm: Farm) -> None:
    """A master keeps each change of state: before the first run, since then, and nothing for each restart."""
    until(lambda: farm.rows("capped@hlt01")["capped@hlt01"].get("restarts", 0) >= 4, "it was restarted again and again")
    with opened(f"http://{farm.master}/tasks?limit=10000") as answer:
        tasks = json.load(answer)["tasks"]
    kept = [[one["state"] for one in task["statuses"]] for task in tasks if task["name"] == "capped@hlt01"]
    assert kept and all(states in (["TASK_STARTING", "TASK_RUNNING"], ["TASK_RUNNING"]) for states in kept)


def test_restart_reset(farm: Farm) -> None:
    """A run of 0.3 s is a good one, so each restart is a first one: immediate."""
    until(lambda: farm.rows("lives@hlt01")["lives@hlt01"].get("restarts", 0) >= 3, "it was restarted again and again")


def test_restart_budget_and_window(farm: Farm) -> None:
    """After two restarts within the window the task fails, and the scheduler goes on; those long ago do not count."""
    row(farm, "spent@hlt01", "BACKOFF", "failed")
    until(lambda: farm.rows("forgiven@hlt01")["forgiven@hlt01"].get("restarts", 0) >= 4, "its budget is never spent")


def test_restart_give_up(farm: Farm) -> None:
    """After so many failed tasks in a row there is no other one."""
    row(farm, "given-up@hlt01", "FAILED")


def test_stop_signal(farm: Farm, folder: Path) -> None:
    """The program hears it."""
    until((folder / "ready1").exists, "its trap is set")
    pid = farm.pid("interrupted@hlt01")
    farm.run("stop", "interrupted")
    row(farm, "interrupted@hlt01", "STOPPED")
    assert (folder / "interrupted").read_text() == "INT\n" and not alive(pid)


def test_stop_grace(farm: Farm, folder: Path) -> None:
    """What ignores its signal is killed when the grace is over, not after the default's ten seconds."""
    until((folder / "ready2").exists, "its trap is set")
    pid = farm.pid("stubborn@hlt01")
    log = Path(os.readlink(f"/proc/{pid}/cwd")) / "executor.log"
    farm.run("stop", "stubborn")
    row(farm, "stubborn@hlt01", "STOPPED")
    assert not alive(pid) and "SIGKILL to the whole tree" in log.read_text()


def test_stop_second_signal(farm: Farm, folder: Path) -> None:
    """To one that did not end by the first."""
    until((folder / "ready3").exists, "its traps are set")
    farm.run("stop", "warned")
    row(farm, "warned@hlt01", "STOPPED")
    assert (folder / "warned").read_text() == "USR1\n"


def test_stop_second_grace(farm: Farm, folder: Path) -> None:
    """What ignores both is killed."""
    until((folder / "ready4").exists, "its traps are set")
    pid = farm.pid("deaf@hlt01")
    sandbox = Path(os.readlink(f"/proc/{pid}/cwd"))
    farm.run("stop", "deaf")
    row(farm, "deaf@hlt01", "STOPPED")
    assert not alive(pid) and "SIGKILL to the whole tree" in (sandbox / "executor.log").read_text()


def test_stop_hooks(farm: Farm, folder: Path) -> None:
    """One before, with the program's environment, and one after."""
    assert alive(farm.pid("hooked@hlt01")) and not (folder / "before").exists()
    farm.run("stop", "hooked")
    row(farm, "hooked@hlt01", "STOPPED")
    assert (folder / "before").read_text() == "hlt01\n" and (folder / "after-hlt01").exists()


def test_stop_hook_timeout(farm: Farm) -> None:
    """One that hangs holds the stop up for so long and no longer."""
    assert alive(farm.pid("held-up@hlt01"))
    farm.run("stop", "held-up")
    row(farm, "held-up@hlt01", "STOPPED")


def test_actions(farm: Farm) -> None:
    """Run beside the program, and what they print is shown; one that hangs ends when its time is up."""
    pid = farm.pid("acts@hlt01")
    assert "asked on hlt01" in farm.run("act", "acts", "ask").stdout
    done = farm.run("act", "acts", "hang", check=False)
    assert done.returncode != 0 and "0.3" in done.stdout + done.stderr
    assert farm.pid("acts@hlt01") == pid


def test_libraries(farm: Farm) -> None:
    """A start waits for a library that is missing, and says which; without the look the program fails by itself."""
    row(farm, "linked@hlt01", "STARTING", "libx.so.6")
    row(farm, "unlinked@hlt01", "FAILED", "exit code 127")


def test_setuid(farm: Farm) -> None:
    """The kernel gives a program no more rights than its account has, unless the job says so."""
    assert "NoNewPrivs:\t1\n" in proc(farm, "quiet@hlt01", "status")
    assert "NoNewPrivs:\t0\n" in proc(farm, "raised@hlt01", "status")


def test_output(farm: Farm) -> None:
    """Pipes, or files in the sandbox."""
    for job, kind in (("quiet", "pipe:"), ("direct", "/")):
        pid = farm.pid(f"{job}@hlt01")
        assert all(os.readlink(f"/proc/{pid}/fd/{number}").startswith(kind) for number in (1, 2))


def test_lock(farm: Farm, cluster: Any, folder: Path) -> None:
    """Another daemon starts the same instances: the locked one waits until ours has ended, the other one runs twice."""
    second = Farm(folder / "second", cluster.master_url)
    second.serve()
    try:
        jobs = "jobs = [Job(n, '/bin/sleep 100000', hosts='hlt03', lock=lock) for n, lock in (('alone', True), ('beside', False))]"
        second.run("apply", "--no-wait", str(second.jobs(jobs)))
        ours = farm.pid("beside@hlt03")
        assert second.pid("beside@hlt03") != ours and alive(ours)
        row(second, "alone@hlt03", "STARTING", "alone@hlt03")
        first = farm.pid("alone@hlt03")
        farm.run("stop", "alone")
        row(second, "alone@hlt03", "RUNNING")
        assert not alive(first)
    finally:
        second.clear()


def test_logging(farm: Farm, cluster: Any, folder: Path) -> None:
    """The job file's own place for the lines, in the forwarder's arguments; and none where it is turned off."""
    second = Farm(folder / "logging", cluster.master_url, cluster.elasticsearch_url, "the-daemons")
    second.serve()
    try:
        job = "jobs = [Job('printing', '/bin/sleep 100000', hosts='hlt02')]\nlogging = Logging({})"
        second.apply(job.format(f"elasticsearch={cluster.elasticsearch_url + '/'!r}, index='the-files'"))
        assert words(second, "daqsched-forward@hlt02")[-3:] == [cluster.elasticsearch_url + "/", "--index", "the-files"]
        second.apply(job.format("enabled=False"))
        until(lambda: set(second.rows()) == {"printing@hlt02"}, "no forwarder is left")
    finally:
        second.clear()
        Index(cluster.elasticsearch_url, "the-files").remove()
