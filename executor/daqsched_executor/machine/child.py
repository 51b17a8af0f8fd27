"""What happens between fork and exec: the child checks the paths, changes what it is, and becomes the program.

It speaks to the executor through a pipe that exec closes, one line at a time:

``at PATH``          about to look at PATH (where it hangs, this was the last line)
``wait ACCOUNT``     about to look the program's account up, which takes as long as the machine's directory of accounts does
``who ACCOUNT``      what was found, for what runs beside the program
``is IDENTITY``      the program's file, whose shared libraries were found, now or at an earlier start
``exec``             all paths are fine, exec comes next; the pipe's end after this line means that exec worked
``path SENTENCE``    a path can't be read; try again later
``start SENTENCE``   the program can't be started; counts as a death
``gone SENTENCE``    the sandbox is gone: no program can be started any more

A container's runner (`daqsched_executor.container`) speaks the same, and says ``exec`` when its container runs.
"""

from __future__ import annotations

import fcntl
import os
import resource
import signal
from collections.abc import Mapping
from typing import Protocol

from daqsched_executor.contract import KEY_VARIABLE, SPOOL_VARIABLE, Payload, spool_of
from daqsched_executor.machine.account import Account, CannotStart, account_beside, account_of, told
from daqsched_executor.machine.account import become as become_account
from daqsched_executor.machine.kernel import Kernel
from daqsched_executor.machine.policy import allow
from daqsched_executor.machine.probe import Unreadable, check_all, check_path, resolve

#: What a program finds in its environment besides the job's own and DAQSCHED_*: the same on every machine.
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

#: <asm-generic/ioctls.h>: become the terminal of our session.
TIOCSCTTY = 0x540E


class Contained(Protocol):
    """What a program in a container needs of those who know containers: they are above this package."""

    def prepare(self) -> None:
        """Import what `last` needs: when the program has ended, nothing may be there to import."""

    def enter(
        self, payload: Payload, kernel: Kernel, parent: int, talk: int, output: tuple[int, ...], order: int, notify: str
    ) -> None:
        """In the child: become the container's runner. Never returns; raises `Unreadable` and `CannotStart`."""

    def last(self, words: bytes) -> tuple[bool, float]:
        """Whether the program ran out of memory, and what its limit was (MiB), by what its runner left."""


def become(
    payload: Payload,
    kernel: Kernel,
    parent: int,
    talk: int,
    output: tuple[int, ...],
    order: int = -1,
    known: str = "",
    files: tuple[tuple[str, int], ...] = (),
    notify: str = "",
    contained: Contained | None = None,
    beside: bool = False,
) -> None:
    """Never returns: exec, or a sentence to ``talk`` and `os._exit`. All signals are blocked when this is called.

    ``output`` is what the program's stdout and stderr become. Empty: this is only a look, which ends before exec.
    ``known``: the ``IDENTITY`` of a start that worked; the same file is not looked into again.
    ``files``: what an earlier program left, by name, see `filestore`.
    ``notify``: the path of the socket that its messages go to.
    ``beside``: see `find_account`.
    ``order``: for a program in a container, the file in memory that has the runner's `ContainerSpec`; ``contained`` knows how.
    """
    status = 127
    try:
        if payload.container is not None:
            assert contained is not None, "a job in a container is started by what knows containers"
            _become_runner(contained, payload, kernel, parent, talk, output, order, notify)
        if files:
            talk, *numbers = _out_of_the_way(talk, *(number for _, number in files))
            files = tuple(zip((name for name, _ in files), numbers))
        _become(payload, kernel, parent, talk, output, known, files, notify, beside)
    except Unreadable as error:
        say(talk, f"path {error}")
    except ImportError as error:
        say(talk, f"path the executor's own installation can't be read: {error}")
    except (CannotStart, ValueError) as error:
        say(talk, f"start {error}")
    except OSError as error:
        what = f"{os.fsdecode(error.filename)} can't be used" if error.filename else "the start was refused"
        say(talk, f"start {what}: {error.strerror or error}")
    except BaseException as error:  # a child must not return into the executor's loop, whatever happens
        say(talk, f"start {type(error).__name__}: {error}")
        status = 126
    finally:
        os._exit(status)


def _own_session(parent: int) -> None:
    """For a terminal, and with a process group. The leader of a group can't have one (setsid(2)), and the executor may make us
    that: then leave that group first."""
    while True:
        try:
            os.setsid()
            return
        except PermissionError:
            os.setpgid(0, os.getpgid(parent))


def _out_of_the_way(talk: int, *files: int) -> list[int]:
    """Copies of them all with numbers above those that the files get in the program; closed by exec."""
    return [fcntl.fcntl(file, fcntl.F_DUPFD_CLOEXEC, 3 + len(files)) for file in (talk, *files)]


def _hand_over(files: tuple[tuple[str, int], ...], environment: dict[str, str]) -> None:
    """The files get the numbers from 3 on, and the environment says so: sd_listen_fds(3)."""
    for number, (_, file) in enumerate(files, 3):
        os.dup2(file, number)
    environment["LISTEN_PID"] = str(os.getpid())
    environment["LISTEN_FDS"] = str(len(files))
    environment["LISTEN_FDNAMES"] = ":".join(name for name, _ in files)


def _become(
    payload: Payload,
    kernel: Kernel,
    parent: int,
    talk: int,
    output: tuple[int, ...],
    known: str,
    files: tuple[tuple[str, int], ...],
    notify: str,
    beside: bool,
) -> None:
    terminal = payload.console and bool(output)
    if terminal:
        _own_session(parent)
    else:
        os.setpgid(0, 0)
    _reset_signals()
    try:
        sandbox = os.getcwd()
    except FileNotFoundError:
        path = os.readlink("/proc/self/cwd").replace(" (deleted)", "")
        say(talk, f"gone the sandbox {path} was removed: the task needs a new one")
        os._exit(127)
    for target, source in enumerate((output[0] if terminal else os.open(os.devnull, os.O_RDONLY), *output)):
        os.dup2(source, target)
    if terminal:
        fcntl.ioctl(0, TIOCSCTTY, 0)
    account = find_account(payload, sandbox, talk, beside)
    policy = allow(payload, account, os.environ)
    _limit(payload.limits)
    switch_to(account, output, sandbox, notify)
    if payload.new_privileges is False or not policy.setuid:
        kernel.give_up_new_privileges()
    kernel.die_with_parent(signal.SIGKILL)
    if os.getppid() != parent:  # it died before the line above: nobody would stop this program
        os._exit(126)
    environment = environment_of(payload, account.words())
    if terminal:
        environment.setdefault("TERM", "dumb")  # who wants to draw says so: lines in a log are to be read
    if "WATCHDOG_USEC" in environment:  # sd_watchdog_enabled(3): it is meant for the program, not for what that begins
        environment["WATCHDOG_PID"] = str(os.getpid())
    if payload.cwd:
        say(talk, f"at {payload.cwd}")
        check_path(payload.cwd)
        os.chdir(payload.cwd)
    program = resolve(payload.argv[0], environment, payload.cwd or sandbox)
    check_all(program, payload.needs, lambda path: say(talk, f"at {path}"))
    if payload.libraries:
        _look_into(program, environment, talk, known)
    if not output:
        from daqsched_executor.machine.no_exec_look import foretold  # for a look alone

        say(talk, f"at {program}")
        why = foretold(program)
        if why:
            raise CannotStart(why)
    say(talk, "exec")
    if not output:
        return
    if files:
        _hand_over(files, environment)
    try:
        os.execve(program, list(payload.argv), environment)
    except OSError as error:
        from daqsched_executor.machine.no_exec import why_not  # for a start that fails alone

        raise CannotStart(why_not(program, error)) from error


def _look_into(program: str, environment: Mapping[str, str], talk: int, known: str) -> None:
    """The shared libraries, unless the program is the file that has started before: a restart in place is quick."""
    found = os.stat(program)
    same = f"{found.st_dev}:{found.st_ino}:{found.st_size}:{found.st_mtime_ns}:{program}"
    if same != known:
        from daqsched_executor.machine.libraries import check_libraries  # in the first child alone

        check_libraries(program, environment, lambda path: say(talk, f"at {path}"))
    say(talk, f"is {same}")


def _become_runner(
    contained: Contained,
    payload: Payload,
    kernel: Kernel,
    parent: int,
    talk: int,
    output: tuple[int, ...],
    order: int,
    notify: str,
) -> None:
    os.setpgid(0, 0)
    _reset_signals()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    contained.enter(payload, kernel, parent, talk, output, order, notify)


def environment_of(
    payload: Payload, account: Mapping[str, str], inherited: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The program's whole environment: a small fixed one with what is said of its ``account``, the job's over it, and who
    it is, which nobody overrides."""
    own = os.environ if inherited is None else inherited
    environment = {"PATH": PATH, "LANG": "C.UTF-8", **account, **payload.env}
    environment.update(
        DAQSCHED_JOB=payload.job,
        DAQSCHED_HOST=payload.host,
        DAQSCHED_INSTANCE=payload.instance,
        DAQSCHED_TASK_ID=payload.task_id,
    )
    for name, value in ((SPOOL_VARIABLE, spool_of(own)), (KEY_VARIABLE, own.get(KEY_VARIABLE))):
        if value:
            environment[name] = value
    return environment


def _reset_signals() -> None:
    """Handlers go with exec, but what is ignored (Python ignores SIGPIPE) or blocked would stay so in the program."""
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        try:
            signal.signal(number, signal.SIG_DFL)
        except (OSError, ValueError):  # SIGKILL, SIGSTOP and the C library's own
            continue
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def find_account(payload: Payload, sandbox: str, talk: int, beside: bool = False) -> Account:
    """Whom the program is to be run as; raises `CannotStart`. ``beside``: it is no program, but what runs beside one."""
    say(talk, f"wait {payload.user or os.geteuid()}")
    if beside:
        return account_beside(payload.user, sandbox)
    account = account_of(payload.user, sandbox)
    say(talk, f"who {told(account)}")
    return account


def _limit(limits: Mapping[str, int]) -> None:
    for name, value in limits.items():
        number = getattr(resource, f"RLIMIT_{name.upper()}", None)
        if number is None:
            raise CannotStart(f"limit {name!r} is unknown on this machine (see setrlimit(2) for the names)")
        amount = resource.RLIM_INFINITY if value < 0 else value
        try:
            resource.setrlimit(number, (amount, amount))
        except (OSError, ValueError) as error:
            hard = resource.getrlimit(number)[1]
            raise CannotStart(f"limit {name} = {value} is refused: this account's hard limit is {hard}") from error


def switch_to(account: Account, output: tuple[int, ...], sandbox: str, notify: str = "") -> None:
    """Become the account, with its groups.

    The sandbox, the files that the program writes to and its socket become the account's: Mesos and we made them for the
    executor's. What is below the sandbox belongs to whoever made it; executor.log stays ours.
    """
    if account.uid != os.geteuid() and output:  # and not only a look
        for file in output:
            os.fchown(file, account.uid, -1)
        os.chown(sandbox, account.uid, -1)
    if account.uid != os.geteuid() and notify:
        os.chown(notify, account.uid, -1, follow_symlinks=False)
    become_account(account)


def say(talk: int, line: str) -> None:
    """One line to the executor."""
    os.write(talk, line.replace("\n", " ").encode("utf-8", "surrogateescape") + b"\n")
