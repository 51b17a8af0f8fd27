"""What a crew types, from the word to the daemon and back: the answer says what is so afterwards, also of odd words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Callable

import pytest
from click.testing import CliRunner

from builders import job, offer
from daqsched.cli import main
from daqsched.engine import events
from daqsched.spec import Spec
from served import Serve

Run = Callable[..., str]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """A running daemon."""
    made = Serve(tmp_path)
    yield made
    made.close()


@pytest.fixture
def run(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> Run:
    """What a command prints."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("daqsched.client.Client", lambda path: serve.client)  # each would be left open

    def typed(*words: object, status: int = 0) -> str:
        done = CliRunner().invoke(main, ["--socket", str(serve.path), *map(str, words)], terminal_width=200)
        assert done.exit_code == status, done.output
        return " ".join(done.output.split())

    return typed


def launched(serve: Serve, *jobs: str) -> None:
    """These run on hlt01, whose agent listens at 10.0.0.1:5051."""
    serve.daemon.put(events.Registered("fw", "m:5050"))
    serve.client.apply(Spec(jobs=tuple(job(name) for name in jobs)))
    serve.daemon.put(events.OffersArrived((offer(place="10.0.0.1:5051"),)))
    serve.settle()
    for task in serve.edge.launched():
        serve.daemon.put(events.TaskReported(task, "agent-hlt01", "TASK_RUNNING", uuid="u"))
    serve.settle()


def test_replace_says_which_agent_is_the_host_now_and_does_not_undo_itself(serve: Serve, run: Run) -> None:
    """Typed twice it moves nothing back."""
    launched(serve, "readout")
    serve.daemon.put(events.OffersArrived((offer(id="b", agent="agent-2", place="10.0.0.2:5051"),)))
    said = run("replace", "hlt01", "--yes")
    assert "hlt01 is agent-2 (10.0.0.2:5051) now, and was agent-hlt01 (10.0.0.1:5051); 1 programs move" in said
    assert "add its id: agent-hlt01 (10.0.0.1:5051)" in run("replace", "hlt01", "--yes", status=2)
    assert "hlt01 is agent-2 (10.0.0.2:5051), as before; " in run("replace", "hlt01", "agent-2")


def test_start_counts_nothing_that_waits_for_a_persons_word(serve: Serve, run: Run) -> None:
    """The end of what can't be reached, or a host that is set aside."""
    launched(serve, "rc", "readout")
    (task,) = (one for one in serve.edge.launched() if one.startswith("rc@"))
    serve.daemon.put(events.TaskReported(task, "agent-hlt01", "TASK_UNREACHABLE"))
    others = (job("readout", "hlt01"), job("evb", "hlt03"))
    serve.client.apply(Spec(jobs=(job("rc", "hlt02", replaces=("rc",)), *others)))
    said = run("start", "rc@hlt02")
    assert "0 may run" in said and "can't be reached; `daqsched start rc@hlt02 --anyway` starts it all the same" in said
    assert "1 may run" in (said := run("start", "rc@hlt02", "--anyway")) and "reached" not in said
    serve.client.apply(Spec(jobs=(job("rc", "hlt[02-03]", replaces=("rc",)), *others)))
    assert "rc@hlt[02-03] waits for" in (said := run("start", "rc")) and "`daqsched start rc@HOST --anyway`" in said
    run("aside", "hlt03", "--for", "1h")
    said = run("start", "evb", "readout")
    assert "1 may run" in said and "is set aside by" in said and "`daqsched return hlt03` ends that" in said
