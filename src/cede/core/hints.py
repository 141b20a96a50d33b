# cython: auto_pickle=False
"""What a loop's thread and its worker threads let each other know about the interpreter lock.

Read without that lock, and never relied upon: see spin.h.
"""

from __future__ import annotations


class Hints:
    """`away`: the loop's thread waits, without the interpreter lock. `released`: so does whoever posted last."""

    away: int
    released: int

    def __init__(self) -> None:
        self.away = 0
        self.released = 1
