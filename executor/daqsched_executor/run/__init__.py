"""``daqsched-executor run``: the loop that joins a program's life, the machine, and a Mesos agent."""
