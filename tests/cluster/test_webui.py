"""The master's web page in a real browser, against the real master and its agents."""

from __future__ import annotations

import getpass
import json
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from chromium import Browser, Page, browser
from daqcluster import Cluster
from farm import Farm
from stranger import stranger

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
    page.open(at(cluster, "#/tasks?q=readout@hlt01&state=RUNNING"))
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


HOSTILE = "<img src=x onerror=alert(1)>\u202egnp\u200b\x1b[31m"

#: What it writes: each byte there is, markup, and names that are markup, no text, or turn the direction round.
WRITES = r"""
python3 -c 'import os, sys; sys.stdout.buffer.write(bytes(range(256)) * 4 + "é€".encode() + b"<script>alert(1)</script>\n")
for name in (b"<img src=x onerror=alert(1)>.html", b"\xff\xfe", "\u202egnp".encode(), b"%2e%2e", b"a b&c?d#e"):
    open(name, "wb").write(b"<script>alert(1)</script>")
os.mkfifo("pipe"); os.mkdir(b"<b>folder"); open(b"<b>folder/x", "w").write("deep")'; sleep 1000
"""


def test_a_foreign_framework_is_words_and_nothing_else(cluster: Cluster, page: Page) -> None:
    """What a master, an agent and a sandbox take for a name, a label or a line, the page shows as it is."""
    known = {"name": f"fw{HOSTILE}", "webui_url": "javascript:alert(1)", "user": getpass.getuser()}
    labels = {"labels": [{"key": f"key{HOSTILE}", "value": f"value{HOSTILE}"}, {"key": "version", "value": HOSTILE}]}
    task_id = "<img src=x onerror=alert(1)>\u202e\u20ac"
    with stranger(cluster.master_address, **known, labels=labels) as other:
        agent = other.launch({"name": f"task{HOSTILE}", "task_id": {"value": task_id}, "labels": labels}, WRITES)
        page.open(at(cluster, "#/tasks?q=onerror"))
        page.wait("document.querySelectorAll('.space .row').length === 1")
        shown = "<img src=x onerror=alert(1)>\\u202egnp\\u200b\\x1b[31m"
        assert f"task{shown}" in page.text(".space")
        page.js("document.querySelector('.space a').click()")
        page.wait("document.querySelectorAll('.details h3').length === 3")
        assert f"key{shown}" in page.text(".details") and f"value{shown}" in page.text(".details")

        page.js("document.querySelector('.links a').click()")  # the sandbox
        names = "JSON.stringify([...document.querySelectorAll('.folder td a')].map((one) => one.textContent))"
        page.wait(f"{names}.includes('folder')")
        found = json.loads(page.js(names))
        assert {"<img src=x onerror=alert(1)>.html", "\\u202egnp", "%2e%2e", "a b&c?d#e", "<b>folder/"} <= set(found)
        for name, text in [
            ("%2e%2e", "<script>alert(1)</script>"),
            ("a b&c?d#e", "<script>alert(1)</script>"),
            ("\ufffd\ufffd", "<script>alert(1)</script>"),
        ]:
            page.js(
                f"[...document.querySelectorAll('td a')].find((one) => one.textContent === {json.dumps(name)}).click()"
            )
            page.wait("document.querySelector('pre')?.textContent")
            assert page.js("document.querySelector('pre').textContent") == text
            page.js("history.back()")
            page.wait(f"{names}.includes('folder')")
        # who asks an agent for a pipe that nobody writes to keeps it from answering: there is no link, and no way by the address
        assert "pipe" in page.text(".folder") and "pipe" not in found
        here = page.js("location.hash")
        page.js(f"location.hash = {json.dumps(here.replace('#/folder', '#/file') + '/pipe')}")
        page.wait("/no regular file \\(p/.test(document.querySelector('.trouble').textContent)")
        page.js(f"location.hash = {json.dumps(here)}")
        page.wait(f"{names}.includes('folder')")
        page.js("[...document.querySelectorAll('td a')].find((one) => one.textContent === '<b>folder/').click()")
        page.wait(f"{names} === '[\"x\"]'")
        page.js("document.querySelector('.path a').click()")  # back by the path's parts
        page.wait(f"{names}.includes('stdout')")
        page.js("[...document.querySelectorAll('td a')].find((one) => one.textContent === 'stdout').click()")
        page.wait("document.querySelector('pre')?.textContent")
        text = page.js("document.querySelector('pre').textContent")
        assert text.endswith("é€<script>alert(1)</script>\n") and "\\x00\\x01" in text and "\ufffd" in text
        assert "bytes 0 to 1,055 of 1,055" in page.text(".number")

        page.js(f"location.hash = '#/framework/{quote(other.id)}'")
        page.wait("document.querySelector('.details dl')")
        assert f"fw{shown}" in page.text("h2") and "javascript:alert(1) (no link" in page.text("dl")
        page.js(f"location.hash = '#/agent/{quote(agent)}'")
        page.wait("document.querySelector('.details dl')")
        assert f"task{shown}" in page.text(".details")
        assert page.js("document.images.length + document.scripts.length") == 1
    page.wait("/COMPLETED/.test(document.body.textContent) || (location.hash = '#/frameworks')")


def test_nothing_is_asked_but_the_master_and_the_agent_that_is_looked_at(
    cluster: Cluster, farm: Farm, page: Page
) -> None:
    """Whoever opens the page tells nobody else of it."""
    page.open(at(cluster, "#/tasks?q=readout@hlt02"))
    page.wait("document.querySelector('.space .row')")
    page.js("document.querySelector('.space a').click()")
    page.wait("document.querySelector('.links a')")
    page.js("document.querySelectorAll('.links a')[1].click()")
    page.wait("document.querySelector('pre')?.textContent.startsWith('begin')")
    hosts = {
        one["request"]["url"].split("/")[2]
        for one in page.happened("Network.requestWillBeSent")
        if "//" in one["request"]["url"]
    }
    members = cluster.members
    assert hosts == {cluster.master_address, f"127.0.0.1:{members['hlt02'].port}"}


def test_a_master_that_dies_is_told_and_asked_again(cluster: Cluster, page: Page) -> None:
    """kill -9 while the page is open; it comes back by itself."""
    page.open(at(cluster, "#/agents"))
    page.wait("document.querySelectorAll('.space .row').length === 3")
    cluster.kill("master")
    try:
        page.wait("/can't be reached/.test(document.getElementById('trouble').textContent)")
        assert page.js("document.querySelectorAll('.space .row').length") == 3
    finally:
        cluster.start("master")
    page.wait("document.getElementById('trouble').hidden")
    page.quiet("net::ERR")
