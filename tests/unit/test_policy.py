"""What jobs may have on a machine: how the file is read, whom it is believed of, what it allows."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Callable, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as some

from daqsched_executor.contract import FORWARDER, Payload
from daqsched_executor.machine.account import Account
from daqsched_executor.machine.policy import LARGEST, POLICY_VARIABLE, Policy, allow, load, parse
from daqsched_executor.machine.probe import Unreadable

ROOT = Account("root", 0, 0, (0,), "/root")
DAQ = Account("daq", 1000, 1000, (1000,), "/home/daq")
TWIN = Account("toor", 0, 0, (0,), "/root")
NAMELESS = Account("", 4711, 100, (), "/")

TEXT = """
# the farm's
accounts = daq, rcd   # and no other
volumes = /cvmfs:ro, /data,/etc/daq.cfg
devices = /dev/pcie*
engines = unix:///run/docker.sock
networks = host, none
"""


def test_a_policy_says_what_it_says() -> None:
    """Comments, blanks and empty lines mean nothing."""
    assert parse(TEXT, "/p") == Policy(
        "/p",
        ("daq", "rcd"),
        ("/cvmfs:ro", "/data", "/etc/daq.cfg"),
        ("/dev/pcie*",),
        ("unix:///run/docker.sock",),
        ("host", "none"),
        False,
    )
    assert parse("", "/p") == Policy("/p", (), (), (), (), (), False)
    assert parse("setuid = yes", "/p").setuid


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("\n\naccounts daq", "line 3", "write WORD = VALUE"),
        ("accounts = daq\nacounts = rcd", "line 2", "'acounts' is not a word of a policy"),
        ("accounts = daq\naccounts = root", "line 2", "accounts is given a second time"),
        ("accounts = daq rcd", "line 1", "has a space in it"),
        ("accounts = d\x1b]0;x\x07", "line 1", "'d\\x1b]0;x\\x07'"),
        ("volumes = data", "line 1", "'data' is not an absolute path"),
        ("volumes = /data:slave", "line 1", "'/data:slave' is not an absolute path"),
        ("devices = pcie", "line 1", "'pcie' is not a device file"),
        ("engines = /run/docker.sock", "line 1", "is not an address"),
        ("setuid = maybe", "line 1", "setuid is yes or no"),
        ("setuid =", "line 1", "setuid is yes or no"),
    ],
)
def test_a_mistake_is_named_with_file_line_and_word(text: str, where: str, what: str) -> None:
    """And the file as a whole counts for nothing."""
    with pytest.raises(ValueError) as raised:
        parse(text, "/p")
    assert str(raised.value).startswith(f"/p, {where}: ") and what in str(raised.value)
    assert str(raised.value).isprintable()


@given(some.text(some.characters(codec="utf-8"), max_size=200))
def test_any_text_is_a_policy_or_a_sentence(text: str) -> None:
    """One printable sentence with the file's name."""
    try:
        found = parse(text, "/p")
    except ValueError as error:
        assert str(error).startswith("/p, line ") and str(error).isprintable()
    else:
        assert found.path == "/p"


@pytest.mark.parametrize(
    ("allowed", "account", "fine"),
    [
        (None, ROOT, True),
        ((), ROOT, False),
        ((), DAQ, False),
        (("daq",), DAQ, True),
        (("daq",), ROOT, False),
        (("*",), DAQ, True),
        (("*",), NAMELESS, True),
        (("*",), ROOT, False),
        (("*",), TWIN, False),
        (("root",), ROOT, True),
        (("root",), TWIN, False),
        (("*", "toor"), TWIN, True),
        (("4711",), NAMELESS, True),
    ],
)
def test_root_only_if_it_is_named(allowed: Optional[tuple[str, ...]], account: Account, fine: bool) -> None:
    """Root is who has the uid 0, whatever the name; a star is for all others."""
    why = Policy("/p", accounts=allowed).account(account)
    assert (why == "") is fine
    assert fine or (f"may not run as {account.name}" in why and "/p allows accounts = " in why)


@pytest.mark.parametrize(
    ("real", "writable", "fine"),
    [
        ("/cvmfs", False, True),
        ("/cvmfs/x/y", False, True),
        ("/cvmfs/x", True, False),
        ("/cvmfs2", False, False),
        ("/data/run1", True, True),
        ("/etc/daq.cfg", True, True),
        ("/etc", False, False),
        ("/", False, False),
    ],
)
def test_a_volume_is_below_what_is_named(real: str, writable: bool, fine: bool) -> None:
    """For writing only where that is not excluded."""
    assert (parse(TEXT, "/p").volume(real, writable) == "") is fine
    assert parse("volumes = /", "/p").volume(real, writable) == ""


def test_devices_engines_networks_and_setuid() -> None:
    """What is not named is not allowed; without a policy, all but engines elsewhere."""
    policy, free = parse(TEXT, "/p"), Policy()
    assert not policy.device("/dev/pcie40") and "/dev/sda" in policy.device("/dev/sda")
    assert not policy.engine("unix:///run/docker.sock") and "/x.sock may not" in policy.engine("unix:///x.sock")
    assert not policy.network("none") and "in network bridge" in policy.network("bridge")
    assert not policy.privileges(False) and not policy.privileges(None) and "setuid=True" in policy.privileges(True)
    assert not free.device("/dev/sda") and not free.network("bridge") and not free.privileges(True)
    assert not free.engine("unix:///x.sock") and "engines = tcp://far:2375" in free.engine("tcp://far:2375")


def job(**fields: Any) -> Payload:
    return Payload("t", "j", "h", ("/bin/true",), **fields)


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], dict[str, str]]:
    """Writes a policy; the environment that names it."""

    def write(text: str) -> dict[str, str]:
        (tmp_path / "policy").write_text(text)
        (tmp_path / "policy").chmod(0o644)
        return {POLICY_VARIABLE: str(tmp_path / "policy")}

    return write


def test_the_forwarder_is_not_a_job(written: Callable[[str], dict[str, str]]) -> None:
    """It is the daemon's own, and reads what belongs to all."""
    environ = written("accounts = daq")
    with pytest.raises(Unreadable, match="a job may not run as root"):
        allow(job(), ROOT, environ)
    assert allow(Payload("t", FORWARDER, "h", ("/bin/true",)), ROOT, environ) == Policy()
    assert allow(job(), DAQ, environ).accounts == ("daq",)


def test_a_file_that_is_named_and_missing_allows_nothing(tmp_path: Path) -> None:
    """Somebody meant it to be there."""
    with pytest.raises(Unreadable, match="is missing: nothing is started"):
        load({POLICY_VARIABLE: str(tmp_path / "none" / "policy")})


def _group(path: Path) -> None:
    path.chmod(0o664)


def _others(path: Path) -> None:
    path.chmod(0o646)


def _folder(path: Path) -> None:
    path.parent.chmod(0o777)


def _link(path: Path) -> None:
    path.rename(path.with_name("real"))
    path.symlink_to("real")


def _linked_folder(path: Path) -> None:
    path.parent.rename(path.parent.with_name("real"))
    path.parent.symlink_to("real")


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _large(path: Path) -> None:
    path.write_text("#" * (LARGEST + 1))


def _bytes(path: Path) -> None:
    path.write_bytes(b"# \n\xff\xfe")


def _owner(path: Path) -> None:
    os.chown(path, 65534, 65534)


def _folders_owner(path: Path) -> None:
    os.chown(path.parent, 65534, 65534)


SPOILT = [_group, _others, _folder, _link, _linked_folder, _pipe, _directory, _large, _bytes]
SPOILT += [_owner, _folders_owner] if os.geteuid() == 0 else []


@pytest.mark.parametrize("spoil", SPOILT, ids=[one.__name__ for one in SPOILT])
def test_a_file_that_others_could_have_made_allows_nothing(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    """The file and every folder above it are root's, or ours, and nobody else can write there; read without waiting."""
    folder = tmp_path / "etc"
    folder.mkdir(mode=0o755)
    path = folder / "policy"
    path.write_text("accounts = *, root")
    path.chmod(0o644)
    assert load({POLICY_VARIABLE: str(path)}).accounts == ("*", "root")
    spoil(path)
    with pytest.raises(Unreadable) as raised:
        load({POLICY_VARIABLE: str(path)})
    assert str(tmp_path / "etc") in str(raised.value) and "nothing is started" in str(raised.value)
