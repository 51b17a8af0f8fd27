"""`daqsched serve`: the thread that owns the engine, what answers on its sockets, several daemons as one."""
