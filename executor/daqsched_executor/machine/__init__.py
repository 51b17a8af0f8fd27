"""The machine below an executor: processes, paths, and the system calls for them."""
