"""Groups with names that can't be names here are left out, by both doors that others name people at, and no deny is lost."""

from __future__ import annotations

import asyncio
import json
import logging
import typing
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daqsched.errors import UserError
from daqsched.rights.grants import Grants, Target
from daqsched.rights.identity_provider import ProviderSettings, named_by
from daqsched.rights.principal import MOST_GROUPS, Principal, can_be_name
from daqsched.rights.rules import Rights, read
from daqsched.rights.sessions import sign
from daqsched.rights.tokens import Credentials
from daqsched.rights.verbs import VERBS
from daqsched.serve import oidc_api
from daqsched.serve.accounts import Accounts
from daqsched.serve.authentication import Arrival, Authentication
from daqsched.serve.rights_api import somebody
from daqsched.serve.trusted_proxy import GROUPS, SECRET, USER, TrustedProxy
from daqsched.serve.web_rules import PresentedCredentials
from examples import examples

KEY = b"k" * 32
SETTINGS = ProviderSettings(issuer="https://lab.example", client="daqsched", secret="x")
PROXY = TrustedProxy(["127.0.0.1"], "s" * 40)

#: Names of groups: some that can be, some that can't.
GOOD = ("shift", "daq experts", "a,b".partition(",")[0], "g" * 200)
ODD = ("Größe", "группа", "x\ty", "r\u202etl", "g" * 201, "g" * 5000, "zero\u200bwidth")


def by_oidc(groups: typing.Sequence[typing.Any], rights: Rights) -> Arrival:
    """Through the claims of a log-in, the cookie that comes of it, and what comes with the next request."""
    named = named_by({"preferred_username": "bob", "groups": list(groups)}, SETTINGS)
    provider: typing.Any = SimpleNamespace(settings=SETTINGS)
    session = oidc_api.session_of(provider, named, rights, 1000.0)
    door = Authentication(Credentials(session_key=KEY), lambda: 1001.0, provider=provider)
    return asyncio.run(
        door.arrival(PresentedCredentials(session=sign(KEY, session)), rights, typing.cast(Accounts, None))
    )


def by_proxy(groups: typing.Sequence[str], rights: Rights) -> Arrival:
    """Through the bytes of its headers."""
    headers = [(SECRET, b"s" * 40), (USER, b"bob"), (GROUPS, ",".join(groups).encode())]
    said = PROXY.proxied("127.0.0.1", headers)
    assert said is not None and not said.wrong
    shown = PresentedCredentials(user=said.user, groups=said.groups, left_out=said.left_out)
    door = Authentication(Credentials(session_key=KEY), lambda: 1001.0)
    return asyncio.run(door.arrival(shown, rights, typing.cast(Accounts, None)))


DOORS = {"oidc": by_oidc, "proxy": by_proxy}
NONE = read("version: 1\n", "r")


@pytest.mark.parametrize(
    ("door", "odd"), [(door, odd) for door in DOORS for odd in ODD] + [("oidc", odd) for odd in (7, None, {"a": 1}, "")]
)
def test_one_odd_name_among_thirty_keeps_nobody_out(door: str, odd: typing.Any) -> None:
    """It is left out and counted, and the others count."""
    who, by = DOORS[door]([*(f"g{at}" for at in range(29)), odd], NONE)
    assert who.known_as == {f"{door}:bob", *(f"{door}-group:g{at}" for at in range(29))}
    assert who.left_out == {f"{door}-group"} and not who.doubt and by == f"{door}, 1 group left out"
    who, by = DOORS[door](["g1", "g2"], NONE)
    assert not who.left_out and by == door


def test_names_are_still_bounded() -> None:
    """More groups than are taken are refused with their number, whatever they are called."""
    many = [ODD[0]] * (MOST_GROUPS + 1)
    said = PROXY.proxied("127.0.0.1", [(SECRET, b"s" * 40), (USER, b"bob"), (GROUPS, ",".join(many).encode())])
    assert said is not None and "2,001 groups" in said.wrong
    with pytest.raises(UserError, match="2,001 groups"):
        named_by({"preferred_username": "bob", "groups": many}, SETTINGS)
    for name in ("Größe", "", "x" * 201):
        said = PROXY.proxied("127.0.0.1", [(SECRET, b"s" * 40), (USER, name.encode()), (GROUPS, b"a")])
        assert said is None or said.wrong, "who is called so is nobody still"


@st.composite
def rules(draw: st.DrawFn, kind: str) -> str:
    """Rules for groups of one door, by words, by the file's groups and people; of any name."""
    names = st.sampled_from([*GOOD, *(one for one in ODD if one.isprintable())])
    identity = st.one_of(names.map(lambda one: f"{kind}:{one}"), st.sampled_from(["unix-group:x", f"{kind[:-6]}:bob"]))
    people = draw(st.dictionaries(st.sampled_from(["p1", "p2"]), st.lists(identity, max_size=2, unique=True)))
    taken = set(people.get("p1", []))  # an identity is one person's
    people = {
        name: each if name == "p1" else [one for one in each if one not in taken] for name, each in people.items()
    }
    groups = draw(st.dictionaries(st.sampled_from(["c1", "c2"]), st.lists(identity, max_size=2, unique=True)))
    if "c1" in groups and people:
        groups["c1"].append(next(iter(people)))
    to = st.one_of(identity, st.sampled_from(["known", *people, *groups]))
    gives = st.fixed_dictionaries({"to": to, "role": st.sampled_from(["viewer", "shifter", "expert"])})
    denies = st.fixed_dictionaries(
        {"to": to, "deny": st.sampled_from(["stop", "*", "lines"]), "on": st.sampled_from(["*", "hv_*"])}
    )
    return json.dumps(
        {"people": people, "groups": groups, "rules": draw(st.lists(st.one_of(gives, denies), max_size=5))}
    )


@pytest.mark.parametrize("door", DOORS)
@settings(max_examples=examples(150), deadline=None)
@given(data=st.data())
def test_who_is_in_odd_groups_may_no_more_than_if_they_counted(door: str, data: st.DataObject) -> None:
    """Of any rules and any groups: never more than with all his groups, and just what the others give where no rule that denies
    names an odd one of that kind."""
    text = data.draw(rules(f"{door}-group"))
    rights = read(f'{{"version": 1, {text[1:]}', "r.yaml")
    named = data.draw(st.lists(st.sampled_from([*GOOD, *ODD]), max_size=4))
    who, _ = DOORS[door](named, rights)
    whole = Principal("bob", frozenset([f"{door}:bob", *(f"{door}-group:{one}" for one in named)]))
    known = Principal("bob", frozenset(one for one in whole.known_as if can_be_name(one.partition(":")[2])))
    one, ideal, fewer = Grants(rights, who), Grants(rights, whole), Grants(rights, known)
    odd_named = "left out" in text or any(
        json.dumps(f"{door}-group:{odd}")[1:-1] in text for odd in ODD if odd.isprintable()
    )
    for verb in VERBS:
        for target in (Target(), Target("hv_1", "hlt01"), Target("rc", "*"), Target("rc", "hlt01")):
            mine = one.why_not(verb, target)
            assert mine or not ideal.why_not(verb, target), (text, named, verb, target)
            if not odd_named or len(known.known_as) == len(whole.known_as):
                assert bool(mine) == bool(fewer.why_not(verb, target)), (text, named, verb, target)
        assert one.somewhere(verb) or not ideal.somewhere(verb)
        assert not one.everywhere(verb) or ideal.everywhere(verb) or not odd_named


@pytest.mark.parametrize("door", DOORS)
def test_what_is_in_doubt_says_what_to_do(door: str, caplog: pytest.LogCaptureFixture) -> None:
    """In the refusal, and once in the daemon's log, with no name of a group; a deny of other groups is no matter."""
    text = f"""
version: 1
rules:
  - {{to: known, role: expert}}
  - {{to: "{door}-group:Größe", deny: restart, on: "hv_*"}}
  - {{to: "{door}-group:others", deny: "*"}}
"""
    rights = read(text, "r.yaml")
    with caplog.at_level(logging.WARNING):
        who, _ = DOORS[door](["Größe"], rights)
    assert len(caplog.messages) == 1 and "of 'bob' 1" in caplog.messages[0] and "Größe" not in caplog.messages[0]
    mine = Grants(rights, who)
    assert mine.why_not("restart", Target("hv_1", "hlt01")) == (
        "bob may not restart hv_1@hlt01: rule 2 of r.yaml denies it to a group whose name can't be one here, and bob is in one "
        "that was left out for its name: have it called by letters of ASCII"
    )
    assert not mine.why_not("restart", Target("rc", "hlt01")) and not mine.why_not("stop", Target("hv_1", "hlt01"))


@pytest.mark.parametrize("odd", [1234, 12.5, True, None, {"name": "guests"}, ["guests"]])
@pytest.mark.parametrize("named", ["1234", "guests", "true", "another"])
def test_a_group_that_is_no_text_may_be_any_of_those_that_are_denied(odd: typing.Any, named: str) -> None:
    """Which one it means nobody knows: each deny of such groups counts, and none of a proxy's; it gives nothing."""
    text = f"""
version: 1
rules:
  - {{to: known, role: expert}}
  - {{to: "oidc-group:{named}", deny: restart, on: "hv_*"}}
  - {{to: "oidc-group:{named}", role: admin}}
  - {{to: "proxy-group:{named}", deny: "*"}}
"""
    rights = read(text, "r.yaml")
    who, _ = by_oidc(["shift", odd], rights)
    mine = Grants(rights, who)
    assert "bob is in one that is named by no text" in mine.why_not("restart", Target("hv_1", "hlt01"))
    assert not mine.why_not("restart", Target("rc", "hlt01")) and not mine.why_not("stop", Target("hv_1", "hlt01"))
    assert mine.why_not("tokens", Target()), "an admin's alone"


@pytest.mark.parametrize("word", ["oidc:bob", "proxy:bob", "bob"])
def test_a_token_for_somebody_whose_groups_are_told_elsewhere_keeps_their_denies(word: str) -> None:
    """Nobody knows here which of them he is in: a token for him gives nothing that a deny of any takes."""
    kind = "oidc" if word == "bob" else word.partition(":")[0]
    text = f"""
version: 1
people: {{bob: ["oidc:bob", "token:x"]}}
groups: {{crew: ["{kind}-group:trainees"]}}
rules:
  - {{to: ["{kind}:bob"], role: expert}}
  - {{to: crew, deny: restart, on: "hv_*"}}
"""
    rights = read(text, "r.yaml")
    who = asyncio.run(somebody(word, rights, typing.cast(Accounts, None)))
    mine = Grants(rights, who)
    assert "nobody here knows whether" in mine.why_not("restart", Target("hv_1", "hlt01"))
    assert not mine.why_not("restart", Target("rc", "hlt01")) and not mine.why_not("stop", Target("hv_1", "hlt01"))
