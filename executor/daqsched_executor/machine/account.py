"""Who a program runs as. Looked up in the child that becomes the program: a directory of accounts may be slow, or hang."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

#: What accounts without a home have for one (Debian's nobody, Red Hat's): the sandbox is theirs.
NO_HOMES = ("", "/", "/nonexistent", "/dev/null", "/var/empty")
#: What accounts have that nobody logs in with: no program shall start it.
NO_SHELLS = (
    "",
    "/bin/false",
    "/usr/bin/false",
    "/bin/nologin",
    "/sbin/nologin",
    "/usr/bin/nologin",
    "/usr/sbin/nologin",
)


class CannotStart(Exception):
    """The job asks for something that this machine or account can't do; the message is one sentence."""


class Account(NamedTuple):
    """An account of this machine, with its groups."""

    #: Empty: a number that has no name here.
    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str
    shell: str = ""

    def words(self) -> dict[str, str]:
        """What a program's environment says of it, as login(1) has it."""
        found = {"HOME": self.home, "USER": self.name, "LOGNAME": self.name, "SHELL": self.shell}
        return {name: text for name, text in found.items() if text}


#: The accounts that programs of this executor were started as, by the name that was asked for: see `remember`.
_known: dict[str, Account] = {}


def remember(name: str, said: str) -> None:
    """What a child found, as `told` has it: what runs beside its program does not look it up again, which may take longer than
    a check has."""
    own, uid, gid, groups, home, shell = said.split("\t")
    _known[name] = Account(own, int(uid), int(gid), tuple(map(int, groups.split())), home, shell)


def told(account: Account) -> str:
    """For `remember`."""
    groups = " ".join(map(str, account.groups))
    return "\t".join((account.name, str(account.uid), str(account.gid), groups, account.home, account.shell))


def account_beside(name: str, sandbox: str) -> Account:
    """The account of a program that was started; what has none yet looks it up."""
    return _known.get(name) or account_of(name, sandbox)


def account_of(name: str, sandbox: str) -> Account:
    """The account of that name or, if no account has that name, of that number, which may have no account at all: then its
    group has the same number. Our own for an empty name. Raises `CannotStart` where we can't become it."""
    import pwd  # in the child alone

    own = os.geteuid()
    try:
        entry = _entry(name) if name else pwd.getpwuid(own)
    except KeyError:
        if not name:
            return Account("", own, os.getegid(), tuple(os.getgroups()), sandbox)
        if not _is_uid(name):
            raise CannotStart(f"user {name!r} is unknown on this machine") from None
        if own not in (0, int(name)):
            raise CannotStart(f"cannot run as {name}: the executor is uid {own}, not root") from None
        return Account("", int(name), int(name), (), sandbox)
    if own not in (0, entry.pw_uid):
        raise CannotStart(f"cannot run as {name}: the executor is uid {own}, not root")
    home = sandbox if entry.pw_dir in NO_HOMES else entry.pw_dir
    shell = "" if entry.pw_shell in NO_SHELLS else entry.pw_shell
    if entry.pw_uid == own:  # also with supplementary groups that it was given
        return Account(entry.pw_name, own, os.getegid(), tuple(os.getgroups()), home, shell)
    groups = tuple(os.getgrouplist(entry.pw_name, entry.pw_gid))
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, groups, home, shell)


def _entry(name: str) -> Any:
    """Raises `KeyError`."""
    import pwd

    try:
        return pwd.getpwnam(name)
    except KeyError:
        if not _is_uid(name):
            raise
        return pwd.getpwuid(int(name))


def _is_uid(name: str) -> bool:
    """The highest number means "no change" to the kernel."""
    return name.isascii() and name.isdecimal() and int(name) < (1 << 32) - 1


def become(account: Account) -> None:
    """Be it, for good."""
    if account.uid != os.geteuid():
        os.setgroups(account.groups)
        os.setgid(account.gid)
        os.setuid(account.uid)
