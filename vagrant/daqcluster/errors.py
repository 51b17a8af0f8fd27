"""What can go wrong, as one sentence that says what to do."""

from __future__ import annotations


class ClusterError(Exception):
    """Shown as it is; the command ends with status 1."""
