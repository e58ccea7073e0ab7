"""Faults on purpose. What takes long is marked `faults` and left to `make test-faults`; the rest is in `make test`."""
