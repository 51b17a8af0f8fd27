"""For commands of a release's folder that find their modules in its files: `release/start.in`. It lies in ``lib`` there."""

import os
import sys


def prepare(home: str, place: str) -> None:
    """Say so, with exit status 2, where this Python has no ``place`` in the folder; let what `daqsched` needs besides be found."""
    lib, ours = os.path.split(place)
    if not os.path.isdir(place):
        known = sorted(name for name in os.listdir(lib) if name.startswith("cp"))
        told = (os.path.basename(sys.argv[0]), home, ", ".join(known), ours, sys.executable)
        sys.stderr.write("{}: {} is made for {}, and this is {} ({}): start it with another Python\n".format(*told))
        sys.exit(2)
    more = os.path.join(lib, "serve-" + ours)
    if os.path.isdir(more):
        sys.path.append(more)
