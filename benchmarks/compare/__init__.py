"""Two states of cede beside each other: ``python -m benchmarks.compare --help``."""
