"""bench/logs.py in a short form: that it runs and its counts agree; how fast anything is, nobody judges here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

BENCH = Path(__file__).parent.parent.parent / "bench" / "logs.py"


def test_the_bench_of_the_lines_runs_and_all_its_counts_agree(cluster: Any) -> None:
    """It checks itself that each shipper stored every line once, also after an outage, and that refused ones are found."""
    server = ["--elasticsearch", cluster.elasticsearch_url, "--pid", str(cluster.members["elasticsearch"].pid)]
    ran = subprocess.run(
        [sys.executable, str(BENCH), *server, "--lines", "1000", "--rounds", "1"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    for part in ("raw", "forwarder", "helpers", "outage", "poison"):
        assert part in ran.stdout
