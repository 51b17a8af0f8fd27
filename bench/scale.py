"""The core on a farm of 250,000 tasks, with the real encoding on both sides and no Mesos in between.

    python bench/scale.py [--hosts 10000] [--jobs 25]

Offers come as the JSON that a master sends and go back as the JSON of a decline; the floor beside it is what parsing the
same JSON alone takes. Specs come as the JSON that `apply` sends, records go through the real store. All times are the
best of a few rounds, in one process; those of the offers and of a step are medians, in CPU time, as others may be at work.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import os
import statistics
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from daqsched.confirm import ALL
from daqsched.engine import commands, events
from daqsched.engine.engine import Engine
from daqsched.mesos.incoming import event_of, offer_of
from daqsched.rollout import Strategy
from daqsched.serve.query_api import SOME
from daqsched.spec import JobSpec, Spec, decode, encode
from daqsched.store.sqlite import SqliteStore
from daqsched.views.plan import plan
from daqsched.views.status import Tally, all_keys, rows
from daqsched_executor.contract import Report


def offer_json(host: str, number: int) -> dict[str, Any]:
    """An offer as a master of Mesos 1.11 sends it."""
    role = {"role": "*"}
    scalars = [
        {"allocation_info": role, "name": name, "type": "SCALAR", "scalar": {"value": value}}
        for name, value in (("cpus", 64.0), ("mem", 515000.0), ("disk", 900000.0))
    ]
    ports = {
        "allocation_info": role,
        "name": "ports",
        "type": "RANGES",
        "ranges": {"range": [{"begin": 31000, "end": 32000}]},
    }
    return {
        "id": {"value": f"883b1a18-6368-468f-8caa-bbccc666c9fd-O{number}"},
        "framework_id": {"value": "883b1a18-6368-468f-8caa-bbccc666c9fd-0000"},
        "agent_id": {"value": f"883b1a18-6368-468f-8caa-bbccc666c9fd-S-{host}"},
        "hostname": host,
        "url": {"scheme": "http", "address": {"hostname": host, "ip": "10.0.0.1", "port": 5051}, "path": "/slave(1)"},
        "allocation_info": role,
        "resources": [*scalars, ports],
        "attributes": [
            {"name": "rack", "type": "TEXT", "text": {"value": f"r{number % 100}"}},
            {"name": "hostname", "type": "TEXT", "text": {"value": host}},
        ],
    }


def cpu(work: Callable[[], object]) -> float:
    """Seconds of the CPU that one round takes."""
    began = time.process_time()
    work()
    return time.process_time() - began


def best(work: Callable[[], object], rounds: int = 5) -> float:
    """Seconds of the fastest round."""
    found = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        found.append(time.perf_counter() - began)
    return min(found)


def memory() -> int:
    """Bytes that this process has resident."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def runs(task_id: str, agent_id: str, now: float) -> events.TaskReported:
    """What an executor says of a program that runs."""
    data = Report("running", pid=1000, since=now).to_json()
    return events.TaskReported(task_id, agent_id, "TASK_RUNNING", "runs: pid 1000", by_executor=True, data=data)


class Scale:
    """A farm that runs, all of it."""

    def __init__(self, hosts: int, jobs: int, folder: Path) -> None:
        self._ids = itertools.count()
        self.now = 1e9
        self.hosts = [f"hlt{number:05d}" for number in range(hosts)]
        everywhere = (f"hlt[00000-{hosts - 1:05d}]",)
        self.jobs = tuple(
            JobSpec(
                name=f"job{number:02d}",
                argv=(f"/cvmfs/daq.example.org/{{version}}/bin/job{number:02d}", "--host", "{host}"),
                hosts=everywhere,
                release="release-01",
                after=(f"job{number - 1:02d}",) if number % 5 == 4 else (),
            )
            for number in range(jobs)
        )
        self.body = json.dumps(
            {"type": "OFFERS", "offers": {"offers": [offer_json(host, at) for at, host in enumerate(self.hosts)]}}
        ).encode()
        self.store = SqliteStore(folder)
        self.engine = Engine(lambda: f"{next(self._ids):08x}")
        self.launched: list[tuple[str, str]] = []

    def say(self, event: events.Event) -> list[commands.Command]:
        todo = self.engine.handle(event, self.now).commands
        for command in todo:
            if isinstance(command, commands.Launch):
                self.launched += [(task.payload.task_id, command.agent_id) for task in command.tasks]
        return todo

    def save(self, todo: Sequence[commands.Command]) -> None:
        """As the daemon does it."""
        keys = [key for command in todo if isinstance(command, commands.SaveRecords) for key in command.keys]
        revisions = [command.revision for command in todo if isinstance(command, commands.SaveRevision)]
        self.store.save(None, revisions, [(key, self.engine.record(key)) for key in keys])

    def all(self, many: Sequence[events.Event]) -> None:
        """What waits in the daemon's queue is one round, and one save."""
        self.save([command for event in many for command in self.say(event)])

    def cycle(self) -> list[commands.Command]:
        """JSON in, JSON out."""
        offers = event_of(self.body)[0]["offers"]["offers"]  # as `mesos.connection` has it read
        todo = self.say(events.OffersArrived(tuple(map(offer_of, offers))))
        for command in todo:
            if isinstance(command, commands.Decline):
                ids = [{"value": offer_id} for offer_id in command.offer_ids]
                json.dumps(
                    {"decline": {"offer_ids": ids, "filters": {"refuse_seconds": command.refuse_s}}, "type": "DECLINE"}
                )
        return todo

    def begin(self) -> None:
        """Apply, launch, run."""
        self.say(events.Registered("fw", "master"))
        self.save(self.say(events.JobsApplied(Spec(jobs=self.jobs), "me")))
        while True:
            self.now += 1.0
            self.say(events.Ticked())
            self.save(self.cycle())
            tasks, self.launched = self.launched, []
            if not tasks:
                return
            for task_id, agent_id in tasks:
                self.say(runs(task_id, agent_id, self.now))

    def apply(self, jobs: Sequence[JobSpec]) -> float:
        """A spec's JSON comes, is compared, applied, saved; seconds."""
        text = encode(Spec(jobs=tuple(jobs)))
        began = time.perf_counter()
        spec = decode(text)
        plan(self.engine.spec, spec, self.engine.hosts_of, self.engine.behind())
        self.save(self.say(events.JobsApplied(spec, "me", stops=ALL)))
        return time.perf_counter() - began


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", type=int, default=10_000)
    parser.add_argument("--jobs", type=int, default=25)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        weigh(min(options.hosts, 400), options.jobs, Path(folder) / "light")
        measure(options.hosts, options.jobs, Path(folder))


def weigh(hosts: int, jobs: int, folder: Path) -> None:
    """What the core keeps of a task that runs."""
    scale = Scale(hosts, jobs, folder)
    gc.collect()
    tracemalloc.start()
    scale.begin()
    scale.now += 1000.0
    scale.say(events.Ticked())  # a launch is looked at once more, some seconds later
    scale.say(events.Ticked())
    gc.collect()
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    scale.store.close()
    print(f"memory a task: {kept / len(scale.engine.by_task):.0f} bytes (at most 1000)")


def measure(hosts: int, jobs: int, folder: Path) -> None:
    """One farm."""
    scale = Scale(hosts, jobs, folder / "state")
    before = memory()
    began = time.perf_counter()
    scale.begin()
    tasks = len(scale.engine.by_task)
    print(
        f"{hosts} hosts x {jobs} jobs: {tasks} tasks, from nothing to all running in {time.perf_counter() - began:.1f} s"
    )
    assert tasks == hosts * jobs, "not all run"
    print(
        f"memory of the process a task, with what the start took at its height: {(memory() - before) / tasks:.0f} bytes"
    )
    scale.now += 1000.0
    scale.say(events.Ticked())  # a launch is looked at once more, some seconds later
    gc.collect()
    gc.freeze()

    # in turn: the machine may be busy with something else; and without full collections, which come by chance, and make
    # parsing alone twice as long
    usual = gc.get_threshold()
    gc.set_threshold(*usual[:2], 1 << 30)
    rounds = [(cpu(lambda: json.loads(scale.body)), cpu(scale.cycle)) for _ in range(15)]
    gc.set_threshold(*usual)
    alone, cycle = map(statistics.median, zip(*rounds))
    ratio = statistics.median(cycle / alone for alone, cycle in rounds)
    print(
        f"offers of all hosts, JSON of {len(scale.body) >> 10} KiB: parsing alone {alone * 1e3:.1f} ms, "
        f"the whole cycle {cycle * 1e3:.1f} ms: {ratio:.2f} times as long (at most 0.8)"
    )
    print(f"a step that changes one instance of {tasks}: {step(scale) * 1e6:.1f} us")
    for count in (1, 10, 100, 1000):
        print(f"{count:5} deaths, restarts included: {deaths(scale, count) * 1e3:9.2f} ms")
    ones = [JobSpec(name=f"one{at}", argv=("/bin/true",), hosts=(scale.hosts[7],)) for at in range(5)]
    apply = min(scale.apply((*scale.jobs, one)) for one in ones)
    print(f"apply of one new job on one host: {apply * 1e3:.1f} ms (at most 5)")
    for count in (1, 10, 100, 1000):
        part = (f"hlt[00000-{count - 1:05d}]",) if count > 1 else ("hlt00000",)
        new = JobSpec(name=f"new{count}", argv=("/bin/true",), hosts=part)
        print(f"apply of one new job on {count:5} hosts: {scale.apply((*scale.jobs, new)) * 1e3:9.1f} ms")
    engine, keys = scale.engine, all_keys(scale.engine)
    print(f"rows of the whole farm: {best(lambda: Tally(20).add(rows(engine, keys, scale.now)), 2) * 1e3:.0f} ms")
    some = best(lambda: list(rows(engine, keys[:SOME], scale.now)))
    print(f"rows of {SOME} instances, which is all that a look takes of the loop at once: {some * 1e3:.1f} ms")
    print(f"rollout of a new release of all jobs, in one batch: {rollout(scale) * 1e6:.0f} us an instance")
    scale.now += 1000.0
    scale.say(events.Ticked())
    longest = 0.0
    for _ in range(50):
        scale.now += 1.0
        began = time.perf_counter()
        scale.say(events.Ticked())
        longest = max(longest, time.perf_counter() - began)
    print(f"the longest tick: {longest * 1e3:.1f} ms")
    scale.save([commands.SaveRecords(tuple(scale.engine.instances))])
    began = time.perf_counter()
    again = Engine(lambda: "x")
    again.restore("fw", scale.store.revision, scale.store.records(), scale.store.document)
    print(f"a new daemon knows all of it after {time.perf_counter() - began:.1f} s")
    scale.store.close()


def step(scale: Scale) -> float:
    """The median of steps in which a program ends, which run again afterwards; seconds of the core."""
    tasks = [scale.engine.instances["job01", host].task for host in scale.hosts[:1000]]
    # by its executor: where the agent says it in its place, that is an incident besides
    ends = [events.TaskReported(one.id, one.agent_id, "TASK_FAILED", "exit code 1", by_executor=True) for one in tasks]
    found = [cpu(partial(scale.engine.handle, end, scale.now)) for end in ends]
    scale.now += 5.0
    scale.say(events.Ticked())
    scale.cycle()
    for task_id, agent_id in scale.launched:
        scale.say(runs(task_id, agent_id, scale.now))
    scale.launched.clear()
    return statistics.median(found)


def deaths(scale: Scale, count: int) -> float:
    """As many programs die, are offered their hosts, and run again; seconds."""
    names = [("job00", host) for host in scale.hosts[:count]]
    offers = [offer_json(host, at) for at, (_, host) in enumerate(names)]
    text = json.dumps({"type": "OFFERS", "offers": {"offers": offers}})
    began = time.perf_counter()
    tasks = [scale.engine.instances[key].task for key in names]
    scale.all([events.TaskReported(task.id, task.agent_id, "TASK_FAILED", "exit code 1") for task in tasks])
    scale.now += 5.0
    scale.say(events.Ticked())
    scale.save(scale.say(events.OffersArrived(tuple(map(offer_of, event_of(text)[0]["offers"]["offers"])))))
    scale.all([runs(task_id, agent_id, scale.now) for task_id, agent_id in scale.launched])
    scale.launched.clear()
    return time.perf_counter() - began


def rollout(scale: Scale) -> float:
    """All programs end, are launched anew and are ready; seconds of the core for each."""
    jobs = tuple(msgspec.structs.replace(job, release="release-02") for job in scale.jobs)
    began = time.perf_counter()
    way = Strategy(batches=("100%",), ready_s=0.0)
    todo = scale.say(events.JobsApplied(Spec(jobs=jobs), "me", "", way, stops=ALL))
    while scale.engine.rolling.active is not None:
        kills = [command for command in todo if isinstance(command, commands.Kill)]
        todo = [
            after
            for kill in kills
            for after in scale.say(events.TaskReported(kill.task_id, kill.agent_id, "TASK_KILLED"))
        ]
        scale.now += 1.0
        todo += scale.say(events.Ticked())
        todo += scale.cycle()
        launched, scale.launched = scale.launched, []
        for task_id, agent_id in launched:
            todo += scale.say(runs(task_id, agent_id, scale.now))
    return (time.perf_counter() - began) / (len(scale.hosts) * len(jobs))


if __name__ == "__main__":
    main()
