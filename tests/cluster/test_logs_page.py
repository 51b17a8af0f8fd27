"""The page of logs in a real Chromium, at a real daemon that searches a real Elasticsearch."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from builders import job
from chromium import Page
from daqcluster import Cluster
from daqsched import passwords
from daqsched.serve.pages import BUILT
from daqsched.serve.searches import SearchAccount
from daqsched.spec import Spec
from daqsched_executor.contract.forwarding import Access
from login_page import AXE, CONTRAST, FAULTS, HOSTILE, breaches, log_in
from secured import ADMIN, PASSWORD
from stored_lines import Stored, stamp, store
from webport import WebServe, cheap_passwords

pytestmark = pytest.mark.skipif(
    not BUILT.exists(), reason="there is no Node.js, which scripts/web says, and so no page of the farm"
)

#: alice may read lines of all but hv.
RULES = 'version: 1\nrules: [{to: "password:alice", role: viewer, logs: "readout"}]\n'

PREFIX = "daqsched-logs"

SHOWN = "[...document.querySelectorAll('.lines li')].map((one) => one.innerText)"


def line(number: int, host: str, message: str, at: float, level: str = "info", name: str = "readout") -> Stored:
    """One of a job there; what differs in numbers alone has one fingerprint."""
    kind = "".join(one for one in message if not one.isdigit())
    source = {
        "@timestamp": stamp(at),
        "message": message,
        "host": {"name": host},
        "service": {"name": name, "node": {"name": f"{name}@{host}"}},
        "daqsched": {"stream": "stdout", "fingerprint": f"{hash(kind) & 0xFFFFFFFF:08x}"},
        "log": {"level": level, "offset": number},
        "event": {"dataset": "daqsched.task"},
        "labels": {"run": "1"},
        "orchestrator": {"type": "daqsched", "resource": {"type": "task", "id": f"{name}@{host}.1"}},
    }
    return Stored(f"page{number:05}", f"{PREFIX}-2026.11.28", source, None, at)


@pytest.fixture(scope="module")
def elasticsearch(empty: Cluster) -> str:
    """Three hosts print a line each minute, hlt02 an error besides; and what alice may not read."""
    now = time.time()
    lines = [
        line(3 * at + n, f"hlt0{n}", f"event {at} built", now - 60 * at - 5) for at in range(20) for n in (1, 2, 3)
    ]
    lines += [line(100 + n, "hlt02", f"link {n} lost", now - 100 - n, "error") for n in range(5)]
    lines += [
        line(200, "hlt03", HOSTILE, now - 30, "warning"),
        line(201, "hlt01", "secret voltage", now - 20, name="hv"),
    ]
    store(empty.elasticsearch_url, ADMIN, PREFIX, lines)
    return empty.elasticsearch_url


@pytest.fixture
def web(elasticsearch: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServe]:
    """A daemon that searches there."""
    cheap_passwords(monkeypatch)
    passwords.write(tmp_path / "passwords", "alice", "correct horse")
    secret = tmp_path / "account"
    secret.touch(0o600)
    secret.write_text(f"daqsched:{PASSWORD}\n")
    account = SearchAccount(elasticsearch, Access("", str(secret), ""))
    made = WebServe(tmp_path, RULES, tmp_path / "passwords", account=account, index=PREFIX)
    made.serve.client.apply(Spec(jobs=(job(hosts="hlt[01-03]"), job("hv", "hlt01"))), "the first")
    yield made
    made.close()
    made.serve.api.searches.close()


def opened(page: Page, web: WebServe, place: str) -> None:
    page.open(f"{web.url}/login?back={quote(place)}")
    log_in(page)
    page.wait("document.querySelector('.logs')")


def test_lines_are_searched_counted_and_looked_for_elsewhere(web: WebServe, page: Page) -> None:
    """In the words of the command line, which stands there; a bar is an interval, and a link is a search."""
    opened(page, web, "/logs")
    assert page.js("document.querySelector('.lines')") is None, "nobody has asked"
    page.js("document.querySelector('#grep').focus()")
    page.type("link lost")
    page.press("Enter")
    page.wait(f"{SHOWN}.length === 5")
    assert all("readout@hlt02 | error link " in one for one in page.js(SHOWN))
    assert "5 lines" in page.text("#spanned") and "span=3600" in page.js("location.search")
    assert "daqsched logs --grep 'link lost' --since 3600s" in page.text(".logs")
    page.click(".lines .small")
    page.wait("document.querySelector('.elsewhere')")
    assert page.text(".elsewhere") == "Only on hlt02: 5 times; 3 hosts printed something."
    # the others are everywhere
    page.open(f"{web.url}/logs?grep=built&span=900&q=readout@hlt0*")
    page.wait(f"{SHOWN}.length === 45")
    page.click(".lines .small")
    page.wait("document.querySelector('.elsewhere')")
    assert page.text(".elsewhere").startswith("On 3 of 3 hosts that printed something: hlt01 15 times, hlt02 15 times")
    bars = "[...document.querySelectorAll('.bars button:not(:disabled)')]"
    assert page.js(f"{bars}.length") >= 15
    page.js(f"{bars}[0].click()")
    page.wait("location.search.includes('until=')")
    page.wait(f"{SHOWN}.length >= 1 && {SHOWN}.length <= 3")
    assert "--until" in page.text(".logs")
    assert not breaches(page)


def test_nobody_reads_what_he_may_not_and_words_of_others_are_text(web: WebServe, page: Page) -> None:
    """Of another one's job nothing is there; a line that is hostile is a line."""
    opened(page, web, "/logs?level=warning&span=3600")
    page.wait(f"{SHOWN}.length === 6")
    assert any(HOSTILE in one for one in page.js(SHOWN))
    page.open(f"{web.url}/logs?q=hv&span=3600")
    page.wait("document.querySelector('#spanned')")
    assert "secret" not in page.text(".logs")
    page.open(f"{web.url}/logs?q=readout@&span=3600&level={quote(HOSTILE)}&until=x")
    page.wait("document.querySelector('.logs .wrong')?.textContent.includes('names no host after the @')")
    assert page.js("document.images.length") == 0 and not breaches(page)


def test_lines_are_followed_as_they_come_and_paused(web: WebServe, page: Page, elasticsearch: str) -> None:
    """Each once, the newest last."""
    opened(page, web, "/logs?grep=fresh&span=900")
    page.wait("document.querySelector('#spanned')")
    page.click("#live")
    page.wait("document.querySelector('#live').textContent === 'Pause'")
    assert "daqsched logs -f --grep fresh" in page.text(".logs")
    for number in range(3):
        store(elasticsearch, ADMIN, PREFIX, [line(300 + number, "hlt01", f"fresh {number}", time.time())])
        page.wait(f"{SHOWN}.length === {number + 1}")
    assert [one.rpartition("fresh ")[2][:1] for one in page.js(SHOWN)] == ["0", "1", "2"]
    page.click("#live")
    page.wait("document.querySelector('#live').textContent === 'Follow'")
    assert not breaches(page)


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1440, 360])
def test_they_can_be_read_at_every_width_in_light_and_dark(web: WebServe, page: Page, width: int, dark: bool) -> None:
    """As the farm itself."""
    page.size(width, 800, dark)
    opened(page, web, "/logs?span=900")
    page.wait(f"{SHOWN}.length > 40")
    assert page.js("document.documentElement.scrollWidth") <= width
    worst = page.js(CONTRAST)
    assert worst["ratio"] >= 4.5, worst
    page.js(AXE.read_text(encoding="utf-8") + ";0")
    found: list[Any] = page.js(FAULTS)
    assert not [one for one in found if one[1] in ("serious", "critical")], found
