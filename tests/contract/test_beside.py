"""What waits for the machines that `scripts/test` has beside the tests, and for how long."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from beside import ENGINES, Beside, beside, machines
from examples import ONCE, left_out, some, unread
from workers import TOGETHER, next_file

CONTRACT = Path(__file__).parent


@pytest.fixture
def running() -> Iterator[subprocess.Popen[bytes]]:
    """A process that ends when its input does."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as made:
        yield made
        made.kill()


def of(process: subprocess.Popen[bytes], log: Path, later: int = 0) -> Beside:
    start = int(Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[19])
    return Beside("machines", process.pid, start + later, log)


def test_it_is_waited_for_until_it_has_ended(running: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """Also where nobody has asked for its exit status yet, as in `scripts/test`."""
    other = of(running, tmp_path / "log")
    waiting = threading.Thread(target=other.wait)
    waiting.start()
    waiting.join(0.2)
    assert waiting.is_alive()
    assert running.stdin is not None
    running.stdin.close()
    waiting.join(30)
    assert not waiting.is_alive() and running.returncode is None
    other.wait()
    running.wait(30)
    other.wait()


def test_another_process_of_its_number_is_not(running: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """A number comes again; who ended long ago holds nothing up."""
    of(running, tmp_path / "log", later=1).wait()
    assert running.poll() is None


@pytest.mark.parametrize("later", [0, 1])
def test_a_thread_of_its_number_is_not(tmp_path: Path, later: int) -> None:
    """Nor where it began in the same tick."""
    over, known, told = threading.Event(), threading.Event(), []

    def run() -> None:
        told.append(threading.get_native_id())
        known.set()
        over.wait(30)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert known.wait(30)
        start = int(Path(f"/proc/{told[0]}/stat").read_text().rpartition(")")[2].split()[19])
        Beside("machines", told[0], start + later, tmp_path / "log").wait()
        assert thread.is_alive()
    finally:
        over.set()
        thread.join(30)


def test_how_long_it_took_is_to_its_last_word(running: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """Its log was written last when it ended."""
    log = tmp_path / "log"
    log.write_text("14 passed\n")
    assert 0 <= of(running, log).took_s() < 600


def test_who_is_named_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line each, machines among them or not; the log's path may have spaces."""
    monkeypatch.setenv("DAQSCHED_TEST_BESIDE", "machines 7 11 /a b/log\npython3.9 8 12 /log\n")
    both = [Beside("machines", 7, 11, Path("/a b/log")), Beside("python3.9", 8, 12, Path("/log"))]
    assert (beside(), machines()) == (both, both[0])
    monkeypatch.setenv("DAQSCHED_TEST_BESIDE", "python3.9 8 12 /log\n")
    assert (beside(), machines()) == (both[1:], None)
    monkeypatch.delenv("DAQSCHED_TEST_BESIDE")
    assert (beside(), machines()) == ([], None)


def test_other_pythons_look_at_a_tenth_of_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """At its first case and at every tenth beyond, and at each test that is none."""
    tests = [*(f"f::a[{n}]" for n in range(21)), "f::b", "f::a_b[0]", "f::c[0]", "f::c[1]"]
    assert left_out(tests) == set()
    monkeypatch.setenv("DAQSCHED_OTHER_PYTHON", "1")
    assert [one for one in tests if one not in left_out(tests)] == [
        *("f::a[0]", "f::a[10]", "f::a[20]", "f::b", "f::a_b[0]", "f::c[0]")
    ]


def test_a_test_that_has_its_table_inside_asks_for_some(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it on .venv's Python, as many as of another table on the others."""
    assert list(some(range(21))) == list(range(21))
    monkeypatch.setenv("DAQSCHED_OTHER_PYTHON", "1")
    assert list(some(range(21))) == [0, 10, 20]


def test_other_pythons_read_no_file_that_shows_the_same_on_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are marked as a whole; they are there, also where one is called otherwise now."""
    for name in ONCE:
        assert [*CONTRACT.parent.glob(f"*/{name}")] and not unread(name)
    monkeypatch.setenv("DAQSCHED_OTHER_PYTHON", "1")
    assert all(map(unread, ONCE)) and not unread(Path(__file__).name)


def test_what_has_an_engine_or_a_network_waits_for_machines() -> None:
    """Those look at what is there before and after; two engines at once have each other's rules."""
    makes = re.compile(r"\bEngine\(|\"ip\", \"link\", \"add\"")
    files = (path for path in CONTRACT.glob("test_*.py") if path != Path(__file__))
    assert {path.name for path in files if makes.search(path.read_text(encoding="utf-8"))} == ENGINES


@pytest.mark.parametrize(
    "with_servers, beside_machines, first",
    [
        (True, False, "tests/cluster/test_pages.py"),
        (True, True, "tests/contract/test_api.py"),
        (False, False, "tests/contract/test_api.py"),
        (False, True, "tests/contract/test_api.py"),
    ],
)
def test_servers_are_for_some_workers_and_wait_for_machines(
    with_servers: bool, beside_machines: bool, first: str
) -> None:
    """Who has servers begins with what needs them; beside machines everybody has something else to do as long as there is any."""
    files = [f"tests/{name}.py" for name in ("contract/test_container", "cluster/test_pages", "contract/test_api")]
    assert next_file(files[1:], with_servers, beside_machines) == first
    assert next_file(files[:2], with_servers, beside_machines) == (files[0] if with_servers else None)
    assert next_file([], with_servers, beside_machines) is None


def test_files_that_one_worker_takes_are_there() -> None:
    """Else a file that has another name now would have a server of its own, and nobody would see why."""
    root = Path(__file__).resolve().parents[2]
    assert [one for some in TOGETHER for one in some if not (root / one).is_file()] == []
