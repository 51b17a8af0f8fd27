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
