"""The group of all commands: which module has which, and what becomes of an error."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from importlib import import_module
from typing import Any, NoReturn, Optional

import click

from daqsched.cli.completion import quiet
from daqsched.errors import DaqschedError
from daqsched.foreign import joined, paint
from daqsched.terminal.out import colours, prepare, say, to_nobody, unheard
from daqsched_executor.contract.foreign import printable

#: Where each command stands. What is not asked for is not imported: it would take longer than most commands.
MODULES = {
    name: module
    for module, names in {
        "audit": "audit",
        "backup": "backup restore",
        "borrow": "borrow",
        "cert": "cert",
        "changes": "aside diff history replace restart return rollback rollout",
        "console": "console",
        "control": "control",
        "daemon": "serve",
        "deadletter": "deadletter",
        "debug": "debug",
        "farm": "apply hold plan start status stop",
        "files": "schema show validate",
        "login": "login logout",
        "logs logsetup": "logs",
        "note": "note",
        "orders": "act retry snooze wake",
        "password": "password",
        "preflight": "preflight",
        "proposals": "approve proposals propose reject withdraw",
        "rights": "rights",
        "token": "token",
        "variables": "set variables",
        "why": "incidents story why",
    }.items()
    for name in names.split()
}


class Commands(click.Group):
    """All commands. Shows every `DaqschedError` as one red sentence and ends with its exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> Optional[click.Command]:
        for module in MODULES.get(cmd_name, "").split():
            import_module(f"daqsched.cli.{module}")
        return super().get_command(ctx, cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[Optional[str], Optional[click.Command], list[str]]:
        if args[0] not in MODULES and not args[0].startswith("-") and not ctx.resilient_parsing:
            from daqsched.limits import did_you_mean

            close = did_you_mean(args[0], MODULES)
            raise click.UsageError(f"No such command {args[0]!r}{close or ': `daqsched --help` lists them'}", ctx)
        return super().resolve_command(ctx, args)

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
