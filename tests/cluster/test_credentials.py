"""A master that wants to know who registers: real credentials, right, wrong and missing; and a daemon without a master."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from daqcluster import Cluster
from farm import Farm
from waiting import until


def secret_file(path: Path, content: object) -> Path:
    path.touch(mode=0o600)
    path.write_text(json.dumps(content))
    return path


def test_only_who_knows_the_secret_registers(fresh_cluster: Callable[..., Cluster], tmp_path: Path) -> None:
    """The others end with status 1 and the next step; the secret is in no log and no process list."""
    known = secret_file(tmp_path / "master.json", {"credentials": [{"principal": "daq", "secret": "sesame"}]})
    cluster = fresh_cluster(agents=1, credentials=str(known))
    stranger = Farm(tmp_path / "stranger", cluster.master_url)
    wrong = secret_file(tmp_path / "wrong.json", {"principal": "daq", "secret": "barley"})
    for options in ((), ("--credentials", str(wrong))):
        done = stranger.run("serve", "--master", cluster.master_url, *options, check=False)
        assert done.returncode == 1 and "401" in done.stderr and "--credentials" in done.stderr, done.stderr
        assert "sesame" not in done.stderr and "barley" not in done.stderr and "Traceback" not in done.stderr

    right = secret_file(tmp_path / "right.json", {"principal": "daq", "secret": "sesame"})
    farm = Farm(tmp_path / "farm", cluster.master_url)
    farm.serve("--credentials", str(right))
    farm.apply('jobs = [Job("sleeper", "/bin/sleep 100000", hosts="hlt01")]')
    assert farm.states() == {"sleeper@hlt01": "RUNNING"}
    assert farm.process is not None
    for pid in (farm.process.pid, farm.pid("sleeper@hlt01")):
        told = Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{pid}/environ").read_bytes()
        assert b"sesame" not in told
    assert "sesame" not in farm.log()

    # a daemon without a master ends in order when asked to
    farm.apply("jobs = []", "--allow-empty", "--no-wait")
    until(lambda: not farm.rows(), "the job has ended")
    cluster.kill("master")
    until(lambda: not farm.connected(), "the daemon has noticed")
    assert farm.end() == 0, farm.log()
