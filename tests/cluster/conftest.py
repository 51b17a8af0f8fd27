"""The cluster that the tests share: real Mesos with three agents and a real Elasticsearch, taken down whatever happens."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

import pytest

from daqcluster import Cluster


def _say(sentence: str) -> None:
    sys.stderr.write(f"\n[cluster] {sentence}\n")


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Agents hlt01 to hlt03, a master and Elasticsearch. A test that kills a member starts it again."""
    made = Cluster(tmp_path_factory.mktemp("cluster") / "c", _say)
    try:
        made.up(agents=3, elasticsearch_=True)
        yield made
    finally:
        made.down()


@pytest.fixture
def fresh_cluster(tmp_path: Path) -> Iterator[Callable[..., Cluster]]:
    """Bring a cluster of one's own up: ``fresh_cluster(agents=1, zookeeper_=True)``."""
    made: list[Cluster] = []

    def up(**options: object) -> Cluster:
        one = Cluster(tmp_path / f"cluster{len(made)}", _say)
        made.append(one)
        one.up(**options)  # type: ignore[arg-type]
        return one

    try:
        yield up
    finally:
        for one in made:
            one.down()
