"""Servers: what listens, and the limits it keeps."""
