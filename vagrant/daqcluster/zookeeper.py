"""A real ZooKeeper: what one server needs out of Maven's index (5 MB, no root needed; Debian's package brings 43 others,
32 MB), and the leader's node that a master of ours can't write itself."""

from __future__ import annotations

import json
import logging
import os
import socket
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Iterator, Mapping, Sequence

from daqcluster import cache, java, maven
from daqcluster.errors import ClusterError
from daqcluster.progress import Say, going_on

if TYPE_CHECKING:
    from kazoo.client import KazooClient

VERSION = "3.9.4"

#: Its folder in the cache.
_NAME = f"zookeeper-{VERSION}"

#: Just what a server in one process loads; no TLS, so no netty.
_ARTIFACTS = {
    f"org.apache.zookeeper:zookeeper:{VERSION}": "7bb3bb38bbddbc71424c59a7a0b170a1b2147313a84c972225ab0568dab513bf",
    f"org.apache.zookeeper:zookeeper-jute:{VERSION}": "bd9750935add09b6cb920f7bcf0fa7b9a8165c45cdafd8ee1fc6808c46ec9094",
    "io.dropwizard.metrics:metrics-core:4.1.12.1": "cec34936faa625039f4e46123eccaa10a9eb9d9a40c6075830cd81330e259cf9",
    "commons-io:commons-io:2.17.0": "4aa4ca48f3dfd30b78220b7881d8cb93eac4093ec94361b6befa9487998a550b",
    "org.xerial.snappy:snappy-java:1.1.10.5": "0f3f1857ed33116583f480b4df5c0218836c47bfbc9c6221c0d73f356decf37b",
    "org.slf4j:slf4j-api:2.0.13": "e7c2a48e8515ba1f49fa637d57b4e2f590b3f5bd97407ac699c3aa5efb1204a9",
    "org.slf4j:slf4j-simple:2.0.13": "3153fe1d689cffb94f1530b58470c306685ba68844de8857116e3b6ebb81d9f7",
}

#: Where masters announce themselves.
PATH = "/mesos"
_NODE = "json.info_"


def lacks() -> set[str]:
    """The Debian packages that must be installed before it can be fetched and run."""
    return java.lacks() | (set() if cache.has(_NAME) else maven.lacks())


def ready(say: Say) -> Path:
    """Its folder in the cache, fetched if it is not there."""

    def make(folder: Path) -> None:
        with going_on(say, f"fetching ZooKeeper {VERSION} (5 MB)"):
            maven.fetch(_ARTIFACTS, folder)

    return cache.made(_NAME, make, say)


def command(
    home: Path, folder: Path, port: int, ensemble: Sequence[tuple[int, int]] = (), number: int = 0
) -> list[str]:
    """The command; its data goes into ``folder``.

    ``ensemble``: the two ports of each of several servers at which they find each other, this one being ``number`` (from 0).
    """
    (folder / "data").mkdir(parents=True, exist_ok=True)
    config = folder / "zoo.cfg"
    others = [f"server.{at}=127.0.0.1:{ports[0]}:{ports[1]}\n" for at, ports in enumerate(ensemble, 1)]
    config.write_text(
        f"tickTime=500\ndataDir={folder}/data\nclientPort={port}\nclientPortAddress=127.0.0.1\n"
        "admin.enableServer=false\n4lw.commands.whitelist=ruok,srvr\ninitLimit=20\nsyncLimit=8\n" + "".join(others)
    )
    if ensemble:
        (folder / "data" / "myid").write_text(f"{number + 1}\n")
    argv = [
        f"{java.java_home()}/bin/java",
        "-Xmx64m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        java.NO_PERFORMANCE_FILE,
    ]
    argv += ["-Dorg.slf4j.simpleLogger.showDateTime=true", "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS"]
    main = "quorum.QuorumPeerMain" if ensemble else "ZooKeeperServerMain"
    return [*argv, "-cp", f"{home}/*", f"org.apache.zookeeper.server.{main}", str(config)]


def answers(port: int) -> bool:
    """Whether it serves."""
    return mode(port) != ""


def mode(port: int) -> str:
    """``standalone``, ``leader`` or ``follower``; empty where it does not serve."""
    try:
        with socket.create_connection(("127.0.0.1", port), 1.0) as sock:
            sock.sendall(b"srvr")  # `ruok` is answered by one that could not read its data, too
            answer = b"".join(iter(lambda: sock.recv(4096), b""))
    except OSError:
        return ""
    return answer.partition(b"\nMode: ")[2].partition(b"\n")[0].decode()


def announce(port: int, state: Mapping[str, Any]) -> None:
    """Write the leader's node as Mesos' contender would (zookeeper/contender.cpp): the standalone master has none.

    ``state`` is the master's own /state. A master that is new gets a node with a new number, so whoever watches sees a
    new leader; one that is announced already is left alone.
    """
    host, _, number = str(state["pid"]).partition("@")[2].rpartition(":")
    info = {
        "id": state["id"],
        "pid": state["pid"],
        "hostname": host,
        "port": int(number),
        "ip": int.from_bytes(bytes(map(int, host.split("."))), "little"),  # as it stands in the machine's memory
        "version": state["version"],
        "address": {"hostname": host, "ip": host, "port": int(number)},
    }
    with _client(port) as client:
        client.ensure_path(PATH)
        for name in _nodes(client):
            if json.loads(client.get(f"{PATH}/{name}")[0])["id"] == info["id"]:
                return
            client.delete(f"{PATH}/{name}")
        client.create(f"{PATH}/{_NODE}", json.dumps(info).encode(), sequence=True)


def withdraw(port: int) -> None:
    """Remove the leader's node, as the end of its session would."""
    with _client(port) as client:
        for name in _nodes(client):
            client.delete(f"{PATH}/{name}")


def _nodes(client: KazooClient) -> list[str]:
    if not client.exists(PATH):
        return []
    return [name for name in client.get_children(PATH) if name.startswith(_NODE)]


@contextmanager
def _client(port: int) -> Iterator[KazooClient]:
    # a tenth of a second that most commands need not spend
    from kazoo.client import KazooClient
    from kazoo.exceptions import KazooException
    from kazoo.handlers.threading import KazooTimeoutError as HandlerTimeout

    log = logging.getLogger(f"kazoo.daqcluster.{os.getpid()}")
    log.setLevel(logging.CRITICAL)  # it tells of its own closing as of a fault
    client = KazooClient(f"127.0.0.1:{port}", timeout=10.0, logger=log)
    try:
        client.start(15)
        yield client
    except (KazooException, HandlerTimeout) as error:
        raise ClusterError(
            f"ZooKeeper at 127.0.0.1:{port} does not do what it should ({error!r}); see its log"
        ) from error
    finally:
        client.stop()
        client.close()
