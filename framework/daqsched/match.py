"""Whether an offer is enough: the reason why not, or None."""

from __future__ import annotations

from typing import Optional

from daqsched.events import Offer
from daqsched.spec import JobSpec

#: What the executor itself is granted besides its program: Mesos warns below 0.01 cores and 32 MiB (validation.cpp).
EXECUTOR_CPUS, EXECUTOR_MEM = 0.01, 32.0


class Room:
    """What is left of an offer while tasks are put into it."""

    def __init__(self, offer: Offer) -> None:
        self.cpus, self.mem, self.disk = offer.cpus, offer.mem, offer.disk

    def refusal(self, job: JobSpec) -> Optional[str]:
        """Why the job does not fit, with what it needs and what there is; None: it fits."""
        for word, unit, needs, has in (
            ("cores", "", job.cpus + EXECUTOR_CPUS, self.cpus),
            ("memory", " MiB", job.mem + EXECUTOR_MEM, self.mem),
            ("disk", " MiB", job.disk, self.disk),
        ):
            # a thousandth, Mesos' own precision for scalars
            if needs > has + 0.0005:
                return f"not enough {word}: needs {_short(needs)}{unit}, {_short(has)}{unit} free"
        return None

    def take(self, job: JobSpec) -> None:
        """Count the job's share as taken."""
        self.cpus -= job.cpus + EXECUTOR_CPUS
        self.mem -= job.mem + EXECUTOR_MEM
        self.disk -= job.disk


def _short(amount: float) -> str:
    """Three decimals at most, and none that say nothing: ``0.11``, ``1000032``."""
    return f"{amount:.3f}".rstrip("0").rstrip(".")
