"""Which files a pattern leads to: never through a link that another account can make, never for long, never to what is no file."""

from __future__ import annotations

import errno
import glob
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daqsched_executor.forward.inputs.patterns import MOST_DEEP, Look
from daqsched_executor.forward.inputs.safe_paths import opened, reached

#: An account that is not ours; files can be given to it by root alone, so as anybody else all links are ours.
SERVICE = 65534

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another account")


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """A folder with a log file."""
    made = tmp_path / "log"
    made.mkdir()
    (made / "app.log").write_text("a line\n")
    (tmp_path / "secret").write_text("root's\n")
    (tmp_path / "vault").mkdir()
    (tmp_path / "vault" / "app.log").write_text("root's\n")
    return made


def found(pattern: object, links: bool = False) -> list[str]:
    """The files that the pattern leads to."""
    return sorted(named.real for named in Look(str(pattern), links).files())


def put_aside(pattern: object, links: bool = False) -> str:
    """The first thing that is set aside, and why; nothing is found."""
    look = Look(str(pattern), links)
    assert not list(look.files())
    return look.first_aside


def planted(link: Path, target: object, owner: int = SERVICE) -> Path:
    """A link that the service's account made in its folder."""
    link.symlink_to(str(target))
    os.chown(link, owner, owner, follow_symlinks=False)
    os.chown(link.parent, owner, owner)
    return link


def test_a_link_is_followed_where_it_is_named_or_asked_for(logs: Path) -> None:
    """Ours: the pattern names it, or the job file says so; what is found is the file behind it."""
    link = logs / "link.log"
    link.symlink_to("../log/app.log")
    file = str(logs / "app.log")
    assert found(logs / "*.log") == [file] and found(logs / "*.log", True) == [file, file]
    assert found(link) == [file]
    assert [named.path for named in Look(str(link), False).files()] == [str(link)]


def test_folders_behind_links_of_ours_are_gone_into_before_all_stars(logs: Path) -> None:
    """As /var/log on another disk; but not where a star has found them, unless it is asked for."""
    (logs.parent / "elsewhere").symlink_to(logs)
    assert found(logs.parent / "elsewhere" / "*.log") == [str(logs / "app.log")]
    assert found(logs.parent / "else*" / "*.log") == []
    assert found(logs.parent / "else*" / "*.log", True) == [str(logs / "app.log")]


@AS_ROOT
@pytest.mark.parametrize("pattern", ["app2.log", "*2.log", "**/*2.log", "../log/app2.log"])
@pytest.mark.parametrize("links", [False, True])
def test_a_planted_link_leads_to_no_file_of_another_account(logs: Path, pattern: str, links: bool) -> None:
    """Whatever the pattern, and whatever the job file says."""
    planted(logs / "app2.log", logs.parent / "secret")
    assert str(logs / "app2.log").split("/")[-1] in put_aside(logs / pattern, links)


@AS_ROOT
@pytest.mark.parametrize("pattern", ["sub/app.log", "sub/*.log", "*/app.log", "s*/*.log", "**/app.log"])
@pytest.mark.parametrize("links", [False, True])
def test_a_planted_folder_leads_to_no_file_of_another_account(logs: Path, pattern: str, links: bool) -> None:
    """A link in the midst of a path is one, too."""
    (logs / "app.log").unlink()
    planted(logs / "sub", logs.parent / "vault")
    assert found(logs / pattern, links) == []
    with pytest.raises(OSError, match="link"):
        opened(str(logs / "sub" / "app.log"), links)


@AS_ROOT
@pytest.mark.parametrize("pattern", ["app2.log", "*2.log", "**/*2.log"])
@pytest.mark.parametrize("mode", [0o755, 0o1777, 0o775])
def test_a_second_name_for_a_file_of_another_account_is_put_aside(logs: Path, pattern: str, mode: int) -> None:
    """Where the kernel lets accounts make hard links to what is not their own."""
    os.link(logs.parent / "secret", logs / "app2.log")
    if mode == 0o755:
        os.chown(logs, SERVICE, SERVICE)
    logs.chmod(mode)
    assert "hard link" in put_aside(logs / pattern)
    with pytest.raises(OSError, match="hard link"):
        opened(str(logs / "app2.log"))


@AS_ROOT
def test_two_names_of_a_file_are_fine_where_nobody_else_can_give_them(logs: Path) -> None:
    """Root's in root's folder, a service's own in its own."""
    os.link(logs / "app.log", logs / "app2.log")
    assert len(found(logs / "*.log")) == 2
    for path in (logs, logs / "app.log"):
        os.chown(path, SERVICE, SERVICE)
    assert len(found(logs / "*.log")) == 2


@AS_ROOT
def test_a_services_own_link_to_its_own_file_is_followed_where_it_is_asked_for(logs: Path) -> None:
    """A link `current` that a service moves."""
    os.chown(logs / "app.log", SERVICE, SERVICE)
    link = planted(logs / "current", logs / "app.log")
    assert "link" in put_aside(link) and found(link, True) == [str(logs / "app.log")]


@AS_ROOT
def test_a_folder_that_was_exchanged_for_a_link_after_the_look_is_not_gone_into(logs: Path) -> None:
    """What was found is opened part by part again."""
    sub = logs / "sub"
    sub.mkdir()
    (sub / "app.log").write_text("x\n")
    (named,) = Look(str(sub / "*.log"), False).files()
    os.rename(sub, logs / "away")
    planted(sub, logs.parent / "vault")
    with pytest.raises(OSError, match="link"):
        opened(named.real)


@pytest.fixture
def fifo(logs: Path) -> Iterator[Path]:
    """A FIFO that nobody writes to."""
    os.mkfifo(logs / "fifo.log")
    yield logs / "fifo.log"


def test_what_is_no_file_is_neither_opened_nor_waited_for(fifo: Path) -> None:
    """A FIFO with the name of a log file; a device behind a link of ours."""
    (fifo.parent / "app.log").unlink()
    assert "it is a FIFO" in put_aside(fifo.parent / "*.log") and "it is a FIFO" in put_aside(fifo)
    for path in (str(fifo), "/dev/tty", "/dev/null", "/tmp"):
        done = threading.Event()

        def tries(path: str = path, done: threading.Event = done) -> None:
            with pytest.raises(OSError, match="not a file"):
                opened(path)
            done.set()

        thread = threading.Thread(target=tries, daemon=True)
        thread.start()
        assert done.wait(20), f"{path} hangs"


def test_links_in_a_circle_end(logs: Path) -> None:
    """As the kernel says it."""
    (logs / "a").symlink_to("b")
    (logs / "b").symlink_to("a")
    with pytest.raises(OSError, match="symbolic links") as caught:
        reached(str(logs / "a"), True, True)
    assert caught.value.errno == errno.ELOOP


def test_two_stars_come_to_an_end(logs: Path) -> None:
    """Links to a folder above, and folders without end."""
    (logs / "up").symlink_to("..")
    assert found(logs / "**" / "*.log", True) == [str(logs / "app.log")]
    deep = logs.joinpath(*["d"] * (MOST_DEEP + 3))
    deep.mkdir(parents=True)
    (deep / "deep.log").touch()
    look = Look(str(logs / "**" / "*.log"), False)
    assert [named.real for named in look.files()] == [str(logs / "app.log")] and "folders deep" in look.cut


def test_a_folder_with_more_names_than_can_be_looked_at_is_told(logs: Path) -> None:
    """And what is found of it is followed."""
    for number in range(600):
        (logs / f"{number}.txt").touch()
    look = Look(str(logs / "*"), False)
    look._names = 500
    assert len(list(look.files())) == 500 and "holds more than can be looked at" in look.cut


NAMES = st.sampled_from(["a", "b.log", "c.log", ".hidden.log", "d", "x[1].log"])


@given(
    tree=st.lists(st.lists(NAMES, min_size=1, max_size=4), max_size=8),
    pattern=st.lists(
        st.sampled_from(["*", "**", "*.log", "a", "b.log", "?", "[ad]", ".*", "[!a]*"]), min_size=1, max_size=3
    ),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_pattern_names_what_it_names_in_pythons_glob(
    tree: list[list[str]], pattern: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Where there are no links: the same files."""
    root = tmp_path_factory.mktemp("tree")
    for parts in tree:
        path = root.joinpath(*parts)
        if not any(one.is_file() for one in path.parents) and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    text = str(root / "/".join(pattern))
    wanted = sorted({path for path in glob.glob(text, recursive=True) if os.path.isfile(path)})
    assert sorted(set(found(text))) == wanted
