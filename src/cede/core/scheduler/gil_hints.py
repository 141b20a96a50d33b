# cython: auto_pickle=False, boundscheck=False, nonecheck=False
"""Flags by which a loop's thread and its worker threads know whether the other one waits without the GIL.

Threads read them without the GIL, as hints that may be out of date: see spin.h. Compiled, the flags have a cache line to themselves,
because a thread that reads one again and again would slow writes beside it.
"""

from __future__ import annotations


class GilHints:
    """`away`: the loop's thread waits without the GIL. `released`: the thread that posted last has released the GIL."""

    away: int
    released: int

    def __init__(self) -> None:
        self.away = 0
        self.released = 1
