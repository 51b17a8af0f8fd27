"""The sentences that an executor says of its program: pure functions from facts to text.

They are read in the Mesos web UI, in `daqsched status` and in executor.log, by somebody who was woken up. So each
says what is so, why, and what happens next; numbers have units; no sentence needs another one to be understood.
"""

from __future__ import annotations

from daqsched_executor.contract import Exit, Payload, Restart, Stop, duration


def starting(payload: Payload) -> str:
    """The first report."""
    return f"starting {payload.argv[0]}" + (f" (release {payload.release})" if payload.release else "")


def occupied(instance: str, pid: int, since: str) -> str:
    """Another executor has the instance's lock."""
    runs = f"has been running here since {since}, pid {pid}" if pid else "runs here"
    return f"another copy of {instance} {runs}; starts when it is gone"


def still_dying(instance: str, count: int) -> str:
    """What another copy left behind has had its SIGKILL and its time."""
    what = f"{count} process{'' if count == 1 else 'es'} of another copy of {instance}"
    return (
        f"{what} {'is' if count == 1 else 'are'} still there; starts when {'it is' if count == 1 else 'they are'} gone"
    )


def both(one: str, other: str) -> str:
    """Two problems, ``what: why``, as one sentence; what is the same of both is said once."""
    what, _, why = one.partition(": ")
    also, _, same = other.partition(": ")
    return f"{what} and {also}: {why}" if one and why == same else "; ".join(filter(None, (one, other)))


def left_behind(count: int) -> str:
    """Said before the first start."""
    return f"ended {count} process{'' if count == 1 else 'es'} that a dead executor of this job left behind"


def running(pid: int, clock: str, restarts: int, last: Exit | None, note: str) -> str:
    """``pid 4711 since 2025-11-22 14:02:11 UTC, 3 restarts, last: killed by SIGSEGV after 2.1 s``."""
    return f"pid {pid} since {clock}{before(restarts, last)}" + (f"; {note}" if note else "")


def before(restarts: int, last: Exit | None) -> str:
    """What was before this run: ``, 3 restarts, last: killed by SIGSEGV after 2.1 s``; empty before the first one."""
    again = f", {_times(restarts)}" if restarts else ""
    return again + (f", last: {last.words()}" if last else "")


def waits(how: str, wait_s: float, restarts: int) -> str:
    """Between a death and the next start."""
    return f"{how}; starts again in {duration(wait_s)}" + (f" ({_times(restarts)} so far)" if restarts else "")


def not_started_again(how: str, by: str) -> str:
    """It ended, and somebody is looking."""
    return f"{how}; not started again: held by {by}"


def gave_up(rule: Restart, how: str) -> str:
    """The restart budget is spent."""
    return f"gave up after {_times(rule.budget)} within {duration(rule.window_s)}; last: {how}"


def tries_again(problem: str, every_s: float) -> str:
    """A path can't be read. A problem may end in a question."""
    return f"{problem}{' T' if problem.endswith('?') else '; t'}rying again every {every_s:.0f} s"


def hangs(path: str, payload: Payload) -> str:
    """A path, or exec itself, gives no answer."""
    return f"{no_answer(path, payload)}; starts when it does, trying again every 10 s"


def looked_up(account: str, payload: Payload) -> str:
    """A directory of accounts (LDAP) takes its time."""
    return (
        f"its account is being looked up, for more than {duration(payload.probe_timeout_s)}: {account}; starts when this "
        "machine's directory of accounts answers (LDAP, sssd?)"
    )


def not_looked_up(account: str, within_s: float) -> str:
    """The same for a survey."""
    return f"{account} was not found within {duration(within_s)}: does this machine's directory of accounts answer (LDAP, sssd?)"


def no_answer(path: str, payload: Payload) -> str:
    """The same without what follows from it: a survey only tells."""
    what = path or f"exec of {payload.argv[0]}"
    hint = " (cvmfs hangs?)" if "/cvmfs/" in what else ""
    return f"{what} does not answer within {duration(payload.probe_timeout_s)}{hint}"


def unkillable(what: str, payload: Payload | None, refused: str) -> str:
    """SIGKILL does not help; ``refused``: whom our account may not signal."""
    if refused:
        return f"{refused}: end it by hand, as that account or as root"
    if payload is not None and payload.container is not None:
        return "the container is not gone: does the container engine answer? Its removal is tried every second"
    return f"SIGKILL does not end {what}: it hangs in the kernel (a dead file system or driver?)"


def stopping_first(why: str, rule: Stop) -> str:
    """A stop begins with its hook."""
    return f"{why}: its hook runs first ({rule.before[0]}, at most {duration(rule.hook_timeout_s)})"


def stopping(why: str, rule: Stop, pid: int, grace_s: float) -> str:
    """The first signal is sent."""
    then = f"SIG{rule.second_signal}" if rule.second_signal else "SIGKILL"
    return f"{why}: SIG{rule.signal} sent to pid {pid}, {then} follows in {duration(grace_s)}"


def emptied(streams: tuple[str, ...]) -> str:
    """Part of a running program's sentence from then on."""
    names = " and ".join(streams)
    which = streams[-1]
    return (
        f"its {names} {'was' if len(streams) == 1 else 'were'} emptied, as `> /dev/{which}` does (tee, too): lines may be lost; "
        f'write `>> /dev/{which}`, or leave out Job(output="file")'
    )


def hook_hangs(which: str) -> str:
    """Not even its time limit ended it."""
    return f"hook {which}: gave no answer; going on without it"


def stopped(last: Exit | None, killed: bool, payload: Payload | None, program: bool) -> str:
    """The last report of a stop: ``stopped: exit code 0 after 5 h``."""
    if not program or last is None:
        return "stopped before the program was started"
    if killed and last.signal == "SIGKILL" and payload is not None:
        rule = payload.stop
        second = f" and {duration(rule.second_grace_s)} after SIG{rule.second_signal}" if rule.second_signal else ""
        return f"stopped: still there {duration(rule.grace_s)} after SIG{rule.signal}{second}, so {last.words()}"
    return f"stopped: {last.words()}"


def stopped_waiting(last: Exit | None, problem: str) -> str:
    """The last report of a stop while nothing ran."""
    why = f"last: {last.words()}" if last else problem
    return "stopped while not running" + (f" ({why})" if why else "")


def away(patience_s: float) -> str:
    """Completes "stopped by ..." when the agent stays away."""
    return f"its executor, because the agent did not come back within {duration(patience_s)}"


def _times(restarts: int) -> str:
    return f"{restarts} restart{'' if restarts == 1 else 's'}"
