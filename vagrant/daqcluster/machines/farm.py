"""Everything beside Vagrant, for one checkout: made by `prepare`, written down for the Vagrantfile, gone after `down`."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Mapping, NoReturn, Sequence

from daqcluster import cache
from daqcluster.engine import Engine
from daqcluster.errors import ClusterError
from daqcluster.machines import image, network, parts, possible, secrets
from daqcluster.machines.desired import desired, names
from daqcluster.machines.parts import CHECKOUT
from daqcluster.progress import Say
from daqcluster.record import locked

VAGRANT = CHECKOUT / "vagrant"

#: Where `prepare` writes what the Vagrantfile reads; beside it, because Vagrant begins there.
SETTING = VAGRANT / ".machines.json"

_DOCKER = {
    "docker": "docker.io",
    "dockerd": "docker.io",
    "debootstrap": "debootstrap",
    "zstd": "zstd",
    "ssh-keygen": "openssh-client",
}
_ALL = {"vagrant": "vagrant", "openssl": "openssl", "ip": "iproute2"}

#: Commands of Vagrant before which all is made, and those that change machines.
_PREPARED = ("up", "reload", "provision")
_CHANGING = (*_PREPARED, "halt", "destroy", "suspend", "resume")
#: Those that ask nothing of any machine.
_OF_NO_MACHINE = ("", "box", "global-status", "help", "list-commands", "plugin", "version")

DESTROY_S = 600.0

#: So much memory must be free before an engine's data (some 1.5 GB) are put there.
PLENTY_KB = 10_000_000


class Farm:
    """The machines of this checkout."""

    def __init__(self, say: Say) -> None:
        self.say = say
        self.ident = hashlib.sha256(str(CHECKOUT).encode()).hexdigest()[:8]
        state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
        self.folder = Path(state) / "daqcluster" / f"machines-{self.ident}"
        self.bridge = f"daq-{self.ident}"
        self.engine = Engine(self.folder / "engine", f"machines-{self.ident}")

    def vagrant(self, words: Sequence[str], environ: Mapping[str, str]) -> NoReturn:
        """Become Vagrant, with what it needs; one at a time where it changes something."""
        word = next((word for word in words if not word.startswith("-")), "")
        if word in _PREPARED:
            self.prepare(environ)
        elif word not in _OF_NO_MACHINE and not SETTING.exists():
            raise ClusterError("there are no machines: scripts/vagrant up, or make vagrant")
        if word not in _CHANGING:
            _become(words, environ)
        if word == "destroy":
            self._destroy(words, environ)
        with locked(self.folder, self.say) as lock:
            os.set_inheritable(lock.fileno(), True)  # held until it ends
            _become(words, environ)

    def _destroy(self, words: Sequence[str], environ: Mapping[str, str]) -> NoReturn:
        """With the last machine goes all that was made for them: whoever destroys a farm wants to be rid of it."""
        there = _any_made()
        with locked(self.folder, self.say):
            vagrant = subprocess.Popen(["vagrant", *words], env=vagrant_environ(environ))
            while True:
                try:
                    status = vagrant.wait()
                    break
                except KeyboardInterrupt:
                    pass  # Vagrant was told as well, and ends in its own time
        if there and not _any_made():
            self.down()
            self.say("that was the last machine: nothing is left of them")
        sys.exit(status)

    def prepare(self, environ: Mapping[str, str]) -> dict[str, Any]:
        """All that `vagrant up` needs. What is there stays; gives what it wrote for the Vagrantfile."""
        with locked(self.folder, self.say):
            self.folder.mkdir(mode=0o700, exist_ok=True)
            before = _read()
            setting = desired(environ, before, lambda: network.free(self.ident))
            beyond = [name for name in names(before) if name not in names(setting) and _made(name)] if before else []
            if beyond:
                raise ClusterError(
                    f"{', '.join(beyond)} would be forgotten: scripts/vagrant destroy -f {' '.join(beyond)}"
                )
            setting.update(home=str(self.folder / "vagrant.d"), image=before.get("image", ""))
            _write(setting)  # who is interrupted below finds the same network again
            self._check(setting["provider"])
            servers = parts.make(self.folder / "parts", self.say)
            secrets.make(self.folder / "secrets", "control", f"{setting['prefix']}.10")
            setting.update(parts=str(self.folder / "parts"), secrets=str(self.folder / "secrets"))
            if setting["provider"] == "docker":
                self._docker(setting)
            else:
                parts.copy_servers(self.folder / "parts", servers)
            _write(setting)
            return setting

    def running(self, name: str) -> Engine:
        """The engine, for what befalls this machine. Raises `ClusterError` where that is none of ours, or does not run."""
        setting = _read()
        if not setting:
            raise ClusterError("there are no machines: scripts/vagrant up, or make vagrant")
        if name not in names(setting):
            raise ClusterError(f"there is no machine {name!r}: there are {', '.join(names(setting))}")
        if setting["provider"] != "docker":
            raise ClusterError(f"{name} is a machine of {setting['provider']}'s: this is for those that are containers")
        if not self.engine.answers():
            raise ClusterError("the machines' container engine does not answer: scripts/vagrant up starts it, and them")
        if not self.engine.runs(name):
            raise ClusterError(f"{name} does not run: scripts/vagrant up {name}")
        return self.engine

    def possible(self) -> None:
        """Raises `ClusterError` where this computer can't have machines that are containers: tried, not guessed."""
        self._check("docker")
        possible.attempt(self.folder.parent / f"try-{self.ident}")

    def down(self) -> bool:
        """Nothing of it is left, whatever was interrupted; whether there was something."""
        there = self.folder.exists() or SETTING.exists()
        with locked(self.folder, self.say):
            provider = _read().get("provider", "docker")
            if provider != "docker" and (VAGRANT / ".vagrant").exists():
                # these are somebody else's to take down: a hypervisor's
                argv = ["vagrant", "destroy", "-f"]
                subprocess.run(argv, env=vagrant_environ(os.environ), timeout=DESTROY_S, check=True)
            if (self.folder / "engine").exists():
                self.engine.down()
            network.remove(self.bridge, _read().get("prefix", ""))
            shutil.rmtree(self.folder, ignore_errors=True)
            shutil.rmtree(VAGRANT / ".vagrant", ignore_errors=True)
            SETTING.unlink(missing_ok=True)
            SETTING.with_suffix(".new").unlink(missing_ok=True)
        return there

    def _check(self, provider: str) -> None:
        lacking = parts.lacks()
        needed = {**_ALL, **(_DOCKER if provider == "docker" else {})}
        lacking |= {package for name, package in needed.items() if not shutil.which(name)}
        if lacking:
            raise ClusterError(f"something is missing on this machine: apt-get install {' '.join(sorted(lacking))}")
        if provider == "docker" and os.geteuid() != 0:
            raise ClusterError("machines as containers need root, and this is another account: sudo make vagrant")

    def _docker(self, setting: dict[str, Any]) -> None:
        key = self.folder / "key"
        if not key.exists():
            _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "vagrant", "-f", str(key))
        self._in_memory(self.folder / "engine" / "data")
        self.engine.up_again()
        self._forget_halves()
        subnet = f"{setting['prefix']}.0/24"
        networks = self.engine.command("network", "ls", "--format", "{{.Name}}").split()
        if self.bridge in networks:
            shown = self.engine.command("network", "inspect", "-f", "{{(index .IPAM.Config 0).Subnet}}", self.bridge)
            if shown.strip() != subnet:
                raise ClusterError(f"the machines are in {shown.strip()}: make vagrant-down first")
        else:
            self.engine.command(
                "network", "create", "--subnet", subnet, "--gateway", f"{setting['prefix']}.1",
                "-o", f"com.docker.network.bridge.name={self.bridge}", self.bridge,
            )  # fmt: skip
        network.let_through(self.bridge)
        # those that are there keep what they were made of, and are provisioned with what is new
        if not setting["image"] or not all(_made(name) for name in names(setting)):
            setting["image"] = image.ready(
                self.engine, self.folder / "parts", self.folder / "key.pub", setting["mirror"], self.say
            )
        setting.update(key=str(key), docker=self.engine.address, bridge=self.bridge, cache=str(cache.folder()))

    def _in_memory(self, place: Path) -> None:
        """Where there is plenty, what the engine keeps is in memory: faster by half, and gone in a moment."""
        if place.exists():
            return
        available = re.search(r"^MemAvailable: +(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
        place.mkdir(parents=True)
        if available is not None and int(available.group(1)) > PLENTY_KB:
            _run("mount", "-t", "tmpfs", "-o", "size=50%,mode=710", "daqcluster", str(place))

    def _forget_halves(self) -> None:
        """Containers of which Vagrant knows nothing: it was killed before it wrote them down."""
        for line in self.engine.command("ps", "-a", "--no-trunc", "--format", "{{.ID}} {{.Names}}").splitlines():
            ident, name = line.split()
            if _made(name) != ident:
                self.engine.command("rm", "-f", ident)


def vagrant_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """Vagrant's, wherever it is called: it finds our Vagrantfile, and files that its user names from where he is."""
    ours = {"VAGRANT_CHECKPOINT_DISABLE": "1", "VAGRANT_HOME": _read().get("home", "")}
    # the second tells the Vagrantfile that it was called from here
    ours_alone = {"VAGRANT_CWD": str(VAGRANT), "DAQCLUSTER_VAGRANT": "1"}
    return {name: value for name, value in {**ours, **environ, **ours_alone}.items() if value}


def _become(words: Sequence[str], environ: Mapping[str, str]) -> NoReturn:
    os.execvpe("vagrant", ["vagrant", *words], vagrant_environ(environ))


def _read() -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(SETTING.read_text())
    except (OSError, ValueError):
        return {}
    return found


def _write(setting: Mapping[str, Any]) -> None:
    new = SETTING.with_suffix(".new")
    new.write_text(json.dumps(setting, indent=2) + "\n")
    new.rename(SETTING)


def _made(name: str) -> str:
    """What Vagrant wrote down of a machine as a container; empty where it has none."""
    try:
        return (VAGRANT / ".vagrant" / "machines" / name / "docker" / "id").read_text().strip()
    except OSError:
        return ""


def _any_made() -> bool:
    """Whether Vagrant knows of a machine, of whatever provider."""
    return any((VAGRANT / ".vagrant" / "machines").glob("*/*/id"))


def _run(*argv: str) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise ClusterError(f"{argv[0]}: {done.stderr.strip()[-300:]}")
