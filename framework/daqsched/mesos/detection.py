"""Which of several Mesos masters leads: Mesos says it in ZooKeeper, which it needs for that whatever keeps the state.

pymesos' own detector ends where ZooKeeper is silent, or has no such node, at the start.
"""

from __future__ import annotations

import warnings
from typing import Any, Callable

#: For ``--help``: what may be written for the masters.
MASTERS = "HOST:PORT, or zk://HOST:PORT,.../PATH"

_SCHEME = "zk://"


def elected(master: str) -> bool:
    """Whether that is a place where the leading master's address is found, and no address."""
    return master.startswith(_SCHEME)


def watch(place: str, driver: Any, given: Callable[[Any], bool], again: Callable[[str], None]) -> None:
    """Have pymesos' ``driver`` told who leads, from now on; returns once the place was looked at. ``given`` takes each detector
    before it begins, to be ended by whoever ends the driver, and says whether to go on; ``again`` waits between two attempts,
    and is told why there has to be another."""
    # kazoo and pymesos are read by those who need them
    from kazoo.handlers.threading import KazooTimeoutError
    from pymesos.detector import MasterDetector

    from daqsched.zookeeper_client import bound

    class Detector(MasterDetector):
        looked = False

        def choose(self, children: list[str]) -> bool:
            self.looked = True
            # only a master's own, whatever else somebody put there
            return super().choose([one for one in children if one.startswith("json.info_")])

    # kazoo's way to say what is said below
    warnings.filterwarnings("ignore", "No chroot path exists", UserWarning)
    while True:
        detector = Detector(place[len(_SCHEME) :], driver)
        bound(detector.zk)
        if not given(detector):
            return
        why = "no master has announced itself there"
        try:
            detector.start()
            if detector.looked:
                return
        except KazooTimeoutError:
            why = "ZooKeeper does not answer"
        detector.stop()
        detector.zk.close()
        again(why)


def end(detector: Any) -> None:
    """Let go of a detector that pymesos has stopped."""
    detector.zk.close()
