"""Volumes of containers: what the job's account opened is what is mounted, however quickly paths change meanwhile."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Optional

import pytest

from daqsched_executor.container.places import Places
from daqsched_executor.container.spec import ContainerSpec, Waits
from daqsched_executor.contract import Container, Payload
from daqsched_executor.machine.policy import Policy, parse
from exchange import exchanging, lay_out

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

#: How often the exchange is tried against us; without the pin, about one in three showed the secret.
ROUNDS = 200


@pytest.fixture
def farm() -> Iterator[Path]:
    """See `exchange.lay_out`."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as made:
        lay_out(Path(made))
        yield Path(made)


def order(folder: Path, *volumes: str, devices: tuple[str, ...] = ()) -> ContainerSpec:
    """Of a job that runs as nobody."""
    payload = Payload("t", "j", "h", ("x",), container=Container("i", volumes=volumes, devices=devices))
    return ContainerSpec(
        payload, str(folder), "F", {}, 65534, 65534, (65534,), os.open(os.devnull, os.O_WRONLY), -1, -1
    )


def mounts() -> str:
    return Path("/proc/self/mountinfo").read_text()


def test_an_exchanged_folder_or_file_shows_nothing_that_the_account_may_not_see(farm: Path) -> None:
    """It is what it was when it was opened, or it is refused; nothing is left of it afterwards."""
    shown = []
    asked = order(farm, f"{farm}/mine:/d", f"{farm}/file:/f:ro")
    with exchanging(farm / "mine", farm / "link"), exchanging(farm / "file", farm / "file-link"):
        for _ in range(ROUNDS):
            try:
                places = Places(asked, Policy(), 0)
            except Waits as error:
                assert "may not be read by uid 65534" in str(error)
                continue
            one, two = places.paths
            shown.append((Path(one, "word").read_text(), Path(two).read_text()))
            places.clear()
    assert set(shown) == {("public", "public")}
    assert str(farm) not in mounts() and not os.path.isdir(os.path.dirname(one))
    os.close(asked.talk)


def test_what_the_policy_allows_is_decided_by_where_it_really_is(farm: Path) -> None:
    """A link into a folder that is allowed is fine, and one that leads out of it is not."""
    policy = parse(f"volumes = {farm}/mine", "/p")
    (farm / "inside").symlink_to(farm / "mine")
    (farm / "mine" / "outside").symlink_to("/usr/share")
    Places(order(farm, f"{farm}/inside:/d"), policy, 0).clear()
    for source, real in ((farm / "mine" / "outside", "/usr/share"), (Path("/usr"), "/usr")):
        with pytest.raises(Waits, match=f"no container may have {real} for writing on this machine: /p allows"):
            Places(order(farm, f"{source}:/d"), policy, 0)
    assert str(farm) not in mounts()


@pytest.mark.parametrize(
    ("device", "policy", "words"),
    [
        ("/dev/null", None, ""),
        ("/dev/null", "devices = /dev/nul?", ""),
        ("/dev/null", "devices = /dev/zero", "no container may have /dev/null on this machine"),
        ("/dev/../etc/passwd", None, "is not a device file below /dev"),
        ("/dev/nosuch", None, "/dev/nosuch is missing"),
    ],
)
def test_devices_are_below_dev_and_allowed(farm: Path, device: str, policy: Optional[str], words: str) -> None:
    """By their own path, not by that of a link."""
    asked = order(farm, devices=(device,))
    try:
        made = Places(asked, parse(policy, "/p") if policy else Policy(), 0)
    except Waits as error:
        assert words and words in str(error)
    else:
        assert not words and made.devices == (device,)


def test_what_a_killed_runner_left_is_taken_away_by_the_next(farm: Path) -> None:
    """Its own at once."""
    asked = order(farm, f"{farm}/mine:/d")
    left = Places(asked, Policy(), 0)
    again = Places(asked, Policy(), 0)
    assert left.paths == again.paths and mounts().count(again.paths[0]) == 1
    again.clear()
    assert again.paths[0] not in mounts() and not os.path.isdir(os.path.dirname(again.paths[0]))
