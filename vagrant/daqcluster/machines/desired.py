"""Which machines are desired: what the environment says, what was said before, else the defaults. Pure."""

from __future__ import annotations

import ipaddress
import re
from typing import Any, Callable, Iterator, Mapping, Sequence

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

#: Where a machine may have its address: RFC 1918. Any other would hide somebody's from this computer.
PRIVATE = tuple(ipaddress.IPv4Network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))

#: Behind a value that this call did not say.
EARLIER = "(said earlier; `make vagrant-down` forgets it)"

#: Commands of Vagrant before which all is made that is desired.
PREPARED = ("up", "reload", "provision")


def command_of(words: Sequence[str]) -> str:
    """Which of Vagrant's commands it is; empty: none."""
    return next((word for word in words if not word.startswith("-")), "")


def desired(environ: Mapping[str, str], before: Mapping[str, Any], free: Callable[[], str]) -> dict[str, Any]:
    """What the Vagrantfile reads of it. ``before``: the same of the machines that there are; ``free`` finds a network where none
    was named. A variable that is empty is one of which nothing was ever said. `ClusterError` names the one that is wrong."""
    said = before.get("desired", before.get("wanted", {}))  # the second in a folder of 0.1
    values = {name: environ.get(name, said.get(name)) or value for name, value in DEFAULTS.items()}
    values["DAQCLUSTER_NETWORK"] = values["DAQCLUSTER_NETWORK"] or free()
    for name, why in _wrong(values):
        earlier = f" {EARLIER}" if name not in environ else ""
        raise ClusterError(f"{name}={values[name]!r}{earlier}: {why}")
    return {
        "desired": values,
        "provider": values["VAGRANT_DEFAULT_PROVIDER"],
        "nodes": int(values["DAQCLUSTER_NODES"]),
        "control2": values["DAQCLUSTER_CONTROL2"] == "1",
        "memory": int(values["DAQCLUSTER_MEMORY"]),
        "prefix": str(ipaddress.IPv4Network(values["DAQCLUSTER_NETWORK"]).network_address).rpartition(".")[0],
        "box": values["DAQCLUSTER_BOX"],
        "mirror": values["DAQCLUSTER_MIRROR"],
    }


def names(setting: Mapping[str, Any]) -> list[str]:
    """Of all machines that are desired."""
    controls = ["control", "control2"] if setting["control2"] else ["control"]
    return [*controls, *(f"hlt{number:02d}" for number in range(1, setting["nodes"] + 1))]


def _wrong(values: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Each variable that can't be so, and what it can be."""
    if values["VAGRANT_DEFAULT_PROVIDER"] not in PROVIDERS:
        yield "VAGRANT_DEFAULT_PROVIDER", f"it has to be {', '.join(PROVIDERS[:-1])} or {PROVIDERS[-1]}"
    if values["DAQCLUSTER_CONTROL2"] not in ("", "0", "1"):
        yield "DAQCLUSTER_CONTROL2", "it has to be 1 for a second control machine, or 0"
    if not _is_number(values["DAQCLUSTER_NODES"], 1, MOST):
        yield "DAQCLUSTER_NODES", f"it has to be a number of farm machines from 1 to {MOST}"
    # with less, control's servers are ended by the kernel
    if not _is_number(values["DAQCLUSTER_MEMORY"], 1536, 1 << 20):
        yield "DAQCLUSTER_MEMORY", f"it has to be a number of MiB from 1536 to {1 << 20}"
    if values["DAQCLUSTER_MIRROR"] and not re.match(r"[a-z]+:/", values["DAQCLUSTER_MIRROR"]):
        yield "DAQCLUSTER_MIRROR", "it has to be the URL of a Debian mirror, which begins with http:// or https://"
    try:
        network = ipaddress.IPv4Network(values["DAQCLUSTER_NETWORK"])
    except ValueError:
        network = None
    if network is None or network.prefixlen != 24:
        yield "DAQCLUSTER_NETWORK", "it has to be a network of 254 addresses such as 172.30.8.0/24"
    elif not any(network.subnet_of(one) for one in PRIVATE):
        yield "DAQCLUSTER_NETWORK", f"it has to be a private network, below {' or '.join(map(str, PRIVATE))}"


def _is_number(text: str, least: int, most: int) -> bool:
    return text.isascii() and text.isdecimal() and least <= int(text) <= most
