"""ByteBuffer: bytes that came in and were not asked for yet.

Most of the time one chunk comes in and one reader asks for all of it: then the very object that came in is handed out. Only
when a second chunk meets the rest of a first are the two piled up in a bytearray, which stays in use until it is empty.

Invariants
----------
* The bytes are in `chunk`, from `start` on, or in `pile`; one of the two is None. (`shared`: the pile was shown to the outside, which
  may have kept it, so it stays in use for good.)
* `taken` changes whenever bytes leave, so that who remembers a position can tell that it is void.
"""

from __future__ import annotations

from typing import Any

from cede.core.task.attributed import Attributed

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython

if not cython.compiled:

    def search_bytes(text: bytes, start: int, separator: bytes) -> int:
        return text.find(separator, start)

    def search_pile(text: bytearray, start: int, separator: bytes) -> int:
        return text.find(separator, start)

    def head_of(text: bytearray, count: int) -> bytes:
        with memoryview(text) as view:
            return bytes(view[:count])


class ByteBuffer(Attributed):
    """A queue of bytes."""

    if not cython.compiled:
        taken = 0
        start = 0
        chunk: bytes | None = None
        pile: bytearray | None = None
        shared = False

    def held(self) -> int:
        """How many bytes are here."""
        if self.chunk is not None:
            return len(self.chunk) - self.start
        return 0 if self.pile is None else len(self.pile)

    def fold(self) -> int:
        """Bring everything into the pile."""
        if self.pile is None:
            self.pile = bytearray()
        if self.chunk is not None:
            self.pile += self.chunk if self.start == 0 else memoryview(self.chunk)[self.start :]
            self.chunk = None
        return 0

    def put(self, data: Any) -> int:
        """Add bytes, or any other bytes-like object."""
        if self.chunk is None and self.pile is None and type(data) is bytes:
            self.chunk = data
            self.start = 0
            return 0
        self.fold()
        self.pile += data  # not extend(): Cython 3.3.1 makes that a macro which older Pythons do not have
        return 0

    def take(self, count: int) -> bytes:
        """Remove and return at most `count` bytes; `count` is not negative."""
        self.taken += 1
        chunk = self.chunk
        if chunk is not None:
            rest = len(chunk) - self.start
            if count >= rest:
                self.chunk = None
                return chunk if self.start == 0 else chunk[self.start :]
            rest = self.start
            self.start = rest + count
            return chunk[rest : rest + count]
        if self.pile is None:
            return b""
        if count < len(self.pile):
            chunk = head_of(self.pile, count)
            del self.pile[:count]
            return chunk
        chunk = bytes(self.pile)
        if self.shared:
            self.pile.clear()
        else:
            self.pile = None
        return chunk

    def skip(self, count: int) -> int:
        """Remove `count` bytes."""
        self.take(count)
        return 0

    def find(self, separator: Any, offset: int) -> int:
        """Where `separator` begins, at `offset` or behind; -1 where it is not."""
        if self.chunk is not None:
            if type(separator) is bytes:
                at = search_bytes(self.chunk, self.start + offset, separator)
            else:
                at = self.chunk.find(separator, self.start + offset)
            return at if at < 0 else at - self.start
        if self.pile is None:
            return -1
        if type(separator) is bytes:
            return search_pile(self.pile, offset, separator)
        return self.pile.find(separator, offset)

    def show(self) -> bytearray:
        """The live bytes, for those who look inside."""
        self.fold()
        self.shared = True
        return self.pile
