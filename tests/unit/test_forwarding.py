"""What forwarders are told: by a YAML file, by `Logging(...)`, and what of it matters to which machine."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from builders import World, job, wrong
from daqsched import Journal, JsonLines, LogFiles, Logging, Syslog
from daqsched.digests import run_digest
from daqsched.engine import events
from daqsched.errors import JobError
from daqsched.fill import payload
from daqsched.forwarder import with_forwarder
from daqsched.jobfile.rules import logging_mistakes
from daqsched.spec import FORWARDER, ForwarderSpec, LoggingSpec, Spec, decode, encode
from daqsched.views.plan import plan
from daqsched_executor.contract import FORWARDING_VARIABLE, ContractError, Forwarding, forwarding_rules
from daqsched_executor.contract.forwarding import Access
from daqsched_executor.contract.forwarding_rules import mistakes
from daqsched_executor.forward.forms import levels, multiline, times
from daqsched_executor.forward.yamlfile import Wrong, parse

FULL = """\
elasticsearch: http://es1:9200,http://es2:9200
index: hall-logs
period: hour
keep: 4
files:
  - name: nsmd2
    paths:
      - /var/log/nsmd2/*.log
      - /opt/nsm/**/nsm.log
    labels: {place: hall}
  - name: cvmfs
    paths: /var/log/cvmfs.log
    from_start: true
syslog:
  udp: 514
journal:
  enabled: yes
  units: [sshd.service]
host: gateway1
spool: /var/lib/daqsched/spool
"""


def test_a_file_says_all_that_can_be_told() -> None:
    """Whole numbers where a size is meant, one path as text."""
    assert parse(FULL) == Forwarding(
        elasticsearch="http://es1:9200,http://es2:9200",
        index="hall-logs",
        period="hour",
        keep=4.0,
        files=(
            LogFiles("nsmd2", ("/var/log/nsmd2/*.log", "/opt/nsm/**/nsm.log"), labels={"place": "hall"}),
            LogFiles("cvmfs", ("/var/log/cvmfs.log",), from_start=True),
        ),
        syslog=Syslog(udp=514),
        journal=Journal(True, ("sshd.service",)),
        host="gateway1",
        spool="/var/lib/daqsched/spool",
    )


@pytest.mark.parametrize(
    ("text", "line", "sentence"),
    [
        ("", 1, "the file says nothing"),
        ("- a\n", 1, "the file: must be fields with values, as `elasticsearch: ...`"),
        ("a: [\n", 2, "not YAML: "),
        ("a:\n  " + "[" * 5000 + "]" * 5000, 2, "values are in values more than 20 deep"),
        ("keep: 1\nelastic: x\n", 2, "elastic: unknown field 'elastic': did you mean 'elasticsearch'?"),
        ("keep: 1\nkeep: 2\n", 2, "keep: stands here for the second time, first in line 1"),
        ("syslog:\n  udp: 514\n  port: 3\n", 3, "syslog.port: unknown field 'port'; there are udp, tcp, "),
        ("syslog:\n  udp: '514'\n", 2, "syslog.udp: must be a whole number, not '514'"),
        ("syslog:\n  udp: 70000\n", 2, "syslog.udp: must be from 1 to 65535, or 0 for none, not 70000"),
        ("syslog: 514\n", 1, "syslog: must be fields with values, as `udp: ...`"),
        ("index: 2026\n", 1, "index: must be text, not '2026': write it in quotes"),
        ("index:\n", 1, "index: is empty"),
        ("files:\n- name: a\n", 2, "files.paths: is missing"),
        ("files:\n- name: a\n  paths: var/log\n", 3, "files[a].paths: 'var/log' must be an absolute path"),
        ("files:\n- {name: a, paths: [/a]}\n- {name: b, paths: [/b],\n   charset: martian}\n", 4, "files[b].charset: "),
        ("files:\n- name: a\n  paths: /a\n  labels: [x]\n", 4, "files.labels: must be words with texts"),
        ("files:\n- name: a\n  paths: /a\n  hosts: b\n", 4, "files[a].hosts: this file is of one machine; "),
        ("keep: 1\n\nwhen_full: newest\n", 3, "when_full: 'newest' is not one of oldest, debug"),
    ],
)
def test_a_mistake_is_one_sentence_with_its_line(text: str, line: int, sentence: str) -> None:
    """Whoever writes the file at night is told where."""
    with pytest.raises(Wrong) as caught:
        parse(text)
    (found,) = caught.value.found
    assert found[0] == line and found[1].startswith(sentence), found


def test_all_mistakes_of_a_file_are_told_at_once_in_its_order() -> None:
    """Those that types alone can't find."""
    with pytest.raises(Wrong) as caught:
        parse("disk: 0\nindex: Upper\njson:\n  address: here\nfiles:\n- {name: a, paths: [], level: '('}\n")
    assert [line for line, _ in caught.value.found] == [1, 2, 4, 6, 6]


@pytest.mark.parametrize(
    ("told", "fields_wrong"),
    [
        (Forwarding(elasticsearch="http://es1:9200"), []),
        (Forwarding(elasticsearch="https://[::1]:9200/path,https://es2"), []),
        (Forwarding(elasticsearch="http://crew:secret@es1:9200"), ["elasticsearch"]),
        (Forwarding(elasticsearch="es1:9200"), ["elasticsearch"]),
        (Forwarding(elasticsearch="http://es1", ca_file="/ca.pem"), ["ca_file"]),
        (Forwarding(user_file="/a", api_key_file="/b"), ["api_key_file"]),
        (Forwarding(user_file="a", run_file="run"), ["user_file", "run_file"]),
        (Forwarding(index="Logs", period="week"), ["index", "period"]),
        (Forwarding(keep=-1, disk=float("inf")), ["keep", "disk"]),
        (Forwarding(files=(LogFiles("a b", ("/x",)),)), ["files[a b].name"]),
        (Forwarding(files=(LogFiles("a", ("/x",), time="iso", level="syslog", multiline="traceback"),)), []),
        (Forwarding(files=(LogFiles("a", ("/x",), time="%d.%m. %H:%M", level="<(?P<level>\\w+)>"),)), []),
        (Forwarding(files=(LogFiles("a", ("/x",), time="9 o'clock", level="<.*>"),)), ["files[a].time", "files[a].level"]),
        (Forwarding(files=(LogFiles("a", ("/x",), multiline="("),)), ["files[a].multiline"]),
        (Forwarding(files=(LogFiles("a", ("/x",), multiline="pythn", level="sylog"),)), ["files[a].level", "files[a].multiline"]),
        (Forwarding(files=(LogFiles("a", ("/x",), time="%H:%M %Q", multiline=r"BEGIN|\d+ "),)), ["files[a].time"]),
        (Forwarding(files=(LogFiles("a", ("/x",), labels={"a.b": "c"}),)), ["files[a].labels"]),
        (Forwarding(syslog=Syslog(udp=514), json=JsonLines(udp=514)), ["json.udp"]),
        (Forwarding(syslog=Syslog(udp=514), json=JsonLines(udp=514, address="127.0.0.1")), []),
        (Forwarding(syslog=Syslog(senders=0, idle_s=float("nan"))), ["syslog.senders", "syslog.idle_s"]),
        (Forwarding(syslog=Syslog(senders=1 << 40, idle_s=1e300)), ["syslog.senders", "syslog.idle_s"]),
        (Forwarding(syslog=Syslog(tcp=-1, address="hall", buffer=0)), ["syslog.tcp", "syslog.address", "syslog.buffer"]),
        (Forwarding(journal=Journal(True, ("a b",), "var")), ["journal.directory", "journal.units"]),
    ],
)  # fmt: skip
def test_rules(told: Forwarding, fields_wrong: list[str]) -> None:
    """Each thing that is wrong, by field."""
    assert [field for field, _ in mistakes(told)] == fields_wrong


def test_the_presets_are_those_that_the_forwarder_knows() -> None:
    """Else a job file would promise what no machine keeps."""
    assert set(forwarding_rules.TIMES) == set(times.TIMES)
    assert set(forwarding_rules.LEVELS) == set(levels.LEVELS_OF)
    assert set(forwarding_rules.MULTILINES) == set(multiline.MULTILINES)
    assert set(forwarding_rules.DIRECTIVES) == set(times._DIRECTIVES)


def test_what_a_forwarder_is_told_comes_back_as_it_was() -> None:
    """As text in an environment variable; of a newer framework's what is known."""
    told = parse(FULL)
    assert Forwarding.from_json(told.to_json()) == told
    assert Forwarding.from_json('{"version":1,"tomorrow":2,"syslog":{"udp":1,"tomorrow":2}}').syslog == Syslog(udp=1)
    with pytest.raises(ContractError):
        Forwarding.from_json('{"version":2}')


def test_a_job_file_s_words_are_all_there_is_to_tell() -> None:
    """`Logging`, its spec and `Forwarding` have the same fields with the same defaults, but for what a machine has."""
    theirs = {one.name: one.default for one in fields(Forwarding) if one.name not in ("spool", "host", "until_empty")}
    words = {one.name: one.default for one in fields(Logging) if one.name != "enabled"}
    spec = {name: getattr(LoggingSpec(), name) for name in LoggingSpec.__struct_fields__ if name != "enabled"}
    assert words == spec == {**theirs, "index": ""}


#: A path, hosts and a unit, each alone: the types of these words are the executor's, which has tuples.
TEXTS: tuple[Any, Any, Any] = ("/x", "h[1-2]", "sshd.service")


def test_logging_takes_one_text_where_a_list_is_meant() -> None:
    """As everywhere in a job file."""
    path, hosts, unit = TEXTS
    spec = Logging(files=LogFiles("a", path, hosts=hosts), journal=Journal(True, unit)).spec
    assert spec.files == (LogFiles("a", ("/x",), hosts=("h[1-2]",)),)
    assert spec.journal.units == ("sshd.service",)
    assert decode(encode(Spec(logging=spec))).logging == spec


@pytest.mark.parametrize(
    ("logging", "field"),
    [
        (Logging(files=wrong("x")), "files"),
        (Logging(files=LogFiles("a", wrong(3))), "files[a].paths"),
        (Logging(files=[LogFiles("a", ("/x",), from_start=wrong("no"))]), "files[a].from_start"),
        (Logging(syslog=wrong(514)), "syslog"),
        (Logging(syslog=Syslog(udp=wrong("514"))), "syslog.udp"),
        (Logging(keep=wrong("much")), "keep"),
    ],
)
def test_a_wrong_type_in_logging_is_told_by_field(logging: Logging, field: str) -> None:
    """Where it is written."""
    with pytest.raises(JobError) as caught:
        assert logging.spec
    assert caught.value.field == field


def test_hosts_of_inputs_are_looked_at_too() -> None:
    """By the framework, which knows ranges."""
    mistakes = logging_mistakes(Logging(syslog=Syslog(udp=1, hosts=("a[1",))).spec)
    assert [one.field for one in mistakes] == ["syslog.hosts"]


def complete(logging: Logging) -> Spec:
    """Two machines that run a job, and whatever the logging adds."""
    return with_forwarder(Spec(jobs=(job("a", "hlt[1-2]"),), logging=logging.spec), ("x",), "http://es:9200", "i")


def told(spec: Spec, host: str) -> Forwarding:
    """What the forwarder of this host reads in its environment."""
    forwarder = spec.jobs[-1]
    assert forwarder.name == FORWARDER
    return Forwarding.from_json(payload(forwarder, host, "t").env[FORWARDING_VARIABLE])


CVMFS = LogFiles("cvmfs", ("/var/log/cvmfs.log",), hosts=("cvmfs[1-2]",))
ALL = LogFiles("messages", ("/var/log/messages",))


def test_a_machine_is_told_of_its_own_inputs_only() -> None:
    """One that is named nowhere else gets a forwarder, too."""
    spec = complete(Logging(files=[CVMFS, ALL], syslog=Syslog(udp=514, hosts=("cvmfs1",))))
    assert spec.jobs[-1].hosts == ("hlt[1-2]", "cvmfs[1-2]", "cvmfs1")
    assert [one.name for one in told(spec, "cvmfs2").files] == ["cvmfs", "messages"]
    assert [one.name for one in told(spec, "hlt1").files] == ["messages"]
    assert (told(spec, "cvmfs1").syslog.udp, told(spec, "cvmfs2").syslog.udp) == (514, 0)
    assert told(spec, "cvmfs1").host == "cvmfs1"
    assert (told(spec, "hlt1").elasticsearch, told(spec, "hlt1").index) == ("http://es:9200", "i")


def test_a_changed_input_restarts_the_forwarders_that_it_is_for() -> None:
    """And no job, and no forwarder of another machine."""
    before, after = complete(Logging(files=[CVMFS, ALL])), complete(Logging(files=[ALL, CVMFS], syslog=Syslog(udp=5)))
    only_cvmfs = complete(Logging(files=[ALL, LogFiles("cvmfs", ("/else.log",), hosts=("cvmfs[1-2]",))]))
    assert [(one.job, one.what, one.hosts) for one in plan(after, complete(Logging(files=[ALL, CVMFS]))).changes] == [
        (FORWARDER, "restart", "cvmfs[1-2], hlt[1-2]")
    ]
    assert [
        (one.job, one.what, one.hosts) for one in plan(complete(Logging(files=[ALL, CVMFS])), only_cvmfs).changes
    ] == [(FORWARDER, "restart", "cvmfs[1-2]")]
    forwarder, other = before.jobs[-1], only_cvmfs.jobs[-1]
    assert run_digest(forwarder, "cvmfs1") != run_digest(other, "cvmfs1")


def test_a_machine_that_is_no_longer_named_loses_its_forwarder() -> None:
    """As a job's hosts do."""
    changes = plan(complete(Logging(files=[CVMFS])), complete(Logging())).changes
    assert [(one.what, one.hosts) for one in changes] == [("remove", "cvmfs[1-2]"), ("silent", "hlt[1-2]")]


def test_hosts_of_inputs_alone_are_enough_for_a_forwarder() -> None:
    """A farm of servers without jobs."""
    spec = with_forwarder(Spec(logging=Logging(files=[CVMFS]).spec), ("x",), "http://es:9200", "i")
    assert [one.hosts for one in spec.jobs] == [("cvmfs[1-2]",)]
    assert plan(Spec(), with_forwarder(Spec(), ("x",), "http://es:9200", "i")).changes == ()


def forwarder(hosts: str = "h[1-2]") -> ForwarderSpec:
    """As the framework adds it."""
    return ForwarderSpec(name=FORWARDER, argv=("x",), hosts=(hosts,) if hosts else (), forwarding=Forwarding())


def until_empty(world: World, host: str) -> bool:
    """Whether the forwarder that was launched last on this host ends by itself."""
    text = world.payloads[world.task_of(FORWARDER, host)].env[FORWARDING_VARIABLE]
    return Forwarding.from_json(text).until_empty


def test_a_machine_without_jobs_keeps_a_forwarder_until_all_is_stored() -> None:
    """The last words of its jobs are stored, too, also where the daemon dies meanwhile; then nothing is left there."""
    world = World(["h1", "h2"])
    world.start(job("a", "h[1-2]"), forwarder())
    first, ended = world.task_of(FORWARDER, "h2"), world.task_of("a", "h2")
    world.apply(job("a", "h1"), forwarder("h1"))
    world.report(ended, "TASK_KILLED")
    world.report(first, "TASK_KILLED")
    world.restart()
    world.register()
    world.offers()
    assert until_empty(world, "h2") and not until_empty(world, "h1")
    last = world.task_of(FORWARDER, "h2")
    world.report(last)
    world.apply(job("a", "h1", owner="bob"), forwarder("h1"))
    assert world.task_of(FORWARDER, "h2") == last
    world.report(last, "TASK_FINISHED")
    assert {key for key in world.engine.instances if key[1] == "h2"} == set()


def test_a_machine_that_has_a_job_again_has_its_forwarder_again() -> None:
    """Also where the last one is still at work."""
    world = World(["h1", "h2"])
    world.start(job("a", "h[1-2]"), forwarder())
    world.apply(job("a", "h1"), forwarder("h1"))
    for task in (world.task_of("a", "h2"), world.task_of(FORWARDER, "h2")):
        world.report(task, "TASK_KILLED")
    world.offers()
    last = world.task_of(FORWARDER, "h2")
    world.report(last)
    world.apply(job("a", "h[1-2]"), forwarder())
    world.report(last, "TASK_KILLED")
    world.offers()
    assert not until_empty(world, "h2")


def test_a_forwarder_that_never_ran_has_nothing_to_finish() -> None:
    """A host that was a typing mistake is gone with it; and an operator may end one that waits for a dead Elasticsearch."""
    world = World(["h1", "h2"])
    world.start(job("a", "h1"), forwarder("h[1-3]"))
    world.apply(job("a", "h1"), forwarder("h[1-2]"))
    assert (FORWARDER, "h3") not in world.engine.instances
    world.apply(job("a", "h1"), forwarder("h1"))
    task = world.task_of(FORWARDER, "h2")
    world.say(events.Held(((FORWARDER, "h2"),), "alice", ""))
    world.report(task, "TASK_KILLED")
    assert (FORWARDER, "h2") not in world.engine.instances


def test_a_forwarder_that_has_just_died_is_started_once_more() -> None:
    """What it did not store is there; unless its machine is gone for ever."""
    world = World(["h1", "h2"])
    world.start(job("a", "h1"), forwarder("h[1-2]"))
    world.report(world.task_of(FORWARDER, "h2"), "TASK_FAILED")
    world.apply(job("a", "h1"), forwarder("h1"))
    world.offers()
    assert until_empty(world, "h2")
    world.report(world.task_of(FORWARDER, "h2"), "TASK_GONE_BY_OPERATOR")
    assert (FORWARDER, "h2") not in world.engine.instances


def test_a_machine_that_loses_its_attributes_keeps_a_forwarder_until_all_is_stored() -> None:
    """It came along with the job that was found there, and stays a little longer."""
    world = World(["h1", "h2"])
    world.machines["h2"] = {"rack": "r1"}
    anywhere = job("d", hosts="", attributes={"rack": "r1"})
    world.start(job("a", "h1"), anywhere, forwarder("h1"))
    first = world.task_of(FORWARDER, "h2")
    world.report(first)
    world.machines["h2"] = {}
    world.filtered.clear()
    world.say(events.OffersArrived((world.offer("h2"),)))
    for task in (first, world.task_of("d", "h2")):
        world.report(task, "TASK_KILLED")
    world.offers()
    assert until_empty(world, "h2")
    world.report(world.task_of(FORWARDER, "h2"), "TASK_FINISHED")
    assert not [key for key in world.engine.instances if key[1] == "h2"]


@pytest.mark.parametrize(
    ("logging", "files"),
    [
        (Logging(), ("/ca", "/user", "")),
        (Logging(ca_file="/other"), ("/other", "/user", "")),
        (Logging(api_key_file="/key"), ("/ca", "", "/key")),
        (Logging(elasticsearch="https://elsewhere:9200"), ("", "", "")),
        (Logging(elasticsearch="https://elsewhere:9200", user_file="/mine"), ("", "/mine", "")),
    ],
)
def test_a_secret_of_the_daemons_goes_to_its_own_elasticsearch_alone(
    logging: Logging, files: tuple[str, str, str]
) -> None:
    """The job file overrules each; where it names another server it names its files, too."""
    known = Access("/ca", "/user", "")
    spec = with_forwarder(Spec(jobs=(job("a", "h1"),), logging=logging.spec), ("x",), "https://es:9200", "i", known)
    assert told(spec, "h1").access == files
