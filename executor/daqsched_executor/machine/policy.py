"""What jobs may have on this machine, as its administrator wrote it down; read anew before each start.

One line a word: ``accounts = daq, rcd``; ``#`` begins a comment. What no line names is not allowed. Without the file, jobs may
have what the executor's account may have, but for engines that are not the machine's own. A file that can't be trusted or
understood allows nothing: each start waits, and says what is wrong with it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from typing import NamedTuple, Optional

from daqsched_executor.contract import FORWARDER, Payload
from daqsched_executor.machine.account import Account
from daqsched_executor.machine.probe import Unreadable

#: Where it is; another place by the variable, which executors have from their agent (--executor_environment_variables).
POLICY, POLICY_VARIABLE = "/etc/daqsched/policy", "DAQSCHED_POLICY"
#: In bytes.
LARGEST = 65536

_LISTS = ("accounts", "volumes", "devices", "engines", "networks")


class Policy(NamedTuple):
    """See the module. A list that is None: anything."""

    #: The file; empty: there is none.
    path: str = ""
    #: Names; ``*`` is every account but root.
    accounts: Optional[tuple[str, ...]] = None
    #: Folders and files of the machine, with all that is below them; after one ``:ro``: for reading only.
    volumes: Optional[tuple[str, ...]] = None
    #: Device files, with the wildcards of fnmatch(3).
    devices: Optional[tuple[str, ...]] = None
    #: Addresses of container engines.
    engines: Optional[tuple[str, ...]] = None
    #: Networks of containers.
    networks: Optional[tuple[str, ...]] = None
    #: Whether jobs may say ``setuid=True``.
    setuid: bool = True

    def account(self, account: Account) -> str:
        """Why no job may run as this account; empty: it may."""
        name = account.name or str(account.uid)
        allowed = self.accounts
        if allowed is None or name in allowed or ("*" in allowed and account.uid != 0):
            return ""
        return self._no("accounts", f"a job may not run as {name}", allowed)

    def privileges(self, wanted: Optional[bool]) -> str:
        """Why a job may not have ``setuid=True``."""
        if self.setuid or not wanted:
            return ""
        return self._no("setuid", "a job may not have setuid=True", ("no",))

    def volume(self, real: str, writable: bool) -> str:
        """Why no container may have this place, by its path without links."""
        if self.volumes is None:
            return ""
        for entry in self.volumes:
            path, _, option = entry.partition(":")
            inside = path == "/" or real == path or real.startswith(path.rstrip("/") + "/")
            if inside and not (writable and option == "ro"):
                return ""
        return self._no("volumes", f"no container may have {real}{' for writing' if writable else ''}", self.volumes)

    def device(self, real: str) -> str:
        """Why no container may have this device file."""
        if self.devices is None:
            return ""
        from ..contract.globs import fits  # few jobs have devices

        if any(fits(real, pattern) for pattern in self.devices):
            return ""
        return self._no("devices", f"no container may have {real}", self.devices)

    def engine(self, address: str) -> str:
        """Why no container may be had of this engine."""
        if self.engines is None:
            if address.startswith("unix://"):
                return ""
            return f"{address} is not an engine of this machine: {POLICY} has to name it (engines = {address})"
        return "" if address in self.engines else self._no("engines", f"{address} may not be used", self.engines)

    def network(self, name: str) -> str:
        """Why no container may be in this network."""
        if self.networks is None or name in self.networks or "*" in self.networks:
            return ""
        return self._no("networks", f"no container may be in network {name}", self.networks)

    def _no(self, word: str, what: str, allowed: tuple[str, ...]) -> str:
        return f"{what} on this machine: {self.path} allows {word} = {', '.join(allowed) or '(none)'}"


def allow(payload: Payload, account: Account, environ: Mapping[str, str]) -> Policy:
    """The machine's policy, which lets the job run as this account; raises `Unreadable` where it does not."""
    if payload.job == FORWARDER:  # daqsched's own, which the daemon makes; it takes no job of that name from anybody
        return Policy()
    policy = load(environ)
    refuse(policy.account(account) or policy.privileges(payload.new_privileges))
    return policy


def refuse(why: str) -> None:
    """Raise `Unreadable` for a reason that is none but empty."""
    if why:
        raise Unreadable(why)


def load(environ: Mapping[str, str]) -> Policy:
    """The policy of this machine; raises `Unreadable` for a file that is not to be trusted or understood."""
    named = environ.get(POLICY_VARIABLE, "")
    path = named or POLICY
    try:
        return parse(_read(path), path)
    except FileNotFoundError:
        if named:
            raise Unreadable(f"{path}, which {POLICY_VARIABLE} names, is missing: nothing is started") from None
        return Policy()
    except OSError as error:
        raise Unreadable(f"{path} cannot be read: {error.strerror}; nothing is started") from error
    except ValueError as error:
        raise Unreadable(f"{error}; nothing is started") from error


def parse(text: str, path: str) -> Policy:
    """What the file says; raises ValueError with file, line and word."""
    found: dict[str, tuple[str, ...]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        line = line.partition("#")[0].strip()
        if not line:
            continue
        word, equals, rest = (part.strip() for part in line.partition("="))
        where = f"{path}, line {number}"
        if not equals:
            raise ValueError(f"{where}: write WORD = VALUE, VALUE, not {line[:60]!r}")
        if word not in (*_LISTS, "setuid"):
            raise ValueError(f"{where}: {word[:60]!r} is not a word of a policy: {', '.join(_LISTS)}, setuid are")
        if word in found:
            raise ValueError(f"{where}: {word} is given a second time")
        values = tuple(value.strip() for value in rest.split(",") if value.strip())
        _check(word, values, where)
        found[word] = values
    lists = {word: found.get(word, ()) for word in _LISTS}
    return Policy(path, **lists, setuid=found.get("setuid") == ("yes",))


def _check(word: str, values: tuple[str, ...], where: str) -> None:
    if word == "setuid" and values not in (("yes",), ("no",)):
        raise ValueError(f"{where}: setuid is yes or no, not {', '.join(values)[:60]!r}")
    for value in values:
        if not value.isprintable() or " " in value:
            raise ValueError(f"{where}: {word}: {value[:60]!r} has a space in it: values are separated by commas")
        path, colon, option = value.partition(":")
        if word == "volumes" and (not path.startswith("/") or (colon and option not in ("ro", "rw"))):
            raise ValueError(
                f"{where}: volumes: {value[:60]!r} is not an absolute path, with ':ro' or ':rw' after it or not"
            )
        if word == "devices" and not value.startswith("/dev/"):
            raise ValueError(f"{where}: devices: {value[:60]!r} is not a device file: '/dev/...' is")
        if word == "engines" and "://" not in value:
            raise ValueError(f"{where}: engines: {value[:60]!r} is not an address: 'unix:///run/docker.sock' is one")


def _read(path: str) -> str:
    """The text of a file that nobody can have changed but root, or the account that we are. Raises ValueError, OSError."""
    if not path.startswith("/"):
        raise ValueError(f"{POLICY_VARIABLE} is not an absolute path: {path!r}")
    parts = [part for part in path.split("/") if part]
    place, folder = "/", os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts[:-1]:
            _trust(place, os.fstat(folder))
            below = os.open(part, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            os.close(folder)
            place, folder = os.path.join(place, part), below
        _trust(place, os.fstat(folder))
        # a pipe would keep us waiting, a link may lead to what somebody else can write
        file = os.open(parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    finally:
        os.close(folder)
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError(f"{path} is not a regular file")
        _trust(path, status)
        if status.st_size > LARGEST:
            raise ValueError(f"{path} has {status.st_size} bytes, more than {LARGEST}")
        data = os.read(file, LARGEST)
    finally:
        os.close(file)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ValueError(f"{path}, line {line}: is not UTF-8") from None


def _trust(path: str, status: os.stat_result) -> None:
    if status.st_uid not in (0, os.geteuid()):
        raise ValueError(f"{path} belongs to uid {status.st_uid}: chown root {path}")
    # in a sticky folder nobody can take the place of another's file
    sticky = stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX
    if status.st_mode & 0o022 and not sticky:
        mode = stat.S_IMODE(status.st_mode)
        raise ValueError(f"{path} can be changed by others (its mode is {mode:o}): chmod go-w {path}")
