"""Transports, servers and names: what is built on a driver, below the loop."""
