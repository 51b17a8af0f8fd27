"""The pages of the web port, as bytes: the same for everybody, nothing of the farm in them, and the way to them and back.

What a browser makes of them: tests/cluster/test_login_browser.py.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as some

from daqsched.operations import OPERATIONS
from daqsched.serve.pages import BUILT, FILES, FOLDER, PARTS, PLACES, STORY, page, table
from daqsched.serve.web_rules import (
    ANSWERS,
    COOKIE,
    LOGIN,
    MOST_BACK,
    PAGE,
    PAGE_POLICY,
    POLICY,
    is_place,
    is_visit,
    login_place,
)
from places import NO_PLACES
from standby_pair import Pair
from webport import cheap_passwords

WEB = FOLDER.parent.parent / "web"

#: What people wrote of the pages.
SOURCES = sorted([*FOLDER.iterdir(), *(one for one in WEB.iterdir() if one.suffix in (".ts", ".tsx", ".html", ".css"))])

VISIT = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}

RULES = 'version: 1\nrules: [{to: ["password:alice", "token:viewer"], role: viewer}]\n'


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    cheap_passwords(monkeypatch)
    made = Pair(tmp_path, RULES, passwords=True)
    yield made
    made.close()


def test_a_page_is_the_same_for_everybody_and_has_its_policy(pair: Pair) -> None:
    """Through the leader and through a standby, also one that knows of no leader; by its own name alone."""
    pair.standby.leader = None
    token = pair.web.token("viewer")
    asking = [*pair.both(), *pair.both(token), *pair.both(None, cookie=f"{COOKIE}=x.y"), *pair.both(None, **VISIT)]
    for path, file in FILES.items():
        contents = file.read_bytes()
        for http in asking:
            found = http.get(path)
            assert (found.status_code, found.content) == (200, contents), path
            policy = PAGE_POLICY if file.suffix == ".html" else POLICY
            assert found.headers.get_list("content-security-policy") == [policy.decode()]
            assert all(found.headers[key.decode()] == value.decode() for key, value in ANSWERS)
            assert http.head(path).status_code == 200 and not http.head(path).content
            assert http.get(path, headers={"host": "evil.example"}).status_code == 421
    # what is no look at it is no page's business, and there is nothing else
    assert {pair.both()[0].post(path, json={}).status_code for path in FILES} == {401}


def test_the_table_is_the_folder() -> None:
    """No file of it is without a place, and no place without a file; so it is of what was built."""
    found = set(FILES.values())
    assert found - {BUILT / name for name in PARTS} == set(FOLDER.iterdir())
    if BUILT.exists():
        assert found - set(FOLDER.iterdir()) == set(BUILT.iterdir())


def test_without_what_is_built_there_is_the_plain_page(tmp_path: Path) -> None:
    """As without a Node.js at set-up, or where a file of it is missing: all of it or nothing."""
    for name in ("", *PARTS[:-1]):
        if name:
            (tmp_path / name).write_text("x")
        found = table(tmp_path)
        assert found["/"] == found["/plain"] == FOLDER / "front.html"
        assert set(found.values()) == set(FOLDER.iterdir())
    (tmp_path / PARTS[-1]).write_text("x")
    found = table(tmp_path)
    assert found["/"] == tmp_path / "farm.html" and found["/plain"] == FOLDER / "front.html"
    assert found.keys() == {"/plain", "/", *FILES} | {f"/pages/{name}" for name in PARTS if name != "farm.html"}


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: file.name)
def test_no_page_has_words_that_its_policy_forbids_or_asks_anybody_else(file: Path) -> None:
    """No script, style or handler in the markup, no markup made of a text, no address of another host; of the page of the farm
    what it is built of."""
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".tsx":  # handlers that are functions, and styles that scripts set, are what the policy allows
        text = re.sub(r"\bstyle=\{", "", text)
        assert "dangerously" not in text
    assert not re.search(r"(?i)\bon[a-z]+\s*=\s*[\"']|\bstyle\s*=|<style|<script(?![^>]*\bsrc=)|javascript:", text)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|new Function|setAttribute", text)
    assert set(re.findall(r"(?:https?:)?//[\w./]+", text)) <= {"http://www.w3.org/2000/svg"}
    for place in re.findall(r"(?:src|href)=\"([^\"]*)\"", text):
        assert place in FILES or place in PLACES or place in [f"/pages/{name}" for name in PARTS], place


GETS = sorted(path for method, path in OPERATIONS if method == "GET")


def test_who_is_not_known_is_led_to_log_in_and_comes_back_to_the_same_place(pair: Pair) -> None:
    """With no session and with one that ended, at whatever is asked for; what is no visit is refused as ever."""
    over = {"cookie": f"{COOKIE}=x.y"}
    gets = [one for one in GETS if one != "/login"]  # how one logs in is told to everybody
    for path in [f"/v1{one}".replace("{", "").replace("}", "") for one in gets] + ["/nothing", "/else"]:
        place = f"{path}?q=readout@*&rows=hosts"
        for http in pair.both():
            for shown in ({}, over):
                led = http.get(place, headers={**VISIT, **shown})
                assert led.status_code == 303, place
                target = urlsplit(led.headers["location"])
                assert (target.scheme, target.netloc, target.path) == ("", "", LOGIN)
                assert parse_qs(target.query) == {"back": [place]}
                assert led.headers.get_list("content-security-policy") == [POLICY.decode()]
                for others in ({}, {"sec-fetch-dest": "empty"}, {"sec-fetch-dest": "iframe"}, {"accept": "*/*"}):
                    asked = {**VISIT, **shown, **others} if others else shown
                    assert http.get(place, headers=asked).status_code == 401, others
                assert http.post(path, json={}, headers={**VISIT, **shown}).status_code == 401
    known = pair.both(pair.web.token("viewer"), **VISIT)
    assert [one.get("/v1/rights").status_code for one in known] == [200, 200]
    assert [one.get("/v1/backup").status_code for one in known] == [403, 403], "who is known may not, and is told so"


@pytest.mark.parametrize("target", ["//evil.example/x", "/\\evil.example", "http://evil.example/x", "/" + "a" * 3000])
def test_a_target_that_leads_elsewhere_is_not_come_back_to(pair: Pair, target: str) -> None:
    """As it stands in the request's first line, which clients write."""
    where = ("127.0.0.1", int(pair.web.serving.web_address.rpartition(":")[2]))
    context: ssl.SSLContext = pair.web.context
    with context.wrap_socket(socket.create_connection(where, 10), server_hostname="localhost") as caller:
        caller.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\n\r\n".encode())
        head = caller.recv(4096).decode()
    place = re.search(r"\r\nlocation: (.*)\r\n", head)
    assert place is None or place[1] in (LOGIN, f"{LOGIN}?back=/x"), head


@given(some.binary(max_size=60).map(lambda one: b"/" + one), some.binary(max_size=60))
def test_the_way_back_is_the_place_itself_or_none(path: bytes, query: bytes) -> None:
    """Of any bytes; what is in the answer's head is ASCII without a break."""
    led = login_place(path, query)
    assert re.fullmatch(r"/login(\?back=[A-Za-z0-9/._~%-]+)?", led)
    back = parse_qs(urlsplit(led).query).get("back")
    if back:
        assert back == [(path + (b"?" + query if query else b"")).decode("ascii")] and is_place(back[0])
        assert urlsplit(urljoin("https://ours.example", back[0])).netloc == "ours.example"


def test_what_is_no_place_of_ours_is_none() -> None:
    """Schemes, other hosts, controls; a long one."""
    assert not [one for one in NO_PLACES if is_place(one)]
    assert is_place("/" + "a" * (MOST_BACK - 1)) and not is_place("/" + "a" * MOST_BACK)
    assert all(is_place(one) for one in ("/", "/i/readout@hlt01", "/logs?q=a%20b&from=2026-11-28T00:00Z", "/%2f%2fx"))


@given(some.text(max_size=40), some.sampled_from(["GET", "HEAD", "POST", "PUT", "get"]))
def test_no_path_becomes_one_of_a_file(text: str, method: str) -> None:
    """Only what is in the table, to the letter, is a page."""
    for path in (text, f"/pages/{text}", f"/pages/../{text}", f"/login/{text}", f"/{text}"):
        there = path in FILES or ((path.startswith(STORY) or path in PLACES) and BUILT.exists())
        assert (page(method, path) is not None) == (there and method in ("GET", "HEAD"))


@given(some.text(max_size=40))
def test_a_story_is_the_page_of_the_farm_whatever_it_is_about(text: str) -> None:
    """The same bytes: which instance it is about, the page reads from its address; so are the other pages."""
    farm = page("GET", "/")
    assert farm is not None
    for place in (f"{STORY}{text}", *PLACES):
        found = page("GET", place)
        assert (found.body if found else None) == (farm.body if BUILT.exists() else None)


def test_a_visit_is_a_browser_s_look_at_a_page() -> None:
    """Neither what scripts ask, nor frames, nor changes."""
    html = (b"accept", b"text/html, */*")
    assert is_visit("GET", [html]) and is_visit("GET", [html, (b"sec-fetch-dest", b"document")])
    assert not is_visit("POST", [html]) and not is_visit("GET", [(b"accept", b"*/*")])
    assert not is_visit("GET", [html, (b"sec-fetch-dest", b"image")]) and not is_visit("GET", [])
    assert PAGE.startswith("text/html")
