"""Logging in by an identity provider: whom it names is known by that, and nothing that is wrong in its answers is believed."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import cache
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Callable, Optional
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import msgspec
import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from daqsched.cli import main
from daqsched.errors import UserError
from daqsched.rights import login_pace
from daqsched.rights.identity_provider import Begun, ProviderSettings, begun_of, named_by, read, sign
from daqsched.serve import provider as asking
from daqsched.serve.web_rules import BEGUN_COOKIE, COOKIE
from identity_provider import CLIENT, SECRET, Claims, IdentityProvider
from standby_pair import Pair
from webport import cheap_passwords, files

RULES = """
version: 1
people: {alice: ["oidc:alice", "password:alice"]}
rules:
  - {to: alice, role: expert}
  - {to: "oidc-group:shift", role: shifter}
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    cheap_passwords(monkeypatch)


@pytest.fixture(scope="module")
def idp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IdentityProvider]:
    folder = tmp_path_factory.mktemp("idp")
    made = IdentityProvider(folder, *files(folder))
    yield made
    made.close()


@pytest.fixture
def lab(idp: IdentityProvider) -> Iterator[IdentityProvider]:
    """As it is when nobody turns a knob."""
    kept = dict(vars(idp))
    idp.instead, idp.asked = {}, []
    yield idp
    vars(idp).update(kept)


@pytest.fixture
def pair(tmp_path: Path, lab: IdentityProvider) -> Iterator[Pair]:
    made = Pair(tmp_path, RULES, passwords=True, provider=lab.provider())
    yield made
    made.close()


def browser(pair: Pair, at: str = "leader", **headers: str) -> httpx.Client:
    """One that keeps cookies, at one of the two doors."""
    return pair.web.through(
        pair.web.url if at == "leader" else pair.url, None, **{"content-type": "application/json", **headers}
    )


def begin(http: httpx.Client, back: str = "/plain?x=1#y") -> str:
    found = http.post("/v1/oidc", json={"back": back})
    assert found.status_code == 200, found.text
    address: str = found.json()["address"]
    return address


def log_in(http: httpx.Client, lab: IdentityProvider, **fields: str) -> httpx.Response:
    """The whole way; the answer at its end."""
    return http.post("/v1/oidc-login", json={**lab.log_in(begin(http)), **fields})


@pytest.mark.parametrize("at", ["leader", "standby"])
def test_whom_the_provider_names_is_known_by_that_and_by_the_groups(pair: Pair, lab: IdentityProvider, at: str) -> None:
    """Through a daemon that does not lead, too; the cookie is as that of a password, and logging out ends it."""
    http = browser(pair, at)
    assert http.get("/v1/login").json() == {"passwords": True, "provider": "The Lab"}
    address = begin(http)
    host = str(http.base_url).partition("://")[2].rstrip("/")
    assert parse_qs(urlsplit(address).query)["redirect_uri"] == [f"https://{host}/login"]
    found = http.post("/v1/oidc-login", json=lab.log_in(address))
    assert found.status_code == 200 and found.json()["name"] == "alice" and found.json()["back"] == "/plain?x=1#y", (
        found.text
    )
    session, begun = found.headers.get_list("set-cookie")
    assert session.startswith(f"{COOKIE}=") and session.endswith(
        "; Path=/; Max-Age=43200; Secure; HttpOnly; SameSite=Strict"
    )
    assert begun == f"{BEGUN_COOKIE}=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Strict"
    called = http.get("/v1/rights").json()["called"]
    assert called == ["alice", "known", "oidc-group:cal", "oidc-group:shift", "oidc:alice"]
    noted = [json.loads(line) for line in pair.web.noted().splitlines()]
    (done,) = [line for line in noted if line["operation"] == "oidc-login"]
    assert (done["result"], done["name"], done["groups"]) == ("done", "alice", ["cal", "shift"])
    assert http.post("/v1/logout", json={}).status_code == 200
    value = session.partition("=")[2].partition(";")[0]
    assert browser(pair, at, cookie=f"{COOKIE}={value}").get("/v1/rights").status_code == 401
    assert "alice has logged out" in pair.web.noted()


def test_a_log_in_that_one_daemon_began_another_one_ends(pair: Pair, lab: IdentityProvider) -> None:
    """A takeover, or a name that stands for several, is no matter: what is signed counts at each."""
    http, other = browser(pair, "leader"), browser(pair, "standby")
    came = lab.log_in(begin(http))
    cookie = f"{BEGUN_COOKIE}={http.cookies[BEGUN_COOKIE]}"
    assert other.post("/v1/oidc-login", json=came, headers={"cookie": cookie}).status_code == 200


@pytest.mark.parametrize(
    "which, algorithm", [("rsa", one) for one in "RS256 RS384 RS512 PS256 PS512".split()] + [("ec", "ES256")]
)
def test_signatures_of_each_kind_count(pair: Pair, lab: IdentityProvider, which: str, algorithm: str) -> None:
    """RSA and elliptic curves."""
    lab.sign = lambda claims: lab.signed(claims, which, algorithm)
    assert log_in(browser(pair), lab).status_code == 200


def _unsigned(claims: Claims) -> str:
    parts = (json.dumps(one).encode() for one in ({"alg": "none", "kid": "rsa"}, claims))
    return ".".join(base64.urlsafe_b64encode(one).rstrip(b"=").decode() for one in parts) + "."


def _by_public_key(lab: IdentityProvider, claims: Claims) -> str:
    """HS256 with what everybody knows: as PyJWT would refuse to make it, it is made by hand."""
    pem = lab.rsa.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    text = _unsigned(claims).rstrip(".").split(".")
    text[0] = base64.urlsafe_b64encode(b'{"alg": "HS256", "kid": "rsa"}').rstrip(b"=").decode()
    made = hmac.new(pem, ".".join(text).encode(), hashlib.sha256).digest()
    return ".".join([*text, base64.urlsafe_b64encode(made).rstrip(b"=").decode()])


def _changed(lab: IdentityProvider, claims: Claims) -> str:
    head, body, signature = lab.signed(claims).split(".")
    forged = json.dumps({**claims, "preferred_username": "root"}).encode()
    return ".".join([head, base64.urlsafe_b64encode(forged).rstrip(b"=").decode(), signature])


@cache
def _stranger() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


#: What is wrong with a token -> how it is made, and what is said.
WRONG: dict[str, tuple[Callable[[IdentityProvider, Claims], str], str]] = {
    "aud": (lambda lab, claims: lab.signed({**claims, "aud": "somebody else"}), "for somebody else than this client"),
    "aud, azp": (
        lambda lab, claims: lab.signed({**claims, "aud": [CLIENT, "x"], "azp": "x"}),
        "for somebody else than this client",
    ),
    "two of aud, no azp": (
        lambda lab, claims: lab.signed({**claims, "aud": [CLIENT, "x"]}),
        "for somebody else than this client",
    ),
    "no aud": (
        lambda lab, claims: lab.signed({name: claims[name] for name in claims if name != "aud"}),
        "lacks one of",
    ),
    "iss": (lambda lab, claims: lab.signed({**claims, "iss": "https://evil.example"}), "names another issuer"),
    "iss, a part": (lambda lab, claims: lab.signed({**claims, "iss": claims["iss"][:-1]}), "names another issuer"),
    "nonce": (lambda lab, claims: lab.signed({**claims, "nonce": "x"}), "of another log-in"),
    "no nonce": (lambda lab, claims: lab.signed({n: claims[n] for n in claims if n != "nonce"}), "of another log-in"),
    "nonce, no text": (lambda lab, claims: lab.signed({**claims, "nonce": [claims["nonce"]]}), "of another log-in"),
    "expired": (lambda lab, claims: lab.signed({**claims, "exp": int(time.time()) - 120}), "it has expired"),
    "no exp": (
        lambda lab, claims: lab.signed({name: claims[name] for name in claims if name != "exp"}),
        "lacks one of",
    ),
    "exp, no number": (lambda lab, claims: lab.signed({**claims, "exp": "soon"}), "not understood"),
    "in the future": (lambda lab, claims: lab.signed({**claims, "iat": time.time() + 999}), "counts in the future"),
    "none": (lambda lab, claims: _unsigned(claims), "algorithm that is not taken"),
    "HS256 with the public key": (_by_public_key, "algorithm that is not taken"),
    "HS256 with the client's secret": (
        lambda lab, claims: jwt.encode(claims, "what nobody else has: % and +" * 2, "HS256", headers={"kid": "rsa"}),
        "algorithm that is not taken",
    ),
    "unknown kid": (lambda lab, claims: lab.signed(claims, kid="other"), "not among its keys"),
    "the kid of another kind": (lambda lab, claims: lab.signed(claims, kid="ec"), "not among its keys"),
    "another's key": (
        lambda lab, claims: jwt.encode(claims, _stranger(), "RS256", headers={"kid": "rsa"}),
        "its signature is wrong",
    ),
    "a key of its own": (
        lambda lab, claims: jwt.encode(
            claims,
            _stranger(),
            "RS256",
            headers={"jwk": json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(_stranger().public_key()))},
        ),
        "signature is wrong",
    ),
    "changed": (_changed, "its signature is wrong"),
    "crit": (lambda lab, claims: lab.signed(claims, crit=["b64"], b64=True), "not"),
    "no token": (lambda lab, claims: "x.y", "not understood"),
    "empty": (lambda lab, claims: "", "not understood"),
    "long": (lambda lab, claims: lab.signed({**claims, "x": "y" * 70_000}), "more than 64 KiB"),
    "nobody": (lambda lab, claims: lab.signed({**claims, "preferred_username": None}), "names nobody"),
    "no name": (lambda lab, claims: lab.signed({**claims, "preferred_username": "a\nb"}), "names nobody"),
    "a name with a right-to-left": (
        lambda lab, claims: lab.signed({**claims, "preferred_username": "a\u202eb"}),
        "names nobody",
    ),
    "groups, a mapping": (lambda lab, claims: lab.signed({**claims, "groups": {"a": 1}}), "can't be names"),
    "groups, too many": (
        lambda lab, claims: lab.signed({**claims, "groups": [f"g{at}" for at in range(2001)]}),
        "2,001 groups",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_no_wrong_token_logs_anybody_in(pair: Pair, lab: IdentityProvider, what: str) -> None:
    """Refused in one sentence, which the audit file has, too; and no cookie."""
    make, sentence = WRONG[what]
    lab.sign = lambda claims: make(lab, claims)
    http = browser(pair)
    found = log_in(http, lab)
    assert found.status_code in (400, 403) and sentence in found.json()["error"], found.text
    assert "set-cookie" not in found.headers and http.get("/v1/rights").status_code == 401
    (line,) = [json.loads(one) for one in pair.web.noted().splitlines() if '"oidc-login"' in one]
    assert line["result"] == "refused" and sentence in line["why"] and "code" not in line and "state" not in line


def _two(lab: IdentityProvider) -> None:
    lab.keys = [lab.public("rsa", kid=None), lab.public("rsa", kid=None)]


#: What is wrong with its keys.
KEYS: dict[str, tuple[Callable[[IdentityProvider], Any], str]] = {
    "none": (lambda lab: setattr(lab, "keys", []), "not among its keys"),
    "for encryption": (lambda lab: setattr(lab, "keys", [lab.public("rsa", use="enc")]), "not among its keys"),
    "for another algorithm": (lambda lab: setattr(lab, "keys", [lab.public("rsa", alg="RS512")]), "not among its keys"),
    "a secret": (
        lambda lab: setattr(lab, "keys", [{"kty": "oct", "k": "c2VjcmV0", "kid": "rsa"}]),
        "not among its keys",
    ),
    "a huge number": (lambda lab: setattr(lab, "keys", [lab.public("rsa", n="x" * 9000)]), "longer numbers"),
    "no number": (lambda lab: setattr(lab, "keys", [lab.public("rsa", n=7)]), "longer numbers"),
    "half of one": (lambda lab: setattr(lab, "keys", [{"kty": "RSA", "kid": "rsa", "n": "AQAB"}]), "not understood"),
    "more than are looked at": (
        lambda lab: setattr(lab, "keys", [*({"kty": "RSA", "kid": "x"} for _ in range(100)), lab.public("rsa")]),
        "not among its keys",
    ),
}


@pytest.mark.parametrize("what", KEYS)
def test_no_wrong_key_counts(pair: Pair, lab: IdentityProvider, what: str) -> None:
    """Not for what it is meant, not of its kind, or not a key."""
    make, sentence = KEYS[what]
    make(lab)
    found = log_in(browser(pair), lab)
    assert found.status_code == 403 and sentence in found.json()["error"], found.text


def test_a_small_key_does_not_count(pair: Pair, lab: IdentityProvider) -> None:
    """1,024 bits are within reach of others."""
    lab.rsa = rsa.generate_private_key(65537, 1024)
    lab.keys = [lab.public("rsa")]
    with pytest.warns(jwt.warnings.InsecureKeyLengthWarning):  # of our own stand-in's signing
        found = log_in(browser(pair), lab)
    assert found.status_code == 403 and "less than 2,048 bits" in found.json()["error"]


def test_a_new_key_is_asked_for_and_not_again_and_again(
    pair: Pair, lab: IdentityProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Providers change their keys; whoever makes tokens up has it asked for them once in half a minute."""
    http = browser(pair)
    assert log_in(http, lab).status_code == 200
    lab.ec, lab.keys = lab.ec, [lab.public("ec", kid="new")]
    lab.sign = lambda claims: lab.signed(claims, "ec", kid="new")
    assert log_in(http, lab).status_code == 403 and lab.asked.count("/keys") == 1
    monkeypatch.setattr(asking, "KEYS_AGAIN_S", 0.0)
    assert log_in(http, lab).status_code == 200 and lab.asked.count("/keys") == 2


def test_a_log_in_is_of_one_browser_and_good_for_once(
    pair: Pair, lab: IdentityProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """State and code of somebody else, in a browser that has begun nothing, or something else; and the same once more."""
    monkeypatch.setattr(login_pace, "FREE_ACCOUNT", 99)
    monkeypatch.setattr(login_pace, "FREE_ADDRESS", 99)
    mine, other = browser(pair), browser(pair)
    came = lab.log_in(begin(other))
    for http in (browser(pair), mine):
        found = http.post("/v1/oidc-login", json=came)
        assert found.status_code == 403 and "not begun in this browser" in found.json()["error"]
        begin(mine)
    value = other.cookies[BEGUN_COOKIE]
    for forged in (
        value[:-1] + ("A" if value[-1] != "A" else "B"),
        "x",
        "",
        sign(b"x" * 32, Begun(came["state"], 9e9, "", "")),
    ):
        found = mine.post("/v1/oidc-login", json=came, headers={"cookie": f"{BEGUN_COOKIE}={forged}"})
        assert found.status_code == 403, forged
    assert lab.asked.count("/token") == 0, "a code of somebody else is shown to nobody"
    held = {"cookie": f"{BEGUN_COOKIE}={value}"}
    assert other.post("/v1/oidc-login", json=came).status_code == 200
    again = mine.post("/v1/oidc-login", json=came, headers=held)
    assert again.status_code == 403 and lab.asked.count("/token") == 1
    # with a code that was used before, the provider says no
    address = begin(mine)
    found = mine.post("/v1/oidc-login", json={**lab.log_in(address), "code": came["code"]})
    assert found.status_code == 403 and "used before" in found.json()["error"]


def test_a_code_is_worth_nothing_without_the_verifier(pair: Pair, lab: IdentityProvider) -> None:
    """Whoever catches a code brings it into a log-in of his own: the provider finds another challenge."""
    mine, victim = browser(pair), browser(pair)
    caught = lab.log_in(begin(victim))["code"]
    found = mine.post("/v1/oidc-login", json={**lab.log_in(begin(mine)), "code": caught})
    assert found.status_code == 403 and "set-cookie" not in found.headers


def test_a_log_in_that_took_too_long_is_over(pair: Pair, lab: IdentityProvider) -> None:
    """Ten minutes."""
    http = browser(pair)
    came = lab.log_in(begin(http))
    pair.web.authentication.now = lambda: time.time() + 601
    assert http.post("/v1/oidc-login", json=came).status_code == 403


def test_what_the_provider_says_no_to_is_told(pair: Pair, lab: IdentityProvider) -> None:
    """Its word, as a word; and an answer of another one is none (RFC 9207)."""
    http = browser(pair)
    found = log_in(http, lab, error="access_denied", code="")
    assert found.status_code == 403 and "The Lab says no ('access_denied')" in found.json()["error"]
    found = log_in(http, lab, iss="https://evil.example")
    assert found.status_code == 403 and "evil.example" in found.json()["error"]
    assert lab.asked.count("/token") == 0


@pytest.mark.parametrize(
    "back", ["//evil.example", "https://evil.example", "/\\evil.example", "x", "/a\nb", "/" + "a" * 3000]
)
def test_nobody_is_led_out_of_the_daemon_s_own_address(pair: Pair, lab: IdentityProvider, back: str) -> None:
    """The place that is gone back to is one of ours, or the first page."""
    http = browser(pair)
    found = http.post("/v1/oidc-login", json=lab.log_in(begin(http, back)))
    assert found.status_code == 200 and found.json()["back"] == "/"


def _hangs(lab: IdentityProvider) -> Callable[[BaseHTTPRequestHandler], Optional[tuple[int, bytes]]]:
    def wait(handler: BaseHTTPRequestHandler) -> Optional[tuple[int, bytes]]:
        lab.over.wait(30)
        return None

    return wait


def _drips(handler: BaseHTTPRequestHandler) -> None:
    """A byte now and then, without end."""
    handler.send_response(200)
    handler.end_headers()
    for _ in range(300):
        handler.wfile.write(b" ")
        time.sleep(0.1)


def _leads_away(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(302)
    handler.send_header("location", "https://127.0.0.1:1/")
    handler.end_headers()


#: What else it may answer, at each of its places.
TROUBLE: dict[str, Callable[[IdentityProvider], Callable[[BaseHTTPRequestHandler], Optional[tuple[int, bytes]]]]] = {
    "hangs": _hangs,
    "drips": lambda lab: _drips,
    "10 MB": lambda lab: lambda handler: (200, b'{"id_token": "' + b"x" * 10_000_000 + b'"}'),
    "status 500": lambda lab: lambda handler: (500, b"{}"),
    "no JSON": lambda lab: lambda handler: (200, b"<html>"),
    "other JSON": lambda lab: lambda handler: (200, b'{"keys": 1, "issuer": [], "id_token": {}}'),
    "deep JSON": lambda lab: lambda handler: (200, b"[" * 100_000),
    "leads away": lambda lab: _leads_away,
}


@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/keys", "/token"])
@pytest.mark.parametrize("what", TROUBLE)
def test_a_provider_in_trouble_holds_nobody_up(
    pair: Pair, lab: IdentityProvider, path: str, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One clear sentence in time, in the audit file, too; a password logs in meanwhile."""
    monkeypatch.setattr(asking, "ANSWER_S", 0.5)
    http = browser(pair)
    came = {"state": "x"}
    if path == "/token":
        came = lab.log_in(begin(http))
    lab.instead[path] = TROUBLE[what](lab)
    began = time.monotonic()
    found = http.post("/v1/oidc-login", json=came) if path == "/token" else http.post("/v1/oidc", json={})
    assert time.monotonic() - began < 5.0
    assert found.status_code == 503 and found.json()["code"] == "unavailable", found.text
    assert "nobody can log in by The Lab now" in found.json()["error"] and "password" in found.json()["error"]
    assert "nobody can log in by The Lab now" in pair.web.noted()
    lab.over.set()
    found = http.post("/v1/login", json={"name": "alice", "password": "correct horse"})
    assert found.status_code == 200
    lab.over.clear()


def test_one_that_is_away_is_not_waited_for_by_everybody(
    pair: Pair, lab: IdentityProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who asks right after is told at once; a moment later it is asked again."""
    http = browser(pair)
    lab.instead["/keys"] = lambda handler: (503, b"")
    for _ in range(5):
        assert http.post("/v1/oidc", json={}).status_code == 503
    assert lab.asked.count("/keys") == 1
    del lab.instead["/keys"]
    monkeypatch.setattr(pair.web.authentication.provider, "_away_until", 0.0)
    assert http.post("/v1/oidc", json={}).status_code == 200


@pytest.mark.parametrize(
    "described",
    [
        {"issuer": "https://evil.example"},
        {"token_endpoint": "http://127.0.0.1/token"},
        {"jwks_uri": "file:///etc/passwd"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"authorization_endpoint": "//evil.example"},
    ],
    ids=str,
)
def test_what_it_says_of_itself_is_looked_at(pair: Pair, lab: IdentityProvider, described: dict[str, Any]) -> None:
    """Another name, or an address that is not for TLS."""
    lab.described = described
    assert browser(pair).post("/v1/oidc", json={}).status_code == 503


def test_a_secret_in_the_form_where_the_provider_wants_it_there(pair: Pair, lab: IdentityProvider) -> None:
    """Some take no basic authentication; a wrong secret is said to be one."""
    lab.described = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    http = browser(pair)
    assert log_in(http, lab).status_code == 200
    (lab.folder / "oidc-secret").write_text("another one\n")
    try:
        found = log_in(http, lab)
        assert found.status_code == 403 and "whether client and secret are right" in found.json()["error"]
        assert "another one" not in pair.web.noted()
        # nobody has logged in yet, and is told no file of ours
        (lab.folder / "oidc-secret").chmod(0o644)
        found = log_in(http, lab)
        assert found.status_code == 503 and "see the log of daqsched serve" in found.json()["error"]
        assert str(lab.folder) not in found.text
    finally:
        (lab.folder / "oidc-secret").chmod(0o600)
        (lab.folder / "oidc-secret").write_text(SECRET + "\n")


def test_trying_again_and_again_is_slowed_down_by_address(pair: Pair, lab: IdentityProvider) -> None:
    """Ten that came to nothing, then it has to wait: each could be a question to the provider."""
    http = browser(pair)
    found = [http.post("/v1/oidc-login", json={"state": f"x{at}", "code": "y"}).status_code for at in range(13)]
    assert found[:10] == [403] * 10 and found[-1] == 429


def test_a_session_of_the_provider_s_outlives_and_ends(pair: Pair, lab: IdentityProvider) -> None:
    """Its time; another provider, or none; what the rules take away is away at once."""
    http = browser(pair)
    assert log_in(http, lab).status_code == 200
    authentication = pair.web.authentication
    kept = authentication.provider
    assert kept is not None and http.get("/v1/status").status_code == 200
    authentication.provider = None
    assert http.get("/v1/status").status_code == 401 and "is not asked any more" in pair.web.noted()
    lab.file.write_text(lab.file.read_text().replace(f"client: {CLIENT}", "client: other"))
    authentication.provider = lab.provider()
    assert http.get("/v1/status").status_code == 401
    lab.file.write_text(lab.file.read_text().replace("client: other", f"client: {CLIENT}"))
    authentication.provider = kept
    (pair.web.folder / "rights.yaml").write_text("version: 1\nrules: []\n")
    pair.web.rights.look()
    assert http.get("/v1/status").status_code == 403
    authentication.now = lambda: time.time() + 12 * 3600 + 1
    assert http.get("/v1/status").status_code == 401


def test_of_many_groups_those_count_that_the_rights_name(pair: Pair, lab: IdentityProvider) -> None:
    """More than a cookie holds: the session ends when the rights name others, so that no deny is missed."""
    lab.claims = {**lab.claims, "groups": [f"group-with-a-long-name-{at}" for at in range(400)] + ["shift"]}
    http = browser(pair)
    found = log_in(http, lab)
    assert found.status_code == 200 and len(found.headers.get_list("set-cookie")[0]) < 4096
    assert http.get("/v1/rights").json()["called"] == ["alice", "known", "oidc-group:shift", "oidc:alice"]
    more = '  - {to: "oidc-group:group-with-a-long-name-7", deny: ["stop"]}\n'
    (pair.web.folder / "rights.yaml").write_text(RULES + more)
    pair.web.rights.look()
    assert http.get("/v1/rights").status_code == 401
    assert log_in(http, lab).status_code == 200
    assert "oidc-group:group-with-a-long-name-7" in http.get("/v1/rights").json()["called"]
    named = "".join(f'  - {{to: "oidc-group:group-with-a-long-name-{at}", role: viewer}}\n' for at in range(200))
    (pair.web.folder / "rights.yaml").write_text(RULES + named)
    pair.web.rights.look()
    found = log_in(browser(pair), lab)
    assert found.status_code == 403 and "more than a browser keeps" in found.json()["error"]


@pytest.mark.parametrize("at", ["leader", "standby"])
def test_odd_names_of_groups_keep_nobody_out_and_lose_no_deny(pair: Pair, lab: IdentityProvider, at: str) -> None:
    """They are left out of the session, which says so: a deny of such a name counts, also one that is written afterwards."""
    lab.claims = {**lab.claims, "groups": ["shift", "Größe", 17, "x" * 300, *(f"g{number}" for number in range(27))]}
    http = browser(pair, at)
    assert log_in(http, lab).status_code == 200
    found = http.get("/v1/rights").json()
    assert len(found["called"]) == 31 and not found["verbs"]["stop"], found
    (line,) = [json.loads(one) for one in pair.web.noted().splitlines() if '"oidc-login"' in one]
    assert line["left_out"] == 3
    (pair.web.folder / "rights.yaml").write_text(RULES + '  - {to: "oidc-group:Größe", deny: stop}\n')
    pair.web.rights.look()
    found = http.get("/v1/rights").json()
    assert "a group whose name can't be one here" in found["verbs"]["stop"] and not found["verbs"]["start"], found
    assert http.post("/v1/stop", json={"select": ["readout"]}).status_code == 403
    assert "(oidc, 3 groups left out)" in pair.web.noted()


def test_who_logs_in_by_the_provider_has_commands_by_a_token(
    tmp_path: Path, lab: IdentityProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As docs/operate/rights.md says: by a name of the person's, not by the groups of the provider; a deny for one of them counts.
    And who tries with a password is told so."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home"))
    monkeypatch.setitem(sys.modules, "keyring", None)
    rules = """
version: 1
rules:
  - {to: ["oidc:alice"], role: shifter}
  - {to: "oidc-group:cal", role: expert}
  - {to: "oidc-group:trainees", deny: retry}
"""
    pair = Pair(tmp_path, rules, provider=lab.provider())
    try:

        def command(*words: str) -> tuple[int, str]:
            options = ["--server", pair.web.url, "--server-ca", str(pair.web.ca)]
            done = CliRunner().invoke(main, [*options, *words], input="secret\n")
            return done.exit_code, done.output

        code, said = command("login", "alice")
        assert code == 2 and "commands take a token" in said and "--for oidc:NAME" in said
        token = pair.web.token("alice-cli", "expert", "oidc:alice")
        assert command("--token-file", str(token), "login")[0] == 0
        token.unlink()
        code, said = command("status")
        assert code == 0 and "readout" in said
        code, said = command("rights", "--json")
        answer = json.loads(said)
        assert answer["called"] == ["known", "oidc:alice", "token:alice-cli"] and not answer["verbs"]["stop"], said
        assert "it takes an expert" in answer["verbs"]["apply"], "groups of the provider's are told with a log-in alone"
        assert "nobody here knows whether oidc:alice is in it" in answer["verbs"]["retry"], answer["verbs"]["retry"]
        assert command("stop", "readout", "--yes")[0] == 0
        assert '"via": "127.0.0.1 (token alice-cli)' in pair.web.noted()
    finally:
        pair.close()


def test_nobody_logs_in_so_by_the_socket_or_where_there_is_no_provider(tmp_path: Path, pair: Pair) -> None:
    """That is for who comes over the network; and the page offers what there is."""
    with httpx.Client(
        transport=httpx.HTTPTransport(uds=str(tmp_path / "door"), verify=False), base_url="http://d"
    ) as http:
        for path, body in (("/v1/oidc", {}), ("/v1/oidc-login", {"state": "x"})):
            found = http.post(path, json=body)
            assert found.status_code == 400 and "nobody logs in here by an identity provider" in found.text
        assert http.get("/v1/login").json() == {"passwords": False, "provider": ""}
    pair.web.authentication.provider = None
    assert browser(pair).post("/v1/oidc", json={}).status_code == 400
    assert browser(pair).get("/v1/login").json() == {"passwords": True, "provider": ""}


RIGHT = "issuer: https://login.example/realms/daq\nclient: daqsched\nsecret: /etc/daqsched/secret\n"


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("- x\n", ":1: it is not a mapping"),
        ("client: x\nsecret: y\n", "issuer is missing"),
        (RIGHT + "isuer: x\n", ":4: isuer: there is no such field: did you mean 'issuer'?"),
        (RIGHT.replace("https", "http"), ":1: issuer: it begins with https://"),
        (RIGHT.replace("/realms/daq", "?x=1"), ":1: issuer: it begins with https://"),
        (RIGHT + "scopes: groups\n", ":4: scopes: it is a list of words"),
        (RIGHT + "scopes: [groups]\n", ":4: scopes: openid is one of them"),
        (RIGHT + "groups: [a]\n", ":4: groups: it is a word in quotes"),
        (RIGHT + "name: 7\n", ":4: name: it is a word in quotes"),
        (RIGHT + "client: x\n", ":4: 'client' is there twice"),
        (RIGHT + "x" * 70_000, "at most 65,536 are read"),
    ],
)
def test_a_mistake_in_its_file_has_its_line_and_field(text: str, sentence: str) -> None:
    """As in a file of rights."""
    with pytest.raises(UserError) as caught:
        read(text, "oidc.yaml")
    assert sentence in str(caught.value)
    assert read(RIGHT, "oidc.yaml").called == "login.example"


SETTINGS = read(RIGHT, "oidc.yaml")


@pytest.mark.parametrize(
    "claim, claims, groups",
    [
        ("groups", {"groups": ["b", "a", "a"]}, ("a", "b")),
        ("groups", {"groups": "a"}, ("a",)),
        ("groups", {}, ()),
        ("resource_access.daqsched.roles", {"resource_access": {"daqsched": {"roles": ["a"]}}}, ("a",)),
        ("https://x.example/groups", {"https://x.example/groups": ["a"]}, ("a",)),
        ("a.b", {"a": []}, ()),
    ],
)
def test_groups_are_those_of_the_claim(claim: str, claims: dict[str, Any], groups: tuple[str, ...]) -> None:
    """By its name, or within others."""
    settings: ProviderSettings = msgspec.structs.replace(SETTINGS, groups=claim)
    assert named_by({"preferred_username": "alice", **claims}, settings).groups == groups


def test_an_address_of_mail_is_a_name_where_it_was_verified() -> None:
    """Else anybody could call himself so."""
    settings = msgspec.structs.replace(SETTINGS, user="email")
    assert named_by({"email": "a@lab.example", "email_verified": True}, settings).name == "a@lab.example"
    for verified in (False, "true", None):
        with pytest.raises(UserError, match="does not say that the address"):
            named_by({"email": "a@lab.example", "email_verified": verified}, settings)


def test_what_has_begun_is_read_as_it_was_signed() -> None:
    """By its key, its state, until its time."""
    begun = Begun("s", 100.0, "https://ctl1/login", "/")
    value = sign(b"k" * 32, begun)
    assert begun_of(b"k" * 32, value, "s", 99.0) == begun
    assert begun_of(b"k" * 32, value, "s", 100.0) is None and begun_of(b"k" * 32, value, "t", 0.0) is None
    assert begun_of(b"", sign(b"", begun), "s", 0.0) is None and begun_of(b"l" * 32, value, "s", 0.0) is None
    assert begun_of(b"k" * 32, value, "\udc80\xe9", 0.0) is None


def test_serve_says_what_is_wrong_with_its_file(tmp_path: Path, lab: IdentityProvider) -> None:
    """Before it answers anybody."""
    ca, certificate, key = files(tmp_path)
    (tmp_path / "rights.yaml").write_text(RULES)
    wrong = tmp_path / "oidc.yaml"
    wrong.write_text("client: x\n")
    words = ["serve", "--master", "x:1", "--state", str(tmp_path / "state"), "--web", "127.0.0.1:0"]
    words += ["--rights", str(tmp_path / "rights.yaml"), "--web-certificate", str(certificate), "--web-key", str(key)]
    found = CliRunner().invoke(main, ["--socket", str(tmp_path / "sock"), *words, "--oidc", str(wrong)])
    assert found.exit_code == 2 and "issuer is missing" in found.output
    found = CliRunner().invoke(
        main, ["--socket", str(tmp_path / "sock"), "serve", "--master", "x:1", "--oidc", str(wrong)]
    )
    assert found.exit_code == 2 and "--oidc is for --web ADDRESS:PORT" in found.output


WITHOUT = """
import sys
sys.modules["jwt"] = None
from click.testing import CliRunner
from daqsched.cli import main
import daqsched.serve.api
found = CliRunner().invoke(main, sys.argv[1:])
print(found.exit_code, found.output)
"""


@pytest.mark.once
def test_without_the_extra_serve_says_what_to_install(tmp_path: Path, lab: IdentityProvider) -> None:
    """And who has no identity provider does without the package."""
    _, certificate, key = files(tmp_path)
    (tmp_path / "rights.yaml").write_text(RULES)
    words = ["--socket", str(tmp_path / "sock"), "serve", "--master", "x:1", "--state", str(tmp_path / "state")]
    words += ["--web", "127.0.0.1:0", "--web-certificate", str(certificate), "--web-key", str(key)]
    words += ["--rights", str(tmp_path / "rights.yaml"), "--oidc", str(lab.file)]
    done = subprocess.run([sys.executable, "-c", WITHOUT, *words], capture_output=True, text=True, timeout=60)
    assert (
        done.stdout.startswith("2 ")
        and "wants PyJWT" in done.stdout
        and "the extra `oidc` of our package" in done.stdout
    ), done
