"""Options of the tests; `make faults` gives the first three."""

from __future__ import annotations

import faulthandler
import gc
import os
import signal
import sys
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, Optional

import pytest
from hypothesis import settings, strategies

from beside import SERVERS, beside, machines, needs
from examples import ONCE, examples, left_out, unread
from left_files import left_in, own_folder, remove

# a busy machine is no failure
settings.register_profile("daqsched", deadline=None, max_examples=examples(100))
settings.load_profile("daqsched")


def pytest_addoption(parser: pytest.Parser) -> None:
    """How long and how random tests/faults is."""
    parser.addoption("--kills", type=int, default=60, help="how many kill -9s tests/faults makes for each launcher")
    parser.addoption(
        "--fuzz-minutes", type=float, default=0, help="for how long tests/faults feeds the parsers with anything"
    )
    parser.addoption("--seed", type=int, default=None, help="repeat a run of tests/faults")
    parser.addoption(
        "--machines",
        choices=("down", "keep"),
        help="bring machines up for tests/machines, and take them down or keep them; else those are left out",
    )


#: What waits longest for servers begins first, so that at the end only short files are left to the workers.
ORDER = ("machines", "faults", "cluster", "contract", "unit")

#: In a folder the files that take longest come first.
LONG = [
    f"test_{name}.py"
    for name in (
        *("pages", "tutorials", "forward", "hands", "search", "lines", "roles", "farm", "options", "console"),
        *("reader_roles", "rights", "lines_rights", "daqcluster", "changes"),
        *(
            "forward_delivery",
            "rights_steps",
            "browser_side",
            "completion",
            "executor_checks",
            "logfiles",
            "oidc",
            "stores",
        ),
        *("board_api", "control_api", "streams_end"),
        "boundaries",
    )
]


def pytest_ignore_collect(collection_path: Path) -> Optional[bool]:
    """What another Python leaves out as a whole it needs not read."""
    return True if unread(collection_path.name) else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The folders in `ORDER`; within one everything stays as it was. Of large tables other Pythons look at some cases."""
    if unseen := left_out(item.nodeid for item in items):
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid in unseen])
        items[:] = [item for item in items if item.nodeid not in unseen]
    rank = {name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: (ORDER.index(needs(item.path)), rank.get(item.path.name, len(rank))))
    for item in items:
        if item.path.name in ONCE:
            item.add_marker(pytest.mark.once)


#: How long after its limit a test that could not be interrupted, or whose teardown hangs then, ends its process.
BEYOND_S = 300.0
#: The temporary folder of all processes of this run.
_temporary = pytest.StashKey[Path]()
#: stderr as it is while no test captures it; where threads are is told there.
_stderr = pytest.StashKey[int]()


def pytest_configure(config: pytest.Config) -> None:
    """SIGUSR1 asks a process of pytest where each of its threads is (`scripts/test`). Those of one run share a temporary folder."""
    if not hasattr(config, "workerinput"):
        config.stash[_temporary] = own_folder(os.environ)
    config.stash[_stderr] = os.dup(sys.__stderr__.fileno() if sys.__stderr__ else 2)
    faulthandler.register(signal.SIGUSR1, file=config.stash[_stderr], all_threads=True)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Nothing that a test left there stays."""
    if _temporary in config.stash:
        remove(config.stash[_temporary])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Optional[Any]:
    """Which worker takes which file, where files are shared out."""
    if config.getoption("dist") != "loadfile":
        return None
    from workers import Files  # who runs tests without workers needs not have xdist

    return Files(config, log)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """pytest-timeout interrupts a test once. What hangs beyond that would hang for ever, and say nothing.

    What must not run beside machines waits for them before its time counts.
    """
    other = machines()
    if other and needs(item.path) in SERVERS:
        other.wait()
    marker = item.get_closest_marker("timeout")
    option = item.config.getoption("timeout")
    given = marker.args[0] if marker else item.config.getini("timeout") if option is None else option
    limit_s = float(given or 0)
    if limit_s:
        faulthandler.dump_traceback_later(limit_s + BEYOND_S, exit=True, file=item.config.stash[_stderr])
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Nothing that is made here is garbage: Python needs not look for any."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_finish(session: pytest.Session) -> None:
    """All that there is now stays to the end: the search for a test's garbage passes it over."""
    if session.config.option.collectonly:
        strategies.text().validate()  # two seconds the first time, which is kept on the disk: else each worker takes them
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def no_forwarder_is_left() -> Iterator[None]:
    """What a test began and did not end, since it failed, would be a warning in the next one, and have its port."""
    from forwarding import ForwarderProcess  # not for those who want options alone

    already = len(ForwarderProcess.begun)
    yield
    for process in ForwarderProcess.begun[already:]:
        process.kill()
        process.wait()
    del ForwarderProcess.begun[already:]


#: When the tests began, on the monotonic clock.
BEGAN = time.monotonic()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, exitstatus: int) -> None:
    """Before pytest's last line, what was said beside the tests, and where the time of `scripts/test` went; it says so in
    NAME=SECONDS,..."""
    phases = [one.rpartition("=") for one in os.environ.get("DAQSCHED_TEST_PHASES", "").split(",") if one]
    others = beside() if exitstatus <= pytest.ExitCode.TESTS_FAILED else []  # who ends this early ends those, too
    for other in others:
        other.wait()
        terminalreporter.section(f"beside the tests: {other.name}")
        terminalreporter.write(other.log.read_text(encoding="utf-8", errors="replace"))
    left = left_in(terminalreporter.config.stash[_temporary])
    if left:
        terminalreporter.section("left in the temporary folder, and removed")
        terminalreporter.write_line("\n".join(left))
    if phases:
        terminalreporter.section("where the time went")
        for name, _, seconds in [*phases, ("tests", "=", f"{time.monotonic() - BEGAN:.0f}")]:
            terminalreporter.write_line(f"{seconds:>6} s  {name}")
    for other in others:
        terminalreporter.write_line(f"{other.took_s():>6.0f} s  {other.name}, beside these")
