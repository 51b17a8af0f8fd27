"""`daqsched debug`: what is in the bundle, what never is, and what becomes of it where nobody answers."""

from __future__ import annotations

import json
import logging
import os
import socket
import stat
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from builders import job, offer
from daqsched.bundle import MOST_ALL, MOST_TEXT, Bundle
from daqsched.engine import events
from daqsched.errors import UserError
from daqsched.redaction import scrubber
from daqsched.serve import log
from daqsched.spec import Spec
from daqsched_executor.contract import Exit, Report
from foreign import HOSTILE, look
from served import Serve

#: Values of the environment, of now and of before, of more than one line, and of a variable of the file.
CANARY, OLD, SET = "canary-5ce7", "canary-old1", "canary-set9"
KEY = "canary-key1\n  canary-key2"


def spec(value: str) -> Spec:
    env = {"TOKEN": value, "KEY": KEY, "SHORT": "x"}
    return Spec(jobs=(job(env=env), job("monitor", "hlt02", env=env)), source=f"jobs.py --set token={SET} --set a=b")


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """A daemon whose programs have printed what they should not, and whose log says so."""
    made = Serve(tmp_path)
    made.daemon.put(events.Registered("fw", "http://user:canary-pass@m:5050"))
    made.client.apply(spec(OLD), "first")
    made.client.apply(spec(CANARY), "second")
    made.daemon.put(events.OffersArrived((offer(),)))
    made.settle()
    (task,) = made.edge.launched()
    end = Exit(1.0, 1.0, code=3, lines=(f"no access with {CANARY}", "canary-key2", "readout says x"))
    report = Report("backoff", restarts=1, last_exit=end, until=9e9)
    made.daemon.put(
        events.TaskReported(task, "agent-hlt01", "TASK_STARTING", data=report.to_json(), uuid="u", by_executor=True)
    )
    made.client.note("beam is back")
    made.settle()
    yield made
    made.close()


def run(folder: Path, socket: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "daqsched.cli", "--socket", str(socket), "debug", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def texts(file: Path) -> dict[str, str]:
    """What is in it, by name."""
    with tarfile.open(file) as archive:
        found = {one.name: archive.extractfile(one) for one in archive.getmembers()}
        return {name.partition("/")[2]: part.read().decode() for name, part in found.items() if part is not None}


def test_a_transition_that_cannot_be_is_counted_where_people_look(serve: Serve, tmp_path: Path) -> None:
    """In the answer that `status --json` prints and the bundle has: it is a bug of ours, and its story is in the daemon's log."""
    assert serve.client.status().illegal_transitions == 0
    engine = serve.daemon.engine
    (task,) = serve.edge.launched()
    engine.instances["readout", "hlt01"].shown = "STOPPED"  # as a bug of ours could have it
    running = Report("running", pid=1).to_json()
    serve.daemon.put(events.TaskReported(task, "agent-hlt01", "TASK_RUNNING", data=running, uuid="v", by_executor=True))
    serve.settle()
    assert serve.client.status().illegal_transitions == 1
    run(tmp_path, serve.path, "c.tar.gz")
    assert json.loads(texts(tmp_path / "c.tar.gz")["status.json"])["illegal_transitions"] == 1
    command = [sys.executable, "-m", "daqsched.cli", "--socket", str(serve.path), "status", "--json"]
    printed = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout
    assert json.loads(printed)["illegal_transitions"] == 1


def test_it_has_what_the_daemon_knows_and_no_secret(serve: Serve, tmp_path: Path) -> None:
    """Neither as it is nor in a death's last lines; also of revisions before. The file is ours alone."""
    handler = log.Recent()
    logging.getLogger().addHandler(handler)
    before, log.RECENT._lines = log.RECENT._lines, handler._lines
    try:
        logging.getLogger("daqsched").warning("a word with %s and %s in it", OLD, "https://me:canary-pw@es:9200")
        found = run(tmp_path, serve.path, "b.tar.gz")
    finally:
        log.RECENT._lines = before
        logging.getLogger().removeHandler(handler)
    assert found.returncode == 0, found.stderr
    assert stat.S_IMODE((tmp_path / "b.tar.gz").stat().st_mode) == 0o600
    there = texts(tmp_path / "b.tar.gz")
    assert not [name for name, text in there.items() if "canary" in text]
    assert json.loads(there["status.json"])["rows"][0]["job"] == "readout"
    assert "no access with (hidden)" in there["why.json"] and "readout says x" in there["incidents.json"]
    assert "readout says x" in there["why.json"], "what is short may be any word"
    assert [one["number"] for one in json.loads(there["history.json"])] == [2, 1]
    assert json.loads(there["history.json"])[0]["source"] == "jobs.py --set token=... --set a=..."
    assert json.loads(there["configuration.json"])["jobs"][0]["env"]["TOKEN"].startswith("(hidden ")
    assert json.loads(there["notes.json"])["notes"][0]["message"] == "beam is back"
    assert json.loads(there["versions.json"])["python"] == sys.version
    assert "a word with (hidden) and https://...@es:9200 in it" in there["logs/daemon.log"]
    assert {"info.json", "stories.json", "rollout.json", "aside.json"} <= set(there)
    # no agent, no journal: told at the terminal and in the file
    for name in ("logs/executors/readout@hlt01.log", "logs/agents/hlt01.log"):
        assert f"not in it: {name}: " in found.stderr and f"not in it: {name}: " in there["CONTENTS.txt"]


def test_it_never_takes_the_place_of_a_file(serve: Serve, tmp_path: Path) -> None:
    """Nor follows a link; without a name it has one of its own, each second another."""
    (tmp_path / "there").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("there", "link"):
        found = run(tmp_path, serve.path, name)
        assert found.returncode == 2 and "exists already" in found.stderr
    assert (tmp_path / "there").read_text() == "mine" and not (tmp_path / "nowhere").exists()
    bundle = Bundle("x")
    for name in ("there", "link"):
        with pytest.raises(UserError, match="can't be written"):
            bundle.write(tmp_path / name, 1.0)
    assert run(tmp_path, serve.path).returncode == 0
    (file,) = tmp_path.glob("daqsched-debug-*.tar.gz")
    assert "CONTENTS.txt" in texts(file)


def test_without_a_daemon_it_has_what_this_machine_knows(tmp_path: Path) -> None:
    """And says what is missing, and why; exit status 3."""
    found = run(tmp_path, tmp_path / "none", "b.tar.gz")
    assert found.returncode == 3 and "the daemon told nothing" in found.stderr
    there = texts(tmp_path / "b.tar.gz")
    assert {"versions.json", "CONTENTS.txt"} <= set(there) <= {"versions.json", "CONTENTS.txt", "logs/journal.log"}
    assert "not in it: info.json: no daemon answers on" in there["CONTENTS.txt"]


def test_a_daemon_that_hangs_holds_it_up_no_longer_than_asked(tmp_path: Path) -> None:
    """What was not had in time is told."""
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "s"))
        silent.listen(1)
        began = time.monotonic()
        found = run(tmp_path, tmp_path / "s", "b.tar.gz", "--timeout", "1")
        assert time.monotonic() - began < 15
    assert found.returncode == 3 and "not in it: info.json: no answer in time" in found.stderr


def test_a_bundle_has_a_largest_size_and_says_what_was_cut(tmp_path: Path) -> None:
    """Of each text, and of all; of a log the end stays. No secret is cut in two."""
    bundle = Bundle("x")
    bundle.scrub = scrubber([Spec(jobs=(job(env={"A": "secret-value"}),))])
    bundle.add("a.json", "y" * (MOST_TEXT - 4) + "secret-value")
    bundle.add_lines("logs/b.log", [f"{number} secret-value" for number in range(MOST_TEXT // 8)])
    for number in range(MOST_ALL // MOST_TEXT):
        bundle.add(f"{number}", "z" * MOST_TEXT)
    size = bundle.write(tmp_path / "b", 1.0)
    there = texts(tmp_path / "b")
    assert size == os.stat(tmp_path / "b").st_size and sum(map(len, there.values())) < MOST_ALL + 10_000
    assert "sec" not in there["a.json"] and "secret" not in there["logs/b.log"]
    assert there["logs/b.log"].endswith(f"{MOST_TEXT // 8 - 1} (hidden)\n")
    assert "a.json: its first" in there["CONTENTS.txt"] and "logs/b.log: its last" in there["CONTENTS.txt"]


def test_names_and_lines_of_others_do_nothing_to_who_unpacks_and_reads_it(tmp_path: Path) -> None:
    """No path leads out of its folder, no line acts on a terminal."""
    bundle = Bundle("x")
    bundle.add_lines(f"logs/../../{HOSTILE}/..", [HOSTILE, f"{HOSTILE} again"])
    bundle.lacks.append(HOSTILE)
    bundle.write(tmp_path / "b", 1.0)
    with tarfile.open(tmp_path / "b") as archive:
        for one in archive.getmembers():
            assert one.isreg() and one.mode == 0o600 and ".." not in one.name.split("/") and one.name.startswith("x/")
            assert one.name.isascii() and one.name.isprintable()
    for text in texts(tmp_path / "b").values():
        assert look(text.encode(), terminal=False, tabs=True) == []


def test_the_daemons_log_is_kept_for_it_within_limits() -> None:
    """The last lines, each as it is on stderr."""
    kept = log.Recent(most=3, longest=50)
    for number in range(5):
        kept.handle(logging.LogRecord("x", logging.INFO, "", 0, "line %d %s", (number, "y" * 50), None))
    assert len(kept.lines()) == 3 and all(len(line) <= 50 for line in kept.lines())
    assert "line 4" in kept.lines()[-1] and "line 2" in kept.lines()[0]
