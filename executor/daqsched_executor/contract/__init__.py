"""What both sides share: the task's payload, the executor's reports, the streams on disk.

The framework imports this package and nothing else of the executor; the executor imports nothing of the framework.
Everything here is plain standard library, because an executor that idles beside each of thousands of programs must
stay small: values travel as JSON and are read back by `Payload.from_json` and its like, which ignore fields they do
not know (a newer framework may talk to an older executor) and refuse a version that is newer than `VERSION` (fail
closed, see `ContractError`).

`job` is what an executor is handed, with `checks`, `report` what it says, `stream` the registration of its lines, `forwarding` what
a forwarder is told (`forwarding_rules`); `wire` makes JSON of all of it. How lines are stored: `template`, `levels`,
`fingerprint`; how Elasticsearch is asked: `access`. `foreign` makes others' text fit to be shown, `sysctl` is what a
kernel should refuse; `console` is what passes about a program's terminal, `globs` how a pattern is read.

Units: durations are seconds as float and end in ``_s``; points in time are seconds since the epoch.
"""

from typing import TYPE_CHECKING

from daqsched_executor.contract.checks import CHECK_TYPES, UNHEALTHY_WORDS, Check
from daqsched_executor.contract.job import (
    AUTO,
    FILE,
    FORWARDER,
    MANUAL,
    OUTPUTS,
    PIPE,
    RESTART_POLICIES,
    RULES,
    STARTS,
    Container,
    Payload,
    Probe,
    Restart,
    Stop,
    Survey,
    task_of,
)
from daqsched_executor.contract.report import (
    ACTIVITIES,
    BY_HAND,
    COMMAND_KINDS,
    HOLD,
    NOT_STARTED,
    OBEY,
    ORDER_KINDS,
    RELEASE,
    Done,
    Exit,
    Findings,
    OperatorCommand,
    Report,
)
from daqsched_executor.contract.stream import (
    EXECUTOR,
    FORWARDING_VARIABLE,
    KEY_VARIABLE,
    LINKS_DIR,
    LOCKS_DIR,
    SANDBOX_FILES,
    SPOOL_NAME,
    SPOOL_VARIABLE,
    STDERR,
    STDOUT,
    STREAMS_DIR,
    LabelRow,
    Stream,
    can_be_path,
    document_id,
    labels_of,
    labels_path,
    labels_text,
    spool_of,
    start_row,
    starts_of,
    starts_path,
)
from daqsched_executor.contract.wire import VERSION, ContractError, duration, zone

if TYPE_CHECKING:
    from daqsched_executor.contract.forwarding import (
        PERIODS,
        WHEN_FULL,
        Forwarding,
        Journal,
        JsonLines,
        LogFiles,
        Syslog,
    )
else:

    def __getattr__(name: str) -> object:
        """What forwarders are told is imported for who asks for it: the start of an executor is a tenth faster without."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from daqsched_executor.contract import forwarding

        return getattr(forwarding, name)


__all__ = [
    "ACTIVITIES",
    "CHECK_TYPES",
    "EXECUTOR",
    "FILE",
    "FORWARDER",
    "FORWARDING_VARIABLE",
    "KEY_VARIABLE",
    "LINKS_DIR",
    "LOCKS_DIR",
    "AUTO",
    "BY_HAND",
    "COMMAND_KINDS",
    "HOLD",
    "OBEY",
    "MANUAL",
    "ORDER_KINDS",
    "RELEASE",
    "RULES",
    "STARTS",
    "OUTPUTS",
    "PERIODS",
    "PIPE",
    "RESTART_POLICIES",
    "SANDBOX_FILES",
    "SPOOL_NAME",
    "SPOOL_VARIABLE",
    "STDERR",
    "STDOUT",
    "STREAMS_DIR",
    "UNHEALTHY_WORDS",
    "VERSION",
    "WHEN_FULL",
    "Check",
    "Container",
    "ContractError",
    "Done",
    "Exit",
    "NOT_STARTED",
    "Findings",
    "Forwarding",
    "Journal",
    "JsonLines",
    "LabelRow",
    "LogFiles",
    "OperatorCommand",
    "Payload",
    "Probe",
    "Report",
    "Restart",
    "Stop",
    "Stream",
    "Syslog",
    "Survey",
    "document_id",
    "duration",
    "labels_of",
    "labels_path",
    "labels_text",
    "spool_of",
    "start_row",
    "starts_of",
    "can_be_path",
    "starts_path",
    "task_of",
    "zone",
]
