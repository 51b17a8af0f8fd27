"""The copy of the audit file in a real Elasticsearch: its fields are found as what they are, by those alone who may."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request

import pytest
from click.testing import CliRunner

from daqcluster import Cluster
from daqsched.cli import main
from daqsched.logs.search import connect
from daqsched.logs.setup import Setup
from daqsched.serve.audit import DONE, REFUSED, Audit, Entry
from daqsched_executor.contract.forwarding import Access
from opened import opened
from secured import PASSWORD


def asked(url: str, user: str, path: str, body: Any = None) -> Any:
    secret = base64.b64encode(f"{user}:{PASSWORD}".encode()).decode()
    headers = {"Content-Type": "application/json", "Authorization": f"Basic {secret}"}
    with opened(Request(url + path, None if body is None else json.dumps(body).encode(), headers)) as answer:
        return json.load(answer)


def found(url: str, user: str, query: Any) -> int:
    return int(
        asked(url, user, "/daqsched-audit-*/_search", {"query": query, "track_total_hits": True})["hits"]["total"][
            "value"
        ]
    )


def old_months_are_deleted_and_no_others(url: str, folder: Path, recent: str) -> None:
    """By `logs expire` with the rights that the page names; lines of jobs of the same age are nobody's here."""
    clock = [1_700_000_000.0]
    old = Audit(folder / "old.ndjson", lambda: clock[0])
    for _ in range(30):  # one a month
        old.note(Entry("alice", 1000, 100, 4711, "socket", "", "stop", DONE))
        clock[0] += 31 * 86400.0
    old.close()
    user, deletes = folder / "user", folder / "expire"
    deletes.touch(0o600)
    deletes.write_text(f"audit-expire:{PASSWORD}\n")
    words = ["--elasticsearch", url, "--elasticsearch-user-file"]
    done = CliRunner().invoke(main, ["audit", "copy", str(folder / "old.ndjson"), "--once", *words, str(user)])
    assert "30 lines are in" in done.output, done.output
    asked(url, "admin", "/daqsched-logs-2023.12/_doc", {"message": "of a job"})

    def indices() -> list[str]:
        return sorted(asked(url, "admin", "/daqsched-*"))

    def expire(*more: str) -> Any:
        return CliRunner().invoke(main, ["logs", "expire", "--index", "daqsched-audit", *more, *words, str(deletes)])

    before = indices()
    assert len(before) >= 31, before
    assert "no index is older than 730d" in expire("--keep", "730d").output, (
        "what was copied just now is of no old index"
    )
    client = connect(url, Access("", str(deletes), ""))
    later = time.time() + 730 * 86400.0 + 60
    steps = Setup(client, "daqsched-audit", False).expire("730d", later)
    client.close()
    assert {step.outcome for step in steps} == {"done"} and len(steps) >= 25
    left = indices()
    assert "daqsched-logs-2023.12" in left and recent in left and "daqsched-audit-2023.11" not in left
    assert set(left) < set(before)
    with pytest.raises(HTTPError) as refused:  # who deletes reads nothing
        asked(url, "audit-expire", f"/{recent}/_search")
    assert refused.value.code == 403


def test_lines_are_there_once_with_their_fields_and_for_those_alone_who_may(empty: Cluster, tmp_path: Path) -> None:
    """Copied again after Elasticsearch was away, and by another copier that knows nothing of the first."""
    audit = Audit(tmp_path / "audit.ndjson", most_bytes=20_000, kept=100)
    for number in range(300):
        about = {"select": [f"readout@hlt{number % 10:02d}"], "count": number, "message": f"cabling {number}"}
        audit.note(Entry("alice", 1000, 100, 4711, "socket", "", "stop", DONE, about))
    via = "10.0.0.7 (token wall)"
    audit.note(
        Entry("bob", -1, -1, -1, "web", via, "apply", REFUSED, {"take": ["x"]}, "no right", ["token:wall"], "apply")
    )
    user = tmp_path / "user"
    user.touch(0o600)
    user.write_text(f"audit:{PASSWORD}\n")

    def copy(url: str) -> Any:
        words = [
            "audit",
            "copy",
            str(audit.path),
            "--once",
            "--elasticsearch",
            url,
            "--elasticsearch-user-file",
            str(user),
        ]
        return CliRunner().invoke(main, words)

    assert copy("http://127.0.0.1:9").exit_code == 3, "it is away: what waits is the file"
    url = empty.elasticsearch_url
    try:
        done = copy(url)
        assert done.exit_code == 0 and "301 lines are in daqsched-audit-YYYY.MM; 0 were refused" in done.output, (
            done.output
        )
        audit.note(Entry("alice", 1000, 100, 4711, "socket", "", "start", DONE, {"take": True}))
        (tmp_path / "audit.ndjson.copied").unlink()
        assert "302 lines are in daqsched-audit-YYYY.MM, 301 of them before" in copy(url).output
        assert copy(url).output.startswith("0 lines are in")
        asked(url, "admin", "/daqsched-audit-*/_refresh")
        for query, count in (
            ({"match_all": {}}, 302),
            ({"term": {"event.action": "stop"}}, 300),
            ({"term": {"event.outcome": "failure"}}, 1),
            ({"term": {"user.name": "bob"}}, 1),
            ({"term": {"source.ip": "10.0.0.0/8"}}, 1),
            ({"term": {"daqsched.door": "web"}}, 1),
            ({"term": {"daqsched.select": "readout@hlt03"}}, 30),
            ({"range": {"daqsched.count": {"gte": 290}}}, 10),
            ({"match": {"message": "cabling"}}, 300),
            ({"term": {"labels.take": "true"}}, 1),
            ({"range": {"@timestamp": {"gte": "now-1h"}}}, 302),
        ):
            assert found(url, "auditor", query) == count, query
        index, *_ = asked(url, "admin", "/daqsched-audit-*")
        for name in ("audit", "audit-none"):  # who writes reads nothing, nor does who reads lines of jobs
            with pytest.raises(HTTPError) as refused:
                asked(url, name, f"/{index}/_search")
            assert refused.value.code == 403
        assert found(url, "audit-none", {"match_all": {}}) == 0, "a pattern means nothing of which one may read nothing"
        old_months_are_deleted_and_no_others(url, tmp_path, index)
    finally:
        audit.close()
