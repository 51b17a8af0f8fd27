"""`daqsched rights elasticsearch` on a real Elasticsearch with its security on: what its roles let read is what the rules give."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import HTTPError

import pytest
from click.testing import CliRunner

from daqcluster import Cluster
from daqcluster.elasticsearch import User
from daqsched.cli import main
from daqsched.rights.grants import Grants
from daqsched.rights.principal import Principal
from daqsched.rights.rules import read
from daqsched.spec import Spec
from served import Serve
from stored_lines import JOBS, SPEC, VARIANT, Stored, ask, corpus, may_read, store
from waiting import until

PASSWORD, PREFIX = "s3cret-of-a-test", "daqsched-logs"
RIGHTS = """
version: 1
people:
  alice: ["unix:alice"]
  bob: ["unix:bob", "password:bob"]
  carol: ["unix:carol"]
  boss: ["unix:boss"]
  dave: ["unix:dave"]
groups:
  trg: [alice]
  shift: ["unix-group:daq-shift"]
rules:
  - {to: trg, role: expert, owner: trigger, logs: "*"}
  - {to: bob, role: viewer, logs: ["hv_[12]*", "service:sshd@hlt*"]}
  - {to: bob, deny: lines, on: "@hlt02"}
  - {to: carol, role: admin, on: ["@hlt01", "readout*"]}
  - {to: shift, role: shifter, logs: ["readout@hlt[01-02]", "service:cvmfs"]}
  - {to: boss, role: admin}
"""
WHO = {
    "alice": "unix:alice",
    "bob": "unix:bob",
    "carol": "unix:carol",
    "boss": "unix:boss",
    "shifter": "unix-group:daq-shift",
}


class Secure(NamedTuple):
    """A server that knows these people by the roles that were written, and what is stored there."""

    url: str
    lines: list[Stored]
    rights: Path


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secure]:
    folder = tmp_path_factory.mktemp("roles")
    rights = folder / "rights.yaml"
    rights.write_text(RIGHTS)
    serve = Serve(folder)
    made = Cluster(folder / "c", lambda sentence: None)
    try:
        serve.client.apply(Spec(jobs=SPEC.jobs), "first")
        done = CliRunner().invoke(
            main, ["--socket", str(serve.path), "rights", "elasticsearch", str(rights), "--yaml", "--document-level"]
        )
        assert done.exit_code == 0 and not done.stderr, done.output
        people = {name: User(PASSWORD, (), {"none": ["read"]}) for name in WHO}
        made.up(agents=0, elasticsearch_=True, users={"admin": User(PASSWORD), **people})
        config = Path(made.members["elasticsearch"].env["ES_PATH_CONF"]) / "roles.yml"
        config.write_text(config.read_text() + done.stdout)
        with open(config.parent / "users_roles", "a", encoding="utf-8") as file:
            for name in WHO:
                role = "daqsched-unix-group-daq-shift" if name == "shifter" else f"daqsched-{name}"
                file.write(f"{role}:{name}\n")
        url = made.elasticsearch_url
        lines = [as_applied(one) for one in corpus(PREFIX, 5)]
        store(url, f"admin:{PASSWORD}", PREFIX, lines)
        yield Secure(url, lines, rights)
    finally:
        made.down()
        serve.close()


def as_applied(one: Stored) -> Stored:
    """Here each job is on all hosts as its file says."""
    if one.target is not None and one.target[:2] == VARIANT[:2] and not one.target.service:
        return one._replace(target=one.target._replace(owner=JOBS[VARIANT[0]][0], part=JOBS[VARIANT[0]][1]))
    return one


def found_by(secure: Secure, name: str, body: Any) -> Any:
    path = f"/{PREFIX}-*/_search"
    return ask(secure.url, f"{name}:{PASSWORD}", "POST", path, {"size": 1000, **body})


@pytest.fixture(scope="module")
def licensed(secure: Secure) -> Secure:
    """With a trial of what has document-level security; for the rest of the tests."""
    done = ask(secure.url, f"admin:{PASSWORD}", "POST", "/_license/start_trial?acknowledge=true")
    assert done["trial_was_started"]
    return secure


def test_without_the_licence_a_role_for_some_lines_reads_none(secure: Secure) -> None:
    """Elasticsearch leaves such a role out; and one that reads all reads all."""

    def heeded() -> bool:
        try:
            return bool(found_by(secure, "boss", {"query": {"match_all": {}}})["hits"]["hits"])
        except HTTPError:
            return False

    until(heeded, "the roles are known", 60)
    for name in ("alice", "bob", "carol", "shifter"):
        try:
            assert not found_by(secure, name, {"query": {"match_all": {}}})["hits"]["hits"]
        except HTTPError:
            continue


@pytest.mark.parametrize("name", WHO)
def test_what_a_role_lets_read_is_what_the_rules_give(licensed: Secure, name: str) -> None:
    """Searches, counts and every canary: compared with the pure function for each stored line."""
    secure = licensed
    grants = Grants(read(RIGHTS, "rights.yaml"), Principal(name, frozenset([WHO[name]])))
    whole = name == "boss"
    readable = {one.id for one in secure.lines if whole or may_read(grants, one)}
    if name == "shifter":  # nobody knows whether bob is one: what he is denied is denied to the group
        readable -= {one.id for one in secure.lines if one.target is not None and one.target.host == "hlt02"}

    def heeded() -> bool:
        return bool(found_by(secure, name, {"query": {"match_all": {}}})["hits"]["hits"])

    until(heeded, "the roles are read again, with the licence", 60)
    hits = found_by(secure, name, {"query": {"match_all": {}}})["hits"]["hits"]
    assert {hit["_id"] for hit in hits} == readable
    assert 0 < len(readable) < len(secure.lines) or whole
    for one in secure.lines:
        canary = one.words.split()[-1]
        text = json.dumps(found_by(secure, name, {"query": {"match": {"message": canary}}, "_source": False}))
        assert (one.id in text) is (one.id in readable), (name, one)
    aggs = {"all": {"global": {}, "aggs": {"jobs": {"terms": {"field": "service.name", "size": 100}}}}}
    counted = found_by(secure, name, {"size": 0, "aggs": aggs})["aggregations"]["all"]["jobs"]["buckets"]
    jobs = {one.source["service"]["name"] for one in secure.lines if one.id in readable and one.target is not None}
    assert whole or {bucket["key"] for bucket in counted} == jobs
