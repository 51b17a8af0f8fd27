"""The spool against other accounts of the machine: they plant, replace, hold and read nothing, whatever was there before."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from daqsched_executor.contract import Forwarding, Payload
from daqsched_executor.machine.spool import FOREIGN, choose, folder, open_regular, read_ours, spool_folder
from daqsched_executor.run.streams import Registered, open_files, register
from fake_agent import ExecutorUnderTest, FakeAgent
from fake_elastic import FakeElastic
from forwarding import ForwarderProcess, Printer
from strangers import STRANGER, as_stranger, needs_root, open_way
from waiting import until

# ------------------------------------------------------------------------------------------------ folders and files


@pytest.mark.parametrize("umask", [0, 0o077])
def test_what_is_made_is_closed(tmp_path: Path, umask: int) -> None:
    """Whatever the umask says: others may look at the counts and nothing else."""
    before = os.umask(umask)
    try:
        top = spool_folder(str(tmp_path / "spool"))
        os.close(folder("streams", within=top))
        os.close(top)
    finally:
        os.umask(before)
    assert (tmp_path / "spool").stat().st_mode & 0o7777 == 0o755
    assert (tmp_path / "spool" / "streams").stat().st_mode & 0o7777 == 0o700


def test_a_spool_that_was_open_to_all_is_closed(tmp_path: Path) -> None:
    """Older versions made it like /tmp."""
    for path in (tmp_path / "spool", tmp_path / "spool" / "streams"):
        path.mkdir()
        path.chmod(0o1777)
    top = spool_folder(str(tmp_path / "spool"))
    os.close(folder("streams", within=top))
    os.close(top)
    assert (tmp_path / "spool").stat().st_mode & 0o7777 == 0o755
    assert (tmp_path / "spool" / "streams").stat().st_mode & 0o7777 == 0o700


@pytest.mark.parametrize("mode", [0o1777, 0o777, 0o2775])
def test_a_folder_for_all_that_is_no_spool_stays_as_it_is(tmp_path: Path, mode: int) -> None:
    """Whoever writes --spool /tmp would else close that to everybody."""
    (tmp_path / "shared" / "mine").mkdir(parents=True)
    (tmp_path / "shared").chmod(mode)
    with pytest.raises(OSError, match="is for all accounts and has mine in it: name a folder of its own"):
        spool_folder(str(tmp_path / "shared"))
    assert (tmp_path / "shared").stat().st_mode & 0o7777 == mode


@needs_root
def test_what_another_account_made_in_an_open_spool_goes_out_of_the_way(tmp_path: Path) -> None:
    """`forward/` was made first by somebody else: it is kept under another name, and nothing in it is used."""
    spool = tmp_path / "spool"
    (spool / "forward").mkdir(parents=True)
    os.chown(spool / "forward", STRANGER, -1)
    (spool / "streams").symlink_to("/etc")
    (spool / "links").write_text("")
    top = spool_folder(str(spool))
    for name in ("forward", "streams", "links"):
        os.close(folder(name, within=top))
        assert (spool / name).lstat().st_uid == 0 and os.listdir(spool / name) == []
    os.close(top)
    assert len([name for name in os.listdir(spool) if FOREIGN in name]) == 3


def exchangeable(way: Path) -> None:
    way.chmod(0o777)


def anothers(way: Path) -> None:
    os.chown(way, STRANGER, -1)


@needs_root
@pytest.mark.parametrize(
    ("spoil", "words"),
    [(exchangeable, "is writable by other accounts"), (anothers, f"belongs to uid {STRANGER}")],
)
def test_no_folder_on_the_way_can_be_exchanged_by_others(
    tmp_path: Path, spoil: Callable[[Path], None], words: str
) -> None:
    """Whoever may rename a folder above the spool could put another one in its place."""
    way = tmp_path / "way"
    (way / "below").mkdir(parents=True)
    spoil(way)
    with pytest.raises(OSError) as caught:
        spool_folder(str(way / "below" / "spool"))
    assert words in str(caught.value) and caught.value.filename == str(way)
    assert not (way / "below" / "spool").exists()


@needs_root
def test_a_spool_of_another_account_is_not_used(tmp_path: Path) -> None:
    """By no account, root included."""
    (tmp_path / "spool").mkdir()
    os.chown(tmp_path / "spool", STRANGER, -1)
    with pytest.raises(PermissionError, match=f"belongs to uid {STRANGER}, not to uid 0"):
        spool_folder(str(tmp_path / "spool"))


def test_the_spool_may_be_no_symbolic_link(tmp_path: Path) -> None:
    """It could point to anything."""
    (tmp_path / "spool").symlink_to(tmp_path)
    with pytest.raises(OSError, match="a symbolic link is not followed"):
        spool_folder(str(tmp_path / "spool"))


def fifo(path: Path) -> None:
    os.mkfifo(path)


def symbolic_link(path: Path) -> None:
    path.symlink_to("/etc/passwd")


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def subfolder(path: Path) -> None:
    path.mkdir()


def huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


@pytest.mark.parametrize("made", [fifo, symbolic_link, device, subfolder, huge])
def test_reading_neither_waits_nor_follows_nor_goes_on_for_ever(tmp_path: Path, made: Callable[[Path], None]) -> None:
    """Whatever lies there in the place of a small file."""
    made(tmp_path / "x")
    with pytest.raises(OSError, match=r".*"):
        read_ours(str(tmp_path / "x"), most=4096)


def test_another_file_than_the_one_handed_over_is_not_opened(tmp_path: Path) -> None:
    """An inode number says which it is."""
    (tmp_path / "x").write_text("x")
    inode = (tmp_path / "x").stat().st_ino
    os.close(open_regular(str(tmp_path / "x"), None, inode=inode))
    with pytest.raises(OSError, match="is another file than the one that was handed over"):
        open_regular(str(tmp_path / "x"), None, inode=inode + 1)


@needs_root
def test_registrations_are_written_to_the_disk_once_and_not_within_a_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk takes its time; what is registered of each stream, and the folder that names it. Where nothing is, nothing is."""
    written: list[str] = []
    monkeypatch.setattr(
        os, "fsync", lambda file: written.append(os.path.basename(os.readlink(f"/proc/self/fd/{file}")))
    )
    job = Payload("readout@hlt01.1", "readout", "hlt01", ("/bin/true",))
    registered = register(str(tmp_path / "spool"), str(tmp_path), open_files(str(tmp_path)), job, 0.0)
    assert written == []
    for _ in range(2):
        registered.settle()
    names = sorted(path.name for path in (tmp_path / "spool" / "streams").iterdir())
    assert len(names) == 3 and sorted(written) == sorted([*names, "streams"])
    registered.end()
    Registered().settle()
    registered.settle()
    assert len(written) == 4


def test_an_account_that_cannot_make_the_spool_has_one_beside_it(tmp_path: Path) -> None:
    """`serve --user daq` with root's agents: the folder with daq's number, which root makes once; the sentence says how."""
    open_way(tmp_path)
    inside = {"MESOS_DIRECTORY": f"{tmp_path}/slaves/S/frameworks/F/executors/E/runs/R"}
    assert choose(inside) == str(tmp_path / "daqsched")
    beside = f"{tmp_path}/daqsched.{STRANGER}"

    def choice_of_the_stranger() -> None:
        if choose(inside) != beside:
            raise OSError
        try:
            spool_folder(beside)
        except OSError as error:
            if f"as root, once: install -d -o {STRANGER} -m 755 {beside}" in str(error):
                return
        os._exit(3)

    assert as_stranger(choice_of_the_stranger)
    (tmp_path / "daqsched").mkdir()  # root's own is there by now
    assert as_stranger(choice_of_the_stranger)
    subprocess.run(["install", "-d", "-o", str(STRANGER), "-m", "755", beside], check=True)
    assert as_stranger(lambda: os.close(spool_folder(beside)))


# --------------------------------------------------------------------------------------------------- the forwarder


@pytest.fixture
def elastic() -> Iterator[FakeElastic]:
    """A fake Elasticsearch that takes all."""
    server = FakeElastic()
    yield server
    server.close()


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """As an older version left it: open to all."""
    open_way(tmp_path)
    path = tmp_path / "work" / "spool"
    for one in (path, path / "streams", path / "links"):
        one.mkdir(parents=True, exist_ok=True)
        one.chmod(0o1777)
    return path


def texts(elastic: FakeElastic) -> list[str]:
    """What is stored."""
    return [document["message"] for document in elastic.documents.values() if "message" in document]


def registration(stream_id: str, **fields: object) -> dict[str, object]:
    """One that is right but for these fields."""
    return {
        "id": stream_id, "name": "stdout", "path": "/x", "start": 0, "task_id": "t", "job": "forged", "host": "hlt99",
        "release": "", "labels": {}, "created": 0.0, "format": "text", "options": {}, "dataset": "daqsched.task",
        "version": 1, **fields,
    }  # fmt: skip


SECRET = "root's secret\n"


def plant(spool: Path, secret: Path) -> None:
    """All that an account could plant while the spool was open; called as that account."""
    wrong: tuple[dict[str, object], ...] = ({}, {"labels": 7}, {"start": "x"}, {"options": [1]}, {"id": "../../etc/x"})
    for at, fields in enumerate(wrong):
        stream_id = f"planted{at:04d}"
        (spool / "streams" / f"{stream_id}.json").write_text(json.dumps(registration(stream_id, **fields)))
        (spool / "links" / stream_id).symlink_to(secret)
    os.mkfifo(spool / "streams" / "fifofifofif.json")
    with (spool / "streams" / "hugehugehug.json").open("wb") as file:
        file.truncate(1 << 40)
    (spool / "streams" / "linklinklin.json").symlink_to(secret)
    (spool / "forward").mkdir()
    (spool / "forward" / "status.json.new").symlink_to(secret)
    (spool / "forward" / "journal").symlink_to(secret)
    (spool / "locks").mkdir()


@needs_root
def test_what_was_planted_is_neither_read_nor_written_nor_in_the_way(
    elastic: FakeElastic, spool: Path, tmp_path: Path
) -> None:
    """An upgrade: the forwarder closes the spool, forwards what is ours, and says in one sentence what is not."""
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    secret.chmod(0o600)
    ours = Printer(spool)
    ours.print("ours\nrefused\n")
    elastic.refuse_document = lambda document: (400, "no") if "refused" in str(document) else None
    assert as_stranger(lambda: plant(spool, secret))
    process = ForwarderProcess(spool, elastic.url, "logs")
    until(lambda: "ours" in texts(elastic), "our line")
    until(lambda: (spool / "forward" / "status.json").exists(), "status")
    until(lambda: "cannot use the registration" in process.errors, "said")
    until(lambda: (spool / "forward" / "deadletter.ndjson").exists(), "a line that nobody takes")
    for path in (spool / "streams" / "x.json", spool / "links" / "x", spool / "forward" / "x", spool / "x"):
        assert not as_stranger(partial(path.write_text, "x"))
    for path in (spool / "links" / ours.id, ours.registration, spool / "forward" / "journal"):
        assert not as_stranger(path.read_bytes)
    seen = {path for path in spool.rglob("*") if path.is_file() and as_stranger(path.read_bytes)}
    assert seen == {spool / "forward" / "metrics.prom", spool / "forward" / "status.json"}
    told = process.counts()["troubles"]
    assert any("put there by another account" in one["sentence"] for one in told)
    assert any("and 7 more" in one["sentence"] for one in told)
    assert process.stop() == 0
    assert secret.read_text() == SECRET
    assert not [text for text in texts(elastic) if "secret" in text]
    assert "Traceback" not in process.errors


def exchanged_for_a_link(printer: Printer, target: Path) -> None:
    printer.link.symlink_to(target)


def exchanged_for_a_file(printer: Printer, target: Path) -> None:
    os.link(target, printer.link)


def exchanged_for_a_fifo(printer: Printer, target: Path) -> None:
    os.mkfifo(printer.link)


@pytest.mark.parametrize("exchange", [exchanged_for_a_link, exchanged_for_a_file, exchanged_for_a_fifo])
def test_no_other_file_is_read_or_punched_than_the_one_handed_over(
    elastic: FakeElastic, spool: Path, tmp_path: Path, exchange: Callable[[Printer, Path], None]
) -> None:
    """Whatever lies in the link's place: it is said, and all other streams go on."""
    target = tmp_path / "target"
    target.write_bytes(b"a line of somebody else's\n" * 200_000)
    blocks = target.stat().st_blocks
    printer, other = Printer(spool), Printer(spool, job="other")
    printer.link.unlink()
    exchange(printer, target)
    process = ForwarderProcess(spool, elastic.url, "logs")
    other.print("goes on\n")
    until(lambda: "goes on" in texts(elastic), "the other's line")
    until(lambda: "cannot look at readout@hlt01 stdout" in process.errors, "said")
    assert process.stop() == 0
    assert not [text for text in texts(elastic) if "somebody" in text]
    assert target.stat().st_blocks == blocks


def test_a_hole_without_end_costs_nothing_and_hides_no_line(elastic: FakeElastic, spool: Path) -> None:
    """A program may give its own file any size: neither its lines nor those of others wait for that, or are dropped."""
    hollow, other = Printer(spool, job="hollow"), Printer(spool, job="other")
    hollow.print("before\n")
    os.truncate(hollow.path, 1 << 43)
    hollow.print("\nbehind\n")
    os.truncate(hollow.path, (1 << 43) + (1 << 42))
    process = ForwarderProcess(spool, elastic.url, "logs", config=Forwarding(disk=64.0))
    until(lambda: {"before", "behind"} <= set(texts(elastic)), "its lines")
    other.print("goes on\n")
    until(lambda: "goes on" in texts(elastic), "the other's line")
    hollow.print("\nat last\n")
    until(lambda: "at last" in texts(elastic), "its last line")
    assert process.counts()["dropped"] == 0 and len(texts(elastic)) < 400
    hollow.die()
    until(hollow.gone, "its end")
    assert process.stop() == 0


def test_a_spool_that_is_not_ours_ends_the_forwarder_with_a_sentence(elastic: FakeElastic, tmp_path: Path) -> None:
    """Status 2, as for all that it was told wrongly, and no traceback."""
    (tmp_path / "real").mkdir()
    (tmp_path / "spool").symlink_to(tmp_path / "real")
    process = ForwarderProcess(tmp_path / "spool", elastic.url, "logs")
    assert process.process.wait(timeout=20) == 2
    assert "nothing is forwarded" in process.errors and "symbolic link" in process.errors
    assert "Traceback" not in process.errors


def test_lines_of_an_older_executor_are_forwarded(elastic: FakeElastic, spool: Path) -> None:
    """It registers no inode number, and made the spool open to all."""
    printer = Printer(spool)
    raw = json.loads(printer.registration.read_text())
    del raw["inode"]
    printer.registration.write_text(json.dumps(raw))
    printer.print("of before\n")
    process = ForwarderProcess(spool, elastic.url, "logs")
    until(lambda: "of before" in texts(elastic), "its line")
    printer.die()
    until(printer.gone, "its end")
    assert process.stop() == 0


# ------------------------------------------------------------------------------------------------------ executors


@needs_root
def test_an_executor_without_a_spool_says_so_in_the_state(tmp_path: Path) -> None:
    """Neither lines nor a lock: what `status` shows of the program that runs."""
    (tmp_path / "spool").mkdir()
    os.chown(tmp_path / "spool", STRANGER, -1)
    agent = FakeAgent()
    executor = ExecutorUnderTest(agent, tmp_path / "sandbox")
    try:
        executor.launch(Payload("readout@hlt01.1", "readout", "hlt01", ("/bin/sleep", "1000")))
        told = agent.wait_update("TASK_RUNNING")["message"]
        why = f"{tmp_path / 'spool'}: belongs to uid {STRANGER}, not to uid 0"
        assert f"the lines are not forwarded and no lock keeps a second copy away: {why}" in told
        assert executor.running().lacks in told
    finally:
        executor.end()
        agent.vanish()
