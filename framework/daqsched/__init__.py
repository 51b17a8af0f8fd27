"""The words of a job file: ``from daqsched import Job, Restart, hosts``."""

from daqsched.hosts import expand as hosts
from daqsched.job import Job, Logging, Resources, Restart, Stop

__version__ = "0.1.0"
__all__ = ["Job", "Logging", "Resources", "Restart", "Stop", "hosts"]
