"""What the engine is told of Mesos' values, and who may see a secret."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path

import pytest
from click.testing import CliRunner

from builders import job
from daqsched.cli import main
from daqsched.engine import events
from daqsched.engine.commands import TaskToLaunch
from daqsched.errors import UserError
from daqsched.fill import payload
from daqsched.mesos.connection import explain
from daqsched.mesos.credentials import read_credentials
from daqsched.mesos.incoming import event_of, offer_of, report_of
from daqsched.mesos.outgoing import Framework, task_info


def offer_from(raw: dict) -> events.Offer:
    """As it comes: an event's JSON, read as `connection` has it read."""
    event, _ = event_of(json.dumps({"type": "OFFERS", "offers": {"offers": [raw]}}))
    (found,) = event["offers"]["offers"]
    return offer_of(found)


def told(status: dict) -> events.TaskReported:
    """The same of a status update."""
    event, _ = event_of(json.dumps({"type": "UPDATE", "update": {"status": status}}))
    return report_of(event["update"]["status"])


def test_an_offer_that_is_not_understood_is_no_reason_to_have_none() -> None:
    """An agent's operator may have given it anything."""
    good = {"id": {"value": "o"}, "agent_id": {"value": "a"}, "hostname": "hlt01"}
    event, why = event_of(json.dumps({"type": "OFFERS", "offers": {"offers": [{**good, "hostname": 5}, good]}}))
    assert [one.hostname for one in event["offers"]["offers"]] == ["hlt01"] and "hostname" in why
    assert event_of('{"type": "HEARTBEAT"}') == ({"type": "HEARTBEAT"}, "")
    with pytest.raises(ValueError, match="not an event"):
        event_of("{")


def test_only_what_is_a_port_is_one() -> None:
    """A number beyond 64 bits could not be saved."""
    ranges = [(-9, -5), (0, 3), (7, 6), (65530, 10**30), (10**30, 10**31)]
    raw = {"name": "ports", "ranges": {"range": [{"begin": begin, "end": end} for begin, end in ranges]}}
    offer = offer_from({"id": {"value": "o"}, "agent_id": {"value": "a"}, "hostname": "h", "resources": [raw]})
    assert offer.ports == ((1, 3), (65530, 65535))


def scalar(name: str, value: float) -> dict:
    return {"name": name, "type": "SCALAR", "scalar": {"value": value}}


def test_scalars_of_an_offer_are_added_up_and_both_names_are_kept() -> None:
    """Reserved and unreserved memory come as two; ports and unknown resources are not counted."""
    offer = offer_from(
        {
            "id": {"value": "o"},
            "agent_id": {"value": "a"},
            "hostname": "node17.example.org",
            "attributes": [
                {"name": "rack", "type": "TEXT", "text": {"value": "r1"}},
                {"name": "hostname", "type": "TEXT", "text": {"value": "hlt01"}},
            ],
            "resources": [scalar("cpus", 4), scalar("mem", 100), scalar("mem", 28), scalar("gpus", 1)]
            + [{"name": "ports", "type": "RANGES", "ranges": {"range": []}}],
        }
    )
    assert offer.names == ("node17.example.org", "hlt01")
    assert (offer.cpus, offer.mem, offer.disk) == (4.0, 128.0, 0.0)


def test_an_offer_is_summed_up_from_what_it_has_and_lets_that_go() -> None:
    """What a master calls a sum is none of ours; and ten thousand offers are not kept twice."""
    lie = {"id": "x", "agent_id": "x", "names": ["x"], "cpus": 99, "mem": 99, "disk": 99}
    raw = {"id": {"value": "o"}, "agent_id": {"value": "a"}, "hostname": "h", "resources": [scalar("cpus", 4)]}
    raw["attributes"] = [{"name": "slot", "type": "SCALAR", "scalar": {"value": 7}}]
    event, why = event_of(json.dumps({"type": "OFFERS", "offers": {"offers": [{**raw, "summed_up": lie}]}}))
    (found,) = event["offers"]["offers"]
    assert offer_of(found) == events.Offer("o", "a", ("h",), 4.0, 0.0, 0.0, (), {"slot": ("7",)}) and not why
    assert (found.resources, found.attributes) == ((), ())


def test_a_status_update_says_who_speaks() -> None:
    """Only an executor knows how its program is."""
    status = {"task_id": {"value": "t"}, "state": "TASK_RUNNING", "data": b64encode(b"{}").decode(), "uuid": "u"}
    assert told({**status, "source": "SOURCE_EXECUTOR"}).by_executor
    by_master = told({**status, "source": "SOURCE_MASTER", "reason": "REASON_RECONCILIATION"})
    assert not by_master.by_executor and by_master.data == b"{}" and by_master.uuid == "u" and by_master.agent_id == ""


def credentials(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def test_credentials_are_read_from_a_file_that_only_its_owner_sees(tmp_path: Path) -> None:
    """A secret that others can read is none."""
    text = json.dumps({"principal": "daq", "secret": "s"})
    assert read_credentials(credentials(tmp_path / "c", text)) == ("daq", "s")
    with pytest.raises(UserError, match="chmod 600"):
        read_credentials(credentials(tmp_path / "c", text, 0o640))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"principal": "a"}', '{"principal": 1, "secret": "s"}'])
def test_a_wrong_credentials_file_is_one_sentence_without_its_content(tmp_path: Path, text: str) -> None:
    """What a file must look like, not what is in it."""
    with pytest.raises(UserError, match="principal"):
        read_credentials(credentials(tmp_path / "c", text))
    with pytest.raises(UserError, match="No such file"):
        read_credentials(tmp_path / "nothing")


def test_a_refusal_by_the_master_tells_the_next_step() -> None:
    """pymesos raises it in the main thread as a bare RuntimeError."""
    assert "--credentials" in str(explain(RuntimeError("Failed with HTTP 401: b''")))
    assert "does not allow" in str(explain(RuntimeError("Failed with HTTP 403: b''")))


def test_a_container_over_its_memory_is_one_sentence() -> None:
    """The agent's thirty lines of statistics are no reason that fits a line."""
    message = "Memory limit exceeded: Requested: 96MB Maximum Used: 95MB\n\nMEMORY STATISTICS: \ncache 24576\nrss 1\n"
    status = {
        "task_id": {"value": "a@h.1"},
        "state": "TASK_FAILED",
        "reason": "REASON_CONTAINER_LIMITATION_MEMORY",
        "message": message,
    }
    assert told(status).message == "out of memory: used 95 MiB of 96 MiB (with its executor), so the agent ended it"
    assert told({**status, "message": "something new\nmore"}).message == "something new"
    assert told({**status, "reason": "REASON_EXECUTOR_TERMINATED"}).message == message


def test_a_task_reads_well_in_mesos_web_pages() -> None:
    """Its name is the crew's; labels say what it is, and there is none without a value."""
    one = job("readout", release="release-08", owner="trigger")
    told = payload(one, "hlt01", "readout@hlt01.1")
    launch = TaskToLaunch(told, one.cpus, one.mem, one.disk, one.owner, 7)
    info = task_info(Framework("daq"), launch, "agent")
    assert info["name"] == "readout@hlt01" and info["executor"]["name"] == "daqsched readout@hlt01"
    labels = {label["key"]: label["value"] for label in info["labels"]["labels"]}
    assert labels == {"job": "readout", "host": "hlt01", "version": "release-08", "revision": "7", "owner": "trigger"}
    bare = TaskToLaunch(payload(job("a"), "hlt01", "a@hlt01.1"), one.cpus, one.mem, one.disk)
    keys = {label["key"] for label in task_info(Framework("daq"), bare, "agent")["labels"]["labels"]}
    assert keys <= {"job", "host", "version"}


@pytest.mark.parametrize("address", ["control:8080", "javascript:alert(1)", "ftp://control", "//control"])
def test_a_page_of_the_frameworks_own_is_one(address: str) -> None:
    """It becomes a link in Mesos' web pages; what would be none is refused before anything is done."""
    done = CliRunner().invoke(main, ["serve", "--master", "127.0.0.1:1", "--webui-url", address])
    assert done.exit_code == 2 and "write http://HOST... or https://HOST..." in done.output
