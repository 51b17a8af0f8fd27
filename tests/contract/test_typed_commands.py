"""What a crew types, from the word to the daemon and back: the answer says what is so afterwards, also of odd words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

import click
import msgspec
import pytest
from click.testing import CliRunner

from builders import job, offer
from daqsched.cli import main
from daqsched.cli.completion import states_offered
from daqsched.engine import events
from daqsched.errors import UserError
from daqsched.spec import FORWARDER, ForwarderSpec, Spec
from daqsched_executor.contract import Exit, Report
from served import Serve
from verbs import verbs

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
    assert "hlt01 is agent-2 (10.0.0.2:5051) now, and was agent-hlt01 (10.0.0.1:5051); 1 program moves" in said
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
    assert (
        "None may run yet" in said
        and "can't be reached; `daqsched start rc@hlt02 --anyway` starts it all the same" in said
    )
    assert "1 may run" in (said := run("start", "rc@hlt02", "--anyway")) and "reached" not in said
    serve.client.apply(Spec(jobs=(job("rc", "hlt[02-03]", replaces=("rc",)), *others)))
    assert (
        "rc@hlt[02-03] waits for" in (said := run("start", "rc"))
        and "`daqsched start 'rc@hlt[02-03]' --anyway`" in said
    )
    run("aside", "hlt03", "--for", "1h")
    said = run("start", "evb", "readout")
    assert (
        "None was started: 1 ran already" in said
        and "is set aside by" in said
        and "`daqsched return hlt03` ends that" in said
    )


def test_what_can_not_be_reached_is_told_with_what_happens_and_when(serve: Serve, run: Run) -> None:
    """A start, a stop and a hold count nothing of which it is not so yet: on a host that is silent, or without a master."""
    launched(serve, "readout", "evb")
    run("stop", "evb", "--yes")
    (task,) = (one for one in serve.edge.launched() if one.startswith("evb@"))
    serve.daemon.put(events.TaskReported(task, "agent-hlt01", "TASK_KILLED", uuid="u"))
    (task,) = (one for one in serve.edge.launched() if one.startswith("readout@"))
    serve.daemon.put(events.TaskReported(task, "agent-hlt01", "TASK_UNREACHABLE"))
    said = run("start", "*")
    assert (
        "None may run yet" in said and "evb@hlt01 does not start now, as hlt01 has not answered the master for" in said
    )
    assert "it does when hlt01 is back" in said and "it may run on there, or starts anew, when hlt01 is back" in said
    said = run("hold", "readout")
    assert "it is told when hlt01 is back" in said and "not confirmed" not in said
    said = run("stop", "readout", "--yes")
    assert (
        "None was told to stop" in said
        and "can't be reached, as hlt01 has" in said
        and "it ends when hlt01 is back" in said
    )
    said = run("start", "readout")
    assert "None may run yet" in said and "it ends there and starts anew, when hlt01 is back" in said
    serve.daemon.put(events.TaskReported(task, "agent-hlt01", "TASK_RUNNING", uuid="u"))
    serve.daemon.put(events.TaskReported(task, "agent-hlt01", "TASK_KILLED", uuid="u"))
    serve.settle()
    assert "2 may run: readout@hlt01, evb@hlt01; `daqsched status '*'` shows them." in run("start", "*")
    serve.daemon.put(events.Disconnected())
    said = run("start", "*")
    assert "None may run yet" in said and "does not start now, as there is no connection to the master m:5050" in said


def test_start_says_what_waits_for_another_that_somebody_stopped(serve: Serve, run: Run) -> None:
    """On its host or elsewhere; with both named, both may run; and what still ends on a host that is set aside does not."""
    serve.daemon.put(events.Registered("fw", "m:5050"))
    serve.client.apply(
        Spec(jobs=(job("nsm"), job("ro", "hlt[01-02]", after=("nsm",)), job("evb", "hlt02", after=("ro",))))
    )
    for _ in range(3):
        serve.daemon.put(events.OffersArrived((offer(id="1"), offer("hlt02", id="2"))))
        serve.settle()
        for task in serve.edge.launched():
            agent = f"agent-{task.partition('@')[2].partition('.')[0]}"
            serve.daemon.put(events.TaskReported(task, agent, "TASK_RUNNING", uuid="u"))
        serve.settle()
    run("stop", "*", "--yes")
    said = run("start", "ro", "evb")
    assert "ro@hlt01 waits for nsm on hlt01" in said and "; `daqsched start nsm` lets that run" in said
    assert "2 may run" in said, "what waits for the end of what still runs elsewhere needs no word"
    assert "2 may run: nsm@hlt01, ro@hlt01; " in run("start", "nsm", "ro")
    run("aside", "hlt02", "--for", "1h", "--yes")
    said = run("start", "ro@hlt02")
    assert "None may run yet" in said and "hlt02 is set aside by" in said
    assert "hlt01: not set aside, nothing was given back" in run("return", "hlt02", "hlt01", status=2)


def test_an_apply_says_which_rollout_it_has_ended(serve: Serve, run: Run, tmp_path: Path) -> None:
    """Also where nobody has looked at a plan; and which one it leaves as it is."""
    launched(serve, "readout", "evb")
    file = tmp_path / "jobs.py"
    text = (
        "from daqsched import Job, variable\nv, w = variable('v', '1'), variable('w', '1')\n"
        "jobs = [Job('readout', '/bin/true', hosts='hlt01', version=v), Job('evb', '/bin/true', hosts='hlt01', version=w)]\n"
    )
    file.write_text(text)
    run("apply", file, "--batches", "1", "--no-wait", "--yes", "--only", "readout")
    said = run("apply", file, "--set", "v=2", "--batches", "1", "--no-wait", "--yes", "--only", "readout", status=5)
    assert "rollout 1 by root is under way and changes readout, too" in said
    said = run("apply", file, "--set", "w=2", "--no-wait", "--yes", "--only", "evb", "--batches", "all")
    assert "Rollout 1 of root (running, batch 1 of 1) goes on as it is." in said
    said = run("apply", file, "--set", "v=3", "--batches", "1", "--no-wait", "--yes")
    assert "This ends rollout 1 of root (running, batch 1 of 1)." in said


def test_a_plan_says_whose_rollout_is_paused_and_why_and_what_becomes_of_it(
    serve: Serve, run: Run, tmp_path: Path
) -> None:
    """It ends, stays so, or is in the way: of the apply, too."""
    launched(serve, "readout", "evb")
    file = tmp_path / "jobs.py"
    file.write_text(
        "from daqsched import Job, variable\nv, w = variable('v', '1'), variable('w', '1')\n"
        "jobs = [Job('readout', '/bin/true', hosts='hlt01', version=v), Job('evb', '/bin/true', hosts='hlt01', version=w)]\n"
    )
    run("apply", file, "--batches", "1", "--no-wait", "--yes", "--no-look", "--only", "readout")
    run("rollout", "pause", "-m", "beam")
    whose = "ollout 1 of root, paused in batch 1 of 1 (1 of 1 instance changed), by root: beam"
    assert f"R{whose}; it stays so." in run("plan", file, "--set", "v=3", "--only", "evb", "--set", "w=4", status=6)
    assert f"This ends r{whose}." in run("plan", file, "--set", "v=4", status=6)
    # the job that has changed already is the rollout's, too, as its rollback would change it
    for words in (("--only", "readout"), ("--only", "evb", "--batches", "1")):
        for command in ("plan", "apply"):
            said = run(command, file, "--set", "v=4", "--set", "w=5", *words, status=6 if command == "plan" else 5)
            assert "paused, by root: beam," in said and "`daqsched rollout resume`, or `daqsched rollout abort`" in said


def test_retry_of_nothing_is_told_and_has_a_status_of_its_own(serve: Serve, run: Run) -> None:
    """Of what runs the executor is asked; what waits for an offer has nothing to try again."""
    launched(serve, "readout")
    serve.client.apply(Spec(jobs=(job("readout"), job("evb", "hlt09"))))
    assert "1 asked to start now; `daqsched status '*'`" in run("retry", "*")
    said = run("retry", "evb", status=4)
    assert "evb@hlt09 does not run, and no back-off is under way" in said and "none was asked to start" in said


def test_a_note_need_not_be_quoted(serve: Serve, run: Run) -> None:
    """All words are the text."""
    run("note", "beam", "is", "back", "-n", "5")
    run("note", "beam is gone")
    assert [one.message for one in serve.client.notes(2).notes] == ["beam is gone", "beam is back"]
    assert "a note says something" in run("note", "", status=2)
    assert "a line break" in run("note", "beam", "is\nback", status=2)


def test_a_host_may_have_the_at_of_a_selection(serve: Serve, run: Run) -> None:
    """Wherever a command takes a host; none at all is a mistake that is named."""
    serve.client.apply(Spec(jobs=(job(hosts="hlt[01-03]", console=True),)))
    run("aside", "@hlt01", "@hlt[02-03]", "--for", "1h")
    assert [one.host for one in serve.client.leases().leases] == ["hlt01", "hlt02", "hlt03"]
    assert "`daqsched status @hlt02`" in run("return", "@hlt02")
    assert serve.client.borrow("readout", "@hlt01").console
    assert "no other agent has made an offer as hlt01:" in run("replace", "@hlt01", status=5)
    for words in (["replace", ""], ["replace", "@"], ["aside", "", "--for", "1h"], ["return", ""], ["borrow", "", "x"]):
        assert "names no host (is a variable empty?)" in run(*words, status=2)


def test_borrow_of_a_job_with_a_terminal_says_what_types_into_it(
    serve: Serve, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command itself does not."""
    monkeypatch.setattr("daqsched.cli.borrow.HandRun.follow", lambda run: "exit code 0")
    serve.client.apply(Spec(jobs=(job("ioc", console=True), job("plain"))))
    run("aside", "hlt01", "--for", "1h")
    assert "`daqsched console ioc@hlt01` does" in run("borrow", "hlt01", "ioc")
    assert "console" not in run("borrow", "hlt01", "plain")


def test_status_says_which_words_mean_nothing_and_which_states_nobody_has(serve: Serve, run: Run) -> None:
    """Nothing in a state is no mistake; a word that means nothing is said, whatever else is shown."""
    serve.client.apply(Spec(jobs=(job(),)))
    said = run("status", "--state", "failed,backoff")
    assert "none is FAILED or BACKOFF; revision 1" in said and "no job matches" not in said
    assert "none is FAILED;" in run("status", "readout", "--state", "FAILED")
    for words in (["hlt99", "readout"], ["hlt01", "hlt99"], ["hlt99", "readout", "--state", "WAITING"]):
        said = run("status", *words)
        assert "no job or host matches hlt99: `daqsched status` lists them" in said and "readout hlt01 WAITING" in said
    for words in (["hlt99"], ["hlt99", "--state", "FAILED"]):
        assert "no job matches hlt99: " in run("status", *words, status=2)
    assert "matches" not in run("status", "hlt01", "read*")


def test_why_and_story_say_which_words_mean_nothing(serve: Serve, run: Run) -> None:
    """As `status` does: whatever the others mean is told, and where there is nothing else it is a mistake."""
    serve.client.apply(Spec(jobs=(job(hosts="hlt[01-02]"),)))
    serve.client.stop(["readout@hlt02"])
    said = "no job or host matches readuot: `daqsched status` lists them; did you mean readout?"
    for verb, status in (("why", 4), ("story", 0)):
        told = run(verb, "readuot", "readout", status=status)
        assert said in told and "readout@hlt02" in told
        assert said in run(verb, "--json", "readuot", "readout", status=status)
        told = run(verb, "readuot", status=2)
        assert said in told and "desired" not in told
        assert "matches" not in run(verb, "hlt02", "readout@*", status=status)


class Silent:
    """A source without a line."""

    def tail(self, most: int) -> list[object]:
        """None."""
        return []

    def nothing(self) -> str:
        """What is said of that."""
        return "no line matches"

    def lacking(self, begin: object) -> list[str]:
        """Nothing."""
        return []

    def close(self) -> None:
        """It has nothing open."""


def test_logs_of_a_word_that_is_a_host_say_how_that_is_written(
    serve: Serve, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job of that name has no lines."""
    monkeypatch.setattr("daqsched.cli.logs._source", lambda *rest, told: Silent())
    serve.client.apply(Spec(jobs=(job(), job("hlt03", "hlt03"))))
    assert "no line matches; a host is written @hlt01" in run("logs", "--sandbox", "hlt01", "readout")
    for word in ("readout", "hlt99", "@hlt01", "hlt03"):
        assert run("logs", "--sandbox", word).endswith("no line matches")


def test_what_an_option_can_not_do_is_a_mistake(serve: Serve, run: Run) -> None:
    """Not left out in silence."""
    serve.client.apply(Spec(jobs=(job(console=True),)))
    assert "must be 1 or more" in run("history", "-n", "0", status=2)
    assert "--read-only and --take can't be combined" in run(
        "console", "readout@hlt01", "--read-only", "--take", status=2
    )


def test_each_team_is_told_of_its_own_file_and_whose_part_something_is(serve: Serve, run: Run, tmp_path: Path) -> None:
    """A revision is the farm: that of another team's apply has this part out of another file."""
    head = "from daqsched import Job, variable\nversion = variable('version', '1')\n"
    files = {}
    for part in ("daq", "hlt"):
        files[part] = tmp_path / f"{part}.py"
        files[part].write_text(
            f'{head}farm = "{part}"\njobs = [Job("{part}-a", "/bin/a", hosts="h[1-2]", version=version)]\n'
        )
    for part, version in (("daq", 1), ("hlt", 1), ("daq", 2), ("hlt", 2)):
        run("apply", files[part], "--set", f"version={version}", "--no-wait", "--yes")
    serve.daemon.put(events.Registered("fw", "m:5050"))
    serve.daemon.put(events.OffersArrived((offer("h1"), offer("h2"))))
    serve.settle()
    for task in serve.edge.launched():
        agent = f"agent-{task.partition('@')[2].partition('.')[0]}"
        serve.daemon.put(events.TaskReported(task, agent, "TASK_RUNNING", uuid="u"))
    serve.settle()
    run("rollback", "2", "--part", "daq", "--no-wait", "--yes", "--batches", "1")
    (first, *_) = serve.client.history(1, None)
    assert first.message == "rollback of part daq to revision 2" and "daq.py" in first.source
    assert "version=1" in first.source and "hlt.py" not in first.source
    said = run("status")
    assert "RESTARTS PART WHAT" in said and "daq-a h2 RUNNING" in said
    assert "ollout 1 of revision 5 of part daq: batch 1 of 2" in run("rollout")
    run("rollout", "rollback", "--yes")
    (first, *_) = serve.client.history(1, None)
    assert first.message.startswith("rollback of revision 5 to 3: ") and first.part == "daq", "4 was another team's"
    assert first.source == "", "revision 4 was the other team's"


def test_tab_completes_states(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also the next of a list."""

    def offered(begin: str) -> list[str]:
        return [str(one.value) for one in states_offered(click.Context(main), main.params[0], begin)]

    assert offered("f") == ["FAILED", "FINISHED"] and offered("FAILED,ba") == ["FAILED,BACKOFF"]
    assert "FAILED,FAILED" not in offered("FAILED,")
    assert any(one.shell_complete(click.Context(main), "FA") for one in verbs(main)["status"].params)


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        ((), {"h1", "h2", "h3"}),
        (("--except", "h2"), {"h1", "h3"}),
        (("--except", "@h[1-2]"), {"h3"}),
        (("--except", "h2", "--except", "daq-a@h3"), {"h1"}),
        (("--only", "@h[1-2]", "--except", "h1"), {"h2"}),
    ],
)
def test_a_preflight_asks_no_host_that_is_excepted(
    serve: Serve, run: Run, tmp_path: Path, words: tuple[str, ...], asked: set[str]
) -> None:
    """A bare word that is no job is a host, one that is down: nobody waits for it."""
    file = tmp_path / "farm.py"
    file.write_text('from daqsched import Job\njobs = [Job("daq-a", "/bin/true", hosts="h[1-3]")]\n')
    serve.daemon.put(events.Registered("fw", "m:5050"))
    serve.settle()
    said = run("preflight", file, *words, "--timeout", "0.3", "--json", status=4)
    found = msgspec.json.decode(said[said.index("{") :])
    assert {host for wall in found["wall"] for host in wall["hosts"]} == asked


#: What is typed behind a file of a job daq-a on h1 to h3, where the farm has gone@h9, too -> the word that is a mistake.
MISTYPED = [
    (("--only", "daq-b"), "daq-b"),
    (("--only", "daq-a", "--only", "daq-b"), "daq-b"),
    (("--only", "@h4"), "@h4"),
    (("--only", "daq-a@h[4-9]", "--only", "@h1"), "daq-a@h[4-9]"),
    (("--only", "d?q-b", "--only", "gone"), "d?q-b"),
    (("--only", "h1"), "h1"),
    (("--only", "daq-a", "--only", "gone@h*"), ""),
    (("--only", "@h9", "--only", "@h[3-4]", "--only", "daqsched-forward"), ""),
]


@pytest.mark.parametrize(("words", "wrong"), MISTYPED)
@pytest.mark.parametrize("command", ["apply", "plan", "propose", "preflight", "apply --preflight"])
def test_a_selection_that_fits_nothing_is_a_mistake_whatever_the_others_fit(
    serve: Serve, run: Run, tmp_path: Path, command: str, words: tuple[str, ...], wrong: str
) -> None:
    """It was taken in silence, and what was meant left as it was. What only the farm has is meant as well."""
    launched(serve, "gone")
    serve.client.apply(Spec(jobs=(job("gone", "h9"),)), "moved")
    file = tmp_path / "farm.py"
    file.write_text('from daqsched import Job\njobs = [Job("daq-a", "/bin/true", hosts="h[1-3]")]\n')
    verb, *more = command.split()
    more += {"apply": ["--no-wait", "--no-look"], "preflight": ["--timeout", "0.3"]}.get(verb, [])
    before = serve.client.info().revision
    if wrong:
        said = run(verb, file, *words, *more, status=2)
        assert f"nothing was done: --only {wrong} matches nothing of the file or the farm" in said
        assert serve.client.info().revision == before
    elif command in ("apply", "propose"):
        run(verb, file, *words, *more)
    elif command == "plan":
        run(verb, file, *words, *more, status=6)


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        ("anywhere@h7", ""),
        ("any*@h*", ""),
        ("@h7", ""),
        ("@h[4-9]", ""),
        ("anywhere", ""),
        ("daqsched-*", ""),
        ("anywheer@h7", "anywheer@h7"),
        ("daq-a@h7", "daq-a@h7"),
    ],
)
def test_where_a_job_by_attributes_may_be_is_the_daemon_s_to_know(
    serve: Serve, run: Run, tmp_path: Path, words: str, wrong: str
) -> None:
    """It has no hosts in the file, and before its first start none in the farm: its name has to fit."""
    serve.daemon.put(events.Registered("fw", "m:5050"))
    file = tmp_path / "farm.py"
    file.write_text(
        "from daqsched import Job\n"
        'jobs = [Job("daq-a", "/bin/true", hosts="h1"), Job("anywhere", "/bin/true", attributes={"rack": "r1"})]\n'
    )
    if wrong:
        assert f"--only {wrong} matches nothing" in run(
            "apply", file, "--only", words, "--no-wait", "--no-look", status=2
        )
    else:
        run("apply", file, "--only", words, "--no-wait", "--no-look")


@pytest.mark.parametrize("words", ["h4", "daq-b", "@h[4-9]", "daq-a@h4", "@x*", "h2 h4"])
@pytest.mark.parametrize("command", ["preflight", "apply --preflight"])
def test_who_is_excepted_and_not_there_is_a_mistake(
    serve: Serve, run: Run, tmp_path: Path, command: str, words: str
) -> None:
    """A slip of the finger, and the host that is down is waited for."""
    launched(serve, "gone")
    file = tmp_path / "farm.py"
    file.write_text('from daqsched import Job\njobs = [Job("daq-a", "/bin/true", hosts="h[1-3]")]\n')
    verb, *more = command.split()
    excepted = [word for one in words.split() for word in ("--except", one)]
    last = words.split()[-1]
    said = run(verb, file, *more, *excepted, status=2)
    name = last if "@" in last else f"@{last}"
    assert f"nothing was asked: --except {name} matches no job and no host of the file" in said
    assert serve.client.info().revision == 1


@pytest.mark.parametrize(
    ("words", "difference"),
    [
        ("plan FILE", "version 2 -> 3"),
        ("diff FILE", "version 2 -> 3"),
        ("diff 0 FILE", "version 2 -> 3"),
        ("diff FILE 0", "version 3 -> 2"),
        ("diff FILE 1", "version 3 -> 1"),
        ("diff 1 FILE", "version 1 -> 3"),
        ("diff 1", "version 1 -> 2"),
        ("diff 1 2", "version 1 -> 2"),
        ("diff 2 1", "version 2 -> 1"),
    ],
)
def test_a_difference_reads_from_what_is_so_to_what_the_file_says(
    serve: Serve, run: Run, tmp_path: Path, words: str, difference: str
) -> None:
    """`diff` of a file had the sides of `plan` the other way round."""
    for version in "123":
        file = tmp_path / f"jobs{version}.py"
        file.write_text(
            f'from daqsched import Job\njobs = [Job("readout", "/bin/true", hosts="h1", version="{version}")]\n'
        )
        if version != "3":
            run("apply", file, "--no-wait", "--no-look")
    assert difference in run(*(file if word == "FILE" else word for word in words.split()), status=6)


def test_history_of_a_revision_shows_that_one(serve: Serve, run: Run) -> None:
    """Or says that there is none, also of a part."""
    for name in ("first", "second", "third"):
        serve.client.apply(Spec(jobs=(job(name),)), name)
    said = run("history", "2")
    assert "second" in said and "first" not in said and "third" not in said
    assert [one["number"] for one in msgspec.json.decode(run("history", "3", "--json"))] == [3]
    assert "there is no revision 4: `daqsched history` lists them" in run("history", "4", status=2)
    assert "there is no revision 2 of part hlt: " in run("history", "2", "--part", "hlt", status=2)
    assert "second" in run("history", "2", "--part", "-")
    run("history", "0", status=2)


@pytest.mark.parametrize(
    ("words", "jobs"),
    [
        ((), {"readout", "evb"}),
        (("readout",), {"readout"}),
        (("hlt01",), {"readout", "evb"}),
        (("@hlt01",), {"readout", "evb"}),
        (("evb@hlt01", "*out"), {"readout", "evb"}),
        (("e*@hlt*",), {"evb"}),
        (("good",), set[str]()),
    ],
)
def test_incidents_of_a_selection(serve: Serve, run: Run, words: tuple[str, ...], jobs: set[str]) -> None:
    """A word that is no job and no host is a mistake; what has not died is told so."""
    launched(serve, "readout", "evb", "good")
    for task in serve.edge.launched():
        if not task.startswith("good"):
            report = Report("ended", last_exit=Exit(1.0, 2.0, code=3, lines=(f"{task[:3]} fails",)))
            serve.daemon.put(
                events.TaskReported(
                    task, "agent-hlt01", "TASK_FAILED", by_executor=True, data=msgspec.json.encode(report), uuid="u2"
                )
            )
    serve.settle()
    found = msgspec.json.decode(run("incidents", *words, "--json"))["incidents"]
    assert {name for one in found for name in one["jobs"]} == jobs
    if not jobs:
        assert "No program of good has died that nobody asked to end." in run("incidents", *words)
    assert "no job or host matches nobody" in run("incidents", "nobody", status=2)


def test_a_restart_of_what_is_stopped_says_that_it_stays_so(serve: Serve, run: Run) -> None:
    """All of it, or some: whose it is, and what starts it."""
    launched(serve, "readout", "evb")
    serve.daemon.put(events.Held((("readout", "hlt01"),), "alice", "cabling"))
    (task,) = (one for one in serve.edge.launched() if one.startswith("readout@"))
    serve.daemon.put(events.TaskReported(task, "agent-hlt01", "TASK_KILLED", uuid="k"))
    serve.settle()
    why = "readout@hlt01 was stopped by alice: cabling, and stays so: `daqsched start readout@hlt01` starts it"
    assert f"nothing was restarted: {why}" in run("restart", "readout", status=5)
    said = run("restart", "*", "--yes")
    assert why in said and "ollout 1 of a restart" in said and "1 instance on 1 host" in said
    run("rollout", "abort")
    run("hold", "evb")
    said = run("restart", "*", status=5)
    assert f"nothing was restarted: {why}; 1 other is stopped or held, too" in said
    assert "nothing that runs matches nosuch" in run("restart", "nosuch", status=2)


def test_a_second_stop_keeps_the_first_one_s_reason(serve: Serve, run: Run) -> None:
    """Whose it is stands beside a number that is not all."""
    launched(serve, "readout", "evb")
    serve.daemon.put(events.Held((("readout", "hlt01"),), "alice", "cabling"))
    said = run("stop", "*", "-m", "mine")
    assert "1 told to stop; " in said and "readout@hlt01 was stopped by alice: cabling" in said
    said = run("stop", "readout", "-m", "mine", status=5)
    assert "nothing was stopped: readout@hlt01 was stopped by alice: cabling: " in said
    (task,) = (one for one in serve.edge.launched() if one.startswith("readout@"))
    serve.daemon.put(events.TaskReported(task, "agent-hlt01", "TASK_KILLED", uuid="k"))
    serve.settle()
    assert "STOPPED" in (said := run("status", "readout")) and "by alice: cabling" in said


def test_what_is_told_to_stop_counts_forwarders_and_says_so(serve: Serve, run: Run) -> None:
    """They are of no job file, and the question before leaves them out."""
    forwarder = ForwarderSpec(name=FORWARDER, argv=("x",), hosts=("hlt01",))
    serve.daemon.put(events.JobsApplied(Spec(jobs=(job(), forwarder)), "root", ""))
    serve.settle()
    said = run("stop", "*")
    assert "2 told to stop, with 1 forwarder of lines; `daqsched start '*'`" in said
    assert "again. No running program ends." in said
    assert "1 told to stop; " in run("stop", "readout")
    serve.daemon.put(events.Registered("fw", "m:5050"))
    assert "2 may run, with 1 forwarder of lines: readout@hlt01; " in run("start", "*")


def test_borrow_with_its_words_swapped_says_which_comes_first(serve: Serve, run: Run) -> None:
    """Also JOB@HOST, as all else takes it; another refusal is told as it is."""
    serve.client.apply(Spec(jobs=(job(),)))
    assert "hlt01 is one and readout a job on it: `daqsched borrow hlt01 readout`" in run(
        "borrow", "readout", "hlt01", status=2
    )
    assert "the host comes first: `daqsched borrow hlt01 readout`" in run("borrow", "readout@hlt01", "x", status=2)
    assert "hlt01 is not set aside: `daqsched aside hlt01 --for 2h` does" in run("borrow", "hlt01", "readout", status=5)
    assert "hlt02 is not a job of readout" in run("borrow", "readout", "hlt02", status=5)


@pytest.mark.parametrize("words", ["snooze --for 1h", "wake", "retry"])
def test_an_order_that_nobody_took_says_so_and_has_a_status_of_its_own(serve: Serve, run: Run, words: str) -> None:
    """No sentence counts to 0."""
    serve.client.apply(Spec(jobs=(job(),)))
    verb, *more = words.split()
    said = run(verb, "readout", *more, status=4)
    assert (
        " 0 " not in said
        and "none was asked" in said
        or "no snooze was ended" in said
        or "no checks are snoozed" in said
    )


def test_a_second_person_hears_whose_it_is(serve: Serve, run: Run) -> None:
    """What another one has stopped or set aside is not called stopped, held, given back or set aside."""
    launched(serve, "readout", "evb")
    serve.daemon.put(events.Held((("readout", "hlt01"),), "games", "beam"))
    serve.daemon.put(events.PutAside(("hlt01",), "games", 4e9, "card", stops=9))
    for verb, done in (("stop", "stopped"), ("hold", "held")):
        said = run(verb, "readout", status=5)
        assert (
            f"nothing was {done}: readout@hlt01 was stopped by games: beam: `daqsched start --all readout@hlt01`"
            in said
        )
        assert "lets them run again" not in said
    for words in (["return", "hlt01"], ["aside", "hlt01", "--for", "2h"]):
        said = run(*words, status=5)
        assert "hlt01 is set aside by games for" in said and f"`daqsched {words[0]} --all hlt01" in said
    assert "--for 120m` sets aside what is set aside by others, too" in said
    run("aside", "--all", "hlt01", "--for", "2h", "-m", "mine")
    assert "hlt01 root" in run("aside")
    serve.daemon.put(events.PutAside(("hlt01",), "games", 4e9, everyones=True))
    assert "Given back" in run("return", "--all", "hlt01")


def test_a_return_that_ends_what_another_one_runs_by_hand_names_it(serve: Serve, run: Run) -> None:
    """It is asked about whatever their number is."""
    serve.daemon.put(events.Registered("fw", "m:5050"))
    serve.client.apply(Spec(jobs=(job("readout"),)))
    serve.client.aside(["hlt01"], 4e9, "")
    serve.daemon.put(events.Borrowed("readout", "hlt01", "games"))
    said = run("return", "hlt01", status=5)
    assert "not done: this ends readout@hlt01, which is run by hand by games; if that is meant, give --yes" in said
    assert "Given back" in run("return", "hlt01", "--yes")


def test_start_names_what_begins_and_counts_nothing_that_ran(serve: Serve, run: Run) -> None:
    """And begins nothing that waits for a first start by hand unless its job is named."""
    serve.daemon.put(events.Registered("fw", "m:5050"))
    serve.client.apply(
        Spec(jobs=(job("readout"), job("evb"), job("tune", start="manual"), job("tune2", start="manual")))
    )
    serve.daemon.put(events.OffersArrived((offer(),)))
    serve.settle()
    for task in serve.edge.launched():
        serve.daemon.put(events.TaskReported(task, "agent-hlt01", "TASK_RUNNING", uuid="u"))
    serve.settle()
    run("stop", "evb", "--yes")
    for words in ("*", "@hlt01", "*@hlt01"):
        run("stop", "evb", "--yes")
        said = run("start", words)
        assert ": evb@hlt01" in said and "`daqsched start tune@hlt01` is that" in said and "tune, " not in said
        assert "1 ran already, or was being started." in said
    assert "1 may run: tune@hlt01; `daqsched status tune`" in run("start", "tune")
    assert ", tune2@hlt01; " in run("start", "tune2*", "@hlt01")
    assert "None was started: 1 ran already" in run("start", "readout@hlt01")


def test_what_was_stopped_and_left_the_farm_is_told_by_plan_and_can_be_started(
    serve: Serve, run: Run, tmp_path: Path
) -> None:
    """It comes back stopped, and nobody has to remember who did that."""
    launched(serve, "readout", "arch")
    serve.daemon.put(events.Held((("arch", "hlt01"),), "games", "disk"))
    (task,) = (one for one in serve.edge.launched() if one.startswith("arch@"))
    serve.daemon.put(events.TaskReported(task, "agent-hlt01", "TASK_KILLED", uuid="u"))
    serve.client.apply(Spec(jobs=(job("readout"),)))
    file = tmp_path / "jobs.py"
    file.write_text(
        "from daqsched import Job\njobs = [Job(n, '/bin/true', hosts='hlt01') for n in ('readout', 'arch')]\n"
    )
    stays = "arch@hlt01 was stopped by games: disk, and stays so until `daqsched start`."
    assert stays in run("plan", file, status=6)
    absent = "arch@hlt01 was stopped by games: disk, and is not in the farm: it stays stopped when it is back, unless"
    assert f"{absent} `daqsched start --all arch@hlt01` says otherwise." in run("status")
    assert json.loads(run("status", "--json"))["absent"] == f"{absent} `daqsched start --all arch@hlt01` says otherwise"
    assert "arch@hlt01 was stopped by games: disk: `daqsched start --all arch@hlt01`" in run(
        "start", "arch@hlt01", status=5
    )
    said = run("start", "arch@hlt01", "--all")
    assert "not in the farm: it stays" not in run("status")
    assert not json.loads(run("status", "--json")).get("absent")
    assert "None may run yet." in said and "arch@hlt01 is not in the farm: it starts when a job file names it" in said
    assert stays not in run("plan", file, status=6)
    assert "no job matches arch@hlt01" in run("start", "arch@hlt01", status=2)


def test_an_empty_file_of_a_part_that_has_no_jobs_is_a_mistake(serve: Serve, run: Run, tmp_path: Path) -> None:
    """It would stop nothing, and another part was meant; and there is no revision 0 to go back to."""
    file = tmp_path / "jobs.py"
    file.write_text("from daqsched import Job\nfarm = 'hlt'\njobs = [Job('readout', '/bin/true', hosts='hlt01')]\n")
    run("apply", file, "--no-wait")
    for name, meant in (("hIt", "did you mean hlt?"), ("xyzzy", "there is part hlt"), ("", "there is part hlt")):
        file.write_text(f"from daqsched import Job\n{f'farm = {name!r}' if name else ''}\njobs = []\n")
        whose = f"part {name}" if name else "the part without a name"
        why = f"there are no jobs of {whose}, and a file without jobs would stop nothing: {meant}"
        assert why in run("plan", file, status=2)
        assert why in run("apply", file, "--allow-empty", "--yes", status=2)
        assert why in run("apply", file, status=2)
    file.write_text("from daqsched import Job\nfarm = 'hlt'\njobs = []\n")
    assert "would stop all of part hlt" in run("apply", file, status=5)
    run("plan", file, status=6)
    run("apply", file, "--allow-empty", "--yes")
    assert "0 is not in the range x>=1" in run("rollback", "0", "--yes", status=2)
    with pytest.raises(UserError, match="there is no revision 0"):
        serve.client.rollback(0, "", None, 99, None, True)
