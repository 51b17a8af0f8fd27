"""How the daemons of one farm know one another: a key and its certificate in one file, which is the same on each machine.

Both sides of a connection show that certificate and accept no other (mutual TLS 1.3), so whoever lacks the file can neither
ask nor answer, nor hear what is said. Words for whom a standby asks (`peer_token`) are signed with a key that comes of the
same file. It does not depend on who coordinates, whose own connections anybody on the wire may read.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import ssl
import stat
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

from daqsched import times
from daqsched.errors import UserError

#: How such a file is made. An elliptic curve: with RSA a handshake costs the daemon seven times as much.
HOW = (
    "(umask 077; openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 7300 -subj /CN=daqsched-peers "
    "-keyout {path} -out {path}), and copy it to each control machine"
)

_PART = re.compile(r"-----BEGIN ([A-Z ]+)-----\s*(.*?)-----END \1-----", re.DOTALL)


@dataclass(frozen=True)
class Identity:
    """What a daemon shows its peers and what it expects of them."""

    path: Path
    server: ssl.SSLContext = field(repr=False)
    client: ssl.SSLContext = field(repr=False)
    #: The certificate, as bytes (DER).
    certificate: bytes = field(repr=False)
    #: Signs words.
    key: bytes = field(repr=False)
    #: When the certificate ends, where it says so in a form that is known.
    until: float = float("inf")

    def is_of(self, connection: ssl.SSLObject) -> bool:
        """Whether who is at the other end shows our certificate, and not just one that it has signed."""
        return connection.getpeercert(binary_form=True) == self.certificate


def read_identity(path: Path, now: Optional[float] = None) -> Identity:
    """Out of a file that nobody else can read or write; raises `UserError` otherwise, with the way to make one."""
    how = f"make it with {HOW.format(path=path)}"
    try:
        with open(path, encoding="ascii") as file:
            found, text = os.fstat(file.fileno()), file.read(1 << 20)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} can't be read ({getattr(error, 'strerror', None) or error}): {how}") from error
    if found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise UserError(f"{path} holds a private key and can be read by others: chmod 600 {path}")
    parts: dict[str, list[str]] = {}
    for kind, body in _PART.findall(text):
        parts.setdefault("KEY" if kind.endswith("PRIVATE KEY") else kind, []).append("".join(body.split()))
    if len(parts.get("KEY", ())) != 1 or len(parts.get("CERTIFICATE", ())) != 1:
        raise UserError(f"{path} must hold one private key and its certificate (PEM): {how}")
    try:
        secret, certificate = (base64.b64decode(parts[kind][0], validate=True) for kind in ("KEY", "CERTIFICATE"))
        server, client = _context(path, certificate, server=True), _context(path, certificate, server=False)
    except (ssl.SSLError, ValueError) as error:
        raise UserError(
            f"{path} is not a private key without a password and its certificate ({error}): {how}"
        ) from error
    until = min((ssl.cert_time_to_seconds(str(one["notAfter"])) for one in server.get_ca_certs()), default=float("inf"))
    if until < (time.time() if now is None else now):
        raise UserError(f"the certificate in {path} ended {times.utc_day(until)}: {how}")
    key = hashlib.sha256(b"daqsched word for a peer\0" + secret).digest()
    return Identity(path, server, client, certificate, key, until)


def _context(path: Path, certificate: bytes, server: bool) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    # the certificate is the name: it is the same for all, and no other is accepted
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=certificate)
    context.load_cert_chain(path, password=_no_password)
    return context


def _no_password() -> str:
    raise ValueError("it has a password")
