"""The certificate of the web port: read again when its files change, and kept as it was where they can't be used.

Whoever renews one (certbot, the site's own, `daqsched cert`) has nothing to tell the daemon.
"""

from __future__ import annotations

import logging
import os
import ssl
import stat
import threading
import time
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple, Optional

from cryptography import x509
from cryptography.x509.oid import ExtensionOID

from daqsched import times
from daqsched.errors import UserError

logger = logging.getLogger(__name__)

#: How often the files are looked at.
LOOK_S = 2.0

#: So long before it ends the log says so, once a day.
SOON_S, AGAIN_S = 14 * 86400.0, 86400.0


class _Read(NamedTuple):
    context: ssl.SSLContext
    names: frozenset[str]
    until: float


def read_pair(certificate: Path, key: Path) -> _Read:
    """Raises `UserError` with what is wrong."""
    try:
        found = key.stat()
        text = certificate.read_bytes()
    except OSError as error:
        raise UserError(f"{error.filename} can't be read: {error.strerror}") from error
    if found.st_mode & stat.S_IRWXO or found.st_mode & stat.S_IWGRP:
        raise UserError(f"{key} holds a private key and can be read or changed by others: chmod o= {key}")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    try:
        first = x509.load_pem_x509_certificate(text)
        context.load_cert_chain(certificate, key, password=_no_password)
    except (ssl.SSLError, ValueError, OSError) as error:
        raise UserError(f"{certificate} and {key} are not a certificate and its key, in PEM: {error}") from error
    return _Read(context, names_of(first), _until(first))


def names_of(certificate: x509.Certificate) -> frozenset[str]:
    """Those that it is for: names, ``*.`` among them, and addresses."""
    try:
        found = certificate.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
    except x509.ExtensionNotFound:
        return frozenset()
    assert isinstance(found, x509.SubjectAlternativeName)
    addresses = [str(one) for one in found.get_values_for_type(x509.IPAddress)]
    return frozenset([*(one.lower().rstrip(".") for one in found.get_values_for_type(x509.DNSName)), *addresses])


def _until(certificate: x509.Certificate) -> float:
    return certificate.not_valid_after_utc.timestamp()


def _no_password() -> str:
    raise ValueError("the key has a password")


class WebCertificate:
    """See the module. Any thread may look at what is in force."""

    def __init__(self, certificate: Path, key: Path, names: Collection[str] = (), look_s: float = LOOK_S) -> None:
        """Raises `UserError`: nobody listens with a wrong one. ``names``: those that it goes by besides the certificate's."""
        self._certificate, self._key, self._more, self._look_s = certificate, key, frozenset(names), look_s
        self._seen = self._stamp()
        self._read = read_pair(certificate, key)
        #: Why the files are not in force as they are now; empty: they are.
        self.trouble = ""
        self._told = 0.0
        self._ended = threading.Event()
        threading.Thread(target=self._watch, name="certificate", daemon=True).start()

    @property
    def context(self) -> ssl.SSLContext:
        """For the next connection."""
        return self._read.context

    @property
    def names(self) -> frozenset[str]:
        """What the port may be called."""
        return self._read.names | self._more

    def close(self) -> None:
        """Look no more."""
        self._ended.set()

    def _watch(self) -> None:
        while True:
            self._remind(time.time())
            if self._ended.wait(self._look_s):
                return
            self.look()

    def look(self) -> None:
        """Read the files where they are others."""
        seen = self._stamp()
        if seen == self._seen:
            return
        try:
            self._read = read_pair(self._certificate, self._key)
        except UserError as error:
            # one of the two may be older than the other for a moment
            if self.trouble != str(error):
                self.trouble = str(error)
                logger.error("the earlier certificate stays in use: %s", error)
            self._seen = seen
            return
        self.trouble, self._seen, self._told = "", seen, 0.0
        logger.info("the certificate in %s is in use, until %s", self._certificate, times.utc_day(self._read.until))

    def _remind(self, now: float) -> None:
        if self._read.until - now < SOON_S and now - self._told > AGAIN_S:
            self._told = now
            word = "ended" if self._read.until < now else "ends"
            logger.warning("the certificate in %s %s on %s", self._certificate, word, times.utc_day(self._read.until))

    def _stamp(self) -> tuple[Optional[tuple[int, ...]], ...]:
        return tuple(_stamp_of(path) for path in (self._certificate, self._key))


def _stamp_of(path: Path) -> Optional[tuple[int, ...]]:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
