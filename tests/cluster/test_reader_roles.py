"""`daqsched rights elasticsearch` on a real Elasticsearch with its security on: what its roles let read is what the rules give."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import HTTPError

import pytest
from click.testing import CliRunner, Result

from daqcluster import Cluster
from daqsched.cli import main
from daqsched.rights.grants import Grants
from daqsched.rights.principal import Principal
from daqsched.rights.rules import read
from daqsched.spec import Spec
from secured import ADMIN, PASSWORD, WHO
from served import Serve
from stored_lines import JOBS, SPEC, VARIANT, Stored, ask, corpus, may_read, store
from waiting import until

PREFIX = "daqsched-logs"
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


class Secure(NamedTuple):
    """A server that knows these people by the roles that were written, and what is stored there."""

    url: str
    lines: list[Stored]
    folder: Path
    socket: Path

    def apply(self, text: str = RIGHTS, *more: str) -> Result:
        """`rights elasticsearch --apply` of such a file, as the administrator."""
        rights, user = self.folder / "rights.yaml", self.folder / "admin"
        rights.write_text(text)
        words = ["--socket", str(self.socket), "rights", "elasticsearch", str(rights), "--apply", "--index", PREFIX]
        words += ["--passwords-in", str(self.folder / "passwords")]
        where = ["--elasticsearch", self.url, "--elasticsearch-user-file", str(user)]
        return CliRunner().invoke(main, [*words, *where, *more])

    def who(self, name: str) -> str:
        """Name and password: of the file of passwords, or of those who were known from the first."""
        path = self.folder / "passwords" / name
        return path.read_text().strip() if path.exists() else f"{name}:{PASSWORD}"

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """As the administrator."""
        return ask(self.url, ADMIN, method, path, body)

    def kept(self) -> str:
        """All roles and users."""
        return json.dumps([self.ask("GET", f"/_security/{kind}") for kind in ("role", "user")], sort_keys=True)


@pytest.fixture(scope="module")
def secure(empty: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secure]:
    folder = tmp_path_factory.mktemp("roles")
    rights = folder / "rights.yaml"
    rights.write_text(RIGHTS)
    (folder / "admin").touch(0o600)
    (folder / "admin").write_text(f"admin:{PASSWORD}\n")
    serve = Serve(folder)
    try:
        serve.client.apply(Spec(jobs=SPEC.jobs), "first")
        done = CliRunner().invoke(
            main, ["--socket", str(serve.path), "rights", "elasticsearch", str(rights), "--yaml", "--document-level"]
        )
        assert done.exit_code == 0 and not done.stderr, done.output
        config = Path(empty.members["elasticsearch"].env["ES_PATH_CONF"]) / "roles.yml"
        # by other names than those that --apply makes: a role of a file hides one of its name
        config.write_text(config.read_text() + re.sub(r"^daqsched-", "filed-", done.stdout, flags=re.MULTILINE))
        with open(config.parent / "users_roles", "a", encoding="utf-8") as file:
            for name in WHO:
                role = "filed-unix-group-daq-shift" if name == "shifter" else f"filed-{name}"
                file.write(f"{role}:file-{name}\n")
        url = empty.elasticsearch_url
        lines = [as_applied(one) for one in corpus(PREFIX, 5)]
        # and another farm's, whose indices begin as ours do: they are nobody's here
        theirs = [one._replace(id=f"b-{one.id}", place=f"{PREFIX}-b{one.place[len(PREFIX) :]}") for one in lines]
        store(url, ADMIN, PREFIX, [*lines, *theirs])
        yield Secure(url, lines, folder, serve.path)
    finally:
        serve.close()


def as_applied(one: Stored) -> Stored:
    """Here each job is on all hosts as its file says."""
    if one.target is not None and one.target[:2] == VARIANT[:2] and not one.target.service:
        return one._replace(target=one.target._replace(owner=JOBS[VARIANT[0]][0], part=JOBS[VARIANT[0]][1]))
    return one


def found_by(secure: Secure, name: str, body: Any) -> Any:
    path = f"/{PREFIX}-*/_search"
    return ask(secure.url, secure.who(name), "POST", path, {"size": 1000, **body})


def read_by(secure: Secure, name: str) -> set[str]:
    """The lines that somebody is given who asks for all; none where he is nobody, or may ask for nothing."""
    try:
        return {hit["_id"] for hit in found_by(secure, name, {"query": {"match_all": {}}})["hits"]["hits"]}
    except HTTPError:
        return set()


def known_by_now(secure: Secure, name: str) -> bool:
    """Whether the roles of its file are in force. Users and roles are files of their own, read again one after the other: who asks
    between them, with a role that is not there yet, is remembered as such, so Elasticsearch is told to forget that."""
    secure.ask("POST", "/_security/role/*/_clear_cache")
    return bool(read_by(secure, name))


def readable(secure: Secure, name: str, text: str = RIGHTS) -> set[str]:
    """Those that the rules give, by the pure function."""
    grants = Grants(read(text, "rights.yaml"), Principal(name, frozenset([WHO[name]])))
    found = {one.id for one in secure.lines if name == "boss" or may_read(grants, one)}
    if name == "shifter":  # nobody knows whether bob is one: what he is denied is denied to the group
        found -= {one.id for one in secure.lines if one.target is not None and one.target.host == "hlt02"}
    return found


@pytest.fixture(scope="module")
def licensed(secure: Secure) -> Secure:
    """With a trial of what has document-level security, and the roles and users that `--apply` makes then; for the rest of the
    tests."""
    done = secure.ask("POST", "/_license/start_trial?acknowledge=true")
    assert done["trial_was_started"]
    applied = secure.apply()
    assert applied.exit_code == 0 and not applied.stderr, applied.output
    secure.ask("PUT", "/_security/user/shifter", {"password": PASSWORD, "roles": ["daqsched-unix-group-daq-shift"]})
    return secure


def test_without_the_licence_a_role_for_some_lines_reads_none(secure: Secure) -> None:
    """Elasticsearch leaves such a role out, and --apply makes none; one that reads all reads all."""
    done = secure.apply()
    assert done.exit_code == 0 and done.stdout.count("done  ") == 2, done.output
    assert done.stderr.count("the daemon searches for him") == len(WHO) - 1
    until(lambda: known_by_now(secure, "file-boss"), "the roles of the file are known", 60)
    assert len(read_by(secure, "boss")) == len(secure.lines)
    for name in WHO:
        if name != "boss":
            assert not read_by(secure, f"file-{name}") and not read_by(secure, name)


@pytest.mark.parametrize("way", ["", "file-"])
@pytest.mark.parametrize("name", WHO)
def test_what_a_role_lets_read_is_what_the_rules_give(licensed: Secure, name: str, way: str) -> None:
    """By --apply and by a file: searches, counts and every canary, compared with the pure function for each stored line."""
    secure = licensed
    whole, wanted = name == "boss", readable(licensed, name)
    user = f"{way}{name}"
    until(lambda: known_by_now(secure, user), "the roles are read again, with the licence", 60)
    assert read_by(secure, user) == wanted
    assert 0 < len(wanted) < len(secure.lines) or whole
    for one in secure.lines:
        canary = one.words.split()[-1]
        text = json.dumps(found_by(secure, user, {"query": {"match": {"message": canary}}, "_source": False}))
        assert (one.id in text) is (one.id in wanted), (user, one)
    aggs = {"all": {"global": {}, "aggs": {"jobs": {"terms": {"field": "service.name", "size": 100}}}}}
    counted = found_by(secure, user, {"size": 0, "aggs": aggs})["aggregations"]["all"]["jobs"]["buckets"]
    jobs = {one.source["service"]["name"] for one in secure.lines if one.id in wanted and one.target is not None}
    assert whole or {bucket["key"] for bucket in counted} == jobs


def test_a_second_time_changes_nothing_and_says_so(licensed: Secure) -> None:
    """Compared with what Elasticsearch keeps, which is written otherwise than it was sent."""
    before = licensed.kept()
    done = licensed.apply()
    assert done.exit_code == 0 and "Nothing is to be changed" in done.stdout and "done " not in done.stdout, done.output
    assert licensed.kept() == before


def test_a_right_that_is_taken_away_goes_and_a_dry_run_tells_before(licensed: Secure) -> None:
    """Less of the lines, and all of them: at once, for those who are known there; and comes back with the right."""
    less = RIGHTS.replace('"hv_[12]*", ', "").replace("to: carol, role: admin", "to: carol, role: viewer")
    before = licensed.kept()
    told = licensed.apply(less, "--dry-run")
    assert told.exit_code == 0 and licensed.kept() == before
    would = [
        line.partition(":")[0].split(maxsplit=1)[1] for line in told.stdout.splitlines() if line.startswith("would ")
    ]
    assert sorted(would) == ["role daqsched-bob", "role daqsched-carol", "user carol"], told.output
    done = licensed.apply(less)
    assert done.exit_code == 0 and done.stdout == told.stdout.replace("would", "done "), done.output
    assert read_by(licensed, "bob") == readable(licensed, "bob", less) < readable(licensed, "bob")
    assert not read_by(licensed, "carol") and not readable(licensed, "carol", less)
    assert read_by(licensed, "alice") == readable(licensed, "alice")
    assert licensed.apply().exit_code == 0 and licensed.kept() == before
    assert read_by(licensed, "carol") == readable(licensed, "carol"), "with the password that he had"


def test_a_file_in_the_way_is_told_before_anything_is_changed(licensed: Secure) -> None:
    """Of the second new user's password; without it all is done."""
    more = RIGHTS + '  - {to: ["unix:dora", "unix:emil", "unix:fred"], role: viewer, logs: "readout"}\n'
    wrong = licensed.folder / "passwords" / "emil"
    wrong.write_text("not one of ours\n")
    before = licensed.kept()
    done = licensed.apply(more)
    assert done.exit_code == 2 and "nothing was changed" in done.stderr and str(wrong) in done.stderr, done.output
    assert licensed.kept() == before
    wrong.unlink()
    done = licensed.apply(more)
    assert done.exit_code == 0 and done.stdout.count("done  ") == 6, done.output
    of_readout = {one.id for one in licensed.lines if one.target is not None and one.target[0::4] == ("readout", False)}
    for name in ("dora", "emil", "fred"):
        assert read_by(licensed, name) <= of_readout and read_by(licensed, name)
    assert licensed.apply().exit_code == 0
    assert not any(read_by(licensed, name) for name in ("dora", "emil", "fred"))


def test_who_may_not_change_security_is_told_and_changes_nothing(licensed: Secure) -> None:
    """One sentence that names the right that is missing; those of the page are enough."""
    before = licensed.kept()

    def by(name: str, *more: str) -> Result:
        user = licensed.folder / f"as-{name}"
        user.touch(0o600)
        user.write_text(f"{name}:{PASSWORD}\n")
        return licensed.apply(RIGHTS, "--elasticsearch-user-file", str(user), *more)

    for name, right, more in (
        ("file-boss", "monitor", ()),
        ("file-boss", "manage_security", ("--document-level",)),
        ("blind", "monitor", ()),
    ):
        done = by(name, *more)
        assert done.exit_code == 5 and f"the cluster's right {right})" in done.stderr, done.output
    for name, more in (("keeper", ()), ("blind", ("--document-level",))):
        done = by(name, *more)
        assert done.exit_code == 0 and "Nothing is to be changed" in done.stdout, done.output
    assert licensed.kept() == before


def test_addresses_of_mail_are_taken_apart_as_the_official_module_does(licensed: Secure) -> None:
    """What of the server is ours: an index with the analyzer that the one of users and roles has."""
    settings = licensed.ask("GET", "/.security/_settings")
    (kept,) = (one["settings"]["index"]["analysis"] for one in settings.values())
    licensed.ask("PUT", "/tried-analysis", {"settings": {"analysis": kept}})
    text = {"analyzer": "email", "text": "Jo.Doe7@daq.example.org Jo.Doe7@daq.example.org http://x.org/a"}
    tokens = [one["token"] for one in licensed.ask("POST", "/tried-analysis/_analyze", text)["tokens"]]
    assert tokens[0] == "jo.doe7@daq.example.org" and {"jo.doe7", "daq.example.org", "doe", "7"} <= set(tokens)
    assert "http://x.org/a" in tokens and len(tokens) == len(set(tokens))
    licensed.ask("DELETE", "/tried-analysis")
