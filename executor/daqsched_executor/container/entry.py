"""Between fork and exec, for a job in a container: the executor's child checks the paths of the machine that the job
names, as the job's account, and becomes the runner. Imported in that child only."""

from __future__ import annotations

import os
import signal
import sys

from daqsched_executor.container.spec import ContainerRefused, ContainerSpec, volume_of
from daqsched_executor.contract import KEY_VARIABLE, SPOOL_VARIABLE, Payload
from daqsched_executor.machine.account import Account, CannotStart
from daqsched_executor.machine.child import environment_of, find_account, say
from daqsched_executor.machine.kernel import Kernel
from daqsched_executor.machine.policy import allow
from daqsched_executor.machine.probe import check_path


def become_runner(
    payload: Payload, kernel: Kernel, parent: int, talk: int, output: tuple[int, ...], order: int, notify: str
) -> None:
    """Never returns; raises `probe.Unreadable` and `CannotStart` as `child.become` expects them."""
    container = payload.container
    assert container is not None
    sandbox = os.path.realpath(os.getcwd())
    # the runner itself stays who we are: it must reach the engine
    account = find_account(payload, sandbox, talk)
    allow(payload, account, os.environ)
    for text in container.volumes:
        try:
            volume_of(text)
        except ContainerRefused as error:
            raise CannotStart(str(error)) from error
    _check(account, payload.needs, talk)
    for file in output:
        if account.uid != os.geteuid():
            os.fchown(file, account.uid, -1)
    if notify and account.uid != os.geteuid():
        os.chown(notify, account.uid, -1, follow_symlinks=False)
    environment = environment_of(payload, {})
    # the spool is not in there; and by that variable `machine.claim` knows programs that have no engine to end them
    for name in (SPOOL_VARIABLE, KEY_VARIABLE):
        environment.pop(name, None)
    if "PATH" not in payload.env:  # the image has its own, and knows nothing of the account
        environment.pop("PATH")
    framework = os.environ.get("MESOS_FRAMEWORK_ID", "")
    stdout, stderr = output
    handed = ContainerSpec(
        payload,
        sandbox,
        framework,
        environment,
        account.uid,
        account.gid,
        account.groups,
        talk,
        stdout,
        stderr,
        notify,
    )
    os.pwrite(order, handed.to_json(), 0)
    for file in (talk, *output, order):
        os.set_inheritable(file, True)
    # Python looks for modules in the working directory first, and the job may write to its sandbox
    os.chdir("/")
    kernel.die_with_parent(signal.SIGKILL)  # after the changes of account, which clear it
    if os.getppid() != parent:
        os._exit(126)
    os.execve(
        sys.executable,
        [sys.executable, "-m", "daqsched_executor.container", str(order), payload.instance],
        # an executor in a folder of its own (release/folder.py) is on nobody's path but ours
        {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def _check(account: Account, paths: tuple[str, ...], talk: int) -> None:
    """Look at the paths with the account's rights."""
    own = os.geteuid(), os.getegid(), os.getgroups()
    other = account.uid != own[0]
    if other:
        os.setgroups(account.groups)
        os.setegid(account.gid)
        os.seteuid(account.uid)
    try:
        for path in paths:
            say(talk, f"at {path}")
            check_path(path)
    finally:
        if other:
            os.seteuid(own[0])
            os.setegid(own[1])
            os.setgroups(own[2])
