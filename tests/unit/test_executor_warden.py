"""Whether an executor needs a warden: what /proc/self/cgroup looks like under Mesos' launchers."""

from __future__ import annotations

import pytest

from daqsched_executor.machine.warden import contained

RUN = "ed09f83d-21c4-4961-b159-6baa0eb07658"
ENVIRON = {"MESOS_DIRECTORY": f"/work/slaves/S0/frameworks/F/executors/E/runs/{RUN}"}


@pytest.mark.parametrize(
    ("cgroups", "found"),
    [
        (f"9:name=systemd:/\n6:freezer:/mesos/{RUN}\n4:memory:/mesos/{RUN}\n0::/\n", True),  # linux launcher
        (f"6:freezer:/mesos/{RUN}/mesos/0815\n0::/\n", True),  # a container within
        (f"0::/mesos/{RUN}/leaf\n", True),  # cgroup v2
        ("6:freezer:/\n4:memory:/system.slice/mesos-agent.service\n0::/\n", False),  # posix launcher
        (f"6:freezer:/\n4:memory:/mesos/{RUN}\n0::/\n", False),  # isolated, but not ended, by a cgroup
        ("", False),
    ],
)
def test_a_container_is_a_cgroup_that_is_named_by_the_sandbox(cgroups: str, found: bool) -> None:
    """Only what the launcher itself destroys counts."""
    assert contained(ENVIRON, cgroups) is found


def test_outside_of_a_sandbox_there_is_no_container() -> None:
    """No name to look for: an empty one would be found everywhere."""
    assert not contained({}, "0::/\n")
