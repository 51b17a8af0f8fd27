"""What `daqsched login` keeps of somebody's way in to a daemon over the network: a session or a token.

The secret is in the keyring of whoever logs in, where there is one (the package `keyring`, which is optional); else in a file of
mode 600, which says also what is in the keyring: commands ask that only where it has something for them.
"""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path
from typing import Any, Callable, Optional, TypeVar
from urllib.parse import quote

import msgspec

from daqsched.errors import UserError
from daqsched.whole_file import write_whole

Found = TypeVar("Found")

#: The name of ours in keyrings.
SERVICE = "daqsched"

#: How long a keyring may take: it may ask somebody to unlock it.
PATIENCE_S = 30.0

#: The largest file.
MOST = 16384

SESSION, TOKEN = "session", "token"


class SavedLogin(msgspec.Struct, frozen=True):
    """A way in to one daemon."""

    #: As `--server` says it.
    url: str
    #: Who logged in; of a token empty.
    name: str
    #: `SESSION` or `TOKEN`.
    kind: str
    #: Empty in the file where it is in the keyring.
    secret: str = ""
    #: Until when it counts, in seconds since the epoch; 0: who knows.
    until: float = 0.0


def folder() -> Path:
    """Where the files are: the account's own, also root's."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "daqsched" / "logins"


def keep(login: SavedLogin) -> str:
    """Keep it in the place of what was kept for that daemon; where it is now, as the end of a sentence. Raises `UserError`."""
    before = _read_or_none(login.url)
    why = _in_keyring(lambda keyring: keyring.set_password(SERVICE, login.url, login.secret))
    kept = login if isinstance(why, str) else msgspec.structs.replace(login, secret="")
    path = _path(login.url)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(path, msgspec.json.encode(kept))
    except OSError as error:
        raise UserError(f"{path} can't be written, so nothing is kept: {error.strerror}") from error
    if isinstance(why, str) and before is not None and not before.secret:
        # what was in the keyring is no longer what commands use
        _in_keyring(lambda keyring: _delete(keyring, login.url))
    return f"kept in {path} (mode 600), as {why}" if isinstance(why, str) else "kept in the keyring"


def kept(url: str) -> Optional[SavedLogin]:
    """What is kept for that daemon, with its secret; None: nothing. Raises `UserError` where it can't be had."""
    found = _read(url)
    if found is None or found.secret:
        return found
    secret = _in_keyring(lambda keyring: (keyring.get_password(SERVICE, url),))
    if isinstance(secret, str):
        raise UserError(f"the keyring does not give the login of {found.name or 'the token'}: {secret}. {_again(url)}")
    if not secret[0]:
        raise UserError(f"the keyring has no login for {url} any more. {_again(url)}")
    return msgspec.structs.replace(found, secret=_plain(secret[0], url))


def forget(url: str) -> bool:
    """Keep it no more; whether anything was there. Raises `UserError` where it can't be had away."""
    path = _path(url)
    found = _read_or_none(url)
    if found is not None and not found.secret:
        why = _in_keyring(lambda keyring: _delete(keyring, url))
        if isinstance(why, str):
            raise UserError(
                f"the login for {url} is still in the keyring: {why}. Take the entry {SERVICE!r} of {url} out of it"
            )
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise UserError(f"{path} can't be removed: {error.strerror}") from error
    return True


def _delete(keyring: Any, url: str) -> None:
    """Also where somebody has done so already."""
    if keyring.get_password(SERVICE, url) is not None:
        keyring.delete_password(SERVICE, url)


def _read_or_none(url: str) -> Optional[SavedLogin]:
    """What the file says; None also where it says nothing that is understood."""
    try:
        return _read(url)
    except UserError:
        return None


def _again(url: str) -> str:
    return f"Log in again: daqsched --server {url} login NAME"


def _path(url: str) -> Path:
    return folder() / f"{quote(url.partition('://')[2], safe='')}.json"


def _read(url: str) -> Optional[SavedLogin]:
    path = _path(url)
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            found = os.fstat(file.fileno())
            text = file.read(MOST)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UserError(f"the login in {path} can't be read: {error.strerror}") from error
    if not stat.S_ISREG(found.st_mode) or found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise UserError(f"{path} holds a login and can be read by others: chmod 600 {path}, and log in again")
    if found.st_uid != os.geteuid():
        raise UserError(
            f"{path} is not of the account that runs this command, whose logins are used: remove it, or set HOME"
        )
    try:
        login = msgspec.json.decode(text, type=SavedLogin)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise UserError(f"what is kept in {path} is not understood. {_again(url)}") from error
    if login.url != url or login.kind not in (SESSION, TOKEN):
        raise UserError(f"what is kept in {path} is not for {url}. {_again(url)}")
    return msgspec.structs.replace(login, secret=_plain(login.secret, url)) if login.secret else login


def _plain(secret: str, url: str) -> str:
    """One that can stand in a header, and is one."""
    if not (secret.isascii() and secret.isprintable()) or set(' ;,"\\') & set(secret):
        raise UserError(f"what is kept for {url} can't be used. {_again(url)}")
    return secret


def _in_keyring(act: Callable[[Any], Found]) -> Any:
    """What that gives; or as a text why there is no keyring for it."""
    done: list[Any] = []

    def work() -> None:
        try:
            import keyring

            if keyring.get_keyring().priority < 1:  # none, or one that keeps secrets in clear text
                done.append("there is no keyring here")
            else:
                done.append((act(keyring),))
        except ImportError:
            done.append("the package keyring is not installed")
        except Exception as error:  # each backend has its own
            done.append(f"the keyring says {type(error).__name__}")

    # on a thread that nobody waits for: it may ask somebody who is not there
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(PATIENCE_S)
    if not done:
        return f"the keyring does not answer within {PATIENCE_S:g} s"
    return done[0] if isinstance(done[0], str) else done[0][0]
