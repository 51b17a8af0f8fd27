"""What can be asked for, and the least role that may: the one table that daemon, plan, page and documentation go by."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import NamedTuple


class Role(IntEnum):
    """What somebody is on a part of the farm; each may what those before it may."""

    viewer = 1
    shifter = 2
    expert = 3
    admin = 4


class Verb(NamedTuple):
    """Something to ask for."""

    role: Role
    #: What it is, for people: continues "alice may not ...".
    does: str
    #: Whether it ends programs, so that a rule's ``at_once`` counts what it is asked of.
    ends: bool = False


VERBS: Mapping[str, Verb] = {
    # questions
    "see": Verb(Role.viewer, "see how {it} is"),
    "lines": Verb(Role.viewer, "read lines of {it}"),
    # the crew
    "stop": Verb(Role.shifter, "stop {it}", ends=True),
    "hold": Verb(Role.shifter, "hold {it}"),
    "start": Verb(Role.shifter, "start {it}"),
    "restart": Verb(Role.shifter, "restart {it}", ends=True),
    "retry": Verb(Role.shifter, "start {it} before its back-off is over"),
    "snooze": Verb(Role.shifter, "snooze checks of {it}"),
    "wake": Verb(Role.shifter, "wake checks of {it}"),
    # also beyond a rule's ``at_once``: who listed the values has seen what each leads to
    "set": Verb(Role.shifter, "set what changes {it}"),
    "act": Verb(Role.shifter, "run this action of {it}"),
    "aside": Verb(Role.shifter, "set the host of {it} aside", ends=True),
    "return": Verb(Role.shifter, "give the host of {it} back", ends=True),
    "pause": Verb(Role.shifter, "pause a rollout of {it}"),
    "preflight": Verb(Role.shifter, "have a host asked whether {it} could start"),
    "note": Verb(Role.shifter, "write into the logbook"),
    "propose": Verb(Role.shifter, "propose changes of {it}"),
    "control": Verb(Role.shifter, "be in control of {it}"),
    # experts
    "act-any": Verb(Role.expert, "run this action of {it}"),
    "apply": Verb(Role.expert, "change {it}"),
    "steer": Verb(Role.expert, "resume, abort or roll back a rollout of {it}"),
    "borrow": Verb(Role.expert, "run {it} by hand"),
    "replace": Verb(Role.expert, "say which agent is the host of {it}"),
    "take-over": Verb(Role.expert, "take control of {it} from somebody"),
    "console": Verb(Role.expert, "attach to the terminal of {it}"),
    "sandbox": Verb(Role.expert, "read the sandbox of {it}"),
    # admins
    "account": Verb(Role.admin, "choose the account of {it}"),
    "guard": Verb(Role.admin, "choose what a rollout asks before its batches"),
    "logging": Verb(Role.admin, "change where lines go"),
    "environment": Verb(Role.admin, "see the environment of {it}"),
    "backup": Verb(Role.admin, "get all that is saved"),
    "log": Verb(Role.admin, "read the logs of daemon and agents"),
    "audit": Verb(Role.admin, "see who changed what"),
    "rights": Verb(Role.admin, "see what everybody may"),
    "tokens": Verb(Role.admin, "make and revoke tokens"),
}
