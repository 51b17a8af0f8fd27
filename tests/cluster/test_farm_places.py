"""The other pages of the farm in a real Chromium, at a real daemon: incidents, the rollout and the hand on it, history."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from builders import job, offer
from chromium import Page
from daqsched import passwords
from daqsched.engine import events
from daqsched.rollout import Strategy
from daqsched.serve.chronicle import Chronicle
from daqsched.serve.pages import BUILT
from daqsched.spec import Spec
from daqsched_executor.contract import Exit, Report
from login_page import AXE, CONTRAST, FAULTS, HOSTILE, breaches, log_in
from waiting import until
from webport import WebServe, cheap_passwords

pytestmark = pytest.mark.skipif(
    not BUILT.exists(), reason="there is no Node.js, which scripts/web says, and so no page of the farm"
)

RULES = 'version: 1\nrules: [{to: "password:alice", role: ROLE}]\n'

HOSTS = ("hlt01", "hlt02", "hlt03")

BY_ONE = Strategy(batches=(1,), ready_s=100.0)


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServe]:
    """Three machines, on which a job runs; alice is an expert."""
    cheap_passwords(monkeypatch)
    passwords.write(tmp_path / "passwords", "alice", "correct horse")
    made = WebServe(tmp_path, RULES.replace("ROLE", "expert"), tmp_path / "passwords")
    daemon, file = made.serve.daemon, tmp_path / "chronicle.sqlite"
    # SQLite wants one thread
    chronicle = daemon.ask(lambda engine, now: Chronicle(file, time.time() - 3600.0)).result(10)
    made.serve.api.looks.chronicle = chronicle
    daemon.subscribers.append(lambda changes: chronicle.note(daemon.engine, changes, time.time()))
    made.serve.client.apply(Spec(jobs=(job(hosts="hlt[01-03]"),)), "the first")
    for host in HOSTS:
        says(made, events.OffersArrived((offer(host),)))
    for host in HOSTS:
        reports(made, host, Report("running", 7))
    yield made
    daemon.ask(lambda engine, now: chronicle.close(now)).result(10)
    made.close()


def says(web: WebServe, event: events.Event) -> None:
    web.serve.daemon.put(event)
    web.serve.settle()


def reports(web: WebServe, host: str, report: Report, state: str = "TASK_RUNNING") -> None:
    """The executor of the job there speaks."""
    task = web.serve.daemon.engine.instances["readout", host].task
    data = report.to_json()
    says(web, events.TaskReported(task.id, task.agent_id, state, by_executor=True, data=data, executor_id=task.id))


def dies(web: WebServe, host: str, line: str) -> None:
    reports(web, host, Report("backoff", restarts=1, last_exit=Exit(time.time(), 2.0, signal="SIGSEGV", lines=(line,))))


def opened(page: Page, web: WebServe, place: str) -> None:
    page.open(f"{web.url}/login?back={quote(place)}")
    log_in(page)
    page.wait("document.querySelector('.story') && !document.querySelector('.story').innerText.includes('Asking ...')")


def steers(page: Page, what: str, message: str = "") -> None:
    """The button, and yes."""
    page.click(f"[data-steer={what}]")
    page.wait("document.activeElement.id === 'message'")
    page.type(message)
    page.click("#act")


def test_incidents_say_whether_it_fails_here_or_everywhere(web: WebServe, page: Page) -> None:
    """What died alike is one, with its last line as text; the page follows, and leads to the board."""
    dies(web, "hlt02", HOSTILE)
    opened(page, web, "/incidents")
    assert "once, only on hlt02: readout" in page.text(".incident") and page.text(".incident .lines") == HOSTILE
    assert "after revision 1" in page.text(".incident")
    dies(web, "hlt03", HOSTILE)
    page.wait("document.querySelector('.incident')?.innerText.includes('2 times, on 2 hosts: readout')")
    assert page.js("document.querySelectorAll('.incident').length") == 1
    page.click(".incident a")
    page.wait("location.pathname === '/' && document.querySelector('#meant')?.textContent === '2 of 3 are meant'")
    assert page.js("document.images.length") == 0 and not breaches(page)


def test_a_rollout_is_steered_by_who_may(web: WebServe, page: Page) -> None:
    """It says how far it is, what holds it up, what each button does, and the command that does the same."""
    opened(page, web, "/rollout")
    assert "There has been none that you see." in page.text(".story")
    web.serve.client.apply(Spec(jobs=(job(hosts="hlt[01-03]", release="r2"),)), HOSTILE, strategy=BY_ONE, stops=9)
    page.wait("document.querySelector('#rollout')?.textContent.includes('batch 1 of 3')")
    page.wait("document.querySelector('.story').innerText.includes('readout@hlt01')")
    assert HOSTILE in page.text(".story")
    page.click("[data-steer=pause]")
    page.wait("document.querySelector('dialog code')?.textContent === 'daqsched rollout pause'")
    page.press("Escape")
    page.wait("!document.querySelector('dialog')")
    steers(page, "pause", "beam is coming")
    page.wait("document.querySelector('#rollout').textContent.includes('is paused')")
    assert "by alice" in page.text("#rollout") and "beam is coming" in page.text("#rollout")
    page.wait("document.querySelector('[data-steer=resume]') && !document.querySelector('[data-steer=pause]')")
    steers(page, "abort", "no beam")
    page.wait("document.querySelector('#rollout').textContent.includes('was aborted')")
    page.wait("!document.querySelector('[data-steer]')")
    assert not breaches(page)


def test_what_a_way_back_ends_is_counted_by_the_daemon_and_agreed_to(web: WebServe, page: Page) -> None:
    """Nobody has counted when it is asked for; the daemon says how many, and the same button agrees to that."""
    web.serve.client.apply(
        Spec(jobs=(job(hosts="hlt[01-03]", release="r2"),)),
        "two",
        strategy=Strategy(ready_s=100.0, batches=("100%",)),
        stops=9,
    )
    for host in HOSTS:
        task = web.serve.daemon.engine.instances["readout", host].task
        says(web, events.TaskReported(task.id, task.agent_id, "TASK_KILLED", by_executor=True, executor_id=task.id))
        says(web, events.OffersArrived((offer(host),)))
        reports(web, host, Report("running", 8))
    opened(page, web, "/rollout")
    steers(page, "rollback")
    page.wait("document.querySelector('dialog .notice.bad') || !document.querySelector('dialog')")
    if page.js("document.querySelector('dialog') !== null"):
        page.wait("document.querySelector('dialog').innerText.includes('of them may run now, and end.')")
        page.click("#act")
    page.wait("document.querySelector('.story').innerText.includes('rollback of revision 2 to 1')")
    assert not breaches(page)


@pytest.mark.parametrize(
    ("role", "may"), [("viewer", []), ("shifter", ["pause"]), ("expert", ["pause", "abort", "rollback"])]
)
def test_each_role_has_the_buttons_of_what_it_may(web: WebServe, page: Page, role: str, may: list[str]) -> None:
    """And no others."""
    (web.folder / "rights.yaml").write_text(RULES.replace("ROLE", role))
    web.serve.client.apply(Spec(jobs=(job(hosts="hlt[01-03]", release="r2"),)), "two", strategy=BY_ONE, stops=9)
    opened(page, web, "/rollout")
    page.wait(f"document.querySelector('header').innerText.includes('{role}')")
    page.wait("document.querySelector('#rollout')")
    assert page.js("[...document.querySelectorAll('[data-steer]')].map((one) => one.dataset.steer)") == may


def test_history_shows_who_changed_what_and_why(web: WebServe, page: Page) -> None:
    """Counts, notes and how a rollout went; and what differs, for who asks."""
    web.serve.client.apply(Spec(jobs=(job(hosts="hlt[01-03]", release="r2"), job("evb", "hlt01"))), HOSTILE, stops=9)
    web.serve.client.note("beam is back")
    opened(page, web, "/history")
    first = "[data-revision='2']"
    assert page.js("[...document.querySelectorAll('[data-revision]')].map((one) => one.dataset.revision)") == ["2", "1"]
    assert HOSTILE in page.text(first) and "1 to start" in page.text(first) and "beam is back" in page.text(".note")
    page.click(f"{first} button")
    page.wait("document.querySelectorAll('.diff li').length === 2")
    assert page.text(".diff") == "+ evb\n~ readout version not said -> r2"
    page.click("[data-revision='1'] button")
    page.wait("document.querySelectorAll('.diff').length === 2")
    web.serve.client.apply(Spec(jobs=(job(hosts="hlt[01-02]", release="r2"),)), "less", stops=9)
    page.wait("document.querySelector('[data-revision]')?.dataset.revision === '3'")
    assert page.js("document.images.length") == 0 and not breaches(page)


def agrees(page: Page, button: str, message: str = "") -> str:
    """Presses it, reads the question, and says yes; the command that stood there."""
    page.click(button)
    page.wait("document.querySelector('#act')")
    if message:
        page.wait("document.activeElement.id === 'message'")
        page.type(message)
        page.wait(f"document.querySelector('#message').value === {json.dumps(message)}")
    command = page.text("dialog code")
    page.click("#act")
    page.wait("!document.querySelector('dialog')")
    return command


def test_a_host_is_set_aside_and_given_back(web: WebServe, page: Page) -> None:
    """What ends there is said before; somebody else's is told as such."""
    opened(page, web, "/crew")
    page.wait("document.querySelector('#aside form')")
    page.js("document.querySelector('#hosts').focus()")
    page.type("hlt[1-")
    page.press("Enter")
    page.wait("document.querySelector('#aside .wrong')?.textContent.includes('brackets')")
    page.js("document.querySelector('#hosts').select()")
    page.type("hlt[02-03]")
    page.press("Enter")
    page.wait("document.querySelector('dialog')")
    assert "2 of them may run now, and end." in page.text("dialog")
    page.press("Escape")
    page.wait("!document.querySelector('dialog')")
    command = agrees(page, "#aside form button", HOSTILE)
    assert command.startswith("daqsched aside 'hlt[02-03]' --for 4h -m ") and command.endswith("--stops 2")
    page.wait("document.querySelectorAll('[data-return]').length === 2")
    assert re.search("by alice, for (4 h|3 h 59 min) more", page.text("#aside")) and HOSTILE in page.text("#aside")
    assert agrees(page, "[data-return=hlt03]") == "daqsched return hlt03"
    page.wait("document.querySelectorAll('[data-return]').length === 1")
    web.serve.client.aside(["hlt03"], time.time() + 600.0, "mine", stops=9)
    page.wait("document.querySelectorAll('[data-return]').length === 2", 15)
    assert agrees(page, "[data-return=hlt03]") == "daqsched return hlt03 --all"
    page.wait("document.querySelectorAll('[data-return]').length === 1")
    assert not breaches(page)


def test_control_is_taken_given_back_and_taken_over(web: WebServe, page: Page) -> None:
    """By who may; it stands at the top of each page."""
    opened(page, web, "/crew")
    assert agrees(page, "[data-act=take]", "night shift") == "daqsched control take -m 'night shift'"
    page.wait("document.querySelector('header').innerText.includes('alice is in control of the farm')")
    page.wait("document.querySelector('#control').innerText.includes('night shift')")
    assert agrees(page, "[data-act=give]") == "daqsched control give"
    page.wait("document.querySelector('#control').innerText.includes('Nobody is in control')")
    web.serve.client.take(None, 3600.0, "I am here")
    page.wait("document.querySelector('[data-act=force]')", 15)
    assert page.js("document.querySelector('[data-act=take]')") is None
    assert agrees(page, "[data-act=force]", "no answer").startswith("daqsched control take --force")
    page.wait("document.querySelector('#control').innerText.includes('taken over from root')")
    assert not breaches(page)


#: The answer to the first note is lost.
LOST_NOTE = """{
  const real = window.fetch;
  let lost = 0;
  window.fetch = async (...asked) => {
    const answer = await real(...asked);
    if (String(asked[0]) !== '/v1/note' || !asked[1]?.method || lost++) return answer;
    throw new TypeError('lost');
  };
}"""


def test_notes_are_written_and_read(web: WebServe, page: Page) -> None:
    """Once, also where the answer is lost; as text."""
    opened(page, web, "/crew")
    page.js(LOST_NOTE)
    page.wait("document.querySelector('#note')")
    page.js("document.querySelector('#note').focus()")
    page.type(HOSTILE)
    page.press("Enter")
    page.wait("document.querySelector('#logbook .wrong')")
    page.click("#logbook form button")
    page.wait("document.querySelectorAll('#logbook li').length === 1")
    assert HOSTILE in page.text("#logbook li") and [one.message for one in web.serve.client.notes().notes] == [HOSTILE]
    assert not breaches(page)


def test_a_shift_is_handed_over(web: WebServe, page: Page) -> None:
    """All that the next one has to know, as text to copy; the word for it stands in the logbook."""
    web.serve.client.stop(["readout@hlt02"], "cabling", stops=9)
    web.serve.client.note(HOSTILE)
    dies(web, "hlt03", "link lost")
    opened(page, web, "/handover")
    page.wait("document.querySelector('#handover')")
    text = page.text("#handover")
    assert "1 of 3 is as desired." in text or "2 of 3 are as desired." in text
    for words in (
        "readout@hlt02  STOPPING",
        "killed by SIGSEGV, once, on hlt03: readout",
        "link lost",
        HOSTILE,
        "by alice",
    ):
        assert words in text, text
    page.js(LOST_NOTE)
    page.js("document.querySelector('#word').focus()")
    page.type("look at hlt03")
    page.press("Enter")
    page.wait("document.querySelector('.filter [role=status]').textContent.includes('does not answer')")
    # the farm goes on meanwhile, and what is asked for again says what it said
    web.serve.client.stop(["readout@hlt01"], "cabling, too", stops=9)
    page.wait("document.querySelector('#handover').textContent.includes('readout@hlt01')")
    page.click(".filter button")
    page.wait("document.querySelector('.filter [role=status]').textContent === 'It stands in the logbook.'")
    last, before = web.serve.client.notes().notes
    assert (
        before.message == HOSTILE
        and last.user == "alice"
        and last.message.startswith("shift handed over: ")
        and "look at hlt03" in last.message
    )
    assert page.js("document.images.length") == 0 and not breaches(page)


def test_keys_lead_from_page_to_page_and_are_listed(web: WebServe, page: Page) -> None:
    """Not while somebody types, nor from a question."""
    opened(page, web, "/history")
    page.press("?", "?")
    page.wait("document.activeElement.closest('dialog')?.innerText.includes('to the selection')")
    page.press("g", "g")
    page.press("i", "i")
    page.press("Escape")
    page.wait("!document.querySelector('dialog')")
    assert page.js("location.pathname") == "/history"
    page.press("g", "g")
    page.press("c", "c")
    page.wait("location.pathname === '/crew' && document.querySelector('#note')")
    page.js("document.querySelector('#note').focus()")
    for key in "gi?":
        page.press(key, key)
    assert page.js("document.querySelector('#note').value") == "gi?" and page.js("location.pathname") == "/crew"
    assert not breaches(page)


def changes(page: Page, field: str, value: str) -> None:
    """As somebody does by hand."""
    page.js(f"document.querySelector({field!r}).value = {value!r}")
    page.js(f"document.querySelector({field!r}).dispatchEvent(new Event('change', {{bubbles: true}}))")


#: verb -> yes or no, and why not.
MAY = """Object.fromEntries([...document.querySelectorAll('.may tbody tr')].map(
  ({cells: [may, verb, why]}) => [verb.innerText, [may.innerText, why.innerText]]))"""


def test_the_farm_is_shown_as_it_was(web: WebServe, page: Page) -> None:
    """By a moment in the address; nothing can be stopped then, nothing moves, and a button leads back."""
    before = math.ceil(time.time())
    until(lambda: time.time() > before, "a whole second of it is over")
    web.serve.client.stop(["readout@hlt02"], "beam dump", stops=9)

    def then() -> list[str]:
        return [one.state for one in web.serve.client.status(at=time.time()).rows if one.host == "hlt02"]

    until(lambda: then() == ["STOPPING"], "the chronicle has it")
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(before))
    page.open(f"{web.url}/login?back={quote(f'/?at={stamp}', safe='')}")
    log_in(page)
    page.wait("document.querySelector('#sentence')?.textContent === '3 RUNNING.'")
    assert page.text("#age").startswith("as of ") and "Revision 1 was in force" in page.text("#revision")
    assert page.js("document.querySelectorAll('.grid [data-state=RUNNING]').length") == 3
    page.js("document.querySelector('#q').focus()")
    page.type("readout@hlt02")
    page.wait("document.querySelector('.filter code')")
    assert page.text(".filter code") == f"daqsched status readout@hlt02 --at {stamp}"
    assert page.js("document.querySelector('[data-verb]')") is None
    web.serve.client.stop(["readout@hlt03"], "that, too", stops=9)
    page.click("#now")
    page.wait("document.querySelector('#sentence')?.textContent === '1 of 3 is as desired.'")
    page.wait("document.querySelector('[data-verb=stop]')")
    assert "at=" not in page.js("location.search") and page.text("#age").startswith("live, ")
    # the slider counts minutes; what is not over yet is no moment
    changes(page, "#moment", "2999-01-01T00:00:00")
    page.wait("document.querySelector('.then .wrong')?.textContent === 'That is not over yet.'")
    changes(page, "#ago", "-600")
    page.wait("document.querySelector('#age').textContent.startsWith('as of ') && location.search.includes('at=')")
    assert not breaches(page)


def test_whoever_may_not_is_told_why(web: WebServe, page: Page) -> None:
    """One's name leads there; of one instance, too. A viewer has no buttons, and reads what the crew reads."""
    (web.folder / "rights.yaml").write_text(RULES.replace("ROLE", "viewer"))
    opened(page, web, "/crew")
    page.wait("document.querySelector('header').innerText.includes('alice, viewer')")
    page.wait("document.querySelector('#control p')")
    assert page.js("document.querySelectorAll('.story form, .story [data-act], .story [data-return]').length") == 0
    page.click(".me a")
    page.wait("location.pathname === '/me' && document.querySelector('.may')")
    rows = page.js(MAY)
    assert rows["see"] == ["yes", ""] and rows["stop"][0] == "no" and "shifter" in rows["stop"][1]
    page.js("document.querySelector('#of').focus()")
    page.type("readout@hlt01")
    page.press("Enter")
    page.wait("document.querySelector('.command code').textContent === 'daqsched rights why - see readout@hlt01'")
    assert not breaches(page)


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1440, 360])
def test_they_can_be_read_at_every_width_in_light_and_dark(web: WebServe, page: Page, width: int, dark: bool) -> None:
    """As the farm itself."""
    dies(web, "hlt02", "x" * 300)
    web.serve.client.apply(Spec(jobs=(job(hosts="hlt[01-03]", release="r2"),)), "y" * 300, strategy=BY_ONE, stops=9)
    page.size(width, 800, dark)
    opened(page, web, "/incidents")
    for place in ("/incidents", "/rollout", "/history", "/crew", "/handover", "/me"):
        page.open(f"{web.url}{place}")
        page.wait(
            "document.querySelector('.story') && !document.querySelector('.story').innerText.includes('Asking ...')"
        )
        page.wait("document.querySelector('#age')")
        assert page.js("document.documentElement.scrollWidth") <= width, place
        worst = page.js(CONTRAST)
        assert worst["ratio"] >= 4.5, worst
        page.js(AXE.read_text(encoding="utf-8") + ";0")
        found: list[Any] = page.js(FAULTS)
        assert not [one for one in found if one[1] in ("serious", "critical")], found
