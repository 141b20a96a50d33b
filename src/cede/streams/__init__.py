"""Streams: readers and writers over connections, and child processes with them."""
