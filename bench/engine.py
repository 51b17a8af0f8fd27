"""The engine's own cost, without Mesos: what a step takes on farms of different sizes, in microseconds of
CPU time, as others may be at work.

    python bench/engine.py [HOSTS ...]

25 jobs: 20 on every host, one that comes after another on its own host, one that comes after all of another, one that
takes ports, one by attributes, one by name and attribute. What concerns one host must cost the same on a large farm.
"""

from __future__ import annotations

import itertools
import statistics
import sys
import time
from typing import Callable

from daqsched.engine import commands, events
from daqsched.engine.engine import Engine
from daqsched.engine.resources import Offer
from daqsched.spec import JobSpec, Spec
from daqsched.views.status import all_keys, rows


class Bench:
    """A farm of ``hosts`` that does at once what it is told."""

    def __init__(self, hosts: int) -> None:
        ids = itertools.count()
        self.engine = Engine(lambda: str(next(ids)))
        self.now = 1e9
        self.hosts = [f"h{n:05d}" for n in range(hosts)]
        everywhere = (f"h[00000-{hosts - 1:05d}]",)
        plain = [JobSpec(name=f"job{n:02d}", argv=("/bin/true",), hosts=everywhere) for n in range(20)]
        self.jobs = (
            *plain,
            JobSpec(name="beside", argv=("/bin/true",), hosts=everywhere, after=("job00",)),
            JobSpec(name="control", argv=("/bin/true",), hosts=("ctl",), after=("job01",)),
            JobSpec(name="ports", argv=("/bin/true",), hosts=everywhere, ports={"any": 0, "http": 8080}),
            JobSpec(name="found", argv=("/bin/true",), attributes={"rack": "r1"}),
            JobSpec(name="both", argv=("/bin/true",), hosts=everywhere, attributes={"rack": "r1"}),
        )
        self.ends: list[str] = []

    def say(self, event: events.Event) -> float:
        """Seconds that the engine took."""
        began = time.process_time()
        todo = self.engine.handle(event, self.now).commands
        took = time.process_time() - began
        for command in todo:
            if isinstance(command, commands.Launch):
                self.ends += [task.payload.task_id for task in command.tasks]
        return took

    def offers(self, hosts: list[str]) -> float:
        """All of them in one event, as a master sends them."""
        attributes = {"rack": ("r1",), "hostname": ("x",)}
        made = [
            Offer(f"o-{host}", f"a-{host}", (host,), 64.0, 65536.0, 0.0, ((8000, 9000),), attributes) for host in hosts
        ]
        return self.say(events.OffersArrived(tuple(made)))

    def run(self) -> float:
        """What was launched runs; seconds for each report."""
        tasks, self.ends = self.ends, []
        took = [
            self.say(events.TaskReported(task, f"a-{task.partition('@')[2].rpartition('.')[0]}", "TASK_RUNNING"))
            for task in tasks
        ]
        return statistics.mean(took) if took else 0.0

    def start(self) -> tuple[float, float]:
        """Offers and reports until nothing is launched any more; seconds of each for an instance.

        In rounds: a host starts no more at once than its pace allows, and some jobs come after others.
        """
        offering = reporting = 0.0
        launched = 0
        while True:
            offering += self.offers([*self.hosts, "ctl"])
            if not self.ends:
                return offering / launched, reporting / launched
            count = len(self.ends)
            reporting += self.run() * count
            launched += count
            self.now += 1.0

    def changed(self, rounds: int = 2000) -> tuple[float, float]:
        """A program ends, so that one instance changes: the median of such a step without what looks for what people see of it
        (`Changed`, its story), and with it; by turns, each step on a host of its own."""
        transitions = self.engine.transitions
        looks = transitions.of_step
        found: dict[bool, list[float]] = {False: [], True: []}
        for number, host in enumerate(self.hosts[:rounds]):
            task, looking = self.engine.instances["job01", host].task, bool(number % 2)
            ended = events.TaskReported(task.id, task.agent_id, "TASK_FAILED", "exit code 1", by_executor=True)
            if not looking:
                transitions.of_step = lambda now: ()  # type: ignore[method-assign]  # to leave it out
            found[looking].append(self.say(ended))
            transitions.of_step = looks  # type: ignore[method-assign]  # as it was
            if not looking:
                transitions.of_step(self.now)  # what it left out, so that the next step finds all as it is
        return statistics.median(found[False]), statistics.median(found[True])

    def one_by_one(self, step: Callable[[str], object], rounds: int = 200) -> float:
        """The median of what a step that concerns one host takes."""
        found = []
        for host in self.hosts[:: max(1, len(self.hosts) // rounds)][:rounds]:
            began = time.process_time()
            step(host)
            found.append(time.process_time() - began)
        return statistics.median(found)


def measure(hosts: int) -> dict[str, float]:
    """What each kind of step takes, in microseconds."""
    bench = Bench(hosts)
    bench.say(events.Registered("fw", "master"))
    # on ctl: control, and found
    found = {"apply, an instance": bench.say(events.JobsApplied(Spec(jobs=bench.jobs), "me")) / (25 * hosts)}
    found["offers that are used, an instance"], found["a report that it runs"] = bench.start()
    instances = len(bench.engine.instances)
    running = sum(row.state == "RUNNING" for row in rows(bench.engine, all_keys(bench.engine), bench.now))
    assert running == instances == 24 * hosts + 2, f"{running} of {instances} run"

    bench.now += 1000.0
    found["offers that nobody needs, a host"] = bench.offers(bench.hosts) / hosts
    found["one such offer alone"] = bench.one_by_one(lambda host: bench.offers([host]))

    def fail(host: str) -> None:
        """A program dies and is started again: report, offer, report."""
        task = bench.engine.instances["job00", host].task
        bench.say(events.TaskReported(task.id, f"a-{host}", "TASK_FAILED"))
        bench.offers([host])
        bench.run()

    found["a death: report, offer, report"] = bench.one_by_one(fail)
    without, whole = bench.changed()
    found["a program ends, without what looks for `Changed`"] = without
    found["a program ends"] = whole
    found["which is for its `Changed`"] = whole - without
    new = JobSpec(name="new", argv=("/bin/true",), hosts=("ctl",))
    found["apply of a new job on one host"] = bench.say(events.JobsApplied(Spec(jobs=(*bench.jobs, new)), "me"))
    # each launch is looked at once, and all tasks are asked about every ten minutes
    found["the tick in which all is reconciled, an instance"] = bench.say(events.Ticked()) / instances
    bench.now += 1.0
    bench.say(events.Ticked())  # what the last step held is given back in the next
    found["a tick in which nothing is due"] = bench.say(events.Ticked())
    return {name: seconds * 1e6 for name, seconds in found.items()}


def main() -> None:
    """Measure and print a table."""
    sizes = [int(word) for word in sys.argv[1:]] or [100, 1000, 10_000]
    columns = [measure(hosts) for hosts in sizes]
    print(f"{'µs':50}" + "".join(f"{hosts:>9} hosts" for hosts in sizes))
    for name in columns[0]:
        print(f"{name:50}" + "".join(f"{column[name]:>15.1f}" for column in columns))


if __name__ == "__main__":
    main()
