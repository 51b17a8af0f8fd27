"""What the CLI and the daemon must agree on without talking: where the socket and the state are."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Callable, Mapping, NamedTuple, Optional, Union


class Server(NamedTuple):
    """A daemon that is asked over the network."""

    #: ``https://HOST:PORT``.
    url: str
    #: The file whose first line is a token.
    token: Optional[Path] = None
    #: The authority that signed its certificate; None: one that this machine knows.
    ca: Optional[Path] = None
    #: Who logs in for each command, and the file whose first line is the password; with a token neither counts.
    user: str = ""
    password: Optional[Path] = None
    #: Whether what `daqsched login` kept is shown where nothing else is.
    kept: bool = True


#: Where commands ask: a socket of this machine, or over the network.
Where = Union[Path, Server]

#: Where the daemon of framework/systemd/daqsched-serve.service listens.
UNIT_SOCKET = Path("/run/daqsched/daqsched.sock")


def state(environ: Optional[Mapping[str, str]] = None) -> str:
    """DAQSCHED_STATE, a folder or a place with a scheme (`backends`); else `state_dir`."""
    env = os.environ if environ is None else environ
    return env.get("DAQSCHED_STATE") or str(state_dir(env))


def is_folder(state: str) -> bool:
    """Whether a ``--state`` is a folder; else it has a scheme (``scheme://``), and is for `backends` to read."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", state) is None


def state_dir(environ: Optional[Mapping[str, str]] = None) -> Path:
    """DAQSCHED_STATE where it is a folder; else /var/lib/daqsched for root and ``$XDG_STATE_HOME/daqsched`` for others."""
    env = os.environ if environ is None else environ
    if _folder(env):
        return Path(env["DAQSCHED_STATE"])
    if os.geteuid() == 0:
        return Path("/var/lib/daqsched")
    return Path(env.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "daqsched"


def socket_path(environ: Optional[Mapping[str, str]] = None) -> Path:
    """DAQSCHED_SOCKET; else ``daqsched.sock`` in /run for root and in the state folder for others."""
    env = os.environ if environ is None else environ
    if env.get("DAQSCHED_SOCKET"):
        return Path(env["DAQSCHED_SOCKET"])
    if _folder(env) or os.geteuid() != 0:
        return state_dir(env) / "daqsched.sock"
    return Path("/run/daqsched.sock")


def where_to_ask(environ: Optional[Mapping[str, str]] = None, exists: Callable[[Path], bool] = os.path.exists) -> Path:
    """The socket that a command asks where no option names one: `socket_path`; where neither a variable nor a file says that a
    daemon is there, the unit's. So `sudo daqsched backup` finds what a login shell is told of by /etc/profile.d."""
    env = os.environ if environ is None else environ
    place = socket_path(env)
    said = env.get("DAQSCHED_SOCKET") or env.get("DAQSCHED_STATE")
    return UNIT_SOCKET if not said and not exists(place) and exists(UNIT_SOCKET) else place


def where_of(options: Mapping[str, object], environ: Optional[Mapping[str, str]] = None) -> Where:
    """Where a command asks that was given these of the options ``socket``, ``server``, ``token_file``, ``server_ca``, ``user``,
    ``password_file``. Who says ``user`` as an option means that, and no token of a variable."""
    env = os.environ if environ is None else environ
    socket, server, token, ca = (options.get(name) for name in ("socket", "server", "token_file", "server_ca"))
    url = str(server) if server else "" if socket else env.get("DAQSCHED_SERVER", "")
    if not url:
        return socket if isinstance(socket, Path) else where_to_ask(env)
    user, password = options.get("user"), options.get("password_file")
    token = token or (env.get("DAQSCHED_TOKEN_FILE") if not user else None) or None
    ca = ca or env.get("DAQSCHED_SERVER_CA") or None
    user, password = user or env.get("DAQSCHED_USER") or "", password or env.get("DAQSCHED_PASSWORD_FILE") or None
    files = [Path(str(one)) if one else None for one in (token, ca, password)]
    return Server(url, files[0], files[1], str(user), files[2])


def _folder(env: Mapping[str, str]) -> bool:
    return bool(env.get("DAQSCHED_STATE")) and is_folder(env["DAQSCHED_STATE"])
