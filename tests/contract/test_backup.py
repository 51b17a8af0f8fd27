"""`daqsched backup` and `restore`: of either store, into either, and never under a daemon."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from builders import job
from daqsched.cli import main
from daqsched.engine.commands import Revision
from daqsched.offline import opened
from daqsched.spec import Spec
from daqsched.store.backup import contents_of
from daqsched.task import Hold, Record, Task
from zoo import Zoo

RECORDS = {
    ("a", "h1"): Record(task=Task("a@h1.1", "agent", "d", 1.5, "running"), failures=2),
    ("a", "h2"): Record(hold=Hold("bob", 3.0, "why")),
}


def revision(number: int) -> Revision:
    return Revision(number, f"d{number}", "alice", 1.0, "", Spec(jobs=(job(),)))


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zoo]:
    """A ZooKeeper of this file's own."""
    made = Zoo(tmp_path_factory.mktemp("zoo"))
    yield made
    made.kill()


@pytest.fixture
def places(zoo: Zoo, tmp_path: Path) -> dict[str, str]:
    """A state of each kind, with nothing in it."""
    return {"sqlite": str(tmp_path / "state"), "zookeeper": f"zk://{zoo.servers}/{tmp_path.name}-{os.getpid()}"}


def run(*words: str) -> Result:
    return CliRunner().invoke(main, words, prog_name="daqsched")


@pytest.mark.parametrize(("one", "other"), [("sqlite", "zookeeper"), ("zookeeper", "sqlite")])
def test_a_state_moves_into_the_other_kind(places: dict[str, str], tmp_path: Path, one: str, other: str) -> None:
    """All of it; a dry run changes nothing; a second time there is nothing to change."""
    source, target, file = places[one], places[other], str(tmp_path / "file")
    with opened(source, None, "test", new=True) as store:
        store.save("fw", [revision(1), revision(2)], RECORDS.items(), {"leases": b"x"})
        kept = contents_of(store)
    with opened(target, None, "test", new=True) as store:
        store.save("old", [revision(2), revision(3)], [(("b", "h"), Record(failures=1))])
    made = run("backup", file, "--offline", "--state", source)
    assert made.exit_code == 0 and "2 revisions, 2 instances" in made.output
    assert stat.S_IMODE(os.stat(file).st_mode) == 0o600
    dry = run("restore", file, "--dry-run", "--state", target)
    for sentence in (
        "framework id: old becomes fw",
        "in force: revision 3 (d3) by alice becomes revision 2 (d2) by alice",
        "revisions: 1 added, 1 forgotten",
        "instances: 2 added, 1 forgotten",
        "documents: 1 added",
        "Nothing was changed",
    ):
        assert sentence in dry.output, dry.output
    with opened(target, None, "test", new=False) as store:
        assert store.framework_id() == "old"
    assert "is restored" in run("restore", file, "--state", target).output
    with opened(target, None, "test", new=False) as store:
        assert contents_of(store) == kept and dict(store.records()) == RECORDS and store.revision() == revision(2)
    assert "nothing to change" in run("restore", file, "--state", target).output


@pytest.mark.parametrize("kind", ["sqlite", "zookeeper"])
def test_a_state_that_is_in_use_is_left_alone(places: dict[str, str], tmp_path: Path, kind: str) -> None:
    """Neither restored nor read: the one who uses it is named where that is known, and goes on."""
    state, file = places[kind], str(tmp_path / "file")
    with opened(state, None, "the first", new=True) as store:
        store.save("fw")
        first = run("backup", file, "--offline", "--state", state)
        assert first.exit_code and ("the first" in first.output or "another `daqsched serve`" in first.output)
        assert not os.path.exists(file)
        store.save(documents={"x": b"1"})
    assert run("backup", file, "--offline", "--state", state).exit_code == 0
    with opened(state, None, "the first", new=False) as store:
        again = run("restore", file, "--state", state)
        assert again.exit_code and ("the first" in again.output or "another `daqsched serve`" in again.output)
        store.save("still")


def test_what_is_no_whole_backup_is_refused(
    places: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its first line, its version, and its check sum; and takes no good one's place."""
    state, file = places["sqlite"], tmp_path / "file"
    with opened(state, None, "test", new=True) as store:
        store.save("fw", [revision(1)])
    assert run("backup", str(file), "--offline", "--state", state).exit_code == 0
    whole = file.read_bytes()
    for damaged, why in (
        (b"anything", "not a backup of daqsched"),
        (whole[:-3], "check sum"),
        (whole.replace(b'"version":1', b'"version":9'), "newer daqsched"),
        (whole.replace(b'"version":1', b'"version":?'), "first line is damaged"),
    ):
        file.write_bytes(damaged)
        found = run("restore", str(file), "--state", state)
        assert found.exit_code == 2 and why in found.output
    file.write_bytes(whole)
    for cut in (b"", whole[:-3]):  # what came of the daemon's, when that was killed
        monkeypatch.setattr("daqsched.client.Client.backup", lambda self, cut=cut: cut)
        assert run("--socket", str(tmp_path / "sock"), "backup", str(file)).exit_code == 2
        assert file.read_bytes() == whole
    missing = run("restore", str(tmp_path / "none"), "--state", state)
    assert missing.exit_code == 2 and "can't be read" in missing.output
    nothing = run("backup", str(file), "--offline", "--state", str(tmp_path / "elsewhere"))
    assert nothing.exit_code == 2 and "there is no state" in nothing.output
