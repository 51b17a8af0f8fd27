"""The cluster in machines, up once for all tests of this folder. It is there for `make vagrant-test` alone, with --machines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from machines.machines import Machines

#: The one of this run, if there is one.
_FARM: list[Machines] = []


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without --machines there are none."""
    ours = [item for item in items if item.path.parent.name == "machines"]
    if ours and not config.getoption("--machines"):
        config.hook.pytest_deselected(items=ours)
        items[:] = [item for item in items if item not in ours]


@pytest.fixture(scope="session")
def farm(pytestconfig: pytest.Config) -> Iterator[Machines]:
    """Provisioned machines; nothing of them is left afterwards. With ``--machines keep`` they stay, and are used again."""
    made = Machines()
    keep = pytestconfig.getoption("--machines") == "keep"
    if made.folder.exists() and not keep:
        pytest.exit("machines of this checkout are up: make vagrant-down first", 2)
    _FARM.append(made)
    try:
        made.up()
        yield made
    finally:
        if not keep:
            made.down()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """A failure comes with what the farm says."""
    outcome: Any = yield
    report = outcome.get_result()
    if report.failed and call.when == "call" and _FARM:
        report.sections.append(("the farm", _FARM[0].told()))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Where the time went: what was made, and each test."""
    if not _FARM:
        return
    terminalreporter.section("where the time of the machines went")
    for name, seconds in _FARM[0].spent.items():
        terminalreporter.write_line(f"{seconds:>6.1f} s  {name}")
    reports = [
        report for one in terminalreporter.stats.values() for report in one if getattr(report, "when", "") == "call"
    ]
    for report in reports:
        terminalreporter.write_line(f"{report.duration:>6.1f} s  {report.location[2]}")
    if _FARM[0].measured:
        terminalreporter.section("what was measured")
        for sentence in _FARM[0].measured:
            terminalreporter.write_line(sentence)
