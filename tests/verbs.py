"""The commands of a group of click's, also of one that imports them when they are asked for."""

from __future__ import annotations

import click


def verbs(group: click.Command) -> dict[str, click.Command]:
    """All of them by their names, which are sorted; of a command that is no group, none."""
    if not isinstance(group, click.Group):
        return {}
    context = click.Context(group)
    found = {name: group.get_command(context, name) for name in group.list_commands(context)}
    return {name: command for name, command in found.items() if command is not None}
