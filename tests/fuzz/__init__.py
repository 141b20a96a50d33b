"""Junk for every public type: ordinary exceptions may come of it, a dead interpreter may not."""
