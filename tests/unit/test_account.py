"""Who a program runs as."""

from __future__ import annotations

import os
import pwd

import pytest

from daqsched_executor.machine import account
from daqsched_executor.machine.account import CannotStart, account_of


def test_a_number_is_a_uid_where_no_account_has_it_for_a_name() -> None:
    """As systemd, docker and supervisor have it."""
    assert account_of(str(os.geteuid()), "/sandbox") == account_of(pwd.getpwuid(os.geteuid()).pw_name, "/sandbox")


@pytest.mark.parametrize("name", ["nobody-of-this-name", "4294967295", "99999999999999999999", "-1", "\u0661"])
def test_who_is_not_there_is_a_sentence(name: str) -> None:
    """Also a number that no account can have."""
    with pytest.raises(CannotStart, match="is unknown on this machine"):
        account_of(name, "/sandbox")


def test_a_number_without_an_account_is_one_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its group has the same number, never root's; it has no name and lives in the sandbox."""
    monkeypatch.setattr("os.geteuid", lambda: 0)
    found = account_of("4000000001", "/sandbox")
    assert (found.uid, found.gid, found.groups, found.home) == (4000000001, 4000000001, (), "/sandbox")
    assert found.words() == {"HOME": "/sandbox"}
    monkeypatch.setattr("os.geteuid", lambda: 4711)
    with pytest.raises(CannotStart, match="cannot run as 4000000001: the executor is uid 4711, not root"):
        account_of("4000000001", "/sandbox")


def test_what_runs_beside_a_program_does_not_look_its_account_up_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The directory may take longer than a check has; who was not found yet is looked up."""
    own = account_of(str(os.geteuid()), "/sandbox")
    monkeypatch.setattr(account, "_known", {})
    assert account.account_beside(str(os.geteuid()), "/sandbox") == own
    account.remember("daq", account.told(own))
    monkeypatch.setattr(account, "account_of", lambda name, sandbox: pytest.fail("it was looked up"))
    assert account.account_beside("daq", "/elsewhere") == own
