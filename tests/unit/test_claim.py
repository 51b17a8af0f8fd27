"""When an executor looks through all processes of its machine for what its predecessor left, and when it need not."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from daqsched_executor.contract import Container, Payload
from daqsched_executor.life.events import Claimed, Occupied
from daqsched_executor.machine.claim import InstanceClaim
from daqsched_executor.machine.kernel import Kernel, ProcessEntry
from waiting import until


class Counting(Kernel):
    """Counts the processes that it is asked about."""

    looked = 0

    def environ(self, pid: int, most: int = 0) -> bytes:
        """Nobody's has anything of ours."""
        self.looked += 1
        return b""


def claimed(spool: Path, job: str = "readout", container: bool = False, leave: bool = True) -> int:
    """An executor takes the instance, and leaves in order or not: how many processes it looked at."""
    kernel = Counting()
    claim = InstanceClaim(kernel, str(spool), "key")
    box = Container("busybox") if container else None
    taken = claim.take(Payload(f"{job}@host.1", job, "host", ("/bin/true",), container=box), "now")
    assert isinstance(taken, Claimed)
    if leave:
        claim.left("later")
    os.close(claim._lock)
    return kernel.looked


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    made = tmp_path / "spool"
    assert claimed(made) > 0, "a spool that is new says nothing of those before"
    return made


def test_who_is_the_first_of_its_instance_looks_at_nobody(spool: Path) -> None:
    """A hundred that start together would each look at the processes of all."""
    assert [claimed(spool, f"j{number}", leave=False) for number in range(20)] == [0] * 20


def test_after_one_that_left_in_order_nobody_is_looked_at(spool: Path) -> None:
    """Restarts of a whole machine, too."""
    assert claimed(spool) == 0 and claimed(spool) == 0


def test_after_one_that_was_killed_all_are_looked_at(spool: Path) -> None:
    """Also when the one after it was killed, too; the next one has its word again."""
    claimed(spool, leave=False)
    assert claimed(spool, leave=False) > 0
    assert claimed(spool) > 0
    assert claimed(spool) == 0


def test_a_lock_that_nobody_signed_says_nothing(spool: Path) -> None:
    """Its holder may have met a full disk, and run its program all the same."""
    (spool / "locks" / "other@host").touch(0o600)
    assert claimed(spool, "other") > 0


def test_what_is_in_a_container_is_always_looked_for(spool: Path) -> None:
    """The engine is above it, and no executor: nothing below one does not mean that nothing is left."""
    assert claimed(spool, "boxed", container=True) > 0 and claimed(spool, "boxed", container=True) > 0


class Undying(Kernel):
    """SIGKILL ends nobody, as of a program that hangs in the kernel."""

    def signal_process(self, entry: ProcessEntry, number: int) -> bool:
        return True


@pytest.fixture
def left_over(spool: Path) -> Iterator[Payload]:
    """A program of an executor that is not there any more."""
    payload = Payload("readout@host.1", "readout", "host", ("/bin/true",))
    words = {
        "DAQSCHED_INSTANCE": payload.instance,
        "DAQSCHED_TASK_ID": payload.task_id,
        "DAQSCHED_KEY": "key-a",
        "DAQSCHED_SPOOL": str(spool),
    }
    program = subprocess.Popen(["/bin/sleep", "100"], env=words)
    until(lambda: b"DAQSCHED_KEY" in Path(f"/proc/{program.pid}/environ").read_bytes(), "it runs")
    yield payload
    program.kill()
    program.wait()


def test_who_leaves_without_having_been_let_in_says_nothing_to_the_next_one(spool: Path, left_over: Payload) -> None:
    """A stop while it waits for the end of a program that does not end."""
    first = InstanceClaim(Kernel(), str(spool), "key-a")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("daqsched_executor.machine.claim.remains", lambda *words: ([], []))
        assert isinstance(first.take(left_over, "now"), Claimed)
    os.close(first._lock)
    for number in (2, 3):
        claim = InstanceClaim(Undying(), str(spool), f"key-{number}")
        payload = replace(left_over, task_id=f"readout@host.{number}")
        assert isinstance(claim.take(payload, "now"), Occupied)
        claim.left("later")
        os.close(claim._lock)


@pytest.mark.parametrize("before", [False, True])
def test_after_one_that_took_no_lock_all_are_looked_at(spool: Path, left_over: Payload, before: bool) -> None:
    """It said nothing, nor does what an earlier one said still hold."""
    if before:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("daqsched_executor.machine.claim.remains", lambda *words: ([], []))
            claimed(spool)
            assert InstanceClaim(Kernel(), str(spool), "key-a").take(replace(left_over, lock=False), "now") is not None
    else:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("daqsched_executor.machine.claim.remains", lambda *words: ([], []))
            InstanceClaim(Kernel(), str(spool), "key-a").take(replace(left_over, lock=False), "now")
    claim = InstanceClaim(Undying(), str(spool), "key-b")
    assert isinstance(claim.take(replace(left_over, task_id="readout@host.2"), "now"), Occupied)
    os.close(claim._lock)
