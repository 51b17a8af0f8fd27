"""Where the socket is, for the daemon and for commands."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from daqsched.settings import UNIT_SOCKET, is_folder, socket_path, state, state_dir, where_to_ask

ROOT = Path(__file__).resolve().parents[2]


def test_the_units_socket_is_where_the_unit_and_the_login_shells_have_it() -> None:
    """One place, in four files."""
    files = (
        "framework/systemd/daqsched-serve.service",
        "release/packages/daqsched.profile",
        "vagrant/provision/control.sh",
    )
    for name in files:
        assert f"DAQSCHED_SOCKET={UNIT_SOCKET}" in (ROOT / name).read_text(), name


@pytest.mark.parametrize(
    "said, there, unit_is_asked",
    [
        ({}, ["unit"], True), ({}, ["own", "unit"], False), ({}, ["own"], False), ({}, [], False),
        ({"DAQSCHED_SOCKET": "/own/daqsched.sock"}, ["unit"], False), ({"DAQSCHED_STATE": "/own"}, ["unit"], False),
    ],
)  # fmt: skip
def test_a_command_asks_the_units_daemon_where_nothing_names_another(
    said: dict[str, str], there: list[str], unit_is_asked: bool
) -> None:
    """What a variable says, or what is there, counts; `sudo` takes variables away."""
    environ = {"XDG_STATE_HOME": "/home/own", **said}
    own = socket_path(environ)
    exists = {"own": own, "unit": UNIT_SOCKET}
    asked = where_to_ask(environ, lambda place: place in [exists[name] for name in there])
    assert asked == (UNIT_SOCKET if unit_is_asked else own)


def of_unit(name: str) -> dict[str, str]:
    """The environment that a unit of ours gives."""
    text = (ROOT / "framework" / "systemd" / f"daqsched-{name}.service").read_text()
    return dict(re.findall(r"(?<=[= ])([A-Z_]+)=(\S+)", "\n".join(re.findall(r"^Environment=.*$", text, re.MULTILINE))))


@pytest.mark.parametrize("home", ["/var/lib/daqsched", "/nonexistent", "/home/daqsched"])
@pytest.mark.parametrize(
    "settings", [{}, {"DAQSCHED_STATE": "/srv/state"}, {"DAQSCHED_STATE": "zk://zk1:2181,zk2:2181/daqsched"}]
)
def test_the_audit_file_of_the_unit_is_where_its_copier_and_root_look(
    settings: dict[str, str], home: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the state is in ZooKeeper, whatever the account's home is; of another folder both are told."""
    account = {"HOME": home}
    copier = {**account, **of_unit("audit-copy")}
    serve = {**account, **of_unit("serve"), **settings}
    monkeypatch.setenv("HOME", home)
    monkeypatch.setattr(os, "geteuid", lambda: 990)
    folder = Path(state(serve)) if is_folder(state(serve)) else state_dir(serve)
    if settings.get("DAQSCHED_STATE") == "/srv/state":
        assert folder == Path("/srv/state") == state_dir({**copier, **settings})
        return
    assert folder == state_dir(copier)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert folder == state_dir({"HOME": "/root"})
