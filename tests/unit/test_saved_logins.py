"""What `daqsched login` keeps: in a keyring where there is one, else in a file for its owner alone."""

from __future__ import annotations

import os
import stat
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Callable, Optional

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from daqsched import saved_logins
from daqsched.errors import UserError
from daqsched.saved_logins import SESSION, TOKEN, SavedLogin, folder, forget, keep, kept
from examples import examples

URL = "https://ctl1:8443"
LOGIN = SavedLogin(URL, "alice", SESSION, "eyJ.abc", 1000.0)


class Ring(ModuleType):
    """A keyring as the package `keyring` has them, with knobs."""

    def __init__(self, priority: float = 5.0) -> None:
        super().__init__("keyring")
        self.kept: dict[tuple[str, str], str] = {}
        self.priority = priority
        #: What happens in the place of an answer.
        self.instead: Optional[Callable[[], Any]] = None

    def get_keyring(self) -> Ring:
        return self

    def set_password(self, service: str, user: str, password: str) -> None:
        self._first()
        self.kept[service, user] = password

    def get_password(self, service: str, user: str) -> Optional[str]:
        self._first()
        return self.kept.get((service, user))

    def delete_password(self, service: str, user: str) -> None:
        self._first()
        del self.kept[service, user]

    def _first(self) -> None:
        if self.instead is not None:
            self.instead()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setitem(sys.modules, "keyring", None)
    yield tmp_path


@pytest.fixture
def ring(monkeypatch: pytest.MonkeyPatch) -> Ring:
    made = Ring()
    monkeypatch.setitem(sys.modules, "keyring", made)
    return made


def files(home: Path) -> list[Path]:
    return [one for one in home.rglob("*") if one.is_file()]


def test_without_a_keyring_it_is_in_a_file_for_its_owner_alone(home: Path) -> None:
    """Which is said, with why."""
    assert kept(URL) is None and not forget(URL)
    where = keep(LOGIN)
    (file,) = files(home)
    assert where == f"kept in {file} (mode 600), as the package keyring is not installed"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 and stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert kept(URL) == LOGIN and kept("https://ctl2:8443") is None
    keep(SavedLogin(URL, "", TOKEN, "daqsched_x"))
    again = kept(URL)
    assert again is not None and again.secret == "daqsched_x"
    assert forget(URL) and not files(home) and kept(URL) is None


def test_in_a_keyring_no_file_has_it(home: Path, ring: Ring) -> None:
    """And it is asked only where it has something."""
    assert keep(LOGIN) == "kept in the keyring"
    assert not [one for one in files(home) if LOGIN.secret in one.read_text()]
    assert kept(URL) == LOGIN and list(ring.kept.values()) == [LOGIN.secret]
    ring.instead = lambda: pytest.fail("it has nothing for that one")
    assert kept("https://ctl2:8443") is None
    ring.instead = None
    assert forget(URL) and not ring.kept and not files(home)


def _fail() -> None:
    raise RuntimeError("locked, and this text may be anybody's")


@pytest.mark.parametrize("trouble", ["none", "clear text", "fails", "hangs"])
def test_a_keyring_that_is_none_or_fails_is_as_if_there_were_none(
    home: Path, ring: Ring, trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a time with an end; what it says is not repeated."""
    never = threading.Event()
    acts: dict[str, Callable[[], Any]] = {"fails": _fail, "hangs": never.wait}
    monkeypatch.setattr(saved_logins, "PATIENCE_S", 0.1)
    why = {
        "none": "there is no keyring here",
        "clear text": "there is no keyring here",
        "fails": "the keyring says RuntimeError",
        "hangs": "the keyring does not answer within 0.1 s",
    }
    ring.priority = {"none": 0.0, "clear text": 0.5}.get(trouble, 5.0)
    ring.instead = acts.get(trouble)
    assert keep(LOGIN).endswith(f"(mode 600), as {why[trouble]}") and kept(URL) == LOGIN
    never.set()
    # one that had it, and does not give it, is said with what to type
    ring.priority, ring.instead = 5.0, None
    keep(LOGIN)
    never.clear()
    ring.priority = {"none": 0.0, "clear text": 0.5}.get(trouble, 5.0)
    ring.instead = acts.get(trouble)
    with pytest.raises(UserError, match=f"{why[trouble]}. Log in again: daqsched --server {URL} login NAME"):
        kept(URL)
    never.set()
    ring.priority, ring.instead = 5.0, None
    ring.kept.clear()
    with pytest.raises(UserError, match="has no login for https://ctl1:8443 any more"):
        kept(URL)


def test_a_file_that_others_could_read_or_made_is_not_believed(home: Path) -> None:
    """Nor one for another daemon, nor a link."""
    keep(LOGIN)
    (file,) = files(home)
    file.chmod(0o640)
    with pytest.raises(UserError, match="chmod 600"):
        kept(URL)
    file.chmod(0o600)
    elsewhere = home / "elsewhere"
    file.rename(elsewhere)
    file.symlink_to(elsewhere)
    with pytest.raises(UserError, match="can't be read"):
        kept(URL)
    assert forget(URL) and elsewhere.exists()
    for text in ('{"url":"https://evil:1","name":"a","kind":"token","secret":"x"}', "nonsense", "{}", "[", '{"url":1}'):
        file.touch(mode=0o600)
        file.write_text(text)
        with pytest.raises(UserError, match="log in again|Log in again"):
            kept(URL)
        assert keep(LOGIN) and kept(URL) == LOGIN, "a new one takes its place"
        forget(URL)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=examples(50))
@given(some.text(max_size=20))
def test_what_is_kept_can_stand_in_a_header_or_is_refused(secret: str) -> None:
    """Whoever writes into the file adds no header and no second cookie."""
    keep(SavedLogin(URL, "alice", SESSION, f"x{secret}"))
    try:
        found = kept(URL)
    except UserError as error:
        assert "can't be used" in str(error)
    else:
        assert found is not None and found.secret == f"x{secret}" and found.secret.isascii()
        assert not set(found.secret) & set(' ;,"\\\r\n\0\t')


def test_each_daemon_has_a_place_of_its_own(home: Path) -> None:
    """Whatever its address is; none leads out of the folder."""
    urls = [
        "https://ctl1",
        "https://ctl1:8443",
        "https://[::1]:8443",
        "https://../../x",
        "https://a%2fb",
        "https://a/b",
    ]
    for url in urls:
        keep(SavedLogin(url, url, TOKEN, "t"))
    assert {one.parent for one in files(home)} == {folder()} and len(files(home)) == len(urls)
    for url in urls:
        found = kept(url)
        assert found is not None and found.name == url


def test_what_a_keyring_keeps_on_is_not_said_to_be_gone(home: Path, ring: Ring) -> None:
    """One that somebody has emptied meanwhile is no trouble."""
    keep(LOGIN)
    ring.instead = _fail
    with pytest.raises(UserError, match="still in the keyring: the keyring says RuntimeError"):
        forget(URL)
    ring.instead = None
    assert kept(URL) == LOGIN
    ring.kept.clear()
    assert forget(URL) and not files(home)


def test_a_login_that_can_not_be_kept_leaves_the_old_one(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And no piece of the new one."""
    keep(LOGIN)

    def full(*names: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("daqsched.saved_logins.os.replace", full)
    with pytest.raises(UserError, match="No space left"):
        keep(SavedLogin(URL, "bob", SESSION, "eyJ.def"))
    assert kept(URL) == LOGIN and len(files(home)) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_login_of_another_account_is_not_used(home: Path) -> None:
    """As with the home of whoever became root."""
    keep(LOGIN)
    (file,) = files(home)
    os.chown(file, 65534, 65534)
    with pytest.raises(UserError, match="is not of the account that runs this command"):
        kept(URL)
