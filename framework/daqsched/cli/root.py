"""The command `daqsched` itself, and what its verbs share: options, the way to print, what becomes of an error."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, Callable, Optional, TypeVar

import click
import msgspec

from daqsched import __version__
from daqsched.errors import DaqschedError
from daqsched.settings import socket_path

Command = TypeVar("Command", bound=Callable[..., Any])


class _Group(click.Group):
    """Shows every `DaqschedError` as one red sentence and ends with its exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except DaqschedError as error:
            click.secho("Error: ", fg="red", bold=True, nl=False, err=True)
            click.echo(str(error), err=True)
            ctx.exit(error.exit_code)
        except BrokenPipeError:
            # `daqsched status | head`: the reader has had enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(0)


_EPILOG = (
    "Exit status: 0 all is as asked; 1 a bug; 2 a mistake in the job file or the command; 3 a server does not answer; "
    "4 not everything runs; 5 refused; 130 interrupted (the farm goes on)."
)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]}, epilog=_EPILOG)
@click.version_option(__version__, prog_name="daqsched")
@click.option("--socket", type=click.Path(path_type=Path), help="The daemon's socket [env: DAQSCHED_SOCKET].")
@click.pass_context
def main(ctx: click.Context, socket: Optional[Path]) -> None:
    """Run a detector's data-acquisition farm: say in a Python file which program runs on which machine, and apply it."""
    ctx.obj = socket or socket_path()


def json_option(command: Command) -> Command:
    """The option `--json` of a verb that has something to tell programs."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")(command)


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


def terminal(stderr: bool = False) -> Any:
    """Where things are printed with colours and tables (rich's Console)."""
    from rich.console import Console

    # rich would guess 80 columns for a pipe and fold what a program wants to grep
    return Console(stderr=stderr, highlight=False, soft_wrap=False, width=None if sys.stdout.isatty() else 240)


def connect(path: Path) -> Any:
    """The daemon behind the socket, as a `daqsched.client.Client`."""
    from daqsched.client import Client

    return Client(path)


def print_json(value: Any) -> None:
    """A value of ours as JSON for people and programs."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())
