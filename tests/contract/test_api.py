"""The daemon's loop, its socket and the CLI's client, all real; in Mesos' place an edge that notes what it is told."""

from __future__ import annotations

import asyncio
import getpass
import itertools
import json
import os
import socket
import stat
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Callable

import httpx
import msgspec
import pytest
from click.testing import CliRunner, Result

from builders import job, offer
from daqsched.cli import main
from daqsched.client import Client
from daqsched.engine import commands, events
from daqsched.engine.engine import Engine
from daqsched.engine.verdict import Accepted
from daqsched.errors import DaqschedError, Refused, Unreachable, UserError
from daqsched.preflight import UNDER_WAY
from daqsched.protocol import Applied, StoriesAnswer
from daqsched.rollout import ONE_BY_ONE, Strategy
from daqsched.serve.socketfile import SocketFile
from daqsched.spec import EMPTY, Spec
from daqsched.store.backup import unpack
from daqsched.store.base import revision_of
from daqsched.views.rows import Story
from daqsched_executor.contract import Container, Findings
from served import Serve
from waiting import until


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """A running daemon."""
    made = Serve(tmp_path)
    yield made
    made.close()


def test_an_action_that_no_chosen_job_has_is_one_sentence(serve: Serve) -> None:
    """With those that they have; no executor is asked. Where some have it, the others say so."""
    offering = job("readout", hosts="hlt[01-09]", actions={"dump": ("/bin/true",), "reset": ("/bin/true",)})
    serve.client.apply(Spec(jobs=(offering, job("rcd", hosts="hlt[01-02]"), job("evb", actions={"nosuch": ("x",)}))))
    before = len(serve.edge.told)
    for select, sentence in (
        (["readout"], "there is no action 'nosuch', nothing was asked for: readout has dump, reset"),
        (["r*"], "there is no action 'nosuch', nothing was asked for: rcd has none; readout has dump, reset"),
    ):
        with pytest.raises(UserError) as error:
            serve.client.order(select, "act", "nosuch")
        assert str(error.value) == sentence
    serve.settle()
    assert len(serve.edge.told) == before
    answer = serve.client.order(["rcd", "evb"], "act", "nosuch")
    assert answer.accepted == [] and sorted(answer.rejected) == [
        ("evb", "hlt01", "does not run"),
        ("rcd", "hlt01", "has no action 'nosuch' (it has: none)"),
        ("rcd", "hlt02", "has no action 'nosuch' (it has: none)"),
    ]


def test_apply_launches_on_the_next_offer_and_names_who_asked(serve: Serve) -> None:
    """From the socket through the loop to the edge; the user is the one that the kernel knows."""
    serve.daemon.put(events.Registered("fw", "m:5050"))
    applied = serve.client.apply(Spec(jobs=(job(),)), "first")
    assert applied.revision == 1 and [c.what for c in applied.plan.changes] == ["add"]
    serve.daemon.put(events.OffersArrived((offer(),)))
    serve.settle()
    (task,) = serve.edge.launched()
    serve.daemon.put(events.TaskReported(task, "agent-hlt01", "TASK_RUNNING", "pid 7", uuid="u"))
    serve.settle()
    answer = serve.client.status()
    assert [(row.job, row.state) for row in answer.rows] == [("readout", "RUNNING")]
    assert answer.user == getpass.getuser() and answer.revision == 1
    assert serve.client.progress().progress.complete
    assert commands.Acknowledge(task, "agent-hlt01", "u") in serve.edge.told


def test_the_same_spec_again_is_no_revision(serve: Serve) -> None:
    """Nothing changes, nothing is written."""
    spec = Spec(jobs=(job(),))
    assert serve.client.apply(spec).revision == serve.client.apply(spec).revision == 1
    assert serve.client.plan(spec).changes == ()


def test_a_farm_is_not_emptied_by_mistake(serve: Serve) -> None:
    """A file without jobs must be meant."""
    serve.client.apply(Spec(jobs=(job(),)))
    with pytest.raises(Refused, match="--allow-empty"):
        serve.client.apply(EMPTY)
    assert serve.client.apply(EMPTY, allow_empty=True).revision == 2
    serve.client.apply(Spec(jobs=(job(),)))
    assert serve.client.rollback(2).revision == 4, "a revision was meant"


def test_stop_and_start_say_how_many_they_meant(serve: Serve) -> None:
    """And a selection that fits nothing is a mistake."""
    serve.client.apply(Spec(jobs=(job(hosts="h[1-3]"),)))
    assert serve.client.stop(["readout@h[1-2]"], "look").count == 2
    assert sorted(row.state for row in serve.client.status().rows) == ["STOPPED", "STOPPED", "WAITING"]
    assert serve.client.start(["*"]).count == 3
    with pytest.raises(UserError, match="no job matches nothing: `daqsched status` lists them$"):
        serve.client.stop(["nothing"])
    with pytest.raises(UserError, match="no job matches h1: .* lists them; a host is written @h1$"):
        serve.client.stop(["h1"])
    with pytest.raises(UserError, match="of these words h1 matches nothing; a host is written @h1$"):
        serve.client.stop(["readout", "h1"])


def test_only_that_means_nothing_is_refused_by_the_daemon(serve: Serve) -> None:
    """Whoever asks, by whatever program; and what was meant is told. Nothing is changed, proposed or asked."""
    serve.client.apply(Spec(jobs=(job(hosts="h[1-3]"), job("gone", "h9"))))
    spec, before = Spec(jobs=(job(hosts="h[1-3]", argv=("/bin/new",)), job("dcs", "h1"))), serve.client.info().revision
    asked: list[Callable[[list[str]], object]] = [
        lambda only: serve.client.plan(spec, only),
        lambda only: serve.client.apply(spec, only=only, no_look=True),
        lambda only: serve.client.propose(spec, only=only),
        lambda only: serve.client.preflight(spec, only),
    ]
    for ask in asked:
        for only, near in (
            (["readuot@h1"], "; did you mean readout@h1?"),
            (["readout@h1", "dsc"], "; did you mean dcs?"),
            (["gone@h9", "nothing", "h2"], "; a host is written @h2"),
            (["@h[4-6]", "readout"], ""),
        ):
            with pytest.raises(UserError, match="matches nothing of the file or the farm") as caught:
                ask(only)
            lost = [word for word in only if word in ("readuot@h1", "dsc", "nothing", "h2", "@h[4-6]")]
            assert (
                str(caught.value)
                == f"nothing was done: --only {' '.join(lost)} matches nothing of the file or the farm{near}"
            )
        assert serve.client.info().revision == before and not serve.client.proposals().waiting
    assert serve.client.apply(spec, only=["readout@h1", "gone"], no_look=True).revision == before + 1


def test_whoever_only_looks_is_told_what_was_meant(serve: Serve) -> None:
    """Of words that mean nothing, beside what the others mean."""
    serve.client.apply(Spec(jobs=(job(hosts="hlt[01-03]"),)))
    serve.client.stop(["readout@hlt02"])
    words = ["zzz", "readuot@hlt01", "hlt02", "@hlt0?", "htl03"]
    for answer in (serve.client.status(words), serve.client.why(words), serve.client.stories(words)):
        assert answer.unmatched == ["zzz", "readuot@hlt01", "htl03"]
        assert answer.hint == "; did you mean readout@hlt01 @hlt03?"
    # of what has waited ever since there is no change, and yet it is there
    why = "no connection to the master: is it up?"
    assert serve.client.stories(["readout@hlt01"]) == StoriesAnswer([Story("readout", "hlt01", "WAITING", why)])
    assert [one.host for one in serve.client.stories(["hlt02"]).stories] == ["hlt02"]


def test_a_command_that_is_named_can_be_typed_as_it_stands(serve: Serve) -> None:
    """A shell would put the names of its files in the place of a star."""
    serve.client.apply(Spec(jobs=(job(hosts="h[1-3]"),)))
    for words in (["stop", "*"], ["hold", "readout@h*"], ["start", "*"]):
        done = CliRunner().invoke(main, ["--socket", str(serve.path), *words])
        assert done.exit_code == 0 and f" '{words[1]}'` " in done.output


def test_an_apply_says_what_has_what_is_left_stopped_run(serve: Serve, tmp_path: Path) -> None:
    """\"All 0 running\" alone is no word about what nobody has started yet."""
    file = tmp_path / "jobs.py"
    file.write_text('from daqsched import Job\njobs = [Job("ioc", "/bin/x", hosts="h[1-2]", start="manual")]\n')
    done = CliRunner().invoke(main, ["--socket", str(serve.path), "apply", str(file), "--settle", "0"])
    assert done.exit_code == 0 and ", 2 STOPPED until `daqsched start`." in done.output


def test_a_word_that_matches_nothing_is_a_mistake_whatever_the_others_match(serve: Serve) -> None:
    """Of each change that takes a selection; nothing is done then."""
    serve.client.apply(Spec(jobs=(job(hosts="h[1-3]"),)))
    client = serve.client
    changes: list[Callable[[list[str]], object]] = [
        client.stop,
        client.start,
        lambda words: client.order(words, "retry"),
    ]
    for change in changes:
        for words in (["readout@h1", "@h4"], ["readout", "read_out@h*"], ["readout@h[1-2]", "readout@h[4-5]"]):
            with pytest.raises(UserError, match="matches nothing") as caught:
                change(words)
            said, _, near = str(caught.value).partition("; did you mean ")
            assert words[1] in said and words[0] not in said
            assert near == ("'readout@h*'?" if words[1] == "read_out@h*" else "")
        with pytest.raises(UserError, match="is a variable empty"):
            change(["readout@"])
    assert {row.state for row in client.status().rows} == {"WAITING"}


def test_an_operator_command_says_whom_it_went_to_and_whom_not(serve: Serve) -> None:
    """Each with its reason; given again by its id it is the same one."""
    serve.client.apply(Spec(jobs=(job(hosts="hlt[01-02]", actions={"dump": ("/bin/true",)}),)))
    serve.daemon.put(events.Registered("fw", "m:5050"))
    serve.daemon.put(events.OffersArrived((offer(),)))
    serve.settle()
    (task,) = serve.edge.launched()
    serve.daemon.put(events.TaskReported(task, "agent-hlt01", "TASK_RUNNING", uuid="u"))
    answer = serve.client.order(["readout"], "act", "dump", message="look")
    assert answer.accepted == [("readout", "hlt01")] and answer.rejected == [("readout", "hlt02", "does not run")]
    assert serve.client.order(["readout"], "act", "dump", id=answer.id).id == answer.id
    serve.settle()
    sent = [command for command in serve.edge.told if isinstance(command, commands.Send)]
    assert [(one.task_id, one.order.id, one.order.user) for one in sent] == [(task, answer.id, getpass.getuser())] * 2
    with pytest.raises(UserError, match="can't be asked for: one of retry"):
        serve.client.order(["readout"], "dance")


def test_a_message_of_more_than_one_plain_line_is_refused(serve: Serve) -> None:
    """Whatever it is given to: it would be shown to others, in their terminals."""
    serve.client.apply(Spec(jobs=(job(),)))
    for ask in (
        lambda words: serve.client.apply(Spec(jobs=(job(), job("other"))), words),
        lambda words: serve.client.rollback(1, words),
        lambda words: serve.client.stop(["*"], words),
        lambda words: serve.client.order(["*"], "retry", message=words),
        lambda words: serve.client.steer("abort", words),
        lambda words: serve.client.restart(["*"], words, ONE_BY_ONE),
        lambda words: serve.client.aside(["hlt01"], 2e9, words),
    ):
        for words in ("look\nforged", "\x1b]0;t\x07", "a\u202eb"):
            with pytest.raises(UserError, match="at its character .*: write one line, without control characters"):
                ask(words)
    assert [one.number for one in serve.client.history()] == [1]
    assert [row.state for row in serve.client.status().rows] == ["WAITING"]


def test_a_viewer_is_woken_by_a_change(serve: Serve) -> None:
    """A live view waits for news instead of asking all the time."""
    seen = serve.client.progress().progress.version
    answers = []
    other = Client(serve.path)
    waiter = threading.Thread(target=lambda: answers.append(other.progress(seen=seen, wait_s=20)))
    waiter.start()
    serve.client.apply(Spec(jobs=(job(),)))
    waiter.join(10)
    other.close()
    assert answers and answers[0].progress.version > seen


def test_a_launch_that_does_not_leave_is_made_again_later(serve: Serve) -> None:
    """The edge's no comes back as an event."""
    serve.daemon.put(events.Registered("fw", "m:5050"))
    serve.client.apply(Spec(jobs=(job(),)))
    serve.edge.failure = RuntimeError("not connected to a master")
    serve.daemon.put(events.OffersArrived((offer(),)))
    serve.settle()
    serve.edge.failure = None
    serve.daemon.put(events.OffersArrived((offer(id="second"),)))
    serve.settle()
    assert len(serve.edge.launched()) == 1


def test_a_bad_request_is_answered_and_changes_nothing(serve: Serve) -> None:
    """What is not understood is said so, with what was expected."""
    http = httpx.Client(transport=httpx.HTTPTransport(uds=str(serve.path), verify=False), base_url="http://d/v1")
    for body in (b"", b"{", b"[]", b'{"spec": {"jobs": [{"name": "a"}]}}', b'{"spec": {}, "more": 1}'):
        answer = http.post("/apply", content=body)
        assert answer.status_code == 400 and "not understood" in answer.json()["error"], body
    bad = {"spec": {"jobs": [{"name": "a", "argv": ["/x"], "hosts": ["h[2-1]"]}]}}
    answer = http.post("/apply", json=bad)
    assert answer.status_code == 400 and "runs backwards" in answer.json()["error"]
    newer = {"spec": {"jobs": [{"name": "a", "argv": ["/x"], "hosts": ["h1"], "stop": {"softly": 1}}]}}
    answer = http.post("/apply", json=newer)
    assert answer.status_code == 400 and "job 'a': stop has no field 'softly'" in answer.json()["error"]
    assert http.get("/progress?most=x").status_code == 400 and http.get("/nothing").status_code == 404
    assert "there is no GET /v1/apply here" in http.get("/apply").json()["error"]
    http.close()
    assert serve.client.info().revision == 0


def test_the_socket_is_for_its_owner_and_group_alone(serve: Serve) -> None:
    """Whoever may not run the farm may not talk to the daemon."""
    assert stat.S_IMODE(os.stat(serve.path).st_mode) == 0o660


def test_a_second_daemon_does_not_take_the_socket_away(serve: Serve) -> None:
    """But a socket that nobody serves is no obstacle."""
    with pytest.raises(DaqschedError, match="another daqsched serve answers"):
        SocketFile(serve.path)


def test_the_socket_of_a_dead_daemon_is_no_obstacle(tmp_path: Path) -> None:
    """kill -9 leaves the file behind."""
    path = tmp_path / "sock"
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(path))
    dead.close()
    SocketFile(path).socket.close()
    path.unlink()
    path.write_text("a file")
    with pytest.raises(DaqschedError, match="is in the way"):
        SocketFile(path)


def test_no_daemon_is_one_sentence(tmp_path: Path) -> None:
    """With what to look at next."""
    client = Client(tmp_path / "nothing")
    with pytest.raises(Unreachable, match="is `daqsched serve` running"):
        client.info()
    client.close()


def test_a_master_that_gives_us_up_ends_the_loop_with_what_to_do(tmp_path: Path) -> None:
    """Going on would look like running."""
    serve = Serve(tmp_path)
    serve.daemon.put(events.Rejected("Framework has been removed"))
    serve.close()
    assert "--new-framework" in str(serve.failed)


@pytest.mark.parametrize("why", ["Framework has been removed", "Framework failed over"])
def test_who_asked_in_the_round_in_which_the_master_gives_us_up_is_answered(tmp_path: Path, why: str) -> None:
    """Before that and behind it: a refusal with the reason, and nothing of it is saved."""
    serve = Serve(tmp_path)
    entered, gate = threading.Event(), threading.Event()

    def waits(engine: Engine, now: float) -> bool:
        entered.set()
        return gate.wait(20)

    held = serve.daemon.ask(waits)
    assert entered.wait(20)
    event = events.JobsApplied(Spec(jobs=(job(),)), "bob")
    before = serve.daemon.request(event, None)
    serve.daemon.put(events.Rejected(why))
    behind = serve.daemon.request(event, None)
    asked = serve.daemon.ask(lambda engine, now: engine.revision)
    gate.set()
    held.result(20)
    failover = "failed over" in why
    for one in (before, behind):
        with pytest.raises(Unreachable if failover else Refused, match="taken over" if failover else "--new-framework"):
            one.result(20)
    if not failover:  # else `Daemon.hold` has an answer
        assert asked.result(20) is None
    serve.close()
    assert serve.failed is not None and serve.daemon.engine.revision is None


def test_who_asks_for_what_a_damaged_state_does_not_take_is_answered(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop ends with it, and whoever waits hears why and what to look at."""

    def damaged(*what: object) -> None:
        raise DaqschedError("the state is damaged")

    monkeypatch.setattr(serve.store, "save", damaged)
    with pytest.raises(Unreachable, match="the state is damaged: look whether it was still taken in"):
        serve.daemon.request(events.JobsApplied(Spec(jobs=(job(),)), "bob"), None).result(20)


def surveys(serve: Serve) -> list[tuple[str, str]]:
    """(host, task id) of all surveys that were launched."""
    launches = [c for c in serve.edge.told if isinstance(c, commands.Launch)]
    return [(one.survey.host, one.survey.task_id) for launch in launches for one in launch.surveys]


def test_a_preflight_asks_each_host_and_its_answers_are_waited_for(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    """From the socket to the edge and back; who asked is in the log, and nothing was changed."""
    caplog.set_level("INFO")
    serve.daemon.put(events.Registered("fw", "m:5050"))
    begun = serve.client.preflight(Spec(jobs=(job(hosts="hlt[01-02]", release="r9"),)), ["@hlt01"], 20.0)
    assert begun.hosts == 1
    serve.daemon.put(events.OffersArrived((offer(), offer("hlt02"))))
    serve.settle()
    ((host, task),) = surveys(serve)
    found = serve.client.preflight_answer(begun.id)
    assert host == "hlt01" and not found.answer.done and found.answer.counts == {"waiting": 1}
    answers = []
    other = Client(serve.path)
    waiter = threading.Thread(
        target=lambda: answers.append(other.preflight_answer(begun.id, seen=found.version, wait_s=20))
    )
    waiter.start()
    data = Findings({"readout r9": "/x is missing"}).to_json()
    serve.daemon.put(events.TaskReported(task, "agent-hlt01", "TASK_FINISHED", by_executor=True, data=data, uuid="u"))
    waiter.join(10)
    other.close()
    (answer,) = answers
    assert answer.answer.done and answer.answer.counts == {"bad": 1}
    assert answer.answer.wall[0].cells[0].problem == "/x is missing"
    assert f"preflight {begun.id} asked for by {getpass.getuser()}: it asks hlt01" in caplog.text
    assert serve.client.info().revision == 0 and serve.client.status().rows == []


def test_a_preflight_leaves_out_whom_it_is_told_to(serve: Serve) -> None:
    """A machine that is known to be down, and no more."""
    spec = Spec(jobs=(job(hosts="hlt[01-03]"),))
    assert serve.client.preflight(spec, without=["@hlt02"]).hosts == 2
    assert serve.client.preflight(spec, ["readout@hlt[01-02]"], without=["readout@hlt02"]).hosts == 1
    with pytest.raises(UserError, match="there is no host to ask"):
        serve.client.preflight(spec, without=["*"])


def test_the_status_is_asked_for_by_state_and_by_host(serve: Serve) -> None:
    """A bare word may be a host, as in `why`; a state that there is not is a mistake."""
    serve.client.apply(Spec(jobs=(job(hosts="hlt[01-03]"),)))
    assert [row.host for row in serve.client.status(["hlt02"]).rows] == ["hlt02"]
    assert len(serve.client.status(states=["WAITING"]).rows) == 3
    assert serve.client.status(states=["FAILED", "BACKOFF"]).rows == []
    with pytest.raises(UserError, match="BROKEN: not a state; there are FAILED, "):
        serve.client.status(states=["BROKEN"])


def test_the_history_tells_the_file_and_what_began_and_ended(serve: Serve) -> None:
    """What it did: a program that never ran did not end."""
    serve.client.apply(Spec(jobs=(job(hosts="hlt[01-03]"),), source="jobs.py --set version=r1"))
    serve.client.apply(Spec(jobs=(job(hosts="hlt[01-02]"), job("b")), source="other.py"))
    newest, first = serve.client.history()
    assert (newest.source, newest.changes) == ("other.py", {"add": 1})
    assert (first.source, first.changes) == ("jobs.py --set version=r1", {"add": 3})


def test_what_a_preflight_cannot_be(serve: Serve) -> None:
    """Nobody to ask, too long, too many at a time, one that is not known: a sentence each."""
    spec = Spec(jobs=(job(),))
    with pytest.raises(UserError, match="no host to ask"):
        serve.client.preflight(EMPTY)
    with pytest.raises(UserError, match="--only @hlt99 matches nothing of the file or the farm$"):
        serve.client.preflight(spec, ["@hlt99"])
    serve.client.apply(Spec(jobs=(job("elsewhere", "hlt98"),)))
    with pytest.raises(UserError, match="no host to ask"):
        serve.client.preflight(spec, ["@hlt98"])
    for wrong in (0.0, -1.0, 601.0):
        with pytest.raises(UserError, match="may take up to 600 s"):
            serve.client.preflight(spec, (), wrong)
    with pytest.raises(Unreachable, match="the daemon was restarted: ask again"):
        serve.client.preflight_answer("nothing")
    for _ in range(UNDER_WAY):
        serve.client.preflight(spec)
    with pytest.raises(Refused, match="4 preflights are under way"):
        serve.client.preflight(spec)


def test_a_preflight_of_containers_alone_asks_nobody(serve: Serve) -> None:
    """And says so, rather than that all is well."""
    begun = serve.client.preflight(Spec(jobs=(job(container=Container("image")),)))
    found = serve.client.preflight_answer(begun.id)
    assert begun.hosts == 0 and found.answer.done and found.answer.not_asked == {"readout": "it runs in a container"}


def test_a_survey_whose_launch_does_not_leave_is_launched_again(serve: Serve) -> None:
    """As a job's task is."""
    serve.daemon.put(events.Registered("fw", "m:5050"))
    serve.client.preflight(Spec(jobs=(job(),)))
    serve.edge.failure = RuntimeError("not connected to a master")
    serve.daemon.put(events.OffersArrived((offer(),)))
    serve.settle()
    serve.edge.failure = None
    serve.settle()
    serve.daemon.put(events.OffersArrived((offer(id="second"),)))
    serve.settle()
    assert [host for host, _ in surveys(serve)] == ["hlt01"]


def test_the_state_is_given_away_while_the_daemon_goes_on(serve: Serve) -> None:
    """What `daqsched backup` writes is what the store has."""
    serve.client.apply(Spec(jobs=(job(),)), "first")
    _, contents = unpack(serve.client.backup())
    assert [(one.number, one.message) for one in (revision_of(head) for head, _ in contents.revisions)] == [
        (1, "first")
    ]
    assert serve.client.info().revision == 1


def test_a_daemon_that_has_lost_its_state_tells_how_it_was_and_refuses_the_rest(serve: Serve) -> None:
    """Whoever waits gets a sentence, whoever looks sees the last that was known."""
    serve.client.apply(Spec(jobs=(job(),)), "first")
    serve.lose("another daqsched serve has taken over")
    lost = serve.daemon.request(events.Ticked(), None)
    with pytest.raises(Unreachable, match="taken over.*ask again"):
        lost.result(10)
    over = threading.Event()
    holding = threading.Thread(target=serve.daemon.stay_read_only, args=("nothing can be saved", over.is_set))
    holding.start()
    found = serve.client.status()
    assert found.read_only == "nothing can be saved" and [row.job for row in found.rows] == ["readout"]
    with pytest.raises(Unreachable, match="nothing can be saved"):
        serve.client.stop(["readout"])
    over.set()
    holding.join(10)
    serve.daemon.end()
    with pytest.raises(Unreachable, match="is ending: ask again"):
        serve.client.status()
    assert not serve.edge.told


def test_who_looks_while_the_state_is_lost_gets_an_answer(serve: Serve) -> None:
    """The question that the loop had in hand waits until it is known how things are."""
    serve.client.apply(Spec(jobs=(job(),)), "first")
    serve.lose("ZooKeeper does not answer")
    asked = serve.daemon.ask(lambda engine, now: "an answer")
    until(lambda: serve.failed, "the loop has ended")
    assert not asked.done()
    serve.daemon.stay_read_only("nothing can be saved", asked.done)
    assert asked.result(0) == "an answer"


def fails(engine: Engine, now: float) -> None:
    raise UserError("no")


def test_who_goes_away_before_the_answer_ends_no_loop(serve: Serve) -> None:
    """A client that is gone cancels what it waits for: of every kind, while the loop is busy, and whatever the answer would be."""
    entered, gate = threading.Event(), threading.Event()

    def waits(engine: Engine, now: float) -> None:
        entered.set()
        gate.wait(20)

    async def begin() -> None:
        held = serve.daemon.ask(waits)
        assert await asyncio.to_thread(entered.wait, 20)
        good, bad = events.JobsApplied(Spec(jobs=(job(),)), "bob"), events.JobsApplied(Spec(), "bob")
        asked: list[Future[Any]] = [serve.daemon.ask(look) for look in (lambda engine, now: None, fails)]
        for event in (good, bad):
            for before, after in itertools.product((None, fails), repeat=2):
                asked.append(serve.daemon.request(event, None, before=before, after=after))
        waiting = [asyncio.ensure_future(asyncio.wrap_future(one)) for one in asked]
        await asyncio.sleep(0)
        for one in waiting:
            one.cancel()
        assert all(
            isinstance(one, asyncio.CancelledError) for one in await asyncio.gather(*waiting, return_exceptions=True)
        )
        gate.set()
        await asyncio.wrap_future(held)

    asyncio.run(begin())
    assert [one.name for one in serve.daemon.ask(lambda engine, now: engine.spec.jobs).result(20)] == ["readout"]
    assert serve.failed is None


def test_an_apply_asks_the_engine_twice(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """One look for the plan, and the event: what is in between is nobody's, and what it answers comes of the event."""
    asked: list[str] = []
    ask, request = serve.daemon.ask, serve.daemon.request

    def look(question: Callable[[Engine, float], Any]) -> Future[Any]:
        asked.append("look")
        return ask(question)

    def change(event: events.Event, grants: Any, *rest: Any, **looks: Any) -> Future[Accepted]:
        asked.append(type(event).__name__)
        return request(event, grants, *rest, **looks)

    monkeypatch.setattr(serve.daemon, "ask", look)
    monkeypatch.setattr(serve.daemon, "request", change)
    jobs = [job(f"job{at}", hosts="hlt[01-09]") for at in range(5)]
    assert serve.client.apply(Spec(jobs=tuple(jobs))).revision == 1
    assert asked == ["look", "JobsApplied"]
    renewed = tuple(job(one.name, one.hosts[0], release="r2") for one in jobs)
    seen = serve.client.history()[0].digest
    del asked[:]
    serve.client.apply(Spec(jobs=renewed), strategy=ONE_BY_ONE, if_unchanged=seen)
    assert asked == ["look", "JobsApplied"]
    del asked[:]
    assert serve.client.apply(Spec(jobs=renewed)).revision == 2
    assert asked == ["look", "JobsApplied"], "that nothing is to be changed is the engine's word, too"


def test_a_rollback_is_told_from_an_apply_of_the_same(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """What had its first start by hand needs no other one."""
    serve.client.apply(Spec(jobs=(job(start="manual"),)))
    serve.client.apply(Spec(jobs=(job("other"),)))
    asked: list[Any] = []
    request = serve.daemon.request

    def change(event: events.Event, grants: Any, *rest: Any, **looks: Any) -> Future[Accepted]:
        asked.append(event)
        return request(event, grants, *rest, **looks)

    monkeypatch.setattr(serve.daemon, "request", change)
    serve.client.rollback(1)
    serve.client.apply(Spec(jobs=(job("other"),)))
    assert [one.back for one in asked] == [True, False]


def test_a_plan_and_its_apply_say_what_starts_where_nothing_is_restarted(serve: Serve) -> None:
    """Of what waits for its first start by hand, which it does no more."""
    serve.client.apply(Spec(jobs=(job(hosts="hlt[01-02]", start="manual"),)))
    to_be = Spec(jobs=(job(hosts="hlt[01-02]"),))
    found, applied = serve.client.plan(to_be), serve.client.apply(to_be)
    assert [(one.what, one.count, one.starts) for one in (*found.changes, *applied.plan.changes)] == [
        ("silent", 2, 2)
    ] * 2


def test_an_apply_that_would_change_nothing_is_not_answered_from_a_look_that_is_stale(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody goes back in between: what was asked for is in force afterwards, or whoever saw the other spec hears no."""
    first, second = Spec(jobs=(job(release="r1"),)), Spec(jobs=(job(release="r2"),))
    serve.client.apply(first)
    assert serve.client.apply(second).revision == 2
    base = serve.client.history()[0].digest
    request = serve.daemon.request

    def quicker(event: events.Event, grants: Any, *rest: Any, **looks: Any) -> Any:
        """A rollback comes first."""
        monkeypatch.setattr(serve.daemon, "request", request)
        serve.daemon.request(events.JobsApplied(first, "bob", "back"), None).result(20)
        return request(event, grants, *rest, **looks)

    monkeypatch.setattr(serve.daemon, "request", quicker)
    applied = serve.client.apply(second)
    assert applied.plan.changes == () and applied.revision == 4 and serve.client.revision(0).spec == second
    monkeypatch.setattr(serve.daemon, "request", quicker)
    with pytest.raises(Refused, match="since revision 5 by bob: back"):
        serve.client.apply(second, if_unchanged=base)


def test_an_apply_answers_with_what_the_engine_made_of_it(serve: Serve) -> None:
    """The plan counts what is desired, the verdict what runs; an older client reads no figures, an older daemon sends none."""
    serve.client.apply(Spec(jobs=(job(hosts="h[1-3]"), job("old"))))
    applied = serve.client.apply(Spec(jobs=(job(hosts="h[1-3]", release="r2"), job("new"))))
    assert applied.plan.instances == {"restart": 3, "add": 1, "remove": 1}
    assert (applied.stops, applied.restarts, applied.starts) == (0, 0, 1), "nothing ran"
    assert applied.digest == applied.plan.digest == serve.client.history()[0].digest
    older = msgspec.json.decode(b'{"plan": {"digest": "a", "base": "b"}, "revision": 1}', type=Applied)
    assert (older.stops, older.restarts, older.starts) == (None, None, None) and older.digest == ""


def test_what_changed_between_the_look_and_the_event_is_told(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another one was quicker: a reason, and never a yes with nothing done."""
    serve.client.apply(Spec(jobs=(job(),)))
    base = serve.client.history()[0].digest
    request = serve.daemon.request

    def quicker(event: events.Event, grants: Any, *rest: Any, **looks: Any) -> Any:
        """An apply of somebody else's comes first."""
        monkeypatch.setattr(serve.daemon, "request", request)
        serve.daemon.request(events.JobsApplied(Spec(jobs=(job("other"),)), "bob", "in between"), None).result(20)
        return request(event, grants, *rest, **looks)

    monkeypatch.setattr(serve.daemon, "request", quicker)
    with pytest.raises(Refused, match="since revision 2 by bob: in between"):
        serve.client.apply(Spec(jobs=(job("third"),)), if_unchanged=base)
    serve.client.apply(Spec(jobs=(job(),)))
    monkeypatch.setattr(serve.daemon, "request", quicker)
    with pytest.raises(Refused, match="none of these is desired any more"):
        serve.client.stop(["readout"])
    serve.client.apply(Spec(jobs=(job(),)))
    monkeypatch.setattr(serve.daemon, "request", quicker)
    applied = serve.client.apply(Spec(jobs=(job(release="r2"),)), only=["readout"])
    assert applied.digest == serve.client.history()[0].digest != applied.plan.digest, "the look was before bob's"


def test_whoever_wants_changes_gets_them_after_the_save_and_holds_nothing_up(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    """One that fails is a line in the log, once; the others hear all, and so does whoever asked."""
    heard: list[Any] = []

    def failing(changes: object) -> None:
        raise ZeroDivisionError("a mistake")

    serve.daemon.subscribers += [failing, heard.extend]
    serve.client.apply(Spec(jobs=(job(),)))
    serve.client.stop(["readout"], "cabling")
    assert [(one.key, one.before, one.after, one.reason) for one in heard] == [
        (("readout", "hlt01"), "", "WAITING", heard[0].reason),
        (("readout", "hlt01"), "WAITING", "STOPPED", f"by {getpass.getuser()}: cabling"),
    ]
    assert heard[0].cause == f"revision 1 by {getpass.getuser()}"
    assert [one.getMessage() for one in caplog.records if "subscriber" in one.getMessage()] == [
        "a subscriber to changes fails: ZeroDivisionError: a mistake"
    ]
    (story,) = serve.client.stories(["readout"]).stories
    assert (story.state, [one.after for one in story.changes]) == ("STOPPED", ["STOPPED"])
    assert serve.client.why().stories[0].changes == story.changes
    assert serve.client.stories(["other"]).stories == []
    serve.client.apply(Spec(jobs=(job(), job("gpu", hosts="", attributes={"gpu": "yes"}), job("late"))))
    found = serve.client.stories(["*"]).stories
    assert [(one.job, one.state, bool(one.changes)) for one in found] == [
        ("readout", "STOPPED", True),
        ("late", "WAITING", False),
        ("gpu", "WAITING", False),
    ], "what has never been as desired has no change to tell of"
    assert len(serve.client.stories(["*"], 2).stories) == 2 and len(serve.client.stories().stories) == 1

    def told(*words: str) -> Result:
        return CliRunner().invoke(main, ["--socket", str(serve.path), *words])

    assert "cabling" in told("story", "readout").output
    for words in (["readout@hlt01"], ["readout@hlt01", "--json"], ["late", "gpu"], ["nobody"]):
        one, other = told("show", "--story", *words), told("story", *words)
        assert (one.exit_code, one.output) == (other.exit_code, other.output)
    mixed = told("show", "--story", "readout@hlt01", "--part", "x")
    assert mixed.exit_code == 2 and "leave out --set and --part" in mixed.output


def test_whoever_waits_for_a_revision_is_told_what_took_its_place_and_nobody_else(serve: Serve) -> None:
    """The same for a rollout that a rollback of it has followed."""
    strategy = Strategy(batches=(1,), ready_s=0.0)
    serve.client.apply(Spec(jobs=(job(hosts="hlt[01-02]"), job("other"))))
    assert serve.client.progress(revision=1).superseded == ""
    serve.client.apply(Spec(jobs=(job("other", release="r2"),)), "beam", only=["other"])
    assert serve.client.progress(revision=1).superseded == f"revision 2 by {getpass.getuser()}: beam (only other)"
    serve.client.apply(Spec(jobs=(job("third"),)), only=["third"])
    assert serve.client.progress(revision=2).superseded == "" == serve.client.progress().superseded
    serve.daemon.put(events.Registered("fw", "m:5050"))
    serve.daemon.put(events.OffersArrived((offer("hlt01"), offer("hlt02"))))
    serve.settle()
    first = serve.client.apply(
        Spec(jobs=(job(hosts="hlt[01-02]", release="r3"), job("other"), job("third"))), strategy=strategy
    ).rollout
    assert first == 1 and serve.rollout().state == "running"
    serve.client.steer("abort")
    serve.client.apply(
        Spec(jobs=(job(hosts="hlt[01-02]", release="r4"), job("other"), job("third"))), strategy=strategy
    )
    assert [serve.rollout(number).number for number in (0, 1, 2)] == [2, 1, 2]


def test_a_revision_is_shown_as_the_farm_that_it_is(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an apply to some hosts a job is several: each where it is so. What its executor is told is that of its host."""
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words: str) -> str:
        done = CliRunner().invoke(main, ["--socket", str(serve.path), *words])
        assert done.exit_code == 0, done.output
        return done.output

    serve.client.apply(Spec(jobs=(job(hosts="hlt[01-03]", release="r1", argv=("/r1/readout",)), job("other"))))
    serve.client.apply(
        Spec(jobs=(job(hosts="hlt[01-03]", release="r2", argv=("/r2/readout",)),)), only=["readout@hlt01"]
    )
    said = [" ".join(line.split()) for line in run("show", "2", "readout").splitlines()]
    assert said == [
        *("readout on hlt01", "command /r2/readout", "hosts hlt01", "version r2"),
        *("readout on hlt[02-03]", "command /r1/readout", "hosts hlt[02-03]", "version r1"),
    ]
    assert [line for line in run("show", "2").splitlines() if not line.startswith(" ")] == [
        *("readout on hlt01", "readout on hlt[02-03]", "other")
    ]
    for host, release in (("hlt01", "r2"), ("hlt02", "r1"), ("hlt03", "r1")):
        assert json.loads(run("show", "2", f"readout@{host}"))["argv"] == [f"/{release}/readout"]
    told = json.loads(run("show", "2", "readout", "--json"))
    assert {one["release"] for one in (told, *told["variants"])} == {"r1", "r2"}
    assert "variants" not in json.loads(run("show", "2", "other", "--json"))


def test_history_tells_what_an_apply_did_and_not_what_two_revisions_differ_in(serve: Serve) -> None:
    """Where a rollout is cut short, and another part goes back, the revisions differ in more than ever ran."""
    serve.daemon.put(events.Registered("fw", "m:5050"))
    first = Spec(jobs=(job(hosts="hlt[01-03]", release="r1"), job("other", release="r1")))
    serve.client.apply(first)
    serve.daemon.put(events.OffersArrived(tuple(offer(f"hlt0{n}") for n in (1, 2, 3))))
    serve.settle()
    for task in serve.edge.launched():
        host = task.partition("@")[2].partition(".")[0]
        serve.daemon.put(events.TaskReported(task, f"agent-{host}", "TASK_RUNNING", uuid="u"))
    serve.settle()
    (task,) = [one for one in serve.edge.launched() if one.startswith("readout@hlt01.")]
    second = Spec(jobs=(job(hosts="hlt[01-03]", release="r2"), first.jobs[1]))
    serve.client.apply(second, strategy=Strategy(batches=(1,), ready_s=99.0))
    serve.daemon.put(events.TaskReported(task, "agent-hlt01", "TASK_KILLED", uuid="u"))
    serve.daemon.put(events.OffersArrived((offer("hlt01", id="again"),)))
    serve.settle()
    serve.client.steer("abort", "beam")
    serve.client.apply(first, "back", stops=9)
    newest, middle, _ = serve.client.history()
    assert newest.changes == {"restart": 1}, "the other two had never changed"
    assert middle.changes == {"restart": 3} and middle.rollout is not None
    assert "in batch 1 of 3 (1 of 3 instances changed)" in middle.rollout.words()


def test_each_command_knows_parts_of_the_farm(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the typed word to the daemon and back; what is of another part is nobody's mistake to make."""
    monkeypatch.setenv("COLUMNS", "200")
    files = {}
    for name, text in {
        "hlt": 'farm = "hlt"\njobs = [Job("filter", "/bin/f {version}", hosts="h[1-2]", version=version)]',
        "trk": 'jobs = [Job("tracker", "/bin/t", hosts="h[1-2]")]',
        "old": 'jobs = [Job("old", "/bin/o", hosts="h1")]',
        "empty": "jobs = []",
        "both": 'jobs = [Job("tracker", "/bin/t", hosts="h[1-2]"), Job("filter", "/bin/f", hosts="h1")]',
    }.items():
        files[name] = tmp_path / f"{name}.py"
        files[name].write_text(f'from daqsched import Job, variable\nversion = variable("version", "r1")\n{text}\n')

    def run(*words: object, status: int = 0) -> str:
        done = CliRunner().invoke(main, ["--socket", str(serve.path), *map(str, words)], terminal_width=200)
        assert done.exit_code == status, done.output
        return done.output

    assert "part hlt, 1 job" in run("validate", files["hlt"])
    assert json.loads(run("validate", files["trk"], "--part", "trk", "--json"))["part"] == "trk"
    assert "is not a valid name for a part" in run("validate", files["trk"], "--part", "a b", status=2)
    assert "the file says farm = 'hlt'" in run("validate", files["hlt"], "--part", "trk", status=2)
    for words in ((files["old"],), (files["trk"], "--part", "trk"), (files["hlt"],)):
        run("apply", *words, "--no-wait")
    run("apply", files["hlt"], "--set", "version=r2", "--no-wait")
    said = run("plan", files["both"], "--part", "trk", status=2)
    assert "filter is of part hlt, not of part trk" in said and "--take filter" in said
    said = run("plan", files["both"], "--part", "trk", "--take", "filter", status=6)
    assert "This is part trk; filter comes from part hlt; the jobs of others stay as they are: 1 in the part" in said
    heads = json.loads(run("history", "--json"))
    assert [(one["number"], one["part"]) for one in heads] == [(4, "hlt"), (3, "hlt"), (2, "trk"), (1, "")]
    assert "PART" in run("history") and [
        one["number"] for one in json.loads(run("history", "--part", "hlt", "--json"))
    ] == [4, 3]
    rows = json.loads(run("status", "--part", "hlt", "--json"))["rows"]
    assert {(row["job"], row["part"], row["release"]) for row in rows} == {("filter", "hlt", "r2")}
    assert [row["job"] for row in json.loads(run("status", "--part", "-", "--json"))["rows"]] == ["old"]
    assert "part nobody has no job: `daqsched history`" in run("status", "--part", "nobody", status=2)
    assert "part hlt has no such job" in run("status", "tracker", "--part", "hlt", status=2)
    assert run("history", "--part", "nobody").startswith("Nothing has been applied to part nobody;")
    assert "part nobody has no job in either" in run("diff", "2", "4", "--part", "nobody", status=2)
    assert "the part without a name has no job there" in run("show", files["empty"], "--part", "-", status=2)
    assert "--at and --part can't be combined" in run("status", "--part", "hlt", "--at", "1m", status=2)
    assert (
        run("diff", files["hlt"], status=6).startswith("~  filter")
        and run("diff", files["old"]) == "Nothing changes.\n"
    )
    assert run("diff", "2", "4", "--part", "trk") == "Nothing changes.\n"
    assert [line for line in run("show", "4", "--part", "trk").splitlines() if not line.startswith(" ")] == ["tracker"]
    assert "the farm has parts (hlt, trk): say which goes back with --part NAME" in run("rollback", "3", status=2)
    assert "--all and --part can't be combined" in run("rollback", "3", "--all", "--part", "hlt", status=2)
    run("apply", files["old"], "--set", "version=r9", "--no-wait")
    run("rollback", "3", "--part", "hlt", "--no-wait")
    assert "rollback of part hlt to revision 3" in run("history") and run("diff", "3", "0") == "Nothing changes.\n"
    run("rollback", "1", "--all", "--no-wait")
    assert [row["job"] for row in json.loads(run("status", "--json"))["rows"]] == ["old"]
