"""What survives the daemon: the framework's id, the revisions, the instances' records, and small documents by name.

`Store` of `base` is what the daemon needs of it, and `coordination` what several need to agree who leads. `sqlite`
keeps it in a `private` file, for one daemon on one machine; `zookeeper` for several, and coordinates them. `backup`
is either's state as one file. `former` carries over what older daemons had elsewhere.
"""

from daqsched.store.base import Contents, Key, Store

__all__ = ["Contents", "Key", "Store"]
