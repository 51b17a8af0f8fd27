"""What did it: the cause of all that an event leads to, in the words of a story."""

from __future__ import annotations

from daqsched.engine import choice_steps, events
from daqsched.engine.farm import TIME, Farm
from daqsched.engine.unasked_ends import culprit
from daqsched.task import LIVE


def of(event: events.Event, farm: Farm) -> str:
    """``revision 12 by alice``, ``stop by bob: cabling``, ``death``. What follows from a rollout or from time says so itself."""
    if isinstance(event, events.TaskReported):
        return _of_report(event, farm)
    if isinstance(event, events.JobsApplied):
        return _by(f"revision {_next(farm)}", event.user, event.message)
    if isinstance(event, events.ProposalApproved):
        return _by(f"revision {_next(farm)}", event.user, event.message or f"proposal {event.number}")
    if isinstance(event, events.VariablesSet):
        return _by(f"revision {_next(farm)}", event.user, choice_steps.said(event))
    if isinstance(event, events.RolloutSteered):
        return _by(f"{event.what} of the rollout", event.user, event.message)
    if isinstance(event, events.RestartAsked):
        return _by("restart", event.user, event.message)
    if isinstance(event, events.Held):
        return _by("hold" if event.spares else "stop", event.user, event.message)
    if isinstance(event, events.Released):
        return _by("start", event.user)
    if isinstance(event, events.PutAside):
        return _by("aside", event.user, event.message)
    if isinstance(event, events.Returned):
        return _by("return", event.user)
    if isinstance(event, events.AgentChosen):
        return _by("replace", event.user, event.message)
    if isinstance(event, (events.Borrowed, events.BorrowEnded)):
        return _by("borrow" if isinstance(event, events.Borrowed) else "end of a borrow", event.user)
    if isinstance(event, events.OperatorCommanded):
        return _by(f"{event.order.kind} {event.order.name}".rstrip(), event.order.user, event.order.message)
    return _OTHERS.get(type(event), "")


#: What a daemon finds changed when it begins, against what was last known: nobody saw how.
RESTART = "restart of the daemon"

_OTHERS: dict[type, str] = {
    events.Registered: "registration with the master",
    events.Disconnected: "loss of the master",
    events.OffersArrived: "an offer",
    events.LaunchRefused: "a launch that failed",
    events.Ticked: TIME,
}


def _of_report(event: events.TaskReported, farm: Farm) -> str:
    instance = farm.by_task.get(event.task_id)
    if event.state not in LIVE:
        if instance is None or instance.ending or event.state == "TASK_FINISHED":
            return "its end"
        if event.by_executor:
            return "death"
        return {"program": "death", "executor": "end of its executor", "host": "loss of the host"}[
            culprit(instance.task, event)
        ]
    if LIVE[event.state] in ("unreachable", "unknown"):
        return "loss of the host"
    if instance is not None and instance.lost:
        return "return of the host"
    return "its executor" if event.by_executor else "the master"


def _next(farm: Farm) -> int:
    return farm.revision.number + 1 if farm.revision is not None else 1


def _by(what: str, user: str, message: str = "") -> str:
    return f"{what} by {user}{': ' + message if message else ''}"
