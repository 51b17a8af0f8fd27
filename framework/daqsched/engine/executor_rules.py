"""By which rules an executor goes, as its report has it, and which it is to be told: those of the job, as far as it can obey them.

Executors before `Report.carries` confirm whatever they are told, and their lines carry the labels of the start all the same. So
they are told names of rules in which the labels stay what they were, or `NOT_KNOWN`.
"""

from __future__ import annotations

from daqsched.engine.desired_spec import DesiredSpec
from daqsched.engine.instance import Instance
from daqsched.task import Task
from daqsched_executor.contract import Report

#: What lines carry where neither their executor nor we know: in the place of a digest of labels.
NOT_KNOWN = "?"


def unconfirmed(desired: DesiredSpec, instance: Instance) -> bool:
    """Whether its executor goes by other rules than the job's, and can be told these."""
    task = instance.record.task
    if task is None or task.report is None or instance.job is None or instance.ending:
        return False
    rules = task.report.rules
    if not rules or task.digest != instance.digest:
        return False
    fits = rules_for(desired, instance)
    oldest = "" if task.report.carries else fits.partition(".")[0]  # labels were no rules then
    return rules not in (fits, desired.older_rules_of(instance.job), oldest)


def rules_for(desired: DesiredSpec, instance: Instance) -> str:
    """How its executor is told the job's rules; there is a job and a task."""
    assert instance.job is not None
    rules, report = desired.rules_of(instance.job), instance.task.report
    if report is None or report.carries:
        return rules
    return f"{rules.partition('.')[0]}.{_carried(instance.task, report)}"


def carries_others(desired: DesiredSpec, instance: Instance) -> str:
    """What the lines of an executor carry that is too old to be told of labels, where these may be others than the job's:
    `NOT_KNOWN`, or the name of them (`digests.CARRIED`); empty: the job's, or its executor is not so old."""
    task = instance.record.task
    if task is None or task.report is None or instance.job is None or task.digest != instance.digest:
        return ""
    if task.report.carries or not (task.report.rules or task.carried):
        return ""
    carried = _carried(task, task.report)
    return carried if carried != desired.rules_of(instance.job).partition(".")[2] else ""


def _carried(task: Task, report: Report) -> str:
    """What it was launched with: as named apart from its other rules, else as the daemon knew that launched it."""
    named = report.rules.partition(".")[2]
    return (named if named != NOT_KNOWN else "") or task.carried or NOT_KNOWN
