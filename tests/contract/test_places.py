"""Volumes of containers: what the job's account opened is what is mounted, however quickly paths change meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Optional

import pytest

from daqcluster.engine import IMAGE, Engine
from daqsched_executor.container.order import Order, Waits
from daqsched_executor.container.places import Places
from daqsched_executor.contract import Container, Payload, Restart
from daqsched_executor.machine.policy import Policy, parse
from fake_agent import FakeAgent, Start
from waiting import until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

#: How often the exchange is tried against us; without the pin, about one in three showed the secret.
ROUNDS = 200

#: Swaps two names for ever (renameat2(2), RENAME_EXCHANGE = 2), and says that it has begun.
EXCHANGE = """
import ctypes, sys
libc, (one, other) = ctypes.CDLL(None), [name.encode() for name in sys.argv[1:]]
print("begun", flush=True)
while libc.renameat2(-100, one, -100, other, 2) == 0:
    pass
"""


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[Path]:
    """``mine``, a folder of nobody's with something in it, beside a link to root's secret; and files that are the like."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as made:
        folder = Path(made)
        closed = folder / "closed"
        for place, word in ((folder / "mine", "public"), (closed / "secret", "secret")):
            place.mkdir(parents=True)
            (place / "word").write_text(word)
        (folder / "file").write_text("public")
        (closed / "file").write_text("secret")
        closed.chmod(0o700)
        (folder / "link").symlink_to(closed / "secret")
        (folder / "file-link").symlink_to(closed / "file")
        for path in (folder, folder / "mine", folder / "file"):
            os.chown(path, 65534, 65534)
            path.chmod(0o755)
        yield folder


@contextmanager
def exchanging(one: Path, other: Path) -> Iterator[None]:
    """Meanwhile each of the two is now this, now that."""
    process = subprocess.Popen([sys.executable, "-S", "-c", EXCHANGE, str(one), str(other)], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None and process.stdout.readline() == b"begun\n"
        yield
        assert process.poll() is None, "it goes on"
    finally:
        process.kill()
        process.communicate()


def order(folder: Path, *volumes: str, devices: tuple[str, ...] = ()) -> Order:
    """Of a job that runs as nobody."""
    payload = Payload("t", "j", "h", ("x",), container=Container("i", volumes=volumes, devices=devices))
    return Order(payload, str(folder), "F", {}, 65534, 65534, (65534,), os.open(os.devnull, os.O_WRONLY), -1, -1)


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
        ("/dev/../etc/passwd", None, "is no device file below /dev"),
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


def test_a_container_never_sees_what_is_closed_to_its_account(
    agent: FakeAgent, start: Start, farm: Path, tmp_path: Path
) -> None:
    """The real engine, a job that is started again and again, and an account that exchanges its folder meanwhile."""
    engine = Engine(tmp_path / "e")
    try:
        engine.up()
        job = Container(IMAGE, volumes=(f"{farm}/mine:/d:ro",), engine=engine.address)
        with exchanging(farm / "mine", farm / "link"):
            executor = start(
                "/bin/cat", "/d/word", container=job, user="nobody", restart=Restart(delay_s=0.0, cap_s=0.0)
            )
            out = executor.sandbox / "stdout"
            until(lambda: out.read_text().count("public") >= 4, "it has looked four times", 60.0)
        assert "secret" not in out.read_text() and "secret" not in (executor.sandbox / "stderr").read_text()
        agent.kill("readout@hlt01.1")
        agent.wait_update("TASK_KILLED", limit_s=60.0)
        assert executor.leave() == 0
        until(lambda: str(farm) not in mounts(), "nothing is left of its places")
    finally:
        engine.down()
