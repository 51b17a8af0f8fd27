"""The command `daqsched` itself: which daemon it asks."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Optional

import click

from daqsched import __version__
from daqsched.cli.group import Commands
from daqsched.settings import Where, socket_path, where_of

_EPILOG = (
    "Exit status: 0 all is as asked; 1 a bug; 2 a mistake in the job file or the command; 3 a server does not answer; "
    "4 not everything runs; 5 refused; 6 `plan` and `diff` found differences; 7 Elasticsearch answered in part only; "
    "8 another apply took the place of the one waited for; "
    "130 interrupted (the farm goes on)."
)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]}, epilog=_EPILOG)
@click.version_option(__version__, prog_name="daqsched")
@click.option("--socket", type=click.Path(path_type=Path), help="The daemon's socket [env: DAQSCHED_SOCKET].")
@click.option(
    "--server", metavar="URL", help="A daemon to ask over the network, https://HOST:PORT [env: DAQSCHED_SERVER]."
)
@click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    help="With --server: file whose first line is a token, mode 600 [env: DAQSCHED_TOKEN_FILE].",
)
@click.option(
    "--user",
    metavar="NAME",
    help="With --server: who asks, by --password-file or `daqsched login` [env: DAQSCHED_USER].",
)
@click.option(
    "--password-file",
    type=click.Path(path_type=Path),
    help="With --user: file whose first line is the password, mode 600 [env: DAQSCHED_PASSWORD_FILE].",
)
@click.option(
    "--server-ca",
    envvar="DAQSCHED_SERVER_CA",
    type=click.Path(path_type=Path),
    help="With --server: PEM file of the authority that signed its certificate [env: DAQSCHED_SERVER_CA].",
)
@click.pass_context
def main(
    ctx: click.Context,
    socket: Optional[Path],
    server: Optional[str],
    token_file: Optional[Path],
    user: Optional[str],
    password_file: Optional[Path],
    server_ca: Optional[Path],
) -> None:
    """Run a detector's data-acquisition farm: say in a Python file which program runs on which machine, and apply it."""
    if socket is not None and server is not None:
        raise click.UsageError("--socket and --server: give one of them")
    if token_file is not None and user is not None:
        raise click.UsageError("--token-file and --user: give one of them")
    if ctx.invoked_subcommand == "serve":
        if server is not None:
            raise click.UsageError("serve listens where --web says; --server is for those who ask")
        ctx.obj = socket or socket_path()
        return
    ctx.obj = where_of(ctx.params)


def connect(where: Where) -> Any:
    """The daemon that is there, as a `daqsched.client.Client`."""
    from daqsched.client import Client

    client = Client(where)
    context = click.get_current_context(silent=True)
    if context is not None:
        context.call_on_close(client.close)
    return client
