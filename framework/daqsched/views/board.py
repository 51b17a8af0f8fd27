"""The live board: of each instance what a page draws, a letter and a few numbers, and the head that stands above all pages.

Durations are in none of it: who draws counts them, and what did not change is not told again because time goes by.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, Optional

from daqsched.control import InControl
from daqsched.engine.changes import MOST_WORDS, shortened
from daqsched.engine.engine import Engine
from daqsched.engine.executor_rules import unconfirmed
from daqsched.engine.instance import Instance, Key
from daqsched.engine.job_owners import is_formers
from daqsched.engine.reasons import no_master, reason_of
from daqsched.engine.shown import since_of
from daqsched.engine.time_format import TimeFormat
from daqsched.states import Shown
from daqsched.views.blocked import BlockedJobs, seen
from daqsched.views.rows import FarmHead
from daqsched.views.status import rollout_mark

#: One letter for each state, and for what is not there any more.
LETTERS: Mapping[Shown, str] = {
    "FAILED": "F",
    "UNREACHABLE": "U",
    "UNKNOWN": "K",
    "UNHEALTHY": "H",
    "BACKOFF": "B",
    "WAITING": "W",
    "STARTING": "S",
    "STOPPING": "P",
    "ASIDE": "A",
    "STOPPED": "O",
    "FINISHED": "D",
    "RUNNING": "R",
}
STATES: Mapping[str, Shown] = {letter: state for state, letter in LETTERS.items()}
GONE = "-"

#: Bits of `BoardCell.marks`: as `Row` has them of the same names.
UNDESIRED, OUTDATED, HELD, BLOCKED = 1, 2, 4, 8


class BoardCell(NamedTuple):
    """One job on one host, as it is drawn."""

    letter: str
    #: When it came into this state, in whole seconds since the epoch; 0: nobody knows.
    since: int
    restarts: int = 0
    #: A sentence that is true whenever it is read.
    reason: str = ""
    release: str = ""
    marks: int = 0

    @property
    def as_desired(self) -> bool:
        """As `status.as_desired` of the row."""
        if self.letter in "OA":
            return bool(self.marks & UNDESIRED)
        return self.letter in "RD" and not self.marks & (UNDESIRED | OUTDATED)


def cells(engine: Engine, keys: Iterable[Key], now: float) -> Iterator[tuple[Key, Optional[BoardCell]]]:
    """Each of these as it is at ``now``; None: it is not there."""
    waits, time_format = BlockedJobs(engine, now), TimeFormat(now, absolute=True)
    for key in keys:
        instance = engine.instances.get(key)
        yield key, _cell(engine, instance, time_format, waits) if instance is not None else None


def unplaced_cells(engine: Engine) -> dict[Key, BoardCell]:
    """The jobs that have found no machine yet, with an empty host: there are few."""
    found = {}
    for job in engine.unplaced():
        wants = ", ".join(f"{name}={value}" for name, value in job.attributes.items())
        hold = engine.holds.get((job.name, ""))
        if hold is not None:
            why = f"by {hold.user}{': ' + hold.message if hold.message else ''}; no machine has {wants} yet"
            cell = BoardCell("O", int(hold.at), 0, shortened(why, MOST_WORDS), job.release, UNDESIRED)
        else:
            why = no_master(engine) or f"no machine has {wants} yet; it starts when one does"
            cell = BoardCell("W", 0, 0, shortened(why, MOST_WORDS), job.release)
        found[job.name, ""] = cell
    return found


def _cell(engine: Engine, instance: Instance, time_format: TimeFormat, waits: BlockedJobs) -> BoardCell:
    record, task = instance.record, instance.record.task
    state = seen(engine, instance, time_format.now)
    marks = 0
    hold = record.hold
    if instance.job is None or instance.aside or (hold is not None and not (hold.spares and task is not None)):
        marks = UNDESIRED
    if record.behind or (
        task is not None and (task.digest != instance.digest or unconfirmed(engine.desired, instance))
    ):
        marks |= OUTDATED
    if hold is not None and hold.spares and task is not None:
        marks |= HELD
    if state == "WAITING" and waits.blocked(instance.key):
        marks |= BLOCKED
    restarts = 0 if is_formers(engine, instance) else record.restarts
    reason = shortened(reason_of(engine, instance, state, time_format), MOST_WORDS)
    return BoardCell(LETTERS[state], int(since_of(engine, instance, state)), restarts, reason, instance.release, marks)


def farm_head(engine: Engine, control: list[InControl]) -> FarmHead:
    """What the engine knows of it."""
    applied = engine.revision
    return FarmHead(
        revision=applied.number if applied is not None else 0,
        digest=engine.told(applied.digest) if applied is not None else "",
        user=applied.user if applied is not None else "",
        applied=applied.time if applied is not None else 0.0,
        master=engine.master,
        connected=engine.connected,
        rollout=rollout_mark(engine),
        control=control,
    )
