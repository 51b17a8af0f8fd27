"""The spec that is in force, completed, with what the engine looks up in it again and again."""

from __future__ import annotations

from typing import Callable, Mapping, Optional

from daqsched.digests import older_rules_digest, rules_digest, run_digests
from daqsched.engine.match import by_attributes, canonical
from daqsched.merge import Desired
from daqsched.spec import FORWARDER, JobSpec, Spec


class DesiredSpec:
    """Never changes: each apply makes another one."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self._desired = Desired(spec)
        #: (attribute, value) -> the jobs that run on all machines with these attributes, under the first of theirs.
        self.by_attribute: dict[tuple[str, str], list[JobSpec]] = {}
        for job in filter(by_attributes, spec.jobs):
            name, value = min(job.attributes.items())
            self.by_attribute.setdefault((name, canonical(value)), []).append(job)
        #: The job that forwards the lines of all others, where there is one.
        self.forwarder: Optional[JobSpec] = next((job for job in spec.jobs if job.name == FORWARDER), None)
        everything = (*spec.jobs, *spec.variants)
        #: Port numbers that jobs ask for by number.
        self.fixed_ports = frozenset(number for job in everything for number in job.ports.values() if number)
        #: By the job itself, which is kept with it.
        self._runs: dict[int, tuple[JobSpec, Callable[[str], str]]] = {}
        self._rules: dict[int, tuple[JobSpec, str, str]] = {}

    def job(self, name: str) -> Optional[JobSpec]:
        """The job of that name, but for the hosts where it is another (`of`)."""
        return self._desired.jobs.get(name)

    def of(self, name: str, host: str) -> Optional[JobSpec]:
        """The job of that name as it is desired there."""
        return self._desired.of(name, host)

    def variants(self, name: str) -> Mapping[str, JobSpec]:
        """The hosts where it is another than `job`, with what it is there."""
        return self._desired.variants.get(name, {})

    def run_of(self, job: JobSpec) -> Callable[[str], str]:
        """`run_digests` of a job of it, made once."""
        if id(job) not in self._runs:
            self._runs[id(job)] = job, run_digests(job)
        return self._runs[id(job)][1]

    def rules_of(self, job: JobSpec) -> str:
        """`rules_digest`, made once."""
        return self._both(job)[1]

    def older_rules_of(self, job: JobSpec) -> str:
        """`older_rules_digest`, made once."""
        return self._both(job)[2]

    def _both(self, job: JobSpec) -> tuple[JobSpec, str, str]:
        if id(job) not in self._rules:
            self._rules[id(job)] = job, rules_digest(job), older_rules_digest(job)
        return self._rules[id(job)]
