"""The words of a job file."""

__version__ = "0.1.0"
