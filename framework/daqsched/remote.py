"""A daemon that is asked over the network: what is needed for that, and why it is not reached."""

from __future__ import annotations

import os
import ssl
import stat
from pathlib import Path
from urllib.parse import urlsplit

from daqsched import exchange, protocol, saved_logins
from daqsched.errors import DaqschedError, Unreachable, UserError
from daqsched.settings import Server

#: The longest file of a token that is read.
MOST = 8192


def client(server: Server, timeout_s: float) -> exchange.Exchange:
    """Raises `UserError` where that can't be one. Who has neither token nor password shows what `daqsched login` kept."""
    url = url_of(server)
    headers = {"authorization": f"Bearer {token_of(server.token)}"} if server.token is not None else {}
    if not headers and server.password is None and server.kept:
        headers = _kept(url, server.user)
    return exchange.over_tls(url, protocol.API, timeout_s, _context(server), headers)


def _kept(url: str, user: str) -> dict[str, str]:
    login = saved_logins.kept(url)
    if user and (login is None or login.name != user):
        raise UserError(
            f"{user} is not logged in at {url} here: --password-file FILE, or once: daqsched --server {url} login {user}"
        )
    if login is None:
        return {}
    if login.kind == saved_logins.TOKEN:
        return {"authorization": f"Bearer {login.secret}"}
    return {"cookie": shown(login.secret)}


def shown(session: str) -> str:
    """The cookie by which a session is shown."""
    return f"{protocol.SESSION_COOKIE}={session}"


def session_of(answer: exchange.HttpAnswer) -> str:
    """The session that an answer begins; empty: none."""
    for cookie in answer.cookies:
        name, _, value = cookie.partition(";")[0].strip().partition("=")
        if name == protocol.SESSION_COOKIE:
            return value
    return ""


def url_of(server: Server) -> str:
    """Its address as it is compared with others; raises `UserError`."""
    text = server.url
    try:
        parts = urlsplit(text)
        right = parts.scheme == "https" and bool(parts.hostname) and not parts.username and parts.port != 0
    except ValueError:
        right = False
    if not right or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise UserError(f"--server is https://HOST or https://HOST:PORT, not {text!r}: a token goes over TLS alone")
    return f"https://{parts.netloc.lower()}"


def token_of(path: Path) -> str:
    """The token in a file that nobody else can read."""
    text = secret_of(path, "token")
    if " " in text:
        raise UserError(f"the first line of {path} is not a token: `daqsched token create NAME` prints one")
    return text


def password_of(path: Path) -> str:
    """The password in a file that nobody else can read."""
    return secret_of(path, "password", "utf-8")


def secret_of(path: Path, what: str = "secret", encoding: str = "ascii") -> str:
    """The first line of such a file."""
    try:
        with open(path, encoding=encoding) as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(MOST).partition("\n")[0]
            text = text.strip() if what != "password" else text.rstrip("\r")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"the {what} in {path} can't be read: {getattr(error, 'strerror', None) or error}") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise UserError(f"{path} holds a {what} and can be read by others: chmod 600 {path}")
    if not text or not text.isprintable():
        raise UserError(f"the first line of {path} is empty or not a text, and should be the {what}")
    return text


def _context(server: Server) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=server.ca)
    except (OSError, ssl.SSLError) as error:
        raise UserError(f"--server-ca {server.ca} is not a certificate in PEM that can be read: {error}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def not_reached(name: str, error: OSError) -> DaqschedError:
    """Why nobody answers at a URL."""
    words = str(error)
    if "CERTIFICATE_VERIFY_FAILED" in words or "certificate" in words:
        why = words.partition("certificate verify failed: ")[2].partition(" (_ssl")[0] or words
        return Unreachable(
            f"{name} shows a certificate that is not believed ({why}): --server-ca or DAQSCHED_SERVER_CA names the authority"
        )
    if "SSL" in words:
        return Unreachable(
            f"{name} speaks no TLS that is understood ({words}): is that the port of `daqsched serve --web`?"
        )
    return Unreachable(f"no daemon answers at {name} ({words}): is `daqsched serve --web` running there?")
