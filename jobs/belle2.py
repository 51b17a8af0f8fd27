"""A realistic farm: the online part of a Belle II like detector.

One readout PC per sub-detector crate, an event builder, HLT units of one input, many workers and one output node, storage,
and slow control with nsmd2 on every host. Change `version`, apply, and all of it rolls over. Events flow from the readout
to storage; what takes events is started before what sends them.
"""

import os

from daqsched import CommandCheck, Heartbeat, HttpCheck, Job, OutputCheck, Resources, Restart, Stop, TcpCheck, hosts

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


def daq(name, where, *arguments, cpus=1.0, mem=1024.0, ports=(), **more):
    """A program of the release: restarted for ever, ended gently, its libraries checked before it starts."""
    options = {
        "version": version,
        "needs": [f"{release}/bin"],
        "resources": Resources(cpus=cpus, mem=mem, ports=ports),
        "restart": Restart(delay_s=1.0, cap_s=30.0),
        "stop": Stop("TERM", grace_s=20.0),
        "owner": "daq-experts",
        **more,
    }
    return Job(name, argv=[f"{release}/bin/{name}", *arguments], hosts=where, **options)


def status(name, where, *arguments, **more):
    """A program that tells how it is on a port of its own, any that its host has free."""
    arguments += ("--status-port", "{port:status}")
    return daq(name, where, *arguments, ports=["status"], check=HttpCheck("/health", port="status"), **more)


jobs = [
    # slow control: small, everywhere, and before everything else in anybody's mind
    daq("nsmd2", everywhere, "--net", "b2nsm", "--host", "{host}", cpus=0.1, mem=64.0, owner="slow-control"),
    daq(
        "slowcontrol",
        everywhere,
        *("--node", "{host}"),
        cpus=0.1,
        mem=128.0,
        owner="slow-control",
        critical=False,
        after="nsmd2",
        check=Heartbeat(silence_s=30.0),
    ),
    # the way of an event, from its end
    status("storage", stores, "--path", "/data/{host}", cpus=4.0, mem=8192.0, after="nsmd2"),
    status("hltout", outputs, "--unit", "{host}", cpus=2.0, mem=4096.0, after="storage"),
    daq(
        "hltworker",
        workers,
        *("--processes", "20"),
        cpus=20.0,
        mem=65536.0,
        stop=Stop("TERM", grace_s=60.0, second_signal="INT"),
        after="hltout",
        # its processes must be there, not only their parent
        check=CommandCheck(f"{release}/bin/hltworker --count-processes 20", grace_s=120.0, interval_s=30.0),
    ),
    status("hltin", inputs, "--unit", "{host}", cpus=2.0, mem=4096.0, after="hltworker"),
    daq(
        "eventbuilder",
        builders,
        *("--inputs", str(len(hosts(readout_hosts))), "--listen", "{port:events}"),
        cpus=8.0,
        mem=16384.0,
        ports=["events"],
        after="hltin",
        check=TcpCheck("events"),
    ),
    daq(
        "readout",
        readout_hosts,
        *("--host", "{host}"),
        cpus=4.0,
        mem=8192.0,
        limits={"nofile": 4096, "core": 0},
        after=["nsmd2", "eventbuilder"],
        # between two runs there are no events, so silence is only reported
        check=OutputCheck(silence_s=60.0, pattern="event", unhealthy="notify"),
        actions={"buffers": [f"{release}/bin/readout", "--dump-buffers"]},
    ),
]
