"""The copy of the audit file in Elasticsearch: each line once, in its place, whatever befalls either; what waits, what is told."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Optional

import msgspec
import pytest

from daqsched.errors import DaqschedError, Refused, Unreachable, UserError
from daqsched.logs.elastic import Answer
from daqsched.serve.audit import DONE, REFUSED, Audit, Entry
from daqsched.serve.audit_copy import AuditCopy
from daqsched.serve.audit_ecs import FIELDS, document, mappings


class Stored:
    """An Elasticsearch that keeps documents, and fails as it is told."""

    def __init__(self) -> None:
        self.documents: dict[tuple[str, str], dict[str, Any]] = {}
        self.indices: dict[str, Any] = {}
        #: What becomes of the next requests, the first first: an exception, after what was asked is done where ``late``.
        self.failures: list[tuple[Exception, bool]] = []
        #: Of a document: its status.
        self.refuse: Any = lambda document: 0

    def ask(self, method: str, path: str, body: Any = None) -> Answer:
        failure, late = self.failures.pop(0) if self.failures else (None, False)
        if failure is not None and not late:
            raise failure
        answer = self._answer(method, path, body)
        if failure is not None:
            raise failure
        return answer

    def _answer(self, method: str, path: str, body: Any) -> Answer:
        index = path.split("/")[1]
        if method == "PUT":
            if index in self.indices:
                return Answer(400, b'{"error":{"type":"resource_already_exists_exception"}}', "400")
            self.indices[index] = body
            return Answer(200, b"{}")
        assert index in self.indices, "nothing is stored where Elasticsearch would guess the fields"
        items = []
        for action, source in zip(body[::2], body[1::2]):
            key, made = (index, json.loads(action)["create"]["_id"]), json.loads(source)
            status = self.refuse(made) or (409 if key in self.documents else 201)
            if status == 201:
                self.documents[key] = made
            items.append({"create": {"status": status}})
        return Answer(200, json.dumps({"items": items}).encode())

    def read(self, body: bytes, kind: Any) -> Any:
        return msgspec.json.decode(body, type=kind)


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


def copying(path: Path, stored: Stored) -> AuditCopy:
    return AuditCopy(path, stored, "daqsched-audit", "ctl1")  # type: ignore[arg-type]  # as it is asked


def lines_of(folder: Path) -> list[dict[str, Any]]:
    """All that was written, by its number."""
    files = [
        one
        for one in folder.iterdir()
        if one.name.startswith("audit.ndjson") and one.suffix not in (".last", ".copied")
    ]
    found = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    return sorted(found, key=lambda one: int(one["seq"]))


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
        and "takes lines of the audit file again" in caplog.text
    )
    assert len(stored.documents) == 1


def test_without_a_file_it_says_which(tmp_path: Path, stored: Stored) -> None:
    with pytest.raises(UserError, match="there is no .*audit.ndjson: name the FILE"):
        copying(tmp_path / "audit.ndjson", stored).once()
    (tmp_path / "audit.ndjson.copied").write_text("nonsense")
    with pytest.raises(DaqschedError, match="can't be read .* remove it"):
        copying(tmp_path / "audit.ndjson", stored)


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
