"""Who may do what: the file that says it, what its rules give, and what each event needs."""

from __future__ import annotations

import ast
import json
import typing
from itertools import product
from pathlib import Path
from typing import Optional

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import HAPPENED, World, job, turn
from daqsched.engine import events, permission
from daqsched.engine.permission import NEEDS
from daqsched.engine.verdict import Accepted
from daqsched.errors import DaqschedError, Refused
from daqsched.operations import OPERATIONS
from daqsched.preflight import Question, questions
from daqsched.rights.grants import FARM, Grants, Target
from daqsched.rights.principal import Principal
from daqsched.rights.rules import RightsError, read
from daqsched.rights.tokens import Token
from daqsched.rights.verbs import VERBS, Role
from daqsched.rollout import Strategy
from daqsched.spec import LoggingSpec, Spec
from daqsched_executor.contract import ORDER_KINDS, OperatorCommand, Probe

FILE = """
version: 1
people: {alice: [unix:alice, "proxy:alice@DAQ.EXAMPLE"]}
groups:
  shift: [unix-group:daq-shift]
  trg: [alice]
rules:
  - {to: shift, role: shifter, at_once: 2}
  - {to: trg, role: expert, owner: trigger}
  - {to: known, role: viewer, logs: "readout*"}
  - {to: shift, deny: restart, on: "hv_*"}
  - {to: "token:wall-1", role: viewer}
  - {to: unix:boss, role: admin}
"""
RIGHTS = read(FILE, "rights.yaml")
SHIFTER = Principal("bob", frozenset(["unix:bob", "unix-group:daq-shift"]))
EXPERT = Principal("alice", frozenset(["proxy:alice@DAQ.EXAMPLE"]))
VIEWER = Principal("eve", frozenset(["unix:eve"]))
ADMIN = Principal("boss", frozenset(["unix:boss"]))
READOUT = Target("readout", "hlt01", "trigger")


def grants(who: Principal, text: str = "") -> Grants:
    return Grants(read(text, "rights.yaml") if text else RIGHTS, who)


# ------------------------------------------------------------------------------------------------ the file


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "r.yaml:1: 'version' is missing"),
        ("- a", "r.yaml:1: it is not a mapping: begin with 'version: 1'"),
        ("version: 2", "r.yaml:1: version: it is 2, and this daqsched reads version 1"),
        ("version: yes", "r.yaml:1: version: it is a word and should be a number"),
        ("version: 1\nversion: 1", "r.yaml:2: 'version' is there twice"),
        ("version: 1\npeople: {a: &x [unix:a]}", "r.yaml:2: anchors and aliases (& and *) are not used here"),
        ("version: 1\nrules:\n - {to: b, role: viewer}", "r.yaml:3: rules[1].to: there is no person or group 'b'"),
        (
            "version: 1\nrules:\n - {to: unix:b, role: boss}",
            "r.yaml:3: rules[1].role: 'boss' is not a role: one of viewer",
        ),
        (
            "version: 1\nrules:\n - {to: unix:b}",
            "r.yaml:3: rules[1].role: a rule has either 'role', which gives, or 'deny'",
        ),
        ("version: 1\nrules:\n - {to: unix:b, deny: fly}", "rules[1].deny: 'fly' can't be asked for: one of see"),
        ("version: 1\nrules:\n - {to: [], role: viewer}", "rules[1].to: it is empty: nobody is meant"),
        ("version: 1\nrules:\n - {to: known, role: viewer, on: []}", "rules[1].on: it is empty: nothing is meant"),
        ("version: 1\nrules:\n - {to: known, role: viewer, on: 'a@'}", "rules[1].on: 'a@' names no host after the @"),
        ("version: 1\nrules:\n - {to: known, role: viewer, logs: 'service:'}", "rules[1].logs: '' selects nothing"),
        ("version: 1\nrules:\n - {too: known}", "r.yaml:3: rules[1].too: there is no such field: did you mean 'to'?"),
        ("version: 1\nrules:\n - {too: known}", "r.yaml:3: rules[1]: 'to' is missing"),
        (
            "version: 1\nrules:\n - to: known\n   rol: viewer",
            "r.yaml:4: rules[1].rol: there is no such field: did you mean 'role'?",
        ),
        ("version: 1\nruels: []", "r.yaml:2: ruels: there is no such field: did you mean 'rules'?"),
        ("version: 1\npublic:\n  job: a", "r.yaml:3: public.job: there is no such field: did you mean 'jobs'?"),
        ("version: 1\nsource: x", "r.yaml:2: source: there is no such field: one of groups"),
        (
            "version: 1\nrules:\n - {to: unix:b, role: shiftr}",
            "one of viewer, shifter, expert, admin (did you mean 'shifter'?)",
        ),
        ("version: 1\nrules:\n - {to: unix:b, deny: restrat}", "(did you mean 'restart'?)"),
        (
            "version: 1\ngroups: {shift: [unix:a]}\nrules:\n - {to: shfit, role: viewer}",
            "did you mean 'shift'? Else enter it",
        ),
        ("version: 1\npeople: {a: [bob]}", "people.a[1]: 'bob' has no prefix: write unix:bob"),
        ("version: 1\npeople: {a: [ftp:bob]}", "people.a[1]: 'ftp' is not a prefix of identities: one of unix"),
        ("version: 1\npeople: {a: [unix:x], b: [unix:x]}", "people.b[1]: 'unix:x' is 'a' already"),
        ("version: 1\ngroups: {known: [unix:x]}", "groups.known: 'known' is not a valid name"),
        ("version: 1\npeople: {a: [unix:x]}\ngroups: {a: [unix:y]}", "groups.a: 'a' is one of the people, too"),
        (
            "version: 1\nrules:\n - {to: known, role: viewer, at_once: -1}",
            "rules[1].at_once: it is a number of programs",
        ),
        ("version: 1\nrules:\n - {to: known, deny: stop, logs: a}", "what denies gives nothing"),
        ("version: 1\nx: " + "[" * 5000 + "]" * 5000, "values are in values more than 20 deep"),
        ("version: 1\nx: " + "[" * 30 + "]" * 30, "values are in values more than 20 deep"),
        ('version: 1\npeople: {a: ["unix:\\ud800"]}', "r.yaml:2: 'unix:\\ud800' is half of a character"),
        ('version: 1\n"\\ud800": 1', "r.yaml:2: '\\ud800' is half of a character"),
        ("{", "r.yaml:1: it can't be read as YAML"),
        ("version: 1\x00", "r.yaml: it can't be read as YAML"),
    ],
)
def test_a_mistake_has_its_line_and_field(text: str, sentence: str) -> None:
    """In one sentence each."""
    with pytest.raises(RightsError) as found:
        read(text, "r.yaml")
    assert any(sentence in line for line in found.value.lines), found.value.lines


def test_no_mistake_hides_another() -> None:
    """Of whatever kind each is; in the order of the file, and what follows from one is not one more."""
    text = """version: 2
people:
  alice: unix:alice
  bob: [bob]
groups: {shift: [alice, [x]]}
rules:
  - {to: alice, role: [viewer], on: 'a@', at_once: many}
  - {to: nobody, rol: viewer}
  - {to: shift, role: viewer, deny: stop}
  - just a word
publik: {}
"""
    with pytest.raises(RightsError) as found:
        read(text, "r.yaml")
    assert [line.split(": ")[0:2] for line in found.value.lines] == [
        ["r.yaml:1", "version"],
        ["r.yaml:3", "people.alice"],
        ["r.yaml:4", "people.bob[1]"],
        ["r.yaml:5", "groups.shift[2]"],
        ["r.yaml:7", "rules[1].role"],
        ["r.yaml:7", "rules[1].at_once"],
        ["r.yaml:7", "rules[1].on"],
        ["r.yaml:8", "rules[2].rol"],
        ["r.yaml:8", "rules[2].to"],
        ["r.yaml:9", "rules[3].role"],
        ["r.yaml:10", "rules[4]"],
        ["r.yaml:11", "publik"],
    ]


def test_all_mistakes_are_told_at_once() -> None:
    """And no more than a screen of them."""
    rules = "\n".join(f" - {{to: nobody{at}, role: viewer}}" for at in range(30))
    with pytest.raises(RightsError) as found:
        read(f"version: 1\nrules:\n{rules}", "r.yaml")
    assert len(found.value.lines) == 21 and found.value.lines[-1] == "... and 10 more mistakes"


@given(st.text(alphabet="{}[]:,-&*!|>'\"%@ \nversion1ulestopa", max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    """With sentences; nothing else is raised."""
    try:
        read(f"version: 1\n{text}", "r.yaml")
    except RightsError as error:
        assert all(line.startswith("r.yaml") for line in error.lines)


# ------------------------------------------------------------------------------------------------ what rules give


@pytest.mark.parametrize(
    ("who", "role"), [(VIEWER, Role.viewer), (SHIFTER, Role.shifter), (EXPERT, Role.expert), (ADMIN, Role.admin)]
)
@pytest.mark.parametrize("verb", VERBS)
def test_a_role_gives_its_verbs_and_those_below(who: Principal, role: Role, verb: str) -> None:
    """Role by verb, all of them; lines only where a rule gives them."""
    assert (grants(who).why_not(verb, READOUT) == "") == (role >= VERBS[verb].role)


def test_lines_are_given_by_name() -> None:
    """A viewer sees the state of all, and reads lines of some; an admin those of all."""
    other = Target("monitor", "hlt01")
    assert not grants(VIEWER).why_not("see", other)
    assert "no rule gives its lines (logs:)" in grants(VIEWER).why_not("lines", other)
    assert not grants(ADMIN).why_not("lines", other)


LINES = """
version: 1
rules:
  - {to: unix:a, role: viewer, logs: ["readout*", "service:sshd@hlt*"]}
  - {to: unix:b, role: admin, owner: trigger}
  - {to: unix:b, deny: lines, on: "@hlt02"}
  - {to: unix:c, role: admin}
  - {to: unix:d, role: expert}
"""


@pytest.mark.parametrize(
    ("who", "most", "target", "reads"),
    [
        ("a", None, Target("readout2", "hlt01"), True),
        ("a", None, Target("sshd", "hlt01"), False),
        ("a", None, Target("sshd", "hlt01", service=True), True),
        ("a", None, Target("readout", "hlt01", service=True), False),
        ("a", None, Target("sshd", "ctl1", service=True), False),
        ("b", None, Target("any", "hlt01", "trigger"), True),
        ("b", None, Target("any", "hlt02", "trigger"), False),
        ("b", None, Target("sshd", "hlt01", service=True), False),
        ("c", None, Target("sshd", "hlt01", service=True), True),
        ("c", Role.viewer, Target("any", "hlt01"), False),
        ("d", None, Target("any", "hlt01"), False),
    ],
)
def test_lines_of_services_are_given_by_words_of_their_own(
    who: str, most: Optional[Role], target: Target, reads: bool
) -> None:
    """What is no job may call itself like one; and a token for less does not give what an admin reads."""
    found = grants(Principal(who, frozenset([f"unix:{who}"]), most=most), LINES)
    assert (not found.why_not("lines", target)) is reads
    assert bool(found.somewhere("lines")) is (who == "d" or most is not None)


def test_one_person_is_one_by_whatever_door() -> None:
    """Nobody has more searches at once by coming twice."""
    both = [grants(Principal("x", frozenset([one]))).person for one in ("unix:alice", "proxy:alice@DAQ.EXAMPLE")]
    assert both == [("alice",), ("alice",)] and grants(VIEWER).person == ("unix:eve",)
    # tokens are of whom they are for, and of nobody else where they are for nobody
    for names, person in (
        (["token:a", "unix:dan"], ("unix:dan",)),
        (["token:b", "unix:dan", "unix-group:x"], ("unix:dan",)),
        (["token:a", "unix:alice"], ("alice",)),
        (["token:a"], ("token:a",)),
        (["unix:dan"], ("unix:dan",)),
        (["password:dan"], ("password:dan",)),
        ([], ("x",)),
    ):
        assert grants(Principal("x", frozenset(names))).person == person, names


@pytest.mark.parametrize("verb", VERBS)
def test_what_somebody_may_not_see_he_can_do_nothing_with(verb: str) -> None:
    """Whatever its verbs are: a rule that takes `see` takes each."""
    rules = 'version: 1\nrules: [{to: known, role: admin, logs: ["*"]}, {to: known, deny: see, on: "sc_*"}]'
    has = Grants(read(rules, "r"), Principal("bob", frozenset(["unix:bob"])))
    assert has.why_not(verb, Target("sc_p", "hlt01")) and not has.why_not(verb, Target("readout", "hlt01"))
    assert not has.everywhere(verb) and not has.somewhere(verb)


@pytest.mark.parametrize("field", ["owner", "part"])
@pytest.mark.parametrize("verb", VERBS)
def test_what_nobody_knows_the_owner_of_is_given_by_no_rule_for_one_and_denied_by_each(verb: str, field: str) -> None:
    """A job that is gone, or what was somebody else's before."""
    who, gone = Principal("bob", frozenset(["unix:bob"])), Target("readout", "hlt01", forgotten=True)
    lines = 'logs: ["*"]'

    def why_not(*rules: str) -> str:
        return Grants(read(f"version: 1\nrules: [{', '.join(rules)}]", "r"), who).why_not(verb, gone)

    assert why_not(f"{{to: known, role: admin, {lines}, {field}: x}}")
    assert not why_not(f"{{to: known, role: admin, {lines}}}")
    assert why_not(f"{{to: known, role: admin, {lines}}}", f'{{to: known, deny: "*", {field}: x}}')
    assert why_not(f"{{to: known, role: admin, {lines}}}", f'{{to: known, deny: see, {field}: x, on: "read*"}}')
    assert not why_not(f"{{to: known, role: admin, {lines}}}", f'{{to: known, deny: "*", {field}: x, on: "other"}}')


def test_a_deny_wins_and_is_named() -> None:
    """Whatever else gives; also to who is an expert there."""
    text = FILE.replace("groups:", "groups:\n  both: [unix:bob]").replace(
        "rules:", "rules:\n  - {to: both, role: expert}"
    )
    why = grants(SHIFTER, text).why_not("restart", Target("hv_1", "hlt01"))
    assert why == "bob may not restart hv_1@hlt01: rule 5 of rights.yaml denies it"
    assert not grants(SHIFTER, text).why_not("stop", Target("hv_1", "hlt01"))


def test_equal_names_of_two_doors_are_two_people() -> None:
    """Unless the file says that they are one."""
    assert grants(Principal("alice", frozenset(["token:alice"]))).why_not("apply", READOUT)
    assert not grants(Principal("alice", frozenset(["unix:alice"]))).why_not("apply", READOUT)


def test_a_selection_is_refused_whole_and_by_number() -> None:
    """The first that may not be is named; more at once than a rule lets are too many."""
    one = grants(SHIFTER)
    assert not one.refusal("stop", [READOUT, Target("b", "hlt01")])
    assert "3 at once are more than the 2 that rule 1 of rights.yaml lets bob stop" in one.refusal(
        "stop", [Target(name, "hlt01") for name in "abc"]
    )
    assert not one.refusal("start", [Target(name, "hlt01") for name in "abc"])
    assert "may not restart hv_1@h" in one.refusal("restart", [READOUT, Target("hv_1", "h")])


def test_a_token_gives_no_more_than_its_role() -> None:
    """Also to who owns the farm."""
    capped = msgspec.structs.replace(ADMIN, most=Role.viewer)
    assert not grants(capped).why_not("see", READOUT)
    assert "this token gives viewer at most" in grants(capped).why_not("stop", READOUT)
    owner = Principal("root", frozenset(["unix:root"]), owner=True)
    assert not grants(owner).why_not("backup")
    assert grants(msgspec.structs.replace(owner, most=Role.shifter)).why_not("backup")


@pytest.mark.parametrize("most", list(Role))
@pytest.mark.parametrize("has", [None, *Role], ids=str)
def test_a_refusal_says_whether_another_token_would_help(most: Role, has: Optional[Role]) -> None:
    """Of every verb: what the token gives, what it takes, and what to type; where the rules do not give it, that they do not."""
    rules = f"rules: [{{to: unix:bob, role: {has.name}, logs: '*'}}]" if has is not None else "rules: []"
    found = grants(Principal("bob", frozenset(["unix:bob"]), most=most), f"version: 1\n{rules}\n")
    for verb, (role, _, _) in VERBS.items():
        given, enough = has is not None and has >= role, most >= role
        for why in (
            found.why_not(verb),
            found.why_not(verb, READOUT),
            found.somewhere(verb),
            found.refusal(verb, [READOUT]),
        ):
            if verb == "lines" and has is Role.admin and most < Role.admin:
                continue  # of `logs`, below
            assert bool(why) == (not given or not enough), (verb, why)
            if why and "not there" not in why:
                helps = f"with `--role {role.name}` (`daqsched token create NAME`)"
                assert (helps in why) == (given and not enough), why
                assert (f"this token gives {most.name} at most" in why) == (not enough), why
                assert enough or role.name in why, why


def test_nobody_is_nobody() -> None:
    """Who has shown nothing is not even known."""
    nobody = grants(Principal("nobody"))
    assert all(nobody.why_not(verb, target) for verb, target in product(VERBS, (FARM, READOUT)))
    assert all(nobody.somewhere(verb) for verb in VERBS)


#: Any rules: what they give or deny to whom, and on which hosts.
WHOM = st.sampled_from(["unix:ann", "unix:bob", "unix-group:shift", "crew", "known"])
RULES = st.lists(
    st.fixed_dictionaries(
        {
            "to": WHOM,
            "on": st.lists(
                st.sampled_from(["*", "@ctl*", "@ctl1", "rc@ctl[1-2]", "rc", "r*@*l1", "hv_*", "other@ctl1"]),
                min_size=1,
            ),
        },
        optional={"owner": st.sampled_from(["daq", "trg"]), "part": st.sampled_from(["trigger"])},
    ).flatmap(
        lambda rule: st.one_of(
            st.sampled_from([role.name for role in Role]).map(lambda role: {**rule, "role": role}),
            st.sampled_from(["*", "apply", "stop", "account", "see"]).map(lambda verb: {**rule, "deny": verb}),
        )
    ),
    min_size=1,
    max_size=5,
)
JOBS = st.builds(
    Target, st.sampled_from(["rc", "hv_1"]), owner=st.sampled_from(["", "daq"]), part=st.sampled_from(["", "trigger"])
)


def granted(who: Principal, rules: typing.Any) -> Grants:
    """What rules give, with a group of the file's that the account bob is in."""
    return Grants(read(json.dumps({"version": 1, "groups": {"crew": ["unix:bob"]}, "rules": rules}), "r.yaml"), who)


@given(rules=RULES, job=JOBS, verb=st.sampled_from(sorted(VERBS)))
def test_what_may_run_on_any_host_takes_the_right_on_each(rules: typing.Any, job: Target, verb: str) -> None:
    """Of a job by attributes the hosts are found later, when nobody asks who wanted it."""
    one = granted(Principal("bob", frozenset(["unix:bob"])), rules)
    if verb not in ("see", "lines") and not one.why_not(verb, job._replace(host="*")):
        assert not [host for host in ("ctl1", "ctl2", "l1", "hlt01") if one.why_not(verb, job._replace(host=host))]


@given(rules=RULES, job=JOBS, verb=st.sampled_from(sorted(VERBS)), host=st.sampled_from(["ctl1", "hlt01", "*"]))
def test_who_is_not_told_in_full_may_no_more_than_whoever_it_is(
    rules: typing.Any, job: Target, verb: str, host: str
) -> None:
    """A directory of accounts that is slow takes rights away, and no deny."""
    doubted = granted(Principal("uid 7", frozenset(["unix:uid 7"]), doubt=True), rules)
    target = job._replace(host=host)
    for more in ([], ["unix:bob"], ["unix:ann", "unix-group:shift"]):
        whole = granted(Principal("bob", frozenset([*more, "unix:uid 7"])), rules)
        assert not whole.why_not(verb, target) or doubted.why_not(verb, target)
        assert not whole.why_not(verb) or doubted.why_not(verb)
        assert not whole.somewhere(verb) or doubted.somewhere(verb)
        assert whole.everywhere(verb) or not doubted.everywhere(verb)


@pytest.mark.parametrize("door", ["unix", "password", "proxy", "oidc"])
def test_a_deny_of_an_identity_counts_at_its_door_and_one_of_a_person_at_each(door: str) -> None:
    """So a farm can give less to who comes by a password; and nobody escapes what he is denied by another door."""
    text = """
version: 1
people: {bob: ["unix:bob", "password:bob", "proxy:bob", "oidc:bob"]}
rules:
  - {to: bob, role: expert}
  - {to: ["unix:bob", "unix-group:trainees"], deny: stop}
  - {to: bob, deny: restart}
"""
    groups = ["unix-group:trainees"] if door == "unix" else []
    mine = Grants(read(text, "r.yaml"), Principal("bob", frozenset([f"{door}:bob", *groups])))
    assert bool(mine.why_not("stop", READOUT)) == (door == "unix")
    assert mine.why_not("restart", READOUT) and not mine.why_not("apply", READOUT)


def test_what_is_in_doubt_says_so() -> None:
    """Which is no reason to look for a rule that is for somebody else."""
    text = "version: 1\nrules:\n - {to: known, role: expert}\n - {to: unix-group:x, deny: apply, on: '@ctl*'}"
    who = Principal("bob", frozenset(["unix:bob"]))
    assert not Grants(read(text, "r.yaml"), who).why_not("apply", Target("rc", "ctl1"))
    unsure = Grants(read(text, "r.yaml"), msgspec.structs.replace(who, doubt=True))
    assert unsure.why_not("apply", Target("rc", "ctl1")) == (
        "bob may not change rc@ctl1: rule 2 of r.yaml denies it to some, "
        "and the directory of accounts does not say whether bob is one: ask again soon"
    )
    mine = Grants(read(text.replace("unix-group:x", "unix:bob"), "r.yaml"), who)
    assert mine.why_not("apply", Target("rc", "*")) == (
        "bob may not change rc@*: its attributes may be those of hosts that rule 2 of r.yaml denies: name its hosts"
    )


# ------------------------------------------------------------------------------------------------ what events need


def world() -> World:
    """Two jobs of two owners on two hosts, all running."""
    made = World()
    made.apply(
        job(
            "readout",
            "hlt[01-02]",
            owner="trigger",
            actions={"dump": ("/bin/a",), "wipe": ("/bin/b",)},
            shifter_actions=("dump",),
        ),
        job("hv_1", "hlt01", owner="power"),
    )
    turn(made)
    return made


def order(kind: str, name: str = "") -> events.OperatorCommanded:
    return events.OperatorCommanded((("readout", "hlt01"),), OperatorCommand("1", kind, "x", name))


KEY = (("readout", "hlt01"),)
CHANGED = job("readout", "hlt[01-02]", owner="trigger", release="r2")
#: Each event that people cause, and the least role that may.
EVENTS: list[tuple[events.Event, Role]] = [
    (events.Held(KEY, "x"), Role.shifter),
    (events.Held(KEY, "x", spares=True), Role.shifter),
    (events.Released(KEY, "x"), Role.shifter),
    (order("restart"), Role.shifter),
    (order("retry"), Role.shifter),
    (order("snooze"), Role.shifter),
    (order("wake"), Role.shifter),
    (order("act", "dump"), Role.shifter),
    (order("act", "wipe"), Role.expert),
    (events.RestartAsked(KEY, "x"), Role.shifter),
    (events.ControlGiven(None, "x", ("unix:x",)), Role.shifter),
    (events.PutAside(("hlt02",), "x", 1e12), Role.shifter),
    (events.Returned(("hlt02",), "x"), Role.shifter),
    (events.AgentChosen("hlt02", "x"), Role.expert),
    (events.Borrowed("readout", "hlt01", "x"), Role.expert),
    (events.BorrowEnded("readout", "hlt01", "x"), Role.expert),
    (events.NoteWritten("x", "hello"), Role.shifter),
    (events.TokenMade(Token("a", "0" * 64, "viewer", "", "x", 0.0, 1e5)), Role.admin),
    (events.TokenRevoked("a", "x"), Role.admin),
    (
        events.PreflightAsked("p", "x", {"hlt01": (Question(("readout",), "", Probe("a", "/bin/a")),)}, 5.0),
        Role.shifter,
    ),
    (events.JobsApplied(Spec(jobs=(CHANGED,)), "x", only=("readout",)), Role.expert),
    (events.VariablesSet("", {"v": "2"}, "x"), Role.shifter),
]


#: Asked for by each role in test_proposals.py.
PROPOSALS = {events.ProposalMade, events.ProposalApproved, events.ProposalClosed}


def test_each_event_that_people_cause_needs_a_right() -> None:
    """A new one needs an entry, and a row here."""
    asked = set(typing.get_args(events.Event)) - HAPPENED
    assert set(NEEDS) == asked
    # of all jobs at once, which nobody here has: test_control.py
    assert {type(event) for event, _ in EVENTS} | {events.RolloutSteered, events.ControlTaken, *PROPOSALS} == asked


#: What each event that people cause is asked by.
ROUTES: dict[type, str] = {
    events.JobsApplied: "/apply /rollback",
    events.VariablesSet: "/set",
    events.RestartAsked: "/restart",
    events.RolloutSteered: "/rollout",
    events.PutAside: "/aside",
    events.Returned: "/return",
    events.AgentChosen: "/replace",
    events.Borrowed: "/borrow",
    events.BorrowEnded: "/borrow",
    events.Held: "/stop /hold",
    events.Released: "/start",
    events.TokenMade: "/token",
    events.TokenRevoked: "/revoke",
    events.NoteWritten: "/note",
    events.ControlTaken: "/take",
    events.ControlGiven: "/give",
    events.ProposalMade: "/propose",
    events.ProposalApproved: "/approve",
    events.ProposalClosed: "/reject /withdraw",
    events.PreflightAsked: "/preflight",
    events.OperatorCommanded: "/order",
}
_CODE = ast.parse(Path(permission.__file__).read_text(encoding="utf-8"))
_FUNCTIONS = {one.name: one for one in _CODE.body if isinstance(one, ast.FunctionDef)}
_ENTRIES = next(
    {ast.unparse(key): value for key, value in zip(one.value.keys, one.value.values) if key is not None}
    for one in _CODE.body
    if isinstance(one, ast.AnnAssign) and ast.unparse(one.target) == "NEEDS" and isinstance(one.value, ast.Dict)
)


def verbs_in(node: ast.AST) -> set[str]:
    """The verbs that this code may ask for, or functions that it calls."""
    found: set[str] = set()
    for one in ast.walk(node):
        name = ast.unparse(one.func) if isinstance(one, ast.Call) else one.id if isinstance(one, ast.Name) else ""
        if isinstance(one, ast.Call) and name in ("Need", "_of", "_on_hosts"):
            verb = one.args[0]
            if isinstance(verb, ast.Name) and verb.id == "kind":
                found |= {*ORDER_KINDS} - {"act"}
            for value in [verb] if not isinstance(verb, ast.Name) else assigned(node, verb.id):
                parts = [value.body, value.orelse] if isinstance(value, ast.IfExp) else [value]
                found |= {str(part.value) for part in parts if isinstance(part, ast.Constant)}
        elif name in _FUNCTIONS and name not in ("_of", "_on_hosts") and _FUNCTIONS[name] is not node:
            found |= verbs_in(_FUNCTIONS[name])
    return found


def assigned(node: ast.AST, name: str) -> list[ast.expr]:
    """What is assigned to that name in it."""
    return [one.value for one in ast.walk(node) if isinstance(one, ast.Assign) and ast.unparse(one.targets[0]) == name]


@pytest.mark.once
def test_each_route_names_the_verbs_that_its_events_need() -> None:
    """Whoever reads the table of routes, or the page made of it, sees what `NEEDS` asks for: no more, no less."""
    assert set(ROUTES) == set(NEEDS) and {f"events.{event.__name__}" for event in ROUTES} == set(_ENTRIES)
    needed = {event: verbs_in(_ENTRIES[f"events.{event.__name__}"]) for event in ROUTES}
    named = {one.path: set(one.verbs) for one in OPERATIONS.values() if one.verbs}
    assert {path for paths in ROUTES.values() for path in paths.split()} == set(named)
    for event, paths in ROUTES.items():
        assert needed[event] and needed[event] <= set(VERBS), event
        assert needed[event] <= {verb for path in paths.split() for verb in named[path]}, (event, paths)
    for path, verbs in named.items():
        assert verbs <= {verb for event in ROUTES if path in ROUTES[event].split() for verb in needed[event]}, path


@pytest.mark.parametrize("event", EVENTS, ids=lambda one: f"{type(one[0]).__name__}")
@pytest.mark.parametrize(
    ("who", "role"), [(VIEWER, Role.viewer), (SHIFTER, Role.shifter), (EXPERT, Role.expert), (ADMIN, Role.admin)]
)
def test_the_engine_refuses_who_may_not(event: tuple[events.Event, Role], who: Principal, role: Role) -> None:
    """In the step that would have done it, which then changes nothing; and not who may."""
    made = world()
    before = made.engine.version
    step = made.engine.handle(event[0], made.now, grants(who))
    if role >= event[1]:
        assert not (isinstance(step.verdict, Refused) and " may not " in str(step.verdict)), step.verdict
    else:
        assert isinstance(step.verdict, Refused) and f"{who.name} may not" in str(step.verdict)
        assert not step.commands and not step.changes and made.engine.version == before


@pytest.mark.parametrize("what", ["pause", "resume", "abort", "rollback"])
def test_a_shifter_pauses_a_rollout_and_an_expert_steers_it(what: typing.Any) -> None:
    """A pause can harm nothing."""
    made = world()
    made.say(events.JobsApplied(Spec(jobs=(CHANGED,)), "x", strategy=Strategy(batches=(1,)), only=("readout",)))
    for who, may in ((SHIFTER, what == "pause"), (EXPERT, True), (VIEWER, False)):
        verdict = made.engine.handle(events.RolloutSteered(what, "x"), made.now, grants(who)).verdict
        assert ("may not" in str(verdict)) != may, verdict


def applied(**fields: typing.Any) -> events.JobsApplied:
    return events.JobsApplied(Spec(**fields), "x")


KEPT = (
    job(
        "readout",
        "hlt[01-02]",
        owner="trigger",
        actions={"dump": ("/bin/a",), "wipe": ("/bin/b",)},
        shifter_actions=("dump",),
    ),
    job("hv_1", "hlt01", owner="power"),
)


@pytest.mark.parametrize(
    ("event", "sentence"),
    [
        (applied(jobs=(CHANGED, KEPT[1])), ""),
        (applied(jobs=(*KEPT, job("new", owner="trigger"))), ""),
        (applied(jobs=(CHANGED,)), "may not change hv_1@hlt01"),
        (applied(jobs=(KEPT[0], job("hv_1", "hlt01", owner="trigger"))), "may not change hv_1@hlt01"),
        (applied(jobs=(job("readout", "hlt[01-02]", owner="power"), KEPT[1])), "may not change readout@hlt01"),
        (applied(jobs=(*KEPT, job("new"))), "may not change new@hlt01"),
        (applied(jobs=(*KEPT, job("new", owner="trigger", user="root"))), "new@hlt01 would run as root"),
        (applied(jobs=(*KEPT, job("new", owner="trigger", user="daq"))), "new@hlt01 would run as daq"),
        (applied(jobs=(*KEPT, job("new", owner="trigger", setuid=True))), "new@hlt01 would run as root"),
        (applied(jobs=KEPT, logging=LoggingSpec(index="mine")), "may not change where lines go"),
        (
            events.JobsApplied(Spec(jobs=(CHANGED, KEPT[1])), "x", strategy=Strategy(batches=(1,), guard="http://a/")),
            "may not choose what a rollout asks",
        ),
    ],
)
def test_an_apply_needs_the_right_on_each_job_before_and_after(event: events.JobsApplied, sentence: str) -> None:
    """Else who may change the owner of a job may change anything; an account is a right of its own."""
    made = World()
    made.apply(*KEPT)
    turn(made)
    verdict = made.engine.handle(event, made.now, grants(EXPERT)).verdict
    assert isinstance(verdict, Accepted) if not sentence else sentence in str(verdict), verdict


def test_an_account_is_given_by_name() -> None:
    """To who may change the job; to the admin any."""
    text = FILE.replace("role: expert, owner: trigger", "role: expert, owner: trigger, accounts: [daq]")
    for account, may in (("daq", True), ("root", False)):
        made = World()
        made.apply(*KEPT)
        event = applied(jobs=(*KEPT, job("new", owner="trigger", user=account)))
        verdict = made.engine.handle(event, made.now, grants(EXPERT, text)).verdict
        assert isinstance(verdict, Accepted) == may, verdict
        verdict = made.engine.handle(event, made.now, grants(ADMIN)).verdict
        assert not isinstance(verdict, DaqschedError)


# ------------------------------------------------------------------------------------------------ ways around


def refused(made: World, event: events.Event, who: Principal, text: str = "") -> str:
    """Why the engine does not do it; empty: it does."""
    verdict = made.engine.handle(event, made.now, grants(who, text)).verdict
    return str(verdict) if isinstance(verdict, Refused) and "may not" in str(verdict) + "would run" else ""


def test_an_admin_of_some_jobs_makes_no_tokens() -> None:
    """A token is for any of the farm; nor does who is denied that."""
    some = 'version: 1\nrules: [{to: unix:eve, role: admin, on: "trg_*"}]'
    denied = "version: 1\nrules: [{to: unix:eve, role: admin}, {to: unix:eve, deny: [tokens, note]}]"
    token = Token("mine", "0" * 64, "admin", "", "eve", 1.0, 1e6)
    for text in (some, denied):
        made = world()
        made.now = 1e5
        for event in (events.TokenMade(token), events.TokenRevoked("mine", "eve")):
            assert "may not" in refused(made, event, VIEWER, text), (text, event)
    assert "may not" in refused(world(), events.NoteWritten("eve", "x"), VIEWER, denied)


def test_another_command_on_a_borrowed_host_needs_the_account() -> None:
    """It is as good as a change of the job, and a shell as whom it runs."""
    text = "version: 1\nrules: [{to: unix:eve, role: expert}]"
    for fields, argv, may in (
        ({"user": "daq"}, ("/bin/sh",), False),
        ({"user": "daq"}, (), True),
        ({"setuid": True}, ("/bin/sh",), False),
        ({}, ("/bin/sh",), True),
    ):
        made = World()
        made.apply(job("a", "h1", **fields))
        found = refused(made, events.Borrowed("a", "h1", "eve", argv), VIEWER, text)
        assert ("would run as" in found) != may, (fields, argv, found)


def test_a_preflight_of_other_than_the_farm_s_own_jobs_needs_the_account() -> None:
    """The loader of its program is started as that account."""
    made = World()
    own = job("a", "h1", user="daq")
    made.apply(own)
    for asked, may in (
        (own, True),
        (job("a", "h1", argv=("/home/x",), user="daq"), False),
        (job("b", "h1", user="root"), False),
    ):
        event = events.PreflightAsked(
            "p", "bob", questions(Spec(jobs=(asked,)), lambda *key: True, lambda one: ()), 5.0
        )
        assert ("would run as" in refused(made, event, SHIFTER)) != may, asked
    made.engine.account = "root"
    event = events.PreflightAsked(
        "p", "bob", questions(Spec(jobs=(job("c", "h1"),)), lambda *key: True, lambda one: ()), 5.0
    )
    assert "would run as root" in refused(made, event, SHIFTER)


@pytest.mark.parametrize("way", ["strategy", "spec", "both", "restart"])
def test_a_guard_is_an_admin_s_however_it_is_named(way: str) -> None:
    """It is a request from the control machine, or a program there."""
    guarded = Strategy(batches=(1,), guard="http://a/")
    spec = Spec(jobs=(CHANGED, KEPT[1]), rollout=guarded if way in ("spec", "both") else None)
    strategy = {"strategy": guarded, "both": Strategy(batches=(1,))}.get(way)
    event: events.Event = events.JobsApplied(spec, "x", strategy=strategy)
    if way == "restart":
        event = events.RestartAsked(KEY, "x", strategy=guarded)
    made = World()
    made.apply(*KEPT)
    turn(made)
    assert "may not choose what a rollout asks" in refused(made, event, EXPERT)
    assert not refused(made, event, ADMIN)


def test_many_hosts_are_one_request() -> None:
    """What a rule lets at once is of all of them."""
    made = World()
    made.apply(job("a", "hlt[01-03]"))
    assert "3 at once are more than the 2" in str(
        made.engine.handle(events.PutAside(("hlt01", "hlt02", "hlt03"), "bob", 1e12), made.now, grants(SHIFTER)).verdict
    )
    assert not refused(made, events.PutAside(("hlt01", "hlt02"), "bob", 1e12), SHIFTER)


def test_an_apply_brings_on_nobody_else_s_rollout() -> None:
    """What that has not reached yet, or what is left of it, is as much a change as any."""
    made = World(("hlt01", "hlt02"))
    made.apply(*KEPT, job("other", "hlt[01-02]", owner="dcs", cpus=0.01, mem=8.0))
    turn(made)
    later = job("other", "hlt[01-02]", owner="dcs", cpus=0.01, mem=8.0, release="r2")
    made.say(events.JobsApplied(Spec(jobs=(*KEPT, later)), "x", strategy=Strategy(batches=(1,))))
    for steer in ((), (events.RolloutSteered("abort", "x"),)):
        for event in steer:
            made.say(event)
        again = events.JobsApplied(Spec(jobs=(*KEPT, later)), "alice", strategy=Strategy(batches=()))
        assert "may not" in refused(made, again, EXPERT), steer
