"""The words of a job file: what each becomes, and what is said of a wrong one."""

from __future__ import annotations

from typing import Any

import pytest

import daqsched
from builders import wrong
from daqsched import (
    CommandCheck,
    Container,
    FileCheck,
    Heartbeat,
    HttpCheck,
    Job,
    OutputCheck,
    Resources,
    Restart,
    Stop,
    TcpCheck,
)
from daqsched.errors import JobError
from daqsched.fill import payload
from daqsched.jobfile.checks import CHECK_WORDS, Check
from daqsched.jobfile.conflicts import check
from daqsched.spec import CheckSpec, Spec, decode, encode
from daqsched_executor import contract

PORTS = Resources(ports={"http": 0, "ctl": 9000})


def made(**fields: Any) -> Job:
    """A job that is right but for these."""
    return Job("readout", **{"command": "/bin/readout", "hosts": "hlt[01-02]", "version": "r1", **fields})


def test_a_whole_job_is_told_to_its_executor_with_all_placeholders_filled_in() -> None:
    """In every text where one may be, also after the spec was sent as JSON."""
    every = "{host} {job} {version} {instance} {port:http} {{}}"
    filled = "hlt02 readout r1 readout@hlt02 31000 {}"
    job = made(
        argv=["/bin/x", every],
        command="",
        env={"A": every},
        directory=f"/d/{every}",
        needs=[f"/n/{every}"],
        resources=PORTS,
        stop=Stop(before=["b", every], after=["a", every]),
        actions={"dump": ["d", every]},
        check=[CommandCheck(["c", every]), HttpCheck("/{host}", "http", address="{host}"), FileCheck("{host}", 5)],
        container=Container("daq:{version}", volumes=["/data/{host}:/data:ro"]),
    )
    spec = decode(encode(Spec(jobs=(job.spec,)))).jobs[0]
    assert spec == job.spec
    told = payload(spec, "hlt02", "t", {"http": 31000})
    assert told.argv == ("/bin/x", filled) and told.env == {"A": filled} and told.cwd == f"/d/{filled}"
    assert told.needs == (f"/n/{filled}",) and told.stop.before == ("b", filled) and told.stop.after == ("a", filled)
    assert told.actions == {"dump": ("d", filled)} and told.ports == {"http": 31000, "ctl": 9000}
    command, http, file = told.checks
    assert command.argv == ("c", filled) and file.path == "hlt02"
    assert (http.path, http.port, http.address) == ("/hlt02", 31000, "hlt02")
    assert told.container is not None and told.container.image == "daq:r1"
    assert told.container.volumes == ("/data/hlt02:/data:ro",)
    assert contract.Payload.from_json(told.to_json()) == told


def test_each_check_becomes_the_contract_s_check_of_its_kind() -> None:
    """With the defaults that the contract has."""
    job = made(
        resources=PORTS,
        check=[
            CommandCheck("true -v"),
            TcpCheck(80),
            TcpCheck("ctl", name="control", unhealthy="notify", failures=1, interval_s=1, timeout_s=2, grace_s=3),
            HttpCheck("/health?full=1", port="{port:ctl}"),
            OutputCheck(30, pattern=r"event \d{3}", stream="stderr"),
            FileCheck("data.raw", 60),
            Heartbeat(10),
        ],
    )
    assert payload(job.spec, "hlt01", "t").checks == (
        contract.Check("command", "command", argv=("true", "-v")),
        contract.Check("tcp", "tcp", port=80),
        contract.Check(
            "tcp", "control", port=9000, unhealthy="notify", failures=1, interval_s=1.0, timeout_s=2.0, grace_s=3.0
        ),
        contract.Check("http", "http", path="/health?full=1", port=9000),
        contract.Check("output", "output", silence_s=30.0, pattern=r"event \d{3}", stream="stderr"),
        contract.Check("file", "file", path="data.raw", silence_s=60.0),
        contract.Check("heartbeat", "heartbeat", silence_s=10.0),
    )


def test_there_is_a_word_for_each_kind_of_check_and_the_spec_has_the_contract_s_fields() -> None:
    """Where the contract gains a kind or a field, this says so."""
    assert list(CHECK_WORDS) == list(contract.CHECK_TYPES) and set(CHECK_WORDS.values()) == {
        word for word in Check.__subclasses__() if word.__module__.startswith("daqsched.")
    }
    assert all(word.name == word.kind == kind for kind, word in CHECK_WORDS.items())
    assert all(getattr(daqsched, word.__name__) is word for word in CHECK_WORDS.values())
    theirs = {name: field.default for name, field in contract.Check.__dataclass_fields__.items()}
    ours = {name: getattr(CheckSpec(kind="", name=""), name) for name in CheckSpec.__struct_fields__}
    assert {**theirs, "kind": "", "name": ""} == ours


def test_short_spellings_mean_the_long_ones() -> None:
    """One check or a list, one job or a list, a text or a list of words, names of ports alone."""
    job = made(
        check=Heartbeat(), after="nsmd2", stop=Stop("SIGINT", before="run stop"), resources=Resources(ports=["a"])
    )
    spec = made(
        check=[Heartbeat()],
        after=["nsmd2"],
        stop=Stop("INT", before=["run", "stop"]),
        resources=Resources(ports={"a": 0}),
    ).spec
    assert job.spec == spec


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"hosts": ()}, "hosts", "names no host"),
    ({"hosts": (), "attributes": {"rack": ""}}, "attributes", "can't match"),
    ({"hosts": (), "attributes": {"rack": 1}}, "attributes[rack]", "expected str, got int"),
    ({"command": ["a"]}, "command", "a list of words goes into argv"),
    ({"resources": Resources(ports={"1": 80})}, "resources.ports", "'1' is not a valid name for a port"),
    ({"resources": Resources(ports={"a": 65536})}, "resources.ports", "'a' must be from 1 to 65535, or 0 for any"),
    ({"resources": Resources(ports={"a": 80, "b": 80})}, "resources.ports", "'a' and 'b' are both 80"),
    ({"resources": Resources(ports={"a": wrong("80")})}, "resources.ports[a]", "expected int, got str"),
    ({"env": {"DAQSCHED_HOST": "x"}}, "env", "DAQSCHED_HOST is daqsched's own"),
    ({"env": {"A": "{port:http}"}}, "env", "the job has no port 'http' among its resources.ports: none"),
    ({"limits": {"nofiles": 1}}, "limits", "'nofiles' is not a limit: did you mean 'nofile'?"),
    ({"restart": Restart(success_codes=(0, 256))}, "restart.success_codes", "256 is not an exit code"),
    ({"restart": Restart(give_up=-1)}, "restart.give_up", "must be 0 or more, not -1"),
    ({"stop": Stop("FOO")}, "stop.signal", "'FOO' is not a signal: one of ABRT"),
    ({"stop": Stop(second_signal="FOO")}, "stop.second_signal", "'FOO' is not a signal"),
    ({"stop": Stop(grace_s=wrong("5"))}, "stop.grace_s", "expected float, got str: '5'"),
    ({"stop": Stop(before="it's")}, "stop.before", "can't be split into words"),
    ({"stop": Stop(after=["x", "{hst}"])}, "stop.after", "no placeholder '{hst}'"),
    ({"stop": Stop(hook_timeout_s=0)}, "stop.hook_timeout_s", "must be more than 0"),
    ({"actions": {"a b": "x"}}, "actions", "'a b' is not a valid name for an action"),
    ({"actions": {"a": ""}}, "actions[a]", "the command is empty"),
    ({"actions": {"a": 3}}, "actions[a]", "must be text or a list of texts, not int 3"),
    ({"actions": {"a": "x {"}}, "actions[a]", "a single '{'"),
    ({"action_timeout_s": 0}, "action_timeout_s", "must be more than 0"),
    ({"after": "readout"}, "after", "names the job itself"),
    ({"check": "true"}, "check", "must be one of CommandCheck, TcpCheck, HttpCheck"),
    ({"check": [TcpCheck(80), TcpCheck(81)]}, "check[tcp].name", "two checks are named 'tcp'"),
    ({"check": TcpCheck("http")}, "check[tcp].port", "the job has no port 'http' among its resources.ports: none"),
    ({"check": TcpCheck("{host}")}, "check[tcp].port", "'{host}' is not a port"),
    ({"check": TcpCheck(0)}, "check[tcp].port", "is missing"),
    ({"check": TcpCheck(70000)}, "check[tcp].port", "'70000' is not a port"),
    ({"check": TcpCheck(wrong(1.5))}, "check[tcp].port", "expected int | str, got float"),
    ({"check": HttpCheck("health", 80)}, "check[http].path", "'health' must begin with '/'"),
    ({"check": OutputCheck(30, pattern="(")}, "check[output].pattern", "'(' is not a regular expression"),
    ({"check": OutputCheck(0)}, "check[output].silence_s", "must be more than 0"),
    ({"check": OutputCheck(3, stream=wrong("log"))}, "check[output].stream", "'log' is not one of stdout, stderr"),
    ({"check": FileCheck("", 3)}, "check[file].path", "is empty"),
    ({"check": CommandCheck("")}, "check[command].command", "the command is empty"),
    ({"check": CommandCheck("x", interval_s=wrong("5"))}, "check[command].interval_s", "expected float, got str: '5'"),
    ({"check": CommandCheck("x", failures=0)}, "check[command].failures", "must be at least 1"),
    ({"check": CommandCheck("x", name="a b")}, "check[a b].name", "'a b' is not a valid name for a check"),
    (
        {"check": Heartbeat(unhealthy=wrong("kill"))},
        "check[heartbeat].unhealthy",
        "'kill' is not one of restart, notify",
    ),
    ({"container": "img"}, "container", "must be Container(...), not str 'img'"),
    ({"container": Container("")}, "container.image", "'' is not the name of an image"),
    ({"container": Container("i", volumes="/data")}, "container.volumes", "'/data' is not a volume"),
    ({"container": Container("i", volumes=["/a:/b:wo"])}, "container.volumes", "'/a:/b:wo' is not a volume"),
    ({"container": Container("i", devices=["pcie40"])}, "container.devices", "'pcie40' is not a device file"),
    ({"container": Container("i", network="")}, "container.network", "'' is not a network"),
    ({"container": Container("i", engine="docker")}, "container.engine", "'docker' is not the address of an engine"),
    ({"container": Container("i"), "limits": {"as": 1}}, "limits", "'as' can't be set in a container"),
    ({"container": Container("i"), "directory": "data"}, "directory", "must be an absolute path in the container"),
    ({"directory": "a\0b"}, "directory", "holds a NUL character"),
]


@pytest.mark.parametrize(
    ("fields", "field", "sentence"), WRONG, ids=[f"{field} {said[:20]}" for _, field, said in WRONG]
)
def test_a_wrong_value_is_one_sentence_about_its_field(fields: dict[str, Any], field: str, sentence: str) -> None:
    """Outside of a job file it is raised where it is written."""
    with pytest.raises(JobError) as caught:
        made(**fields)
    assert caught.value.field == field and sentence in str(caught.value) and "\n" not in str(caught.value)


def farm(*jobs: tuple[str, dict[str, Any]]) -> Spec:
    """Jobs that are right one by one."""
    return Spec(jobs=tuple(Job(name, "/bin/x", **{"hosts": "h[1-2]", **fields}).spec for name, fields in jobs))


APART = [
    ([("a", {}), ("a", {})], "two jobs are named 'a'"),
    ([("a", {"after": "b"})], "job 'a': after: there is no job 'b'"),
    ([("a", {"after": "raedout"}), ("readout", {})], "there is no job 'raedout': did you mean 'readout'?"),
    ([("a", {"after": "b"}), ("b", {"after": "a"})], "a cycle: a -> b -> a"),
    (
        [("x", {"after": "a"}), ("a", {"after": ["y", "b"]}), ("b", {"after": "c"}), ("c", {"after": "a"}), ("y", {})],
        "job 'a': after: a cycle: a -> b -> c -> a",
    ),
    (
        [
            ("a", {"resources": Resources(ports={"p": 80})}),
            ("b", {"hosts": "h2", "resources": Resources(ports={"q": 80})}),
        ],
        "job 'b': resources.ports: 'q': port 80 of h2 is taken by job 'a'",
    ),
]


@pytest.mark.parametrize(("jobs", "sentence"), APART, ids=[said[:24] for _, said in APART])
def test_jobs_that_cannot_be_together_are_refused_by_the_daemon_too(
    jobs: list[tuple[str, dict[str, Any]]], sentence: str
) -> None:
    """Whoever sent them, and however."""
    with pytest.raises(JobError) as caught:
        check(farm(*jobs))
    assert sentence in str(caught.value)


def test_what_only_looks_like_a_conflict_is_none() -> None:
    """A diamond of afters; one port on different hosts, on machines that can't be the same, and any port twice."""
    port = {"resources": Resources(ports={"p": 80})}
    check(farm(("a", {}), ("b", {"after": "a"}), ("c", {"after": "a"}), ("d", {"after": ["b", "c"]})))
    check(farm(("a", {"hosts": "h1", **port}), ("b", {"hosts": "h2", **port})))
    check(farm(("a", {"attributes": {"rack": "1"}, **port}), ("b", {"attributes": {"rack": "2"}, **port})))
    check(farm(("a", {"resources": Resources(ports=["p"])}), ("b", {"resources": Resources(ports=["p"])})))


def test_a_long_chain_of_afters_is_walked_without_recursion() -> None:
    """Python would refuse at about a thousand."""
    chain = [(f"j{n}", {"after": f"j{n + 1}"}) for n in range(1500)]
    check(farm(*chain, ("j1500", {})))
    with pytest.raises(JobError, match="a cycle"):
        check(farm(*chain, ("j1500", {"after": "j0"})))
