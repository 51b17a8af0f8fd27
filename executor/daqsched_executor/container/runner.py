"""The runner: has the engine run the program in a container, and behaves as the program would.

Its life: take what the executor's child left (`spec.ContainerSpec`), say how far it is in the words of `machine.child`, clear away
what dead runners left, create the container, attach to its output, start it, say ``exec``; copy its lines to the
sandbox's files and pass signals on until it has ended; remove it; end with its exit code or by its signal.
"""

from __future__ import annotations

import fcntl
import io
import json
import os
import resource
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Optional

from daqsched_executor.container.frames import STDERR_STREAM, Frames
from daqsched_executor.container.peer import reach
from daqsched_executor.container.places import Places
from daqsched_executor.container.spec import ContainerRefused, ContainerSpec, Last, Waits, creation, ending, name_of
from daqsched_executor.log import Log
from daqsched_executor.machine.child import say
from daqsched_executor.machine.kernel import Kernel
from daqsched_executor.machine.policy import load, refuse
from daqsched_executor.machine.probe import Unreadable
from daqsched_executor.machine.process import KILL_CONTAINER

if TYPE_CHECKING:  # the package docker may be missing here
    from daqsched_executor.container.engine import ContainerEngine
    from daqsched_executor.container.janitor import Handle, Janitor

#: How much is read of the container's output at once.
PIECE = 1 << 20
#: The sandbox is held by a runner or janitor for this long at most while it tries whether others' are held.
LOCK_S = 2.0
#: Between two attempts to reach an engine that went away while the program runs.
AGAIN_S = 1.0
#: Once the program has ended, an engine that is away has this long to come back and say how it ended.
LAST_WORD_S = 30.0

#: What a program may be sent; KILL and STOP can't be caught, CHLD is ours, and the rest is what the kernel says of a fault.
PASSED = signal.valid_signals() - {
    signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD, signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE,
}  # fmt: skip


def main(argv: list[str]) -> int:
    """The command. Returns only where the program was not started; else it ends as the program did."""
    file = int(argv[0])
    os.set_inheritable(file, False)
    order = ContainerSpec.from_json(os.pread(file, os.fstat(file).st_size, 0))
    os.ftruncate(file, 0)
    try:
        runner = Runner(order)
        runner.start()
    except Waits as error:
        say(order.talk, f"path {error}")
        return 127
    except ContainerRefused as error:
        say(order.talk, f"start {error}")
        return 127
    last, code = runner.follow()
    os.pwrite(file, json.dumps(last._asdict()).encode(), 0)
    return end_like(*ending(code, order.payload.restart.success_codes))


class Runner:
    """One container's, from before its creation until after its removal."""

    def __init__(self, order: ContainerSpec) -> None:
        for file in (order.talk, order.stdout, order.stderr):
            os.set_inheritable(file, False)
        self._order = order
        self._name = name_of(order)
        self._log = Log(1)  # the executor's own words: our stdout is executor.log
        self._id = ""
        self._lost = 0
        self._engine: ContainerEngine
        self._janitor: Janitor
        self._stream: io.RawIOBase
        self._handle: Optional[Handle] = None

    def start(self) -> None:
        """From nothing to a running container, or `Waits` or `ContainerRefused`."""
        order = self._order
        lock = hold(order.sandbox)
        try:
            from daqsched_executor.container.engine import Away, ContainerEngine, Gone
            from daqsched_executor.container.janitor import Handle, Janitor
        except ImportError as error:
            raise Waits(
                f"the Python package docker is not installed on this machine ({error}): "
                "pip install daqsched-executor[containers]"
            ) from error
        parent = os.getppid()
        places = self._places()
        try:
            Kernel().die_with_parent(signal.SIGKILL)  # the changes of account have cleared it
            if os.getppid() != parent:
                raise Waits("the executor has ended")
            run_id = os.path.basename(order.sandbox)
            self._janitor = Janitor(order.engine, self._name, run_id, {lock, *places.files}, places.clear)
        except BaseException:
            places.clear()
            raise
        try:
            say(order.talk, f"at the container engine at {order.engine}")
            self._engine = ContainerEngine(order.engine)
            with self._patience():
                self._clear_away()
                self._janitor.watch()
                try:
                    self._run(Handle, creation(order, places.paths, places.devices))
                except (ContainerRefused, Waits):  # Away, and whatever else comes, is the janitor's
                    self._engine.remove(self._name)
                    raise
        except (ContainerRefused, Waits):
            self._janitor.dismiss()
            raise
        except (Away, Gone) as error:
            raise Waits(str(error)) from error
        threading.Thread(target=self._pass_signals, daemon=True).start()
        self._log.say(f"container {self._name} runs: image {order.container.image}, id {self._id[:12]}")
        say(order.talk, "exec")
        os.close(order.talk)

    def _places(self) -> Places:
        """What the container gets of this machine, if its policy allows that."""
        order = self._order
        try:
            policy = load(os.environ)
            refuse(policy.engine(order.engine) or policy.network(order.container.network))
            say(order.talk, f"at the container engine at {order.engine}")
            return Places(order, policy, reach(order.engine))
        except Unreadable as error:
            raise Waits(str(error)) from error

    def _run(self, handle: type[Handle], body: Mapping[str, Any]) -> None:
        self._id = self._engine.create(self._name, body)
        self._stream = self._engine.attach(self._id)
        # from here on a signal is for the program; the threads to come inherit this
        signal.pthread_sigmask(signal.SIG_BLOCK, PASSED)
        self._engine.start(self._id)
        state = self._engine.state(self._id)
        if state.running:
            self._janitor.running(state.pid, self._id)
            try:
                self._handle = handle(state.pid, self._id)
            except OSError:
                pass  # signals go through the engine

    @contextmanager
    def _patience(self) -> Iterator[None]:
        """The engine answers, and what it is asked for may take longer than a path may; each request has its own limit."""
        done = threading.Event()

        def tick() -> None:
            while not done.wait(1.0):
                say(self._order.talk, f"at the container engine at {self._order.engine}")

        ticker = threading.Thread(target=tick, daemon=True)
        ticker.start()
        try:
            yield
        finally:
            done.set()
            ticker.join()

    def _clear_away(self) -> None:
        """Remove what dead runners left, ours or others'; a runner or janitor that lives holds its sandbox."""
        for found in self._engine.ours():
            if found.sandbox != self._order.sandbox and is_held(found.sandbox):
                if found.name == self._name:
                    raise Waits(f"container {self._name} still runs for another executor (sandbox {found.sandbox})")
            elif found.name == self._name or os.path.isdir(found.sandbox):
                self._engine.remove(found.id)
                self._log.say(f"container {found.name} is removed: its executor is dead")

    # ------------------------------------------------------------------------------- while it runs

    def follow(self) -> tuple[Last, int]:
        """Copy lines until the container has ended, and remove it; what is to be said of it, and its exit code."""
        from daqsched_executor.container.engine import Away

        last, code = self._until_ended()
        if self._lost:
            self._log.say(f"{self._lost} bytes of the program's output could not be written to the sandbox")
        try:
            self._engine.remove(self._id)
            self._janitor.dismiss()
        except (Away, ContainerRefused, Waits) as error:
            self._log.say(f"container {self._name} cannot be removed now: {error}; the janitor goes on trying")
        return last, code

    def _until_ended(self) -> tuple[Last, int]:
        from daqsched_executor.container.engine import Away, Gone

        ended_at: Optional[float] = None
        away = ""
        while True:
            try:
                if away:
                    self._stream = self._engine.attach(self._id)
                    # only now: an attach to what has ended before never returns
                    state = self._engine.state(self._id)
                    self._log.say(
                        f"the container engine is back; the program {'runs on' if state.running else 'ended'}"
                    )
                    away = ""
                    if not state.running:
                        return self._last(state.out_of_memory), state.code
                self._copy()
                self._engine.wait(self._id)
                state = self._engine.state(self._id)
                return self._last(state.out_of_memory), state.code
            except Gone:
                self._log.say(f"container {self._name} was removed by somebody else")
                return Last(), 128 + signal.SIGKILL
            except (Away, ContainerRefused, Waits, OSError) as error:
                if not away:
                    away = str(error)
                    self._log.say(f"{away}; trying again every second, the program's lines wait")
            if self._handle is not None and self._handle.ended():
                ended_at = ended_at or time.monotonic()
                if time.monotonic() - ended_at > LAST_WORD_S:
                    self._log.say("the program has ended, and no engine says how")
                    return Last(), 128 + signal.SIGKILL
            time.sleep(AGAIN_S)

    def _last(self, out_of_memory: bool) -> Last:
        return Last(out_of_memory, self._order.payload.mem if out_of_memory else 0.0)

    def _copy(self) -> None:
        """Lines into their files, byte by byte as they were printed, until there are no more."""
        frames, room = Frames(), bytearray(PIECE)
        view = memoryview(room)
        while True:
            size = self._stream.readinto(room)
            if not size:
                return
            for stream, part in frames.split(view[:size]):
                self._write(self._order.stderr if stream == STDERR_STREAM else self._order.stdout, part)

    def _write(self, file: int, part: memoryview) -> None:
        while len(part):
            try:
                part = part[os.write(file, part) :]
            except OSError as error:  # a full disk: the program goes on, as one that writes to a file would
                if not self._lost:
                    self._log.say(f"the program's output cannot be written: {error.strerror}; it is dropped")
                self._lost += len(part)
                return

    def _pass_signals(self) -> None:
        from daqsched_executor.container.engine import ContainerEngine

        engine: Optional[ContainerEngine] = None
        while True:
            number = signal.sigwait(PASSED)
            passed = signal.SIGKILL if number == KILL_CONTAINER else number
            try:
                try:
                    if self._handle is not None:
                        self._handle.signal(passed)
                        continue
                except OSError:
                    self._handle = None
                engine = engine or ContainerEngine(self._order.engine)  # this thread's own
                engine.kill(self._id, passed)
            except Exception as error:  # whatever it was, the next signal may get through
                engine = None
                self._log.say(f"signal {passed} could not be passed to container {self._name}: {error}")


def hold(sandbox: str) -> int:
    """Lock the sandbox's folder for as long as we, and the janitor, live: that says that the container has an owner."""
    lock = os.open(sandbox, os.O_RDONLY | os.O_DIRECTORY)
    deadline = time.monotonic() + LOCK_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
        except OSError as error:
            if time.monotonic() > deadline:
                raise Waits("the program's last container is still being removed") from error
            time.sleep(0.02)


def is_held(sandbox: str) -> bool:
    """Whether a runner or janitor that lives works there."""
    try:
        handle = os.open(sandbox, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except OSError:
        return True
    finally:
        os.close(handle)


def end_like(code: int, number: int) -> int:
    """The exit code, or an end by the signal, without a core of ours."""
    if number:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        try:
            signal.signal(number, signal.SIG_DFL)
        except (OSError, ValueError):
            pass  # SIGKILL has no other way
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
        os.kill(os.getpid(), number)
        return 128 + number  # a signal that ends nobody
    return code
