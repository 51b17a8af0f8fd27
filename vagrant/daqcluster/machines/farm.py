"""Everything beside Vagrant, for one checkout: made by `prepare`, written down for the Vagrantfile, gone after `down`."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Mapping, NoReturn, Sequence

from daqcluster import cache
from daqcluster.engine import Engine
from daqcluster.errors import NOT_PREPARED, ClusterError
from daqcluster.machines import image, network, parts, possible, provider, secrets
from daqcluster.machines.desired import EARLIER, PREPARED, command_of, desired, names
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

#: Commands of Vagrant that change machines.
_CHANGING = (*PREPARED, "halt", "destroy", "suspend", "resume")
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
        word = command_of(words)
        if word in PREPARED:
            try:
                self._prepare_for(words, environ)
            except ClusterError as error:
                error.status = NOT_PREPARED
                raise
        elif word not in _OF_NO_MACHINE and not _is_whole(_read()):
            left = "; make vagrant-down removes what a try has left" if SETTING.exists() else ""
            raise ClusterError(f"there are no machines: scripts/vagrant up, or make vagrant{left}")
        if word not in _CHANGING:
            _become(words, environ)
        if word == "destroy":
            self._destroy(words, environ)
        with locked(self.folder, self.say) as lock:
            os.set_inheritable(lock.fileno(), True)  # held until it ends
            _become(words, environ)

    def _prepare_for(self, words: Sequence[str], environ: Mapping[str, str]) -> None:
        if any(word.partition("=")[0] == "--provider" for word in words):
            raise ClusterError(
                "not by --provider: VAGRANT_DEFAULT_PROVIDER says it to all that is made for the machines, too"
            )
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            # Ctrl-C ends it at once, as kill -9 would: the next call goes on with what is whole
            signal.signal(signal.SIGINT, signal.SIG_DFL)
        self.prepare(environ)

    def _destroy(self, words: Sequence[str], environ: Mapping[str, str]) -> NoReturn:
        """With the last machine goes all that was made for them: whoever destroys a farm wants to be rid of it."""
        there = _known()
        with locked(self.folder, self.say):
            vagrant = subprocess.Popen(["vagrant", *words], env=vagrant_environ(environ))
            while True:
                try:
                    status = vagrant.wait()
                    break
                except KeyboardInterrupt:
                    pass  # Vagrant was told as well, and ends in its own time
        if there and not _known():
            self.down()
            self.say("that was the last machine: nothing is left of them")
        sys.exit(status)

    def prepare(self, environ: Mapping[str, str]) -> dict[str, Any]:
        """All that `vagrant up` needs. What is there stays; gives what it wrote for the Vagrantfile."""
        with locked(self.folder, self.say):
            machines = _known()
            before = _read() if machines else {}  # what was said for machines that never came to be is forgotten
            setting = desired(environ, before, lambda: network.free(self.ident, self.bridge))
            setting.update(home=str(self.folder / "vagrant.d"), image=before.get("image", ""))
            self._check(setting["provider"])
            if machines:
                _refuse_others(setting, before, machines)
            else:
                provider.check(setting["provider"], environ)
                network.refuse_used(f"{setting['prefix']}.0/24", self.bridge)
            self.folder.mkdir(mode=0o700, exist_ok=True)
            if not machines:
                _write(setting)  # whoever takes down what is made below finds that there is something
            servers = parts.make(self.folder / "parts", self.say)
            secrets.make(self.folder / "secrets", "control", f"{setting['prefix']}.10")
            setting.update(parts=str(self.folder / "parts"), secrets=str(self.folder / "secrets"))
            if setting["provider"] == "docker":
                self._docker(setting, environ)
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
            why = self._destroy_virtual()
            if (self.folder / "engine").exists():
                self.engine.down()
            network.remove(self.bridge, _read().get("prefix", ""))
            if why:
                raise ClusterError(why)  # the rest is what Vagrant needs to take them down
            shutil.rmtree(self.folder, ignore_errors=True)
            shutil.rmtree(VAGRANT / ".vagrant", ignore_errors=True)
            SETTING.unlink(missing_ok=True)
            SETTING.with_suffix(".new").unlink(missing_ok=True)
        return there

    @staticmethod
    def _destroy_virtual() -> str:
        """Machines that are a hypervisor's are somebody else's to take down: Vagrant's. Why some are left; empty: none is."""
        virtual = {name: of for name, of in _known().items() if of != "docker"}
        if not virtual:
            return ""
        argv = ["vagrant", "destroy", "-f", *virtual]
        try:
            subprocess.run(argv, env=vagrant_environ(os.environ), timeout=DESTROY_S)
        except (OSError, subprocess.TimeoutExpired) as error:
            why = str(error)
        else:
            why = "Vagrant says above why"
        left = {name: of for name, of in virtual.items() if _known().get(name) == of}
        if not left:
            return ""
        return (
            f"{', '.join(left)} could not be destroyed ({why}); all else is down. Again: make vagrant-down; or remove what is "
            f"left with the tools of {', '.join(sorted(set(left.values())))}, then {VAGRANT / '.vagrant'}, and again"
        )

    def _check(self, provider: str) -> None:
        lacking = parts.lacks()
        needed = {**_ALL, **(_DOCKER if provider == "docker" else {})}
        lacking |= {package for name, package in needed.items() if not shutil.which(name)}
        if lacking:
            raise ClusterError(f"something is missing on this machine: apt-get install {' '.join(sorted(lacking))}")
        if provider == "docker" and os.geteuid() != 0:
            raise ClusterError("machines as containers need root, and this is another account: sudo make vagrant")

    def _docker(self, setting: dict[str, Any], environ: Mapping[str, str]) -> None:
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
            if shown.strip() != subnet:  # of a try that made no machine
                if _known():
                    raise ClusterError(f"the machines are in {shown.strip()}: make vagrant-down first")
                self.engine.command("network", "rm", self.bridge)
                networks.remove(self.bridge)
        if self.bridge not in networks:
            self.engine.command(
                "network", "create", "--subnet", subnet, "--gateway", f"{setting['prefix']}.1",
                "-o", f"com.docker.network.bridge.name={self.bridge}", self.bridge,
            )  # fmt: skip
        network.let_through(self.bridge)
        # those that are there keep what they were made of, and are provisioned with what is new
        if not setting["image"] or not all(_made(name) for name in names(setting)):
            try:
                setting["image"] = image.ready(
                    self.engine, self.folder / "parts", self.folder / "key.pub", setting["mirror"], self.say
                )
            except ClusterError as error:
                if setting["mirror"] and "DAQCLUSTER_MIRROR" not in environ:
                    raise ClusterError(f"{error}\nDAQCLUSTER_MIRROR={setting['mirror']} {EARLIER}") from error
                raise
        self._tell_memory(setting["memory"])
        setting.update(key=str(key), docker=self.engine.address, bridge=self.bridge, cache=str(cache.folder()))

    def _tell_memory(self, memory: int) -> None:
        """Which machines were made with another: a container keeps what it was made with."""
        idents = [ident for ident in map(_made, _known()) if ident]
        if not idents:
            return
        shown = self.engine.command("inspect", "-f", "{{.Name}} {{.HostConfig.Memory}}", *idents)
        for name, size in sorted(line.lstrip("/").split() for line in shown.splitlines()):
            if int(size) >> 20 != memory:
                self.say(
                    f"{name} keeps its {int(size) >> 20} MiB until it is destroyed; for {memory}: "
                    f"scripts/vagrant destroy -f {name}; make vagrant"
                )

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
    setting = _read()
    # the first tells the Vagrantfile that it was called from here; the last is the machines', whatever the shell says now
    ours_alone = {
        "DAQCLUSTER_VAGRANT": "1",
        "VAGRANT_CWD": str(VAGRANT),
        "VAGRANT_DEFAULT_PROVIDER": setting.get("provider", ""),
    }
    ours = {"VAGRANT_CHECKPOINT_DISABLE": "1", "VAGRANT_HOME": setting.get("home", "")}
    return {name: value for name, value in {**ours, **environ, **ours_alone}.items() if value}


def _refuse_others(setting: Mapping[str, Any], before: Mapping[str, Any], machines: Mapping[str, str]) -> None:
    """Raises `ClusterError` where the machines that there are would be forgotten, or could not be what is desired."""
    if machines and before and before["control2"] != setting["control2"]:
        made = "with" if before["control2"] else "without"
        raise ClusterError(
            f"DAQCLUSTER_CONTROL2={int(setting['control2'])}: the machines were made {made} a second control machine, and the "
            "farm's state is in the ZooKeeper of these: make vagrant-down first"
        )
    beyond = [name for name in machines if name not in names(setting)]
    if beyond:
        raise ClusterError(f"{', '.join(beyond)} would be forgotten: scripts/vagrant destroy -f {' '.join(beyond)}")
    for name, provider_of in machines.items():
        if provider_of != setting["provider"]:
            raise ClusterError(
                f"VAGRANT_DEFAULT_PROVIDER={setting['provider']}: {name} is a machine of {provider_of}'s: "
                "make vagrant-down first"
            )
    if before and before["prefix"] != setting["prefix"]:
        raise ClusterError(
            f"DAQCLUSTER_NETWORK={setting['prefix']}.0/24: the machines are in {before['prefix']}.0/24: "
            "make vagrant-down first"
        )


def _become(words: Sequence[str], environ: Mapping[str, str]) -> NoReturn:
    os.execvpe("vagrant", ["vagrant", *words], vagrant_environ(environ))


def _read() -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(SETTING.read_text())
    except (OSError, ValueError):
        return {}
    return found


def _is_whole(setting: Mapping[str, Any]) -> bool:
    """Whether the Vagrantfile can read it: not while, or after, a first `prepare` did not come to its end."""
    return "secrets" in setting and ("docker" in setting or setting["provider"] != "docker")


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


def _known() -> dict[str, str]:
    """Each machine that Vagrant has made, and its provider."""
    found = sorted((VAGRANT / ".vagrant" / "machines").glob("*/*/id"))
    return {path.parts[-3]: path.parts[-2] for path in found}


def _run(*argv: str) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise ClusterError(f"{argv[0]}: {done.stderr.strip()[-300:]}")
