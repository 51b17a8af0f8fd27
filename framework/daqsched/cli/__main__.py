"""`python -m daqsched.cli`."""

from daqsched.cli import main

main()
