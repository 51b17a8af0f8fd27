"""Who a program runs as."""

from __future__ import annotations

import os
import pwd

import pytest

from daqsched_executor.machine.account import CannotStart, account_of


def test_a_number_is_a_uid_where_no_account_has_it_for_a_name() -> None:
    """As systemd, docker and supervisor have it."""
    assert account_of(str(os.geteuid()), "/sandbox") == account_of(pwd.getpwuid(os.geteuid()).pw_name, "/sandbox")


@pytest.mark.parametrize("name", ["nobody-of-this-name", "4000000001", "99999999999999999999", "-1", "\u0661"])
def test_who_is_not_there_is_a_sentence(name: str) -> None:
    """Also a number without an account: nobody knows its groups."""
    with pytest.raises(CannotStart, match="is unknown on this machine"):
        account_of(name, "/sandbox")
