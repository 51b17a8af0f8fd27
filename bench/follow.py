"""How soon a line is on the terminal: from its being printed by a job to `daqsched logs -f`, by Elasticsearch and by sandboxes.

Real Mesos, real Elasticsearch, the real commands; three jobs on three agents, each prints the time ten times a second. The
floor, in the same run: a document that is sent straight to the same index and searched for until it is found.

    python bench/follow.py [SECONDS]
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import httpx  # noqa: E402

from farm import BIN, Farm, running  # noqa: E402

JOBS = f"""
jobs = [Job("clock", argv=[{sys.executable!r}, "-u", "-c", "import time\\nwhile True: print('at', time.time()); time.sleep(0.1)"],
            hosts="hlt[01-03]")]
"""


def followed(farm: Farm, seconds: float, *options: str) -> list[float]:
    """Seconds from print to terminal of each line that came in so long."""
    words = [str(BIN / "daqsched"), "logs", "clock", "-f", "--json", "--stream", "stdout", *options]
    late: list[float] = []
    with subprocess.Popen(words, env=farm.env, stdout=subprocess.PIPE, text=True) as command:
        assert command.stdout is not None
        began = time.time()
        for line in command.stdout:
            now = time.time()
            printed = float(json.loads(line)["message"].split()[1])
            if printed > began + 1.0:  # it is on the way since, and no line of before
                late.append(now - printed)
            if now > began + seconds:
                break
        command.terminate()
    return late


def straight(url: str, index: str, times: int) -> list[float]:
    """Seconds until a document that is sent straight away is found."""
    late = []
    with httpx.Client(base_url=url, timeout=10.0) as client:
        for at in range(times):
            began = time.time()
            body = {"@timestamp": int(began * 1000), "message": f"straight {at} {began}"}
            client.post(f"/{index}/_doc", json=body).raise_for_status()
            query = {"query": {"match_phrase": {"message": body["message"]}}, "size": 1}
            while not client.post(f"/{index}/_search", json=query).json()["hits"]["hits"]:
                time.sleep(0.01)
            late.append(time.time() - began)
    return late


def say(name: str, late: list[float]) -> None:
    """One row."""
    late.sort()
    print(
        f"{name:34} median {statistics.median(late):.2f} s, 99 % {late[int(len(late) * 0.99)]:.2f} s, "
        f"most {late[-1]:.2f} s of {len(late)}"
    )


def main() -> None:
    """Bring all up, measure, take it down."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    with tempfile.TemporaryDirectory() as folder, running(Path(folder), agents=3, elasticsearch_=True) as cluster:
        url = str(cluster.elasticsearch_url)
        farm = Farm(Path(folder) / "farm", cluster.master_url, url)
        farm.fresh = True
        farm.serve()
        try:
            farm.apply(JOBS)
            say("print to terminal, Elasticsearch", followed(farm, seconds))
            say("print to terminal, sandboxes", followed(farm, seconds, "--sandbox"))
            indices = httpx.get(f"{url}/_cat/indices/test-*", params={"format": "json"}).json()
            say("straight into the index and out", straight(url, max(one["index"] for one in indices), 50))
        finally:
            farm.clear()


if __name__ == "__main__":
    main()
