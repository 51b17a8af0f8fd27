"""How long a daemon may act without hearing from ZooKeeper: a table of what happened and what it may then."""

from __future__ import annotations

import pytest

from daqsched.store.zookeeper.ownership_lease import OwnershipLease

BEGUN = [("answer", 10.0, 10.1)]


@pytest.mark.parametrize(
    ("happened", "now", "holds", "over"),
    [
        ([], 0.0, False, False),
        (BEGUN, 11.9, True, False),
        (BEGUN, 12.0, False, True),
        # counted from the question, however late the answer comes
        ([("answer", 10.0, 11.9)], 12.0, False, True),
        ([*BEGUN, ("answer", 11.0, 11.1)], 12.9, True, False),
        # an answer to an older question takes nothing back
        ([*BEGUN, ("answer", 9.0, 11.1)], 11.9, True, False),
        # an answer that comes when it has run out begins nothing anew: the daemon may have stopped to act, or should have
        ([*BEGUN, ("answer", 11.9, 12.1)], 12.2, False, True),
        ([*BEGUN, ("ended", 0.0, 0.0)], 10.2, False, True),
        ([*BEGUN, ("ended", 0.0, 0.0), ("answer", 10.2, 10.3)], 10.4, False, True),
    ],
)
def test_a_lease_lasts_two_thirds_of_a_session_from_the_last_question_that_was_answered(
    happened: list[tuple[str, float, float]], now: float, holds: bool, over: bool
) -> None:
    """A session of three seconds."""
    lease = OwnershipLease(3.0)
    for what, asked_at, at in happened:
        lease.renewed(asked_at, at) if what == "answer" else lease.ended()
    assert (lease.holds(now), lease.over(now)) == (holds, over)
