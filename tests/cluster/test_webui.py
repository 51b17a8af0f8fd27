"""The master's web page in a real browser, against the real master and its agents."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from chromium import Browser, Page, browser
from daqcluster import Cluster
from farm import Farm

#: What a page says of what went wrong in it.
TROUBLE = ("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled", "Page.javascriptDialogOpening")


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("chromium") / "profile") as made:
        yield made


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A tab, in which nothing went wrong."""
    made = chromium.page()
    yield made
    assert made.happened(*TROUBLE) == []
    made.close()


@pytest.fixture(scope="module")
def farm(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """Two tasks of one job, of which one has a check and prints."""
    made = Farm(tmp_path_factory.mktemp("farm"), cluster.master_address)
    made.serve()
    try:
        made.apply(
            """
beat = ("/bin/sh", "-c", "echo begin; while sleep 0.2; do echo beat; done")
jobs = [Job("readout", argv=beat, hosts="hlt[01-02]", version="release-01")]
"""
        )
        yield made
    finally:
        made.clear()
        made.end()


def at(cluster: Cluster, where: str = "") -> str:
    return f"{cluster.status()['webui']}/{where}"


def test_the_page_shows_what_the_master_knows(cluster: Cluster, farm: Farm, page: Page) -> None:
    """Tasks with host, version and message; agents with resources and attributes; the framework."""
    page.open(at(cluster))
    page.wait("document.querySelectorAll('.space .row').length >= 2")
    text = page.text(".space")
    assert "readout@hlt01" in text and "readout@hlt02" in text and "release-01" in text and "RUNNING" in text
    page.js("location.hash = '#/agents'")
    page.wait("document.querySelectorAll('.agents .space .row').length === 3")
    text = page.text(".space")
    assert "hlt03" in text and "of 64" in text and "rack=r1" in text
    page.js("location.hash = '#/frameworks'")
    page.wait("document.querySelector('.frameworks .space .row')")
    assert "daqsched" in page.text(".space")


def test_a_sandbox_is_read_by_hand_and_by_keys(cluster: Cluster, farm: Farm, page: Page) -> None:
    """From the list to the file's end with keys alone; what is printed meanwhile comes by itself."""
    page.open(at(cluster, "#/tasks?q=readout@hlt01"))
    page.wait("document.querySelectorAll('.space .row').length === 1")
    page.js("document.querySelector('.list').focus()")
    page.press("ArrowDown")
    page.press("Enter")
    page.wait("document.querySelector('.links a')")
    page.js("document.querySelector('.links a').focus()")
    page.press("Enter")
    page.wait("document.querySelector('.folder td a')")
    names = json.loads(page.js("JSON.stringify([...document.querySelectorAll('td a')].map((one) => one.textContent))"))
    assert {"stdout", "stderr"} <= set(names)
    page.js("[...document.querySelectorAll('td a')].find((one) => one.textContent === 'stdout').focus()")
    page.press("Enter")
    page.wait("document.querySelector('pre')?.textContent.startsWith('begin\\nbeat')")
    page.js("document.getElementById('follow').click()")
    shown = page.js("document.querySelector('pre').textContent.length")
    page.wait(f"document.querySelector('pre').textContent.length > {shown} + 20")
