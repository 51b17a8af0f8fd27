"""A realistic farm: the online part of a Belle II like detector.

One readout PC per sub-detector crate, an event builder, HLT units of one input, many workers and one output node, storage,
and slow control with nsmd2 on every host. Change `version`, apply, and all of it rolls over.
"""

import os

from daqsched import Job, Resources, Restart, Stop, hosts

version = "release-01"
cvmfs = os.environ.get("DAQSCHED_CVMFS", "/cvmfs")
release = f"{cvmfs}/daq.example.org/{{version}}"

READOUT = {"cdc": 9, "top": 4, "arich": 3, "ecl": 7, "klm": 4, "trg": 2}
UNITS = range(1, 4)
WORKERS = 16

readout_hosts = [f"r{detector}[01-{count:02d}]" for detector, count in READOUT.items()]
builders = ["eb0", "eb1"]
inputs = [f"hltin{unit:02d}" for unit in UNITS]
workers = [f"hltwn{unit:02d}-[01-{WORKERS:02d}]" for unit in UNITS]
outputs = [f"hltout{unit:02d}" for unit in UNITS]
stores = [f"store{unit:02d}" for unit in UNITS]
everywhere = [*readout_hosts, *builders, *inputs, *workers, *outputs, *stores]


def daq(name, where, *arguments, cpus=1.0, mem=1024.0, **more):
    """A program of the release: restarted for ever, ended gently, its libraries checked before it starts."""
    options = {
        "version": version,
        "needs": [f"{release}/bin"],
        "resources": Resources(cpus=cpus, mem=mem),
        "restart": Restart(delay_s=1.0, cap_s=30.0),
        "stop": Stop("TERM", grace_s=20.0),
        "owner": "daq-experts",
        **more,
    }
    return Job(name, argv=[f"{release}/bin/{name}", *arguments], hosts=where, **options)


jobs = [
    # slow control: small, everywhere, and before everything else in anybody's mind
    daq("nsmd2", everywhere, "--net", "b2nsm", "--host", "{host}", cpus=0.1, mem=64.0, owner="slow-control"),
    daq("slowcontrol", everywhere, "--node", "{host}", cpus=0.1, mem=128.0, owner="slow-control", critical=False),
    # the way of an event
    daq("readout", readout_hosts, "--host", "{host}", cpus=4.0, mem=8192.0, limits={"nofile": 4096, "core": 0}),
    daq("eventbuilder", builders, "--inputs", str(len(hosts(readout_hosts))), cpus=8.0, mem=16384.0),
    daq("hltin", inputs, "--unit", "{host}", cpus=2.0, mem=4096.0),
    daq("hltworker", workers, "--processes", "20", cpus=20.0, mem=65536.0, stop=Stop("TERM", grace_s=60.0)),
    daq("hltout", outputs, "--unit", "{host}", cpus=2.0, mem=4096.0),
    daq("storage", stores, "--path", "/data/{host}", cpus=4.0, mem=8192.0),
]
