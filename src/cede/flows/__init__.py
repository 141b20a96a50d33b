"""Asynchronous iteration: what itertools is to plain iterators, with tasks behind it where that helps."""
