"""Between a forwarder and the real Elasticsearch: TLS and secrets, indices that refuse, retention, dead letters."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from daqcluster import Cluster
from daqsched.cli import main
from daqsched.logs import search
from daqsched.logs.setup import Setup
from daqsched_executor.contract.template import Chosen, template
from daqsched_executor.forward.documents.record import index_of
from farm import Farm
from forwarding import ForwarderProcess, Index, Printer
from secure_proxy import SecureProxy, authority, basic
from waiting import until

SECRET = "Tr0ub4dor&3"


@pytest.fixture
def index(cluster: Any) -> Iterator[Index]:
    """Indices of this test's own."""
    made = Index(cluster.elasticsearch_url)
    yield made
    made.remove()


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """An empty spool."""
    return tmp_path / "spool"


def secret(folder: Path, text: str, name: str = "user") -> Path:
    """A file that its owner alone can read."""
    path = folder / name
    path.touch(0o600)
    path.write_text(text + "\n")
    return path


def daqsched(index: Index, *words: str, url: str = "") -> Result:
    """A command, told where the lines are."""
    return CliRunner().invoke(main, [*words, "--elasticsearch", url or index.url, "--index", index.prefix])


def state(spool: Path) -> dict[str, Any]:
    """The forwarder's own counts; the invariant holds."""
    status = spool / "forward" / "status.json"
    until(status.exists, "the forwarder's first status")
    found = json.loads(status.read_text())
    assert found["read"] == sum(found[name] for name in ("stored", "duplicates", "dead", "dropped", "under_way"))
    return dict(found)


# -- TLS and secrets --------------------------------------------------------------------------------------------------


def test_a_password_that_was_changed_is_read_again_and_no_line_is_lost(
    index: Index, spool: Path, tmp_path: Path
) -> None:
    """A wrong one is one sentence, and lines wait; nothing says the secret, and no restart is needed."""
    ca, user = authority(tmp_path / "ca"), secret(tmp_path, f"shipper:{SECRET}")
    with SecureProxy(index.url, ca, tmp_path / "proxy", basic(f"shipper:{SECRET}")) as proxy:
        printer = Printer(spool)
        forwarder = ForwarderProcess(spool, proxy.url, index.prefix, "--ca-file", str(ca), "--user-file", str(user))
        printer.print("first\n")
        until(lambda: (spool / "forward/status.json").exists() and state(spool)["stored"] == 1, "stored through TLS")
        proxy.allowed = {basic("shipper:N3w+Secret")}
        printer.print("second\n")
        until(lambda: "takes no lines: 401 security_exception" in forwarder.errors, "it is said")
        until(lambda: proxy.turned_away > 3, "asked a few times")
        assert forwarder.errors.count("takes no lines") == 1
        command = Path(f"/proc/{forwarder.process.pid}/cmdline").read_bytes().decode()
        user.write_text("shipper:N3w+Secret\n")
        until(lambda: state(spool)["stored"] == 2, "the second is stored", 40)
        assert forwarder.stop() == 0
    assert index.messages() == ["first", "second"]
    assert (state(spool)["dead"], state(spool)["troubles"]) == (0, [])
    said = forwarder.errors + command + "".join(path.read_text() for path in (spool / "forward").glob("*.*"))
    assert not [word for word in (SECRET, "N3w+Secret", basic(f"shipper:{SECRET}")[6:]) if word in said]
    assert "Traceback" not in forwarder.errors and "mode" not in forwarder.errors


def test_an_api_key_is_sent_and_a_file_that_all_can_read_is_said(index: Index, spool: Path, tmp_path: Path) -> None:
    """``encoded`` or its two parts; the mode of the file is a warning and no refusal."""
    ca, key = authority(tmp_path / "ca"), secret(tmp_path, "VuaCfGcBCdbkQm-e5aOx:ui2lp2axTNmsyakw9tvNnw")
    key.chmod(0o644)
    allowed = "ApiKey " + basic("VuaCfGcBCdbkQm-e5aOx:ui2lp2axTNmsyakw9tvNnw")[6:]
    with SecureProxy(index.url, ca, tmp_path / "proxy", allowed) as proxy:
        Printer(spool).print("line\n")
        forwarder = ForwarderProcess(spool, proxy.url, index.prefix, "--ca-file", str(ca), "--api-key-file", str(key))
        until(lambda: (spool / "forward/status.json").exists() and state(spool)["stored"] == 1, "stored")
        assert forwarder.stop() == 0
    assert f"{key} holds a secret and has mode 644" in forwarder.errors and "ui2lp2" not in forwarder.errors


def test_a_server_whose_authority_is_not_ours_gets_nothing(index: Index, spool: Path, tmp_path: Path) -> None:
    """Neither lines nor the password; when the right authority's file is there, lines go on without a restart."""
    ca, user = authority(tmp_path / "ca"), secret(tmp_path, f"shipper:{SECRET}")
    other = authority(tmp_path / "ca", "other")
    mine = tmp_path / "mine.pem"
    mine.write_bytes(other.read_bytes())
    with SecureProxy(index.url, ca, tmp_path / "proxy", basic(f"shipper:{SECRET}")) as proxy:
        Printer(spool).print("line\n")
        forwarder = ForwarderProcess(spool, proxy.url, index.prefix, "--ca-file", str(mine), "--user-file", str(user))
        until(lambda: "CERTIFICATE_VERIFY_FAILED" in forwarder.errors, "said")
        assert proxy.turned_away == 0 and index.messages() == []
        mine.write_bytes(ca.read_bytes())
        until(lambda: state(spool)["stored"] == 1, "stored", 40)
        assert forwarder.stop() == 0


def test_lines_are_read_through_tls_with_a_password(index: Index, tmp_path: Path) -> None:
    """`daqsched logs` and its verbs take the same files; a wrong password is one sentence."""
    ca, user = authority(tmp_path / "ca"), secret(tmp_path, f"reader:{SECRET}")
    with SecureProxy(index.url, ca, tmp_path / "proxy", basic(f"reader:{SECRET}")) as proxy:
        files = ("--elasticsearch-ca", str(ca), "--elasticsearch-user-file", str(user))
        done = daqsched(index, "logs", "setup", *files, url=proxy.url)
        assert done.exit_code == 0, done.output
        assert daqsched(index, "logs", *files, url=proxy.url).exit_code == 0
        user.write_text("reader:wrong\n")
        done = daqsched(index, "logs", *files, url=proxy.url)
        assert done.exit_code == 5 and "does not let us read" in done.output and "wrong" not in done.output
        done = daqsched(index, "deadletter", "list", *files, url=proxy.url)
        assert done.exit_code == 5 and "rejects our credentials" in done.output and "wrong" not in done.output
        done = daqsched(index, "logs", "--elasticsearch-user-file", str(tmp_path / "none"), url=proxy.url)
        assert done.exit_code == 2 and "No such file" in done.output


@pytest.fixture
def farm(cluster: Cluster, index: Index, tmp_path: Path) -> Iterator[Farm]:
    """A daemon that has not begun and knows no Elasticsearch."""
    made = Farm(tmp_path / "farm", cluster.master_url, "", index.prefix)
    yield made
    made.clear()


def test_forwarders_on_agents_use_the_files_that_they_are_told_of(index: Index, farm: Farm, tmp_path: Path) -> None:
    """Those of `serve`, then those of the job file, of which a key takes the place of the daemon's password."""
    ca, user = authority(tmp_path / "ca"), secret(tmp_path, f"shipper:{SECRET}")
    key = secret(tmp_path, "VuaCfGcB:ui2lp2ax", "key")
    with SecureProxy(index.url, ca, tmp_path / "proxy", basic(f"shipper:{SECRET}")) as proxy:
        farm.serve("--elasticsearch", proxy.url, "--elasticsearch-ca", str(ca), "--elasticsearch-user-file", str(user))
        job = 'jobs = [Job("talker", argv=["/bin/sh", "-c", "echo hello; sleep 100000"], hosts="hlt02")]'
        farm.apply(job)
        until(lambda: "hello" in index.messages(), "hello is stored", 60)
        proxy.allowed = {"ApiKey " + basic("VuaCfGcB:ui2lp2ax")[6:]}
        told = f"elasticsearch={proxy.url!r}, ca_file={str(ca)!r}, api_key_file={str(key)!r}"
        farm.apply(f"{job.replace('hello', 'with a key')}\nlogging = Logging({told})")
        until(lambda: "with a key" in index.messages(), "the other is stored", 60)
        assert SECRET not in (farm.run("show", str(farm.jobs(job)), "--json", check=False).stdout + farm.log())
        # the forwarder goes when all is stored: with the daemon's password again, while the proxy is there
        proxy.allowed.add(basic(f"shipper:{SECRET}"))
        farm.run("apply", str(farm.jobs("jobs = []")), "--allow-empty")
        until(lambda: not farm.rows(), "the forwarder has gone", 60)


# -- indices that refuse ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("refuse", "mend", "said"),
    [
        ("/_close", "/_open", "index_closed_exception"),
        ("/_block/write", '{"index.blocks.write": null}', "cluster_block_exception"),
        (
            '{"index.blocks.read_only_allow_delete": true}',
            '{"index.blocks.read_only_allow_delete": null}',
            "blocked by",
        ),
    ],
    ids=["closed", "write-block", "flood-stage"],
)
def test_lines_wait_for_an_index_that_takes_none(index: Index, spool: Path, refuse: str, mend: str, said: str) -> None:
    """Closed by hand, blocked, or by a disk that is too full: a sentence, no dead letter, and all is stored afterwards."""
    name = index_of(index.prefix, time.time_ns() // 1000)

    def change(what: str) -> None:
        if what.startswith("/"):
            index.ask("PUT" if "_block" in what else "POST", f"/{name}{what}")
        else:
            index.ask("PUT", f"/{name}/_settings", json.loads(what))

    index.ask("PUT", f"/{name}", template(index.prefix)["template"])
    change(refuse)
    printer = Printer(spool)
    printer.print("".join(f"{at}\n" for at in range(20)))
    forwarder = ForwarderProcess(spool, index.url, index.prefix)
    until(lambda: said in forwarder.errors, "said")
    change(mend)
    until(lambda: state(spool)["stored"] == 20, "stored", 60)
    assert forwarder.stop() == 0
    assert state(spool)["dead"] == 0 and not (spool / "forward/deadletter.ndjson").exists()


def test_an_index_that_was_deleted_is_made_again(index: Index, spool: Path) -> None:
    """With our template, and the lines that come from then on."""
    printer = Printer(spool)
    forwarder = ForwarderProcess(spool, index.url, index.prefix)
    printer.print("before\n")
    until(lambda: index.messages() == ["before"], "stored")
    index.ask("DELETE", f"/{index_of(index.prefix, time.time_ns() // 1000)}")
    printer.print("after\n")
    until(lambda: index.messages() == ["after"], "stored, too")
    assert forwarder.stop() == 0


# -- dead letters -----------------------------------------------------------------------------------------------------


def poison(index: Index, spool: Path, lines: str, host: str = "hlt01") -> str:
    """Lines into an index whose ``labels`` are numbers; the ones with labels are refused. The index's name."""
    name = index_of(index.prefix, time.time_ns() // 1000)
    if not index.ask("GET", f"/{name}?ignore_unavailable=true"):
        mappings = template(index.prefix)["template"]["mappings"]
        mappings["properties"]["labels"] = {"type": "long"}
        index.ask("PUT", f"/{name}", {"mappings": mappings})
    Printer(spool, host=host).print("good\n")
    Printer(spool, host=host, labels={"run": "7"}).print(lines)
    forwarder = ForwarderProcess(spool, index.url, index.prefix)
    wanted = 1 + lines.count("\n")
    until(lambda: (spool / "forward/status.json").exists() and ended(spool) == wanted, "all have an end")
    assert forwarder.stop() == 0
    index.ask("POST", f"/{index.prefix}-*/_refresh")
    return name


def ended(spool: Path) -> int:
    """How many lines are stored or dead letters."""
    return int(state(spool)["stored"] + state(spool)["dead"])


def test_dead_letters_are_listed_and_replayed_once(index: Index, tmp_path: Path) -> None:
    """By host; refused again while nothing was mended; stored in full afterwards, under their ids, and dead no more."""
    name = poison(index, tmp_path / "a" / "spool", "one\ntwo\n", host="hlt01")
    poison(index, tmp_path / "b" / "spool", "three\n", host="hlt02")
    listed = [json.loads(row) for row in daqsched(index, "deadletter", "list", "--json").output.splitlines()]
    assert [one["message"] for one in listed] == ["one", "two", "three"]
    assert {one["index"] for one in listed} == {name} and all("labels" in one["reason"] for one in listed)
    shown = daqsched(index, "deadletter", "list", "--host", "hlt02").output
    assert "three" in shown and "one" not in shown.replace("one dead", "")
    # nothing was mended yet
    done = daqsched(index, "deadletter", "replay")
    assert done.exit_code == 5 and "0 lines stored, 0 were stored already, 3 are still refused" in done.output
    assert "labels" in done.output
    # mended: the index is made anew
    index.ask("DELETE", f"/{name}")
    index.ask("PUT", f"/{name}", template(index.prefix)["template"])
    assert "3 lines would be sent again" in daqsched(index, "deadletter", "replay", "--dry-run").output
    # interrupted between its two steps: one is there in both forms
    (first,) = [one for one in listed if one["message"] == "one"]
    (hit,) = [hit for hit in index.documents() if hit["_id"] == first["id"]]
    index.ask("PUT", f"/{name}/_create/{first['id']}", json.loads(hit["_source"]["event"]["original"]))
    done = daqsched(index, "deadletter", "replay", "--json")
    assert json.loads(done.output) == {"stored": 2, "found": 1, "refused": 0, "elsewhere": 0}
    hits = {hit["_source"]["message"]: hit for hit in index.documents()}
    assert sorted(hits) == ["one", "three", "two"] and len(index.documents()) == 3
    assert all(hit["_index"] == name and hit["_source"]["labels"] == {"run": "7"} for hit in hits.values())
    assert {one["id"] for one in listed} == {hit["_id"] for hit in hits.values()}
    done = daqsched(index, "deadletter", "replay", "--json")
    assert json.loads(done.output) == {"stored": 0, "found": 0, "refused": 0, "elsewhere": 0}


def test_a_machines_file_is_replayed(index: Index, tmp_path: Path) -> None:
    """What was taken in no form, from the file that the forwarder keeps; what is no such file is said with its line."""
    document = {"@timestamp": "2026-11-23T05:00:00.000000Z", "message": "kept", "host": {"name": "hlt01"}}
    row = {"index": f"{index.prefix}-2026.11.23", "id": "x-1", "reason": "no right", "document": document}
    daqsched(index, "logs", "setup")
    file = tmp_path / "deadletter.ndjson"
    file.write_text(json.dumps(row) + "\n")
    for stored, found in ((1, 0), (0, 1)):
        done = daqsched(index, "deadletter", "replay", "--json", "--file", str(file))
        assert json.loads(done.output) == {"stored": stored, "found": found, "refused": 0, "elsewhere": 0}
    assert index.messages() == ["kept"]
    file.write_text("{}\n")
    done = daqsched(index, "deadletter", "replay", "--file", str(file))
    assert done.exit_code == 2 and f"{file}:1: this is not a dead letter" in done.output


# -- retention --------------------------------------------------------------------------------------------------------


def test_setup_is_idempotent_and_survives_a_forwarders_newer_template(index: Index, spool: Path) -> None:
    """It says what it did; what was chosen stays when an older template is replaced."""
    steps = json.loads(daqsched(index, "logs", "setup", "--dry-run", "--keep", "30d", "--json").output)
    assert {step["outcome"] for step in steps} == {"would", "note"}
    installed = index.ask("GET", "/_index_template")["index_templates"]
    assert index.prefix not in {one["name"] for one in installed}
    steps = json.loads(daqsched(index, "logs", "setup", "--keep", "30d", "--replicas", "0", "--json").output)
    assert [step["outcome"] for step in steps] == ["done", "done", "note"]
    assert "no index lifecycle management" in steps[-1]["detail"] and "30d" in steps[-1]["detail"]
    steps = json.loads(daqsched(index, "logs", "setup", "--json").output)
    assert {step["outcome"] for step in steps} == {"already", "note"}
    # an older forwarder's template, with what was chosen
    old = template(index.prefix, Chosen("30d", 0, ""))
    old["_meta"]["version"] = 1
    index.ask("PUT", f"/_index_template/{index.prefix}", old)
    Printer(spool).print("x\n")
    forwarder = ForwarderProcess(spool, index.url, index.prefix)
    until(lambda: index.messages() == ["x"], "stored")
    assert forwarder.stop() == 0
    (found,) = index.ask("GET", f"/_index_template/{index.prefix}")["index_templates"]
    assert found["index_template"]["_meta"]["chosen"] == {"keep": "30d", "replicas": 0, "policy": ""}
    name = index_of(index.prefix, time.time_ns() // 1000)
    settings = index.ask("GET", f"/{name}/_settings")[name]["settings"]["index"]
    assert settings["number_of_replicas"] == "0" and settings["refresh_interval"] == "500ms"


def test_expire_deletes_old_indices_of_ours_alone(index: Index) -> None:
    """By the date in the name, but none that was made just now: a wrong clock, a backlog. Of another name, none ever."""
    today = index_of(index.prefix, time.time_ns() // 1000 + 5 * 86_400_000_000)
    old = [f"{index.prefix}-2026.01.01", f"{index.prefix}-2026.01", f"{index.prefix}-deadletter-2026.01"]
    others = [today, f"{index.prefix}-2026.01.01-copy", f"{index.prefix}-of-others-2026.01.01"]
    for name in (*old, *others):
        index.ask("PUT", f"/{name}")
    done = daqsched(index, "logs", "expire")
    assert done.exit_code == 2 and "nobody has said how long lines are kept" in done.output
    daqsched(index, "logs", "setup", "--keep", "30d")
    done = daqsched(index, "logs", "expire", "--dry-run")
    assert done.output.count("would") == 0 and "no index is older than 30d" in done.output
    client = search.connect(index.url)
    later = time.time() + 30 * 86400 + 60
    assert [step.outcome for step in Setup(client, index.prefix, True).expire(None, later)] == ["would"] * 3
    assert len(index.ask("GET", f"/{index.prefix}-*")) == 6
    assert [step.outcome for step in Setup(client, index.prefix, False).expire(None, later)] == ["done"] * 3
    client.close()
    assert sorted(index.ask("GET", f"/{index.prefix}-*")) == sorted(others)
    assert "no index is older than 30d" in daqsched(index, "logs", "expire").output
