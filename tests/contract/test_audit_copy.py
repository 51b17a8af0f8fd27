"""The copy of the audit file in Elasticsearch: each line once, in its place, whatever befalls either; what waits, what is told."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Optional

import pytest
from click.testing import CliRunner

from copied_audit import Stored, copying, lines_of
from daqsched.cli import main
from daqsched.errors import DaqschedError, Refused, Unreachable, UserError
from daqsched.serve.audit import DONE, REFUSED, Audit, Entry
from daqsched.serve.audit_ecs import FIELDS, document, mappings
from daqsched.serve.audit_place import alone
from waiting import until


@pytest.fixture
def stored() -> Stored:
    return Stored()


@pytest.fixture
def audit(tmp_path: Path) -> Iterator[Audit]:
    """One that sets files aside often, and keeps all."""
    made = Audit(tmp_path / "audit.ndjson", most_bytes=4000, kept=10_000)
    yield made
    made.close()


def note(audit: Audit, number: int, **about: Any) -> None:
    audit.note(Entry("alice", 1000, 100, 4711, "socket", "", "stop", DONE, {"message": f"line {number}", **about}))


@pytest.mark.parametrize("seed", range(8))
def test_each_line_is_there_once_whatever_befalls(tmp_path: Path, audit: Audit, stored: Stored, seed: int) -> None:
    """Files that are set aside, deaths of the copier before and after the answer, an Elasticsearch that is away or too busy."""
    chance, copier = random.Random(seed), copying(audit.path, stored)
    number = 0
    for _ in range(60):
        for _ in range(chance.choice([0, 1, 5, 40])):
            note(audit, number)
            number += 1
        stored.failures = [
            (chance.choice([Unreachable("away"), Refused("no")]), chance.random() < 0.5)
            for _ in range(chance.choice([0, 0, 1]))
        ]
        stored.refuse = (lambda made: 429 if chance.random() < 0.2 else 0) if chance.random() < 0.3 else lambda made: 0
        if chance.random() < 0.2:
            copier = copying(audit.path, stored)  # another, after a kill -9
        if chance.random() < 0.7:
            try:
                copier.once()
            except DaqschedError:
                pass
    stored.failures, stored.refuse = [], lambda made: 0
    copier.once()
    written = lines_of(tmp_path)
    assert len(written) == number
    assert sorted(one["event"]["sequence"] for one in stored.documents.values()) == [one["seq"] for one in written]
    assert {key[1] for key in stored.documents} == {one["hash"] for one in written}
    assert copier.once().lines == 0


def test_a_line_that_is_not_whole_yet_waits(tmp_path: Path, stored: Stored) -> None:
    path = tmp_path / "audit.ndjson"
    path.write_bytes(b'{"time": "2026-11-28T10:00:00.000000Z", "seq": 1, "hash": "a"}\n{"time": "2026-11')
    copier = copying(path, stored)
    assert copier.once().lines == 1
    with path.open("ab") as file:
        file.write(b'-28T10:00:01.000000Z", "seq": 2, "hash": "b"}\n')
    assert copier.once().lines == 1 and len(stored.documents) == 2


def test_what_was_deleted_before_it_was_copied_is_told(
    tmp_path: Path, stored: Stored, caplog: pytest.LogCaptureFixture
) -> None:
    """With the numbers."""
    path = tmp_path / "audit.ndjson"
    line = '{{"time": "2026-11-28T10:00:00.000000Z", "seq": {0}, "hash": "h{0}"}}\n'
    path.write_text(line.format(1))
    copier = copying(path, stored)
    copier.once()
    path.unlink()
    path.write_text(line.format(5))
    copier.once()
    assert "lines 2 to 4 of the audit file are gone, and were not copied" in caplog.text


def test_a_file_that_was_begun_anew_is_copied_from_its_beginning(tmp_path: Path, stored: Stored) -> None:
    """Also one whose inode, size and numbers are those of the one before."""
    path = tmp_path / "audit.ndjson"
    line = '{{"time": "2026-11-28T10:00:00.000000Z", "seq": {0}, "hash": "{1}{0}"}}\n'
    path.write_text("".join(line.format(number, "a") for number in range(1, 6)))
    copier = copying(path, stored)
    assert copier.once().lines == 5
    path.write_text("".join(line.format(number, "b") for number in range(1, 6)))
    assert copier.once().lines == 5 and len(stored.documents) == 10
    assert copier.once().lines == 0


def test_a_document_that_is_refused_holds_no_other_up_and_is_told(
    audit: Audit, stored: Stored, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(5):
        note(audit, number)
    stored.refuse = lambda made: 400 if made["message"] == "line 2" else 0
    found = copying(audit.path, stored).once()
    assert (found.lines, found.refused, len(stored.documents)) == (4, 1, 4)
    assert "a line of the audit file is refused by Elasticsearch (400" in caplog.text


@pytest.mark.parametrize("status", [401, 403, 404])
def test_where_a_right_is_missing_all_waits(audit: Audit, stored: Stored, status: int) -> None:
    note(audit, 1)
    stored.refuse = lambda made: status
    copier = copying(audit.path, stored)
    with pytest.raises(Refused, match=f"takes no lines of the audit file: {status}"):
        copier.once()
    stored.refuse = lambda made: 0
    assert copier.once().lines == 1


def test_what_goes_wrong_is_said_once_and_tried_again(
    audit: Audit, stored: Stored, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And that it goes on, too."""
    from daqsched.serve import audit_copy

    monkeypatch.setattr(audit_copy, "LOOK_S", 0.01)
    note(audit, 1)
    stored.failures = [(Unreachable("away"), False)] * 4
    end: SimpleQueue[int] = SimpleQueue()
    copier = copying(audit.path, stored)
    done = copier.once

    def once() -> Any:
        found = done()
        end.put(15)
        return found

    monkeypatch.setattr(copier, "once", once)
    copier.run(end)
    assert (
        caplog.text.count("is not copied, and waits: away") == 1
        and "the audit file is copied again: 1 line" in caplog.text
    )
    assert len(stored.documents) == 1


def test_without_a_file_it_says_which(tmp_path: Path, stored: Stored) -> None:
    with pytest.raises(UserError, match="there is no .*audit.ndjson: name the FILE"):
        copying(tmp_path / "audit.ndjson", stored).once()


def damages(whole: bytes, chance: random.Random) -> Iterator[bytes]:
    """What may have become of the file of the place."""
    yield from (b"", b"nonsense", b"{}", b"[1]", b"\0" * len(whole), whole * 2, whole + b"x", whole[:-1], b"[" * 5000)
    yield from (whole + b" " * 2_000_000, b"\xff" + whole, whole.replace(b"{", b"{ "), b"{" + whole.rpartition(b",")[2])
    for _ in range(120):
        at = chance.randrange(len(whole))
        byte = bytes([chance.randrange(256)])
        yield chance.choice([whole[:at], whole[:at] + byte + whole[at + 1 :], whole[:at] + byte + whole[at:]])
    fields = json.loads(whole)
    for name in fields:  # values that are believable, with the digest of others
        values: list[Any] = [0, -1, 1, 2**61, 2**70, "", "a" * 64, None, True, 1.5, [], {}]
        for value in values:
            yield json.dumps({**fields, name: value}, separators=(",", ":")).encode() + b"\n"


def test_a_place_that_was_damaged_in_any_way_has_all_sent_again_and_stored_once(
    tmp_path: Path, audit: Audit, stored: Stored, caplog: pytest.LogCaptureFixture
) -> None:
    """No line is left out, none is there twice, and it is said; the next copier goes on from a place that is whole."""
    for number in range(30):
        note(audit, number)
    copying(audit.path, stored).once()
    place = tmp_path / "audit.ndjson.copied"
    whole = place.read_bytes()
    before = dict(stored.documents)
    assert len(before) == 30
    for damaged in damages(whole, random.Random(17)):
        if damaged == whole:
            continue
        caplog.clear()
        place.write_bytes(damaged)
        assert copying(audit.path, stored).once() == (30, 30, 0), damaged[:200]
        assert f"{place} is damaged, and is {place}.damaged now: all lines" in caplog.text, damaged[:200]
        assert stored.documents == before and place.read_bytes() == whole
        assert (tmp_path / "audit.ndjson.copied.damaged").read_bytes() == damaged
    # what is new meanwhile, and was never sent, is not taken for copied
    note(audit, 30)
    place.write_bytes(whole.replace(b'"seq":', b'"seq":9'))
    assert copying(audit.path, stored).once().lines == 31 and len(stored.documents) == 31


@pytest.mark.parametrize("what", ["fifo", "folder", "link"])
def test_a_place_that_is_no_file_is_neither_waited_for_nor_followed(
    tmp_path: Path, audit: Audit, stored: Stored, what: str
) -> None:
    """It is set aside as what it is."""
    note(audit, 1)
    place, elsewhere = tmp_path / "audit.ndjson.copied", tmp_path / "elsewhere"
    elsewhere.write_text("of somebody else")
    if what == "fifo":
        os.mkfifo(place)
    elif what == "folder":
        place.mkdir()
    else:
        place.symlink_to(elsewhere)
    assert copying(audit.path, stored).once().lines == 1
    assert elsewhere.read_text() == "of somebody else" and place.is_file() and not place.is_symlink()


def test_what_cannot_be_set_aside_is_said_with_what_to_do(tmp_path: Path, audit: Audit, stored: Stored) -> None:
    """Nothing is copied then: it would be again and again."""
    (tmp_path / "audit.ndjson.copied").write_text("nonsense")
    (tmp_path / "audit.ndjson.copied.damaged").mkdir()
    with pytest.raises(UserError, match=r"copied is damaged, and can't be set aside \(Is a directory\): remove it"):
        copying(audit.path, stored)
    assert not stored.documents


def test_a_line_longer_than_any_of_ours_keeps_those_behind_it_waiting_for_nothing(
    tmp_path: Path, stored: Stored, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever put it there: it is said, and the next are copied."""
    path = tmp_path / "audit.ndjson"
    line = '{{"time": "2026-11-28T10:00:00.000000Z", "seq": {0}, "hash": "h{0}"}}\n'
    path.write_text(line.format(1) + "x" * 2_500_000 + "\n" + line.format(2))
    copier = copying(path, stored)
    assert (copier.once(), len(stored.documents)) == ((2, 0, 1), 2)
    assert "a line of the audit file is none, and is not copied" in caplog.text
    assert copier.once().lines == 0 and copying(path, stored).once().lines == 0


def test_what_root_copies_by_hand_stays_the_daemons_own(tmp_path: Path, stored: Stored) -> None:
    """Its files are of whoever has the folder, for him alone: the unit's copier goes on with them."""
    folder = tmp_path / "state"
    folder.mkdir()
    audit = Audit(folder / "audit.ndjson")
    note(audit, 1)
    if os.geteuid() == 0:
        os.chown(folder, 4711, 4712)
    with alone(audit.path):
        copying(audit.path, stored).once()
    for name in ("audit.ndjson.copied", "audit.ndjson.copied.lock"):
        found, owner = (folder / name).stat(), folder.stat()
        assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (owner.st_uid, owner.st_gid, 0o600), name
    audit.close()


def test_one_copies_a_file_at_a_time(audit: Audit) -> None:
    """And the next, when the first has ended or was killed."""
    note(audit, 1)
    words = ["audit", "copy", str(audit.path), "--elasticsearch", "http://127.0.0.1:9", "--once"]
    with alone(audit.path):
        refused = CliRunner().invoke(main, words)
        assert refused.exit_code == 2
        assert f"another `daqsched audit copy` copies {audit.path} at present: end that one first" in refused.output
    assert CliRunner().invoke(main, words).exit_code == 3, "Elasticsearch is away"
    missing = CliRunner().invoke(main, ["audit", "copy", "/nowhere/audit.ndjson", *words[3:]])
    assert missing.exit_code == 2 and "can't be made (No such file or directory)" in missing.output


def told(**fields: Any) -> dict[str, Any]:
    """The document of a line."""
    line = json.dumps({"time": "2026-11-27T14:02:11.041207Z", "seq": 7, "hash": "h", **fields}).encode()
    found = document(line, "daqsched-audit", "ctl1")
    assert found is not None and (found.of_index, found.document_id) == ("daqsched-audit-2026.11", "h")
    made: dict[str, Any] = json.loads(found.body)
    return made


def test_who_from_where_by_which_door_what_how_many_and_what_became_of_it() -> None:
    """In the names of ECS; what it has none for is below ``daqsched``, the rest labels."""
    made = told(
        user="alice",
        uid=1000,
        gid=100,
        pid=4711,
        door="socket",
        operation="stop",
        result="refused",
        why="bob is in control",
        select=["readout@hlt02"],
        message="cabling",
        count=1,
        known_as=["alice", "unix:alice"],
        verb="stop",
        stops=99,
        take=True,
    )
    assert made == {
        "@timestamp": "2026-11-27T14:02:11.041207Z",
        "ecs": {"version": "8.11.0"},
        "message": "cabling",
        "event": {
            "kind": "event",
            "category": ["configuration"],
            "dataset": "daqsched.audit",
            "action": "stop",
            "outcome": "failure",
            "reason": "bob is in control",
            "sequence": 7,
            "hash": "h",
        },
        "user": {"name": "alice", "id": "1000"},
        "group": {"id": "100"},
        "process": {"pid": 4711},
        "host": {"name": "ctl1"},
        "daqsched": {
            "door": "socket",
            "result": "refused",
            "select": ["readout@hlt02"],
            "count": 1,
            "known_as": ["alice", "unix:alice"],
            "verb": "stop",
        },
        "labels": {"stops": "99", "take": "true"},
    }


@pytest.mark.parametrize(
    ("door", "via", "address"),
    [
        ("web", "10.0.0.7 (token wall-1)", "10.0.0.7"),
        ("web", "2001:db8::1 (password)", "2001:db8::1"),
        ("web", "10.0.0.7, through ctl2 (pid 9) at 10.0.0.2", "10.0.0.7"),
        ("web", "nonsense", None),
        # a standby's word: its own address is not that of who asked
        ("peer", "ctl2 (pid 9) at 10.0.0.2", None),
        ("socket", "", None),
    ],
)
def test_the_address_is_that_of_who_asked(door: str, via: str, address: Optional[str]) -> None:
    assert told(door=door, via=via, operation="stop").get("source", {}).get("ip") == address


@pytest.mark.parametrize(
    "value", [None, True, 1, -1, 1.5, 2**80, "x", "x" * 40_000, ["a"], ["a", 1], {"a": {"b": 1}}, [[]]]
)
@pytest.mark.parametrize(
    "name", ["user", "uid", "pid", "message", "count", "select", "revision", "via", "why", "strange", "seq"]
)
def test_whatever_a_field_holds_the_document_fits_its_fields(name: str, value: Any) -> None:
    """A value that Elasticsearch would not take there would keep the line out: it is a label."""
    made = told(**{name: value}) if name != "seq" else told(seq=value)
    assert document(b"not json", "p", "h") is None and document(b"[]", "p", "h") is None

    def look(found: Any, path: str) -> None:
        if isinstance(found, dict) and path != "labels":
            for key, inner in found.items():
                look(inner, f"{path}.{key}" if path else key)
            return
        kind = FIELDS[path]["type"]
        ones = found if isinstance(found, list) else [found]
        if kind == "long":
            assert all(isinstance(one, int) and not isinstance(one, bool) and abs(one) < 2**63 for one in ones), path
        elif kind == "flattened":
            assert all(isinstance(one, str) for one in found.values())
        else:
            assert all(isinstance(one, str) for one in ones), path

    look(made, "")


def test_the_mappings_have_each_field() -> None:
    properties = mappings()["properties"]
    assert properties["event"]["properties"]["action"]["type"] == "keyword"
    assert properties["source"]["properties"]["ip"]["type"] == "ip" and mappings()["dynamic"] is False


def test_a_refusal_is_a_failure_and_so_is_a_bug(tmp_path: Path, stored: Stored) -> None:
    """As the daemon writes them."""
    audit = Audit(tmp_path / "audit.ndjson")
    try:
        about, via = {"part": "hlt"}, "10.0.0.7 (token wall)"
        audit.note(Entry("bob", 1001, 100, 1, "web", via, "apply", REFUSED, about, "no", ["token:wall"], "apply"))
        copying(audit.path, stored).once()
    finally:
        audit.close()
    ((_, made),) = stored.documents.items()
    assert (made["event"]["action"], made["event"]["outcome"], made["event"]["reason"]) == ("apply", "failure", "no")
    assert (made["user"]["name"], made["source"]["ip"], made["daqsched"]["door"]) == ("bob", "10.0.0.7", "web")
    assert (made["daqsched"]["part"], made["daqsched"]["verb"], made["message"]) == (
        "hlt",
        "apply",
        "bob apply refused: no",
    )


def test_a_daemon_that_has_written_nothing_yet_is_waited_for(
    tmp_path: Path, stored: Stored, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both begin at once where a machine does."""
    from daqsched.serve import audit_copy

    monkeypatch.setattr(audit_copy, "LOOK_S", 0.01)
    path = tmp_path / "audit.ndjson"
    copier, end = copying(path, stored), SimpleQueue[int]()
    copying_runs = threading.Thread(target=copier.run, args=(end,))
    copying_runs.start()
    try:
        until(lambda: f"there is no {path}" in caplog.text, "it says what it waits for")
        audit = Audit(path)
        note(audit, 1)
        until(lambda: len(stored.documents) == 1, "it is copied")
        audit.close()
    finally:
        end.put(15)
        copying_runs.join(20)
    assert not copying_runs.is_alive() and caplog.text.count("is not copied, and waits") == 1


def test_the_command_waits_says_so_once_and_ends_when_told(tmp_path: Path, audit: Audit) -> None:
    """Where nobody listens: one sentence, nothing of each request; SIGTERM ends it at once, with status 0."""
    note(audit, 1)
    words = ["audit", "copy", str(audit.path), "--elasticsearch", "http://127.0.0.1:9"]
    process = subprocess.Popen([sys.executable, "-m", "daqsched.cli", *words], stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        first = process.stderr.readline()
        assert "the audit file is not copied, and waits: Elasticsearch at http://127.0.0.1:9 does not answer" in first
        process.terminate()
        rest = process.communicate(timeout=20)[1]
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, rest) == (0, "")
