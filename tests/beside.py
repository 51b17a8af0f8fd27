"""What runs beside the tests: `scripts/test` begins it, and names it in DAQSCHED_TEST_BESIDE: lines of ``NAME PID START LOG``."""

from __future__ import annotations

import errno
import os
import select
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Optional

#: Files of tests/contract that have an engine or a network: they wait for machines as those with servers do.
ENGINES = frozenset({"test_container.py", "test_machines_network.py"})

#: The folders whose tests have servers, which must not run beside machines.
SERVERS = ("faults", "cluster")


def needs(file: Path) -> str:
    """The folder of tests by what a file needs."""
    return "cluster" if file.name in ENGINES else file.parent.name


class Beside(NamedTuple):
    """A process, and what it said so far."""

    name: str
    pid: int
    #: When it began, in ticks since the machine's start, as /proc has it: its number may be another one's by now.
    start: int
    log: Path

    def wait(self, limit_s: Optional[float] = None) -> bool:
        """Until it has ended, or for so long; whether it has. timeout(1) sees to it that it does."""
        if not self._is_there():
            return True
        try:
            its = os.pidfd_open(self.pid)
        except OSError as error:
            # it has just ended, and its number is nobody's, or that of a thread, for which older kernels say EINVAL
            if error.errno not in (errno.ESRCH, errno.ENOENT, errno.EINVAL):
                raise
            return True
        try:
            return not self._is_there() or bool(select.select([its], [], [], limit_s)[0])
        finally:
            os.close(its)

    def _is_there(self) -> bool:
        with suppress(OSError):
            fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
            return int(fields[19]) == self.start
        return False

    def took_s(self) -> float:
        """From its begin to the last that it said."""
        began = time.clock_gettime(time.CLOCK_BOOTTIME) - self.start / os.sysconf("SC_CLK_TCK")
        return began - (time.time() - self.log.stat().st_mtime)


def beside() -> list[Beside]:
    """What runs beside the tests of this process."""
    lines = (line.split(maxsplit=3) for line in os.environ.get("DAQSCHED_TEST_BESIDE", "").splitlines())
    return [Beside(name, int(pid), int(start), Path(log)) for name, pid, start, log in lines]


def machines() -> Optional[Beside]:
    """What befalls a farm in machines, where that runs beside them: tests with an engine, or with servers, wait for its end."""
    return next((one for one in beside() if one.name == "machines"), None)
