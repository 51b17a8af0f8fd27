"""Hostile requests to a daemon that is real but for Mesos: a sentence or an answer, never its end, now or at its next start."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from builders import job, offer
from daqsched.client import Client
from daqsched.engine import events
from daqsched.engine.commands import Launch, TaskToLaunch
from daqsched.errors import UserError
from daqsched.fill import payload
from daqsched.mesos.connection import Mesos
from daqsched.mesos.outgoing import Framework, checked, task_info
from daqsched.serve.api import Api
from daqsched.serve.daemon import Daemon
from daqsched.serve.planning import Deadline
from daqsched.serve.serving import Serving
from daqsched.spec import Spec
from daqsched.store.sqlite import SqliteStore
from daqsched_executor.contract import Stop
from hostile import REQUESTS, mutated
from served import Serve

#: Every so many of the mutations of a request that carries a whole spec; the unit tests look at all of them.
STRIDE = 29


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """A running daemon."""
    made = Serve(tmp_path)
    yield made
    made.close()


@pytest.fixture
def http(serve: Serve) -> Iterator[httpx.Client]:
    """To ask what no client of ours would."""
    with httpx.Client(
        transport=httpx.HTTPTransport(uds=str(serve.path), verify=False), base_url="http://daqsched/v1", timeout=30
    ) as client:
        yield client


def heard(answer: httpx.Response) -> int:
    """The status; where it is a refusal, its sentence is one that people can read."""
    assert answer.status_code in (200, 400, 403, 404, 405, 410, 412, 413, 503), answer.text[:1000]
    if answer.status_code in (400, 403, 410, 412, 503):
        sentence = json.loads(answer.content)["error"]
        assert 0 < len(sentence) < 2000 and sentence.isprintable(), sentence
    return answer.status_code


def test_no_request_ends_the_daemon_now_or_at_its_next_start(
    serve: Serve,
    http: httpx.Client,
    tmp_path: Path,
) -> None:
    """Each field of each request with each hostile value; whatever was taken is offered a machine, saved, and read again."""
    serve.daemon.put(events.Registered("fw", "m:5050"))
    serve.client.apply(Spec(jobs=(job(hosts="hlt[01-02]"), job("other"))))
    statuses = []
    for path, request in REQUESTS.items():
        whole = hasattr(request, "spec")
        for at, (_, data) in enumerate(mutated(request)):
            if not whole or at % STRIDE == 0:
                statuses.append(heard(http.post(f"/{path}", content=data)))
        serve.daemon.put(events.OffersArrived((offer("hlt01"), offer("hlt02"))))
        serve.settle()
    assert statuses.count(200) > 20 and statuses.count(400) > 300
    for command in serve.edge.told:
        for task in command.tasks if isinstance(command, Launch) else ():
            checked(task_info(Framework("daq"), task, "agent"))
    assert serve.failed is None
    serve.client.status()
    serve.close()
    store = SqliteStore(tmp_path / "state")
    again = Daemon(store, lambda spec: spec)
    again.engine.handle(events.Registered("fw", "m:5050"), 1e9)
    again.engine.check()
    store.close()


@pytest.mark.parametrize(
    "value", ["NaN", "inf", "-1e300", "1e300", "9" * 5000, "x", "", "\x1b[2J", "0x10", "-1", "1e18"]
)
def test_no_query_ends_the_daemon(http: httpx.Client, value: str) -> None:
    """Numbers in addresses are bounded as those in bodies are."""
    for path in ("history?most", "status?at", "progress?most", "progress?seen", "why?most", "preflight/x?wait_s"):
        heard(http.get(f"/{path.partition('?')[0]}", params={path.partition("?")[2]: value}))
    heard(http.get("/revisions/" + (value.replace("\x1b", "") or "-")))


@pytest.mark.parametrize("word", ["*a" * 500, "x" * 60_000, "@", "a@h[1-99][1-99][1-99]", "\ud800", "[" * 900])
def test_no_selection_ends_the_daemon(http: httpx.Client, word: str) -> None:
    """Words in addresses, too."""
    for path in ("status", "why", "progress"):
        heard(http.get(f"/{path}", params={"select": word.encode("utf-8", "surrogatepass")}))


def test_a_body_without_end_is_cut_off(http: httpx.Client) -> None:
    """A megabyte is enough for a request without a job file, and sixteen for one with it."""
    assert "1,048,576 bytes" in http.post("/stop", content=b" " * (2 << 20)).text
    assert "larger than 16 MiB" in http.post("/apply", content=b" " * (17 << 20)).text


class Thoughtful:
    """In the place of what the framework adds to a spec: thinks until it is told to stop."""

    def __init__(self) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()

    def __call__(self, spec: Spec) -> Spec:
        self.begun.set()
        assert self.go_on.wait(60)
        return spec


def test_others_are_answered_while_a_plan_is_worked_out(serve: Serve, tmp_path: Path) -> None:
    """However long it takes: the thread that answers and the one that owns the engine have nothing to do with it."""
    thinks = Thoughtful()
    serving = Serving(tmp_path / "slow", "", Api(serve.daemon, thinks, "", "").app)
    plans, others = Client(tmp_path / "slow"), Client(tmp_path / "slow")
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(plans.plan(Spec(jobs=(job(),)))))
    thread.start()
    try:
        assert thinks.begun.wait(10)
        assert others.info().revision == 0 and not others.status().rows
        serve.settle()
        assert not found
    finally:
        thinks.go_on.set()
        thread.join(20)
        for client in (plans, others):
            client.close()
        serving.close()
    assert found[0].instances == {"add": 1}


def test_a_plan_that_takes_too_long_is_given_up() -> None:
    """It looks at the time wherever it goes through instances, and before it begins."""
    clock = iter(range(1000))
    deadline = Deadline(3.0, lambda: next(clock))
    with pytest.raises(UserError, match="took more than 3 s"):
        list(deadline.each(range(10_000)))
    late = Deadline(0.0, iter([0.0, 1.0]).__next__)
    with pytest.raises(UserError, match="given up"):
        late.look()


def test_a_task_that_can_not_be_encoded_fails_alone() -> None:
    """The other tasks of the offer are launched."""
    said: list[events.Event] = []
    mesos = Mesos("127.0.0.1:1", Framework("daq"), "fw", said.append)
    good, bad = (
        TaskToLaunch(payload(one, "hlt01", f"{one.name}@hlt01.1"), one.cpus, one.mem, one.disk)
        for one in (job("good"), job("bad", stop=Stop(grace_s=1e300)))
    )
    infos = mesos.infos(Launch("offer", "agent", (good, bad), 5.0))
    assert [info["name"] for info in infos] == ["good@hlt01"]
    (failed,) = said
    assert isinstance(failed, events.TaskReported) and failed.state == "TASK_ERROR"
    assert failed.task_id == "bad@hlt01.1" and "1e+300 s, is more than Mesos can count" in failed.message


@pytest.mark.parametrize("closed", ["1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_a_command_whose_output_is_closed_says_nothing(serve: Serve, closed: str) -> None:
    """And ends as it would have."""
    command = f"{sys.executable} -m daqsched.cli --socket {serve.path} status {closed}"
    found = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, timeout=60)
    assert found.returncode == 0 and "Traceback" not in found.stderr + found.stdout
