# cython: auto_pickle=False
"""The memory that a loop's TLS connections receive and decrypt with: one piece for each, so that an idle connection keeps none.

Invariants
----------
* `busy` is true while a connection works on what it received here; until then nobody else may receive into it. (Nobody would, but
  for a program that steps the loop from inside a callback.)
* `clear` belongs to whoever took it, until it is put back. Who finds none makes another; one that is not put back is not missed.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython

if not cython.compiled:

    def head_of(memory: bytearray, count: int) -> bytes:
        with memoryview(memory) as view:
            return bytes(view[:count])


# What one system call may bring.
SIZE = 128 * 1024
# Four full records: decrypted bytes that are worth a call of the protocol; smaller records are given to it together.
CLEAR = 4 * 16384


class Scratch:
    """Memory for ciphertext, a view of it, and memory for what is decrypted."""

    memory: bytearray
    view: memoryview
    busy: bool
    clear: bytearray | None

    def __init__(self) -> None:
        self.memory = bytearray(SIZE)
        self.view = memoryview(self.memory)
        self.busy = False
        self.clear = None

    def take_clear(self) -> bytearray:
        """Memory for decrypted bytes."""
        memory = self.clear
        if memory is None:
            return bytearray(CLEAR)
        self.clear = None
        return memory


_of_loops: WeakKeyDictionary[Any, Scratch] = WeakKeyDictionary()


def scratch_of(loop: Any) -> Scratch:
    """The scratch memory of `loop`, made when it is first asked for."""
    scratch = _of_loops.get(loop)
    if scratch is None:
        scratch = _of_loops[loop] = Scratch()
    return scratch
