"""Consoles at the daemon's socket: who may type, what is sent to whom, what has an end. The executor is this test."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builders import job, offer
from daqsched.cli.console import Attachment
from daqsched.client import Client
from daqsched.engine import commands, events
from daqsched.errors import DaqschedError, Forgotten, Refused, Unreachable, UserError
from daqsched.protocol import ConsoleKeys, ConsoleOutput, ConsoleRead, ConsoleTyped
from daqsched.rights.principal import Principal
from daqsched.serve import shared_terminals
from daqsched.serve.http import Caller
from daqsched.spec import Spec
from daqsched_executor.contract.console import KEYS_BYTES, PIECE_BYTES, ConsoleAsk, ConsoleSaid
from served import Serve
from waiting import until


class Farm:
    """A daemon, one program at a terminal, and its executor: `printed`, and whether it answers."""

    def __init__(self, folder: Path) -> None:
        self.serve = Serve(folder)
        self.client = self.serve.client
        self.answers, self.printed, self.refuses = True, b"ioc> ", 0
        self.serve.edge.then = self._perform
        self.asked: list[ConsoleAsk] = []
        self.serve.daemon.put(events.Registered("fw", "m:5050"))
        self.client.apply(Spec(jobs=(job("ioc", console=True), job("quiet"))))
        self.launch()

    def launch(self) -> str:
        self.serve.daemon.put(events.OffersArrived((offer(),)))
        self.serve.settle()
        self.task = next(one for one in reversed(self.serve.edge.launched()) if one.startswith("ioc@"))
        self.serve.daemon.put(events.TaskReported(self.task, "agent-hlt01", "TASK_RUNNING", uuid="u"))
        self.serve.settle()
        return self.task

    def _perform(self, command: commands.Command) -> None:
        if isinstance(command, commands.Type) and command.task_id == self.task:
            self.asked.append(command.ask)
            if self.answers:
                at = max(0, command.ask.at) if command.ask.at >= -1 else len(self.printed)
                self.say(
                    ConsoleSaid(command.ask.id, at, self.printed[at:], 0, command.ask.number, self.refuses, 1, True)
                )

    def say(self, said: ConsoleSaid, task: str = "", agent: str = "agent-hlt01") -> None:
        self.serve.api.terminals.heard(task or self.task, agent, said.to_json())

    def read(self, id: str, asked: ConsoleRead = ConsoleRead()) -> ConsoleOutput:  # noqa: B008  it is only read
        """Once something is known of it."""
        return until(lambda: one if (one := self.client.console(id, asked)).task_id else None, "its task is known")

    def close(self) -> None:
        self.serve.close()


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[Farm]:
    made = Farm(tmp_path)
    yield made
    made.close()


def test_one_types_others_read(farm: Farm) -> None:
    """Who is second only looks, until he takes it; the keys carry the name that the kernel knows, and count up."""
    first = farm.client.attach("ioc", "hlt01", True, False, "")
    second = farm.client.attach("ioc", "hlt01", True, False, "")
    assert (first.writes, second.writes) == (True, False)
    assert farm.client.keys(first.id, ConsoleKeys(b"a", 30, 100)).confirmed
    with pytest.raises(Refused, match="what you type does not go to the program: .* types"):
        farm.client.keys(second.id, ConsoleKeys(b"b"))
    third = farm.client.attach("ioc", "hlt01", True, True, "")
    assert third.writes and farm.client.keys(third.id, ConsoleKeys(b"c")).confirmed
    assert not farm.read(first.id).writes
    typed = [(one.keys, one.number, one.rows, one.columns) for one in farm.asked if one.keys]
    assert typed == [(b"a", 1, 30, 100), (b"c", 2, 0, 0)]
    farm.client.detach(third.id)
    found = farm.read(first.id)
    assert (found.writer, found.attached, found.data) == ("", 2, b"ioc> ")


def test_what_is_not_confirmed_is_said_and_never_sent_again(farm: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    """An executor that is silent; and one that has no room."""
    monkeypatch.setattr(shared_terminals, "CONFIRM_S", 0.2)
    one = farm.client.attach("ioc", "hlt01", True, False, "")
    farm.read(one.id)
    farm.answers = False
    assert not farm.client.keys(one.id, ConsoleKeys(b"lost")).confirmed
    farm.answers, farm.refuses = True, 2
    done = farm.client.keys(one.id, ConsoleKeys(b"full"))
    assert (done.confirmed, done.refused) == (True, 2)
    assert [ask.keys for ask in farm.asked if ask.keys] == [b"lost", b"full"]


def test_a_daemon_that_is_busy_sends_nothing_late(farm: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys that wait for longer than anybody believes in them are not typed at all."""
    one = farm.client.attach("ioc", "hlt01", True, False, "")
    farm.read(one.id)
    monkeypatch.setattr("daqsched.serve.queue_items.LATE_S", 0.0)
    monkeypatch.setattr(shared_terminals, "CONFIRM_S", 0.2)
    assert not farm.client.keys(one.id, ConsoleKeys(b"late")).confirmed
    farm.serve.settle()
    assert not [ask for ask in farm.asked if ask.keys]


def test_nobody_else_s_words_are_shown(farm: Farm) -> None:
    """Of another task, another agent, for another daemon; what is none is said."""
    one = farm.client.attach("ioc", "hlt01", False, False, "")
    before = until(
        lambda: read if (read := farm.client.console(one.id, ConsoleRead())).data else None, "the prompt is known"
    )
    id = farm.asked[-1].id
    farm.say(ConsoleSaid(id, before.offset, b"forged", start=1, runs=True), task="quiet@hlt01.1")
    farm.say(ConsoleSaid(id, before.offset, b"forged", start=1, runs=True), agent="another")
    farm.say(ConsoleSaid("another", before.offset, b"forged", start=1, runs=True))
    farm.serve.api.terminals.heard(farm.task, "agent-hlt01", b"no json")
    farm.say(ConsoleSaid(id, before.offset, b"true", start=1, runs=True))
    seen = ConsoleRead(before.task_id, before.offset)
    assert until(lambda: farm.client.console(one.id, seen).data, "what is true") == b"true"
    farm.answers = False
    farm.serve.api.terminals.heard(farm.task, "agent-hlt01", b"no json")
    until(lambda: "is not understood" in farm.client.console(one.id, seen).silent, "word of it")


def test_a_read_waits_for_news_and_no_longer(farm: Farm) -> None:
    """What is printed ends it; nothing ends it after the time that it may take."""
    one = farm.client.attach("ioc", "hlt01", False, False, "")
    until(lambda: farm.read(one.id).data, "the prompt")
    found = farm.read(one.id)
    asked = ConsoleRead(found.task_id, found.offset, found.seen, 5.0)
    threading.Timer(
        0.2, lambda: farm.say(ConsoleSaid(farm.asked[-1].id, found.offset, b"news", start=1, runs=True))
    ).start()
    assert farm.client.console(one.id, asked).data == b"news"
    # a renewal's answer is no news
    found = farm.read(one.id)
    farm.answers = False
    began = time.monotonic()
    farm.client.console(one.id, ConsoleRead(found.task_id, found.offset, found.seen, 0.3))
    assert time.monotonic() - began < 2.0


def test_the_task_of_another_launch_is_followed(farm: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    """From its beginning, whatever the last one had printed."""
    monkeypatch.setattr(shared_terminals, "RENEW_S", 0.1)
    one = farm.client.attach("ioc", "hlt01", True, False, "")
    found = until(lambda: seen if (seen := farm.read(one.id)).data else None, "the prompt")
    farm.serve.daemon.put(events.TaskReported(farm.task, "agent-hlt01", "TASK_FAILED", uuid="u"))
    until(
        lambda: farm.client.console(one.id, ConsoleRead(found.task_id, found.offset)).silent == "nothing runs",
        "it is gone",
    )
    farm.printed = b"new> "
    task = farm.launch()
    seen = ConsoleRead(found.task_id, found.offset)
    after = until(
        lambda: new if (new := farm.client.console(one.id, seen)).task_id == task and new.data else None, "the new one"
    )
    assert after.data == b"new> " and farm.client.keys(one.id, ConsoleKeys(b"x")).confirmed


def test_each_number_has_its_limit(farm: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    """People at a terminal, terminals, keys, windows."""
    one = farm.client.attach("ioc", "hlt01", True, False, "")
    for keys in (ConsoleKeys(b"x" * (KEYS_BYTES + 1)), ConsoleKeys(b"", 70_000)):
        with pytest.raises(UserError, match="at most 4096 bytes"):
            farm.client.keys(one.id, keys)
    # of one person so many, and the rest of others
    for _ in range(shared_terminals.MOST_ATTACHED * 3 // 4 - 1):
        farm.client.attach("ioc", "hlt01", False, False, "")
    with pytest.raises(Refused, match="12 are attached to ioc@hlt01"):
        farm.client.attach("ioc", "hlt01", False, False, "")
    with monkeypatch.context() as others:
        others.setattr(shared_terminals, "_same", lambda one, other: False)
        for _ in range(shared_terminals.MOST_ATTACHED // 4):
            farm.client.attach("ioc", "hlt01", False, False, "")
        with pytest.raises(Refused, match="16 are attached to ioc@hlt01"):
            farm.client.attach("ioc", "hlt01", False, False, "")
    monkeypatch.setattr(shared_terminals, "MOST_CONSOLES", 1)
    farm.client.apply(Spec(jobs=(job("ioc", console=True), job("other", console=True))))
    with pytest.raises(Refused, match="1 terminals are watched"):
        farm.client.attach("other", "hlt01", False, False, "")
    for key, sentence in ((("no", "hlt01"), "there is no no@hlt01"), (("other", "no"), "there is no other@no")):
        with pytest.raises(UserError, match=sentence):
            farm.client.attach(*key, False, False, "")


def test_who_is_not_heard_of_types_no_more(farm: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that was killed: another one types, without taking it from anybody. Then nobody is told anything any more."""
    monkeypatch.setattr(shared_terminals, "RENEW_S", 0.1)
    monkeypatch.setattr(shared_terminals, "GONE_S", 0.5)
    one = farm.client.attach("ioc", "hlt01", True, False, "")
    other = farm.client.attach("ioc", "hlt01", False, False, "")
    until(lambda: not farm.read(other.id).writer, "the first one is given up")
    with pytest.raises(Unreachable, match="you are not attached"):
        farm.client.console(one.id, ConsoleRead())
    assert farm.client.attach("ioc", "hlt01", True, False, "").writes
    until(lambda: not farm.serve.api.terminals._consoles, "nobody is left")
    count = len(farm.asked)
    farm.serve.settle()
    assert len(farm.asked) == count and not farm.serve.api.terminals._by_task


def test_an_id_of_somebody_else_is_none(farm: Farm) -> None:
    """Also where it is guessed."""
    client = Client(farm.serve.path)
    for id in ("0" * 16, "../console", "x"):
        with pytest.raises(DaqschedError):
            client.console(id, ConsoleRead())
    client.close()


def test_an_id_counts_for_who_attached_and_for_nobody_of_the_same_name(farm: Farm) -> None:
    """By another door an equal name is another person; who is in another group meanwhile is the same one."""
    id = farm.client.attach("ioc", "hlt01", True, False, "").id
    attached = farm.serve.api.terminals._attached
    terminals = farm.serve.api.terminals

    def web(*known_as: str) -> Caller:
        return Caller("alice", -1, -1, -1, "web", "", Principal("alice", frozenset(known_as)))

    async def is_taken(caller: Caller) -> bool:
        try:
            terminals.of(id, caller)
        except Forgotten:
            return False
        return True

    attached[id].caller = web("proxy:alice", "proxy-group:daq")
    for known_as, taken in (
        (("proxy:alice", "proxy-group:daq"), True),
        (("proxy:alice",), True),
        (("password:alice",), False),
        (("oidc:alice", "oidc-group:daq"), False),
        (("token:alice",), False),
        ((), False),
    ):
        assert asyncio.run(is_taken(web(*known_as))) == taken, known_as


def test_what_is_typed_right_after_attaching_is_sent(farm: Farm) -> None:
    """Before the daemon has looked for the program, too; and where nothing runs any more it is counted back at once."""
    for _ in range(5):
        one = farm.client.attach("ioc", "hlt01", True, False, "")
        assert farm.client.keys(one.id, ConsoleKeys(b"x")) == ConsoleTyped(True, 0)
        farm.client.detach(one.id)
        farm.serve.api.terminals._consoles.clear()  # as if nobody had ever been there
    assert [ask.keys for ask in farm.asked if ask.keys] == [b"x"] * 5
    one = farm.client.attach("ioc", "hlt01", True, False, "")
    farm.client.stop(["ioc"])
    farm.serve.daemon.put(events.TaskReported(farm.task, "agent-hlt01", "TASK_KILLED", uuid="u"))
    until(lambda: farm.read(one.id).silent == "nothing runs", "it is gone")
    assert farm.client.keys(one.id, ConsoleKeys(b"late")) == ConsoleTyped(True, 4)


@pytest.mark.parametrize(
    ("other", "words", "status", "sentence"),
    [
        (False, [], 0, "you type"),
        (True, [], 5, "types: --take takes it over"),
        (True, ["--take"], 0, "you type"),
        (True, ["--read-only"], 0, "not typed: you only look"),
    ],
)
def test_a_script_types_what_comes_from_stdin(
    farm: Farm, other: bool, words: list[str], status: int, sentence: str
) -> None:
    """However soon it comes; what was not typed is an error."""
    if other:
        farm.client.attach("ioc", "hlt01", True, False, "")
    done = subprocess.run(
        [sys.executable, "-c", "from daqsched.cli import main; main()", "console", "ioc@hlt01", *words],
        env={**os.environ, "DAQSCHED_SOCKET": str(farm.serve.path)},
        input="orders\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, sentence in done.stderr) == (status, True), done.stderr
    typed = b"".join(ask.keys for ask in farm.asked)
    assert typed == (b"" if "not typed" in done.stderr else b"orders\n")


def test_who_attaches_knows_at_once_that_he_types(farm: Farm) -> None:
    """Before a first answer about what was printed: what comes from stdin is there as soon."""
    session = Attachment(farm.serve.path, ("ioc", "hlt01"), True, False, "", False, _Keys())
    session._attach()
    session._reads.close()
    assert session._writes


class OlderRequest(msgspec.Struct, forbid_unknown_fields=True):
    """`ConsoleRequest` of the version before: it knows of nobody who was attached already."""

    job: str
    host: str
    write: bool = False
    take: bool = False
    message: str = ""
    again: ClassVar[str] = ""
    wrote: ClassVar[bool] = False


@pytest.mark.parametrize("wrote", [True, False])
def test_who_attaches_again_to_an_older_daemon_is_attached_and_told_what_it_lacks(
    farm: Farm, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], wrote: bool
) -> None:
    """Who typed types on; who did not does not come to by that, and is told how he can."""
    monkeypatch.setattr("daqsched.serve.console_api.ConsoleRequest", OlderRequest)
    session = Attachment(farm.serve.path, ("ioc", "hlt01"), True, False, "", False, _Keys())
    session._before, session._writes = "of another daemon", wrote
    session._attach()
    session._reads.close()
    assert session._id and session._writes == wrote
    sentence = "[daqsched: this daemon is older than this command: to type, leave and attach anew]\n"
    assert capsys.readouterr().err == ("" if wrote else sentence)


class _Keys:
    """A keyboard on which nobody presses anything."""

    is_terminal, resized = True, False

    def wake(self) -> None:
        """Nobody waits."""


def test_who_may_not_type_is_told_why_and_again_when_that_changes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Somebody else does; then he has left, and the next key counts."""
    session = Attachment(tmp_path / "sock", ("ioc", "hlt01"), True, False, "", False, _Keys())
    said = []
    for writer in ("ann (pid 7)", ""):
        session._tell_news(ConsoleOutput("task", 0, b"", 0, 1, True, "", writer, False, 1, 1))
        session.type(b"x")
        session.type(b"y")
        said.append(capsys.readouterr().err.splitlines())
    assert said == [
        [
            "[daqsched: ann (pid 7) types; start 1 runs]",
            "[daqsched: not typed: ann (pid 7) types: --take takes it over]",
        ],
        ["[daqsched: nobody types: the next key that you press does]"],
    ]
    assert [session._typed.get_nowait() for _ in range(2)] == [b"x", b"y"]


#: What a terminal says of itself: its task, which start, whether that runs, and why nothing is heard of it.
STATES = st.tuples(
    st.sampled_from(["t1", "t2", "t3"]),
    st.integers(1, 2),
    st.booleans(),
    st.sampled_from(["", "", "its host is silent"]),
)


@settings(max_examples=200, deadline=None)
@given(states=st.lists(STATES, min_size=1, max_size=12))
def test_each_start_is_told_once_by_its_task_and_its_number(states: list[tuple[str, int, bool, str]]) -> None:
    """Whatever comes in between and whatever is missed: another task has another start 1, and that is a new one."""
    session = Attachment(Path("sock"), ("ioc", "hlt01"), False, False, "", False, _Keys())
    told: list[str] = []
    session.tell = told.append  # type: ignore[method-assign,assignment]  # what it says is kept
    before, last = None, ""
    for task, start, runs, silent in states:
        told.clear()
        session._tell_news(ConsoleOutput(task, 0, b"", 0, start, runs, silent, "", False, 1, 1))
        is_up = runs and not silent
        of_start = [one for sentence in told for one in sentence.split("; ") if "start" in one]
        now = (task, start) if is_up else None
        anew = "launched anew: " if is_up and last not in ("", task) else ""
        assert of_start == ([f"{anew}start {start} runs"] if now is not None and now != before else [])
        last = task if is_up else last
        before = now


@pytest.mark.parametrize("cut", [False, True])
def test_when_the_writer_is_gone_the_next_key_is_the_next_writer(
    farm: Farm, monkeypatch: pytest.MonkeyPatch, cut: bool
) -> None:
    """Who left, or was killed: all are told that nobody types; who only looks never does; of two who press a key at once one does,
    and the other is told who."""
    monkeypatch.setattr(shared_terminals, "RENEW_S", 0.1)
    monkeypatch.setattr(shared_terminals, "GONE_S", 3.0 if cut else 60.0)
    first, one, other = (farm.client.attach("ioc", "hlt01", True, False, "") for _ in range(3))
    looks = farm.client.attach("ioc", "hlt01", False, False, "")
    rest = (one, other, looks)
    assert farm.client.keys(first.id, ConsoleKeys(b"a")).confirmed
    assert all(farm.read(each.id).writer for each in rest)
    if not cut:
        farm.client.detach(first.id)
    until(lambda: not [each for each in rest if farm.read(each.id).writer], "all are told that nobody types")
    with pytest.raises(Refused, match="you only look"):
        farm.client.keys(looks.id, ConsoleKeys(b"l"))
    assert farm.client.keys(one.id, ConsoleKeys(b"b")).confirmed
    with pytest.raises(Refused, match=r"\(pid \d+\) types; `--take` takes"):
        farm.client.keys(other.id, ConsoleKeys(b"c"))
    assert [farm.read(each.id).writes for each in rest] == [True, False, False]
    assert all(farm.read(each.id).writer for each in rest)
    assert b"".join(ask.keys for ask in farm.asked) == b"ab"


def test_who_is_cut_off_goes_on_with_what_he_had(farm: Farm) -> None:
    """He attaches again before the daemon has given him up, or to one that knows nobody; who is quicker does not come to type."""
    first, other = (farm.client.attach("ioc", "hlt01", True, False, "") for _ in range(2))
    again = farm.client.attach("ioc", "hlt01", True, False, "", first.id)
    assert again.writes and farm.read(again.id).attached == 2, "not beside himself"
    with pytest.raises(Unreachable):
        farm.client.keys(first.id, ConsoleKeys(b"x"))
    assert not farm.client.attach("ioc", "hlt01", True, False, "", other.id).writes
    forged = farm.client.attach("ioc", "hlt01", True, False, "", "0" * 16)
    assert not forged.writes and farm.read(again.id).writes
    consoles = farm.serve.api.terminals
    for known in (consoles._consoles, consoles._attached, consoles._by_task):
        known.clear()  # another daemon leads
    late = farm.client.attach("ioc", "hlt01", True, False, "", other.id)
    assert not late.writes and farm.client.attach("ioc", "hlt01", True, False, "", again.id, True).writes
    assert not farm.client.attach("ioc", "hlt01", True, False, "").writes


WAYS = st.sampled_from(["attach", "look", "take", "again", "leave", "type"])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from(["attach", "look", "take", "again", "leave", "type"])), max_size=20
    )
)
def test_there_are_never_two_who_type(farm: Farm, steps: list[tuple[int, str]]) -> None:
    """Whatever four people do: at most one writes, all are told the same of it, and only his keys are sent."""
    there: dict[int, str] = {}
    wants: set[int] = set()
    farm.asked.clear()
    sent = b""
    for who, what in steps:
        if what in ("attach", "look", "take") and who not in there:
            there[who] = farm.client.attach("ioc", "hlt01", what != "look", what == "take", "").id
            (wants.add if what != "look" else wants.discard)(who)
        elif what == "again" and who in there:
            there[who] = farm.client.attach("ioc", "hlt01", who in wants, False, "", there[who]).id
        elif what == "leave" and who in there:
            farm.client.detach(there.pop(who))
        elif what == "type" and who in there:
            writer = [one for one, id in there.items() if farm.client.console(id, ConsoleRead()).writes]
            try:
                farm.client.keys(there[who], ConsoleKeys(b"%d" % who))
                assert writer == [who] or (not writer and who in wants)
                sent += b"%d" % who
            except Refused:
                assert writer != [who] and (writer or who not in wants)
        found = [farm.client.console(id, ConsoleRead()) for id in there.values()]
        assert sum(one.writes for one in found) <= 1 and len({one.writer for one in found}) <= 1
        assert not found or bool(found[0].writer) == any(one.writes for one in found)
    for id in there.values():
        farm.client.detach(id)
    assert b"".join(ask.keys for ask in farm.asked) == sent


def test_what_was_printed_before_somebody_attached_is_not_counted_as_missed(farm: Farm) -> None:
    """Who attaches sees the last of it, also where he looks before its executor has said how much there is."""
    farm.answers = False
    one = farm.client.attach("ioc", "hlt01", True, False, "")
    asked = until(lambda: farm.asked, "its executor is asked")[0]
    first = farm.client.console(one.id, ConsoleRead())
    farm.say(ConsoleSaid(asked.id, 70_000, b"x" * PIECE_BYTES, start=1, runs=True))
    assert farm.client.console(one.id, ConsoleRead()).task_id == "", "there is more to come"
    farm.say(ConsoleSaid(asked.id, 70_000 + PIECE_BYTES, b"end", start=1, runs=True))
    found = farm.read(one.id, ConsoleRead(first.task_id, first.offset, first.seen, 5.0))
    assert (found.skipped, len(found.data), found.data[-4:]) == (0, 4096, b"xend")
