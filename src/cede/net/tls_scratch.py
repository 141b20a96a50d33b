# cython: auto_pickle=False
"""The memory that ciphertext is received into: one piece a loop, for all its TLS connections, so that an idle one keeps none.

Invariant: `busy` is true while a connection works on what it received here; until then nobody else may receive into it. (Nobody would, but
for a program that steps the loop from inside a callback.)
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

# Four full records and what a fifth may bring: one system call takes what a peer sent as 64 KiB.
SIZE = 80 * 1024


class Scratch:
    """A piece of memory, and a view of it."""

    memory: bytearray
    view: memoryview
    busy: bool

    def __init__(self) -> None:
        self.memory = bytearray(SIZE)
        self.view = memoryview(self.memory)
        self.busy = False


_of_loops: WeakKeyDictionary[Any, Scratch] = WeakKeyDictionary()


def scratch_of(loop: Any) -> Scratch:
    """The scratch memory of `loop`, made when it is first asked for."""
    scratch = _of_loops.get(loop)
    if scratch is None:
        scratch = _of_loops[loop] = Scratch()
    return scratch
