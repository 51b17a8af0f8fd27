"""The diff that an apply shows, and the digests that it rests on."""

from __future__ import annotations

from builders import job
from daqsched.digests import digest, rules_digest, run_digest
from daqsched.forwarder import with_forwarder
from daqsched.spec import FORWARDER, JobSpec, Spec, decode, encode
from daqsched.views.plan import in_maintenance, named, plan
from daqsched_executor.contract import Restart


def changes(old: tuple[JobSpec, ...], new: tuple[JobSpec, ...]) -> list[tuple[str, str, str, int]]:
    return [(c.job, c.what, c.hosts, c.count) for c in plan(Spec(jobs=old), Spec(jobs=new)).changes]


def test_equal_specs_change_nothing() -> None:
    """The same file applied twice is no change, wherever it lies."""
    assert changes((job(),), (job(),)) == []
    assert digest(Spec(jobs=(job(),), source="a")) == digest(Spec(jobs=(job(),), source="b"))


def test_jobs_and_hosts_come_and_go() -> None:
    """Each job's line names the hosts that it is about."""
    old = (job("a", "h[1-3]"), job("b"))
    new = (job("a", "h[2-5]"), job("c"))
    assert changes(old, new) == [
        ("a", "add", "h[4-5]", 2),
        ("a", "remove", "h1", 1),
        ("c", "add", "hlt01", 1),
        ("b", "remove", "hlt01", 1),
    ]


def test_a_change_says_what_differs_and_whether_it_restarts() -> None:
    """A crew sees the version that it changed."""
    (change,) = plan(Spec(jobs=(job(release="r1"),)), Spec(jobs=(job(release="r2", owner="bob"),))).changes
    assert change.what == "restart" and change.why == ("version r1 -> r2", "owner none -> bob")
    (change,) = plan(Spec(jobs=(job(),)), Spec(jobs=(job(owner="bob"),))).changes
    assert change.what == "silent"


def test_what_begins_on_a_machine_in_maintenance_is_warned_of() -> None:
    """By the master's schedule, hosts of one window in one sentence; not of what only ends there, or is over."""
    wherever = job("w", hosts="", attributes={"rack": "r1"})
    jobs = (job("a", "hlt[01-07]"), job("b", "hlt08", release="r2"), wherever, job("gone", "hlt01"))
    found = plan(
        Spec(jobs=(job("a", "hlt[01-06]"), job("b", "hlt08"), jobs[-1])),
        Spec(jobs=jobs[:-1]),
        lambda one: named(one) or ("hlt09", "hlt10"),
    )
    away = {
        "hlt08": (0.0, 7200.0),
        "hlt09": (3600.0, 7200.0),
        "hlt07": (0.0, 60.0),
        "hlt01": (0.0, 9e9),
        "x": (0.0, 9.0),
    }
    said = in_maintenance(found, away, 60.0)
    assert said == (
        "the master's maintenance schedule has hlt07 unavailable until 1970-01-01 00:01:00 UTC: what starts there may be ended by "
        "that; `daqsched aside hlt07 --for 2h` keeps it away",
        "the master's maintenance schedule has hlt08 unavailable until 1970-01-01 02:00:00 UTC: what starts there may be ended by "
        "that; `daqsched aside hlt08 --for 2h` keeps it away",
        "the master's maintenance schedule has hlt09 unavailable from 1970-01-01 01:00:00 UTC, until 1970-01-01 02:00:00 UTC: what "
        "starts there may be ended by that; `daqsched aside hlt09 --for 2h` keeps it away",
    )
    assert (
        in_maintenance(plan(Spec(jobs=jobs), Spec(jobs=jobs[:-1])), away, 60.0) == in_maintenance(found, {}, 60.0) == ()
    )
    assert in_maintenance(plan(Spec(), Spec(jobs=(wherever,))), away, 60.0) == (), "no machine is known yet"


def test_the_run_digest_knows_what_a_program_can_see() -> None:
    """More hosts or another owner restart nothing; an argument does."""
    assert run_digest(job(hosts="a")) == run_digest(job(hosts="b", owner="x", critical=False))
    assert run_digest(job()) != run_digest(job(argv=("/bin/true", "-v")))


def test_equal_specs_have_equal_bytes() -> None:
    """Canonical: the order in which a dictionary was written does not matter."""
    one, two = job(env={"A": "1", "B": "2"}), job(env={"B": "2", "A": "1"})
    assert encode(Spec(jobs=(one,))) == encode(Spec(jobs=(two,)))


def test_every_host_of_the_file_gets_a_forwarder() -> None:
    """One, however many jobs it has, and none where logging is off."""
    spec = with_forwarder(
        Spec(jobs=(job("a", "h[1-2]"), job("b", "h2"))), ("/x/daqsched-executor",), "http://es:9200", "i"
    )
    assert spec.jobs[-1].name == FORWARDER and spec.jobs[-1].hosts == ("h[1-2]", "h2")
    assert spec.jobs[-1].argv[:4] == ("/x/daqsched-executor", "forward", "--elasticsearch", "http://es:9200")
    assert with_forwarder(Spec(jobs=(job(),)), ("x",), "", "i").jobs == (job(),)


def test_what_is_written_down_but_is_the_default_changes_no_digest() -> None:
    """Nor does a field that a newer daqsched knows and a job does not use: an upgrade restarts nothing."""
    written = decode(
        b'{"jobs":[{"name":"a","argv":["/x"],"hosts":["h"],"cpus":0.1,"lock":true,"restart":{"cap_s":60}}]}'
    )
    bare = Spec(jobs=(JobSpec(name="a", argv=("/x",), hosts=("h",)),))
    assert encode(written) == encode(bare) == b'{"jobs":[{"argv":["/x"],"hosts":["h"],"name":"a"}]}'
    assert run_digest(written.jobs[0]) == run_digest(bare.jobs[0])


def test_when_the_framework_gives_up_is_no_business_of_a_running_program() -> None:
    """Its executor never reads it."""
    assert run_digest(job()) == run_digest(job(restart=Restart(give_up=3)))
    assert rules_digest(job()) == rules_digest(job(restart=Restart(give_up=3)))
    assert rules_digest(job()) != rules_digest(job(restart=Restart(budget=3)))
