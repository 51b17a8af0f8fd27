"""The words of a job file: ``from daqsched import Job, Restart, hosts``."""

from daqsched.hosts import expand as hosts
from daqsched.jobfile.checks import Check, CommandCheck, FileCheck, Heartbeat, HttpCheck, OutputCheck, TcpCheck
from daqsched.jobfile.job import Job
from daqsched.jobfile.parts import (
    Container,
    Journal,
    JsonLines,
    LogFiles,
    Logging,
    Resources,
    Restart,
    Rollout,
    Stop,
    Syslog,
)
from daqsched.jobfile.variables import variable
from daqsched_executor import __version__

__all__ = [
    "Check",
    "CommandCheck",
    "Container",
    "FileCheck",
    "Heartbeat",
    "HttpCheck",
    "Job",
    "Journal",
    "JsonLines",
    "LogFiles",
    "Logging",
    "OutputCheck",
    "Resources",
    "Restart",
    "Rollout",
    "Stop",
    "Syslog",
    "TcpCheck",
    "__version__",
    "hosts",
    "variable",
]
