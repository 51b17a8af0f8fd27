"""Waits until members answer; raises `ClusterError` where one ends instead, or takes too long."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Callable

from daqcluster import elasticsearch, mesos, zookeeper
from daqcluster.errors import ClusterError
from daqcluster.member import Member
from daqcluster.progress import Say, until

#: Seconds until a member must answer: far more than any takes on a busy machine.
MESOS_S, ZOOKEEPER_S, ELASTICSEARCH_S = 60.0, 60.0, 180.0

Members = Mapping[str, Member]


def master_leads(members: Members, say: Say) -> None:
    """Where there is a ZooKeeper, it says so from then on."""
    master = members["master"]
    _wait(lambda: mesos.leads(master) is not None, "the master", [master], MESOS_S, say)
    state = mesos.leads(master)
    if "zookeeper" in members and state is not None:
        zookeeper.announce(members["zookeeper"].port, state)


def agents_answer(members: Members, names: Sequence[str], say: Say) -> None:
    """Those of these names."""
    agents = [members[name] for name in names]

    def ready() -> bool:
        # the master may still count one as active that has died: both have to say so
        return set(names) <= mesos.registered(members["master"]) and all(map(mesos.agent_answers, agents))

    _wait(ready, f"the agents {', '.join(names)}", agents, MESOS_S, say)


def elasticsearch_answers(members: Members, say: Say) -> None:
    """Ours."""
    member = members["elasticsearch"]
    _wait(lambda: elasticsearch.well(member.port), "Elasticsearch (5 to 15 s)", [member], ELASTICSEARCH_S, say)


def zookeeper_answers(members: Members, say: Say) -> None:
    """Ours."""
    member = members["zookeeper"]
    _wait(lambda: zookeeper.answers(member.port), "ZooKeeper", [member], ZOOKEEPER_S, say)


def _wait(condition: Callable[[], bool], what: str, members: Sequence[Member], limit_s: float, say: Say) -> None:
    def check() -> None:
        for member in members:
            if not member.alive():
                raise ClusterError(f"{member.name} has ended: {member.tail()} (its log: {member.log})")

    try:
        until(condition, what, limit_s, say, check)
    except TimeoutError as error:
        logs = ", ".join(member.log for member in members)
        raise ClusterError(f"{error}; see {logs}") from None
