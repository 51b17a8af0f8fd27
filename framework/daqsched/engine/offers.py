"""What offers lead to: the jobs that wait for their host are launched, what is not needed goes back."""

from __future__ import annotations

from daqsched import commands, events
from daqsched.commands import SurveyToLaunch, TaskToLaunch
from daqsched.engine import surveys
from daqsched.engine.farm import ASK_S, REFUSE_S, Farm, Instance
from daqsched.engine.tasks import look_for_lost
from daqsched.fill import payload
from daqsched.match import Room
from daqsched.spec import JobSpec
from daqsched.task import Task


def arrived(farm: Farm, event: events.OffersArrived, now: float) -> None:
    """Use each offer for what waits on its host; the cost is that of those that wait there."""
    declined = []
    for offer in event.offers:
        launched: list[TaskToLaunch] = []
        looking: list[SurveyToLaunch] = []
        room = Room(offer)
        for name in offer.names:
            farm.seen[name] = now
            if name in farm.lost:
                look_for_lost(farm, name, offer.agent_id, now)
            for instance in list(farm.waiting.get(name, {}).values()):
                job = instance.job
                assert job is not None, "only what is wanted waits"
                instance.reason = room.refusal(job) or ""
                if not instance.reason:
                    room.take(job)
                    launched.append(_launch(farm, instance, job, offer.agent_id, now))
            looking += surveys.launch(farm, name, offer.agent_id, room)
        if launched or looking:
            farm.out.append(commands.Launch(offer.id, offer.agent_id, tuple(launched), REFUSE_S, tuple(looking)))
        else:
            declined.append(offer.id)
    if declined:
        farm.out.append(commands.Decline(tuple(declined), REFUSE_S))


def _launch(farm: Farm, instance: Instance, job: JobSpec, agent_id: str, now: float) -> TaskToLaunch:
    task = Task(f"{instance}.{farm.new_id()}", agent_id, instance.digest, now, since=now)
    farm.give(instance, task, now)
    farm.arm(now + ASK_S, instance)
    return TaskToLaunch(payload(job, instance.host, task.id), job.cpus, job.mem, job.disk)


def launch_refused(farm: Farm, event: events.LaunchRefused, now: float) -> None:
    """None of these tasks exists: their instances wait again."""
    for task_id in event.task_ids:
        surveys.not_launched(farm, task_id, event.why)
        instance = farm.by_task.get(task_id)
        if instance is not None:
            farm.forget_task(instance)
            farm.settle(instance, now)
            farm.note(f"{instance}: could not be launched: {event.why}")
