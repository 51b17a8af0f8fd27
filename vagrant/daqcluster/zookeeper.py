"""A real ZooKeeper: Debian's package, which is half the size of what Maven would resolve and patched by Debian."""

from __future__ import annotations

import json
import logging
import shutil
import socket
from pathlib import Path
from typing import Any, Mapping

from daqcluster.errors import ClusterError

JARS = Path("/usr/share/java")
#: Where masters announce themselves.
PATH = "/mesos"


def command(folder: Path, port: int) -> list[str]:
    """The command; its data goes into ``folder``."""
    java = shutil.which("java")
    if java is None or not (JARS / "zookeeper.jar").exists():
        raise ClusterError("ZooKeeper is missing: apt-get install zookeeper default-jre-headless")
    (folder / "data").mkdir(parents=True, exist_ok=True)
    config = folder / "zoo.cfg"
    config.write_text(
        f"tickTime=500\ndataDir={folder}/data\nclientPort={port}\nclientPortAddress=127.0.0.1\n"
        "admin.enableServer=false\n4lw.commands.whitelist=ruok,srvr\n"
    )
    jars = [
        "zookeeper",
        "zookeeper-jute",
        "slf4j-api",
        "slf4j-nop",
        "netty-all",
        "snappy-java",
        "metrics-core",
        "commons-cli",
    ]
    path = ":".join(str(place) for name in jars for place in sorted(JARS.glob(f"{name}.jar")))
    netty = ":".join(str(place) for place in sorted(JARS.glob("netty-*.jar")))
    main = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
    return [java, "-Xmx64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{path}:{netty}", main, str(config)]


def answers(port: int) -> bool:
    """Whether it serves."""
    try:
        with socket.create_connection(("127.0.0.1", port), 1.0) as sock:
            sock.sendall(b"ruok")
            return sock.recv(16) == b"imok"
    except OSError:
        return False


def announce(port: int, state: Mapping[str, Any]) -> None:
    """Write the leader's node as Mesos' contender would (zookeeper/contender.cpp): the standalone master has none.

    ``state`` is the master's own /state. The node has a new number each time, so whoever watches sees a new leader.
    """
    from kazoo.client import KazooClient

    host, _, number = str(state["pid"]).partition("@")[2].rpartition(":")
    info = {
        "id": state["id"],
        "pid": state["pid"],
        "hostname": host,
        "port": int(number),
        "ip": int.from_bytes(bytes(map(int, host.split("."))), "little"),
        "version": state["version"],
        "address": {"hostname": host, "ip": host, "port": int(number)},
    }
    logging.getLogger("kazoo").setLevel(logging.ERROR)  # it tells of its own closing as of a fault
    client = KazooClient(f"127.0.0.1:{port}", timeout=10.0)
    client.start(15)
    try:
        client.ensure_path(PATH)
        withdraw_with(client)
        client.create(f"{PATH}/json.info_", json.dumps(info).encode(), sequence=True)
    finally:
        client.stop()
        client.close()


def withdraw_with(client: Any) -> None:
    """Remove the leader's node, as its session's end would."""
    for name in client.get_children(PATH):
        if name.startswith("json.info_"):
            client.delete(f"{PATH}/{name}")
