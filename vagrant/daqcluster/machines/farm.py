"""Everything beside Vagrant, for one checkout: made by `prepare`, written down for the Vagrantfile, gone after `down`."""

from __future__ import annotations

import fcntl
import hashlib
import ipaddress
import json
import os
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator, Mapping

from daqcluster import cache
from daqcluster.engine import Engine
from daqcluster.errors import ClusterError
from daqcluster.machines import image, network, parts, secrets
from daqcluster.machines.parts import CHECKOUT
from daqcluster.progress import Say

VAGRANT = CHECKOUT / "vagrant"

#: Where `prepare` writes what the Vagrantfile reads; beside it, because Vagrant begins there.
SETTING = VAGRANT / ".machines.json"

#: The variables that say what is wanted, and what holds without them. docs/operate/vagrant.md has them in a table.
DEFAULTS = {
    "DAQCLUSTER_NODES": "2",
    "DAQCLUSTER_CONTROL2": "",
    "DAQCLUSTER_MEMORY": "2048",
    "DAQCLUSTER_NETWORK": "",
    "DAQCLUSTER_BOX": "generic/debian12",
    "DAQCLUSTER_MIRROR": "",
    "VAGRANT_DEFAULT_PROVIDER": "docker",
}

_DOCKER = {
    "docker": "docker.io",
    "dockerd": "docker.io",
    "debootstrap": "debootstrap",
    "zstd": "zstd",
    "ssh-keygen": "openssh-client",
}
_ALL = {"vagrant": "vagrant", "openssl": "openssl", "ip": "iproute2"}

DESTROY_S = 600.0


class Farm:
    """The machines of this checkout."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self.ident = hashlib.sha256(str(CHECKOUT).encode()).hexdigest()[:8]
        state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
        self.folder = Path(state) / "daqcluster" / f"machines-{self.ident}"
        self.bridge = f"daq-{self.ident}"
        self._engine = Engine(self.folder / "engine", f"machines-{self.ident}")

    def prepare(self, environ: Mapping[str, str]) -> dict[str, Any]:
        """All that `vagrant up` needs. What is there stays; gives what it wrote for the Vagrantfile."""
        with self._locked():
            setting = self._wanted(environ)
            self._check(setting["provider"])
            servers = parts.make(self.folder / "parts", self._say)
            secrets.make(self.folder / "secrets", "control", f"{setting['prefix']}.10")
            setting.update(parts=str(self.folder / "parts"), secrets=str(self.folder / "secrets"))
            if setting["provider"] == "docker":
                SETTING.write_text(json.dumps(setting))  # for `down`, from here on
                self._docker(setting)
            else:
                parts.copy_servers(self.folder / "parts", servers)
            SETTING.write_text(json.dumps(setting, indent=2) + "\n")
            return setting

    def down(self) -> bool:
        """Nothing of it is left, whatever was interrupted; whether there was something."""
        there = self.folder.exists() or SETTING.exists()
        with self._locked():
            provider = _read().get("provider", "docker")
            if provider != "docker" and (VAGRANT / ".vagrant").exists():
                # these are somebody else's to take down: a hypervisor's
                subprocess.run(["vagrant", "destroy", "-f"], cwd=VAGRANT, timeout=DESTROY_S, check=True)
            if (self.folder / "engine").exists():
                self._engine.down()
            network.remove(self.bridge)
            shutil.rmtree(self.folder, ignore_errors=True)
            shutil.rmtree(VAGRANT / ".vagrant", ignore_errors=True)
            SETTING.unlink(missing_ok=True)
        self.lock.unlink(missing_ok=True)
        return there

    def _wanted(self, environ: Mapping[str, str]) -> dict[str, Any]:
        """What the environment says, else what was said before, else the defaults."""
        before = _read()
        values = {
            name: environ.get(name) or before.get("wanted", {}).get(name) or value for name, value in DEFAULTS.items()
        }
        if not values["DAQCLUSTER_NETWORK"]:
            values["DAQCLUSTER_NETWORK"] = network.free(self.ident)
        try:
            nodes, memory = int(values["DAQCLUSTER_NODES"]), int(values["DAQCLUSTER_MEMORY"])
        except ValueError:
            raise ClusterError(
                "DAQCLUSTER_NODES and DAQCLUSTER_MEMORY are numbers: of farm machines, and of MiB for each"
            ) from None
        try:
            net = ipaddress.IPv4Network(values["DAQCLUSTER_NETWORK"])
            fits = net.prefixlen == 24
        except ValueError:
            fits = False
        if not fits:
            raise ClusterError(
                f"DAQCLUSTER_NETWORK={values['DAQCLUSTER_NETWORK']!r} is no network such as 172.30.8.0/24"
            )
        if not 1 <= nodes <= 50:
            raise ClusterError(f"DAQCLUSTER_NODES={nodes}: from 1 to 50")
        if (
            nodes < before.get("nodes", 0)
            and (VAGRANT / ".vagrant" / "machines" / f"hlt{before['nodes']:02d}").exists()
        ):
            raise ClusterError(f"hlt{before['nodes']:02d} is there: vagrant destroy it first, or make vagrant-down")
        return {
            "wanted": values,
            "provider": values["VAGRANT_DEFAULT_PROVIDER"],
            "nodes": nodes,
            "control2": values["DAQCLUSTER_CONTROL2"] not in ("", "0", "no"),
            "memory": memory,
            "prefix": str(net.network_address).rpartition(".")[0],
            "box": values["DAQCLUSTER_BOX"],
            "mirror": values["DAQCLUSTER_MIRROR"],
            "home": str(self.folder / "vagrant.d"),
        }

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
        self._engine.up_again()
        if self.bridge not in self._engine.command("network", "ls", "--format", "{{.Name}}").split():
            prefix = setting["prefix"]
            self._engine.command(
                "network", "create", "--subnet", f"{prefix}.0/24", "--gateway", f"{prefix}.1",
                "-o", f"com.docker.network.bridge.name={self.bridge}", self.bridge,
            )  # fmt: skip
        network.let_through(self.bridge)
        setting["image"] = image.ready(
            self._engine, self.folder / "parts", self.folder / "key.pub", setting["mirror"], self._say
        )
        setting.update(key=str(key), docker=self._engine.address, bridge=self.bridge, cache=str(cache.folder()))

    @property
    def lock(self) -> Path:
        """Held by whoever changes something here."""
        return self.folder.parent / f".{self.folder.name}.lock"

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        self.folder.mkdir(mode=0o700, exist_ok=True)
        with open(self.lock, "w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._say("waiting for another process that is at work on these machines")
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _read() -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(SETTING.read_text())
    except (OSError, ValueError):
        return {}
    return found


def _run(*argv: str) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise ClusterError(f"{argv[0]}: {done.stderr.strip()[-300:]}")
