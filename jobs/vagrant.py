"""The first farm in machines (`make vagrant`): the programs of jobs/quickstart.py, out of the machines' /cvmfs.

Apply it inside control: daqsched apply /srv/daqsched/jobs/vagrant.py
"""

from daqsched import Job, OutputCheck, Resources, Restart, variable

# rolls the farm over: daqsched apply /srv/daqsched/jobs/vagrant.py --set version=release-02, and the hosts as they were set before
version = variable("version", "release-01")
bin_ = "/cvmfs/daq.example.org/{version}/bin"
# all that there are: make vagrant says so, with --set hosts=hlt[01-03] where there are three
hosts = variable("hosts", "hlt[01-02]")
small = Resources(cpus=0.1, mem=64)

jobs = [
    Job("nsmd2", f"{bin_}/nsmd2", hosts=hosts, version=version, resources=small),
    Job(
        "readout",
        f"{bin_}/readout --host {{host}}",
        hosts=hosts,
        version=version,
        resources=small,
        # on each host it is started when nsmd2 runs there, and runs itself once it has seen an event
        after="nsmd2",
        check=OutputCheck(silence_s=10, pattern="event"),
    ),
    # dies every few seconds, and is back before anybody looks
    Job(
        "flaky",
        f"{bin_}/flaky",
        hosts="hlt01",
        version=version,
        resources=small,
        critical=False,
        restart=Restart(delay_s=0.5, cap_s=5.0),
    ),
]
