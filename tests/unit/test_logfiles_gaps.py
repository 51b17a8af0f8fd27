"""Files with zeros behind or amidst what was written: each line once, whatever the size that the file pretends to have."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daqsched_executor.contract import LogFiles
from daqsched_executor.forward.documents.lines import CHUNK
from daqsched_executor.forward.inputs.foreign_files import first_byte, last_line
from daqsched_executor.forward.inputs.registry import Registry
from daqsched_executor.forward.inputs.tailed_file import TailedFile
from daqsched_executor.forward.inputs.zeros import GAP, end_of, next_written, written_to
from daqsched_executor.forward.journal.position import Position

TIB = 1 << 40


class Service:
    """A program's file, and the forwarder's view of it, with a clock of our own."""

    def __init__(self, folder: Path, charset: str = "utf-8") -> None:
        self.path = folder / "app.log"
        self.path.touch()
        self.charset = charset
        self.registry = Registry(str(folder / "forward"), "hlt01")
        self.registry.prepare()
        self.now = 1000.0
        self.lines: list[str] = []
        self.reads = 0
        self.end = 0
        self.open()

    def open(self, start: int = 0) -> None:
        """Follow the file."""
        handle = os.open(self.path, os.O_RDONLY)
        one = LogFiles("app", (str(self.path),), charset=self.charset)
        stream = self.registry.stream(one, str(self.path), "AAAAAAAAAAA", start, handle)
        self.file = TailedFile(stream, self.registry.path("AAAAAAAAAAA"), Position(0, start), handle, lambda file: None)

    def put(self, text: str, at: int = -1) -> None:
        """As a program that writes where it is, whatever the file's size; ``at``: go there first."""
        self.end = at if at >= 0 else self.end
        data = text.encode(self.charset)
        with self.path.open("r+b") as file:
            file.seek(self.end)
            file.write(data)
        self.end += len(data)

    def look(self, seconds: float = 1.0) -> list[str]:
        """What the forwarder has read when nothing more is to be read at once; time passes."""
        self.now += seconds
        for _ in range(200):
            before = self.file.front.position
            status = self.file.look(self.now)
            if status is not None:
                self.file.size, self.file.changed, self.file.final = status.st_size, self.now, False
            self._read()
            if status is None and self.file.front.position == before:
                return self.lines
        raise AssertionError("it never ends")

    def _read(self) -> None:
        file, unit = self.file, len("\n".encode(self.charset))
        while file.readable and file.size > file.front.position.offset:
            offset = file.front.position.offset
            data = file.read(offset)[: file.size - offset]
            self.reads += len(data)
            newline = "\n".encode(self.charset)
            end = data.rfind(newline) + unit if newline in data else len(data) if file.final else 0
            if not end:
                file.front.tried = offset + len(data)
                return
            self.lines += data[:end].decode(self.charset).splitlines()
            file.front.move(file.front.position._replace(offset=offset + end))

    def close(self) -> None:
        """No descriptor stays."""
        os.close(self.file.file)


@pytest.fixture
def service(tmp_path: Path) -> Service:
    """See `Service`."""
    return Service(tmp_path)


@pytest.mark.parametrize("charset", ["utf-8", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("way", ["fallocate", "truncate", "zeros"])
def test_each_line_of_a_preallocated_file_comes_once(tmp_path: Path, way: str, charset: str) -> None:
    """However it was set aside; the file is extended in the midst, and cut at its end at last."""
    service = Service(tmp_path, charset)
    for part in range(1, 4):
        size = part * 65536
        with service.path.open("r+b") as file:
            if way == "fallocate":
                os.posix_fallocate(file.fileno(), 0, size)
            elif way == "truncate":
                file.truncate(size)
            else:
                file.seek(0, os.SEEK_END)
                file.write(bytes(size - file.tell()))
        service.look(0.1)
        for number in range((part - 1) * 1000, part * 1000):
            service.put(f"mapped line {number:05d}\n")
            if not number % 50:
                service.look(0.1)
    assert service.look(0.1) == [f"mapped line {number:05d}" for number in range(3000)]
    os.truncate(service.path, service.end)
    service.put("the last\n")
    assert service.look(0.1)[3000:] == ["the last"]
    service.close()


def test_a_hole_of_a_tebibyte_costs_nothing(service: Service) -> None:
    """Behind what was written, and amidst it: a line that a hole ends is one, what stands behind the hole comes after a while."""
    service.put("one\ntwo")
    os.truncate(service.path, TIB)
    assert service.look() == ["one"]
    service.put("three\n", TIB)
    assert service.look() == ["one"], "what lies before it may only be late"
    for _ in range(10):
        service.look()
    assert service.lines == ["one", "two", "three"]
    service.put("four\n")
    assert service.look()[3:] == ["four"] and service.reads < 100 * CHUNK
    service.close()


def test_lines_that_are_written_in_another_order_are_late_and_not_lost(service: Service) -> None:
    """Threads that fill pages of their own: none is passed over before it had some time."""
    os.truncate(service.path, 1 << 20)
    service.put("b" * 8191 + "\n", 8192)
    service.look(0.5)
    service.put("a" * 8191 + "\n", 0)
    assert [line[0] for line in service.look(0.5)] == ["a", "b"]
    service.close()


def test_a_file_that_was_there_is_followed_from_where_it_was_written_to(service: Service) -> None:
    """Not from the end of what was set aside."""
    service.put("old\n" * 5000)
    os.truncate(service.path, 1 << 30)
    handle = service.file.file
    assert last_line(handle) == 20_000 == end_of(handle, 1 << 30) and first_byte(handle) == 0
    service.close()
    service.open(last_line(os.open(service.path, os.O_RDONLY)))
    service.put("new\n")
    assert service.look() == ["new"]
    service.close()


def test_zeros_in_a_line_stay(service: Service) -> None:
    """They are few; only many are none."""
    service.put("a\0b\n" + "\0" * 100 + "c\n")
    assert service.look() == ["a\0b", "\0" * 100 + "c"]
    service.close()


PIECES = st.lists(st.tuples(st.integers(0, 3 * GAP), st.integers(1, 3 * GAP)), min_size=1, max_size=5)


@given(pieces=PIECES, tail=st.integers(0, 3 * GAP))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_what_was_written_is_found_whatever_the_gaps_are(
    pieces: list[tuple[int, int]], tail: int, tmp_path: Path
) -> None:
    """All bytes that are not zero are within the stretches that are found; none has a gap in it."""
    data = b"".join(bytes(gap) + b"x" * size for gap, size in pieces) + bytes(tail)
    path = tmp_path / "file"
    path.write_bytes(data)
    with path.open("rb") as file:
        handle, at, found = file.fileno(), 0, b""
        while at < len(data):
            end = written_to(handle, at, len(data))
            assert end >= at and bytes(GAP) not in data[at:end] and not data[end : end + 1].strip(b"\0")
            found += data[at:end].replace(b"\0", b"")
            following, searched = next_written(handle, end, len(data))
            if following < 0:
                assert searched == len(data)
                break
            assert not data[end:following].strip(b"\0")
            at = following
    assert found == data.replace(b"\0", b"")
