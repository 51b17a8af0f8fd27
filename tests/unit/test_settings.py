"""Where the socket is, for the daemon and for commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from daqsched.settings import UNIT_SOCKET, socket_path, where_to_ask

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
