"""``daqsched-executor run``: the process of one job's executor. Started by a Mesos agent, which configures it by MESOS_*.

What a process is to have before anything else happens in it: its files, its secrets, its warden; then `Run`.
"""

from __future__ import annotations

import gc
import os

from daqsched_executor.contract import KEY_VARIABLE, SPOOL_VARIABLE
from daqsched_executor.log import Log, place_of
from daqsched_executor.machine.kernel import Kernel
from daqsched_executor.machine.spool import choose
from daqsched_executor.machine.warden import contained, dismiss, own_cgroups, stand_guard
from daqsched_executor.preloaded import preload
from daqsched_executor.run.executor import Run
from daqsched_executor.run.mesos import TOKEN
from daqsched_executor.run.streams import Files, open_files

#: What a Mesos agent gives to every executor.
NEEDED = ("MESOS_AGENT_ENDPOINT", "MESOS_FRAMEWORK_ID", "MESOS_EXECUTOR_ID")


def main(argv: list[str]) -> int:
    """The command. Returns the exit status: 0 when all was reported, 1 for a bug, 2 outside of Mesos."""
    missing = [name for name in NEEDED if not os.environ.get(name)]
    if missing or argv:
        why = f"it lacks {', '.join(missing)}" if missing else f"{argv[0]!r} is not an option"
        os.write(2, f"daqsched-executor run: is started by a Mesos agent and takes no options; {why}\n".encode())
        return 2
    sandbox = os.environ.get("MESOS_SANDBOX") or os.getcwd()
    os.environ[SPOOL_VARIABLE], os.environ[KEY_VARIABLE] = choose(os.environ), os.urandom(16).hex()
    files = open_files(sandbox)
    log = Log(files.executor)
    _keep_files_to_ourselves(files)
    token = Kernel().take_secret(TOKEN)  # before anything inherits it
    warden = -1 if contained(os.environ, own_cgroups()) else stand_guard(Kernel())
    status = _run(files, sandbox, log, warden >= 0, token)
    if warden >= 0:
        dismiss(warden, status)
    return status


def _run(files: Files, sandbox: str, log: Log, guarded: bool, token: str) -> int:
    try:
        run = Run(files, sandbox, log, os.environ, guarded, token)
    except BaseException as error:
        log.say(f"cannot start: {place_of(error)}")
        return 1
    try:
        preload(f"daqsched_executor.{package}" for package in ("run", "life", "machine"))
    except OSError as error:
        log.say(f"what is needed later is read later: {error.filename}: {error.strerror}")
    gc.freeze()
    gc.enable()
    return run.run()


def _keep_files_to_ourselves(files: Files) -> None:
    """What we print by accident goes to executor.log, as stdout and stderr are the job's; what the agent left open
    does not reach the program."""
    for name in os.listdir("/proc/self/fd"):
        try:
            if int(name) > 2:
                os.set_inheritable(int(name), False)
        except OSError:  # the folder's own
            continue
    os.dup2(files.executor, 1)
    os.dup2(files.executor, 2)
