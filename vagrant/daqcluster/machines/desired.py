"""Which machines are desired: what the environment says, what was said before, else the defaults. Pure."""

from __future__ import annotations

import ipaddress
from typing import Any, Callable, Mapping

from daqcluster.errors import ClusterError

#: The variables that say what is desired, and what holds without them. docs/operate/vagrant.md has them in a table.
DEFAULTS = {
    "DAQCLUSTER_NODES": "2",
    "DAQCLUSTER_CONTROL2": "",
    "DAQCLUSTER_MEMORY": "2048",
    "DAQCLUSTER_NETWORK": "",
    "DAQCLUSTER_BOX": "generic/debian12",
    "DAQCLUSTER_MIRROR": "",
    "VAGRANT_DEFAULT_PROVIDER": "docker",
}

PROVIDERS = ("docker", "libvirt", "virtualbox")

#: Addresses from .101 on are the farm's.
MOST = 50


def desired(environ: Mapping[str, str], before: Mapping[str, Any], free: Callable[[], str]) -> dict[str, Any]:
    """What the Vagrantfile reads of it. ``before``: the same of the last time; ``free`` finds a network where none was named.
    `ClusterError` names the variable that is wrong."""
    said = before.get("desired", before.get("wanted", {}))  # the second in a folder of 0.1
    values = {name: environ.get(name) or said.get(name) or value for name, value in DEFAULTS.items()}
    values["DAQCLUSTER_NETWORK"] = values["DAQCLUSTER_NETWORK"] or free()
    if values["VAGRANT_DEFAULT_PROVIDER"] not in PROVIDERS:
        raise ClusterError(
            f"VAGRANT_DEFAULT_PROVIDER={values['VAGRANT_DEFAULT_PROVIDER']!r}: {', '.join(PROVIDERS)} are"
        )
    if values["DAQCLUSTER_CONTROL2"] not in ("", "0", "1"):
        raise ClusterError(
            f"DAQCLUSTER_CONTROL2={values['DAQCLUSTER_CONTROL2']!r}: 1 for a second control machine, else 0"
        )
    return {
        "desired": values,
        "provider": values["VAGRANT_DEFAULT_PROVIDER"],
        "nodes": _number(values, "DAQCLUSTER_NODES", 1, MOST),
        "control2": values["DAQCLUSTER_CONTROL2"] == "1",
        # less, and control's servers are ended by the kernel
        "memory": _number(values, "DAQCLUSTER_MEMORY", 1536, 1 << 20),
        "prefix": _prefix(values["DAQCLUSTER_NETWORK"]),
        "box": values["DAQCLUSTER_BOX"],
        "mirror": values["DAQCLUSTER_MIRROR"],
    }


def names(setting: Mapping[str, Any]) -> list[str]:
    """Of all machines that are desired."""
    controls = ["control", "control2"] if setting["control2"] else ["control"]
    return [*controls, *(f"hlt{number:02d}" for number in range(1, setting["nodes"] + 1))]


def _number(values: Mapping[str, str], name: str, least: int, most: int) -> int:
    if not values[name].isdecimal() or not least <= int(values[name]) <= most:
        raise ClusterError(f"{name}={values[name]!r} is not a number from {least} to {most}")
    return int(values[name])


def _prefix(text: str) -> str:
    try:
        network = ipaddress.IPv4Network(text)
    except ValueError:
        network = None
    if network is None or network.prefixlen != 24:
        raise ClusterError(f"DAQCLUSTER_NETWORK={text!r} is not a network of 254 addresses such as 172.30.8.0/24")
    return str(network.network_address).rpartition(".")[0]
