"""The command `daqsched` itself: which daemon it asks, and what becomes of an error."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from pathlib import Path
from typing import Any, NoReturn, Optional

import click

from daqsched import __version__
from daqsched.cli.completion import quiet
from daqsched.errors import DaqschedError
from daqsched.foreign import joined, paint
from daqsched.settings import Where, socket_path, where_of
from daqsched.terminal.out import colours, prepare, say, to_nobody, unheard
from daqsched_executor.contract.foreign import printable


class _Group(click.Group):
    """Shows every `DaqschedError` as one red sentence and ends with its exit code."""

    def main(self, *args: Any, **extra: Any) -> Any:
        try:
            with quiet():
                return super().main(*args, **extra)
        except OSError as error:
            if not _unwritable(error):
                raise
            to_nobody(sys.stdout)
            with contextlib.suppress(OSError):  # it may be the same file
                say(f"Error: what is printed can't be written: {error.strerror}; the farm goes on", err=True)
            sys.exit(DaqschedError.exit_code)

    def make_context(
        self, info_name: Optional[str], args: list[str], parent: Optional[click.Context] = None, **extra: Any
    ) -> click.Context:
        prepare()
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.ClickException as error:
            _tell(error)
        except BrokenPipeError:
            to_nobody(sys.stdout)
            raise click.exceptions.Exit(0) from None

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except DaqschedError as error:
            first, *more = error.lines
            say(joined(paint("Error:", "1;31" if colours(err=True) else ""), first), *more, err=True)
            ctx.exit(error.exit_code)
        except click.ClickException as error:
            _tell(error)
        except KeyboardInterrupt:
            # click's own word for it is a bug's exit status
            say("Interrupted; the farm goes on.", err=True)
            ctx.exit(130)
        except BrokenPipeError:
            # `daqsched status | head`: the reader has had enough
            to_nobody(sys.stdout)
            ctx.exit(0)


def _unwritable(error: OSError) -> bool:
    """Whether it is our output that has no room: `daqsched status > FILE` on a full disk."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return False
    try:
        os.write(sys.stdout.fileno(), b"\n")
    except OSError as again:
        return again.errno == error.errno
    return False


def _tell(error: click.ClickException) -> NoReturn:
    """As click tells it: but a word of the command line that it repeats may have been pasted, or be a file's name."""
    for name in ("message", "option_name", "param_hint"):
        if isinstance(vars(error).get(name), str):
            vars(error)[name] = printable(vars(error)[name])
    with unheard():
        error.show()
    raise click.exceptions.Exit(error.exit_code)


_EPILOG = (
    "Exit status: 0 all is as asked; 1 a bug; 2 a mistake in the job file or the command; 3 a server does not answer; "
    "4 not everything runs; 5 refused; 6 `plan` and `diff` found differences; 7 Elasticsearch answered in part only; "
    "8 another apply took the place of the one waited for; "
    "130 interrupted (the farm goes on)."
)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]}, epilog=_EPILOG)
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
