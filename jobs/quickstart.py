"""The first farm: three hosts of the local cluster, and programs that behave like DAQ programs.

Try: change `version` to "release-02" and apply again; kill -9 a program; `daqsched logs readout -f`; look at `hang` in
`daqsched status` after half a minute.
"""

import os
from pathlib import Path

from daqsched import Job, OutputCheck, Resources, Restart

version = "release-01"

# On a farm this is /cvmfs; here a folder that looks like it.
cvmfs = os.environ.get("DAQSCHED_CVMFS", str(Path(__file__).resolve().parent / "cvmfs"))
bin_ = f"{cvmfs}/daq.example.org/{{version}}/bin"

hosts = "hlt[01-03]"
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
        hosts="hlt02",
        version=version,
        resources=small,
        critical=False,
        restart=Restart(delay_s=0.5, cap_s=5.0),
    ),
    # lives, but says nothing any more after a while: its check sees that, and it is restarted
    Job(
        "hang",
        f"{bin_}/hang",
        hosts="hlt03",
        version=version,
        resources=small,
        critical=False,
        check=OutputCheck(silence_s=15),
    ),
]
