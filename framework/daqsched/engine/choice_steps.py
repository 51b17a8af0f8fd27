"""What shifters may set of each part's file, as long as the farm is what it says: kept with the revisions, and what comes of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Optional

from msgspec.structs import replace

from daqsched import farm_parts
from daqsched.choices import ANOTHER, Choice, chosen, ensure, in_force
from daqsched.engine import commands, events
from daqsched.engine.commands import CHOICES
from daqsched.engine.farm import Farm
from daqsched.errors import Refused
from daqsched.saved_choices import SavedChoices, current, renewed, whose
from daqsched.saved_choices import restored as read
from daqsched.spec import EMPTY, Spec


def restored(farm: Farm, saved: Optional[bytes]) -> None:
    """As the last daemon had it; what can't be read lets nobody set anything, and is told."""
    farm.choices, wrong = read(saved)
    if wrong:
        farm.troubles.append(
            f"what shifters may set can't be read ({wrong}): nothing, until the job files are applied again"
        )


def of_apply(farm: Farm, event: events.JobsApplied, number: int) -> tuple[SavedChoices, ...]:
    """What is kept after an apply that makes, or finds, the revision of that number; raises `UserError` where that is too much."""
    if event.choices is None:
        return farm.choices
    parts = None if event.everyones else frozenset([event.spec.part])
    return renewed(farm.choices, event.choices, parts, number, event.user)


def keep(farm: Farm, kept: tuple[SavedChoices, ...]) -> None:
    """That counts from now on."""
    if kept != farm.choices:
        farm.choices = kept
        farm.out.append(commands.SaveDocument(CHOICES))


def as_apply(spec: Spec, kept: Sequence[SavedChoices], event: events.VariablesSet) -> tuple[events.JobsApplied, Choice]:
    """The apply that somebody asks for who sets variables; ``spec``: the farm that is in force. Raises why there is none."""
    counts = current(kept, event.part) or whose(kept, event.settings, event.part)
    part = farm_parts.of_part(spec, event.part)
    now = in_force(part, counts.choices, counts.now)
    if now is None:
        raise Refused(f"{farm_parts.words(event.part)}: {ANOTHER}")
    choice = chosen(counts.choices, now, event.settings)
    applied = events.JobsApplied(
        ensure(part, counts.choices, choice),
        event.user,
        said(event),
        base=event.base,
        allow_empty=True,  # who listed the value has seen what it leads to
        stops=event.stops,
    )
    return applied, choice


def said(event: events.VariablesSet) -> str:
    """As the history has it: ``set version=r2: beam is back``."""
    what = " ".join(f"{name}={value}" for name, value in event.settings.items())
    return f"set {what}{': ' + event.message if event.message else ''}"


def asked_of(farm: Farm, event: events.VariablesSet) -> tuple[events.JobsApplied, Choice]:
    """`as_apply` of the farm as it is now."""
    return as_apply(farm.revision.spec if farm.revision is not None else EMPTY, farm.choices, event)


def set_with(farm: Farm, event: events.VariablesSet, choice: Choice, number: int) -> None:
    """The choice is what is in force now; ``number``: the revision that it led to, 0 where it was already."""
    keep(
        farm,
        tuple(
            replace(one, now=choice.values, **({"set_by": event.user, "set_in": number} if number else {}))
            if one is current(farm.choices, event.part)
            else one
            for one in farm.choices
        ),
    )
