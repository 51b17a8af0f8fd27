"""Which rights an apply would need, and whether who asks has them: by the same function as the engine when it is asked. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from daqsched.engine.permission import Need
from daqsched.rights.grants import Grants
from daqsched.views.plan import NeededRight


def needed(grants: Grants, needs: Iterable[Need]) -> tuple[str, tuple[NeededRight, ...]]:
    """Why the apply would be refused (empty: it would not be), and each right once for each job."""
    refused = ""
    found: dict[tuple[str, str, str], NeededRight] = {}
    for need in needs:
        why = need.why_not(grants)
        refused = refused or why
        if need.targets is None:
            continue  # to some of the farm: a sentence of its own only where there is none
        job = next((target.job for target in need.targets), "")
        one = NeededRight(need.verb, job, need.account, why)
        before = found.setdefault((one.verb, one.job, one.account), one)
        if why and not before.why_not:
            found[one.verb, one.job, one.account] = one
    return refused, tuple(found.values())
