"""What is asked for by variables, looked at before anything is set up: by whatever Python there is, with nothing installed.

scripts/vagrant calls it with Vagrant's words. What is wrong is told in a moment then, and not after minutes of set-up.
"""

from __future__ import annotations

import os
import sys

from daqcluster.errors import NOT_PREPARED, ClusterError
from daqcluster.machines import network, provider
from daqcluster.machines.desired import PREPARED, command_of, desired

if __name__ == "__main__" and command_of(sys.argv[1:]) in PREPARED:
    try:
        provider.check(desired(os.environ, {}, lambda: network.POOL.format(1))["provider"], os.environ)
    except ClusterError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(NOT_PREPARED)
