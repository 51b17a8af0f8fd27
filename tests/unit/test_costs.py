"""What the core's steps cost, counted in calls and bytes: the same on a busy machine. bench/scale.py has the times."""

from __future__ import annotations

import cProfile
import gc
import pstats
import sys
import tracemalloc
from pathlib import Path
from typing import Callable

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))

from scale import Scale  # noqa: E402

from daqsched.engine import commands, events  # noqa: E402
from daqsched.engine.engine import Engine  # noqa: E402

JOBS = 25


def calls(work: Callable[[], object]) -> int:
    """How many functions it calls, Python's own included."""
    profile = cProfile.Profile()
    profile.enable()
    work()
    profile.disable()
    return int(pstats.Stats(profile).total_calls)  # type: ignore[attr-defined]  # typeshed lacks it


def running(hosts: int, folder: Path) -> Scale:
    """A farm that runs, and of which every launch was looked at once more."""
    scale = Scale(hosts, JOBS, folder)
    scale.begin()
    scale.now += 1000.0
    for _ in range(2):
        scale.say(events.Ticked())
    return scale


@pytest.mark.parametrize("hosts", [20, 100])
def test_a_step_costs_the_same_on_any_farm(tmp_path: Path, hosts: int) -> None:
    """Calls for an offer that nobody needs, for a program that ends, for its next launch, and for a record that a daemon reads."""
    scale = running(hosts, tmp_path)
    assert calls(scale.cycle) / hosts < 24
    tasks = [scale.engine.instances["job01", host].task for host in scale.hosts]
    ends = [events.TaskReported(one.id, one.agent_id, "TASK_FAILED", "exit code 1", by_executor=True) for one in tasks]
    assert calls(lambda: [scale.engine.handle(end, scale.now) for end in ends]) / hosts < 100
    scale.now += 1000.0  # its back-off is over
    before = len(scale.engine.by_task)
    launched = calls(scale.cycle) / hosts
    assert len(scale.engine.by_task) - before == hosts
    assert launched < 200
    scale.save([commands.SaveRecords(tuple(scale.engine.instances))])
    again = Engine(lambda: "x")
    store = scale.store
    found = calls(lambda: again.restore("fw", store.revision, store.records(), store.document))
    assert found / (hosts * JOBS) < 200
    store.close()


@pytest.mark.skipif(sys.version_info < (3, 11), reason="objects are larger in an older Python")
def test_a_task_that_runs_has_a_thousand_bytes(tmp_path: Path) -> None:
    """What the core keeps of it; 250,000 of them are a quarter of a gigabyte."""
    gc.collect()
    tracemalloc.start()
    scale = running(100, tmp_path)
    gc.collect()
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept / len(scale.engine.by_task) < 1100
    scale.store.close()
