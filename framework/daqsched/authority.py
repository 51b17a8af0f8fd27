"""A farm's own authority, and certificates for the servers of those who have none: keys and certificates, in PEM.

Elliptic curves: with RSA a handshake costs the daemon seven times as much. The authority may sign servers alone, and no further
authority; its key is not needed by any daemon and belongs where few come.
"""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Sequence
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from daqsched.errors import UserError

#: How long an authority counts, and a certificate of its at most.
AUTHORITY_DAYS, MOST_DAYS = 7300, 825

#: Clocks differ: what is made counts from so long ago.
_BEFORE = datetime.timedelta(hours=1)


class KeyPair(NamedTuple):
    """A private key and its certificate, in PEM."""

    key: bytes
    certificate: bytes


def make_authority(name: str, now: datetime.datetime) -> KeyPair:
    """One that signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name(name)
    made = (
        _begun(subject, subject, key.public_key(), now, AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    return _pair(key, made)


def make_certificate(authority: KeyPair, names: Sequence[str], days: int, now: datetime.datetime) -> KeyPair:
    """One for a server that goes by these names or addresses; raises `UserError` where it can't be made."""
    if not names:
        raise UserError("a certificate is for a name or an address: ctl1.daq.example, 10.0.0.1")
    if not 0 < days <= MOST_DAYS:
        raise UserError(f"a certificate counts 1 to {MOST_DAYS} days: browsers take none for longer")
    try:
        signer = serialization.load_pem_private_key(authority.key, None)
        issuer = x509.load_pem_x509_certificate(authority.certificate)
    except (ValueError, TypeError) as error:
        raise UserError(f"the authority's key and certificate can't be read: {error}") from error
    if not isinstance(signer, ec.EllipticCurvePrivateKey) or signer.public_key() != issuer.public_key():
        raise UserError("the authority's key is not that of its certificate")
    if now > issuer.not_valid_after_utc:
        raise UserError(f"the authority ended on {issuer.not_valid_after_utc:%Y-%m-%d}: make a new one")
    key = ec.generate_private_key(ec.SECP256R1())
    days = min(days, (issuer.not_valid_after_utc - now).days)
    made = (
        _begun(_name(names[0]), issuer.subject, key.public_key(), now, days)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_general(one) for one in names]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .sign(signer, hashes.SHA256())
    )
    return _pair(key, made)


def _begun(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime.datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BEFORE)
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])


def _usage(signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass
    try:
        return x509.DNSName(name.lower())
    except ValueError as error:
        raise UserError(f"{name!r} can't be the name of a machine: {error}") from error


def _pair(key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> KeyPair:
    return KeyPair(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
        certificate.public_bytes(serialization.Encoding.PEM),
    )
