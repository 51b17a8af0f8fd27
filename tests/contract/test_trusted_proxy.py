"""A trusted proxy says who asks: from its addresses, with its secret, once."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

import pytest
import yaml
from click.testing import CliRunner

from children import child
from daqsched.cli import main
from daqsched.errors import UserError
from daqsched.rights.principal import MOST_GROUPS
from daqsched.serve.trusted_proxy import Proxied, TrustedProxy
from standby_pair import Pair
from waiting import until
from webport import WebServe

SECRET = "s" * 40
RULES = """
version: 1
people: {alice: ["proxy:alice@DAQ.EXAMPLE"]}
rules:
  - {to: alice, role: expert}
  - {to: "proxy-group:shift", role: shifter}
"""


@pytest.fixture
def web(tmp_path: Path) -> Iterator[WebServe]:
    made = WebServe(tmp_path, RULES, proxy=TrustedProxy(["127.0.0.1"], SECRET))
    yield made
    made.close()


def test_whom_the_proxy_names_is_known_by_that(web: WebServe) -> None:
    """And by the groups that it names."""
    said = {"x-daqsched-proxy-secret": SECRET, "x-daqsched-proxy-user": "alice@DAQ.EXAMPLE"}
    found = web.http(None, **said).get("/v1/rights").json()
    assert found["called"] == ["alice", "known", "proxy:alice@DAQ.EXAMPLE"] and not found["verbs"]["apply"]
    said = {**said, "x-daqsched-proxy-user": "bob", "x-daqsched-proxy-groups": "shift, other"}
    found = web.http(None, **said).get("/v1/rights").json()
    assert found["called"] == ["known", "proxy-group:other", "proxy-group:shift", "proxy:bob"]
    web.http(None, **said, **{"content-type": "application/json"}).post("/v1/stop", json={"select": ["x"]})
    assert '"via": "127.0.0.1 (proxy)"' in web.noted()


@pytest.mark.parametrize(
    ("user", "name"),
    [("bob", "bob"), ("root", "proxy:root"), ("token:wall", "proxy:token:wall"), ("unix:x", "proxy:unix:x")],
)
def test_nobody_whom_a_proxy_names_is_taken_for_root_or_a_token(web: WebServe, user: str, name: str) -> None:
    """Not in what people read, either: as with passwords and identity providers (`principal.name_of`)."""
    said = {"x-daqsched-proxy-secret": SECRET, "x-daqsched-proxy-user": user, "x-daqsched-proxy-groups": "shift"}
    http = web.http(None, **said, **{"content-type": "application/json"})
    found = http.get("/v1/rights").json()
    assert found["name"] == name and f"proxy:{user}" in found["called"]
    assert http.post("/v1/note", json={"message": "beam"}).status_code == 200
    (note,) = http.get("/v1/note").json()["notes"]
    assert note["user"] == name


@pytest.mark.parametrize(
    "headers",
    [
        [("x-daqsched-proxy-user", "alice@DAQ.EXAMPLE")],
        [("x-daqsched-proxy-user", "alice@DAQ.EXAMPLE"), ("x-daqsched-proxy-secret", "t" * 40)],
        [
            ("x-daqsched-proxy-user", "alice@DAQ.EXAMPLE"),
            ("x-daqsched-proxy-user", "bob"),
            ("x-daqsched-proxy-secret", SECRET),
        ],
        [
            ("x-daqsched-proxy-user", "alice@DAQ.EXAMPLE"),
            ("x-daqsched-proxy-secret", SECRET),
            ("x-daqsched-proxy-secret", "t"),
        ],
        [("x-daqsched-proxy-user", ""), ("x-daqsched-proxy-secret", SECRET)],
        [("x-daqsched-proxy-secret", SECRET)],
        [("x-daqsched-proxy-user", "a" * 300), ("x-daqsched-proxy-secret", SECRET)],
    ],
)
def test_who_is_not_the_proxy_or_says_it_twice_is_nobody(web: WebServe, headers: list[tuple[str, str]]) -> None:
    """Without the secret, with another, with two names, with none."""
    assert web.http().get("/v1/rights", headers=headers).status_code == 401
    twice = len(headers) > len({name for name, _ in headers})
    assert ("the proxy's headers are there twice" in web.noted()) == twice


def test_from_another_address_the_secret_is_worth_nothing() -> None:
    """Both are needed."""
    proxy = TrustedProxy(["10.0.0.0/24", "fd00::1"], SECRET)
    said = [(b"x-daqsched-proxy-secret", SECRET.encode()), (b"x-daqsched-proxy-user", b"alice")]
    assert proxy.proxied("10.0.0.7", said) == proxy.proxied("::ffff:10.0.0.7", said) == Proxied("alice", ())
    assert proxy.proxied("fd00::1", said) == Proxied("alice", ())
    for address in ("10.0.1.7", "::1", "127.0.0.1", "nonsense"):
        assert proxy.proxied(address, said) is None


@pytest.mark.parametrize("separator", [",", ";", "|"])
def test_groups_stand_behind_one_another_with_what_the_proxy_uses(separator: str) -> None:
    """With another than commas, names of a directory with commas in them are whole; each other one is a part of a name."""
    proxy = TrustedProxy(["127.0.0.1"], SECRET, separator)
    named = ["CN=hv experts" if separator == "," else "CN=hv experts,OU=daq,DC=example", "shift"]
    named += [f"a{other}b" for other in ",;|" if other not in (separator, ",")]

    def groups(text: str) -> Optional[Proxied]:
        said = {"x-daqsched-proxy-secret": SECRET, "x-daqsched-proxy-user": "alice", "x-daqsched-proxy-groups": text}
        return proxy.proxied("127.0.0.1", [(name.encode(), value.encode()) for name, value in said.items()])

    assert groups(f" {separator} ".join(named)) == Proxied("alice", tuple(sorted(named)))
    assert groups(separator * 3) == groups("") == Proxied("alice", ())
    many = [f"g{at:04}" for at in range(MOST_GROUPS)]
    assert groups(separator.join(many)) == Proxied("alice", tuple(many))
    more = groups(separator.join([*many, "one"]))
    assert more is not None and not more.user and "2,001 groups, and at most 2,000" in more.wrong


def test_as_many_groups_as_are_taken_come_through_a_daemon_that_does_not_lead(tmp_path: Path) -> None:
    """With names as long as those of a directory: what a request's header may have, both have room for."""
    pair = Pair(tmp_path, RULES, proxy=TrustedProxy(["127.0.0.1"], SECRET, ";"))
    try:
        groups = [f"CN=group-{at:04},OU=daq,DC=example,DC=org" for at in range(MOST_GROUPS)]
        said = {"x-daqsched-proxy-secret": SECRET, "x-daqsched-proxy-user": "bob"}
        for http in pair.both(None, **said, **{"x-daqsched-proxy-groups": ";".join([*groups, "shift"][1:])}):
            found = http.get("/v1/rights")
            assert found.status_code == 200, found.text
            assert (
                "proxy-group:shift" in found.json()["called"] and f"proxy-group:{groups[-1]}" in found.json()["called"]
            )
    finally:
        pair.close()


def test_a_proxy_without_address_or_secret_is_not_trusted(tmp_path: Path) -> None:
    """`serve` does not begin so."""
    for networks, secret, sentence in (
        ([], SECRET, "from certain addresses only"),
        (["10.0.0.1"], "short", "at least 32 letters"),
        (["10.0.0.1/8"], SECRET, "has host bits set"),
        (["0.0.0.0/0"], SECRET, "nobody's in particular"),
    ):
        with pytest.raises(UserError, match=sentence):
            TrustedProxy(networks, secret)
    serve = [
        "serve",
        "--master",
        "m:5050",
        "--rights",
        "x",
        "--web",
        "127.0.0.1:1",
        "--web-certificate",
        "x",
        "--web-key",
        "x",
    ]
    for words in (["--proxy-from", "10.0.0.1"], ["--proxy-secret", "x"]):
        found = CliRunner().invoke(main, [*serve, *words])
        assert found.exit_code == 2 and "--proxy-from and --proxy-secret" in found.output, found.output
    found = CliRunner().invoke(main, [*serve, "--proxy-separator", ";"])
    assert found.exit_code == 2 and "--proxy-separator is for --proxy-from" in found.output, found.output


def passed_on(said: Any, claims: dict[str, Any], sent: dict[str, str]) -> dict[str, str]:
    """The headers of a request as oauth2-proxy passes them on that is told so: those that it sets replace what callers send, a
    claim that is not there sets none, several values stand in one header with commas."""
    headers = {name.lower(): value for name, value in sent.items()}
    for one in said["injectRequestHeaders"]:
        headers.pop(one["name"].lower(), None)
        found: list[str] = []
        for value in one["values"]:
            claim = claims.get(value.get("claim", ""), [])
            found += [SECRET] if "fromFile" in value else claim if isinstance(claim, list) else [claim]
        if any(found):
            headers[one["name"].lower()] = ",".join(filter(None, found))
    return headers


@pytest.mark.parametrize(
    ("claims", "called"),
    [
        ({"preferred_username": "alice@DAQ.EXAMPLE"}, ["alice", "known", "proxy:alice@DAQ.EXAMPLE"]),
        (
            {"preferred_username": "bob", "groups": ["shift", "other"]},
            ["known", "proxy-group:other", "proxy-group:shift", "proxy:bob"],
        ),
        ({"preferred_username": "bob", "groups": []}, ["known", "proxy:bob"]),
        ({"groups": ["shift"]}, None),
        ({"preferred_username": ""}, None),
        ({"preferred_username": "b" * 201}, None),
        ({"preferred_username": "bob", "groups": ["x" * 201]}, ["known", "proxy:bob"]),
    ],
)
def test_what_oauth2_proxy_is_told_on_the_page_names_people_and_groups(
    web: WebServe, claims: dict[str, Any], called: Optional[list[str]]
) -> None:
    """To the letter; what the caller says in the proxy's place is gone, and who has no name is nobody."""
    page = Path(__file__).resolve().parent.parent.parent / "docs" / "operate" / "rights.md"
    text = page.read_text(encoding="utf-8").partition("```text\ninjectRequestHeaders")[2].partition("```")[0]
    said = yaml.safe_load(f"injectRequestHeaders{text}")
    forged = {"X-Daqsched-Proxy-User": "root", "X-Daqsched-Proxy-Groups": "shift", "X-Daqsched-Proxy-Secret": "x"}
    for sent in ({}, forged):
        found = web.http(None, **passed_on(said, claims, sent)).get("/v1/rights")
        assert (found.json()["called"] if found.status_code == 200 else None) == called, found.text
    visit = {**forged, "accept": "text/html"}
    led = web.http(None, **passed_on(said, claims, visit)).get("/v1/rights")
    assert led.status_code == (200 if called else 303), "a browser that the proxy names needs no log-in page"


def test_odd_names_of_groups_keep_nobody_out_and_lose_no_deny(tmp_path: Path) -> None:
    """At the leader's door and through a standby: the audit file counts what was left out, a deny of an odd name counts."""
    rules = """
version: 1
rules:
  - {to: "proxy-group:shift", role: shifter}
  - {to: "proxy-group:Größe", deny: stop}
"""
    pair = Pair(tmp_path, rules, proxy=TrustedProxy(["127.0.0.1"], SECRET))
    try:
        said = {"x-daqsched-proxy-secret": SECRET, "x-daqsched-proxy-user": "bob", "content-type": "application/json"}
        for http in pair.both(None, **said):
            odd = {b"x-daqsched-proxy-groups": ", ".join(["shift", "Größe", *(f"g{at}" for at in range(28))]).encode()}
            found = http.get("/v1/rights", headers=odd).json()
            assert "proxy-group:shift" in found["called"] and len(found["called"]) == 31, found
            assert not found["verbs"]["start"] and "a group whose name can't be one here" in found["verbs"]["stop"]
            done = http.post("/v1/stop", json={"select": ["readout"]}, headers=odd)
            assert done.status_code == 403 and "have it called by letters of ASCII" in done.json()["error"], done.text
            good = {"x-daqsched-proxy-groups": "shift"}
            assert not http.get("/v1/rights", headers=good).json()["verbs"]["stop"]
        assert pair.web.noted().count("(proxy, 1 group left out)") == 2
    finally:
        pair.close()


@pytest.mark.skipif(not shutil.which("nginx"), reason="no nginx")
def test_the_configuration_of_nginx_on_the_page_works(web: WebServe, tmp_path: Path) -> None:
    """To the letter, but for paths, names and ports; what the caller says in the proxy's place is gone."""
    page = Path(__file__).resolve().parent.parent.parent / "docs" / "operate" / "rights.md"
    text = page.read_text(encoding="utf-8").partition("```text\nserver {")[2].partition("```")[0]
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    secret = tmp_path / "secret.conf"
    secret.write_text(f"proxy_set_header X-Daqsched-Proxy-Secret {SECRET};\n")
    known = tmp_path / "known"
    known.write_text("alice@DAQ.EXAMPLE:{PLAIN}pw\n")
    for old, new in (
        ("443 ssl", f"127.0.0.1:{port} ssl"),
        ("/etc/nginx/daq.example.pem", str(web.certificate)),
        ("/etc/nginx/daq.example.key", str(web.key)),
        ("/etc/nginx/passwords", str(known)),
        ("https://ctl1.daq.example:8443", f"https://localhost:{web.serving.web_address.rpartition(':')[2]}"),
        ("/etc/nginx/daqsched-ca.pem", str(web.ca)),
        ("/etc/nginx/daqsched-secret.conf", str(secret)),
    ):
        assert old in text
        text = text.replace(old, new)
    places = "".join(
        f"{one}_temp_path {tmp_path}/{one};" for one in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    conf = tmp_path / "nginx.conf"
    conf.write_text(
        f"daemon off; pid {tmp_path}/pid; error_log {tmp_path}/log; events {{}}\n"
        f"user root; http {{ access_log off; {places} server {{{text} }}\n"
    )
    with child(["nginx", "-c", str(conf), "-p", str(tmp_path), "-e", str(tmp_path / "log")]) as nginx:
        try:

            def listens() -> bool:
                with socket.socket() as one:
                    return one.connect_ex(("127.0.0.1", port)) == 0

            until(listens, "nginx listens")
            http = web.through(f"https://127.0.0.1:{port}")
            assert http.get("/v1/rights").status_code == 401
            forged = {
                "x-daqsched-proxy-user": "root",
                "x-daqsched-proxy-groups": "shift",
                "x-daqsched-proxy-secret": "x",
            }
            found = http.get("/v1/rights", auth=("alice@DAQ.EXAMPLE", "pw"), headers=forged)
            assert found.status_code == 200, found.text
            assert found.json()["called"] == ["alice", "known", "proxy:alice@DAQ.EXAMPLE"]
            kind = {"content-type": "application/json"}
            own = {**kind, "origin": f"https://127.0.0.1:{port}"}
            for headers, status in ((own, 400), ({**kind, "origin": "https://evil.example"}, 403)):
                asked = http.post("/v1/stop", auth=("alice@DAQ.EXAMPLE", "pw"), headers=headers, content=b"{}")
                assert asked.status_code == status, asked.text
        finally:
            nginx.terminate()
