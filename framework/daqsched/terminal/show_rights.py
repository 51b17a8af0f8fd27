"""How what somebody may do looks in a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table

from daqsched.protocol import KnownToken, RightsAnswer
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
