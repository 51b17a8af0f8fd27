"""The words of a job file, what can be wrong with them, and how a file becomes a spec."""
