"""What the engine is told of Mesos' values, and who may see a secret."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import job
from daqsched.cli import main
from daqsched.engine import events
from daqsched.engine.commands import TaskToLaunch
from daqsched.engine.resources import Offer
from daqsched.errors import UserError
from daqsched.fill import payload
from daqsched.mesos.connection import explain
from daqsched.mesos.credentials import read_credentials
from daqsched.mesos.incoming import event_of, offer_of, update_of
from daqsched.mesos.outgoing import Framework, task_info
from daqsched.mesos.resources import RemainingResources


def offer_from(raw: dict[str, Any]) -> Offer:
    """As it comes: an event's JSON, read as `connection` has it read."""
    event, _ = event_of(json.dumps({"type": "OFFERS", "offers": {"offers": [raw]}}))
    (found,) = event["offers"]["offers"]
    return offer_of(found)


def told(status: dict[str, Any]) -> events.TaskReported:
    """The same of a status update."""
    event, _ = event_of(json.dumps({"type": "UPDATE", "update": {"status": status}}))
    return update_of(event["update"]["status"])


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


def scalar(name: str, value: float) -> dict[str, Any]:
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


STATIC = {"role": "daq"}
DYNAMIC = {"role": "daq", "reservation": {"principal": "op", "labels": {"labels": [{"key": "k", "value": "v"}]}}}
REFINED = {"reservations": [{"type": "STATIC", "role": "daq"}, {"type": "DYNAMIC", "role": "daq/hlt"}]}


def offered(*resources: dict[str, Any]) -> Offer:
    """By a machine called h."""
    return offer_from({"id": {"value": "o"}, "agent_id": {"value": "a"}, "hostname": "h", "resources": list(resources)})


def test_an_offer_without_reservations_is_only_its_sums() -> None:
    """It is the rule, and there are thousands: nothing else is kept of them."""
    assert offered({**scalar("cpus", 4), "role": "*", "allocation_info": {"role": "daq"}}).portions == ()


def test_somebody_s_volume_and_a_whole_disk_are_none_that_a_task_takes_a_share_of() -> None:
    """Nor is what the agent may take back at any time."""
    volume = {**scalar("disk", 500), **DYNAMIC, "disk": {"persistence": {"id": "p"}, "volume": {"mode": "RW"}}}
    whole = {**scalar("disk", 900), "disk": {"source": {"type": "MOUNT", "mount": {}}}}
    offer = offered(volume, whole, {**scalar("cpus", 1), "revocable": {}}, {**scalar("disk", 70), **STATIC})
    assert (offer.cpus, offer.disk) == (0.0, 70.0)
    assert [(one.name, one.amount) for one in offer.portions] == [("disk", 70.0)]


@pytest.mark.parametrize("words", [STATIC, DYNAMIC, REFINED], ids=["static", "dynamic", "refined"])
def test_a_share_of_what_is_reserved_is_asked_for_in_the_offer_s_words(words: dict[str, Any]) -> None:
    """What is reserved goes first; a task may need of both; each port comes out of where it is."""
    ports = {"name": "ports", "type": "RANGES", "ranges": {"range": [{"begin": 31000, "end": 31009}]}, **words}
    anybodys = {**ports, "ranges": {"range": [{"begin": 32000, "end": 32009}]}}
    for word in words:
        del anybodys[word]
    offer = offered(scalar("cpus", 8), {**scalar("cpus", 0.15), **words}, scalar("mem", 64), ports, anybodys)
    remaining = RemainingResources("daq", offer.portions)
    allocated = {"allocation_info": {"role": "daq"}}
    assert remaining.scalars(cpus=0.1) == [{**scalar("cpus", 0.1), **words, **allocated}]
    shares = remaining.scalars(cpus=0.1, mem=32.0, disk=0.0)
    assert shares == [
        {**scalar("cpus", 0.05), **words, **allocated},
        {**scalar("cpus", 0.05), **allocated},
        {**scalar("mem", 32.0), **allocated},
    ]
    one, other = remaining.ports([32001, 31002])
    assert one == {**ports, "ranges": {"range": [{"begin": 31002, "end": 31002}]}, **allocated}
    assert other == {**anybodys, "ranges": {"range": [{"begin": 32001, "end": 32001}]}, **allocated}


@settings(deadline=None)
@given(
    has=st.lists(st.tuples(st.integers(1, 4000), st.booleans()), min_size=1, max_size=6),
    wants=st.lists(st.integers(1, 1500), max_size=8),
)
def test_shares_come_to_what_was_asked_for_and_no_portion_gives_more_than_it_has(
    has: list[tuple[int, bool]], wants: list[int]
) -> None:
    """In thousandths, as Mesos counts."""
    portions = offered(*({**scalar("cpus", n / 1000), **(STATIC if mine else {})} for n, mine in has)).portions
    remaining = RemainingResources("daq", portions)
    taken = {True: 0, False: 0}
    for want in wants:
        if want > sum(n for n, _ in has) - sum(taken.values()):
            break
        shares = remaining.scalars(cpus=want / 1000)
        amounts = [(round(one["scalar"]["value"] * 1000), one.get("role") == "daq") for one in shares]
        assert sum(n for n, _ in amounts) == want
        for n, mine in amounts:
            taken[mine] += n
    assert all(taken[mine] <= sum(n for n, of in has if of == mine) for mine in taken)
    assert not taken[False] or not portions or taken[True] == sum(n for n, mine in has if mine)


def test_a_launch_takes_each_task_s_and_each_executor_s_share_of_one_offer() -> None:
    """What two tasks and their executors ask for in one kind's words is no more than there is of that kind."""
    offer = offered({**scalar("cpus", 0.25), **STATIC}, scalar("cpus", 4), {**scalar("mem", 4096), **STATIC})
    remaining = RemainingResources("daq", offer.portions)
    made = job("readout")
    infos = [
        task_info(
            Framework("daq", role="daq"), TaskToLaunch(payload(made, "h", f"t{n}", {}), 0.2, 64.0, 0.0), "a", remaining
        )
        for n in range(2)
    ]
    found = [one for info in infos for part in (info, info["executor"]) for one in part["resources"]]
    mine = sum(one["scalar"]["value"] for one in found if one["name"] == "cpus" and one.get("role") == "daq")
    assert round(mine, 3) == 0.25
    assert round(sum(one["scalar"]["value"] for one in found if one["name"] == "cpus"), 3) == 0.42
    assert all(one.get("role") == "daq" for one in found if one["name"] == "mem")


def test_an_offer_is_summed_up_from_what_it_has_and_lets_that_go() -> None:
    """What a master calls a sum is none of ours; and ten thousand offers are not kept twice."""
    lie = {"id": "x", "agent_id": "x", "names": ["x"], "cpus": 99, "mem": 99, "disk": 99}
    raw = {"id": {"value": "o"}, "agent_id": {"value": "a"}, "hostname": "h", "resources": [scalar("cpus", 4)]}
    raw["attributes"] = [{"name": "slot", "type": "SCALAR", "scalar": {"value": 7}}]
    event, why = event_of(json.dumps({"type": "OFFERS", "offers": {"offers": [{**raw, "summed_up": lie}]}}))
    (found,) = event["offers"]["offers"]
    assert offer_of(found) == Offer("o", "a", ("h",), 4.0, 0.0, 0.0, (), {"slot": ("7",)}) and not why
    assert (found.resources, found.attributes) == ((), ())


def test_an_offer_says_when_its_machine_will_not_be_there() -> None:
    """By the maintenance schedule, in nanoseconds; without a duration there is no end."""
    bare = {"id": {"value": "o"}, "agent_id": {"value": "a"}, "hostname": "h"}
    start = {"start": {"nanoseconds": 2_000_000_000}}
    assert offer_from(bare).away is None
    assert offer_from({**bare, "unavailability": start}).away == (2.0, float("inf"))
    whole = {**start, "duration": {"nanoseconds": 500_000_000}}
    assert offer_from({**bare, "unavailability": whole}).away == (2.0, 2.5)


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


@pytest.mark.parametrize("state", ["TASK_FAILED", "TASK_RUNNING"])
def test_of_a_machine_that_is_back_the_master_has_no_reason(state: str) -> None:
    """It says the same of what runs on and of what has ended; `unasked_ends` has the crew's words."""
    status = {"task_id": {"value": "a@h.1"}, "state": state, "message": "Unreachable agent re-reregistered"}
    assert told(status).message == ""


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
