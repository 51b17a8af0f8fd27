"""Which update goes out, when, and what is kept until the agent has it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from daqsched_executor.life.outbox import BURST, Outbox, Status


def status(uuid: str) -> Status:
    """An update, as far as an outbox looks at it."""
    return {"uuid": uuid}


def test_one_at_a_time_and_the_latest_waits() -> None:
    """While one is being posted, later ones replace each other."""
    box = Outbox()
    box.put(status("a"))
    assert box.next(0.0) == status("a")
    box.put(status("b"))
    box.put(status("c"))
    assert box.next(0.0) is None
    box.posted()
    assert box.next(0.0) == status("c")


def test_after_a_burst_one_a_second() -> None:
    """The first changes go out at once, then at most one per second."""
    box = Outbox()
    for number in range(BURST):
        box.put(status(str(number)))
        assert box.next(0.0) is not None
        box.posted()
    box.put(status("late"))
    assert box.next(0.0) is None and box.wake_at(0.0) == 1.0
    assert box.next(1.0) == status("late")


def test_an_update_that_may_wait_is_sent_where_nothing_came_in_its_place() -> None:
    """Not before its time; a newer one goes at once, and a subscription carries what waits."""
    box = Outbox()
    box.put(status("starting"), not_before=0.25)
    assert box.next(0.0) is None and box.wake_at(0.0) == 0.25
    assert box.next(0.25) == status("starting")
    box.posted()
    box.put(status("again"), not_before=1.0)
    box.put(status("runs"))
    assert box.wake_at(0.5) == 0.5 and box.next(0.5) == status("runs")
    box.posted()
    box.put(status("waits"), not_before=9.0)
    assert box.to_carry()[-1] == status("waits")


def test_a_final_update_waits_for_nobody_and_is_the_last() -> None:
    """It passes the rate limit, and nothing replaces it."""
    box = Outbox()
    for number in range(BURST):
        box.put(status(str(number)))
        box.next(0.0)
        box.posted()
    box.put(status("end"), final=True)
    box.put(status("after the end"))
    assert box.next(0.0) == status("end")
    box.posted()
    assert box.acknowledged("3") is False and box.acknowledged("end") is True


def test_a_failed_post_is_repeated_with_growing_distance() -> None:
    """The same update again after 0.5, 1, 2, 2 s."""
    box = Outbox()
    box.put(status("a"))
    now = 0.0
    for wait_s in (0.5, 1.0, 2.0, 2.0):
        assert box.next(now) == status("a")
        box.failed(now)
        assert box.next(now) is None and box.wake_at(now) == now + wait_s
        now += wait_s


def test_a_newer_state_replaces_one_whose_post_failed() -> None:
    """An old state must not arrive after a newer one."""
    box = Outbox()
    box.put(status("a"))
    box.next(0.0)
    box.put(status("b"))
    box.failed(0.0)
    assert box.next(1.0) == status("b") and list(box.unacknowledged) == ["b"]


def test_what_a_subscription_carried_needs_no_post() -> None:
    """After a new subscription only what it did not hold is posted."""
    box = Outbox()
    box.put(status("a"))
    box.next(0.0)
    box.failed(0.0)
    box.carried(["a"])
    assert box.next(10.0) is None and list(box.unacknowledged) == ["a"]


def test_a_subscription_carries_what_still_waits() -> None:
    """An agent that recovers takes an update with the subscription, and refuses it as a post."""
    box = Outbox()
    box.put(status("a"), final=True)
    assert box.to_carry() == [status("a")]
    box.carried(["a"])
    assert box.next(10.0) is None and box.acknowledged("a") is True


def test_a_subscription_that_fails_forgets_nothing() -> None:
    """What it should have carried is posted when there is a way."""
    box = Outbox()
    box.put(status("a"))
    box.to_carry()
    assert box.next(0.0) == status("a")


@given(st.lists(st.sampled_from(["put", "next", "posted", "failed", "acknowledge", "subscribe", "wait"]), max_size=60))
def test_the_agent_ends_up_with_the_last_state(acts: list[str]) -> None:
    """Whatever fails in between, in the end the agent has the latest update, and saw none after a newer one."""
    box, now, made = Outbox(), 0.0, 0
    taken: list[int] = []
    posting: dict[str, int] = {}

    def take(uuid: str) -> None:
        if int(uuid) not in taken:
            assert not taken or int(uuid) > taken[-1], "an old state after a newer one"
            taken.append(int(uuid))

    for act in [*acts, *["posted", "wait", "next", "posted"] * 8]:
        if act == "put":
            made += 1
            box.put(status(str(made)))
        elif act == "wait":
            now += 30.0
        elif act == "next" and not posting:
            found = box.next(now)
            if found is not None:
                posting = {found["uuid"]: 1}
        elif act == "posted" and posting:
            take(*posting)
            posting = {}
            box.posted()
        elif act == "failed" and posting:
            posting = {}
            box.failed(now)
        elif act == "acknowledge" and taken:
            box.acknowledged(str(taken[-1]))
        elif act == "subscribe" and not posting:
            carried = [update["uuid"] for update in box.to_carry()]
            for uuid in carried:
                take(uuid)
            box.carried(carried)
    assert not made or taken[-1] == made
