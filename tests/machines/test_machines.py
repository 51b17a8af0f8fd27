"""What befalls a farm, in machines: from `vagrant up` to a machine without a trace of them. In this order, on one farm.

`readout` and `monitor` print numbered lines on both farm machines all the time. In the end each line is in Elasticsearch once,
and there was never a second copy of a program.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Callable

import pytest

from daqcluster.machines.secrets import PAGE_FILE
from farm import BIN
from machines.counting import Ledger, Watch, check_lines, missing, quiet
from machines.machines import AGENTS, CONTROLS, Machines
from machines.traces import cables, processes, traces
from waiting import until

#: Elasticsearch is away for so long, while other things happen.
AWAY_S = 60.0

#: What the daemon does each hour, with what it has for that.
AS_SERVE = (
    "-q --pipe --wait -p User=daqsched -p EnvironmentFile=/etc/daqsched/serve.env "
    "-E DAQSCHED_SOCKET=/run/daqsched/daqsched.sock /opt/daqsched/bin/daqsched"
)

EVERYWHERE = [f"{job}@{host}" for job in ("monitor", "readout") for host in AGENTS]


class Story:
    """What the tests tell one another."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        #: How many tasks of each instance should have begun by now.
        self.tasks: Counter[str] = Counter()
        #: When Elasticsearch went.
        self.away = 0.0


@pytest.fixture(scope="session")
def before() -> set[str]:
    """This computer without the machines."""
    made = Machines()
    return traces(made.ident, made.bridge)


@pytest.fixture(scope="session")
def story(before: set[str], farm: Machines) -> Iterator[Story]:
    """All the time there is somebody who looks."""
    watch = Watch({name: farm.ident_of(name) for name in AGENTS})
    made = Story(watch)
    yield made
    watch.end()


@pytest.fixture(autouse=True)
def in_order(request: pytest.FixtureRequest, story: Story) -> Iterator[None]:
    """After each test: no instance ran twice, and as many tasks began as it says."""
    yield
    assert not story.watch.wrong, story.watch.wrong[:10]


def test_a_job_file_is_applied_to_the_machines(farm: Machines, story: Story) -> None:
    """Both jobs run on both machines, and their lines arrive."""
    story.tasks = farm.begun()
    farm.apply()
    assert farm.states() == dict.fromkeys(EVERYWHERE, "RUNNING")
    story.tasks.update(EVERYWHERE)
    assert farm.begun() == story.tasks
    index = farm.index()
    until(lambda: index.count() > 200, "lines arrive", 60.0)


def test_the_page_is_open_on_each_control_machine(farm: Machines, tmp_path: Path) -> None:
    """To `crew`, with the password that `make vagrant` names; also where `serve` is the standby."""
    password = farm.folder / "secrets" / "control" / PAGE_FILE
    wrong = tmp_path / "wrong"
    wrong.write_text("not the password\n")
    wrong.chmod(0o600)
    for name, address in zip(CONTROLS, (10, 11)):
        authority = tmp_path / f"{name}.pem"
        authority.write_text(farm.inside(name, "cat", "/etc/daqsched/tls/ca.pem"))
        url = f"https://{farm.setting['prefix']}.{address}:8443"

        def status(file: Path, server: Sequence[str]) -> subprocess.CompletedProcess[str]:
            words = [*server, "--user", "crew", "--password-file", str(file), "status", "--json"]
            return subprocess.run([str(BIN / "daqsched"), *words], capture_output=True, text=True, timeout=60)

        server = ("--server", url, "--server-ca", str(authority))
        told = status(password, server)
        assert told.returncode == 0, told.stderr
        rows = {f"{row['job']}@{row['host']}": row["state"] for row in json.loads(told.stdout)["rows"]}
        assert dict.fromkeys(EVERYWHERE, "RUNNING").items() <= rows.items()
        assert status(wrong, server).returncode != 0


def test_a_machine_that_was_killed_gets_its_jobs_back_once(farm: Machines, story: Story) -> None:
    """The power goes; its jobs wait for it and are started nowhere else; it comes back, and they with it."""
    pids = farm.pids()
    farm.kill("hlt02")
    killed = time.monotonic()
    until(lambda: on(farm.states(), "hlt02") == both("hlt02", "UNREACHABLE"), "the master gives it up", 120.0)
    farm.measured.append(f"killed machine given up after {time.monotonic() - killed:.1f} s")
    assert on(farm.pids(), "hlt01") == on(pids, "hlt01")
    farm.vagrant("up", "hlt02")
    up = time.monotonic()
    anew(farm, on(pids, "hlt02"))
    farm.measured.append(f"killed machine: its jobs run again {time.monotonic() - up:.1f} s after it was up")
    story.tasks.update(["monitor@hlt02", "readout@hlt02"])
    assert on(farm.pids(), "hlt01") == on(pids, "hlt01") and farm.begun() == story.tasks


def test_a_machine_that_is_cut_off_runs_no_second_copy(farm: Machines, story: Story) -> None:
    """Its programs print on, `status` says that nobody can know; connected again, they are the same."""
    pids = farm.pids()
    farm.cut("hlt02")
    cut = time.monotonic()
    until(lambda: on(farm.states(), "hlt02") == both("hlt02", "UNREACHABLE"), "the master gives it up", 120.0)
    farm.measured.append(f"machine that is cut off: given up after {time.monotonic() - cut:.1f} s")
    farm.mend("hlt02")
    mended = time.monotonic()
    farm.all_run()
    farm.measured.append(
        f"machine that was cut off: the same programs known again {time.monotonic() - mended:.1f} s after"
    )
    assert farm.pids() == pids and farm.begun() == story.tasks


def test_elasticsearch_goes_away_and_no_program_notices(farm: Machines, story: Story) -> None:
    """kill -9, and not started again before what comes next is over."""
    pids = farm.pids()
    farm.inside("control", "systemctl", "kill", "-s", "KILL", "elasticsearch")
    farm.inside("control", "systemctl", "stop", "elasticsearch")
    story.away = time.monotonic()
    assert farm.pids() == pids


def test_a_machine_that_is_rebooted_keeps_the_lines_that_wait(farm: Machines, story: Story) -> None:
    """hlt01, which also has one of the three ZooKeepers, while nothing can be stored."""
    pids = farm.pids()
    farm.vagrant("reload", "--no-provision", "hlt01")
    up = time.monotonic()
    anew(farm, on(pids, "hlt01"))
    farm.measured.append(f"rebooted machine: its jobs run again {time.monotonic() - up:.1f} s after it was up")
    story.tasks.update(["monitor@hlt01", "readout@hlt01"])
    assert on(farm.pids(), "hlt02") == on(pids, "hlt02") and farm.begun() == story.tasks


def test_a_new_version_goes_over_the_farm(farm: Machines, story: Story) -> None:
    """Machine by machine, the other job is left alone. Elasticsearch is away, and nobody needs it for this."""
    monitors = only(farm.pids(), "monitor")
    farm.apply("--set", "version=release-02")
    farm.all_run()
    story.tasks.update(f"readout@{host}" for host in AGENTS)
    assert only(farm.pids(), "monitor") == monitors and farm.begun() == story.tasks
    assert {row.release for name, row in farm.rows().items() if name.startswith("readout@")} == {"release-02"}


def test_the_standby_takes_over_in_the_middle_of_a_rollout(farm: Machines, story: Story) -> None:
    """kill -9 of the `serve` that leads: the other machine's goes on with it, and starts nothing twice."""
    monitors = only(farm.pids(), "monitor")
    leader = farm.leader()
    (standby,) = set(CONTROLS) - {leader}
    farm.apply("--set", "version=release-01", "--no-wait")
    farm.inside(leader, "systemctl", "kill", "-s", "KILL", "daqsched-serve")
    killed = time.monotonic()
    until(lambda: farm.leader() == standby, "the standby leads", 120.0)
    farm.measured.append(f"standby leads {time.monotonic() - killed:.1f} s after the leader was killed")
    farm.all_run()
    story.tasks.update(f"readout@{host}" for host in AGENTS)
    assert only(farm.pids(), "monitor") == monitors and farm.begun() == story.tasks
    assert {row.release for row in farm.rows().values()} == {"release-01"}


def test_a_cvmfs_that_hangs_delays_only_what_is_started_from_it(farm: Machines, story: Story) -> None:
    """A rollout waits for the machine whose cvmfs does not answer, and says so; what runs there runs on."""
    monitors = only(farm.pids(), "monitor")
    farm.hang("hlt02")
    farm.apply("--set", "version=release-02", "--no-wait")
    until(lambda: "does not answer" in farm.rows()["readout@hlt02"].reason, "status says that cvmfs hangs", 120.0)
    assert farm.rows()["readout@hlt01"].release == "release-02" and farm.states()["readout@hlt01"] == "RUNNING"
    assert only(farm.pids(), "monitor") == monitors
    farm.answer("hlt02")
    answered = time.monotonic()
    farm.all_run()
    farm.measured.append(f"cvmfs that hung: started {time.monotonic() - answered:.1f} s after it answered")
    story.tasks.update(f"readout@{host}" for host in AGENTS)
    assert only(farm.pids(), "monitor") == monitors and farm.begun() == story.tasks


def test_elasticsearch_comes_back_and_what_waited_is_stored(farm: Machines, story: Story) -> None:
    """A minute later. Programs noticed nothing."""
    pids = farm.pids()
    until(lambda: time.monotonic() > story.away + AWAY_S, "a minute is over", AWAY_S + 1)
    farm.inside("control", "systemctl", "start", "elasticsearch")
    noted = Ledger(farm.ledgers())
    away = time.monotonic() - story.away
    until(lambda: not missing(farm.lines(), noted), "what waited is stored", 180.0)
    took = time.monotonic() - story.away - away
    farm.measured.append(f"Elasticsearch away for {away:.0f} s: all that waited is stored {took:.1f} s after its start")
    assert farm.pids() == pids and farm.begun() == story.tasks


def test_an_upgrade_and_the_way_back_are_noticed_by_no_program(farm: Machines, story: Story) -> None:
    """The next version of `serve` and executor on all machines, then the version before; forwarders keep their pids, too."""
    pids, forwarders = farm.pids(), farm.forwarders()
    before = farm.crew("--version").split()[-1]
    ways: tuple[tuple[str, Callable[[], str]], ...] = (
        ("99.0.0", lambda: farm.take("99.0.0")),
        (before, lambda: farm.vagrant("provision")),
    )
    for version, provision in ways:
        said = provision()
        for name in (*AGENTS, *CONTROLS):
            assert f"{name}: changed: /opt/daqsched" in said, said
            assert farm.inside(name, "/opt/daqsched/bin/daqsched-executor", "--version").split()[-1] == version
        farm.all_run()
        assert farm.crew("--version").split()[-1] == version
        assert farm.pids() == pids and farm.begun() == story.tasks and farm.forwarders() == forwarders


def test_a_second_provision_changes_nothing(farm: Machines, story: Story) -> None:
    """And says so, for each machine; nothing is restarted."""
    pids = farm.pids()
    said = farm.vagrant("provision")
    for name in (*AGENTS, *CONTROLS):
        assert f"{name}: unchanged" in said, said
    assert "changed:" not in said and "restarted:" not in said, said
    assert farm.pids() == pids and farm.begun() == story.tasks


def test_every_line_is_stored_once_and_no_job_ran_twice(farm: Machines, story: Story) -> None:
    """By each program's own numbers, and by what they noted of themselves; and by the folders that agents make for tasks."""
    farm.crew("stop", "readout", "monitor")
    until(lambda: farm.states() == dict.fromkeys(EVERYWHERE, "STOPPED"), "all are stopped", 60.0)
    ledger = Ledger(farm.ledgers())
    ledger.check()
    assert farm.begun() == story.tasks == ledger.starts()
    until(lambda: not missing(farm.lines(), ledger), "all lines are stored", 120.0)
    quiet(farm.index().count, 60.0)
    lines = check_lines(farm.lines(), ledger)
    assert not story.watch.wrong and story.watch.looks > 100
    # 2: nobody said how long lines are kept; with wrong files or rights it could not know that
    farm.inside("control", "sh", "-c", f"systemd-run {AS_SERVE} logs expire || [ $? = 2 ]")
    looks = story.watch.looks
    farm.measured.append(
        f"{lines} lines of {len(ledger.begun)} starts: none lost or doubled; {looks} looks, never two copies"
    )


def test_every_line_of_the_audit_is_copied_once(farm: Machines, story: Story) -> None:
    """Of the daemons of both control machines, by the copier beside each; it is killed, and goes on."""
    for name in CONTROLS:
        farm.inside(name, "systemctl", "kill", "-s", "KILL", "daqsched-audit-copy")
    farm.crew("note", "the shift is over")
    written = Counter(farm.audit())
    until(lambda: Counter(farm.copied()) == written, "each line of the audit files is copied once", 60.0)
    assert max(written.values()) == 1 and Counter(farm.audit()) == written
    for name in CONTROLS:
        assert farm.inside(name, "systemctl", "is-active", "daqsched-audit-copy") == "active\n"
        assert " whole" in farm.inside(name, "/opt/daqsched/bin/daqsched", "audit", "verify")
    until(lambda: told_of_copy(farm) == (0, ""), "the daemon knows that none waits", 60.0)
    farm.measured.append(f"{len(written)} lines of two audit files: each copied once")


def test_nothing_is_left_behind(farm: Machines, story: Story, before: set[str], pytestconfig: pytest.Config) -> None:
    """After `vagrant destroy` of all: no interface, route, firewall rule, mount, cgroup, file, process."""
    if pytestconfig.getoption("--machines") == "keep":
        pytest.skip("they are kept")
    story.watch.end()
    ends = cables(farm.bridge)
    assert len(ends) == 4 and processes(farm.ident)
    farm.vagrant("destroy", "-f")
    assert farm.refused("status") == "Error: there are no machines: scripts/vagrant up, or make vagrant\n"
    deadline = time.monotonic() + 20.0  # what other engines here make and remove at this moment
    while left := traces(farm.ident, farm.bridge, ends, farm.setting["prefix"]) - before:
        assert time.monotonic() < deadline, f"left behind: {sorted(left)}"
        time.sleep(0.5)


def anew(farm: Machines, before: dict[str, tuple[str, int, int]]) -> None:
    """Until each of these has another task, and all run."""
    until(lambda: all(farm.pids()[name][0] != task for name, (task, _, _) in before.items()), "new tasks begin", 180.0)
    farm.all_run()


def told_of_copy(farm: Machines) -> tuple[int, str]:
    """What `status` says of the copy of the leader's audit file: how many lines wait, and a trouble."""
    told = farm.answer_of(until(farm.leader, "somebody leads", 120.0)).audit_copy
    assert told is not None, "nobody ever copied it"
    return told.lines, told.trouble


def on(of: dict[str, Any], host: str) -> dict[str, Any]:
    return {name: value for name, value in of.items() if name.endswith(f"@{host}")}


def only(of: dict[str, Any], job: str) -> dict[str, Any]:
    return {name: value for name, value in of.items() if name.startswith(f"{job}@")}


def both(host: str, value: str) -> dict[str, str]:
    return {f"monitor@{host}": value, f"readout@{host}": value}
