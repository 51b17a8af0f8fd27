"""How many datagrams may have come while no forwarder listened, at most.

Where no socket is bound to a port the kernel drops what comes for it and counts that, for all ports of the machine together
(``NoPorts`` of /proc/net/snmp and snmp6). So a forwarder writes down how many there were while it listens, and the next one
reports how many more there are.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress

from ..disk.replace import read_object, replace

_BOOT_ID, _SNMP, _SNMP6 = "/proc/sys/kernel/random/boot_id", "/proc/net/snmp", "/proc/net/snmp6"


class Downtime:
    """What ``path`` says of the last forwarder, and writes for the next one."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._boot = ""
        with suppress(OSError), open(_BOOT_ID) as file:
            self._boot = file.read().strip()
        self._written = -1
        last = read_object(path)
        count = last.get("no_ports")
        if last.get("boot") == self._boot and type(count) is int and 0 <= count < 1 << 63:
            self._written = count

    def missed(self) -> int:
        """So many datagrams at most were for our ports since the last forwarder of this boot; 0 where that is not known."""
        count = no_ports()
        return count - self._written if 0 <= self._written < count else 0

    def note(self) -> None:
        """We listen."""
        count = no_ports()
        if count != self._written:
            with suppress(OSError):
                replace(self._path, json.dumps({"boot": self._boot, "no_ports": count}).encode(), sync=False)
                self._written = count


def no_ports() -> int:
    """What the kernel counts, of both protocols; -1 where it does not say."""
    total = 0
    try:
        with open(_SNMP) as file:
            names, numbers = (line.split() for line in file if line.startswith("Udp:"))
            total += int(numbers[names.index("NoPorts")])
        if os.path.exists(_SNMP6):
            with open(_SNMP6) as file:
                total += sum(int(line.split()[1]) for line in file if line.startswith("Udp6NoPorts"))
    except (OSError, ValueError):
        return -1
    return total
