"""The other pages of the farm in a real Chromium, at a real daemon: incidents, the rollout and the hand on it, history."""

from __future__ import annotations

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
from daqsched.serve.pages import BUILT
from daqsched.spec import Spec
from daqsched_executor.contract import Exit, Report
from login_page import AXE, CONTRAST, FAULTS, HOSTILE, breaches, log_in
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
    made.serve.client.apply(Spec(jobs=(job(hosts="hlt[01-03]"),)), "the first")
    for host in HOSTS:
        says(made, events.OffersArrived((offer(host),)))
    for host in HOSTS:
        reports(made, host, Report("running", 7))
    yield made
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
    page.wait(f"document.querySelector('[data-steer={what}]')")
    page.js(f"document.querySelector('[data-steer={what}]').click()")
    page.wait("document.activeElement.id === 'message'")
    page.type(message)
    page.js("document.querySelector('#act').click()")


def test_incidents_say_whether_it_fails_here_or_everywhere(web: WebServe, page: Page) -> None:
    """What died alike is one, with its last line as text; the page follows, and leads to the board."""
    dies(web, "hlt02", HOSTILE)
    opened(page, web, "/incidents")
    assert "once, only on hlt02: readout" in page.text(".incident") and page.text(".incident .lines") == HOSTILE
    assert "after revision 1" in page.text(".incident")
    dies(web, "hlt03", HOSTILE)
    page.wait("document.querySelector('.incident')?.innerText.includes('2 times, on 2 hosts: readout')")
    assert page.js("document.querySelectorAll('.incident').length") == 1
    page.js("document.querySelector('.incident a').click()")
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
    page.js("document.querySelector('[data-steer=pause]').click()")
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
        page.js("document.querySelector('#act').click()")
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
    page.js(f'document.querySelector("{first} button").click()')
    page.wait("document.querySelectorAll('.diff li').length === 2")
    assert page.text(".diff") == "+ evb\n~ readout version not said -> r2"
    page.js("document.querySelector(\"[data-revision='1'] button\").click()")
    page.wait("document.querySelectorAll('.diff').length === 2")
    web.serve.client.apply(Spec(jobs=(job(hosts="hlt[01-02]", release="r2"),)), "less", stops=9)
    page.wait("document.querySelector('[data-revision]')?.dataset.revision === '3'")
    assert page.js("document.images.length") == 0 and not breaches(page)


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1440, 360])
def test_they_can_be_read_at_every_width_in_light_and_dark(web: WebServe, page: Page, width: int, dark: bool) -> None:
    """As the farm itself."""
    dies(web, "hlt02", "x" * 300)
    web.serve.client.apply(Spec(jobs=(job(hosts="hlt[01-03]", release="r2"),)), "y" * 300, strategy=BY_ONE, stops=9)
    page.size(width, 800, dark)
    opened(page, web, "/incidents")
    for place in ("/incidents", "/rollout", "/history"):
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
