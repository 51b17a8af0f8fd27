"""How what somebody may do looks in a terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table

from daqsched.protocol import RightsAnswer
from daqsched.rights.verbs import VERBS
from daqsched.terminal.canvas import text


def table(answer: RightsAnswer) -> RenderableType:
    """A line for each verb: yes or no, the role that it takes, and why not."""
    rows = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("MAY", "VERB", "TAKES", "WHY NOT"):
        rows.add_column(name, no_wrap=name != "WHY NOT", overflow="fold")
    for verb, why in answer.verbs.items():
        takes = VERBS[verb].role.name if verb in VERBS else ""
        rows.add_row(text("no" if why else "yes", style="red" if why else "green"), verb, takes, text(why, style="dim"))
    return Group(text(f"{answer.name}: {', '.join(answer.called) or 'nobody knows who that is'}"), rows)
