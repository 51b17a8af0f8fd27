"""Mesos agents with flags of their own, beside those that `Cluster.up` starts."""

from __future__ import annotations

from pathlib import Path

from daqcluster import Cluster, mesos
from daqcluster.member import Member
from daqcluster.ports import free_port
from waiting import until


def agent(cluster: Cluster, name: str, port: int = 0, **flags: str) -> Member:
    """Start one in a work folder called ``name``, which ends with its cluster; ``MESOS_HOSTNAME="twin"`` is a flag. Returns
    when the master knows it."""
    home = Path(cluster.members["master"].argv[-1]).parent
    offered = mesos.ports(len(cluster.agents))
    made = mesos.agent(
        home,
        cluster.folder,
        cluster.id,
        name,
        port or free_port(),
        cluster.master_url,
        cluster.launcher,
        "rack:r1",
        offered,
    )
    made.env.update(flags)
    cluster.members[name] = made
    made.start(cluster.id)
    until(lambda: made.port in ports_of(cluster), f"the agent {name} is registered")
    return made


def ports_of(cluster: Cluster) -> set[int]:
    """Where the agents listen that the master has and that answer it."""
    slaves = (mesos.get(cluster.members["master"].port, "/slaves") or {}).get("slaves", ())
    return {int(slave["pid"].rpartition(":")[2]) for slave in slaves if slave["active"]}
