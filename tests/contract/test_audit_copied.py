"""How far the copy of the audit file is, as the daemon tells it: how many lines wait, since when, whatever befell the files."""

from __future__ import annotations

import asyncio
import json
import random
import threading
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from copied_audit import Stored, copying, lines_of
from daqsched import times
from daqsched.cli import main
from daqsched.protocol import AuditCopied
from daqsched.serve import audit_copied, callers, standby
from daqsched.serve.audit import DONE, Audit, Entry
from daqsched.serve.audit_copied import PATIENCE_S, CopyWatch, look
from daqsched.serve.audit_place import CopiedUpTo, keep
from daqsched.serve.standby import Standby
from daqsched.store.coordination import Card
from standby_pair import Pair
from waiting import until
from webport import WebServe

BEGAN = 1_800_000_000.0


class Clock:
    """A time that goes on when it is told."""

    def __init__(self) -> None:
        self.now = BEGAN

    def __call__(self) -> float:
        return self.now


def note(audit: Audit) -> None:
    audit.note(Entry("alice", 1000, 100, 4711, "socket", "", "stop", DONE, {"message": "cabling " * 9}))


@pytest.mark.parametrize("seed", range(4))
def test_how_many_lines_wait_and_since_when_whatever_befell_the_files(tmp_path: Path, seed: int) -> None:
    """Files that are set aside, daemons and copiers that begin anew: always what the lines themselves say."""
    chance, clock, stored = random.Random(seed), Clock(), Stored()
    audit = Audit(tmp_path / "audit.ndjson", clock, most_bytes=3000, kept=10_000)
    assert look(audit.path, clock.now) is None, "nobody copies it"
    copier = copying(audit.path, stored)
    for _ in range(40):
        clock.now += chance.choice([1.0, 30.0, 500.0])
        for _ in range(chance.choice([0, 0, 1, 3, 30])):
            clock.now += 0.5
            note(audit)
        if chance.random() < 0.2:
            audit.close()
            audit = Audit(tmp_path / "audit.ndjson", clock, most_bytes=3000, kept=10_000)
        if chance.random() < 0.2:
            copier = copying(audit.path, stored)
        if chance.random() < 0.3 and audit.path.exists():
            copier.once()
        written = lines_of(tmp_path)
        waiting = [
            one for one in written if one["seq"] not in {of["event"]["sequence"] for of in stored.documents.values()}
        ]
        since = times.moment(waiting[0]["time"].replace("Z", "+00:00"), clock.now) if waiting else 0.0
        found = look(audit.path, clock.now)
        assert found is not None and found.lines == len(waiting) and found.since == pytest.approx(since, abs=1e-3)
        assert bool(found.trouble) == bool(waiting and clock.now - since > PATIENCE_S)
        assert not found.trouble or (str(len(waiting)) in found.trouble and times.clock(since) in found.trouble)
    audit.close()


def test_of_lines_that_are_gone_it_tells_what_is_left(tmp_path: Path) -> None:
    """Their file was deleted for its age before they were copied."""
    clock, stored = Clock(), Stored()
    audit = Audit(tmp_path / "audit.ndjson", clock, most_bytes=2000, kept=1)
    copying(audit.path, stored)
    for _ in range(50):
        note(audit)
        clock.now += 30.0
    found, left = look(audit.path, clock.now), lines_of(tmp_path)
    assert found is not None and found.lines == len(left) < 50 and found.trouble
    audit.close()


@pytest.mark.parametrize("text", ["", "nonsense", "x" * 3000])
def test_a_place_that_is_damaged_is_said(tmp_path: Path, text: str) -> None:
    """No number is made of it."""
    (tmp_path / "audit.ndjson.copied").write_text(text)
    found = look(tmp_path / "audit.ndjson", BEGAN)
    assert found is not None and found.lines == 0
    assert f"can't be told: {tmp_path}/audit.ndjson.copied is damaged" in found.trouble


@pytest.mark.parametrize(
    "line", [b"nonsense", b"[]", b"{}", b'{"time": [], "seq": "x"}', b'{"time": "x", "seq": -1}', b"[" * 9999]
)
def test_a_line_of_any_kind_waits_as_one(tmp_path: Path, line: bytes) -> None:
    """Whoever wrote it into the file: it has waited for ever."""
    path = tmp_path / "audit.ndjson"
    path.write_bytes(line + b"\n")
    keep(path, CopiedUpTo())
    found = look(path, BEGAN)
    assert found is not None and (found.lines, found.since) == (1, 0.0)
    assert found.trouble.startswith("1 line of the audit file waits to be copied to Elasticsearch: see")
    path.write_bytes(line)
    assert look(path, BEGAN) == AuditCopied(), "its end is not written yet"


def test_a_disk_that_hangs_holds_no_status_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was known last is told meanwhile, and it is asked once; then what is so."""
    hangs, asked = threading.Event(), []
    known = iter([AuditCopied(1), AuditCopied(2), AuditCopied(3)])

    def slow(path: Path, now: float) -> AuditCopied:
        asked.append(now)
        if len(asked) == 2:
            hangs.wait(60)
        return next(known)

    monkeypatch.setattr(audit_copied, "look", slow)
    monkeypatch.setattr(audit_copied, "LIMIT_S", 0.05)
    clock, audit = Clock(), Audit(tmp_path / "audit.ndjson")
    watch = CopyWatch(audit, clock)

    async def ask() -> None:
        assert await watch.told() == AuditCopied(1) == await watch.told()
        clock.now += 6
        assert [await watch.told() for _ in range(3)] == [AuditCopied(1)] * 3 and len(asked) == 2
        hangs.set()
        monkeypatch.setattr(audit_copied, "LIMIT_S", 30.0)
        assert await watch.told() == AuditCopied(2)
        clock.now += 6
        assert await watch.told() == AuditCopied(3) and len(asked) == 3

    asyncio.run(ask())
    audit.close()


def test_a_daemon_that_does_not_lead_tells_it_in_its_log_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """And when it is over; while it leads it says nothing."""
    found, audit = [AuditCopied(trouble="7 lines wait")], Audit(tmp_path / "audit.ndjson")
    looked: list[AuditCopied] = []

    def look(path: Path, now: float) -> AuditCopied:
        looked.append(found[0])
        return found[0]

    monkeypatch.setattr(audit_copied, "look", look)
    monkeypatch.setattr(audit_copied, "LOOK_S", 0.0)
    monkeypatch.setattr(standby, "COPY_S", 0.01)
    one = Standby(None, "ctl2 (pid 9)", CopyWatch(audit))

    async def run() -> None:
        telling = asyncio.ensure_future(one.tell_of_copy())

        async def looks_thrice() -> None:
            until = len(looked) + 3
            while len(looked) < until:
                await asyncio.sleep(0.005)

        await looks_thrice()
        assert caplog.messages == ["of this daemon, which does not lead: 7 lines wait"]
        found[0] = AuditCopied(3)
        await looks_thrice()
        assert caplog.messages[1:] == ["the copy of this daemon's audit file is behind no more"]
        one.leader = Card("ctl2 (pid 9)", "", "")
        found[0] = AuditCopied(trouble="1 line waits")
        await asyncio.sleep(0.1)
        assert len(caplog.messages) == 2
        one.leader = None
        await looks_thrice()
        assert len(caplog.messages) == 3
        telling.cancel()

    with caplog.at_level("INFO"):
        asyncio.run(run())
    audit.close()


def test_status_tells_it_of_a_daemon_that_does_not_lead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For people and programs, of each by its name; of one that has said nothing for a while it says nothing."""
    monkeypatch.setattr(standby, "COPY_S", 0.05)
    monkeypatch.setattr(audit_copied, "LOOK_S", 0.0)
    monkeypatch.setattr(audit_copied, "PATIENCE_S", 0.0)
    (tmp_path / "other").mkdir()
    audit = Audit(tmp_path / "other" / "audit.ndjson")
    pair = Pair(tmp_path, copied=CopyWatch(audit))

    def status(*words: str) -> str:
        done = CliRunner().invoke(main, ["--socket", str(tmp_path / "door"), "status", *words])
        assert done.exit_code == 0, done.output
        return done.output

    try:
        copier = copying(audit.path, Stored())
        for _ in range(3):
            note(audit)

        def told() -> Any:
            return json.loads(status("--json"))["standby_copies"]

        (one,) = until(told, "the leader is told")
        until(lambda: told()[0]["lines"] == 3, "of all lines")
        assert one["daemon"] == "ctl2 (pid 9)"
        assert "Of ctl2 (pid 9), which does not lead: 3 lines of the audit file wait" in " ".join(status().split())
        copier.once()
        until(lambda: told()[0]["lines"] == 0 and not told()[0]["trouble"], "it is over")
        assert "which does not lead" not in status()
        monkeypatch.setattr(callers, "COPIES_S", 0.0)
        assert told() == []
    finally:
        pair.close()
        audit.close()


def test_status_tells_it_and_stops_when_it_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over the socket, for people and for programs; nothing where nobody copies it."""
    monkeypatch.setattr(audit_copied, "LOOK_S", 0.0)
    monkeypatch.setattr(audit_copied, "PATIENCE_S", 0.0)
    web = WebServe(tmp_path)
    web.serve.api.looks.copied = CopyWatch(web.audit)

    def status(*words: str) -> Any:
        done = CliRunner().invoke(main, ["--socket", str(tmp_path / "sock"), "status", *words])
        assert done.exit_code == 0, done.output
        return done.output

    try:
        assert json.loads(status("--json"))["audit_copy"] is None
        copier = copying(web.audit.path, Stored())
        copier_is_away = "lines of the audit file wait to be copied to Elasticsearch, the first since"
        for _ in range(3):
            note(web.audit)
        found = json.loads(status("--json"))["audit_copy"]
        assert found["lines"] >= 3 and copier_is_away in found["trouble"] and copier_is_away in status()
        copier.once()
        found = json.loads(status("--json"))["audit_copy"]
        assert found == {"lines": 0, "since": 0.0, "trouble": ""} and "of the audit file wait" not in status()
    finally:
        web.close()
