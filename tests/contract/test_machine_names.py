"""What befalls a machine that is not there, or can't be reached: one sentence, and not what the engine says of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from daqcluster.cli import main
from daqcluster.machines import farm

#: As docker does: hlt01 runs, hlt02 has been halted, the second control machine was never made.
DOCKER = """#!/bin/sh
case "$*" in
*version*) exit $ENGINE ;;
*State.Running*hlt01) echo true ;;
*State.Running*hlt02) echo false ;;
*) echo "Error response from daemon: No such container: $*" >&2; exit 1 ;;
esac
"""


def setting(place: Path, provider: str = "docker") -> None:
    """Two control machines and two farm machines, as the last `vagrant up` wrote them down."""
    place.write_text(json.dumps({"provider": provider, "control2": True, "nodes": 2}))


@pytest.mark.parametrize("verb", ["cut", "mend", "hang", "answer"])
def test_a_machine_that_is_not_there_is_told_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    """With the names of those that are; whatever else is in the way has its sentence, too."""
    written = tmp_path / "machines.json"
    monkeypatch.setattr(farm, "SETTING", written)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    def said(name: str) -> str:
        done = CliRunner().invoke(main, ["machines", verb, name])
        assert done.exit_code == 1 and len(done.output.splitlines()) == 1, done.output
        return done.output.strip().removeprefix("Error: ")

    assert said("hlt01") == "there are no machines: scripts/vagrant up, or make vagrant"
    setting(written, "libvirt")
    assert said("hlt01") == "hlt01 is a machine of libvirt's: this is for those that are containers"
    setting(written)
    for name in ("hlt1", "hlt03", "", "hlt01 hlt02"):
        assert said(name) == f"there is no machine {name!r}: there are control, control2, hlt01, hlt02"
    away = "the machines' container engine does not answer: scripts/vagrant up starts it, and them"
    assert said("hlt01") == away
    engine = farm.Farm(print).engine
    engine.folder.mkdir(parents=True)
    engine.socket.touch()
    (tmp_path / "docker").write_text(f"#!/bin/sh\nENGINE=1\n{DOCKER}")
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setattr("daqcluster.engine.SYSTEM_PATH", str(tmp_path) + ":/usr/bin:/bin")
    assert said("hlt01") == away
    (tmp_path / "docker").write_text(f"#!/bin/sh\nENGINE=0\n{DOCKER}")
    for name in ("hlt02", "control2"):
        assert said(name) == f"{name} does not run: scripts/vagrant up {name}"
