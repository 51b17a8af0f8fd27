"""The machine's places that a container gets: opened as the job's account, and what was opened is what is mounted.

The engine is root and mounts whatever a path leads to at that moment, so a path that was looked at before proves nothing: its
owner can exchange a folder for a link in between. Here each volume is opened with the account's rights, once; what was opened is
looked at, bound to a place below `FOLDER`, where only root can reach, and that is the path that the engine is told. Once the
container runs (it has mounts of its own) or is not to be, the places are taken away.

All of that happens in the engine's mount namespace: its paths are meant, and the executor's may be another one (Mesos' isolator
filesystem/linux). An executor that is not root hands the paths on: its account may use the engine, and so is root there anyway.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Optional

from daqsched_executor.container.spec import ContainerSpec, Volume, Waits, volume_of
from daqsched_executor.machine.child import say
from daqsched_executor.machine.kernel import Kernel
from daqsched_executor.machine.policy import Policy, refuse
from daqsched_executor.machine.probe import Unreadable, sentence

FOLDER = "/run/daqsched-volumes"
#: What a killed runner left is cleared away by others after this: no start takes so long.
LEFT_S = 3600.0


class Places:
    """Those of one start. `paths` are for the engine, volume by volume; `clear` when they are not needed any more."""

    def __init__(self, order: ContainerSpec, policy: Policy, engine_pid: int, kernel: Optional[Kernel] = None) -> None:
        """Raises `Waits`. One thread only: that is what a change of namespace needs."""
        self._kernel = kernel or Kernel()
        self._folder = os.path.join(FOLDER, hashlib.sha256(order.sandbox.encode()).hexdigest()[:16])
        self._namespace = _namespace_of(engine_pid) if os.geteuid() == 0 else -1
        self.paths: tuple[str, ...] = ()
        self.devices: tuple[str, ...] = ()
        try:
            with self._there():
                self.devices = tuple(_device(order, path, policy) for path in order.container.devices)
                volumes = [volume_of(text) for text in order.container.volumes]
                if volumes and os.geteuid() == 0:
                    self._make_room()
                self.paths = tuple(self._place(order, n, volume, policy) for n, volume in enumerate(volumes))
        except Unreadable as error:
            self.clear()
            raise Waits(str(error)) from error
        except OSError as error:
            self.clear()
            raise Waits(f"the container's volumes cannot be prepared: {error}") from error

    @property
    def files(self) -> set[int]:
        """What a process needs to have open that is to `clear`."""
        return {self._namespace} if self._namespace >= 0 else set()

    def clear(self) -> None:
        """Take them away; safe to call twice."""
        if os.geteuid() == 0 and self._folder:
            with self._there():
                self._empty(self._folder)
            self._folder = ""

    def _place(self, order: ContainerSpec, number: int, volume: Volume, policy: Policy) -> str:
        say(order.talk, f"at {volume.source}")
        with _as_account(order):
            opened = _open(volume.source)
        try:
            # of what was opened, wherever that path leads now
            real = os.readlink(f"/proc/self/fd/{opened}")
            refuse(policy.volume(real, "ro" not in volume.options))
            if os.geteuid() != 0:
                return volume.source
            place = os.path.join(self._folder, str(number))
            if stat.S_ISDIR(os.fstat(opened).st_mode):
                os.mkdir(place, 0o700)
            else:
                os.close(os.open(place, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o600))
            self._kernel.bind(f"/proc/self/fd/{opened}", place)
            return place
        finally:
            os.close(opened)

    def _make_room(self) -> None:
        os.makedirs(FOLDER, 0o700, exist_ok=True)
        status = os.lstat(FOLDER)
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != 0 or status.st_mode & 0o077:
            raise Unreadable(f"{FOLDER} is not a folder of root's alone: remove it, or chown root and chmod 700 it")
        for name in os.listdir(FOLDER):
            path = os.path.join(FOLDER, name)
            try:
                if path == self._folder or time.time() - os.lstat(path).st_mtime > LEFT_S:
                    self._empty(path)
            except OSError:  # somebody else clears it away
                continue
        os.mkdir(self._folder, 0o700)

    def _empty(self, folder: str) -> None:
        try:
            names = os.listdir(folder)
        except FileNotFoundError:
            return
        for name in names:
            path = os.path.join(folder, name)
            while self._kernel.unbind(path):  # more than once, where it was bound more than once
                pass
            if stat.S_ISDIR(os.lstat(path).st_mode):
                os.rmdir(path)
            else:
                os.unlink(path)
        os.rmdir(folder)

    @contextmanager
    def _there(self) -> Iterator[None]:
        """In the engine's mount namespace."""
        if self._namespace < 0:
            yield
            return
        own = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._kernel.enter_mounts(self._namespace)
            try:
                yield
            finally:
                self._kernel.enter_mounts(own)
        finally:
            os.close(own)


def _namespace_of(pid: int) -> int:
    """An open file of the mount namespace, -1 where it is our own, or can't be told."""
    if not pid:
        return -1
    try:
        file = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1
    if os.path.sameopenfile(file, os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)):
        os.close(file)
        return -1
    return file


def _device(order: ContainerSpec, path: str, policy: Policy) -> str:
    """The device file itself, wherever links lead to it. It is not opened: for some that means something."""
    say(order.talk, f"at {path}")
    with _as_account(order):
        try:
            os.stat(path)
        except OSError as error:
            raise Unreadable(sentence(path, error)) from error
        real = os.path.realpath(path)
    if not real.startswith("/dev/"):
        raise Unreadable(f"{path} leads to {real}, which is not a device file below /dev")
    refuse(policy.device(real))
    return real


def _open(path: str) -> int:
    """The file or folder, open as a place only (O_PATH); raises `Unreadable` unless it can be read, too."""
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            # read as well: cvmfs answers a look from its catalogue while the content can't be fetched
            file = os.open(f"/proc/self/fd/{opened}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                if stat.S_ISDIR(os.fstat(file).st_mode):
                    os.listdir(file)
            finally:
                os.close(file)
        except BaseException:
            os.close(opened)
            raise
    except OSError as error:
        raise Unreadable(sentence(path, error)) from error
    return opened


@contextmanager
def _as_account(order: ContainerSpec) -> Iterator[None]:
    """With the rights of the job's account."""
    own = os.geteuid(), os.getegid(), os.getgroups()
    if order.uid == own[0]:
        yield
        return
    os.setgroups(order.groups)
    os.setegid(order.gid)
    os.seteuid(order.uid)
    try:
        yield
    finally:
        os.seteuid(own[0])
        os.setegid(own[1])
        os.setgroups(own[2])
