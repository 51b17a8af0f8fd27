"""What members are made of: fetched and built once, and kept in the cache."""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, Iterator

from daqcluster import elasticsearch, mesos_build, native_users, zookeeper
from daqcluster.errors import ClusterError
from daqcluster.progress import Say

_PARTS = {"mesos": mesos_build, "elasticsearch": elasticsearch, "zookeeper": zookeeper}


def fetch(names: Collection[str], say: Say) -> None:
    """Have these in the cache, all without a name, so that `Cluster.up` only starts them."""
    with homes(names or _PARTS, say) as home:
        for part in names or _PARTS:
            home(part)


@contextmanager
def homes(members: Collection[str], say: Say, users: bool = False) -> Iterator[Callable[[str], Path]]:
    """What must be fetched and built for these members, all at once: who asks for a part's folder waits for that part, so
    that one can start while another is built. ``users``: an Elasticsearch is one that keeps users."""
    parts = {**_PARTS, "elasticsearch": native_users} if users else _PARTS
    kinds = {name if name in ("elasticsearch", "zookeeper") else "mesos" for name in members}
    lacking = {package for kind in kinds for package in parts[kind].lacks()}
    if lacking:
        raise ClusterError(f"something is missing on this machine: apt-get install {' '.join(sorted(lacking))}")
    with ThreadPoolExecutor(len(_PARTS)) as pool:
        made: dict[str, Future[Path]] = {kind: pool.submit(parts[kind].ready, say) for kind in kinds}
        yield lambda kind: made[kind].result()
