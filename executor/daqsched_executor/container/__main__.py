"""``python -m daqsched_executor.container FILE INSTANCE``: started by an executor's child, and by nobody else."""

import sys

from daqsched_executor.container.runner import main

sys.exit(main(sys.argv[1:]))
