"""Who ends many programs says that it is meant: to the daemon's socket, with an option, or at a terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from io import StringIO
from pathlib import Path
from typing import Any, Callable, Optional

import httpx
import pytest
from rich.console import Console

from builders import job, offer
from daqsched.client import Client
from daqsched.confirm import ALL, NotConfirmed
from daqsched.engine import commands, events
from daqsched.exchange import HttpAnswer
from daqsched.rollout import AT_ONCE, Strategy
from daqsched.spec import EMPTY, Spec
from daqsched.terminal.show_changes import plan_lines
from served import Serve
from waiting import until

HOSTS = [f"hlt{number:02d}" for number in range(1, 9)]
JOBS = Spec(jobs=(job(hosts="hlt[01-08]", release="r1"),))


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """A daemon whose eight programs run, of which five may end unasked."""
    made = Serve(tmp_path)
    made.daemon.put(events.Registered("fw", "m:5050"))
    made.client.apply(JOBS)
    run(made)
    yield made
    made.close()


def run(serve: Serve) -> None:
    """All that waits is launched, and says that it runs."""
    serve.daemon.put(events.OffersArrived(tuple(map(offer, HOSTS))))
    serve.settle()
    for task in serve.edge.launched():
        host = task.partition("@")[2].partition(".")[0]
        serve.daemon.put(events.TaskReported(task, f"agent-{host}", "TASK_RUNNING", "pid 7", uuid="u"))
    serve.settle()


def killed(serve: Serve) -> int:
    serve.settle()
    return sum(isinstance(command, commands.Kill) for command in serve.edge.told)


#: Each request that ends programs, by the client's own method.
ASKS: dict[str, Callable[[Client, Optional[int]], Any]] = {
    "apply": lambda client, stops: client.apply(EMPTY, allow_empty=True, stops=stops),
    "apply a version": lambda client, stops: client.apply(Spec(jobs=(job(hosts="hlt[01-08]"),)), stops=stops),
    "rollback": lambda client, stops: client.rollback(2, stops=stops),
    "stop": lambda client, stops: client.stop(["*"], stops=stops),
    "restart": lambda client, stops: client.restart(["*"], "", AT_ONCE, stops),
    "aside": lambda client, stops: client.aside(HOSTS, 4e9, "", stops),
}


@pytest.mark.parametrize("name", ASKS)
def test_the_daemon_itself_refuses_what_nobody_agreed_to(serve: Serve, name: str) -> None:
    """Whatever command, or program, asks; the error has the number and what would end."""
    if name == "rollback":
        serve.client.apply(Spec(jobs=(job(hosts="hlt01", release="r1"),)), stops=7)
        serve.client.apply(JOBS)
        run(serve)
        until(lambda: killed(serve) == 7, "the others are told to end")
        for task in [one for one in serve.edge.launched() if "@hlt01." not in one][:7]:
            host = task.partition("@")[2].partition(".")[0]
            serve.daemon.put(events.TaskReported(task, f"agent-{host}", "TASK_KILLED", uuid="u"))
        run(serve)
    before = killed(serve)
    count = 7 if name == "rollback" else 8
    for stops in (None, count - 1):
        with pytest.raises(NotConfirmed) as error:
            ASKS[name](serve.client, stops)
        assert error.value.stops == count and error.value.running == 8 and error.value.exit_code == 5
        assert [one.job for one in error.value.endings] == ["readout"]
    assert killed(serve) == before
    ASKS[name](serve.client, count)
    until(lambda: killed(serve) == before + count, "they are told to end")


@pytest.mark.parametrize(
    ("spec", "way", "ends"),
    [
        (EMPTY, None, 8),
        (Spec(jobs=(job(hosts="hlt[01-08]"),)), None, 8),
        (Spec(jobs=(job(hosts="hlt[01-08]"),)), Strategy(batches=(6,)), 6),
        (Spec(jobs=(job(hosts="hlt[01-08]"),)), Strategy(batches=(2,)), 2),
        (Spec(jobs=(job(hosts="hlt[01-08]"),), rollout=Strategy(batches=("75%",))), None, 6),
        (Spec(jobs=(job(hosts="hlt[01-05]", release="r1"),)), None, 3),
        (Spec(jobs=(job(hosts="hlt[01-08]", release="r1", owner="bob"),)), None, 0),
    ],
)
def test_a_plan_says_what_an_apply_of_it_would_ask(
    serve: Serve, spec: Spec, way: Optional[Strategy], ends: int
) -> None:
    """The same number, of as many, by the same bound; in text and in JSON; nothing where nothing ends."""
    found = serve.client.plan(spec, (), way).ends
    assert (found.stops if found is not None else 0) == ends
    said = "\n".join(printed(plan_lines(serve.client.plan(spec, (), way))))
    if ends > 5:
        assert found is not None and found.asks and found.unasked == 5
        with pytest.raises(NotConfirmed) as error:
            serve.client.apply(spec, strategy=way, allow_empty=True)
        assert (error.value.stops, error.value.running) == (found.stops, found.running)
        assert f"This ends {ends} of 8 running programs at once, and more than 5 (20, or 33% of them) are asked" in said
        assert f"give --stops {ends}, or --yes" in said
    else:
        assert (found is None or not found.asks) and "at once" not in said
        serve.client.apply(spec, strategy=way, allow_empty=True)


def printed(what: Any) -> list[str]:
    shown = Console(width=200, file=StringIO())
    shown.print(what)
    file: Any = shown.file
    return str(file.getvalue()).splitlines()


def test_the_refusal_is_json_with_the_number(serve: Serve) -> None:
    """For programs that are no commands of ours."""
    with httpx.Client(
        transport=httpx.HTTPTransport(uds=str(serve.path), verify=False), base_url="http://daqsched/v1"
    ) as client:
        answer = client.post("/stop", json={"select": ["*"]})
        assert answer.status_code == 403
        found = answer.json()
        assert (found["exit_code"], found["stops"], found["running"]) == (5, 8, 8)
        assert found["endings"] == [{"job": "readout", "hosts": "hlt[01-08]", "count": 8, "again": False}]
        assert "give --stops 8, or --yes" in found["error"]
        assert client.post("/stop", json={"select": ["*"], "stops": 8}).status_code == 200


def command(serve: Serve, *words: str, **more: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "daqsched.cli", "--socket", str(serve.path), *words],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "NO_COLOR": "1"},
        **more,
    )


def test_without_a_terminal_a_command_is_refused_with_status_5(serve: Serve) -> None:
    """And with `--stops` or `--yes` it is not; more than was said is refused as well."""
    for options, status in (((), 5), (("--stops", "7"), 5), (("--stops", "8", "--yes"), 2), (("--stops", "8"), 0)):
        done = command(serve, "stop", "*", *options, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        out, err = done.communicate(timeout=60)
        assert done.returncode == status, err
        assert ("this ends 8 of 8 running programs at once" in err) == (status == 5)
    assert out.startswith("8 told to stop")
    until(lambda: killed(serve) == 8, "they are told to end")


@pytest.mark.parametrize(
    ("answer", "status"), [("y\n", 0), ("yes\n", 0), ("n\n", 5), ("\n", 5), ("what\n", 5), ("\x04", 5)]
)
def test_at_a_terminal_it_is_shown_what_ends_and_asked(serve: Serve, answer: str, status: int) -> None:
    """Anything but yes is no, and changes nothing."""
    ours, theirs = os.openpty()
    done = command(serve, "stop", "*", stdin=theirs, stderr=theirs)
    os.close(theirs)
    seen = b""
    while b"[y/N]" not in seen:
        seen += os.read(ours, 4096)
    shown = seen.decode().replace("\r\n", "\n")
    assert shown.startswith("  8 of readout on hlt[01-08]\nThis ends 8 of 8 running programs at once. Go on? [y/N] ")
    os.write(ours, answer.encode())
    out, _ = done.communicate(timeout=60)
    os.close(ours)
    assert done.returncode == status
    assert out.startswith("8 told to stop") == (status == 0)
    assert killed(serve) == (8 if status == 0 else 0)


def test_at_a_terminal_it_is_shown_whose_paused_rollout_ends(serve: Serve, tmp_path: Path) -> None:
    """And asked, though no program ends at once."""
    way = Strategy(batches=(1,))
    serve.daemon.put(events.JobsApplied(Spec(jobs=(job(hosts="hlt[01-08]"),)), "alice", "", way))
    serve.daemon.put(events.RolloutSteered("pause", "eve", "beam"))
    serve.settle()
    file = tmp_path / "jobs.py"
    file.write_text(
        'from daqsched import Job\njobs = [Job("readout", "/bin/true", hosts="hlt[01-08]", version="r3")]\n'
    )
    for answer, status in (("n", 5), ("y", 0)):
        ours, theirs = os.openpty()
        done = command(
            serve, "apply", str(file), "--batches", "1", "--no-wait", "--no-look", stdin=theirs, stderr=theirs
        )
        os.close(theirs)
        seen = b""
        while b"[y/N]" not in seen:
            seen += os.read(ours, 4096)
        assert (
            seen.decode()
            .replace("\r\n", "\n")
            .startswith(
                "This ends rollout 1 of alice, paused in batch 1 of 8 (1 of 8 instances changed), by eve: beam.\nGo on? [y/N] "
            )
        )
        os.write(ours, f"{answer}\n".encode())
        done.communicate(timeout=60)
        os.close(ours)
        assert done.returncode == status
    assert serve.rollout(1).replaced_by == 3


def test_what_was_agreed_to_is_a_number_and_not_any(serve: Serve) -> None:
    """Where more run by the time that somebody has said yes, they are asked again."""
    serve.client.stop(["@hlt08"])
    ours, theirs = os.openpty()
    done = command(serve, "stop", "*", "--message", "fire", stdin=theirs, stderr=theirs)
    os.close(theirs)
    seen = b""
    while b"[y/N]" not in seen:
        seen += os.read(ours, 4096)
    assert b"This ends 7 of 7" in seen
    (last,) = [one for one in serve.edge.launched() if "@hlt08." in one]
    serve.daemon.put(events.TaskReported(last, "agent-hlt08", "TASK_KILLED", uuid="u"))
    serve.client.start(["@hlt08"])
    serve.daemon.put(events.OffersArrived((offer("hlt08", id="again"),)))
    serve.settle()
    os.write(ours, b"y\n")
    seen = b""
    while b"[y/N]" not in seen:
        seen += os.read(ours, 4096)
    assert b"This ends 8 of 8" in seen
    os.write(ours, b"y\n")
    assert done.wait(60) == 0
    os.close(ours)
    assert done.stdout is not None and done.stdout.read().startswith("8 told to stop")
    done.stdout.close()


def test_yes_is_any_number(serve: Serve) -> None:
    """For people who know."""
    assert serve.client.stop(["*"], stops=ALL).count == 8


def test_a_command_of_before_says_nothing_and_is_bounded_all_the_same(serve: Serve) -> None:
    """And what it sends is understood."""
    with httpx.Client(
        transport=httpx.HTTPTransport(uds=str(serve.path), verify=False), base_url="http://daqsched/v1"
    ) as client:
        old = {"select": ["*"], "message": "", "everyones": False}
        assert client.post("/stop", json=old).status_code == 403
        assert client.post("/stop", json={**old, "select": ["@hlt01"]}).status_code == 200


def test_what_says_nothing_of_it_is_sent_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """So a daemon of before understands a newer command, which has no bound there."""
    sent: list[bytes] = []

    def answer(method: str, path: str, content: bytes, headers: Mapping[str, str]) -> HttpAnswer:
        sent.append(content)
        return HttpAnswer(200, b'{"count": 1}', (), method, path)

    client = Client(Path("/nowhere"))
    monkeypatch.setattr(client._daemon.http, "request", answer)
    client.stop(["a"])
    client.close()
    assert sent == [b'{"select":["a"]}']
