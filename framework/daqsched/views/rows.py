"""What people are shown of the farm, as values: the other views make them of the engine, commands read them without one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Optional

import msgspec

from daqsched.control import InControl
from daqsched.engine.incidents import is_printed
from daqsched.states import Shown
from daqsched_executor.contract import Exit, Report


class Row(msgspec.Struct, frozen=True, omit_defaults=True):
    """One job on one host as people see it."""

    job: str
    #: Empty: the job runs wherever its attributes are, and no such machine is known yet.
    host: str
    state: Shown
    #: Why it is not running, or what is worth knowing, as one sentence.
    reason: str = ""
    #: When the state began.
    since: float = 0.0
    #: The version of what runs there; where nothing does, of what is desired.
    release: str = ""
    #: `Record.restarts`; those of its executor alone are in the report.
    restarts: int = 0
    pid: int = 0
    ports: Mapping[str, int] = {}
    task_id: str = ""
    desired: bool = True
    #: As `desired` was called in 0.1.
    wanted: bool = True
    #: Runs something else than the applied spec asks for, until it is replaced.
    outdated: bool = False
    #: The revision whose job it still has, until a rollout or an apply reaches it; 0: the one in force.
    behind: int = 0
    #: The part of the farm whose job it is, or was; empty: that without a name.
    part: str = ""
    #: Somebody holds it: it runs, and is not started again when it ends.
    held: bool = False
    #: Who runs it by hand on a host that is set aside; empty: nobody.
    borrowed: str = ""
    #: It waits for a job that has FAILED for good, or that somebody stopped: it does not start before a person does something.
    blocked: bool = False
    #: What its executor says; where there is none any more, what the last one said.
    report: Optional[Report] = None

    def __post_init__(self) -> None:
        if self.desired is not self.wanted:  # one of them is left out, and so true
            for name in ("desired", "wanted"):
                msgspec.structs.force_setattr(self, name, False)


class Progress(msgspec.Struct, frozen=True):
    """How far what was desired is running, for a live view that must stay short on a large farm."""

    #: Another one whenever something has changed: the ``seen`` of the next request. To who does not see all, of what he is told.
    version: int
    #: How many chosen instances are in each state.
    states: dict[str, int]
    #: Whether all that is desired of them runs (or has finished), and runs what was applied.
    complete: bool
    #: Some of those that are not as desired, the worst first.
    lagging: tuple[Row, ...]
    #: Whether all that is not as desired has FAILED for good, or is blocked: nothing more comes by itself.
    given_up: bool = False


def as_desired(row: Row) -> bool:
    """Whether nothing remains to be done for this instance."""
    if row.state in ("STOPPED", "ASIDE"):
        return not row.desired
    return row.desired and not row.outdated and not row.behind and row.state in ("RUNNING", "FINISHED")


class Change(msgspec.Struct, frozen=True):
    """One change of an instance's state."""

    #: Seconds since the epoch.
    at: float
    #: The states; empty: it was not there.
    before: str
    after: str
    #: What did it, and why it is so from then on.
    cause: str
    reason: str = ""


class Story(msgspec.Struct, frozen=True):
    """One instance that is not as desired."""

    job: str
    host: str
    state: str
    why: str
    #: What there is to know besides, the most telling first.
    evidence: tuple[str, ...] = ()
    #: What became of it so far, the oldest first, see `daqsched.engine.changes`.
    changes: tuple[Change, ...] = ()


class FarmHead(msgspec.Struct, frozen=True):
    """What stands above every page; counts are of what is shown to who asks."""

    #: How many instances are in each state.
    states: dict[str, int] = {}
    total: int = 0
    as_desired: int = 0
    #: What is in force: its number, digest, by whom and when; 0 and empty: nothing is.
    revision: int = 0
    digest: str = ""
    user: str = ""
    applied: float = 0.0
    master: str = ""
    connected: bool = False
    #: Which of several daemons leads (host and pid); empty where there is one.
    leader: str = ""
    #: Why nothing can be saved, and so nothing is started or stopped; empty: all goes on.
    read_only: str = ""
    #: Why changes are not in the audit file; empty: they are.
    audit: str = ""
    #: Which forwarders of lines to Elasticsearch are not as they should be; empty: none is known to be.
    elasticsearch: str = ""
    #: The rollout that is under way, waits for somebody or left something as it was; empty: there is none, or not for all to see.
    rollout: str = ""
    #: Who is in control, of the farm first.
    control: list[InControl] = []


def last_lines(end: Exit) -> list[str]:
    """The last lines of an end, as they are shown below it: marked where the program printed them, and not words of others."""
    mark = "  | " if is_printed(end) else "  "
    return [f"{mark}{line}" for line in end.lines]
