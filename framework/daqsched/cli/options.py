"""The options that several verbs have, and what they come to."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Optional, Sequence, TypeVar

import click
import msgspec

from daqsched.backends import PLACES, SERVERS
from daqsched.cli.completion import names
from daqsched.foreign import check_message
from daqsched.settings import state

Command = TypeVar("Command", bound=Callable[..., Any])


def json_option(command: Command) -> Command:
    """The option `--json` of a verb that has something to tell programs."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")(command)


def at_least(least: float) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """The callback of an option whose number is no smaller, which no nan is."""

    def check(ctx: click.Context, option: click.Parameter, value: Any) -> Any:
        if value is not None and not value >= least:
            raise click.BadParameter(f"must be {least:g} or more, not {value:g}")
        return value

    return check


def message_option(command: Command) -> Command:
    """The option `--message` of what people do by hand."""
    return _message("Why, for whoever looks at it next.")(command)


def history_message_option(command: Command) -> Command:
    """The same for what makes a revision."""
    return _message("Why, for the history.")(command)


def _message(text: str) -> Callable[[Command], Command]:
    return click.option(
        "-m", "--message", default="", callback=lambda ctx, option, value: check_message(value), help=text
    )


def set_option(command: Command) -> Command:
    """The option `--set` of a verb that evaluates a job file."""
    text = "Bind a variable that FILE declares with variable(...); may be given several times."
    return click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help=text)(command)


def only_option(command: Command) -> Command:
    """The option `--only`."""
    text = "Only these: JOB, JOB@HOST, @HOST, with * ? and [01-10]. All else stays as it is."
    return click.option("--only", multiple=True, metavar="SELECT", shell_complete=names("selection"), help=text)(
        command
    )


def part_option(text: str) -> Callable[[Command], Command]:
    """The option `--part`."""
    return click.option("--part", metavar="NAME", shell_complete=names("part"), help=text)


def part_options(command: Command) -> Command:
    """Those of a verb that compares a job file with the farm: ``part``, ``take``."""
    text = "Take over these jobs of FILE from another part of the farm."
    command = click.option("--take", multiple=True, metavar="JOB", shell_complete=names("selection"), help=text)(
        command
    )
    return part_option("The part of the farm that FILE is.  [default: as FILE says]")(command)


def strategy_options(batches: str = "as FILE says", ready: str = "as FILE says") -> Callable[[Command], Command]:
    """How a change goes over the farm: ``batches``, ``ready``, ``pause_after``; given what help says of its defaults."""
    hosts = "Hosts in each batch, e.g. 1,5,20%: the last is repeated; 'all': all at once."
    options = (
        click.option("--batches", metavar="N,N%,...", help=f"{hosts}  [default: {batches}]"),
        click.option(
            "--ready", type=float, metavar="SECONDS", help=f"How long a batch must have been ready.  [default: {ready}]"
        ),
        click.option(
            "--pause-after", type=int, multiple=True, metavar="N", help="Wait for `rollout resume` after batch N."
        ),
    )

    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def strategy_of(base: Any, batches: Optional[str], ready: Optional[float], pause_after: Sequence[int]) -> Any:
    """A `daqsched.rollout.Strategy`: the base (or the usual one) with what the options say; None where they say nothing."""
    if batches is None and ready is None and not pause_after:
        return None
    from daqsched.errors import JobError, UserError
    from daqsched.rollout import Strategy, check, parse_batches

    changes: dict[str, Any] = {}
    try:
        if batches is not None:
            changes["batches"] = parse_batches(batches)
        if ready is not None:
            changes["ready_s"] = ready
        if pause_after:
            changes["pause_after"] = tuple(pause_after)
        found = msgspec.structs.replace(base if base is not None else Strategy(), **changes)
        check(found)
    except JobError as error:
        raise UserError(f"{error.field}: {error}") from error
    return found


def look_option(command: Command) -> Command:
    """The option `--no-look`."""
    text = "Do not ask the first hosts before whether they could start what takes the place of what runs."
    return click.option("--no-look", is_flag=True, help=text)(command)


def state_options(command: Command) -> Command:
    """The options that name the state: ``state``, ``state_credentials``."""
    command = click.option(
        "--state-credentials",
        envvar="DAQSCHED_STATE_CREDENTIALS",
        type=click.Path(path_type=Path),
        help=f"File whose first line is NAME:PASSWORD for {SERVERS}, mode 600 [env: DAQSCHED_STATE_CREDENTIALS].",
    )(command)
    return click.option(
        "--state",
        default=state,
        help=f"Where the state is kept: {PLACES} [env: DAQSCHED_STATE].",
    )(command)


def access_options(command: Command) -> Command:
    """The options that name the files with which Elasticsearch is asked: ``ca``, ``user_file``, ``api_key_file``."""
    for name, what in (
        ("api-key-file", "File whose first line is an API key"),
        ("user-file", "File whose first line is NAME:PASSWORD"),
        ("ca", "PEM file of the authority that signed its certificate"),
    ):
        variable = f"DAQSCHED_ELASTICSEARCH_{name.upper().replace('-', '_')}"
        option = click.option(
            f"--elasticsearch-{name}",
            name.replace("-", "_"),
            envvar=variable,
            default="",
            help=f"{what} [env: {variable}].",
        )
        command = option(command)
    return command
