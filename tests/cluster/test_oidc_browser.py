"""Logging in by an identity provider with a real Chromium, which is on another site than the daemon."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from chromium import Page
from daqsched.serve.web_rules import COOKIE
from identity_provider import IdentityProvider
from login_page import READY, SAID, breaches, log_in
from standby_pair import Pair
from webport import cheap_passwords, files

RULES = """
version: 1
people: {alice: ["password:alice", "oidc:alice"]}
rules: [{to: alice, role: viewer}]
"""


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[IdentityProvider]:
    folder = tmp_path / "idp"
    folder.mkdir()
    made = IdentityProvider(folder, *files(folder))
    yield made
    made.close()


@pytest.fixture
def pair(tmp_path: Path, lab: IdentityProvider, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    cheap_passwords(monkeypatch)
    made = Pair(tmp_path, RULES, passwords=True, provider=lab.provider())
    yield made
    made.close()


@pytest.mark.parametrize("at", ["leader", "standby"])
def test_who_logs_in_at_the_provider_comes_back_to_the_same_place(pair: Pair, page: Page, at: str) -> None:
    """Of the daemon, which the browser calls otherwise than the provider; the code is in no address any more."""
    url = (pair.web.url if at == "leader" else pair.url).replace("127.0.0.1", "localhost")
    page.open(f"{url}/v1/status?select=readout&state=STARTING")
    page.wait(READY)
    assert page.text("#provider") == "Log in with The Lab" and page.js("document.activeElement.id") == "user"
    for _ in range(3):
        page.press("Tab")
    assert page.js("document.activeElement.id") == "provider"
    page.press("Enter")
    page.wait("location.pathname === '/v1/status'")
    assert page.js("location.search") == "?select=readout&state=STARTING"
    page.wait("document.body?.innerText.includes('hlt01')")
    kept = page.call("Network.getCookies", urls=[url])["cookies"]
    assert [(one["name"], one["httpOnly"], one["sameSite"]) for one in kept] == [(COOKIE, True, "Strict")]
    page.open(f"{url}/plain")
    page.wait("document.querySelector('#states dt')")
    assert "oidc:alice" in page.text("#called")
    assert not breaches(page)


def test_what_goes_wrong_is_said_and_a_password_still_does(pair: Pair, page: Page, lab: IdentityProvider) -> None:
    """What the provider signs is wrong; it is away; somebody sends a link with a code of his own."""
    lab.sign = lambda claims: lab.signed({**claims, "aud": "x"})
    url = pair.web.url.replace("127.0.0.1", "localhost")
    page.open(f"{url}/login?back={quote('/plain')}")
    page.wait(READY)
    page.js("document.querySelector('#provider').click()")
    page.wait(f"{READY} && {SAID}")
    assert "for somebody else than this client" in page.text("#said")
    assert page.js("location.pathname + location.search") == "/login"
    page.open(f"{url}/login?state=x&code=y&iss={quote(lab.issuer)}")
    page.wait(f"{READY} && {SAID}")
    assert "not begun in this browser" in page.text("#said") and page.js("location.search") == ""
    lab.instead["/.well-known/openid-configuration"] = lambda handler: (503, b"")
    provider = pair.web.authentication.provider
    assert provider is not None
    provider._known = None
    page.open(f"{url}/login?back={quote('/plain')}")
    page.wait(READY)
    page.js("document.querySelector('#provider').click()")
    page.wait(SAID)
    assert page.text("#said").startswith("nobody can log in by The Lab now, which answers with status 503")
    log_in(page)
    page.wait("location.pathname === '/plain' && document.querySelector('#states dt')")
    assert not breaches(page)


def test_where_there_are_no_passwords_there_is_the_button_alone(pair: Pair, page: Page) -> None:
    """And it has the focus."""
    pair.web.authentication.passwords = None
    page.open(f"{pair.web.url}/login")
    page.wait(READY)
    assert page.js("document.querySelector('form').hidden") and page.js("document.activeElement.id") == "provider"
    pair.web.authentication.passwords = pair.web.passwords
