"""`Logging(...)` on real agents: who gets a forwarder, what it is told, and when it goes."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request

import pytest

from daqcluster import Cluster
from farm import Farm
from opened import opened
from relay import Relay
from waiting import until

FORWARDER = "daqsched-forward"

#: Says goodbye a moment after it was told to end.
POLITE = """
program = '''
import signal, time
def end(number, frame):
    time.sleep(0.5)
    print("goodbye", flush=True)
    raise SystemExit(0)
signal.signal(signal.SIGTERM, end)
print("hello", flush=True)
time.sleep(1000)
'''
polite = Job("polite", argv=["/usr/bin/env", "python3", "-c", program], hosts="hlt02")
"""


@pytest.fixture
def farm(cluster: Cluster, tmp_path: Path) -> Iterator[Farm]:
    """A daemon with the cluster's Elasticsearch and an index of its own."""
    made = Farm(tmp_path / "farm", cluster.master_url, cluster.elasticsearch_url, f"logging-{time.time_ns()}")
    made.serve()
    yield made
    made.clear()


def logs(farm: Farm, *words: str) -> list[dict[str, Any]]:
    return farm.lines("-n", "100000", *words)


def messages(farm: Farm, *words: str) -> list[str]:
    return [line["message"] for line in logs(farm, *words)]


def test_the_last_words_of_a_host_s_last_job_are_stored_before_its_forwarder_goes(
    cluster: Cluster, tmp_path: Path
) -> None:
    """However long Elasticsearch is away: then it stays, and goes when all is stored."""
    url = cluster.elasticsearch_url
    with Relay(url) as relay:
        farm = Farm(tmp_path / "farm", cluster.master_url, relay.url, f"logging-{time.time_ns()}")
        farm.serve()
        farm.apply(f"{POLITE}\njobs = [polite]")
        until(lambda: messages(farm, "polite", "--stream", "stdout") == ["hello"], "its first line is stored")
    farm.run("apply", str(farm.jobs("jobs = []")), "--allow-empty", "--no-wait")
    until(lambda: set(farm.states()) == {f"{FORWARDER}@hlt02"}, "the job has gone, and its forwarder has not")
    last = until(lambda: farm.rows().get(f"{FORWARDER}@hlt02", {}).get("pid", 0), "a forwarder works")
    assert b'until_empty":true' in Path(f"/proc/{last}/environ").read_bytes()
    with Relay(url, relay.port):
        until(lambda: not farm.rows(), "the forwarder has gone, too", 120.0)
        assert messages(farm, "polite", "--stream", "stdout") == ["hello", "goodbye"]
        farm.clear()


def test_a_host_that_only_an_input_names_has_a_forwarder(farm: Farm) -> None:
    """It is told of its own inputs; a change of these restarts it, and nothing else."""
    mine, theirs = farm.folder / "service.log", farm.folder / "other.log"
    (farm.folder / "real").write_text("before\n")
    mine.symlink_to("real")
    text = f"""
jobs = [Job("sleeper", "/bin/sleep 100000", hosts="hlt01")]
logging = Logging(files=[
    LogFiles("service", {f"{mine}*"!r}, from_start=True, follow_links=True, labels={{"place": "hall"}}, hosts="hlt[03]"),
    LogFiles("other", {str(theirs)!r}, hosts=["hlt01"]),
])
"""
    farm.apply(text)
    assert set(farm.states()) == {"sleeper@hlt01", f"{FORWARDER}@hlt01", f"{FORWARDER}@hlt03"}
    pids = {name: farm.pid(name) for name in farm.rows()}
    told = Path(f"/proc/{pids[f'{FORWARDER}@hlt03']}/environ").read_bytes()
    assert str(mine).encode() in told and str(theirs).encode() not in told
    with mine.open("a") as file:
        file.write("after\n")
    until(lambda: messages(farm, "service") == ["before", "after"], "both lines are stored")
    assert {line["host"] for line in logs(farm, "service")} == {"hlt03"}
    farm.apply(text.replace("hall", "hut"))
    now = {name: farm.pid(name) for name in farm.rows()}
    assert {name for name in pids if pids[name] != now[name]} == {f"{FORWARDER}@hlt03"}
    until(lambda: FORWARDER in farm.states() or set(farm.states().values()) == {"RUNNING"}, "all runs again")
    with mine.open("a") as file:
        file.write("later\n")
    until(lambda: messages(farm, "service") == ["before", "after", "later"], "it went on where it was")


def test_two_farms_forwarders_on_one_cluster_do_not_wait_for_each_other_for_ever(
    farm: Farm, cluster: Cluster, tmp_path: Path
) -> None:
    """The first sends the lines of both, and the other says that it stands by; it takes over when the first one's farm has gone."""
    text = "jobs = [Job('{0}', argv=['/bin/sh', '-c', 'n=0; while sleep 1; do n=$((n+1)); echo {0} $n; done'], hosts='hlt02')]"
    other = Farm(tmp_path / "other", cluster.master_url, cluster.elasticsearch_url, f"other-{farm.index}")
    try:
        farm.apply(text.format("first"))
        other.serve()
        other.apply(text.format("second"))
        (stands_by,) = (row for row in other.rows(FORWARDER).values())
        assert stands_by["state"] == "RUNNING" and farm.states()[f"{FORWARDER}@hlt02"] == "RUNNING"
        by = f"process {farm.pid(f'{FORWARDER}@hlt02')} forwards "
        until(lambda: by in other.rows(FORWARDER)[f"{FORWARDER}@hlt02"]["reason"], "it says that it stands by")
        until(lambda: messages(farm, "first"), "the lines of its own farm are stored")
        until(lambda: messages(farm, "second"), "and of the other")
        farm.run("apply", str(farm.jobs("jobs = []")), "--allow-empty", "--no-wait", "--yes")
        until(lambda: not farm.rows(), "the first farm has gone, with its forwarder", 60.0)
        until(lambda: len(messages(other, "second", "--stream", "stdout")) > 2, "the other one has taken over")
        first, then = (messages(one, "second", "--stream", "stdout") for one in (farm, other))
        numbers = [int(line.split()[1]) for line in (*first, *then)]
        assert numbers == list(range(1, len(numbers) + 1)), f"each line once: {first} and then {then}"
    finally:
        other.clear()


def test_a_mistake_in_logging_is_shown_with_its_line_and_nothing_is_applied(farm: Farm) -> None:
    """By the command, and by the daemon for who speaks to it without one."""
    text = 'jobs = []\nlogging = Logging(\n    when_full="newest",\n    syslog=Syslog(udp=70000),\n)'
    done = farm.run("apply", str(farm.jobs(text)), check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        f"Error: {farm.folder / 'jobs.py'}:4: logging.when_full: 'newest' is not one of oldest, debug",
        f"{farm.folder / 'jobs.py'}:5: logging.syslog.udp: must be from 1 to 65535, or 0 for none, not 70000",
    ]


def test_what_logging_says_is_what_forwarders_do(farm: Farm, cluster: Cluster, tmp_path: Path) -> None:
    """How often an index begins, the number of the run, bounds, a file with a name and a password."""
    run, user = tmp_path / "run", tmp_path / "user"
    run.write_text("1201 cosmic\n")
    user.write_text("crew:secret\n")
    user.chmod(0o600)
    farm.apply(f"""
jobs = [Job("printer", argv=["/bin/sh", "-c", "sleep 2; echo hello; sleep 1000"], hosts="hlt01")]
logging = Logging(period="minute", run_file={str(run)!r}, user_file={str(user)!r}, keep=1, disk=64, when_full="debug")
""")
    until(lambda: messages(farm, "printer", "--stream", "stdout") == ["hello"], "the line is stored")
    told = Path(f"/proc/{farm.pid(f'{FORWARDER}@hlt01')}/environ").read_bytes()
    for word in (b'"keep":1.0', b'"disk":64.0', b'"when_full":"debug"', str(user).encode()):
        assert word in told
    assert b"secret" not in told
    with opened(f"{cluster.elasticsearch_url}/{farm.index}-*/_search?q=message:hello") as answer:
        (found,) = json.load(answer)["hits"]["hits"]
    assert found["_source"]["labels"]["run"] == "1201"
    assert re.fullmatch(rf"{farm.index}-\d{{4}}\.\d\d\.\d\d\.\d{{4}}", found["_index"])


def test_a_service_s_records_have_their_own_time_level_and_charset(farm: Farm) -> None:
    """As the job file says that they are written."""
    path = farm.folder / "service.log"
    record = (
        "2026-11-20 05:06:02,250 +0000 <E> gr\u00fcn\n    at the second line\n2026-11-20 05:06:03,000 +0000 <I> next\n"
    )
    path.write_bytes(record.encode("latin-1"))
    farm.apply(f"""
jobs = [Job("sleeper", "/bin/sleep 100000", hosts="hlt01")]
logging = Logging(files=LogFiles(
    "service", {str(path)!r}, time="%Y-%m-%d %H:%M:%S,%f %z", level="<(?P<level>[A-Z])>", multiline="indented",
    charset="latin-1", from_start=True,
))
""")
    first, _ = until(lambda: len(found := logs(farm, "service")) == 2 and found, "both records are stored")
    assert first["message"] == "2026-11-20 05:06:02,250 +0000 <E> gr\u00fcn\n    at the second line"
    assert (first["time"], first["level"]) == ("2026-11-20T05:06:02.250000Z", "error")


def test_what_comes_in_over_the_network_and_from_journald(farm: Farm, tmp_path: Path) -> None:
    """Each input on the machine that it names and nowhere else; across kill -9 of the forwarder."""
    folder = tmp_path / "journal"
    folder.mkdir()
    entry = f"__REALTIME_TIMESTAMP={time.time_ns() // 1000}\n__MONOTONIC_TIMESTAMP=1\n_BOOT_ID={'ab' * 16}\n"
    subprocess.run(
        ["/lib/systemd/systemd-journal-remote", f"--output={folder}/test.journal", "-"],
        input=f"{entry}MESSAGE=from the journal\n_HOSTNAME=hlt02\n_SYSTEMD_UNIT=nsmd2.service\n\n"
        f"{entry}MESSAGE=of another unit\n_HOSTNAME=hlt02\n_SYSTEMD_UNIT=cron.service\n\n".encode(),
        check=True,
        timeout=20,
        capture_output=True,
    )
    syslog, stream, lines = free_ports(3)
    farm.apply(f"""
jobs = [Job("sleeper", "/bin/sleep 100000", hosts="hlt[01-02]")]
logging = Logging(
    syslog=Syslog(udp={syslog}, tcp={stream}, address="127.0.0.1", buffer=1.0, senders=2, idle_s=600, hosts="hlt01"),
    json=JsonLines(udp={lines}, address="127.0.0.1", buffer=1.0, hosts=["hlt02"]),
    journal=Journal(enabled=True, directory={str(folder)!r}, units=["nsmd2.service"], hosts="hlt02"),
)
""")

    def send(port: int, text: str) -> None:
        with socket.socket(type=socket.SOCK_DGRAM) as udp:
            udp.sendto(text.encode(), ("127.0.0.1", port))

    def arrives(port: int, text: str, *words: str) -> None:
        """UDP: who sends before anybody listens has sent for nothing, so it is sent until it is found."""

        def found() -> list[str]:
            send(port, text)
            return messages(farm, *words)

        until(found, f"{text} is found")

    arrives(syslog, "<11>Nov 23 05:06:02 fee01 bootpd[7]: no answer", "bootpd@fee01")
    (found,) = logs(farm, "bootpd@fee01", "-n", "1")
    assert (found["message"], found["level"]) == ("no answer", "error")
    arrives(lines, '{"message": "hot", "level": "warning", "host": "hv03", "app": "crate"}', "crate@hv03")
    until(lambda: messages(farm, "nsmd2.service@hlt02") == ["from the journal"], "the journal's entry")
    assert messages(farm, "cron.service@hlt02") == []
    with contextlib.ExitStack() as stack:
        for _ in range(3):  # silent ones, more than there may be
            stack.enter_context(socket.create_connection(("127.0.0.1", stream)))
        tcp = stack.enter_context(socket.create_connection(("127.0.0.1", stream)))
        tcp.sendall(b"<14>1 - fee02 slow - - - over TCP\n")
    until(lambda: messages(farm, "slow@fee02") == ["over TCP"], "the message over TCP")
    pid = farm.pid(f"{FORWARDER}@hlt02")
    os.kill(pid, signal.SIGKILL)
    until(lambda: farm.rows()[f"{FORWARDER}@hlt02"].get("pid", 0) not in (0, pid), "another forwarder")
    arrives(lines, '{"message": "hot again", "host": "hv04", "app": "crate"}', "crate@hv04")
    assert messages(farm, "nsmd2.service@hlt02") == ["from the journal"], "once"


def free_ports(count: int) -> list[int]:
    """Numbers that nobody uses at this moment."""
    with contextlib.ExitStack() as stack:
        made = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in made:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in made]


def test_lines_that_elasticsearch_takes_in_no_form_are_told_of(farm: Farm, cluster: Cluster) -> None:
    """Their machine's forwarder says so in `status`, and `deadletter list` names it; both end when the file was replayed."""
    strict = {"mappings": {"dynamic": "strict", "properties": {"message": {"type": "long"}}}}
    today = time.strftime("%Y.%m.%d", time.gmtime())
    names = [f"{farm.index}-{today}", f"{farm.index}-deadletter-{today[:7]}"]
    for name in names:
        request = Request(f"{cluster.elasticsearch_url}/{name}", json.dumps(strict).encode(), method="PUT")
        request.add_header("Content-Type", "application/json")
        with opened(request) as answer:
            assert answer.status == 200
    farm.apply('jobs = [Job("words", argv=["/bin/sh", "-c", "echo hello; exec sleep 1000"], hosts="hlt01")]')
    row = until(
        lambda: next(
            (
                row
                for row in farm.rows(FORWARDER).values()
                if "refused lines are on this machine alone" in row.get("reason", "")
            ),
            None,
        ),
        "status tells of it",
        60.0,
    )
    assert (row["host"], row["state"]) == ("hlt01", "RUNNING")
    listed = farm.run("deadletter", "list")
    assert "0 dead letters." in listed.stderr
    assert (
        "hlt01: " in listed.stderr and "refused lines are on this machine alone (deadletter.ndjson);" in listed.stderr
    )
    links = [file.readlink() for file in Path(f"/proc/{farm.pid(f'{FORWARDER}@hlt01')}/fd").iterdir()]
    (folder,) = {file.parent for file in links if (file.parent.name, file.name) == ("forward", "lock")}
    kept = folder / "deadletter.ndjson"
    for name in names:
        with opened(Request(f"{cluster.elasticsearch_url}/{name}", method="DELETE")) as answer:
            assert answer.status == 200
    replayed = farm.run("deadletter", "replay", "--file", str(kept))
    assert ", 0 are still refused." in replayed.stdout + replayed.stderr
    until(lambda: messages(farm, "words", "--stream", "stdout") == ["hello"], "its line is stored")
    kept.unlink()
    until(lambda: not farm.rows(FORWARDER)[f"{FORWARDER}@hlt01"].get("reason"), "status tells of nothing", 60.0)
