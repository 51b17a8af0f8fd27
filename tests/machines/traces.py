"""What machines may leave behind on this computer: looked at before and after."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from pathlib import Path


def cables(bridge: str) -> frozenset[str]:
    """This computer's ends of what connects the machines that are up."""
    return frozenset(place.name for place in Path("/sys/class/net", bridge, "brif").glob("*"))


def traces(ident: str, bridge: str, cables: frozenset[str] = frozenset(), prefix: str = "") -> set[str]:
    """Interfaces, routes, firewall rules, mounts, cgroups, settings of the kernel and files, as far as an engine of ours can
    have made them. ``ident``, which is in the bridge's name, too, stands in all that belongs to this checkout's machines;
    the ends of their cables have had the names of ``cables``, or an address that is made of one with ``prefix``.

    Other engines may come and go meanwhile: what belongs to another bridge is left out.
    """
    files = (Path.home() / ".local" / "state" / "daqcluster").glob(f"*{ident}*")
    found = {f"file {path}" for path in files if path.suffix != ".lock"}
    found |= {f"file {path}" for path in [Path.home() / ".vagrant.d"] if path.exists()}
    there = "02:42:" + ":".join(f"{int(number):02x}" for number in prefix.split(".")) if prefix else "none"
    for place in Path("/sys/class/net").iterdir():
        with contextlib.suppress(OSError):
            ours = place.name in (bridge, *cables) or (place / "address").read_text().startswith(there)
            if ours or re.match(r"br-|docker", place.name):
                found.add(f"interface {place.name}")
    for line in _lines("ip", "-o", "route", "show", "table", "all"):
        if bridge in line:
            found.add(f"route {line}")
    if shutil.which("iptables-save"):
        # counters and comments apart, and the names of other bridges
        rules = (line for line in _lines("iptables-save") if line[:1] in ("-", ":", "*"))
        found |= {f"rule {re.sub(r' ?[[][0-9]+:[0-9]+[]]', '', line)}" for line in rules if not _others(line, bridge)}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        if ident in line:
            found.add(f"mount {line}")
    for place in Path("/sys/fs/cgroup").glob(f"**/*{ident}*"):
        found.add(f"cgroup {place}")
    for name in ("net/ipv4/ip_forward", "net/bridge/bridge-nf-call-iptables"):
        with contextlib.suppress(OSError):
            found.add(f"{name} = {Path('/proc/sys', name).read_text().strip()}")
    return found | {f"process {line}" for line in processes(ident).values()}


def _others(line: str, bridge: str) -> bool:
    named = re.findall(r"\bdaq-[0-9a-f]{8}\b", line)
    return bool(named) and bridge not in named


def processes(ident: str) -> dict[int, str]:
    """Those that carry the mark of our engine, have it in their arguments, or are in its cgroups."""
    found = {}
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        place = Path("/proc", name)
        with contextlib.suppress(OSError):
            mark = f"machines-{ident}".encode()
            argv = (place / "cmdline").read_bytes()
            if mark in argv or mark in (place / "environ").read_bytes() or mark in (place / "cgroup").read_bytes():
                found[int(name)] = f"{name} {argv.replace(bytes(1), b' ').decode(errors='replace')[:200]}"
    return found


def _lines(*argv: str) -> list[str]:
    return subprocess.run(argv, capture_output=True, text=True, timeout=20, check=True).stdout.splitlines()
