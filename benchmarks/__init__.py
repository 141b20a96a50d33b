"""Benchmarks of cede beside its peers: ``python benchmarks/run.py --help``."""
