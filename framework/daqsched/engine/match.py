"""Whether a machine and its offer are enough: the reason why not, or None."""

from __future__ import annotations

from collections.abc import Collection
from typing import Callable, Mapping, Optional

from daqsched import ports
from daqsched.engine.resources import Attributes, Offer
from daqsched.spec import JobSpec

#: What the executor itself is granted besides its program: Mesos warns below 0.01 cores and 32 MiB (validation.cpp).
EXECUTOR_CPUS, EXECUTOR_MEM = 0.01, 32.0

#: How many attributes of a machine a sentence names.
MOST_NAMED = 5

_NOTHING = (float("inf"),) * 3

#: One for all tasks without ports.
NO_PORTS: Mapping[str, int] = {}


class FreeResources:
    """What is left of an offer while tasks are put into it. ``fixed`` are port numbers that other jobs ask for by number:
    who takes any port is given one of these only where there is no other."""

    def __init__(
        self,
        offer: Offer,
        fixed: Collection[int] = (),
        held: Callable[[], tuple[float, float, float]] = lambda: _NOTHING,
    ) -> None:
        """``held``: what our own jobs have of the machine already, asked for where something does not fit."""
        self._held = held
        self.cpus, self.mem, self.disk = offer.cpus, offer.mem, offer.disk
        self.attributes = offer.attributes
        self.host = offer.names[0]
        self._ports = offer.ports
        self._fixed = fixed

    def refusal(self, job: JobSpec) -> Optional[str]:
        """Why the job does not fit, with what it needs and what there is; None: it fits."""
        missing = lacking(self.attributes, job.attributes)
        if missing is not None:
            return f"{self.host} lacks the attribute {missing} (it has {_named(self.attributes)})"
        for which, (word, unit, needs, has) in enumerate(
            (
                ("cores", "", job.cpus + EXECUTOR_CPUS, self.cpus),
                ("memory", " MiB", job.mem + EXECUTOR_MEM, self.mem),
                ("disk", " MiB", job.disk, self.disk),
            )
        ):
            # a thousandth, Mesos' own precision for scalars
            if needs > has + 0.0005:
                lack = f"not enough {word}: needs {short(needs)}{unit}, {short(has)}{unit} free"
                most = has + self._held()[which]
                never = (
                    f"; it never fits {self.host}, which has {short(most)}{unit} for this farm with all that runs there"
                )
                return lack + (never if needs > most + 0.0005 else "")
        numbers = self._pick(job)
        for name, number in job.ports.items():
            if name not in numbers:
                return f"port {number} is taken or not offered on {self.host}" if number else self._too_few_ports(job)
        return None

    def take(self, job: JobSpec) -> Mapping[str, int]:
        """Count the job's share as taken; returns its ports, by name."""
        if not job.ports:
            self.cpus, self.mem, self.disk = self._without(job)
            return NO_PORTS
        self.cpus, self.mem, self.disk = self._without(job)
        numbers = self._pick(job)
        for number in numbers.values():
            self._ports = ports.without(self._ports, number, number)
        return numbers

    def _without(self, job: JobSpec) -> tuple[float, float, float]:
        return self.cpus - job.cpus - EXECUTOR_CPUS, self.mem - job.mem - EXECUTOR_MEM, self.disk - job.disk

    def _pick(self, job: JobSpec) -> dict[str, int]:
        """A number for each of the job's ports for which there is one."""
        numbers: dict[str, int] = {}
        for name, number in job.ports.items():
            if number and number not in numbers.values() and ports.holds(self._ports, number):
                numbers[name] = number
        for name, number in job.ports.items():
            if not number:
                taken = set(numbers.values()) | {number for number in job.ports.values() if number}
                free = ports.first(self._ports, taken.union(self._fixed)) or ports.first(self._ports, taken)
                if free:
                    numbers[name] = free
        return numbers

    def _too_few_ports(self, job: JobSpec) -> str:
        offered = ports.count(self._ports)
        return f"not enough ports: needs {len(job.ports)}, {offered} free on {self.host}"


def by_attributes(job: JobSpec) -> bool:
    """Whether the job runs on every machine that has its attributes, instead of on named ones."""
    return not job.hosts and bool(job.attributes)


def lacking(has: Attributes, required: Mapping[str, str]) -> Optional[str]:
    """The first required attribute that the machine does not have, as ``name=value``; None: it has them all."""
    for name, value in required.items():
        if canonical(value) not in has.get(name, ()):
            return f"{name}={value}"
    return None


def canonical(text: str) -> str:
    """An attribute's value as it is compared: Mesos takes ``007`` and ``7.0`` for the number 7, with three decimals.

    >>> [canonical(text) for text in ("r1", "007", "7.50", "nan")]
    ['r1', '7', '7.5', 'nan']
    """
    if text[:1] not in _NUMERIC:
        return text
    try:
        number = float(text)
    except ValueError:
        return text
    return short(number) if abs(number) < 1e15 else text


#: What the text of a number begins with, for `float`, infinity and its like left out.
_NUMERIC = frozenset("0123456789+-. ")


def _named(attributes: Attributes) -> str:
    """``rack=r1, gpu=yes``: not the machine's name, which stands beside it."""
    all_of = [f"{name}={value}" for name, values in attributes.items() if name != "hostname" for value in values]
    more = f" and {len(all_of) - MOST_NAMED} more" if len(all_of) > MOST_NAMED else ""
    return ", ".join(all_of[:MOST_NAMED]) + more or "none"


def short(amount: float) -> str:
    """Three decimals at most, and none that say nothing: ``0.11``, ``1000032``."""
    return f"{amount:.3f}".rstrip("0").rstrip(".")
