"""Applies that wait for somebody who may."""

from __future__ import annotations

from typing import Optional

import msgspec

from daqsched.proposals import EndedProposal, ProposalHead
from daqsched.rollout import Strategy
from daqsched.spec import Spec
from daqsched.views.plan import Plan


class ProposeRequest(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """POST /v1/propose -> `ProposalAnswer`: what an apply would be asked for, by somebody who may not."""

    spec: Spec
    message: str = ""
    only: list[str] = []
    take: list[str] = []
    #: How it is to go over the farm; null: as the spec says. Whoever approves it may say otherwise.
    strategy: Optional[Strategy] = None
    #: As of an apply.
    allow_empty: bool = False


class ProposalsAnswer(msgspec.Struct):
    """GET /v1/proposals: those that wait, the oldest first, and what became of others, the newest first."""

    waiting: list[ProposalHead]
    ended: list[EndedProposal]
    now: float


class ProposalAnswer(msgspec.Struct):
    """GET /v1/proposals/NUMBER: one that waits, with the plan of it against the farm as it is now."""

    proposal: ProposalHead
    plan: Plan
    #: All of it that who asks may see, as of a revision.
    spec: Spec


class ApproveRequest(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """POST /v1/approve -> `Applied`: apply it."""

    number: int
    #: Those that whoever approves it has seen: `ProposalHead.digest`, and `Plan.base`. Refused where either is another by now.
    digest: str
    base: str
    message: str = ""
    #: Instead of that which it was proposed with.
    strategy: Optional[Strategy] = None
    #: As of an apply, both.
    stops: Optional[int] = None
    no_look: bool = False


class CloseRequest(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """POST /v1/reject and, by who proposed it, /v1/withdraw -> `ProposalsAnswer`."""

    number: int
    message: str = ""
