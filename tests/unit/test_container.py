"""What the runner of a container is handed and asks for, the stream of lines taken apart: values in, values out."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as some

from daqsched_executor.container.frames import Frames
from daqsched_executor.container.spec import (
    ContainerRefused,
    ContainerSpec,
    Last,
    Volume,
    creation,
    ending,
    last_of,
    name_of,
    volume_of,
)
from daqsched_executor.contract import Container, Payload

PAYLOAD = Payload(
    "readout@hlt01.1", "readout", "hlt01", ("readout", "-v"), release="v7", limits={"nofile": 99}, cpus=0.001, mem=64.0,
    container=Container("daq:7", ("/cvmfs:/cvmfs:ro,slave",), devices=("/dev/pcie40",)),
)  # fmt: skip
SANDBOX = "/var/lib/mesos/slaves/S1/frameworks/F/executors/E/runs/R"
ORDER = ContainerSpec(PAYLOAD, SANDBOX, "F", {"RUN": "7"}, 1000, 100, (100, 33), 3, 4, 5)


def test_an_operator_command_comes_back_from_its_text_as_it_was() -> None:
    """Equal, the payload with its container included."""
    assert ContainerSpec.from_json(ORDER.to_json()) == ORDER


def test_what_the_engine_is_asked_for() -> None:
    """All of the payload, nothing that would give the job more than its account has."""
    body = creation(ORDER)
    host = body["HostConfig"]
    assert (body["Image"], body["Entrypoint"], body["Cmd"]) == ("daq:7", ["readout"], ["-v"])
    assert (body["User"], host["GroupAdd"], body["Env"], body["WorkingDir"]) == ("1000:100", ["33"], ["RUN=7"], SANDBOX)
    assert body["Labels"]["daqsched.sandbox"] == SANDBOX and body["Labels"]["daqsched.instance"] == "readout@hlt01"
    assert (host["Memory"], host["MemorySwap"], host["CpuShares"]) == (64 << 20, 64 << 20, 2)
    assert host["Ulimits"] == [{"Name": "nofile", "Soft": 99, "Hard": 99}]
    assert [(mount["Source"], mount["ReadOnly"]) for mount in host["Mounts"]] == [(SANDBOX, False), ("/cvmfs", True)]
    assert [mount["BindOptions"]["Propagation"] for mount in host["Mounts"]] == ["rprivate", "rslave"]
    assert [device["PathOnHost"] for device in host["Devices"]] == ["/dev/pcie40"]
    assert host["SecurityOpt"] == ["no-new-privileges"] and "Privileged" not in host and "CapAdd" not in host
    assert (host["NetworkMode"], host["RestartPolicy"], host["LogConfig"]["Type"]) == ("host", {"Name": "no"}, "none")


def test_without_limits_none_are_asked_for() -> None:
    """0 means: not limited."""
    host = creation(replace(ORDER, payload=replace(PAYLOAD, mem=0.0, cpus=0.0)))["HostConfig"]
    assert not {"Memory", "MemorySwap", "CpuShares"} & set(host)


@pytest.mark.parametrize(
    ("named", "address"),
    [
        ("", "unix:///var/run/docker.sock"),
        ("/run/podman/podman.sock", "unix:///run/podman/podman.sock"),
        ("tcp://127.0.0.1:2375", "tcp://127.0.0.1:2375"),
    ],
)
def test_where_the_engine_is(named: str, address: str) -> None:
    """A path is a socket's."""
    container = Container("daq:7", engine=named)
    assert replace(ORDER, payload=replace(PAYLOAD, container=container)).engine == address


def test_a_name_is_that_of_the_instance_under_its_agent() -> None:
    """The same for each run and task of it; another one for another host name, framework or agent's work_dir."""
    again = replace(ORDER, payload=replace(PAYLOAD, task_id="readout@hlt01.2"), sandbox=SANDBOX[:-1] + "Q")
    assert name_of(ORDER).startswith("daqsched-readout-hlt01-") and name_of(again) == name_of(ORDER)
    others = [
        replace(ORDER, framework="G"),
        replace(ORDER, payload=replace(PAYLOAD, host="hlt02")),
        replace(ORDER, sandbox=SANDBOX.replace("/lib/", "/lib2/")),
    ]
    assert len({name_of(order) for order in [ORDER, *others]}) == 4


@pytest.mark.parametrize(
    ("text", "volume"),
    [
        ("/a:/b", Volume("/a", "/b", ())),
        ("/a:/b:ro", Volume("/a", "/b", ("ro",))),
        ("/a:/b:rw,slave", Volume("/a", "/b", ("rw", "slave"))),
    ],
)
def test_volumes(text: str, volume: Volume) -> None:
    """Two paths, and options."""
    assert volume_of(text) == volume


@pytest.mark.parametrize("text", ["", "/a", "a:/b", "/a:b", "/a:/b:ro:x", "/a:/b:Z"])
def test_what_is_no_volume_is_refused(text: str) -> None:
    """With the text in the sentence."""
    with pytest.raises(ContainerRefused, match="volume"):
        volume_of(text)


@pytest.mark.parametrize(
    ("code", "success", "ended"),
    [
        (0, (0,), (0, 0)),
        (77, (0,), (77, 0)),
        (128, (0,), (128, 0)),
        (139, (0,), (0, 11)),
        (143, (0, 143), (143, 0)),  # Java's exit code after SIGTERM, which the job calls a success
        (255, (0,), (255, 0)),
    ],
)
def test_how_a_container_ended(code: int, success: tuple[int, ...], ended: tuple[int, int]) -> None:
    """Code and signal, as for a program without a container."""
    assert ending(code, success) == ended


@pytest.mark.parametrize("left", [b"", b"{", b"[]", b"{}", ORDER.to_json()])
def test_a_runner_that_left_no_word_says_nothing(left: bytes) -> None:
    """It was killed before it took its order, or before the end."""
    assert last_of(left) == Last()


def test_a_last_word_is_understood() -> None:
    """As `runner` writes it."""
    assert last_of(b'{"out_of_memory": true, "limit": 64.0}') == Last(True, 64.0)


@given(some.lists(some.tuples(some.sampled_from([1, 2]), some.binary(max_size=40))), some.lists(some.integers(1, 30)))
def test_frames_come_apart_wherever_they_are_cut(parts: list[tuple[int, bytes]], cuts: list[int]) -> None:
    """Each stream's bytes in order, none lost, empty frames included."""
    stream = b"".join(bytes([number, 0, 0, 0]) + len(text).to_bytes(4, "big") + text for number, text in parts)
    frames = Frames()
    found = {1: b"", 2: b""}
    for cut in [*cuts, max(1, len(stream))]:
        piece, stream = stream[:cut], stream[cut:]
        for number, part in frames.split(memoryview(piece)):
            found[number] += bytes(part)
    for number, text in found.items():
        assert text == b"".join(part for other, part in parts if other == number)
