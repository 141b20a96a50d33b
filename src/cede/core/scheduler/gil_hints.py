# cython: auto_pickle=False, boundscheck=False, nonecheck=False
"""What a loop's thread and its worker threads let each other know about the interpreter lock.

Read without that lock, and never relied upon: see spin.h. Compiled, they have a cache line to themselves: to look at one again and again
would slow whoever writes beside it.
"""

from __future__ import annotations


class GilHints:
    """`away`: the loop's thread waits, without the interpreter lock. `released`: so does whoever posted last."""

    away: int
    released: int

    def __init__(self) -> None:
        self.away = 0
        self.released = 1
