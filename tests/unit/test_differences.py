"""What differs between two jobs, in the words of a job file."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from daqsched import CommandCheck, Container, Heartbeat, HttpCheck, Job, Resources, Restart, Stop, TcpCheck
from daqsched.jobfile.differences import differences
from daqsched.spec import JobSpec, Spec
from daqsched.views.plan import plan

Fields = dict[str, Any]


def made(fields: Fields) -> JobSpec:
    """A job that has these fields; its part is what the file says and no word of a job."""
    words = {"command": "/bin/a", "hosts": "h1", **fields}
    part = words.pop("part", "")
    return replace(Job("a", **words).spec, part=part)


#: What one has, what the other has, what is said, and whether the program is started anew for it.
CHANGES: list[tuple[Fields, Fields, tuple[str, ...], str]] = [
    ({"command": "/bin/a -v"}, {"command": "/bin/a 'x y'"}, ("command /bin/a -v -> /bin/a 'x y'",), "restart"),
    ({"version": "r1"}, {"version": "r2"}, ("version r1 -> r2",), "restart"),
    (
        {"env": {"A": "1", "B": "2"}},
        {"env": {"B": "3"}},
        ("env.A (hidden 500c57) -> none", "env.B (hidden 551c80) -> (hidden 995afb)"),
        "restart",
    ),
    (
        {},
        {"resources": Resources(mem=128, ports={"p": 0})},
        ("resources.mem 64 -> 128", "resources.ports.p none -> 0"),
        "restart",
    ),
    ({}, {"restart": Restart(cap_s=30)}, ("restart.cap_s 60 -> 30",), "silent"),
    ({}, {"restart": Restart(give_up=3)}, ("restart.give_up 0 -> 3",), "silent"),
    (
        {},
        {"stop": Stop("INT", before="bye 'x y'")},
        ("stop.signal TERM -> INT", "stop.before none -> bye 'x y'"),
        "silent",
    ),
    ({}, {"check": TcpCheck(80)}, ("check[tcp] none -> tcp port=80",), "silent"),
    ({"check": CommandCheck("a b")}, {}, ("check[command] command argv=a b -> none",), "silent"),
    (
        {"check": [TcpCheck(80), HttpCheck("/a", 80)]},
        {"check": [TcpCheck(80), HttpCheck("/b", 80, failures=5)]},
        ("check[http] http port=80 path=/a -> http port=80 path=/b failures=5",),
        "silent",
    ),
    ({}, {"check": Heartbeat(5)}, ("check[heartbeat] none -> heartbeat silence_s=5",), "restart"),
    (
        {"check": Heartbeat(5)},
        {"check": [Heartbeat(5, grace_s=60), TcpCheck(80)]},
        (
            "check[heartbeat] heartbeat silence_s=5 -> heartbeat silence_s=5 grace_s=60",
            "check[tcp] none -> tcp port=80",
        ),
        "silent",
    ),
    ({}, {"actions": {"reload": "kill -HUP"}}, ("actions[reload] none -> kill -HUP",), "silent"),
    ({}, {"container": Container("daq:1")}, ("container none -> daq:1",), "restart"),
    ({"container": Container("daq:1")}, {"container": Container("daq:2")}, ("container daq:1 -> daq:2",), "restart"),
    ({}, {"labels": {"crate": "3"}}, ("labels.crate none -> 3",), "silent"),
    ({}, {"lock": False, "libraries": False}, ("lock True -> False", "libraries True -> False"), "silent"),
    ({}, {"setuid": True}, ("setuid False -> True",), "restart"),
    ({}, {"output": "file"}, ("output pipe -> file",), "restart"),
    ({}, {"console": True}, ("console False -> True",), "restart"),
    ({}, {"logs": False}, ("logs True -> False",), "silent"),
    ({}, {"part": "hlt"}, ("part none -> hlt",), "silent"),
    ({}, {"replaces": "b"}, ("replaces none -> b",), "silent"),
    ({}, {"after": ["b", "c"]}, ("after none -> b c",), "silent"),
    (
        {"actions": {"dump": "/bin/a"}},
        {"actions": {"dump": "/bin/a"}, "shifter_actions": ["dump"]},
        ("shifter_actions none -> dump",),
        "silent",
    ),
    ({}, {"owner": "bob"}, ("owner none -> bob",), "silent"),
    ({}, {"start": "manual"}, ("start auto -> manual",), "silent"),
    ({}, {"critical": False}, ("critical True -> False",), "silent"),
    ({}, {"attributes": {"rack": "r1"}}, ("attributes.rack none -> r1",), "silent"),
]


@pytest.mark.parametrize(("old", "new", "said", "what"), CHANGES, ids=[said[0] for _, _, said, _ in CHANGES])
def test_a_change_is_said_in_words_and_restarts_only_what_can_see_it(
    old: Fields, new: Fields, said: tuple[str, ...], what: str
) -> None:
    """Both as the plan shows it."""
    assert differences(made(old), made(new)) == said
    if "attributes" not in new:
        (change,) = plan(Spec(jobs=(made(old),)), Spec(jobs=(made(new),))).changes
        assert (change.what, change.why) == (what, said)


def test_every_field_is_in_the_table_above() -> None:
    """A field that is added to a job shows how a change of it looks."""
    changed = {
        field
        for old, new, _, _ in CHANGES
        for field in JobSpec.__struct_fields__
        if getattr(made(old), field) != getattr(made(new), field)
    }
    like_another = {"name", "hosts", "cwd", "user", "cpus", "disk", "limits", "needs", "action_timeout_s"}
    assert changed == set(JobSpec.__struct_fields__) - like_another
