"""The forwarder as a process against an Elasticsearch that fails: what is kept, tried again, set aside, and said."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest

from daqsched_executor.contract import Forwarding
from daqsched_executor.contract.fingerprint import fingerprint
from daqsched_executor.forward.documents.batch import BODY
from daqsched_executor.forward.documents.lines import LONGEST
from daqsched_executor.forward.documents.record import index_of
from daqsched_executor.forward.journal.journal import Journal
from daqsched_executor.forward.journal.position import Range
from fake_elastic import FakeElastic
from forwarding import ForwarderProcess, Printer
from waiting import until


@pytest.fixture
def elastic() -> Iterator[FakeElastic]:
    """An empty server, healthy until told otherwise."""
    made = FakeElastic()
    yield made
    made.close()


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """An empty spool."""
    return tmp_path / "spool"


@pytest.fixture
def start(elastic: FakeElastic, spool: Path) -> Iterator[Callable[..., ForwarderProcess]]:
    """Starts a forwarder; what still runs at the end is told to stop and must do so well."""
    started = []

    def begin(*options: str, **more: Any) -> ForwarderProcess:
        started.append(ForwarderProcess(spool, elastic.url, "logs", *options, **more))
        return started[-1]

    yield begin
    elastic.open.set()
    for process in started:
        if process.process.poll() is None:
            assert process.stop() == 0
        assert "Traceback" not in process.errors


Start = Callable[..., ForwarderProcess]


def stored(elastic: FakeElastic, *texts: str) -> Callable[[], bool]:
    """A condition: exactly these lines, in this order by id."""
    return lambda: elastic.messages() == list(texts)


def test_lines_arrive_with_id_time_and_ecs_fields(elastic: FakeElastic, spool: Path, start: Start) -> None:
    """A line carries whose it is, where it begins and a level; the id is the contract's."""
    printer = Printer(spool, job="readout", host="hlt01", name="stderr", labels={"run": "7"}, release="r5")
    start()
    printer.print("[ERROR] one\ntwo\n")
    until(stored(elastic, "[ERROR] one", "two"), "both stored")
    (first_key, first), (second_key, second) = sorted(elastic.documents.items())
    assert first_key[1] == f"{printer.id}-{0:010x}" and second_key[1] == f"{printer.id}-{12:010x}"
    assert first.pop("@timestamp") < second["@timestamp"]
    assert first == {
        "message": "[ERROR] one",
        "log": {"offset": 0, "level": "error"},
        "host": {"name": "hlt01"},
        "service": {"name": "readout", "version": "r5", "node": {"name": "readout@hlt01"}},
        "orchestrator": {"type": "daqsched", "resource": {"type": "task", "id": printer.stream.task_id}},
        "daqsched": {"fingerprint": fingerprint(b"[ERROR] one"), "stream": "stderr", "start": 1},
        "event": {"dataset": "daqsched.task"},
        "labels": {"run": "7"},
        "ecs": {"version": "8.11.0"},
    }
    assert second["log"] == {"offset": 12}
    assert elastic.templates["logs"]["index_patterns"] == ["logs-*"]


def test_a_stream_begins_at_its_registered_byte(elastic: FakeElastic, spool: Path, start: Start) -> None:
    """What stood in the file before the registration's start belongs to somebody else."""
    printer = Printer(spool, start=4)
    printer.print("old\nnew\n")
    start()
    until(stored(elastic, "new"), "stored")


def test_no_answer_leads_to_a_second_attempt_and_no_second_copy(
    elastic: FakeElastic, spool: Path, start: Start
) -> None:
    """A bulk that was applied and whose answer was lost is sent again; its ids keep it single."""
    elastic.lose_answers = True
    printer = Printer(spool)
    start()
    printer.print("a\nb\n")
    until(lambda: len(elastic.bulks) >= 2, "sent twice at least")
    elastic.lose_answers = False
    printer.die()
    until(printer.gone, "acknowledged and taken away")
    assert elastic.messages() == ["a", "b"]


@pytest.mark.parametrize("status", [429, 500, 503, 401, 403, 404])
def test_a_request_that_is_refused_is_kept_until_it_is_not(
    elastic: FakeElastic, spool: Path, start: Start, status: int
) -> None:
    """Whether the server is busy or configured wrongly: lines wait, stderr says why once, then all are stored."""
    elastic.refuse_request = lambda path, body: status if "_bulk" in path else None
    printer = Printer(spool)
    process = start()
    printer.print("".join(f"{at}\n" for at in range(10)))
    until(lambda: str(status) in process.errors, "a complaint")
    assert not elastic.documents
    elastic.refuse_request = lambda path, body: None
    until(stored(elastic, *map(str, range(10))), "stored")
    assert process.errors.count(f"told to answer {status}") == 1


@pytest.mark.parametrize(
    ("status", "seen", "trouble"), [(403, False, False), (403, True, False), (400, False, True), (400, True, True)]
)
def test_a_template_that_may_not_be_installed_is_one_sentence(
    elastic: FakeElastic, spool: Path, start: Start, status: int, seen: bool, trouble: bool
) -> None:
    """A role that may only write documents is enough: 403 for the template holds no line back, and is a note in the log and no
    trouble. Where it is refused for another reason, somebody should look."""
    elastic.refuse_request = lambda path, body: status if "_template" in path and (body or not seen) else None
    printer = Printer(spool)
    process = start()
    printer.print("x\n")
    until(stored(elastic, "x"), "stored")
    until(lambda: process.counts()["stored"] == 1, "told")
    assert [one["about"] for one in process.counts()["troubles"]] == ["template"] * trouble
    assert process.errors.count("index template logs") == 1
    (made,) = elastic.indices.values()
    assert made["mappings"]["properties"]["host"]["properties"]["name"]["type"] == "keyword"
    # the template may be there, with what somebody chose: that is not overruled
    assert ("auto_expand_replicas" in made["settings"]["index"]) == seen


@pytest.mark.parametrize("seen", [True, False], ids=["absent", "unseen"])
def test_lines_wait_where_an_index_would_be_made_without_our_fields(
    elastic: FakeElastic, spool: Path, start: Start, seen: bool
) -> None:
    """Neither the template nor the index may be made: it is said, in `--status` too, and all is stored when one may be."""

    def refuse(path: str, body: bytes) -> int | None:
        if "_template" in path:
            return 403 if body or not seen else None
        return 403 if "_bulk" not in path and body else None

    elastic.refuse_request = refuse
    printer = Printer(spool)
    process = start()
    printer.print("x\n")
    until(lambda: "lines wait on disk; give the forwarders' role" in process.errors, "it is said")
    until(lambda: any("create_index" in one["sentence"] for one in process.counts()["troubles"]), "a trouble")
    assert not elastic.documents and not elastic.bulks

    def allow(path: str, body: bytes) -> int | None:
        # from the next round on: one that is half over would go on to make the index, and look at templates only with the next line
        if not path.endswith("_template/logs"):
            return refuse(path, body)
        elastic.refuse_request = lambda path, body: None
        return None

    elastic.refuse_request = allow
    until(stored(elastic, "x"), "stored", 40)
    assert "logs" in elastic.templates


def test_lines_go_on_into_an_index_that_was_made_without_our_fields(
    elastic: FakeElastic, spool: Path, start: Start
) -> None:
    """They would wait for ever; what is wrong is a trouble with what to do."""
    elastic.refuse_request = lambda path, body: 403 if "_template" in path else None
    name = index_of("logs", time.time_ns() // 1000)
    elastic.indices[name] = {"mappings": {"properties": {"@timestamp": {"type": "date"}, "message": {"type": "text"}}}}
    printer = Printer(spool)
    process = start()
    printer.print("x\n")
    until(stored(elastic, "x"), "stored")
    until(lambda: process.counts()["troubles"], "a trouble")
    assert f"{name} was made without daqsched's template (host.name is not there" in process.errors


def test_a_password_that_is_wrong_from_the_start_makes_no_index(
    elastic: FakeElastic, spool: Path, start: Start
) -> None:
    """Not known: one sentence, and when we are, the templates come first."""
    elastic.refuse_request = lambda path, body: 401
    printer = Printer(spool)
    process = start()
    printer.print("x\n")
    until(lambda: "takes no lines: 401" in process.errors, "said")
    elastic.refuse_request = lambda path, body: None
    until(stored(elastic, "x"), "stored", 40)
    assert process.errors.count("takes no lines: 401") == 1 and "logs" in elastic.templates


def test_an_older_template_is_replaced_and_a_newer_one_left_alone(
    elastic: FakeElastic, spool: Path, start: Start
) -> None:
    """Forwarders of two versions do not fight over the template."""
    elastic.templates["logs"] = {"_meta": {"version": 0}}
    process = start()
    until(lambda: elastic.templates["logs"]["_meta"]["version"] >= 1, "replaced")
    assert process.stop() == 0
    elastic.templates["logs"] = {"_meta": {"version": 1000}}
    printer = Printer(spool)
    start()
    printer.print("x\n")
    until(stored(elastic, "x"), "stored")
    assert elastic.templates["logs"] == {"_meta": {"version": 1000}}


def test_documents_that_the_server_has_no_time_for_are_sent_again_alone(
    elastic: FakeElastic, spool: Path, start: Start
) -> None:
    """429 for some documents inside an answer of 200 repeats those, not the others."""
    busy = threading.Event()
    elastic.refuse_document = lambda document: (
        (429, "queue full") if "odd" in document["message"] and not busy.is_set() else None
    )
    printer = Printer(spool)
    printer.print("".join(f"{at:02} {'odd' if at % 2 else 'even'}\n" for at in range(10)))
    start()
    until(lambda: [n for n, _ in elastic.bulks[1:2]] == [5], "the even ones are stored and the odd ones tried again")
    assert len(elastic.messages()) == 5
    busy.set()
    until(lambda: len(elastic.messages()) == 10, "all stored")


def test_a_poisonous_line_becomes_a_dead_letter_and_the_others_are_stored(
    elastic: FakeElastic, spool: Path, start: Start
) -> None:
    """A document that is refused for ever is kept in an index of our own, with the reason and all that it was."""
    elastic.refuse_document = lambda document: (
        (400, "cannot parse") if document["message"] == "poison" and "error" not in document else None
    )
    printer = Printer(spool)
    printer.print("good\npoison\nbetter\n")
    process = start()
    until(stored(elastic, "good", "better", "poison"), "stored")
    (index, id), letter = sorted(elastic.documents.items())[2]
    lines = sorted(elastic.documents)[0][0]
    assert index == f"logs-deadletter-{lines[len('logs-') :][:7]}", "the month of the index that refused it"
    assert id == f"{printer.id}-{5:010x}" and letter["event"].pop("dataset") == "daqsched.deadletter"
    assert letter["error"]["message"] == "fake: cannot parse (400)"
    full = json.loads(letter["event"]["original"])
    assert full["message"] == "poison" and full["host"] == {"name": "hlt01"} == letter["host"]
    assert letter["daqsched"]["deadletter"]["index"] == sorted(elastic.documents)[0][0]
    assert letter["orchestrator"]["type"] == "daqsched", "it says that it is a job's, whose lines people have rights to"
    assert process.stop() == 0
    assert (counts(spool)["dead"], counts(spool)["dead_here"]) == (1, 0)


def test_a_line_that_is_taken_in_no_form_is_kept_in_a_local_file(
    elastic: FakeElastic, spool: Path, start: Start
) -> None:
    """What even the index of dead letters refuses is a line of forward/deadletter.ndjson, and counted."""
    elastic.refuse_document = lambda document: (400, "never") if document["message"] == "poison" else None
    printer = Printer(spool)
    printer.print("good\npoison\nbetter\n")
    process = start()
    until(stored(elastic, "good", "better"), "stored")
    assert process.stop() == 0
    (row,) = (spool / "forward" / "deadletter.ndjson").read_text().splitlines()
    letter = json.loads(row)
    assert letter["id"] == f"{printer.id}-{5:010x}" and letter["document"]["message"] == "poison"
    assert letter["reason"] == "fake: never (400)" and letter["index"].startswith("logs-")
    state = counts(spool)
    assert (state["read"], state["stored"], state["dead"], state["under_way"]) == (3, 2, 1, 0)
    assert (state["dead_here"], state["dead_lost"]) == (1, 0)


def test_dead_letters_wait_while_elasticsearch_has_no_time_and_hold_no_other_line_up(
    elastic: FakeElastic, spool: Path, start: Start
) -> None:
    """They are stored by a thread of their own; a disk that is too full for them makes no line a local one."""
    full = threading.Event()
    elastic.refuse_document = lambda document: (
        None
        if document["message"] != "poison"
        else (400, "cannot parse")
        if "error" not in document
        else None
        if full.is_set()
        else (403, "cluster_block_exception: index blocked by: FORBIDDEN/12/index read-only / allow delete (api)")
    )
    printer = Printer(spool)
    start()
    for at in range(4):
        printer.print(f"good {at}\npoison\n")
        until(elastic.holds(f"good {at}"), "the good line is stored")
    assert "poison" not in elastic.messages()
    full.set()
    until(lambda: elastic.messages().count("poison") == 4, "the dead letters are stored")
    assert not (spool / "forward" / "deadletter.ndjson").exists()


def test_requests_shrink_while_the_server_is_busy_and_grow_again(
    elastic: FakeElastic, spool: Path, start: Start
) -> None:
    """A server that answers 429 to large requests gets smaller ones, and larger ones when these go well."""
    elastic.refuse_request = lambda path, body: 429 if "_bulk" in path and body.count(b"\n") > 1000 else None
    printer = Printer(spool)
    printer.print("".join(f"{at:05}\n" for at in range(3000)))
    start()
    until(lambda: len(elastic.messages()) == 3000, "stored")
    elastic.refuse_request = lambda path, body: None
    printer.print("".join(f"{at:05}\n" for at in range(3000, 40_000)))
    until(lambda: len(elastic.messages()) == 40_000, "all stored")
    sizes = [size for size, _ in elastic.bulks]
    assert max(sizes[:6]) <= 500 < 1500 < max(sizes)


def test_a_garbage_answer_stores_nothing_and_is_said(elastic: FakeElastic, spool: Path, start: Start) -> None:
    """A proxy's login page with status 200 is no success."""
    elastic.garbage = b"<html>Please log in</html>"
    printer = Printer(spool)
    process = start()
    printer.print("x\n")
    until(lambda: "answers a bulk request strangely" in process.errors, "said")
    assert process.errors.count("strangely") == 1
    elastic.garbage = b""
    printer.die()
    until(printer.gone, "acknowledged")
    assert elastic.messages() == ["x"]


def test_a_body_that_is_too_large_is_halved(elastic: FakeElastic, spool: Path, start: Start) -> None:
    """413 makes smaller requests; of a single line that is still too large the beginning is stored, and all of it kept here."""
    elastic.refuse_request = lambda path, body: 413 if len(body) > 20_000 else None
    printer = Printer(spool)
    printer.print("".join(f"{at:04} {'x' * 100}\n" for at in range(1000)))
    printer.print("y" * 30_000 + "\nlast\n")
    process = start()
    until(lambda: len(elastic.messages()) == 1002, "all are stored")
    assert elastic.messages()[-2] == "last" and elastic.messages()[-1] == "y" * 4096
    assert process.stop() == 0
    assert (counts(spool)["dead"], counts(spool)["dead_here"]) == (1, 1)
    (row,) = (spool / "forward" / "deadletter.ndjson").read_text().splitlines()
    assert json.loads(row)["document"]["message"] == "y" * 30_000


def test_bodies_stay_below_their_limit(elastic: FakeElastic, spool: Path, start: Start) -> None:
    """A backlog is sent in bodies of at most a mebibyte."""
    printer = Printer(spool)
    printer.print("".join(f"{at:06} {'x' * 150}\n" for at in range(20_000)))
    start()
    until(lambda: len(elastic.messages()) == 20_000, "all stored")
    sizes = [size for _, size in elastic.bulks]
    assert max(sizes) <= BODY and sizes[0] > BODY * 0.8


def test_strange_bytes_and_endless_lines_lose_nothing(elastic: FakeElastic, spool: Path, start: Start) -> None:
    """Bad UTF-8, NULs, carriage returns, empty lines; a line longer than the longest in pieces with their flags."""
    printer = Printer(spool)
    endless = "ä" * (LONGEST // 2 + 1000)
    printer.print(b"bad \xff byte\nnul \0 here\nreturn\r\n\n" + endless.encode() + b"\nlast\n")
    start()
    until(lambda: elastic.messages()[-1:] == ["last"], "all stored")
    assert elastic.messages()[:4] == ["bad \ufffd byte", "nul \0 here", "return", ""]
    pieces = [document for _, document in sorted(elastic.documents.items())][4:-1]
    assert "".join(piece["message"] for piece in pieces) == endless
    assert [piece["log"]["flags"] for piece in pieces] == [["truncated"], ["truncated"]]


def test_an_unfinished_last_line_waits_for_its_newline_or_its_writers_end(
    elastic: FakeElastic, spool: Path, start: Start
) -> None:
    """Half a line is sent only when nobody can finish it any more, with a flag; then the stream is taken away."""
    printer = Printer(spool)
    start()
    printer.print("one\nhalf")
    until(stored(elastic, "one"), "the whole line is stored")
    printer.print(" a line\nrest")
    until(stored(elastic, "one", "half a line"), "the finished line is stored")
    printer.die()
    until(printer.gone, "taken away")
    assert elastic.messages() == ["one", "half a line", "rest"]
    assert elastic.documents[sorted(elastic.documents)[2]]["log"]["flags"] == ["partial"]


def test_a_collected_sandbox_takes_no_line_with_it(elastic: FakeElastic, spool: Path, start: Start) -> None:
    """Mesos may remove the sandbox before the forwarder has read it: the link keeps the file."""
    printer = Printer(spool)
    printer.print("kept\n")
    printer.die()
    printer.path.unlink()
    printer.sandbox.rmdir()
    start()
    until(printer.gone, "taken away")
    assert elastic.messages() == ["kept"]


def test_an_emptied_file_begins_a_new_generation(elastic: FakeElastic, spool: Path, start: Start) -> None:
    """After `> stdout` lines go on from offset 0 under ids of their own, and stderr says so."""
    printer = Printer(spool)
    process = start()
    printer.print("before\nmore before\n")
    until(stored(elastic, "before", "more before"), "stored")
    printer.path.write_bytes(b"")
    until(lambda: "emptied" in process.errors, "noticed")
    printer.print("after\n")
    until(lambda: sorted(elastic.messages()) == ["after", "before", "more before"], "stored, too")
    process.kill()
    printer.print("restarted\n")
    start()
    until(lambda: "restarted" in elastic.messages(), "the generation survives a restart")
    ids = {document["message"]: key[1] for key, document in elastic.documents.items()}
    assert ids["after"] == f"{printer.id}.1-{0:010x}" and ids["restarted"] == f"{printer.id}.1-{6:010x}"


def test_a_plan_without_reply_is_sent_again_to_the_index_of_its_day(
    elastic: FakeElastic, spool: Path, start: Start
) -> None:
    """What was read yesterday and perhaps stored goes to yesterday's index with yesterday's time, the rest to today's."""
    printer = Printer(spool)
    printer.print("planned\nplanned too\nnew\n")
    (spool / "forward").mkdir(parents=True)
    journal = Journal(str(spool / "forward" / "journal"))
    yesterday = 1_700_000_000_000_000
    journal.plan([Range(printer.id, 0, 0, 20, False, False, yesterday)], 2, yesterday + 1, index="logs-2023.11.14")
    start()
    until(stored(elastic, "planned", "planned too", "new"), "stored")
    indices = [index for index, _ in sorted(elastic.documents)]
    assert indices[:2] == ["logs-2023.11.14"] * 2 and indices[2] != indices[0]
    times = [document["@timestamp"] for _, document in sorted(elastic.documents.items())]
    assert times[:2] == ["2023-11-14T22:13:20.000000Z", "2023-11-14T22:13:20.000001Z"]


def test_of_a_plan_that_cannot_all_be_read_again_the_rest_is_sent(
    elastic: FakeElastic, spool: Path, start: Start
) -> None:
    """The stream that fails is named, and its lines are sent when it can be read again; each line is counted once."""
    printers = [Printer(spool, job) for job in ("one", "bad", "two")]
    for printer in printers:
        printer.print(f"{printer.stream.job} 1\n{printer.stream.job} 2\n")
    bad = printers[1]
    (spool / "forward").mkdir(parents=True)
    journal = Journal(str(spool / "forward" / "journal"))
    planned = 1_700_000_000_000_000
    journal.plan(
        [Range(one.id, 0, 0, 2 * len(f"{one.stream.job} 1\n"), False, False, planned, lines=2) for one in printers],
        6,
        planned + 1,
        index="logs-2023.11.14",
    )
    journal.close()
    registration = bad.registration.read_bytes()
    bad.registration.write_bytes(b"{")
    process = start()
    until(lambda: sorted(elastic.messages()) == ["one 1", "one 2", "two 1", "two 2"], "the others are stored")

    def told() -> bool:
        return any(one["about"] == f"again {bad.id}" for one in process.counts()["troubles"])

    until(told, "the one that is not is named")
    until(lambda: process.counts()["under_way"] == 2, "only its lines have no reply")
    process.kill()
    bad.registration.write_bytes(registration)
    process = start()
    until(lambda: {"bad 1", "bad 2"} <= set(elastic.messages()), "it is stored, too")
    bad.print("new\n")
    until(lambda: process.counts()["stored"] == 7, "all is counted once")
    assert process.counts()["under_way"] == 0 and {index for index, _ in elastic.documents} > {"logs-2023.11.14"}


def test_a_journal_that_cannot_be_read_ends_nothing_and_is_kept(elastic: FakeElastic, spool: Path) -> None:
    """What was stored is read again and dedupes, holes in it are no lines, and somebody is told until the file is gone."""
    config = Forwarding(keep=0)
    process = ForwarderProcess(spool, elastic.url, "logs", config=config)
    printer = Printer(spool)
    lines = [f"{number} {'x' * 1000}" for number in range(5000)]
    printer.print("\n".join(lines) + "\n")
    until(stored(elastic, *lines), "all stored")
    until(lambda: printer.path.stat().st_blocks * 512 < 3_000_000, "what is stored is given back to the disk")
    assert process.stop() == 0
    journal = spool / "forward" / "journal"
    before = journal.read_bytes()
    journal.write_bytes(b"garbage\n" + before)
    process = ForwarderProcess(spool, elastic.url, "logs", config=config)
    printer.print("after\n")
    until(lambda: "after" in elastic.messages(), "it goes on")
    known = {*lines, "after"}
    extra = [text for text in elastic.messages() if text not in known]
    assert len(extra) <= 1 and not any("\0" in text for text in extra), "the line that the hole tears"
    bad = journal.with_suffix(".bad")
    assert bad.read_bytes() == b"garbage\n" + before
    until(lambda: any(one["about"] == "damaged" for one in process.counts()["troubles"]), "it is told")
    assert process.stop() == 0


def test_a_second_forwarder_waits_for_the_end_of_the_first(elastic: FakeElastic, spool: Path, start: Start) -> None:
    """Two on one spool would double lines: the second says whom it waits for and takes over afterwards."""
    printer = Printer(spool)
    first = start()
    printer.print("one\n")
    until(stored(elastic, "one"), "stored")
    second = start()
    until(lambda: f"process {first.process.pid} forwards" in second.errors, "it says so")
    assert first.stop() == 0
    printer.print("two\n")
    until(stored(elastic, "one", "two"), "taken over")


def test_a_second_forwarder_is_well_while_it_stands_by(
    elastic: FakeElastic, spool: Path, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As that of another farm on the machine: it says so to its executor, and no more of it when it works itself."""
    first = start()
    until(lambda: (spool / "forward" / "status.json").exists(), "it holds the lock")
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(address)
        heard.settimeout(10.0)
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        monkeypatch.setenv("WATCHDOG_USEC", "3000000")
        start()
        rows = heard.recv(4096).decode().splitlines()
        assert rows[:2] == ["READY=1", "WATCHDOG=1"]
        assert rows[2].startswith(f"STATUS=process {first.process.pid} forwards {spool} already, with all that is")
        assert heard.recv(4096) == b"WATCHDOG=1"
        assert first.stop() == 0
        until(lambda: heard.recv(4096) == b"STATUS=", "it stands by no more")


@pytest.mark.parametrize("theirs", ["prints on", "waits", "has gone"])
def test_two_farms_forwarders_that_are_to_go_do_not_wait_for_each_other_for_ever(
    elastic: FakeElastic, spool: Path, start: Start, monkeypatch: pytest.MonkeyPatch, theirs: str
) -> None:
    """Each is to go when all of its own farm is stored: the other one's streams, and its executor's, are not waited for, and it
    takes over."""
    forwarders = [Printer(spool, "daqsched-forward", name="executor.log", farm=farm) for farm in ("F1", "F2")]
    jobs = [Printer(spool, "readout", farm=farm) for farm in ("F1", "F2")]
    processes = []
    for number, printer in enumerate(forwarders):
        monkeypatch.setenv("DAQSCHED_TASK_ID", printer.stream.task_id)
        processes.append(start(config=Forwarding(until_empty=True)))
        until(lambda: number == 0 or "stands by until its end" in processes[1].errors, "it stands by")  # noqa: B023
        until(lambda: (spool / "forward" / "status.json").exists(), "the first one holds the lock")
    jobs[0].print("last words\n")
    jobs[1].print("theirs\n")
    until(lambda: sorted(elastic.messages()) == ["last words", "theirs"], "stored")
    assert processes[0].process.poll() is None, "its own job may print more"
    if theirs == "has gone":
        jobs[1].die()
    jobs[0].die()

    def ended() -> bool:
        if theirs == "prints on":
            jobs[1].print("more\n")
        return processes[0].process.poll() is not None

    until(ended, "the first one's end")
    assert processes[0].process.poll() == 0
    forwarders[0].die()
    if theirs != "has gone":
        jobs[1].print("the end\n")
        until(lambda: "the end" in elastic.messages(), "the other one has taken over")
        assert processes[1].process.poll() is None
        jobs[1].die()
    until(lambda: processes[1].process.poll() == 0, "its end")


def test_a_forwarder_that_is_to_go_leaves_another_farm_s_when_that_has_stored_all_of_its_own(
    elastic: FakeElastic, spool: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when it was started anew to go, and the one that had stood by works since: it would stand by for ever."""
    ours, job = (Printer(spool, name, farm="F1") for name in ("daqsched-forward", "readout"))
    theirs, other = (Printer(spool, name, farm="F2") for name in ("daqsched-forward", "readout"))
    monkeypatch.setenv("DAQSCHED_TASK_ID", theirs.stream.task_id)
    works = start()
    until(lambda: (spool / "forward" / "status.json").exists(), "it holds the lock")
    monkeypatch.setenv("DAQSCHED_TASK_ID", ours.stream.task_id)
    goes = start(config=Forwarding(until_empty=True))
    until(lambda: "stands by until its end" in goes.errors, "it stands by")
    job.print("last words\n")
    other.print("theirs\n")
    until(lambda: sorted(elastic.messages()) == ["last words", "theirs"], "stored")
    assert goes.process.poll() is None, "its job may print more"
    job.die()
    until(lambda: goes.process.poll() == 0, "its end")
    assert "has stored all that this farm had here" in goes.errors and works.process.poll() is None


def test_a_forwarder_that_is_to_go_stores_what_a_farm_that_is_no_more_left(
    elastic: FakeElastic, spool: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a new framework took the place of one: nobody else would."""
    ours, theirs = Printer(spool, "daqsched-forward", farm="F2"), Printer(spool, "readout", farm="F1")
    refused = []

    def refuse(path: str, body: bytes) -> int:
        refused.append(path)
        return 503

    elastic.refuse_request = refuse
    theirs.print("last words\n")
    theirs.die()
    monkeypatch.setenv("DAQSCHED_TASK_ID", ours.stream.task_id)
    goes = start(config=Forwarding(until_empty=True))
    until(lambda: len(refused) > 1, "it tried again")
    assert goes.process.poll() is None
    elastic.refuse_request = lambda path, body: None
    until(lambda: goes.process.poll() == 0, "its end")
    assert elastic.messages() == ["last words"]


def test_a_second_forwarder_that_waits_can_be_stopped(spool: Path, start: Start) -> None:
    """SIGTERM ends a waiting forwarder, too."""
    first = start()
    until(lambda: (spool / "forward" / "status.json").exists(), "it holds the lock")
    second = start()
    until(lambda: f"process {first.process.pid}" in second.errors, "it waits")
    assert second.stop() == 0


def test_sigterm_stores_what_was_printed_before(elastic: FakeElastic, spool: Path, start: Start) -> None:
    """What stands in the files at SIGTERM is stored before the end, status 0."""
    printers = [Printer(spool, job=f"job{at}") for at in range(5)]
    process = start()
    until(lambda: (spool / "forward" / "status.json").exists(), "it runs")
    for printer in printers:
        printer.print("last words\n")
    assert process.stop() == 0
    assert elastic.messages() == ["last words"] * 5
    assert counts(spool)["stored"] == 5


def test_sigterm_does_not_wait_for_a_server_that_is_away(elastic: FakeElastic, spool: Path, start: Start) -> None:
    """Nothing is lost by leaving: the next forwarder sends what the first could not."""
    elastic.refuse_request = lambda path, body: 503
    printer = Printer(spool)
    printer.print("patient\n")
    process = start()
    until(lambda: "503" in process.errors, "it tried")
    assert process.stop() == 0
    elastic.refuse_request = lambda path, body: None
    start()
    until(stored(elastic, "patient"), "stored")


def test_the_password_comes_from_a_file(elastic: FakeElastic, spool: Path, tmp_path: Path, start: Start) -> None:
    """NAME:PASSWORD in a file becomes basic authentication; an address with a password in it is refused."""
    secret = tmp_path / "user"
    secret.write_text("shipper:s3cret\n")
    start("--user-file", str(secret))
    until(lambda: "Basic c2hpcHBlcjpzM2NyZXQ=" in elastic.authorizations, "asked with it")
    assert (spool / "forward").exists()
    wrong = ForwarderProcess(spool, "http://a:b@localhost:9200", "logs")
    assert wrong.process.wait(timeout=20) == 2
    assert "name their file in user_file" in wrong.errors


def test_a_registration_that_cannot_be_read_stops_no_other(elastic: FakeElastic, spool: Path, start: Start) -> None:
    """A broken or newer registration is warned of once and left in place."""
    printer = Printer(spool)
    broken = spool / "streams" / "BBBBBBBBBBB.json"
    broken.write_text('{"version": 99}')
    process = start()
    printer.print("x\n")
    until(stored(elastic, "x"), "stored")
    until(lambda: "version 99" in process.errors, "said")
    assert broken.exists()


def test_a_link_that_may_still_be_registered_is_left_alone(elastic: FakeElastic, spool: Path, start: Start) -> None:
    """The executor links first and registers then: only an old link without registration is swept away."""
    fresh = Printer(spool)
    fresh.registration.unlink()
    start()
    until(lambda: (spool / "forward" / "status.json").exists(), "it runs")
    assert fresh.link.exists()


def test_the_next_node_takes_over_from_one_that_is_away(elastic: FakeElastic, spool: Path) -> None:
    """Of several addresses the one that answers gets the lines."""
    printer = Printer(spool)
    printer.print("x\n")
    process = ForwarderProcess(spool, f"http://127.0.0.1:1,{elastic.url}", "logs")
    until(stored(elastic, "x"), "stored")
    assert process.stop() == 0


def counts(spool: Path) -> dict[str, Any]:
    """The forwarder's own counts."""
    state = json.loads((spool / "forward" / "status.json").read_text())
    assert state["read"] == state["stored"] + state["duplicates"] + state["dead"] + state["under_way"]
    return dict(state)
