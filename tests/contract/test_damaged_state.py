"""A state that somebody or something damaged: a sentence, or a start in which nothing is ended and nothing runs twice."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable

import msgspec
import pytest

from builders import World, job, offer
from daqsched.engine import commands, events
from daqsched.engine.changes import GONE, Changed
from daqsched.engine.commands import Command
from daqsched.errors import DaqschedError, Unsaved
from daqsched.rollout import Strategy
from daqsched.serve.chronicle import Chronicle, remembers
from daqsched.serve.daemon import Daemon
from daqsched.spec import Spec
from daqsched.store.backup import contents_of
from daqsched.store.base import record_of
from daqsched.store.sqlite import SqliteStore

HOSTS = ["hlt01", "hlt02", "hlt03"]


class Edge:
    """Notes what leaves."""

    def __init__(self) -> None:
        self.told: list[Command] = []

    def perform(self, command: Command) -> None:
        self.told.append(command)


def farm(folder: Path) -> dict[str, str]:
    """A state with all that it can hold, and the chronicle of it: what runs, task -> agent."""
    store = SqliteStore(folder)
    daemon = Daemon(store, lambda spec: spec, lambda: 1000.0)
    chronicle = Chronicle(folder / "chronicle.sqlite", 1000.0)
    daemon.subscribers.append(lambda changes: chronicle.note(daemon.engine, changes, 1000.0))
    edge = Edge()
    for event in (
        events.Registered("fw", "m:5050"),
        events.JobsApplied(Spec(jobs=(job("a", "hlt[01-03]", env={"A": "b"}), job("b", "hlt[01-03]"))), "ann"),
        events.OffersArrived(tuple(map(offer, HOSTS))),
        events.Held((("b", "hlt03"),), "bob", "why"),
        events.PutAside(("hlt03",), "bob", 2e9, "why"),
    ):
        daemon.put(event)
    daemon.stop()
    daemon.run(edge)
    tasks = {t.payload.task_id: c.agent_id for c in edge.told if isinstance(c, commands.Launch) for t in c.tasks}
    for task, agent in tasks.items():
        daemon.put(events.TaskReported(task, agent, "TASK_RUNNING", "pid 7", by_executor=True))
    changed = Spec(jobs=(job("a", "hlt[01-03]", release="2"), job("b", "hlt[01-03]")))
    daemon.put(events.JobsApplied(changed, "ann", strategy=Strategy(batches=(1,), ready_s=60.0)))
    daemon.stop()
    daemon.run(edge)
    killed = {c.task_id for c in edge.told if isinstance(c, commands.Kill)}
    store.close()
    chronicle.close(1000.0)
    return {task: agent for task, agent in tasks.items() if task not in killed}


def start(folder: Path, tasks: dict[str, str]) -> list[Command]:
    """A new daemon on it, which the master tells of what runs, and what it then does."""
    store = SqliteStore(folder)
    try:
        daemon = Daemon(store, lambda spec: spec, lambda: 2000.0)
        edge = Edge()
        daemon.put(events.Registered("fw", "m:5050"))
        for task, agent in tasks.items():
            daemon.put(events.TaskReported(task, agent, "TASK_RUNNING", reason="REASON_RECONCILIATION"))
        daemon.put(events.OffersArrived(tuple(map(offer, HOSTS))))
        daemon.put(events.Ticked())
        daemon.stop()
        daemon.run(edge)
        daemon.engine.check()
        return edge.told
    finally:
        store.close()


def nobody_is_hurt(told: list[Command], tasks: dict[str, str]) -> None:
    """No task that may go on is ended, none is begun beside one that runs."""
    running = {task.rpartition(".")[0] for task in tasks}
    for command in told:
        if isinstance(command, commands.Launch):
            assert not running.intersection(task.payload.instance for task in command.tasks)
        assert not (isinstance(command, commands.Kill) and command.task_id in tasks)


def cells(path: Path) -> list[tuple[str, str, tuple[Any, ...]]]:
    """Each value that is stored: table, column, the row's key."""
    keys = {"setting": ["name"], "revision": ["number"], "instance": ["job", "host"], "document": ["name"]}
    found = []
    with contextlib.closing(sqlite3.connect(path)) as db:
        for table, key in keys.items():
            columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})") if row[1] not in key]
            for row in db.execute(f"SELECT {', '.join(key)} FROM {table}"):
                found += [(table, column, tuple(row)) for column in columns]
    return found


def mutations(value: Any, chance: random.Random) -> list[Any]:
    """The value damaged in some ways, by bytes and by what it says."""
    made: list[Any] = [None, 7, "text", b"", b"\xff" * 9, "\x1b]0;x\x07", 1e300, float("inf"), -1]
    if isinstance(value, bytes) and value:
        for _ in range(6):
            one = bytearray(value)
            one[chance.randrange(len(one))] = chance.randrange(256)
            made.append(bytes(one))
        made += [value[: chance.randrange(len(value))], value + value, value.replace(b"a", b"b")]
        with contextlib.suppress(msgspec.MsgspecError):
            made += [msgspec.msgpack.encode(one) for one in twisted(msgspec.msgpack.decode(value), chance)]
    return made


def twisted(value: Any, chance: random.Random) -> list[Any]:
    """The value with something in it that its type allows and sense does not."""
    made = []
    odd: tuple[Any, ...] = (float("nan"), float("inf"), -1, 1e300, "", None, {}, [])
    for wrong in odd:
        one = msgspec.msgpack.decode(msgspec.msgpack.encode(value))
        there = one
        while isinstance(there, dict) and there:
            name = chance.choice(sorted(map(str, there)))
            if isinstance(there.get(name), dict) and there[name] and chance.random() < 0.7:
                there = there[name]
                continue
            there[name] = wrong
            break
        made.append(one)
    return made


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """One that nothing is wrong with."""
    folder = tmp_path_factory.mktemp("whole") / "state"
    return folder, farm(folder)


@pytest.fixture
def copied(whole: tuple[Path, dict[str, str]], tmp_path: Path) -> Callable[[], Path]:
    """A copy to damage."""

    def copy() -> Path:
        shutil.rmtree(tmp_path / "state", ignore_errors=True)
        return Path(shutil.copytree(whole[0], tmp_path / "state"))

    return copy


def test_a_whole_state_goes_on(whole: tuple[Path, dict[str, str]], copied: Callable[[], Path]) -> None:
    """So that the tests below look at damage alone."""
    assert len(whole[1]) >= 3
    nobody_is_hurt(start(copied(), whole[1]), whole[1])


@pytest.mark.parametrize("seed", range(4))
def test_no_value_in_the_state_ends_the_daemon(
    whole: tuple[Path, dict[str, str]], copied: Callable[[], Path], seed: int
) -> None:
    """Each value that is stored, damaged: a sentence with the way out, or a start that hurts nobody."""
    chance = random.Random(seed)
    refused = started = 0
    for table, column, key in cells(whole[0] / "state.sqlite"):
        with contextlib.closing(sqlite3.connect(whole[0] / "state.sqlite")) as db:
            names = [row[1] for row in db.execute(f"PRAGMA table_info({table})")][: len(key)]
            where = " AND ".join(f"{name} = ?" for name in names)
            (value,) = db.execute(f"SELECT {column} FROM {table} WHERE {where}", key).fetchone()
        for wrong in chance.sample(mutations(value, chance), 3):
            folder = copied()
            with contextlib.closing(sqlite3.connect(folder / "state.sqlite")) as db:
                try:
                    db.execute(f"UPDATE {table} SET {column} = ? WHERE {where}", (wrong, *key))
                    db.commit()
                except sqlite3.Error:
                    continue  # not null
            try:
                told = start(folder, whole[1])
            except DaqschedError as error:
                refused += 1
                assert str(error).isprintable() and len(str(error)) < 1200 and "restore" in str(error), error
                continue
            started += 1
            # a record that can be read is believed: nothing tells a digest from another
            if table == "instance" and (not isinstance(wrong, bytes) or record_of(wrong).unread):
                nobody_is_hurt(told, whole[1])
    assert refused and started


def test_garbage_in_the_middle_of_the_file_is_a_sentence(
    whole: tuple[Path, dict[str, str]], copied: Callable[[], Path]
) -> None:
    """Wherever it is."""
    size = (whole[0] / "state.sqlite").stat().st_size
    for at in range(0, size - 4096, 4096):
        folder = copied()
        with open(folder / "state.sqlite", "r+b") as file:
            file.seek(at)
            file.write(b"\xaa" * 8192)
        with pytest.raises(DaqschedError, match="damaged|restore"):
            start(folder, whole[1])


def test_an_unreadable_instance_is_not_started_before_somebody_says_so(
    whole: tuple[Path, dict[str, str]], copied: Callable[[], Path]
) -> None:
    """It is shown as unknown; where its task turns up, it is taken for what it is."""
    folder = copied()
    with contextlib.closing(sqlite3.connect(folder / "state.sqlite")) as db:
        db.execute("UPDATE instance SET record = x'ff'")
        db.commit()
    store = SqliteStore(folder)
    daemon = Daemon(store, lambda spec: spec, lambda: 2000.0)
    assert any("can't be read" in trouble for trouble in daemon.engine.troubles)
    engine = daemon.engine
    engine.handle(events.Registered("fw", "m:5050"), 2000.0)
    assert not [
        c
        for c in engine.handle(events.OffersArrived((offer("hlt02"),)), 2000.0).commands
        if isinstance(c, commands.Launch)
    ]
    engine.handle(events.TaskReported("a@hlt02.x", "agent-hlt02", "TASK_RUNNING"), 2000.0)
    assert engine.instances["a", "hlt02"].record.task is not None
    engine.handle(events.Released((("b", "hlt02"),), "ann"), 2000.0)
    todo = engine.handle(events.OffersArrived((offer("hlt02"),)), 2000.0).commands
    assert [t.payload.job for c in todo if isinstance(c, commands.Launch) for t in c.tasks] == ["b"]
    engine.check()
    store.close()


def test_a_database_of_another_program_is_not_touched(tmp_path: Path) -> None:
    """A wrong --state changes nothing."""
    path = tmp_path / "state.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE theirs (a)")
    before = path.read_bytes()
    with pytest.raises(DaqschedError, match="another program"):
        SqliteStore(tmp_path)
    assert path.read_bytes()[100:] == before[100:]


def test_a_chronicle_without_a_state_is_known(whole: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    """Jobs ran here; one that can't be read may be of such a farm, and an empty one is of none."""
    assert remembers(whole[0] / "chronicle.sqlite")
    (tmp_path / "empty").touch()
    (tmp_path / "garbage").write_bytes(b"\xaa" * 9000)
    assert not remembers(tmp_path / "missing") and not remembers(tmp_path / "empty")
    assert remembers(tmp_path / "garbage")


def test_a_chronicle_knows_which_farms_it_is_of(tmp_path: Path) -> None:
    """Those with their state in ZooKeeper have one for each machine."""
    world = World()
    world.start(job())
    for name, place in (("c", "zk://h:1/a"), ("d", "")):
        chronicle = Chronicle(tmp_path / name, 1.0, place)
        assert not remembers(tmp_path / name, place), "no job ran yet"
        chronicle.note(world.engine, world.changes, 1.0)
        chronicle.close(2.0)
    assert remembers(tmp_path / "c", "zk://h:1/a") and not remembers(tmp_path / "c", "zk://h:1/b")
    assert remembers(tmp_path / "d") and not remembers(tmp_path / "d", "zk://h:1/a")


def test_a_chronicle_that_is_damaged_is_a_sentence(tmp_path: Path) -> None:
    """And never holds the daemon up."""
    path = tmp_path / "chronicle.sqlite"
    Chronicle(path, 1.0).close(1.0)
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("INSERT INTO change VALUES ('a', 'h', 1.0, 0, 'NOTHING', x'ff', 'r', 1)")
        db.commit()
    chronicle = Chronicle(path, 2.0)
    assert chronicle.states() == {("a", "h"): GONE}, "a state that nobody knows"
    with pytest.raises(DaqschedError, match="can't be read"):
        chronicle.at(1.5)
    chronicle.close(3.0)
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE change SET host = CAST(x'ff' AS TEXT)")
        db.commit()
    chronicle = Chronicle(path, 3.5)
    assert chronicle.states() is None
    chronicle.close(3.5)
    path.write_bytes(b"\xaa" * 9000)
    chronicle = Chronicle(path, 4.0)
    assert chronicle.states() is None
    chronicle.close(5.0)


def test_what_a_daemon_finds_changed_at_its_start_is_told_before_anything_else_happens(
    whole: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    """To all who want changes; without what it last was, nobody can say what has changed."""
    for known in (True, False):
        folder = tmp_path / str(known)
        shutil.copytree(whole[0], folder)
        store = SqliteStore(folder)
        daemon = Daemon(store, lambda spec: spec, lambda: 3e9)
        chronicle = Chronicle(folder / "chronicle.sqlite", 3e9)
        last = chronicle.states()
        assert last is not None and last["b", "hlt03"] == "STOPPING" and last["b", "hlt02"] == "RUNNING"
        last["gone", "hlt01"] = "RUNNING"
        last["b", "hlt03"] = "FAILED"
        del last["a", "hlt02"]
        if known:
            daemon.engine.transitions.recall(last)
        told: list[Changed] = []
        daemon.subscribers.append(told.extend)
        daemon.stop()
        daemon.run(Edge())
        of_restart = [(one.key, one.before, one.after) for one in told if one.cause == "restart of the daemon"]
        assert of_restart == (
            [
                (("a", "hlt02"), GONE, "RUNNING"),
                (("b", "hlt03"), "FAILED", "STOPPING"),
                (("gone", "hlt01"), "RUNNING", GONE),
            ]
            if known
            else []
        )
        assert daemon.engine.transitions.illegal_transitions == 0, "nobody saw how it came to it"
        store.close()
        chronicle.close(3e9)


# ---------------------------------------------------------------------- whose files they are


def test_whatever_the_umask_all_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    """Also those that SQLite makes, and those that were there and open to others."""
    before = os.umask(0)
    try:
        folder = tmp_path / "state"
        farm(folder)
        (folder / "state.sqlite-wal").touch()
        for path in folder.iterdir():
            path.chmod(0o666)
        folder.chmod(0o777)
        store = SqliteStore(folder)
        Daemon(store, lambda spec: spec, lambda: 3000.0)
        chronicle = Chronicle(folder / "chronicle.sqlite", 3000.0)
        store.save("fw2")
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
        store.close()
        chronicle.close(3000.0)
    finally:
        os.umask(before)
    assert {"state.sqlite", "state.sqlite-wal", "chronicle.sqlite", "chronicle.sqlite-wal"} <= set(modes)
    assert set(modes.values()) == {0o600} and stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("name", ["state.sqlite", "state.sqlite-wal"])
def test_a_link_in_the_place_of_a_file_is_refused(tmp_path: Path, name: str) -> None:
    """Whoever put it there would have us write elsewhere."""
    folder = tmp_path / "state"
    folder.mkdir()
    other = tmp_path / "other"
    other.write_bytes(b"theirs")
    (folder / name).symlink_to(other)
    with pytest.raises(DaqschedError, match="symbolic link"):
        SqliteStore(folder)
    (folder / name).unlink()
    os.link(other, folder / name)
    with pytest.raises(DaqschedError, match="another name"):
        SqliteStore(folder)
    assert other.read_bytes() == b"theirs"


def served(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """`daqsched serve` on this state, whose master is not there."""
    command = [sys.executable, "-m", "daqsched.cli", "--socket", str(folder.parent / "s"), "serve", *words]
    return subprocess.run(
        [*command, "--master", "127.0.0.1:1", "--state", str(folder)],
        env={**os.environ, "DAQSCHED_STATE": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_an_empty_state_beside_a_chronicle_is_no_new_farm(copied: Callable[[], Path]) -> None:
    """After a power cut or a full disk: one sentence with the two ways out, however often it is tried."""
    folder = copied()
    (folder / "state.sqlite").write_bytes(b"")
    for _ in range(2):
        found = served(folder)
        (sentence,) = [line for line in found.stderr.splitlines() if line.startswith("Error")]
        assert found.returncode == 1 and "restore" in sentence and "--new-framework" in sentence
        assert "Traceback" not in found.stderr


def test_tasks_of_a_framework_that_nobody_knows_are_not_started_twice(copied: Callable[[], Path]) -> None:
    """A framework that registers anew is told nothing of them."""
    folder = copied()
    with contextlib.closing(sqlite3.connect(folder / "state.sqlite")) as db:
        db.execute("DELETE FROM setting")
        db.commit()
    found = served(folder)
    assert found.returncode == 1 and "--new-framework" in found.stderr and "Traceback" not in found.stderr


@pytest.mark.parametrize("what", ["state.sqlite", "state.sqlite-wal", "."])
def test_a_file_that_is_taken_from_under_the_daemon_is_noticed(
    copied: Callable[[], Path], tmp_path: Path, what: str
) -> None:
    """Nothing is taken for saved that nobody would find again; what it held can be backed up, and put back it goes on."""
    folder = copied()
    store = SqliteStore(folder)
    away = tmp_path / "away"
    try:
        store.save(documents={"x": b"1"})
        (folder / what).rename(away)
        if what == "state.sqlite":
            shutil.copy(away, folder / what)
        with pytest.raises(Unsaved, match=r"was removed or replaced.*daqsched backup"):
            store.save(documents={"x": b"2"})
        assert store.document("x") == b"1" and contents_of(store).framework_id == "fw"
        away.replace(folder / what) if what != "." else away.rename(folder)
        store.save(documents={"x": b"3"})
    finally:
        store.close()
    again = SqliteStore(folder)
    assert again.document("x") == b"3"
    again.close()


def test_garbage_is_no_traceback(copied: Callable[[], Path]) -> None:
    """`serve` says what to do."""
    folder = copied()
    with open(folder / "state.sqlite", "r+b") as file:
        file.seek(4096)
        file.write(b"\xaa" * 20480)
    found = served(folder)
    assert found.returncode == 1 and "damaged" in found.stderr and "Traceback" not in found.stderr
