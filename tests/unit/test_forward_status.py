"""What the forwarder says of itself, which it also forwards."""

from __future__ import annotations

import contextlib
import io
import json
import socket
from pathlib import Path
from typing import Any

import pytest

from daqsched.logs.deadletters import kept_there
from daqsched_executor.forward.delivery.dead_letter import RefusedLines
from daqsched_executor.forward.delivery.dead_letter_file import DeadLetterFile
from daqsched_executor.forward.status import last_end
from daqsched_executor.forward.status.sd_notify import Notifier
from daqsched_executor.forward.status.status import PRINT_EVERY_S, WELL_S, Counts, Status, Warnings


@pytest.mark.parametrize("text", [b"", b"x", b"-5", b"1" * 40, b"\xff", b"\xc2\xb2"])
def test_what_stands_in_the_count_of_lost_letters_ends_nothing(tmp_path: Path, text: bytes) -> None:
    """It counts as none; letters are counted, however long a row is."""
    path = tmp_path / "deadletter.ndjson"
    path.write_bytes(b"x" * (3 << 20) + b"\n{}\n")
    (tmp_path / "deadletter.ndjson.lost").write_bytes(text)
    kept = DeadLetterFile(str(path), Warnings(io.StringIO()))
    assert (kept.letters, kept.lost) == (2, 0)
    (tmp_path / "deadletter.ndjson.lost").write_bytes(b"12\n")
    assert DeadLetterFile(str(path), Warnings(io.StringIO())).lost == 12


class Clock:
    """Steps from one print to the next."""

    def __init__(self, status: Status) -> None:
        self._status = status
        self._now = 1e9

    def tick(self) -> None:
        """The next time for a line has come."""
        self._now += PRINT_EVERY_S
        self._status.show(self._now)


def test_the_counts_are_printed_when_something_changed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line, and a file for programs."""
    counts = [Counts()]
    clock = Clock(Status(str(tmp_path), lambda: counts[-1], Warnings(io.StringIO()), Notifier({})))
    clock.tick()
    assert capsys.readouterr().out == ""
    counts.append(Counts(read=10, stored=6, dropped=1, under_way=3, waiting_bytes=5))
    clock.tick()
    assert (
        capsys.readouterr().out == "read 10, stored 6, duplicates 0, dead 0, dropped 1, under way 3, waiting 5 bytes\n"
    )
    assert json.loads((tmp_path / "status.json").read_text())["stored"] == 6
    clock.tick()
    assert capsys.readouterr().out == ""


def test_its_own_lines_are_no_reason_to_print(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The line that it printed comes back as a line to forward: that must not go round for ever."""
    counts = [Counts()]
    complaints = Warnings(io.StringIO())
    clock = Clock(Status(str(tmp_path), lambda: counts[-1], complaints, Notifier({})))
    counts.append(Counts(read=10, stored=10))
    clock.tick()
    assert capsys.readouterr().out
    counts.append(Counts(read=11, stored=11))
    for _ in range(3):
        clock.tick()
    assert capsys.readouterr().out == ""
    counts.append(Counts(read=12, stored=12))
    clock.tick()
    assert capsys.readouterr().out.startswith("read 12")


def test_a_dead_letter_is_always_a_reason_to_print(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """However few lines there were."""
    counts = [Counts()]
    clock = Clock(Status(str(tmp_path), lambda: counts[-1], Warnings(io.StringIO()), Notifier({})))
    counts.append(Counts(read=1, dead=1))
    clock.tick()
    assert "dead 1" in capsys.readouterr().out


def test_a_trouble_is_warned_of_once_in_a_while() -> None:
    """Two troubles are two lines; the same one again is not, soon."""
    out = io.StringIO()
    warn = Warnings(out)
    for _ in range(3):
        warn("a", "no disk")
        warn("b", "no server")
    assert out.getvalue() == "daqsched-executor forward: no disk\ndaqsched-executor forward: no server\n"
    assert warn.printed == 2


def test_dead_letters_are_rows_of_a_file_with_a_bound(tmp_path: Path) -> None:
    """With all that a second attempt needs; what there is no room for is counted and said, over a restart, too."""
    path, said = str(tmp_path / "deadletter.ndjson"), []
    document = b'{"create":{"_id":"x-%d"}}\n{"message":"m"}\n'
    kept = DeadLetterFile(path, lambda about, sentence: said.append(sentence), most=200)
    for at in range(5):
        kept.keep(RefusedLines("logs-1", document % at, "why"))
    rows = [json.loads(row) for row in Path(path).read_text().splitlines()]
    assert rows[1] == {"index": "logs-1", "id": "x-1", "reason": "why", "document": {"message": "m"}}
    assert (len(rows), kept.letters, kept.lost) == (2, 2, 3) and "is full: 3 lines" in said[-1]
    again = DeadLetterFile(path, lambda about, sentence: None, most=200)
    assert (again.letters, again.lost) == (2, 3)
    Path(path).unlink()
    assert (again.letters, again.lost) == (0, 3)
    again.keep(RefusedLines("logs-1", document % 9, "why"))
    assert (again.letters, again.lost) == (1, 3)


def test_it_notifies_as_often_as_it_is_asked_to_and_says_what_is_wrong(tmp_path: Path) -> None:
    """READY=1 once, WATCHDOG=1 a third of the time before it is missed, words only when they are others, and not too often."""
    heard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    heard.bind(str(tmp_path / "notify"))
    heard.setblocking(False)

    def said() -> list[str]:
        found = []
        with contextlib.suppress(BlockingIOError):
            while True:
                found.append(heard.recv(1000).decode())
        return found

    counts = [Counts()]
    complaints = Warnings(io.StringIO())
    beat = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "60000000"})
    status = Status(str(tmp_path), lambda: counts[-1], complaints, beat)
    status.show(1000.0)
    assert said() == ["READY=1\nWATCHDOG=1"]
    status.show(1003.0)
    assert said() == []
    complaints("unreachable", "Elasticsearch does not answer")
    counts.append(Counts(dead_here=1234))
    status.show(1006.0)
    told = "STATUS=1,234 refused lines are on this machine alone (deadletter.ndjson); Elasticsearch does not answer"
    assert said() == [told]
    status.show(1020.0)
    assert said() == ["WATCHDOG=1"]
    complaints.stored()
    status.show(1023.0)
    assert said() == []
    status.show(1036.0)
    assert said() == [told.partition(";")[0]]
    counts.append(Counts())
    status.show(1070.0)
    assert said() == ["WATCHDOG=1\nSTATUS="]
    heard.close()
    status.show(1100.0)  # nobody listens any more
    beat.close()


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("after", [False, True])
def test_refused_lines_are_found_among_a_forwarder_s_words(tmp_path: Path, before: bool, after: bool) -> None:
    """By `deadletter list`, whatever else it says: why the last one ended comes before them, what is wrong after."""
    heard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    heard.bind(str(tmp_path / "notify"))
    warn = Warnings(io.StringIO())
    if before:
        last_end.record(str(tmp_path), "sender 1", KeyError("a line"))
    if after:
        warn("unreachable", "Elasticsearch does not answer")
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")})
    Status(str(tmp_path), lambda: Counts(dead_here=2), warn, notifier).show(1000.0)
    words = heard.recv(1000).decode().partition("STATUS=")[2]
    assert words.count("; ") == before + after
    assert kept_there(words) == "2 refused lines are on this machine alone (deadletter.ndjson)"
    assert kept_there(words.replace("deadletter.ndjson", "")) == ""
    heard.close()
    notifier.close()


def test_why_the_last_one_ended_is_told_until_this_one_has_run_well_for_a_while(tmp_path: Path) -> None:
    """To whoever started it and in status.json. While Elasticsearch takes no lines nobody knows whether it would fail again."""
    heard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    heard.bind(str(tmp_path / "notify"))
    heard.setblocking(False)
    last_end.record(str(tmp_path), "sender 1", KeyError("a line"))
    warn = Warnings(io.StringIO())
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")})
    status = Status(str(tmp_path), Counts, warn, notifier)

    def told() -> list[Any]:
        end = json.loads((tmp_path / "status.json").read_text())["last_end"]
        return [end and end["sentence"], (tmp_path / last_end.FILE).exists()]

    status.show(1000.0)
    why = "the thread sender 1 failed: KeyError: …"
    assert told() == [why, True]
    said = heard.recv(1000).decode()
    assert said.startswith("READY=1\nWATCHDOG=1\nSTATUS=ended at 20") and said.endswith(f" because {why}")
    status.show(1000.0 + WELL_S - 1)
    warn("unreachable", "Elasticsearch does not answer")
    status.show(1000.0 + WELL_S + 2)
    warn.stored()
    status.show(1000.0 + 2 * WELL_S)
    assert told() == [why, True]
    status.show(1000.0 + 2 * WELL_S + 3)
    assert told() == [None, False]
    assert heard.recv(1000).decode().endswith(f" because {why}; Elasticsearch does not answer")
    assert heard.recv(1000).decode().endswith(f" because {why}")
    status.show(1000.0 + 3 * WELL_S)
    assert heard.recv(1000).decode() == "STATUS="
    heard.close()
    notifier.close()


@pytest.mark.parametrize(
    "text", ["", "null", "[]", "x" * 100, '{"pid": 1}', '{"pid": 1, "time": "x", "sentence": "y"}']
)
def test_what_stands_in_the_file_of_the_last_end_ends_nothing(tmp_path: Path, text: str) -> None:
    """A full disk may have left anything."""
    (tmp_path / last_end.FILE).write_text(text)
    assert last_end.read(str(tmp_path)) is None


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            ValueError("invalid literal for int() with base 10: b'a line'"),
            "ValueError: invalid literal for int() with base 10: …",
        ),
        (KeyError("it's a line"), "KeyError: …"),
        (OSError(28, "No space left on device", "/a/'file'"), "OSError: [Errno 28] No space left on device: …"),
        (RuntimeError("can't start new thread"), "RuntimeError: can't start new thread"),
        (ValueError("an end that 'is cut"), "ValueError: an end that …"),
        (ZeroDivisionError(), "ZeroDivisionError"),
        (ValueError("x" * 5000), "ValueError: " + "x" * 119 + "…"),
    ],
)
def test_what_an_error_quotes_is_not_told(error: Exception, said: str) -> None:
    """It may be somebody's line; all else is what a person needs."""
    assert last_end.sentence("receiver", error) == f"the thread receiver failed: {said}"


def test_a_note_is_printed_once_and_is_no_trouble() -> None:
    """However many threads have it to say."""
    out = io.StringIO()
    warn = Warnings(out)
    for _ in range(4):
        warn.note("template", "it may not be seen")
    assert out.getvalue() == "daqsched-executor forward: it may not be seen\n"
    assert (warn.printed, warn.troubles()) == (1, [])
