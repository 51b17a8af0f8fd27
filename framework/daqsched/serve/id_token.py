"""What an identity provider has signed of who logged in there: an ID token of OpenID Connect, checked against its keys.

PyJWT (the extra `oidc`) checks the signature and the times. Which key and which algorithm may be is said here: never by the token
alone, or whoever knows the provider's public key could sign with it.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from typing import Any

import jwt

#: Each algorithm that is taken, and the kind of key that it takes: signatures by a key that the provider alone has.
ALGORITHMS: Mapping[str, tuple[str, str]] = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), ("RSA", "")),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", "Ed25519"),
}

#: The longest token, the most keys of a provider, and the longest number in one: 8,192 bits in base64.
MOST_TOKEN, MOST_KEYS, MOST_NUMBER = 64 << 10, 100, 1366

#: The least of an RSA key, in bits.
LEAST_BITS = 2048

#: So far clocks may be apart.
LEEWAY_S = 60.0


class WrongToken(Exception):
    """Why a token is not believed, to follow the provider's name."""


class UnknownKey(WrongToken):
    """It names a key that is not among those that are known: the provider may have new ones."""


def claims_of(token: str, keys: Sequence[Mapping[str, Any]], issuer: str, client: str, nonce: str) -> Mapping[str, Any]:
    """What it says, which the issuer has signed for this client and this log-in; raises `WrongToken`. It takes some time for
    numbers: not for the thread that answers everybody."""
    if len(token) > MOST_TOKEN:
        raise WrongToken(f"signs a token of more than {MOST_TOKEN >> 10} KiB")
    try:
        header = jwt.get_unverified_header(token)
        algorithm = header.get("alg")
        if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
            raise WrongToken("signs with an algorithm that is not taken: RS, PS or ES with 256, 384 or 512, or EdDSA")
        if "crit" in header:
            raise WrongToken("wants something understood that is not (crit)")
        claims: dict[str, Any] = jwt.decode(
            token,
            _key(keys, algorithm, header.get("kid")),
            algorithms=[algorithm],
            audience=client,
            issuer=issuer,
            leeway=LEEWAY_S,
            options={"require": ["iss", "sub", "aud", "exp", "iat"]},
        )
    except jwt.PyJWTError as error:
        raise WrongToken(
            f"signs a token that does not count: {_WORDS.get(type(error), 'it is not understood')}"
        ) from error
    except (ValueError, TypeError, RecursionError, AttributeError) as error:
        raise WrongToken("signs a token that is not understood") from error
    return _checked(claims, client, nonce)


_WORDS: Mapping[type[Exception], str] = {
    jwt.InvalidSignatureError: "its signature is wrong",
    jwt.ExpiredSignatureError: "it has expired: do the clocks agree?",
    jwt.ImmatureSignatureError: "it counts in the future alone: do the clocks agree?",
    jwt.InvalidAudienceError: "it is for somebody else than this client",
    jwt.InvalidIssuerError: "it names another issuer",
    jwt.MissingRequiredClaimError: "it lacks one of iss, sub, aud, exp and iat",
}


def _checked(claims: dict[str, Any], client: str, nonce: str) -> Mapping[str, Any]:
    given = claims.get("nonce")
    if not isinstance(given, str) or not hmac.compare_digest(given.encode("utf-8", "replace"), nonce.encode()):
        raise WrongToken("signs a token that is of another log-in (nonce)")
    several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
    if claims.get("azp", None if several else client) != client:
        raise WrongToken("signs a token that is for somebody else than this client (azp)")
    return claims


def _key(keys: Sequence[Mapping[str, Any]], algorithm: str, name: Any) -> jwt.PyJWK:
    """The one that this may be signed with."""
    kind, curve = ALGORITHMS[algorithm]
    fitting = [
        key
        for key in keys[:MOST_KEYS]
        if key.get("kty") == kind
        and (not curve or key.get("crv") == curve)
        and key.get("use", "sig") == "sig"
        and key.get("alg", algorithm) == algorithm
        and (name is None or key.get("kid") == name)
    ]
    if not fitting:
        raise UnknownKey("signs with a key that is not among its keys")
    if len(fitting) > 1:
        raise WrongToken("does not say which of its keys it signs with (kid)")
    # its public half, whatever else is told
    public = {field: fitting[0][field] for field in ("kty", "crv", "n", "e", "x", "y") if field in fitting[0]}
    if not all(isinstance(value, str) and len(value) <= MOST_NUMBER for value in public.values()):
        raise WrongToken("has a key with longer numbers than are taken")
    made = jwt.PyJWK(public, algorithm)
    if kind == "RSA" and made.key.key_size < LEAST_BITS:
        raise WrongToken(f"signs with a key of less than {LEAST_BITS:,} bits")
    return made
