"""A container engine of one's own: Debian's docker.io in one folder, with a small image, and gone without a trace.

It serves tests of jobs in containers. It has a socket, data and cgroups of its own, so it meets no other engine of the
machine; it makes no bridge and no firewall rule, so its containers have the machine's network or none.
"""

from __future__ import annotations

import io
import os
import secrets
import shutil
import signal
import subprocess
import tarfile
import time
from pathlib import Path
from typing import IO, Any, Optional

from daqcluster import containers, processes
from daqcluster.errors import ClusterError
from daqcluster.member import SYSTEM_PATH

#: An image of some 2 MB with busybox, and nothing else in it.
IMAGE = "daqcluster/busybox:1"

#: A start takes 0.2 s; this is for a machine that is busy.
START_S = 60.0
STOP_S = 20.0
COMMAND_S = 60.0
ANSWER_S = 20.0

_NEEDED = {"dockerd": "docker.io", "docker": "docker.io", "busybox": "busybox-static"}


class Engine:
    """One engine. `up` waits until it answers; `down` leaves nothing, also after `kill`.

    With an ``ident`` of its own, it is found again, and taken down, by a later process that says the same.
    """

    def __init__(self, folder: Path, ident: str = "") -> None:
        self.folder = folder.absolute()
        self.socket = self.folder / "docker.sock"
        self.pid = 0
        self._id = ident or secrets.token_hex(4)
        self._process: Optional[subprocess.Popen[bytes]] = None

    @property
    def address(self) -> str:
        """What clients are given."""
        return f"unix://{self.socket}"

    def up(self) -> Engine:
        """Start it, and give it `IMAGE`; again after `kill`. Raises `ClusterError`."""
        self._start()
        if not self.has_image(IMAGE):
            self._give_image()
        return self

    def up_again(self) -> None:
        """It answers afterwards; one that answers already is left alone. What a former one left, that died, is ended first:
        the next would take a dead containerd, by its pid, for one that it can use."""
        if self.answers():
            return
        processes.end(lambda: self._daemons() | self.pids(), 0.0, STOP_S)
        (self.folder / "exec" / "containerd" / "containerd.pid").unlink(missing_ok=True)
        self._start()

    def answers(self) -> bool:
        """Whether it is up, and well."""
        try:
            return self.socket.exists() and self._command("version", limit_s=ANSWER_S).returncode == 0
        except subprocess.TimeoutExpired:
            return False

    def _start(self) -> None:
        if os.geteuid() != 0:
            raise ClusterError("a container engine needs root, and this is another account: run it as root")
        lacking = sorted({package for name, package in _NEEDED.items() if not shutil.which(name, path=SYSTEM_PATH)})
        if lacking:
            raise ClusterError(f"something is missing on this machine: apt-get install {' '.join(lacking)}")
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "dockerd.pid").unlink(missing_ok=True)
        argv = ["dockerd", "--data-root", str(self.folder / "data"), "--exec-root", str(self.folder / "exec")]
        argv += ["-H", self.address, "--pidfile", str(self.folder / "dockerd.pid")]
        argv += ["--bridge=none", "--iptables=false", "--ip6tables=false", "--cgroup-parent", f"/{self._group}"]
        with open(self.folder / "dockerd.log", "ab") as log:
            self._process = subprocess.Popen(
                argv, env=self._environ(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self.pid = self._process.pid
        deadline = time.monotonic() + START_S
        while self._command("version").returncode != 0:
            if self._process.poll() is not None or time.monotonic() > deadline:
                log_text = (self.folder / "dockerd.log").read_text(errors="replace")
                raise ClusterError(f"the container engine does not start: {log_text[-600:]}")
            time.sleep(0.05)

    def kill(self) -> None:
        """kill -9 of the engine; its containers live on until `up` or `down`."""
        assert self._process is not None
        below = int((self.folder / "exec" / "containerd" / "containerd.pid").read_text())
        os.kill(self.pid, signal.SIGKILL)
        self._process.wait(STOP_S)
        # its containerd follows it; the next engine would take even a zombie, by its pid, for one that it can use
        processes.end(lambda: {below} & self._daemons(), STOP_S, 2 * STOP_S)
        (self.folder / "exec" / "containerd" / "containerd.pid").unlink(missing_ok=True)

    def freeze(self) -> None:
        """It answers nobody, until `thaw`."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on."""
        os.kill(self.pid, signal.SIGCONT)

    def runs(self, name: str) -> bool:
        """Whether it has a container of this name, which runs."""
        done = self._command("inspect", "-f", "{{.State.Running}}", name)
        return done.returncode == 0 and done.stdout.strip() == b"true"

    def names(self) -> list[str]:
        """The names of all its containers, whether they run or not."""
        done = self._command("ps", "-a", "--format", "{{.Names}}")
        if done.returncode != 0:
            raise ClusterError(f"the container engine does not list its containers: {done.stderr.decode()}")
        return done.stdout.decode().split()

    def pids(self) -> set[int]:
        """All processes in its containers."""
        return containers.pids(self._groups())

    def _groups(self) -> list[Path]:
        return list(containers.CGROUPS.glob(f"*/{self._group}"))

    def has_image(self, name: str) -> bool:
        """Whether it has an image of this name and tag."""
        return self._command("image", "inspect", name).returncode == 0

    def command(self, *words: str, stdin: Optional[IO[bytes]] = None, limit_s: float = COMMAND_S) -> str:
        """What ``docker WORDS`` prints; raises `ClusterError`."""
        done = self._command(*words, stdin=stdin, limit_s=limit_s)
        if done.returncode != 0:
            raise ClusterError(f"docker {' '.join(words)}: {done.stderr.decode()}")
        return done.stdout.decode()

    def down(self) -> None:
        """End it with all its containers, and remove what it has written and made."""
        processes.end(self.pids, 0.0, STOP_S)
        if self._process is not None and self._process.poll() is None:
            self.thaw()
            self._process.terminate()
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        processes.end(lambda: self._daemons() | self.pids(), 0.0, STOP_S)
        containers.unmount_below(self.folder)
        containers.remove_groups(self._groups())
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def _group(self) -> str:
        return f"daqcluster-engine-{self._id}"

    def _environ(self) -> dict[str, str]:
        # by this mark all that it starts is found: containerd, and a shim for each container
        return {"PATH": SYSTEM_PATH, "HOME": str(self.folder), processes.CLUSTER: self._group}

    def _daemons(self) -> set[int]:
        return processes.marked(self._group)

    def _command(
        self, *words: str, data: Optional[bytes] = None, stdin: Optional[IO[bytes]] = None, limit_s: float = COMMAND_S
    ) -> subprocess.CompletedProcess[bytes]:
        given: dict[str, Any] = {"stdin": stdin or subprocess.DEVNULL} if data is None else {"input": data}
        return subprocess.run(
            ["docker", "-H", self.address, *words], env=self._environ(), capture_output=True, timeout=limit_s, **given
        )

    def _give_image(self) -> None:
        busybox = shutil.which("busybox", path=SYSTEM_PATH)
        assert busybox is not None
        applets = subprocess.run([busybox, "--list"], capture_output=True, text=True, timeout=COMMAND_S).stdout.split()
        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode="w") as archive:
            for name in ("bin", "tmp"):
                folder = tarfile.TarInfo(name)
                folder.type, folder.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
                archive.addfile(folder)
            archive.add(busybox, "bin/busybox")
            for name in applets:
                if name != "busybox":
                    link = tarfile.TarInfo(f"bin/{name}")
                    link.type, link.linkname = tarfile.SYMTYPE, "busybox"
                    archive.addfile(link)
        done = self._command("import", "-c", "ENV PATH=/bin", "-", IMAGE, data=content.getvalue())
        if done.returncode != 0:
            raise ClusterError(f"the image {IMAGE} can't be made: {done.stderr.decode()}")
