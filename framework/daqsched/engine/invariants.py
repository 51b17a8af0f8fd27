"""What always holds between the instances and the indexes of a farm; tests look after every step."""

from __future__ import annotations

from daqsched import logbook
from daqsched.engine.farm import Farm
from daqsched.engine.instance import Key
from daqsched.engine.starts import is_start
from daqsched.farm_parts import living
from daqsched_executor.contract import MANUAL


def check(farm: Farm) -> None:
    """Raise AssertionError where the indexes and the instances do not agree; tests call it after every step."""
    timers: dict[Key, list[float]] = {}
    for at, armed in farm.timers:
        timers.setdefault(armed, []).append(at)
    for key, instance in farm.instances.items():
        task = instance.record.task
        assert key == instance.key, f"{instance} is filed under {key}"
        assert task is None or farm.by_task.get(task.id) is instance, f"{instance}: {task} is not listed"
        assert task is not None or instance.job is not None, f"{instance} is neither desired nor running"
        waits = key in farm.waiting.get(instance.host, {})
        assert not waits or instance.startable, f"{instance} waits and must not be launched"
        blocked = farm.order.waits(instance)
        assert blocked == bool(instance.awaited), f"{instance} waits for {instance.awaited!r}, but is filed otherwise"
        assert not blocked or instance.startable, f"{instance} waits for a job and must not be launched"
        assert not blocked or farm.order.awaited(instance), f"{instance} waits for {instance.awaited}, which is up"
        due = timers.get(key, [])
        starts = is_start(task, farm.last)
        assert farm.starts.under_way(instance) == starts or (not starts and due and min(due) <= farm.last), (
            f"{instance}: its start is under way is {not starts}"
        )
        assert not starts or max(due, default=0.0) >= farm.last, f"{instance}: its start may hang for ever"
        assert waits or blocked or not instance.startable or due, f"{instance} is forgotten: nothing will look at it"
        aside = farm.is_aside(*key) and instance.job is not None and instance.record.borrow is None
        assert aside == instance.aside, f"{instance}: aside is {aside}"
        lost = key in farm.lost.get(instance.host, {})
        assert lost == instance.lost, f"{instance}: lost is {lost}"
        found = key in farm.found.get(instance.host, {})
        assert found == instance.found, f"{instance}: found is {found}"
        listed = farm.order.desired.get(instance.name, {}).get(instance.host) is instance
        assert listed == (instance.job is not None), f"{instance}: desired is {listed}"
        up = instance.host in farm.order.up.get(instance.name, ())
        assert up == instance.up, f"{instance}: up is {up}"
        assert task is None or bool(instance.ending) or not farm.must_stop(instance), f"{instance} runs on"
        waits_to_end = task is not None and bool(instance.ending) and not task.killed and bool(farm.last)
        assert not waits_to_end or farm.ends.awaited(instance, farm.order.desired), (
            f"{instance} is to end, and nobody tells it"
        )
        behind = instance.host in farm.mixed.get(instance.name, ()) and key not in farm.left_out
        assert behind == bool(instance.record.behind), f"{instance}: behind is {behind}"
        if instance.job is not None and not (behind or instance.record.borrow or instance.record.leaving):
            desired = farm.desired.of(*key)
            assert desired is not None, f"{instance} is desired, and the revision has no such job"
            assert instance.digest == farm.desired.run_of(desired)(instance.host), (
                f"{instance} is not as the revision has it"
            )
        hold = instance.record.hold
        nobodys = hold is not None and not hold.user and instance.job is not None and not instance.record.borrow
        assert not nobodys or (instance.job is not None and instance.job.start == MANUAL), (
            f"{instance} waits for nobody"
        )
        assert instance.job is None or key not in farm.started, (
            f"{instance} is in the farm, and had its first start outside of it"
        )
        assert key not in farm.left_out or instance.job is None, f"{instance} is left out and desired"
    spec = farm.revision.spec if farm.revision is not None else None
    assert spec is None or not farm.last or living(spec) == spec, "a file's word is in force, and no job of its part is"
    rollout = farm.rolling.rollout
    ended = farm.outcomes.get(rollout.revision) if rollout is not None and rollout.over and rollout.revision else None
    assert rollout is None or not rollout.over or not rollout.revision or ended is not None, "nobody knows how it ended"
    assert ended is None or rollout is None or (ended.number, ended.state) == (rollout.number, rollout.state)
    numbers = [one.number for one in farm.logbook]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers))) if numbers else True, (
        "the logbook lacks a note"
    )
    assert len(numbers) <= logbook.MOST, "the logbook is longer than it may be"
    assert len(farm.by_task) == sum(i.record.task is not None for i in farm.instances.values()), "a task too many"
