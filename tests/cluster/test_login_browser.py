"""The log-in page in a real Chromium: in, back to the same place, out; by the keyboard, in the dark, and with hostile words."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import quote

import pytest

from chromium import Page
from daqsched import passwords
from daqsched.serve.web_rules import COOKIE
from login_page import CONTRAST, READY, SAID, breaches, log_in
from places import NO_PLACES
from standby_pair import Pair
from waiting import until
from webport import cheap_passwords

RULES = """
version: 1
people: {alice: ["password:alice"], bob: ["password:bob"]}
rules: [{to: alice, role: viewer}]
"""

#: What Chromium shows in a frame that it refused.
ERROR = "chrome-error://chromewebdata/"


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    cheap_passwords(monkeypatch)
    made = Pair(tmp_path, RULES, passwords=True)
    yield made
    made.close()


@pytest.mark.parametrize("at", ["leader", "standby"])
def test_who_logs_in_comes_back_to_the_same_place_and_out_again(pair: Pair, page: Page, at: str) -> None:
    """Of this port, by the keyboard alone; the session is in no script's reach."""
    url = pair.web.url if at == "leader" else pair.url
    page.open(f"{url}/v1/status?select=readout&state=STARTING")
    assert page.js("location.pathname") == "/login"
    log_in(page)
    page.wait("location.pathname === '/v1/status'")
    assert page.js("location.search") == "?select=readout&state=STARTING"
    page.wait("document.body?.innerText.includes('hlt01')")
    page.open(f"{url}/plain")
    page.wait("document.querySelector('#states dt')")
    assert page.text("#states").split() == ["STARTING", "1"] and page.text("#who") == "alice"
    assert "password:alice" in page.text("#called") and page.js("document.cookie") == ""
    kept = page.call("Network.getCookies", urls=[url])["cookies"]
    found = [(one["name"], one["httpOnly"], one["secure"], one["sameSite"], one["path"]) for one in kept]
    assert found == [(COOKIE, True, True, "Strict", "/")]
    page.press("Tab")
    assert page.text(":focus") == "Log out"
    page.press("Enter")
    page.wait(f"location.pathname === '/login' && {READY}")
    assert page.call("Network.getCookies", urls=[url])["cookies"] == []
    page.open(f"{url}/")
    page.wait(f"location.pathname === '/login' && {READY}")
    assert not breaches(page)
    asked = [one["request"]["url"] for one in page.happened("Network.requestWillBeSent")]
    # signs of fields are the browser's own
    assert asked and all(one.startswith((f"{url}/", "data:image/")) for one in asked), (
        "nobody else is asked for anything"
    )


def test_a_session_that_ends_leads_to_the_page_and_back(pair: Pair, page: Page) -> None:
    """Also where a page is open at that moment, at a place with words behind it."""
    page.open(f"{pair.web.url}/login?back={quote('/plain?q=readout@*#top')}")
    log_in(page)
    page.wait("location.search === '?q=readout@*' && document.querySelector('#states dt')")
    passwords.write(pair.web.folder / "passwords", "alice", "another horse")
    page.wait(f"location.pathname === '/login' && {READY}")
    assert page.js("new URLSearchParams(location.search).get('back')") == "/plain?q=readout@*#top"
    log_in(page, password="another horse")
    page.wait("location.pathname === '/plain' && document.querySelector('#states dt')")
    assert page.js("location.search + location.hash") == "?q=readout@*#top"
    # who is known already has nothing to type there, as after a link of another site, with which no cookie is sent
    page.open(f"{pair.web.url}/login?back={quote('/v1/rights')}")
    page.wait("location.pathname === '/v1/rights'")
    assert not breaches(page)


def test_failures_say_what_the_daemon_says(pair: Pair, page: Page) -> None:
    """With how long to wait; and who may see nothing is told so, and gets out again."""
    page.open(f"{pair.web.url}/login")
    log_in(page, password="wrong horse")
    said = []
    for _ in range(4):
        page.wait(SAID)
        said.append(page.text("#said"))
        assert page.js("document.activeElement.id") == "password" and page.js("document.activeElement.value") == ""
        page.js("document.querySelector('#said').hidden = true")
        page.type("wrong horse")
        page.press("Enter")
    assert said[0] == "this name and password do not belong together"
    assert said[3].startswith("too many wrong passwords: try again in ")
    passwords.write(pair.web.folder / "passwords", "bob", "battery staple")
    page.open(f"{pair.web.url}/login?back=/plain")
    log_in(page, "bob", "battery staple")
    page.wait(f"document.querySelector('#said') && {SAID} && location.pathname === '/plain'")
    assert "no rule gives bob" in page.text("#said")
    page.press("Tab")
    page.press("Enter")
    page.wait(f"location.pathname === '/login' && {READY}")
    assert not breaches(page)


def test_nothing_leads_out_of_the_daemon_s_own_address(pair: Pair, page: Page) -> None:
    """Each in the browser's own reading, and the scheme that it is really led to."""
    page.open(f"{pair.web.url}/login")
    page.wait(READY)
    tricky = [
        "/.//evil.example",
        "/..//evil.example",
        "/%2e//evil.example",
        "/a/..//evil.example",
        "/login",
        "/login?back=/login",
        "/./login",
    ]
    odd = [*NO_PLACES, *tricky, *(f"/{chr(at)}/evil.example" for at in range(0x180)), "/" + "a" * 3000]
    found = page.js(
        f"import('/pages/place.js').then(({{placeOf}}) => {json.dumps(odd)}.concat([null, 1, {{}}]).map((one) => placeOf(one)))"
    )
    first = f"{pair.web.url}/"
    assert len(found) == len(odd) + 3 and set(found[: len(NO_PLACES)]) == {first} and set(found[-3:]) == {first}
    for place, led in zip(odd, found):
        path = led[len(pair.web.url) :]
        assert led.startswith(first) and not path.startswith("//") and not path.startswith("/login"), (place, led)
    right = ["/", "/i/readout@hlt01", "/logs?q=a%20b&from=2026-11-28T00:00Z#x", "/%2f%2fevil.example"]
    assert page.js(
        f"import('/pages/place.js').then(({{placeOf}}) => {json.dumps(right)}.map((one) => placeOf(one)))"
    ) == [pair.web.url + one for one in right]


def test_words_of_others_are_text(pair: Pair, page: Page) -> None:
    """Whatever a daemon's sentence, a name or a state is."""
    hostile = "<img src=x onerror=alert(1)><script>alert(1)</script>\"'><svg onload=alert(1)>"
    page.open(f"{pair.web.url}/login")
    page.wait(READY)
    answer = json.dumps(
        {"error": hostile, "name": hostile, "called": [hostile], "now": 1, "progress": {"states": {hostile: 1}}}
    )
    page.js("document.title = 'before'")
    fake = f"window.fetch = async () => new Response({json.dumps(answer)}, {{status: %d}});"
    page.js(fake % 500)
    page.type("x")
    page.press("Tab")
    page.type("x")
    page.press("Enter")
    page.wait(SAID)
    assert page.text("#said") == hostile
    made = page.call("Page.addScriptToEvaluateOnNewDocument", source=fake % 200)["identifier"]
    page.open(f"{pair.web.url}/plain")
    page.wait("document.querySelector('#states dt')")
    assert page.text("#states dt") == page.text("#who") == page.text("#called") == hostile
    assert page.js("document.images.length + document.querySelectorAll('body script, main svg').length") == 0
    page.call("Page.removeScriptToEvaluateOnNewDocument", identifier=made)
    assert not breaches(page)


@pytest.mark.parametrize("dark", [False, True])
def test_it_can_be_read_in_light_and_dark_and_on_a_small_screen(pair: Pair, page: Page, dark: bool) -> None:
    """Each text has a contrast of 4.5 to 1 with what is behind it, and nothing is wider than the window."""
    page.size(320, 600, dark)
    for path, ready in (("/login", READY), ("/plain", "document.querySelector('#states dt')")):
        if path == "/plain":
            page.open(f"{pair.web.url}/login?back=/plain")
            log_in(page)
        else:
            page.open(pair.web.url + path)
        page.wait(ready)
        page.js(
            "document.querySelector('#said').hidden = false; document.querySelector('#said').textContent = 'x'.repeat(99)"
        )
        assert page.js("document.documentElement.scrollWidth") <= 320
        worst = page.js(CONTRAST)
        assert worst["ratio"] >= 4.5, worst


def test_a_page_of_another_site_shows_none_of_ours_in_a_frame(pair: Pair, page: Page) -> None:
    """Clickjacking: of who has logged in, too. A frame that allows it is shown beside them."""
    page.open(f"{pair.web.url}/login")
    log_in(page)
    page.wait("location.pathname !== '/login'")
    ours = [f"{pair.web.url}{path}" for path in ("/", "/login", "/plain", "/v1/status")]
    frames = "".join(f"<iframe src='{url}'></iframe>" for url in [*ours, "data:text/html,seen"])

    class Site(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = f"<!doctype html><title>evil</title>{frames}".encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    site = HTTPServer(("127.0.0.1", 0), Site)
    thread = threading.Thread(target=site.serve_forever, args=(0.05,))
    thread.start()
    try:
        page.open(f"http://127.0.0.1:{site.server_address[1]}/")
        page.wait("document.title === 'evil' && document.readyState === 'complete'")

        def refused() -> list[str]:
            urls = {one["requestId"]: one["response"]["url"] for one in page.happened("Network.responseReceived")}
            failed = page.happened("Network.loadingFailed")
            return sorted(
                urls[one["requestId"]] for one in failed if one["errorText"] == "net::ERR_BLOCKED_BY_RESPONSE"
            )

        until(lambda: page.js("1") and refused() == sorted(ours), "each frame is refused", 20)
        shown = page.call("Page.getFrameTree")["frameTree"]["childFrames"]
        # what is refused is beside these, of a process of its own, or among them as what it is
        assert [one["frame"]["url"] for one in shown if one["frame"]["url"] != ERROR] == ["data:text/html,seen"]
    finally:
        site.shutdown()
        site.server_close()
        thread.join()
