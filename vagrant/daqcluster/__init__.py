"""A whole farm on one machine out of real parts: Mesos, Elasticsearch, ZooKeeper. The same code serves the command
`daqcluster`, the tests, `make run` and the machines of vagrant/."""

from daqcluster.cluster import Cluster
from daqcluster.errors import ClusterError

__all__ = ["Cluster", "ClusterError"]
