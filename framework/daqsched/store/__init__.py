"""What survives the daemon: the framework's id, the revisions, the instances' records, and small documents by name.

`Store` is what the daemon needs of it. `sqlite` keeps it in a file, for one daemon on one machine.
"""

from daqsched.store.base import Contents, Key, Store

__all__ = ["Contents", "Key", "Store"]
