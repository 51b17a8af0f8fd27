"""`daqsched` as processes that are forked from one which has imported it: Python's start is most of what a command costs.

Each has arguments, an environment, a folder, output, signals and an exit status of its own, as one that a shell starts.
It does not show that a fresh interpreter finds all that it imports: the pages of the documentation are typed at a shell,
`tests/unit/test_command_start.py` imports each command alone, and `Farm.popen` starts what a test speaks with.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import pkgutil
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO, Any, Optional

#: The commands beside the interpreter that runs the tests.
BIN = Path(sys.executable).parent

#: What an interpreter reads at its start alone: who sets one of these gets an interpreter of his own.
_OF_THE_START = ("PYTHON", "LC_", "LANG", "MALLOC_", "LD_")

#: The longest request: arguments and environment.
_MOST_BYTES = 1 << 20


class Child:
    """A process, as `subprocess.Popen` has it: as much of that as tests use."""

    def __init__(self, reply: socket.socket) -> None:
        self._reply = reply
        self.returncode: Optional[int] = None
        self.pid = self._told(None)

    def _told(self, timeout_s: Optional[float]) -> int:
        self._reply.settimeout(timeout_s)
        said = self._reply.recv(64)
        assert said, "what forks processes for the tests has ended"
        return int(said)

    def wait(self, timeout: Optional[float] = None) -> int:
        """Its exit status; less than 0: the signal that ended it. Raises `subprocess.TimeoutExpired`."""
        if self.returncode is None:
            try:
                self.returncode = os.waitstatus_to_exitcode(self._told(timeout))
            except (socket.timeout, BlockingIOError):
                raise subprocess.TimeoutExpired(f"pid {self.pid}", timeout or 0.0) from None
            self._reply.close()
        return self.returncode

    def poll(self) -> Optional[int]:
        """The same, or None while it runs."""
        try:
            return self.wait(0.0)
        except subprocess.TimeoutExpired:
            return None

    def send_signal(self, what: int) -> None:
        """Nothing where it has ended."""
        if self.poll() is None:
            os.kill(self.pid, what)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)


class _Nursery:
    """The process that forks the others, and the socket at which it is asked to."""

    def __init__(self) -> None:
        self._control, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _MOST_BYTES)
        with there:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(there.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[there.fileno()],
                start_new_session=True,
            )
        atexit.register(self.end)

    def end(self) -> None:
        self._control.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def fork(self, words: Sequence[str], env: Mapping[str, str], out: IO[Any], err: IO[Any], session: bool) -> Child:
        asked = {"words": list(words), "env": dict(env), "cwd": os.getcwd(), "session": session}
        assert self._process.poll() is None, "what forks processes for the tests has ended"
        reply, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, open(os.devnull, "rb") as nothing:
            files = [theirs.fileno(), nothing.fileno(), out.fileno(), err.fileno()]
            socket.send_fds(self._control, [json.dumps(asked).encode()], files)
        return Child(reply)


_nursery = cache(_Nursery)


def _like_ours(env: Mapping[str, str]) -> bool:
    """Whether an interpreter that starts with this environment would be as ours is."""
    names = {name for name in {*env, *os.environ} if name.startswith(_OF_THE_START)}
    return all(env.get(name) == os.environ.get(name) for name in names)


def begin(words: Sequence[str], env: Mapping[str, str], log: IO[Any]) -> Child | subprocess.Popen[bytes]:
    """``daqsched WORDS`` in a session of its own; what it says goes into ``log``."""
    if not _like_ours(env):
        return subprocess.Popen(
            [str(BIN / "daqsched"), *words], env=env, stdout=log, stderr=log, start_new_session=True
        )
    return _nursery().fork(words, env, log, log, True)


def run(words: Sequence[str], env: Mapping[str, str], timeout_s: float = 120.0) -> subprocess.CompletedProcess[str]:
    """``daqsched WORDS`` to its end, and what it said. Raises `subprocess.TimeoutExpired` after it was killed."""
    argv = [str(BIN / "daqsched"), *words]
    if not _like_ours(env):
        return subprocess.run(argv, env=env, capture_output=True, text=True, timeout=timeout_s)
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        child = _nursery().fork(words, env, out, err, False)
        try:
            status = child.wait(timeout_s)
        except BaseException:
            child.kill()
            raise
        for file in (out, err):
            file.seek(0)
        return subprocess.CompletedProcess(argv, status, out.read(), err.read())


def _fork_on_demand(control: socket.socket) -> None:
    """Until nobody can ask any more. Returns in the child, too, which is then what it was asked to be."""
    with selectors.DefaultSelector() as selector:
        selector.register(control, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.data is not None:
                    pid, reply = key.data
                    selector.unregister(key.fd)
                    os.close(key.fd)
                    with reply:
                        _tell(reply, os.waitpid(pid, 0)[1])
                    continue
                message, files, _, _ = socket.recv_fds(control, _MOST_BYTES, 4)
                if not message:
                    return
                reply = socket.socket(fileno=files[0])
                pid = os.fork()
                if not pid:
                    others = [one for one in selector.get_map().values() if one.data is not None]
                    for other in others:
                        os.close(other.fd)
                        other.data[1].close()
                    control.close()
                    reply.close()
                    _become(files[1:], json.loads(message))
                    return
                for file in files[1:]:
                    os.close(file)
                _tell(reply, pid)
                selector.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, reply))


def _tell(reply: socket.socket, number: int) -> None:
    try:
        reply.send(str(number).encode())
    except OSError:
        pass  # a test that failed waits for nobody


def _become(files: Sequence[int], asked: Mapping[str, Any]) -> None:
    for at, file in enumerate(files):
        os.dup2(file, at)
        os.close(file)
    if asked["session"]:
        os.setsid()
    os.environ.clear()
    os.environ.update(asked["env"])
    os.chdir(asked["cwd"])
    time.tzset()
    sys.argv[:] = [str(BIN / "daqsched"), *asked["words"]]


def _raise() -> None:
    """All of ours is imported once, but for what wants an extra that is not there; then each child runs a command."""
    import daqsched

    sys.path[0] = str(BIN)
    for module in pkgutil.walk_packages(daqsched.__path__, "daqsched."):
        if not module.name.endswith("__main__"):
            try:
                importlib.import_module(module.name)
            except ImportError:
                continue
    gc.collect()
    gc.freeze()
    control = socket.socket(fileno=int(sys.argv[1]))
    _fork_on_demand(control)
    if control.fileno() < 0:
        from daqsched.cli import main

        sys.exit(main())


if __name__ == "__main__":
    _raise()
