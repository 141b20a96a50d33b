"""Locks, events, queues and channels: what tasks of one program say to each other."""
