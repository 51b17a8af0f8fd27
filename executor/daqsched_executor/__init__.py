"""What runs on a farm machine: the executor of one job, and the forwarder of its machine's lines."""

__version__ = "0.1.0"
