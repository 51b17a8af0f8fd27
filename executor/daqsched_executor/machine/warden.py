"""The warden: a process above the executor that outlives it, where the agent has no cgroup to destroy in its place.

Under the linux launcher of Mesos all that an executor began is in a cgroup of its own, which the agent destroys when
the executor is gone. Under the posix launcher it ends what it finds by session and parent, and a daemon in a session
of its own slips away. There the process that the agent started becomes the warden, and its fork the executor:

- the executor dies: what it began falls to the warden (the next child subreaper above), which kills all of it, reaps
  it, and ends as the executor did;
- the warden dies: the executor gets a signal (PR_SET_PDEATHSIG), kills its tree and leaves (`run.executor`).

So no single kill -9 leaves a process. A warden has nothing to do for days and must cost nothing: it is a shell that
waits for the end of a pipe (0.1 MB with dash, 0.3 MB with bash; a fork that stays Python costs 3 to 4 MB because both
then write to pages that they shared), and becomes Python again, the same process, when there is something to clear.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Mapping

from daqsched_executor.contract import Stop
from daqsched_executor.machine.kernel import JANITOR, RELAY, Kernel, ProcessEntry, signal_name
from daqsched_executor.out import say

#: Sent to the executor when its warden is gone.
WARDEN_GONE = signal.SIGUSR1

#: The executor's last word is its exit status, and then the pipe ends with it; without one it was killed. Where Python does not
#: start any more (its installation is away), the shell kills what it finds: all that it does not reap falls to it, the warden.
SCRIPT = f"""
if read -r status; then read -r end; exit "$status"; fi
limit=$(command -v timeout >/dev/null && echo timeout 10)
if $limit "$1" -I -S -c "${{5%; clear*}}" 2>/dev/null; then exec "$@"; fi
echo "warden: the executor was killed, and its installation can't be read; all that is left is killed"
round=0
while [ $round -lt 100 ]; do
  all=
  read -r all </proc/$$/task/$$/children
  [ -n "$all" ] || break
  for child in $all; do
    name=
    read -r name 2>/dev/null </proc/$child/comm
    [ "$name" = {JANITOR} ] || [ "$name" = {RELAY} ] || kill -KILL $child 2>/dev/null
  done
  sleep 0.05
  round=$((round + 1))
done
kill -KILL $$
"""
SHELL = "/bin/sh"
#: How the shell calls itself in a list of processes.
NAME = "daqsched-warden"

#: A process that SIGKILL does not end within this hangs in the kernel; the agent shall learn what happened all the same.
GIVE_UP_S = 5.0
_LOOK_AGAIN_S = 0.005


def contained(environ: Mapping[str, str], cgroups: str) -> bool:
    """Whether the agent can find all of our processes by a cgroup of its making, as ``/proc/self/cgroup`` shows it.

    The linux launcher puts a container into ``ROOT/CONTAINER_ID`` of the freezer hierarchy, or of the unified one of
    cgroup v2 (Mesos' linux_launcher.cpp); the sandbox's last folder is called by the same id.
    """
    container = os.path.basename(environ.get("MESOS_DIRECTORY", ""))
    if not container:
        return False
    for line in cgroups.splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers in ("freezer", "") and container in path.split("/"):
            return True
    return False


def own_cgroups() -> str:
    """``/proc/self/cgroup``, empty where there is none."""
    try:
        with open("/proc/self/cgroup") as file:
            return file.read()
    except OSError:
        return ""


def stand_guard(kernel: Kernel) -> int:
    """Fork. Our parent's child becomes the warden; its child returns, is the executor, and gets the file that `dismiss`
    takes. Call it while standard output is not the job's any more."""
    ours, executors = os.pipe()
    warden = os.getpid()
    kernel.adopt_orphans()
    executor = kernel.fork()
    if executor == 0:
        os.close(ours)
        kernel.die_with_parent(WARDEN_GONE)
        if os.getppid() != warden:
            os._exit(1)
        # a child that has not called exec yet would hold it open beyond our death
        os.register_at_fork(after_in_child=lambda: os.close(executors))
        return executors
    os.close(executors)
    os.dup2(ours, 0)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):  # they are for the executor
        signal.signal(number, signal.SIG_IGN)
    code = f"import sys; sys.path[:] = {sys.path!r}; from {__name__} import clear; clear({executor})"
    try:
        os.execv(SHELL, [NAME, "-c", SCRIPT, NAME, sys.executable, "-I", "-S", "-c", code])
    except OSError:
        clear(executor)
    raise AssertionError("unreachable: clear ends the process")


def dismiss(executors: int, status: int) -> None:
    """The executor's last act: nothing is left, and the warden ends with this status."""
    try:
        os.write(executors, b"%d\n" % status)
    except OSError:  # it is gone already
        pass


def clear(executor: int) -> None:
    """Wait for the executor's end, kill all that is left below us, and end as it did. Never returns."""
    raw = _wait_for(executor)
    killed = end_all(Kernel())
    if os.WIFSIGNALED(raw):
        number = os.WTERMSIG(raw)
        say(f"warden: the executor was killed by {signal_name(number)}; {killed} processes of it ended")
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(os.WEXITSTATUS(raw))


def end_by_rules(kernel: Kernel, rule: Stop, send: Callable[[str], object], meanwhile: Callable[[], object]) -> None:
    """As in a stop, signal by signal, but for its hooks: for an executor that can't rely any more on what it knows. ``send`` sends
    a signal to the program, ``meanwhile`` is called while it is waited for; what is left after the last one's grace is
    `end_all`'s."""
    for name, grace_s in ((rule.signal, rule.grace_s), (rule.second_signal, rule.second_grace_s)):
        limit = time.monotonic() + grace_s
        if name and _to_end(kernel):
            send(name)
        empty = 0
        while name and time.monotonic() < limit:
            if kernel.alone():
                return
            meanwhile()
            # what loses its parent during one look is in the next
            empty = 0 if _to_end(kernel) else empty + 1
            if empty == 2:
                return
            time.sleep(_LOOK_AGAIN_S)


def end_all(kernel: Kernel) -> int:
    """SIGKILL to all that is below us, until nothing is left; how many there were."""
    killed = set()
    limit = time.monotonic() + GIVE_UP_S
    while time.monotonic() < limit:
        for entry in _to_end(kernel):
            killed.add(entry.pid)
            kernel.signal_process(entry, signal.SIGKILL)
        if kernel.alone():
            return len(killed)
        time.sleep(_LOOK_AGAIN_S)
    left = kernel.descendants()
    refused = [entry for entry in left if not kernel.signal_process(entry, 0)]
    why = "our account may not end it" if refused else "something hangs in the kernel, or the container engine"
    say(f"not ended: {', '.join(f'{entry.pid} ({entry.name})' for entry in refused or left)}: {why}")
    return len(killed)


def _to_end(kernel: Kernel) -> list[ProcessEntry]:
    """What is below us, but for those that end when they have done their part, with what they began; others may call themselves
    so."""
    spared, found = set(), []
    for entry in kernel.descendants():
        ours = entry.name in (JANITOR, RELAY) and kernel.real_uid(entry.pid) == os.geteuid()
        if ours or entry.parent in spared:
            spared.add(entry.pid)
        else:
            found.append(entry)
    return found


def _wait_for(executor: int) -> int:
    """Its wait status. Where the shell has taken that in already it is not known, but without a last word it was killed:
    by what, as a rule, nobody can say better than SIGKILL."""
    try:
        return os.waitpid(executor, 0)[1]
    except ChildProcessError:
        return int(signal.SIGKILL)
