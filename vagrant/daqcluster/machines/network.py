"""The machines' network of the docker provider: a bridge of our own, and what a firewall of this machine must let through."""

from __future__ import annotations

import ipaddress
import shutil
import subprocess
from pathlib import Path
from typing import Sequence

from daqcluster.errors import ClusterError

#: A network that nobody named: one of these that no interface or route of this machine has. Third number: of the checkout.
POOL = "172.30.{}.0/24"


def free(ident: str, bridge: str = "") -> str:
    """A network that is not in use here, the same one for a checkout where it can be; what is of ``bridge`` is ours."""
    return choose(ident, used(_routes(), bridge))


def refuse_used(subnet: str, bridge: str) -> None:
    """Raises `ClusterError` where this computer has an address or a route in it that is not of ``bridge``: machines there would
    take somebody's place."""
    wanted = ipaddress.IPv4Network(subnet)
    others = sorted({str(other) for other in used(_routes(), bridge) if wanted.overlaps(other)})
    if others:
        raise ClusterError(
            f"DAQCLUSTER_NETWORK={subnet} is in use on this computer, which has a route to {others[0]}: name another, or none"
        )


def _routes() -> str:
    """All, and with them this computer's addresses."""
    return _ip("-o", "-4", "route", "show", "table", "all")


def used(routes: str, bridge: str) -> list[ipaddress.IPv4Network]:
    """Where routes lead, but for those of ``bridge``. What leads to half of all addresses, as a VPN's does, is a default."""
    lines = [line.split() for line in routes.splitlines()]
    words = [word for line in lines if bridge not in line for word in line if _is_network(word)]
    networks = [ipaddress.IPv4Network(word, strict=False) for word in words]
    return [network for network in networks if network.prefixlen >= 8]


def choose(ident: str, used: Sequence[ipaddress.IPv4Network]) -> str:
    """One of `POOL` that overlaps none of the used; ``ident``, hexadecimal, says where to begin."""
    for step in range(250):
        network = ipaddress.IPv4Network(POOL.format((int(ident, 16) + step) % 250 + 1))
        if not any(network.overlaps(other) for other in used):
            return str(network)
    raise ClusterError("no free network below 172.30: name one, DAQCLUSTER_NETWORK=10.9.8.0/24")


def _is_network(word: str) -> bool:
    try:
        ipaddress.IPv4Network(word, strict=False)
    except ValueError:
        return False
    # a number alone is no address here, but of a table or a metric
    return "." in word and word != "0.0.0.0"


def let_through(bridge: str) -> None:
    """Where this machine drops what it forwards, and looks at what passes a bridge: an exception for ours."""
    if not shutil.which("iptables") or not _drops() or _rule("-C", bridge) == 0:
        return
    if _rule("-I", bridge) != 0:
        raise ClusterError(
            f"this machine's firewall lets nothing through {bridge}: iptables -I FORWARD -i {bridge} -o {bridge} -j ACCEPT"
        )


def remove(bridge: str, prefix: str) -> None:
    """The bridge, its exception, and machines' ends of cables that an engine which was killed meanwhile left on this side, where
    they are there.

    ``prefix``: of the machines' addresses, of which the engine makes those of the cables (02:42 and the IP); empty: unknown.
    """
    if shutil.which("iptables"):
        for _ in range(8):
            if _rule("-D", bridge) != 0:
                break
    if Path(f"/sys/class/net/{bridge}").exists():
        # a machine's end of its cable outlives it for minutes, as the kernel waits for the last word of its connections
        for place in Path(f"/sys/class/net/{bridge}/brif").glob("*"):
            subprocess.run(["ip", "link", "delete", place.name], capture_output=True, timeout=20)
        _ip("link", "delete", bridge)
    if not prefix:
        return
    cables = "02:42:" + ":".join(f"{int(number):02x}" for number in prefix.split(".")) + ":"
    for place in Path("/sys/class/net").iterdir():
        try:
            ours = (place / "address").read_text().startswith(cables)
        except OSError:
            continue  # it has gone
        if ours:
            subprocess.run(["ip", "link", "delete", place.name], capture_output=True, timeout=20)


def _drops() -> bool:
    try:
        seen = Path("/proc/sys/net/bridge/bridge-nf-call-iptables").read_text().strip() == "1"
    except OSError:
        return False
    done = subprocess.run(["iptables", "-S", "FORWARD"], capture_output=True, text=True, timeout=20)
    return seen and done.returncode == 0 and (done.stdout.strip() != "-P FORWARD ACCEPT")


def _rule(action: str, bridge: str) -> int:
    argv = ["iptables", "-w", "10", action, "FORWARD", "-i", bridge, "-o", bridge, "-j", "ACCEPT"]
    return subprocess.run(argv, capture_output=True, timeout=20).returncode


def _ip(*words: str) -> str:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, timeout=20)
    if done.returncode != 0:
        raise ClusterError(f"ip {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout
