"""What can go wrong, as one sentence that says what to do."""

from __future__ import annotations

#: The status of `daqcluster machines vagrant` where it did not come to Vagrant, as what that needs can't be made: to ask once
#: more is of no use.
NOT_PREPARED = 2


class ClusterError(Exception):
    """Shown as it is; the command ends with ``status``."""

    status = 1
