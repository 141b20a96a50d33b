"""Futures, tasks and handles: what is run, and what it waits for."""
