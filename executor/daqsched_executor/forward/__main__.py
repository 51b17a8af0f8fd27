"""``python -m daqsched_executor.forward``: the forwarder without the rest of the executor."""

import sys

from .command import main

sys.exit(main())
