"""What tests/workers.py uses of pytest-xdist, which has no types."""
