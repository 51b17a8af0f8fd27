"""What people write: kept, bounded, shown between revisions and among lines."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from builders import World, job
from daqsched.engine import events
from daqsched.engine.commands import LOGBOOK
from daqsched.logbook import MOST, MOST_LETTERS, LogbookEntry, between, kept
from daqsched.logs import noted
from daqsched.logs.lines import Line, format_line
from daqsched.logs.query import Wanted
from daqsched.protocol import RevisionHead
from daqsched.terminal.show_changes import history_table
from daqsched.times import clock


def entry(number: int, at: float = 0.0, message: str = "x") -> LogbookEntry:
    return LogbookEntry(number, at or float(number), "alice", message)


def test_so_many_are_kept_as_there_is_room_for_and_the_last_one_always() -> None:
    """By their number, and by their letters: all are saved with each."""
    many = kept([entry(number) for number in range(1, MOST + 51)])
    assert [many[0].number, many[-1].number, len(many)] == [51, MOST + 50, MOST]
    long = kept([entry(number, message="x" * 1000) for number in range(1, 500)])
    assert sum(len(one.message) + len(one.user) for one in long) <= MOST_LETTERS < 1005 * (len(long) + 1)
    assert long[-1].number == 499
    huge = entry(2, message="x" * (MOST_LETTERS + 1))
    assert kept([entry(1), huge]) == [huge] and kept([]) == []


def test_a_note_stands_below_the_revision_that_it_came_after() -> None:
    """What is older than all of them is not among them."""
    notes = [entry(1, 5.0), entry(2, 10.0), entry(3, 25.0), entry(4, 26.0)]
    assert between([20.0, 10.0], notes) == [[notes[3], notes[2]], [notes[1]]]
    assert between([], notes) == []


def test_the_logbook_is_saved_with_each_note_and_outlives_the_daemon() -> None:
    """With who wrote it, and when; numbers go on."""
    world = World(["hlt01"])
    world.register()
    world.apply(job())
    world.now = 2000.0
    world.say(events.NoteWritten("alice", "beam is back"))
    world.restart()
    world.register()
    world.say(events.NoteWritten("bob", "and gone"))
    told = [(one.number, one.user, one.message) for one in world.engine.logbook]
    assert told == [(1, "alice", "beam is back"), (2, "bob", "and gone")]
    assert world.engine.logbook[0].time == 2000.0


def test_a_logbook_that_cant_be_read_is_told_and_begins_anew() -> None:
    """It is for people: no program waits for it."""
    world = World(["hlt01"])
    world.register()
    world.say(events.NoteWritten("alice", "beam is back"))
    assert LOGBOOK in world.disk.documents
    world.disk.documents[LOGBOOK] = b"\xc1"
    world.restart()
    assert world.engine.logbook == []
    assert any("the logbook can't be read" in one for one in world.engine.troubles)


class Lines:
    """A source that has these."""

    def __init__(self, *lines: Line) -> None:
        self.lines = list(lines)

    def tail(self, most: int) -> list[Line]:
        return self.lines[-most:]

    def around(self, moment: float, most: int) -> tuple[list[Line], list[Line]]:
        return [one for one in self.lines if one.time < moment], [one for one in self.lines if one.time >= moment]


def line(time: float, text: str) -> Line:
    return Line(time, "hlt01", "readout", "stdout", "", text, f"id-{time}")


def texts(lines: list[Line]) -> list[str]:
    return [one.message for one in lines]


def source(*lines: Line, wanted: Wanted = Wanted()) -> noted.NotedSource:  # noqa: B008  it is a value
    notes = [entry(1, 15.0, "beam is back"), entry(2, 35.0, "magnet tripped")]
    lines_alone: Any = Lines(*lines)  # which is all that is asked of a source here
    return noted.NotedSource(lines_alone, noted.lines(notes, wanted))


def test_notes_are_among_the_lines_where_they_were_written() -> None:
    """The last ones of both; around a moment those before and after it."""
    found = source(line(10.0, "a"), line(20.0, "b"), line(30.0, "c"))
    assert texts(found.tail(3)) == ["b", "c", "alice: magnet tripped"]
    assert texts(found.tail(9)) == ["a", "alice: beam is back", "b", "c", "alice: magnet tripped"]
    before, after = found.around(20.0, 4)
    assert (texts(before), texts(after)) == (["a", "alice: beam is back"], ["b", "c"])
    assert texts(source(line(0.0, "a"), line(20.0, "b")).tail(9))[:2] == ["a", "b"], "lines without a time stay first"
    shown = format_line(found.tail(1)[0], False)
    assert shown.split(" ", 1)[1] == "- note # alice: magnet tripped"


def test_notes_are_found_by_their_words_time_and_stream() -> None:
    """Whoever asks for a job, a host or a run does not mean them."""

    def found(**wanted: Any) -> list[str]:
        return texts(noted.lines([entry(1, 15.0, "beam is back"), entry(2, 35.0, "it tripped")], Wanted(**wanted)))

    both = ["alice: beam is back", "alice: it tripped"]
    assert found() == found(streams=("note",)) == found(streams=("n*",)) == found(levels=("notice", "error")) == both
    assert found(text="BEAM") == found(until=35.0) == both[:1] and found(since=16.0) == both[1:]
    for other in ({"words": ("readout",)}, {"hosts": ("hlt01",)}, {"runs": ("1",)}, {"streams": ("stdout",)}):
        assert found(**other) == []
    assert found(levels=("error",)) == []


def test_history_has_notes_as_rows_of_their_own() -> None:
    """With who and when, above the revision that they came after."""
    head = RevisionHead(3, "abc", "bob", 10.0, "why", notes=[entry(1, 25.0, "beam is back")])
    table = history_table([head])
    assert isinstance(table, Table)
    cells = [list(column.cells) for column in table.columns]
    assert list(cells[0]) == ["note", "3"] and list(cells[1]) == [clock(25.0), clock(10.0)]
    assert list(cells[2]) == ["alice", "bob"] and str(cells[-1][0]) == "beam is back"
