"""What is beside Vagrant, with a stand-in for it: what can't be is refused before it is written down, and `down` ends well."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import IO, Any, Mapping, Optional

import pytest
from click.testing import CliRunner

from daqcluster.cli import main
from daqcluster.engine import Engine
from daqcluster.errors import ClusterError
from daqcluster.machines import farm as farms
from daqcluster.machines import image, network, parts, secrets
from daqcluster.machines.desired import EARLIER
from daqcluster.machines.farm import Farm

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="machines as containers need root")

#: What the docker provider needs, which `place` leaves out.
READY = Farm._docker

#: Notes how it is called; destroys what a hypervisor has, if it can.
VAGRANT = """#!/bin/bash
echo "$*" >>"{place}/called"
case $1 in
plugin) echo "{plugins}" ;;
destroy)
  [ "{can}" = yes ] || {{ echo "a sentence of Vagrant's" >&2; exit 1; }}
  shift 2
  for name; do rm -rf "{place}/vagrant/.vagrant/machines/$name"; done ;;
esac
"""

#: An engine whose containers were made with 2 GiB.
DOCKER = """#!/bin/bash
case "$*" in
*inspect*) shift 5; for ident; do echo "/${ident#id-} 2147483648"; done ;;
esac
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All of a farm is in here. Nothing is there of what costs minutes: what machines are made of, and an engine."""
    (tmp_path / "vagrant").mkdir()
    # its bridge and engine are named after it: those of the real checkout may be up meanwhile
    monkeypatch.setattr(farms, "CHECKOUT", tmp_path)
    monkeypatch.setattr(farms, "VAGRANT", tmp_path / "vagrant")
    monkeypatch.setattr(farms, "SETTING", tmp_path / "vagrant" / ".machines.json")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name in ("DAQCLUSTER_NETWORK", "VAGRANT_DEFAULT_PROVIDER", "VAGRANT_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(parts, "lacks", set)
    monkeypatch.setattr(parts, "make", lambda folder, say: {})
    monkeypatch.setattr(secrets, "make", lambda folder, control, address: None)
    monkeypatch.setattr(network, "let_through", lambda bridge: None)
    monkeypatch.setattr(Farm, "_docker", lambda self, setting, environ: None)
    commands = tmp_path / "bin"
    commands.mkdir()
    for name in ("docker", "dockerd", "debootstrap", "zstd", "ssh-keygen", "openssl", "ip", "iptables"):
        found = shutil.which(name)
        (commands / name).symlink_to(found or "/bin/true")
    for name in ("bash", "echo", "rm", "cat"):
        (commands / name).symlink_to(shutil.which(name) or "")
    monkeypatch.setenv("PATH", str(commands))
    vagrant(tmp_path)
    return tmp_path


def vagrant(place: Path, can: bool = True, plugins: str = "") -> None:
    """The stand-in."""
    file = place / "bin" / "vagrant"
    file.write_text(VAGRANT.format(place=place, can="yes" if can else "no", plugins=plugins))
    file.chmod(0o755)


def called(place: Path) -> list[str]:
    file = place / "called"
    return file.read_text().splitlines() if file.exists() else []


def machine(place: Path, name: str, provider: str = "docker") -> None:
    """One that Vagrant has made."""
    folder = place / "vagrant" / ".vagrant" / "machines" / name / provider
    folder.mkdir(parents=True)
    (folder / "id").write_text(f"id-{name}\n")


def prepared(environ: Mapping[str, str]) -> dict[str, Any]:
    return Farm(lambda sentence: None).prepare({"PATH": os.environ["PATH"], **environ})


def left(place: Path) -> list[str]:
    """Of all that is made for machines."""
    return sorted(
        str(path.relative_to(place))
        for top in ("state", "vagrant")
        for path in (place / top).rglob("*")
        if path.is_file()
    )


@pytest.mark.parametrize(
    "provider, plugins, why",
    [
        ("virtualbox", "", "VAGRANT_DEFAULT_PROVIDER=virtualbox needs VirtualBox, and there is no VBoxManage here"),
        ("libvirt", "No plugins installed.", "VAGRANT_DEFAULT_PROVIDER=libvirt needs Vagrant's plugin of that name"),
        ("libvirt", "vagrant-libvirt (0.11.2, system)", ""),
        ("docker", "", ""),
    ],
)
def test_a_provider_that_can_not_be_used_is_refused_before_anything_is_written(
    place: Path, provider: str, plugins: str, why: str
) -> None:
    """It was written down, and each later command, and the way down, failed of it."""
    vagrant(place, plugins=plugins)
    if why:
        with pytest.raises(ClusterError, match=why):
            prepared({"VAGRANT_DEFAULT_PROVIDER": provider})
        assert left(place) == []
    else:
        assert prepared({"VAGRANT_DEFAULT_PROVIDER": provider})["provider"] == provider


@pytest.mark.parametrize("made", [False, True])
def test_what_was_said_is_remembered_from_the_first_machine_on(
    place: Path, monkeypatch: pytest.MonkeyPatch, made: bool
) -> None:
    """A try that failed before has left nothing of what it was told: the next one failed of the same."""
    said = {"DAQCLUSTER_NODES": "3", "DAQCLUSTER_MIRROR": "file:/mirror", "DAQCLUSTER_NETWORK": "10.253.254.0/24"}
    prepared(said)
    if made:
        machine(place, "control")
    setting = prepared({})
    assert (setting["nodes"], setting["mirror"], setting["prefix"] == "10.253.254") == (
        (3, "file:/mirror", True) if made else (2, "", False)
    )
    # a try on machines that are there, and its failure, change nothing either
    with monkeypatch.context() as broken, pytest.raises(ClusterError):

        def fail(folder: Path, say: object) -> None:
            raise ClusterError("no")

        broken.setattr(parts, "make", fail)
        prepared({"DAQCLUSTER_NODES": "4"})
    assert prepared({})["nodes"] == setting["nodes"]


@pytest.mark.parametrize(
    "environ, why",
    [
        ({"DAQCLUSTER_NODES": "1"}, "hlt02 would be forgotten: scripts/vagrant destroy -f hlt02"),
        ({"DAQCLUSTER_CONTROL2": "1", "DAQCLUSTER_NODES": "3"}, "made without a second .* make vagrant-down first"),
        ({"DAQCLUSTER_NETWORK": "10.253.253.0/24"}, "the machines are in .*/24: make vagrant-down first"),
        ({"VAGRANT_DEFAULT_PROVIDER": "virtualbox"}, "control is a machine of docker's: make vagrant-down first"),
    ],
)
def test_what_machines_that_are_there_can_not_become_is_refused(place: Path, environ: dict[str, str], why: str) -> None:
    """And not remembered."""
    before = prepared({})
    for name in ("control", "hlt01", "hlt02"):
        machine(place, name)
    with pytest.raises(ClusterError, match=why):
        prepared(environ)
    assert json.loads((place / "vagrant" / ".machines.json").read_text()) == before == prepared({})


def test_a_network_that_this_computer_is_in_is_refused(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the route that is in the way; ours is none."""
    monkeypatch.setattr(network, "_routes", lambda: "10.253.0.0/16 dev eth7\n10.254.1.0/24 dev " + Farm(print).bridge)
    with pytest.raises(ClusterError, match=r"DAQCLUSTER_NETWORK=10.253.4.0/24 is in use .* a route to 10.253.0.0/16"):
        prepared({"DAQCLUSTER_NETWORK": "10.253.4.0/24"})
    assert left(place) == []
    assert prepared({"DAQCLUSTER_NETWORK": "10.254.1.0/24"})["prefix"] == "10.254.1"


def test_who_keeps_other_memory_is_told(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container keeps what it was made with."""
    (place / "bin" / "docker").unlink()
    (place / "bin" / "docker").write_text(DOCKER)
    (place / "bin" / "docker").chmod(0o755)
    monkeypatch.setattr("daqcluster.engine.SYSTEM_PATH", str(place / "bin"))
    said: list[str] = []
    farm = Farm(said.append)
    farm._tell_memory(4096)
    for name in ("hlt01", "control"):
        machine(place, name)
    farm._tell_memory(2048)
    assert said == []
    farm._tell_memory(4096)
    assert said == [
        f"{name} keeps its 2048 MiB until it is destroyed; for 4096: scripts/vagrant destroy -f {name}; make vagrant"
        for name in ("control", "hlt01")
    ]


@pytest.mark.parametrize("written", ["virtualbox", "docker", ""])
@pytest.mark.parametrize("virtual, can", [(False, False), (True, True), (True, False)])
def test_down_comes_to_its_end_whatever_vagrant_says(place: Path, written: str, virtual: bool, can: bool) -> None:
    """Engine, bridge and folder go; Vagrant is asked for machines of a hypervisor's alone. It ended with a trace of Python's,
    and the engine of an earlier try ran on."""
    vagrant(place, can)
    if written:
        prepared({})
        setting = place / "vagrant" / ".machines.json"
        setting.write_text(json.dumps({**json.loads(setting.read_text()), "provider": written}))
    farm = Farm(lambda sentence: None)
    (farm.folder / "engine" / "data").mkdir(parents=True)
    machine(place, "control")
    if virtual:
        machine(place, "hlt01", "virtualbox")
    done = CliRunner().invoke(main, ["machines", "down"])
    assert not (farm.folder / "engine").exists()
    assert called(place) == (["destroy -f hlt01"] if virtual else [])
    if virtual and not can:
        assert done.exit_code == 1 and "hlt01 could not be destroyed" in done.output, done.output
        assert "all else is down. Again: make vagrant-down" in done.output
        vagrant(place)  # it can, now
        done = CliRunner().invoke(main, ["machines", "down"])
    assert (done.exit_code, done.output) == (0, "down\n") and left(place) == []
    assert CliRunner().invoke(main, ["machines", "down"]).output == "nothing was up\n"


@pytest.mark.parametrize(
    "words, environ, status, why",
    [
        (["up"], {"DAQCLUSTER_NODES": "0"}, 2, "DAQCLUSTER_NODES='0': it has to be a number"),
        (["up", "--provider=virtualbox"], {}, 2, "not by --provider: VAGRANT_DEFAULT_PROVIDER"),
        (["up", "--provider", "virtualbox"], {}, 2, "not by --provider"),
        (["status"], {"DAQCLUSTER_NODES": "0"}, 1, "there are no machines: scripts/vagrant up, or make vagrant\n"),
    ],
)
def test_what_did_not_come_to_vagrant_has_a_status_of_its_own(
    place: Path, words: list[str], environ: dict[str, str], status: int, why: str
) -> None:
    """So `make vagrant` asks once more only where a machine has failed."""
    done = CliRunner().invoke(main, ["machines", "vagrant", *words], env=environ)
    assert done.exit_code == status and why in done.output and called(place) == []


@pytest.mark.parametrize("word", ["status", "destroy", "ssh", "halt"])
def test_after_a_try_that_was_broken_off_the_way_down_is_told(place: Path, word: str) -> None:
    """The Vagrantfile could not read what that had written down, and Ruby said so."""
    setting = place / "vagrant" / ".machines.json"
    setting.write_text(json.dumps({"provider": "docker", "nodes": 2, "control2": False}))
    done = CliRunner().invoke(main, ["machines", "vagrant", word])
    sentence = "Error: there are no machines: scripts/vagrant up, or make vagrant; make vagrant-down removes what a try has left\n"
    assert (done.exit_code, done.output, called(place)) == (1, sentence, [])


class FakeEngine(Engine):
    """Answers, and has a network of ours."""

    def __init__(self, folder: Path, subnet: str) -> None:
        super().__init__(folder, "fake")
        self.subnet = subnet
        self.done: list[tuple[str, ...]] = []

    def up_again(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)

    def command(self, *words: str, stdin: Optional[IO[bytes]] = None, limit_s: float = 1.0) -> str:
        if words[:2] == ("network", "ls"):
            return Farm(print).bridge
        if words[:2] == ("network", "inspect"):
            return self.subnet
        if words[0] == "network":
            self.done.append(words[:2])
        return ""


def ready(place: Path, setting: dict[str, Any], environ: Mapping[str, str], subnet: str) -> FakeEngine:
    """What the engine was asked for, before the image."""
    farm = Farm(lambda sentence: None)
    farm.engine = engine = FakeEngine(place / "engine", subnet)
    (farm.folder / "engine" / "data").mkdir(parents=True, exist_ok=True)  # as if it were there: nothing is mounted
    (farm.folder / "key").touch()
    READY(farm, setting, environ)
    return engine


@pytest.mark.parametrize("earlier", [True, False])
def test_a_mirror_that_was_said_earlier_is_told_as_that(
    place: Path, monkeypatch: pytest.MonkeyPatch, earlier: bool
) -> None:
    """Where it fails at last."""

    def fail(*words: object) -> str:
        raise ClusterError("a Debian for the machines can't be made: no")

    monkeypatch.setattr(image, "ready", fail)
    said = {"DAQCLUSTER_MIRROR": "file:/nowhere", "DAQCLUSTER_NETWORK": "10.253.254.0/24"}
    with pytest.raises(ClusterError) as caught:
        ready(place, prepared(said), {} if earlier else said, "10.253.254.0/24")
    assert str(caught.value).splitlines()[1:] == ([f"DAQCLUSTER_MIRROR=file:/nowhere {EARLIER}"] if earlier else [])


def test_the_network_of_a_try_without_machines_gives_way(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that another one can be named at the next."""
    monkeypatch.setattr(image, "ready", lambda *words: "image")
    setting = prepared({"DAQCLUSTER_NETWORK": "10.253.254.0/24"})
    assert ready(place, setting, {}, "10.253.254.0/24").done == []
    assert ready(place, setting, {}, "10.253.253.0/24").done == [("network", "rm"), ("network", "create")]
    machine(place, "control")
    with pytest.raises(ClusterError, match="the machines are in 10.253.253.0/24: make vagrant-down first"):
        ready(place, setting, {}, "10.253.253.0/24")


@pytest.mark.parametrize(
    "control, address, why",
    [
        ("ctl1", "10.0.0", "'10.0.0' is not an address such as 10.0.0.5"),
        ("ctl1", "", "'' is not an address"),
        ("ctl1", "ctl1", "'ctl1' is not an address"),
        ("ctl1", "10.0.0.5,DNS:other", "is not an address"),
        ("ctl1/O=x", "10.0.0.5", "'ctl1/O=x' is not a machine's name"),
        ("", "10.0.0.5", "'' is not a machine's name"),
        ("c" * 65, "10.0.0.5", "is not a machine's name, of 64 letters"),
    ],
)
def test_parts_for_a_machine_that_can_not_be_leave_nothing(place: Path, control: str, address: str, why: str) -> None:
    """openssl's errors were shown as they are, behind minutes of fetching."""
    folder = place / "new" / "parts"
    done = CliRunner().invoke(main, ["machines", "parts", str(folder), "--control", control, "--address", address])
    assert done.exit_code == 2 and why in done.output and not folder.parent.exists()


@pytest.mark.parametrize("there", [False, True])
def test_parts_that_fail_half_way_leave_what_was_there(
    place: Path, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    """A new folder goes; one that was there stays as it is."""

    def fail(folder: Path, control: str, address: str) -> None:
        raise ClusterError("openssl: no")

    monkeypatch.setattr(secrets, "make", fail)
    folder = place / "parts"
    if there:
        folder.mkdir()
        (folder / "mine").touch()
    done = CliRunner().invoke(main, ["machines", "parts", str(folder), "--control", "ctl1", "--address", "10.0.0.5"])
    assert (done.exit_code, done.output) == (1, "Error: openssl: no\n")
    assert (folder.exists(), (folder / "mine").exists()) == (there, there)
