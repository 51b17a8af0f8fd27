"""The command `daqsched` itself, and what its verbs share: options, the way to print, what becomes of an error."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from pathlib import Path
from typing import Any, Callable, NoReturn, Optional, Sequence, TypeVar

import click
import msgspec

from daqsched import __version__
from daqsched.backends import PLACES, SERVERS
from daqsched.cli.completion import names, quiet
from daqsched.errors import DaqschedError
from daqsched.foreign import check_message, joined, paint
from daqsched.limits import whole
from daqsched.settings import Where, socket_path, state, where_of
from daqsched.terminal.out import colours, interactive, prepare, said_yes, say, to_nobody, unheard
from daqsched_executor.contract.foreign import printable

Command = TypeVar("Command", bound=Callable[..., Any])
Answer = TypeVar("Answer")


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
    text = "Jobs of FILE that another part of the farm has become this one's."
    command = click.option("--take", multiple=True, metavar="JOB", shell_complete=names("selection"), help=text)(
        command
    )
    return part_option("The part of the farm that FILE is.  [default: as FILE says]")(command)


def with_part(spec: Any, part: Optional[str]) -> Any:
    """The job file as one of the part that `--part` names."""
    from daqsched import farm_parts
    from daqsched.errors import UserError

    if part is None:
        return spec
    named = farm_parts.read(part)
    if spec.part not in ("", named):
        raise UserError(f"--part {part}: the file says farm = {spec.part!r}")
    return msgspec.structs.replace(spec, part=named)


def evaluated(file: Path, settings: Sequence[str], part: Optional[str]) -> Any:
    """A job file and what it leaves to shifters (`jobfile.alternatives.Evaluated`), of the part that `--part` names."""
    from daqsched import farm_parts
    from daqsched.jobfile.alternatives import load_with_choices
    from daqsched.jobfile.variables import parse

    named = farm_parts.read(part) if part is not None else None
    found = load_with_choices(file, parse(settings), named)
    return found._replace(spec=with_part(found.spec, part))


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


def stops_options(command: Command) -> Command:
    """How whoever asks says that programs may end: ``yes``, ``stops``; for `confirmed`."""
    command = click.option(
        "--stops",
        type=int,
        metavar="N",
        callback=at_least(0),
        help="For programs: up to N running programs may end at once, else nothing is done.",
    )(command)
    return click.option("--yes", is_flag=True, help="Do not ask, however many running programs end.")(command)


def look_option(command: Command) -> Command:
    """The option `--no-look`."""
    text = "Do not ask the first hosts before whether they could start what takes the place of what runs."
    return click.option("--no-look", is_flag=True, help=text)(command)


def confirmed(ask: Callable[[Optional[int]], Answer], yes: bool, stops: Optional[int]) -> Answer:
    """What the daemon answers; where more would end than ends unasked, whoever sits at the terminal is shown it, and asked.

    ``ask`` is given how many may end, None where nothing was said. Raises `Refused`, `NotConfirmed` where nobody can be asked.
    """
    from daqsched.confirm import ALL, NotConfirmed
    from daqsched.errors import Refused, UserError

    if yes and stops is not None:
        raise UserError("--yes and --stops: give one of them")
    agreed = ALL if yes else stops
    while True:
        try:
            return ask(agreed)
        except NotConfirmed as error:
            if yes or stops is not None or not interactive():
                raise
            say(*(f"  {one.words()}" for one in error.endings), err=True)
            if not said_yes(f"This ends {error.stops} of {error.running} running programs at once. Go on? [y/N] "):
                raise Refused("not done: nothing was changed") from error
            agreed = error.stops


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
        help=f"What must survive: {PLACES} [env: DAQSCHED_STATE].",
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


def is_revision(word: str) -> bool:
    """Whether it is the number of a revision, and not the name of a job file."""
    return whole(word) is not None and not Path(word).exists()


def spec_of(client: Callable[[], Any], word: str, settings: Sequence[str] = ()) -> Any:
    """What a job file asks for, or what the revision of that number did (0: the one in force), which the daemon is asked for."""
    from daqsched.jobfile.load import load
    from daqsched.jobfile.variables import parse

    if is_revision(word):
        return client().revision(int(word)).spec
    return load(word, parse(settings))


def connect(where: Where) -> Any:
    """The daemon that is there, as a `daqsched.client.Client`."""
    from daqsched.client import Client

    client = Client(where)
    context = click.get_current_context(silent=True)
    if context is not None:
        context.call_on_close(client.close)
    return client
