"""How proposals look in a terminal: values in, rich's renderables out."""

from __future__ import annotations

from msgspec.structs import replace
from rich.console import Group, RenderableType
from rich.table import Table

from daqsched.farm_parts import words
from daqsched.proposals import EndedProposal
from daqsched.protocol import ProposalAnswer, ProposalsAnswer
from daqsched.terminal.canvas import text
from daqsched.terminal.show_changes import plan_lines
from daqsched.times import clock

#: Of so many that ended people are told.
MOST_TOLD = 10


def proposal_lines(found: ProposalAnswer, mine: bool = False) -> RenderableType:
    """One with its plan; ``mine``: that was just made."""
    one = found.proposal
    of = "" if not one.part else f" for {words(one.part)}"
    head = f"Proposal {one.number} by {one.user}{of}, {clock(one.time)}{f': {one.message}' if one.message else ''}"
    asked = f"daqsched approve {one.number}"
    rest = []
    if mine:
        rest = [text(f"It waits until {clock(one.until)} for somebody who may apply it: `{asked}`.")]
    # whoever has just proposed it knows that he may not apply it
    plan = plan_lines(replace(found.plan, refused="") if mine else found.plan, asked=asked)
    return Group(
        text(head, style="bold"), *([text(f"From {one.source}.", style="dim")] if one.source else []), plan, *rest
    )


def proposals_table(found: ProposalsAnswer) -> RenderableType:
    """Those that wait, then what became of the last ones."""
    parts: list[RenderableType] = []
    if found.waiting:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in ("PROPOSAL", "BY", "PART", "MADE", "UNTIL", "WHY"):
            table.add_column(name, no_wrap=name != "WHY", overflow="fold")
        for one in found.waiting:
            why = text(*filter(None, [one.message, one.source]))
            table.add_row(str(one.number), one.user, one.part or "-", clock(one.time), clock(one.until), why)
        parts += [table, text("`daqsched proposals NUMBER` shows what one would change now.", style="dim")]
    else:
        parts.append(text("No proposal waits."))
    parts += [text(_became(one), style="dim", overflow="fold") for one in found.ended[:MOST_TOLD]]
    return Group(*parts)


def _became(one: EndedProposal) -> str:
    """``Proposal 3 by bob was rejected by alice, ...: not now``."""
    by = f" by {one.by}" if one.by else ""
    revision = f" as revision {one.revision}" if one.revision else ""
    what = f"Proposal {one.number} by {one.user}{f' ({one.message})' if one.message else ''}"
    return f"{what}: {one.outcome}{by}{revision}, {clock(one.ended)}{f': {one.why}' if one.why else ''}."
