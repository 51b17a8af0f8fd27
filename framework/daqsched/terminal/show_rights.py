"""How what somebody may do looks in a terminal, and what a job file leaves to shifters."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table

from daqsched.farm_parts import words
from daqsched.protocol import KnownToken, PartChoices, RightsAnswer
from daqsched.rights.verbs import VERBS
from daqsched.terminal.canvas import text
from daqsched.times import clock


def table(answer: RightsAnswer) -> RenderableType:
    """A line for each verb: yes or no, the role that it takes, and why not."""
    rows = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("MAY", "VERB", "TAKES", "WHY NOT"):
        rows.add_column(name, no_wrap=name != "WHY NOT", overflow="fold")
    for verb, why in answer.verbs.items():
        takes = VERBS[verb].role.name if verb in VERBS else ""
        rows.add_row(text("no" if why else "yes", style="red" if why else "green"), verb, takes, text(why, style="dim"))
    return Group(text(f"{answer.name}: {', '.join(answer.called) or 'nobody knows who that is'}"), rows)


def tokens_table(tokens: Sequence[KnownToken]) -> RenderableType:
    """A line for each, those that count first."""
    if not tokens:
        return text("There is no token: `daqsched token create NAME` makes one.")
    rows = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("NAME", "ROLE", "FOR", "BY", "MADE", "UNTIL", "STATE"):
        rows.add_column(name, overflow="fold")
    for one in sorted(tokens, key=lambda one: (bool(one.ended), one.name, one.made)):
        state = text(one.ended, style="dim") if one.ended else text("counts", style="green")
        rows.add_row(
            text(one.name),
            one.role,
            text(one.whose or "itself"),
            text(one.by),
            clock(one.made),
            clock(one.until),
            state,
        )
    return rows


def choices_table(found: Sequence[PartChoices]) -> RenderableType:
    """A line for each variable; why nothing can be set below."""
    if not found:
        return text(
            'Nothing is for shifters to set: a job file lists what is, as in variable("version", "r1", shifter=["r1", "r2"]).'
        )
    rows = Table(box=None, pad_edge=False, header_style="bold")
    parts = any(one.part for one in found)
    for name in ("VARIABLE", *(["PART"] if parts else []), "NOW", "MAY BE", "SET BY"):
        rows.add_column(name, overflow="fold")
    said: list[RenderableType] = []
    for one in found:
        by = f"{one.set_by} (revision {one.set_in})" if one.set_in else f"{one.by} (revision {one.revision}), applied"
        for variable in one.variables:
            now = text(variable.now or "?", style="bold")
            rows.add_row(variable.name, *([one.part] if parts else []), now, ", ".join(variable.values), by)
        if one.why_not:
            said.append(text(f"{words(one.part)} can't be set: {one.why_not}.", style="yellow"))
    return Group(rows, *said)
