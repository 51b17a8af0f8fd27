"""What the network of machines leaves on this computer: nothing, also after its engine was killed in the middle of an end."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from daqcluster.machines import network

NUMBER = os.getpid() % 10**7


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make interfaces")
def test_cables_that_a_dead_engine_left_go_and_no_others() -> None:
    """Both ends of ours, known by the address that the engine gives them; another farm's stay."""
    ours, others = f"va{NUMBER}", f"vb{NUMBER}"
    try:
        for name, address in ((ours, "02:42:ac:1e:fe:0a"), (others, "02:42:ac:1e:fd:0a")):
            words = ["ip", "link", "add", name, "address", address, "type", "veth", "peer", "name", f"{name}p"]
            subprocess.run(words, check=True, timeout=10)
        network.remove(f"daq-{NUMBER}", "")
        network.remove(f"daq-{NUMBER}", "172.30.254")
        there = {place.name for place in Path("/sys/class/net").iterdir()}
        assert not {ours, f"{ours}p"} & there and {others, f"{others}p"} <= there
    finally:
        for name in (ours, others):
            subprocess.run(["ip", "link", "delete", name], capture_output=True, timeout=10)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make interfaces")
def test_a_cable_whose_machine_is_gone_goes_with_its_bridge() -> None:
    """Its address is any: that it is plugged into our bridge says whose it is. The kernel takes minutes for that."""
    bridge, cable = f"daq-{NUMBER}", f"vc{NUMBER}"
    try:
        for words in (
            ["add", bridge, "type", "bridge"],
            ["add", cable, "type", "veth", "peer", "name", f"{cable}p"],
            ["set", cable, "master", bridge],
        ):
            subprocess.run(["ip", "link", *words], check=True, timeout=10)
        network.remove(bridge, "")
        there = {place.name for place in Path("/sys/class/net").iterdir()}
        assert not {bridge, cable, f"{cable}p"} & there
    finally:
        for name in (cable, bridge):
            subprocess.run(["ip", "link", "delete", name], capture_output=True, timeout=10)
