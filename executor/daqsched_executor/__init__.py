"""What runs on a farm machine: the executor of one job, and the forwarder of its machine's lines."""

#: Of all that this checkout releases; the one place where it stands.
__version__ = "0.1.0"
