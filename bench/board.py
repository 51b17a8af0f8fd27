"""What the live board costs: bytes of an answer and of events, what a changed instance costs the engine's thread, and a viewer.

    python bench/board.py [INSTANCES]

A farm of 25 jobs; one of a hundred instances does not run as it should, each with a reason of its own, and all have a version.
"""

from __future__ import annotations

import asyncio
import gzip
import random
import statistics
import sys
import time
from typing import Any, Callable, cast

from engine import Bench
from msgspec.structs import replace

from daqsched.engine import events
from daqsched.engine.engine import Engine
from daqsched.serve.board_table import TOPICS
from daqsched.serve.daemon import Daemon
from daqsched.serve.live_board import LiveBoard
from daqsched.spec import Spec
from daqsched_executor.contract import Exit, Report

ROUNDS = 20


class Feed:
    """In a daemon's place."""

    read_only = ""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self.touched: set[tuple[str, str]] = set()

    @property
    def engine(self) -> Engine:
        return self._bench.engine


def farm(hosts: int) -> Bench:
    """One that runs."""
    bench = Bench(hosts)
    bench.say(events.Registered("fw", "master"))
    jobs = tuple(replace(one, release="v1.4.2") for one in bench.jobs)
    bench.say(events.JobsApplied(Spec(jobs=jobs), "me"))
    bench.start()
    chance = random.Random(1)
    for key, instance in bench.engine.instances.items():  # they did not all begin in one second
        data = Report("running", since=bench.now - chance.random() * 86400.0).to_json()
        bench.say(events.TaskReported(instance.task.id, f"a-{key[1]}", "TASK_RUNNING", by_executor=True, data=data))
    for at, key in enumerate(list(bench.engine.instances)[::100]):
        backs_off(bench, key, at)
    return bench


def backs_off(bench: Bench, key: tuple[str, str], restarts: int) -> None:
    """Its program died, and starts again later."""
    task = bench.engine.instances[key].task
    end = Exit(bench.now, 0.5, code=1 + restarts % 7)
    data = Report("backoff", restarts=restarts + 1, until=bench.now + 8.0 + restarts, last_exit=end).to_json()
    host = f"a-{key[1]}"
    bench.say(events.TaskReported(task.id, host, "TASK_STARTING", "died", by_executor=True, data=data))


async def measure(hosts: int) -> None:
    """Print what there is to say."""
    bench = farm(hosts)
    feed, spent = Feed(bench), 0.0

    async def ask(question: Callable[[Engine, float], Any]) -> Any:
        nonlocal spent
        began = time.perf_counter()
        found = question(bench.engine, bench.now)
        spent += time.perf_counter() - began
        return found

    board = LiveBoard(cast(Daemon, feed), ask)
    count = len(bench.engine.instances)
    began = time.perf_counter()
    view = await board.view(None)
    print(f"{count} instances: the first look takes {spent * 1e6 / count:.1f} us each of the engine's thread, ", end="")
    print(f"{(time.perf_counter() - began) * 1e3:.0f} ms in all")
    began = time.perf_counter()
    answer = view.encoded(1.0)
    took = time.perf_counter() - began
    size = len(gzip.compress(answer, 6))
    print(f"an answer: {len(answer)} bytes, {size} gz, made in {took * 1e3:.1f} ms")
    began = time.perf_counter()
    for _ in range(100):
        view.encoded(1.0)
    print(f"the same for one more viewer: {(time.perf_counter() - began) * 1e4:.0f} us")

    for changed in (1, 200):
        costs, sizes, packed, whole = [], [], [], []
        for at in range(ROUNDS):
            bench.now += 1.0
            keys = list(bench.engine.instances)[at :: count // changed][:changed]
            for key in keys:
                backs_off(bench, key, at + 500)
                feed.touched = {key}
                began = time.perf_counter()
                board.note(())
                spent += time.perf_counter() - began
            before, spent = view.table.v, 0.0
            began = time.perf_counter()
            await board._look()
            whole.append((time.perf_counter() - began) / changed)
            costs.append(spent / changed)
            found = view.table.since(before, TOPICS)
            assert found is not None, "it is a short way"
            sizes.append(len(found[1]))
            packed.append(len(gzip.compress(found[1], 6)))
        print(
            f"a delta of {changed}: {statistics.median(sizes):.0f} bytes, {statistics.median(packed):.0f} gz; "
            f"{statistics.median(costs) * 1e6:.1f} us each of the engine's thread, {statistics.median(whole) * 1e6:.1f} us in all"
        )
    began = time.perf_counter()
    for _ in range(10_000):
        view.table.since(view.table.v - 1, TOPICS)
    print(f"a delta for one more viewer: {(time.perf_counter() - began) * 100:.1f} us, none of the engine's thread")


if __name__ == "__main__":
    asyncio.run(measure(int(sys.argv[1]) // 24 if len(sys.argv) > 1 else 417))
