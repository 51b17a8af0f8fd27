"""What a module of tests leaves on the cluster that it shares with the next one, which would meet it and fall for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from daqcluster import Cluster
from daqsched_executor.contract.stream import LINKS_DIR, SPOOL_NAME, STREAMS_DIR
from opened import opened


def left(cluster: Cluster, before: frozenset[str]) -> list[str]:
    """All that is not as on a new cluster, as sentences; of Elasticsearch, what was not there ``before`` (see `stored`)."""
    return [*_down(cluster), *_executors(cluster), *_letters(cluster), *sorted(stored(cluster) - before)]


def stored(cluster: Cluster) -> frozenset[str]:
    """The indices and index templates; none where Elasticsearch does not answer, which is told as down."""
    try:
        indices = _ask(f"{cluster.elasticsearch_url}/_cat/indices?format=json&h=index")
        templates = _ask(f"{cluster.elasticsearch_url}/_index_template?filter_path=index_templates.name")
    except OSError:
        return frozenset()
    # those of the server's own are there before anybody uses it
    return frozenset(
        [f"the index {one['index']}" for one in indices]
        + [f"the index template {one['name']}" for one in templates.get("index_templates", ())]
    )


def _down(cluster: Cluster) -> Iterator[str]:
    for row in cluster.status()["members"]:
        if not row["alive"] or row["registered"] is False:
            yield f"{row['name']} is down"


def _executors(cluster: Cluster) -> Iterator[str]:
    for name in cluster.agents:
        try:
            state = _ask(f"http://127.0.0.1:{cluster.members[name].port}/slave(1)/state")
        except OSError:  # told as down
            continue
        for framework in state["frameworks"]:
            for executor in framework["executors"]:
                yield f"{executor['id']} of {framework['name']} runs on {name}"


def _letters(cluster: Cluster) -> Iterator[str]:
    for name, spool in _spools(cluster):
        for file in spool.glob("forward/deadletter.ndjson"):
            yield f"{file.name} in the spool of {name}: {file.read_text()[:200]}"


def forget_streams(cluster: Cluster) -> None:
    """What no forwarder has sent waits for the next one, as it should; that of the next module is spared it. No executor runs."""
    for _, spool in _spools(cluster):
        for folder in (STREAMS_DIR, LINKS_DIR):
            for file in (spool / folder).glob("*"):
                file.unlink()


def _spools(cluster: Cluster) -> Iterator[tuple[str, Path]]:
    for name in cluster.agents:
        yield name, Path(cluster.members[name].extra["work_dir"]) / SPOOL_NAME


def _ask(url: str) -> Any:
    with opened(url) as answer:
        return json.load(answer)
