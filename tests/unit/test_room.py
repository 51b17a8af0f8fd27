"""Who may hold a socket's connections: one caller keeps no other out, and nothing is taken in without a bound."""

from __future__ import annotations

from functools import partial

from hypothesis import given
from hypothesis import strategies as st

from daqsched.serve.connection_budget import HELD_BYTES, HELD_OF_ONE, ConnectionBudget, Limits, Seat


class Line:
    """A connection that notes when it is ended."""

    def __init__(self, room: ConnectionBudget, caller: str, now: float = 0.0, limit_s: float = 10.0) -> None:
        self.closed = False
        self.seat = Seat(caller, self._close)
        room.wait(self.seat, now, limit_s)

    def _close(self) -> None:
        self.closed = True


def test_the_oldest_of_who_has_most_makes_room() -> None:
    """Two thousand unfinished requests of one caller cost another none of its own."""
    room = ConnectionBudget(Limits(incoming=10, answers=10))
    honest = [Line(room, "crew"), Line(room, "crew")]
    many = [Line(room, "mallory") for _ in range(2000)]
    assert len(room) == 10 and not any(one.closed for one in honest)
    assert [one.closed for one in many] == [True] * 1992 + [False] * 8
    peer = Line(room, "shift")
    assert not peer.closed and many[1992].closed


def test_a_connection_whose_request_is_whole_is_not_ended_for_others() -> None:
    """It has left those that make room; it comes back for its next request."""
    room = ConnectionBudget(Limits(incoming=2, answers=2))
    asked = Line(room, "mallory")
    room.leave(asked.seat)
    assert len(room) == 0
    [Line(room, "mallory") for _ in range(9)]
    assert not asked.closed
    room.wait(asked.seat, 1.0, 5.0)
    assert len(room) == 2 and not asked.closed


def test_who_has_shown_a_certificate_has_a_share_of_its_own() -> None:
    """Others behind the same address do not shut it out."""
    room = ConnectionBudget(Limits(incoming=3, answers=3))
    peer = Line(room, "10.0.0.5", now=7.0)
    room.rename(peer.seat, "the peer 10.0.0.5")
    assert (peer.seat.since, peer.seat.limit_s) == (7.0, 10.0)
    [Line(room, "10.0.0.5") for _ in range(50)]
    assert not peer.closed


def test_nobody_is_waited_for_without_end() -> None:
    """Each kind of waiting has its own limit."""
    room = ConnectionBudget(Limits())
    header, body = Line(room, "a", 0.0, 10.0), Line(room, "a", 0.0, 60.0)
    assert room.overdue(10.0) == []
    assert room.overdue(11.0) == [header.seat]
    assert room.overdue(61.0) == [header.seat, body.seat]
    room.wait(header.seat, 60.0, 10.0)
    assert room.overdue(61.0) == [body.seat]


def test_answers_are_bounded_for_one_and_for_all() -> None:
    """With a sentence; the last quarter is for those who have hardly anything under way."""
    room = ConnectionBudget(Limits(incoming=8, answers=8))
    assert [room.begin("a") for _ in range(4)] == [""] * 4
    assert "4 requests of yours" in room.begin("a")
    assert room.begin("b") == room.begin("b") == ""
    assert "answers 6 requests" in room.begin("b")
    assert room.begin("c") == room.begin("d") == ""
    assert "answers 8 requests" in room.begin("e")
    room.end("a")
    assert "answers 7 requests" in room.begin("a")
    assert room.begin("e") == ""


def test_what_is_in_memory_of_requests_is_bounded() -> None:
    """For one caller and for all."""
    room = ConnectionBudget(Limits())
    assert room.hold("a", HELD_OF_ONE) == "" and "too many large requests" in room.hold("a", 1)
    assert room.hold("b", HELD_BYTES - HELD_OF_ONE) == "" and room.hold("c", 1)
    room.give_back("a", HELD_OF_ONE)
    assert room.hold("c", 1) == ""


@given(st.lists(st.tuples(st.sampled_from("wlrdeb"), st.integers(0, 11), st.integers(0, 3)), max_size=200))
def test_the_count_is_right_after_anything(steps: list[tuple[str, int, int]]) -> None:
    """Whatever comes in whatever order: as many are incoming as there are, never more than may be."""
    room = ConnectionBudget(Limits(incoming=5, answers=5))
    inside: set[Seat] = set()
    seats = [Seat(number % 4, lambda: None) for number in range(12)]
    for one in seats:
        one.close = partial(inside.discard, one)
    answered: list[int] = []
    for what, number, caller in steps:
        seat = seats[number]
        if what == "w":
            room.wait(seat, 0.0, 1.0)
            inside.add(seat)
        elif what == "l":
            room.leave(seat)
            inside.discard(seat)
        elif what == "r":
            room.rename(seat, caller)
        elif what == "d":
            room.drop()
        elif what == "b" and not room.begin(caller):
            answered.append(caller)
        elif what == "e" and answered:
            room.end(answered.pop())
        assert len(room) == len(inside) <= 5 and len(answered) <= 5
        assert set(room.overdue(9.0)) == inside
