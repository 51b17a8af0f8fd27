"""The farm of tests/machines. `--set version=release-02` rolls `readout` over, host by host; `monitor` never changes."""

from daqsched import Job, Resources, Rollout, variable

version = variable("version", "release-01")
rollout = Rollout(batches=[1], ready_s=0.5)
small = Resources(cpus=0.1, mem=64)
counter = "/cvmfs/daq.example.org/{version}/bin/counter {instance}"

jobs = [
    Job("readout", counter, hosts="hlt[01-02]", version=version, resources=small),
    Job("monitor", counter, hosts="hlt[01-02]", version="release-01", resources=small),
]
